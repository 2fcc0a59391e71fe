//! The release of OpenSSH, which decides how sshd_config is read.

/// A release, as in `OpenSSH_9.2p1`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// Major and minor number.
    pub number: (u32, u32),
    /// The release as `Match version` compares it.
    pub name: String,
}

impl Version {
    /// Finds it in sshd's program.
    pub fn in_program(bytes: &[u8]) -> Option<Self> {
        const PREFIX: &[u8] = b"OpenSSH_";
        let letters = bytes.iter().enumerate().filter(|(_, it)| **it == PREFIX[0]);
        let places = letters
            .map(|(at, _)| at)
            .filter(|at| bytes[*at..].starts_with(PREFIX));
        // Patterns of other releases that sshd is careful with stand there too: OpenSSH_3.*
        places
            .filter_map(|at| Self::parse(&bytes[at..bytes.len().min(at + 32)]))
            .max_by_key(|it| it.number)
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let is_part = |it: &u8| it.is_ascii_alphanumeric() || matches!(it, b'_' | b'.');
        let length = bytes.iter().take_while(|it| is_part(it)).count();
        let name = std::str::from_utf8(&bytes[..length]).ok()?;
        let (major, minor) = name.strip_prefix("OpenSSH_")?.split_once('.')?;
        let (minor, _) = minor.split_once('p')?;
        Some(Self {
            number: (major.parse().ok()?, minor.parse().ok()?),
            name: name.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_release_is_told_from_patterns() {
        let program = b"\0OpenSSH_2.*,OpenSSH_3.0*\0OpenSSH_9.2\0OpenSSH_9.2p1 Debian-2+deb12u10\0";
        let version = Version::in_program(program).expect("a release");
        assert_eq!(
            (version.number, version.name.as_str()),
            ((9, 2), "OpenSSH_9.2p1")
        );
        assert_eq!(Version::in_program(b"OpenSSH_5*\0"), None);
    }
}
