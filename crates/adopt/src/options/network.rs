//! A network in an option: an address and the number of its significant bits.

use std::net::{IpAddr, Ipv6Addr};

/// An IPv4 or IPv6 network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    /// As IPv6; IPv4 in its mapped form.
    address: u128,
    /// The number of significant bits, 0 to 128.
    bits: u32,
}

impl Network {
    /// Parses `ADDRESS/BITS` or a single address. Insignificant bits of the address may be set.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().ok()?;
        let longest = if address.is_ipv4() { 32 } else { 128 };
        let bits = match bits {
            None => longest,
            Some(bits) if bits.len() <= 3 && bits.bytes().all(|sign| sign.is_ascii_digit()) => {
                bits.parse().ok().filter(|bits| *bits <= longest)?
            }
            Some(_) => return None,
        };
        Some(Self {
            address: as_v6(address),
            bits: bits + 128 - longest,
        })
    }

    /// Whether the network contains the address.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let differing = self.address ^ as_v6(address);
        differing.leading_zeros() >= self.bits
    }
}

fn as_v6(address: IpAddr) -> u128 {
    u128::from(match address {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => Ipv6Addr::from(address.octets()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_in_and_out() {
        for (network, inside, outside) in [
            (
                "10.1.2.0/24",
                &["10.1.2.0", "10.1.2.255", "::ffff:10.1.2.7"][..],
                &["10.1.3.0"][..],
            ),
            ("10.1.2.77/24", &["10.1.2.1"], &["10.1.1.77"]),
            ("10.1.2.3", &["10.1.2.3"], &["10.1.2.2", "::10.1.2.3"]),
            ("10.1.2.3/32", &["10.1.2.3"], &["10.1.2.2"]),
            (
                "0.0.0.0/0",
                &["1.2.3.4", "255.255.255.255"],
                &["::1", "2001:db8::1"],
            ),
            (
                "2001:db8::/32",
                &["2001:db8::1", "2001:db8:ffff::"],
                &["2001:db9::", "10.0.0.1"],
            ),
            ("::1", &["::1"], &["::", "127.0.0.1"]),
            ("::/0", &["::1", "10.0.0.1"], &[]),
            ("::ffff:10.0.0.0/104", &["10.200.0.1"], &["11.0.0.1"]),
        ] {
            let found = Network::parse(network).expect(network);
            let contains = |it: &str| found.contains(it.parse().expect("an address"));
            for address in inside {
                assert!(contains(address), "{network} lacks {address}");
            }
            for address in outside {
                assert!(!contains(address), "{network} has {address}");
            }
        }
    }

    #[test]
    fn what_is_no_network() {
        for text in [
            "",
            "/",
            "10.1.2",
            "10.1.2.0/33",
            "10.1.2.0/",
            "10.1.2.0/-1",
            "10.1.2.0/+8",
            "::/129",
            "10.1.2.0/24/8",
            "login1",
            "10.1.2.0/0024",
            " 10.1.2.3",
            "fe80::1%eth0",
        ] {
            assert_eq!(Network::parse(text), None, "{text}");
        }
    }
}
