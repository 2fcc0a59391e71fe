//! The distribution, os-release(5): it decides where libpam and others look for files.

use crate::host::tree::Tree;

/// Distributions that set up PAM and sshd alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// Debian, Ubuntu and what derives from them.
    Debian,
    /// Fedora, RHEL and its rebuilds, Amazon Linux.
    RedHat,
    /// SLES, openSUSE.
    Suse,
    /// Another one.
    Other,
}

/// The distribution of a tree.
#[derive(Debug, Clone)]
pub struct Distribution {
    /// PRETTY_NAME; empty if unknown.
    pub name: String,
    /// ID.
    pub id: String,
    /// VERSION_ID.
    pub version: String,
    /// How it sets things up.
    pub family: Family,
}

impl Distribution {
    /// Reads os-release(5).
    #[must_use]
    pub fn read(tree: &Tree) -> Self {
        let text = tree
            .text("/etc/os-release")
            .or_else(|_| tree.text("/usr/lib/os-release"));
        Self::parse(&text.unwrap_or_default())
    }

    fn parse(text: &str) -> Self {
        let value = |name: &str| {
            let mut values = text.lines().filter_map(|it| it.trim().split_once('='));
            let found = values.find(|(key, _)| *key == name);
            let quotes = ['"', '\''];
            found.map_or(String::new(), |(_, it)| it.trim_matches(quotes).to_owned())
        };
        let (id, like) = (value("ID"), value("ID_LIKE"));
        let is = |names: &[&str]| {
            let mut words = id.split_whitespace().chain(like.split_whitespace());
            words.any(|it| names.contains(&it))
        };
        let family = if is(&["debian", "ubuntu"]) {
            Family::Debian
        } else if is(&["fedora", "rhel", "centos", "amzn"]) {
            Family::RedHat
        } else if is(&["suse", "sles", "opensuse"]) {
            Family::Suse
        } else {
            Family::Other
        };
        Self {
            name: value("PRETTY_NAME"),
            version: value("VERSION_ID"),
            id,
            family,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families() {
        for (text, family) in [
            ("ID=debian\n", Family::Debian),
            ("ID=ubuntu\nID_LIKE=debian\n", Family::Debian),
            (
                "ID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\n",
                Family::RedHat,
            ),
            (
                "ID=\"opensuse-leap\"\nID_LIKE=\"suse opensuse\"\n",
                Family::Suse,
            ),
            ("ID=arch\n", Family::Other),
            ("", Family::Other),
        ] {
            assert_eq!(Distribution::parse(text).family, family, "{text}");
        }
    }
}
