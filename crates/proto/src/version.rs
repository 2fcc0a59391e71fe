//! Slurm's releases, their protocol versions, and what each of them does differently on the wire.
//!
//! A release's protocol version is `N << 8` (`src/common/slurm_protocol_common.h`, 19.05 to master).
//! A slurmstepd sends its own as an `i32` in the handshake (`stepd_api.c`), every TCP message carries
//! one as a `u16` in its header (`slurm_protocol_pack.c`): [`Version::from_stepd`] and
//! [`Version::from_header`]. Like Slurm's own code, every method compares with the release that
//! introduced a change, so a version between two releases counts as the older one.
//!
//! To add a release, add a line to the table below. If it changes what we send or read, change or add
//! a method here, and its test. Then add the release to the lab (`lab/src/suite.rs`).

use std::fmt;
use std::ops::RangeInclusive;

use crate::stepd::NamespaceHandover;

/// A protocol version of Slurm.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(u16);

/// A release of Slurm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Release {
    /// Year and month, such as `24.11`.
    pub name: &'static str,
    /// The protocol version that it speaks.
    pub version: Version,
}

/// Defines a constant of [`Version`] for each release, and [`RELEASES`].
macro_rules! releases {
    ($($(#[$doc:meta])* $constant:ident = $name:literal, $number:literal;)+) => {
        impl Version {
            $($(#[$doc])* pub const $constant: Self = Self($number << 8);)+
        }

        /// All releases, the oldest first.
        pub const RELEASES: &[Release] = &[
            $(Release { name: $name, version: Version::$constant },)+
        ];
    };
}

releases! {
    /// The oldest that we speak. The extern step's number is 4294967295.
    V19_05 = "19.05", 34;
    /// No change that concerns us.
    V20_02 = "20.02", 35;
    /// The extern step's number is 4294967292, socket names may end in a het component. From 20.11.5 on
    /// stepds hand over a mount namespace. Headers hold the origin's address with its family.
    V20_11 = "20.11", 36;
    /// Only root and SlurmUser may adopt. From 21.08.8 (and 20.11.9) on credentials are bound to their
    /// message by its type, and those of answers are restricted to the user who asked.
    V21_08 = "21.08", 37;
    /// Credentials are bound to their message by a hash of its body. Headers have no message index.
    V22_05 = "22.05", 38;
    /// A relative Include is looked for beside the main slurm.conf.
    V23_02 = "23.02", 39;
    /// auth/slurm. A step's state 3 means cancelled and 4 ending; before, 3 was ending.
    V23_11 = "23.11", 40;
    /// slurm.jwks.
    V24_05 = "24.05", 41;
    /// slurmds accept messages of the three releases before theirs, not of two. From 24.11.6 on an
    /// ending step adopts nobody.
    V24_11 = "24.11", 42;
    /// slurmds may speak TLS only. The SACK socket's directory is named after the cluster. A slurmd
    /// refuses a foreign version with return code 1007; before, it closed the connection, up to 20.11.8
    /// and 21.08.7 it sent return code 1005.
    V25_05 = "25.05", 43;
    /// stepds hand over all namespaces, and slurmds name the step in answers to the caller ID. A slurmd
    /// takes a foreign version for HTTP.
    V25_11 = "25.11", 44;
    /// The SACK socket refuses a token by closing the connection; before, by a return code.
    V26_05 = "26.05", 45;
    /// In development. With namespace/tmpfs a stepd hands its namespace over once only.
    V26_11 = "26.11", 46;
}

/// The distance between the versions of two successive releases.
const STEP: u16 = 1 << 8;

impl Version {
    /// The oldest version that we speak.
    pub const OLDEST: Self = Self::V19_05;
    /// Stands for every stepd version that does not fit into a message's header.
    const TOO_LARGE: Self = Self(u16::MAX);

    /// Takes the version of a stepd's handshake; None for -1, with which it refuses ours, and for other
    /// numbers that are not positive (`slurmstepd/req.c:_handle_accept`, 19.05 to 26.05). No release is
    /// too new: the numbers of requests have been stable since 19.05.
    #[must_use]
    pub fn from_stepd(number: i32) -> Option<Self> {
        (number > 0).then(|| u16::try_from(number).map_or(Self::TOO_LARGE, Self))
    }

    /// Takes the version in the header of a message; None if it is older than [`Self::OLDEST`].
    #[must_use]
    pub fn from_header(number: u16) -> Option<Self> {
        Some(Self(number)).filter(|it| *it >= Self::OLDEST)
    }

    /// Its number, as in a message's header.
    #[must_use]
    pub const fn number(self) -> u16 {
        self.0
    }

    /// The version of messages to send on a node whose stepds speak this one; None if no message can
    /// have it. A slurmd accepts only the numbers of releases, none in between
    /// (`slurm_protocol_pack.c:unpack_header`).
    #[must_use]
    pub fn for_messages(self) -> Option<Self> {
        match self {
            Self::TOO_LARGE => None,
            Self(number) => Self::from_header(number / STEP * STEP),
        }
    }

    /// The versions that the peers of one cluster may speak, given that one of them speaks this one: a
    /// slurmd accepts its own release's version and the three before it, up to 24.05 the two before
    /// (`SLURM_MIN_PROTOCOL_VERSION`, `slurm_protocol_common.h`).
    #[must_use]
    pub fn neighbours(self) -> RangeInclusive<Self> {
        const REACH: u16 = 3 * STEP;
        let oldest = Self(self.0.saturating_sub(REACH)).max(Self::OLDEST);
        oldest..=Self(self.0.saturating_add(REACH))
    }

    /// The version of the previous release; None before [`Self::OLDEST`].
    #[must_use]
    pub fn older(self) -> Option<Self> {
        self.0.checked_sub(STEP).and_then(Self::from_header)
    }

    /// The way in which a stepd hands over the namespaces of its job: `REQUEST_GET_NS_FDS` since 25.11,
    /// `REQUEST_GET_NS_FD` since 20.11 (`slurmstepd/req.c`). Since 25.11 the older request may
    /// never be answered.
    #[must_use]
    pub fn hands_over_namespaces_by(self) -> NamespaceHandover {
        if self >= Self::V25_11 {
            NamespaceHandover::All
        } else if self >= Self::V20_11 {
            NamespaceHandover::MountOnly
        } else {
            NamespaceHandover::None
        }
    }

    /// Whether a stepd may close the connection if it is asked for namespaces, as 20.11.0 to 20.11.4
    /// do: `REQUEST_GET_NS_FD` came with 20.11.5 (`slurmstepd/req.c`).
    #[must_use]
    pub fn may_close_on_get_ns_fd(self) -> bool {
        (Self::V20_11..Self::V21_08).contains(&self)
    }

    /// Whether a slurmd may speak only TLS (`TLSType`): since 25.05.
    #[must_use]
    pub fn has_tls(self) -> bool {
        self >= Self::V25_05
    }

    /// Whether a credential holds the hash of its message's body: from 22.05 on
    /// (`slurm_protocol_api.c`). Before, it holds the message's type or nothing.
    #[must_use]
    pub fn binds_payload_hash(self) -> bool {
        self >= Self::V22_05
    }

    /// Whether every slurmd restricts the credential of its answer to the user who asked: from 22.05 on.
    /// 20.11.9 and 21.08.8 began to, older builds of these releases do not.
    #[must_use]
    pub fn restricts_answers(self) -> bool {
        self >= Self::V22_05
    }

    /// Whether a message's header has an index of the message: before 22.05
    /// (`slurm_protocol_pack.c:pack_header`).
    #[must_use]
    pub fn has_message_index(self) -> bool {
        self < Self::V22_05
    }

    /// Whether the origin's address in a message's header begins with its family: from 20.11 on. Before,
    /// it is an IPv4 address and a port (`slurm_protocol_pack.c:pack_header`).
    #[must_use]
    pub fn has_address_family(self) -> bool {
        self >= Self::V20_11
    }

    /// Whether the answer to the caller ID names the job's step and the job's unique number: from 25.11
    /// on (`slurm_protocol_pack.c:_pack_network_callerid_resp_msg`).
    #[must_use]
    pub fn caller_id_names_step(self) -> bool {
        self >= Self::V25_11
    }
}

/// The release, such as `26.05 (protocol 0x2d00)`; the number alone if no release has it.
impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = self.0;
        match RELEASES.iter().find(|it| it.version == *self) {
            Some(release) => write!(f, "{} (protocol {number:#06x})", release.name),
            None => write!(f, "protocol {number:#06x}"),
        }
    }
}

impl fmt::Debug for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Version({:#06x})", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stepd::CLAIMED_VERSION;

    /// The releases with this property.
    fn with(has: impl Fn(Version) -> bool) -> Vec<&'static str> {
        let with = RELEASES.iter().filter(|it| has(it.version));
        with.map(|it| it.name).collect()
    }

    #[test]
    fn each_release_has_the_number_after_its_predecessors() {
        assert_eq!(RELEASES[0].version, Version::OLDEST);
        for pair in RELEASES.windows(2) {
            assert_eq!(pair[1].version.older(), Some(pair[0].version), "{pair:?}");
            assert!(pair[0].name < pair[1].name, "{pair:?}");
        }
        let newest = RELEASES[RELEASES.len() - 1].version;
        assert!(i32::from(newest.number()) < CLAIMED_VERSION);
    }

    #[test]
    fn releases_have_the_numbers_of_slurm_protocol_common_h() {
        for (name, number) in [
            ("19.05", 0x2200),
            ("20.11", 0x2400),
            ("22.05", 0x2600),
            ("24.11", 0x2A00),
            ("26.05", 0x2D00),
            ("26.11", 0x2E00),
        ] {
            let release = RELEASES.iter().find(|it| it.name == name);
            assert_eq!(release.map(|it| it.version.number()), Some(number));
        }
    }

    #[test]
    fn a_change_counts_from_its_release_on() {
        for (has, first) in [
            (Version::has_address_family as fn(Version) -> bool, "20.11"),
            (|it| !it.has_message_index(), "22.05"),
            (Version::binds_payload_hash, "22.05"),
            (Version::restricts_answers, "22.05"),
            (Version::has_tls, "25.05"),
            (Version::caller_id_names_step, "25.11"),
        ] {
            let expected = RELEASES.iter().skip_while(|it| it.name != first);
            let expected: Vec<_> = expected.map(|it| it.name).collect();
            assert_eq!(with(has), expected, "from {first} on");
            // Between two releases the older one counts, after the newest the newest.
            for release in RELEASES {
                let between = Version(release.version.0 + 1);
                assert_eq!(has(between), has(release.version), "{between:?}");
            }
            assert!(has(Version::TOO_LARGE));
        }
        assert_eq!(with(Version::may_close_on_get_ns_fd), ["20.11"]);
    }

    #[test]
    fn namespaces_are_handed_over_since_20_11() {
        let by = |handover| with(|it| it.hands_over_namespaces_by() == handover);
        assert_eq!(by(NamespaceHandover::None), ["19.05", "20.02"]);
        assert_eq!(by(NamespaceHandover::MountOnly).first(), Some(&"20.11"));
        assert_eq!(by(NamespaceHandover::MountOnly).last(), Some(&"25.05"));
        assert_eq!(by(NamespaceHandover::All), ["25.11", "26.05", "26.11"]);
    }

    #[test]
    fn a_stepd_may_say_any_positive_number() {
        for number in [i32::MIN, -1, 0] {
            assert_eq!(Version::from_stepd(number), None, "{number}");
        }
        assert_eq!(Version::from_stepd(1), Some(Version(1)));
        assert_eq!(Version::from_stepd(0x2A00), Some(Version::V24_11));
        for number in [0xFFFF, 0x1_0000, i32::MAX] {
            let version = Version::from_stepd(number).expect("positive");
            assert!(version > Version::V26_11, "{number}");
            assert_eq!(version.for_messages(), None, "{number}");
        }
    }
    #[test]
    fn a_header_has_a_version_that_is_spoken() {
        assert_eq!(Version::from_header(0x21FF), None);
        assert_eq!(Version::from_header(0x2200), Some(Version::V19_05));
        assert_eq!(Version::from_header(0x2D00), Some(Version::V26_05));
        assert!(Version::from_header(0xFFFF).is_some());
    }

    #[test]
    fn messages_go_out_in_the_version_of_a_release() {
        for (stepd, expected) in [
            (1, None),
            (0x21FF, None),
            (0x2200, Some(Version::V19_05)),
            (0x2D00, Some(Version::V26_05)),
            (0x2D01, Some(Version::V26_05)),
        ] {
            let version = Version::from_stepd(stepd).expect("positive");
            assert_eq!(version.for_messages(), expected, "{stepd:#x}");
        }
    }

    #[test]
    fn neighbours_are_three_releases_away_at_most() {
        let neighbours = |version: Version| version.neighbours().into_inner();
        assert_eq!(
            neighbours(Version::V26_05),
            (Version::V24_11, Version(0x3000))
        );
        assert_eq!(
            neighbours(Version::V20_02),
            (Version::V19_05, Version::V22_05)
        );
        assert_eq!(
            neighbours(Version(0xFF00)),
            (Version(0xFC00), Version(0xFFFF))
        );
        assert_eq!(Version::V19_05.older(), None);
        assert_eq!(Version(0x0050).older(), None);
    }

    #[test]
    fn a_version_is_shown_by_its_release() {
        assert_eq!(Version::V26_05.to_string(), "26.05 (protocol 0x2d00)");
        assert_eq!(Version(0x2D01).to_string(), "protocol 0x2d01");
        assert_eq!(format!("{:?}", Version::V24_11), "Version(0x2a00)");
    }
}
