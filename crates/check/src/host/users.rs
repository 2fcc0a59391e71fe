//! Users as files have them: passwd(5), login.defs(5).

use crate::host::tree::Tree;

/// A line of passwd(5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct User<'a> {
    /// The name.
    pub name: &'a str,
    /// The uid.
    pub uid: u32,
    /// The gid of the user's own group.
    pub gid: Option<u32>,
    /// The shell; empty for the default one.
    pub shell: &'a str,
}

/// The users of a passwd(5) or of what getent(1) prints, in its order: the first line of a name or uid counts. Lines
/// without a uid are left out.
pub fn users(passwd: &str) -> impl Iterator<Item = User<'_>> {
    passwd.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let (name, uid) = (fields.next()?, fields.nth(1)?);
        Some(User {
            name,
            uid: uid.parse().ok()?,
            gid: fields.next().and_then(|it| it.parse().ok()),
            shell: fields.nth(2).unwrap_or_default(),
        })
    })
}

/// The uids of people, login.defs(5).
#[derive(Debug, Clone, Copy)]
pub struct Ordinary {
    /// The first one, UID_MIN.
    pub first: u32,
}

impl Ordinary {
    /// Those of this tree.
    #[must_use]
    pub fn read(tree: &Tree) -> Self {
        Self::of(&tree.text("/etc/login.defs").unwrap_or_default())
    }

    fn of(text: &str) -> Self {
        let first = defined(text, "UID_MIN").unwrap_or(1000);
        Self { first }
    }

    /// Whether the uid may be a person's.
    #[must_use]
    pub fn has(self, uid: u32) -> bool {
        /// The kernel's overflow uid.
        const NOBODY: [u32; 2] = [65534, u32::MAX];
        /// systemd's dynamic users (`docs/UIDS-GIDS.md`).
        const DYNAMIC: std::ops::RangeInclusive<u32> = 61184..=65519;
        uid >= self.first && !NOBODY.contains(&uid) && !DYNAMIC.contains(&uid)
    }
}

/// A number in login.defs(5), such as UID_MIN.
#[must_use]
pub fn defined(text: &str, name: &str) -> Option<u32> {
    let mut lines = text.lines().map(str::split_whitespace);
    lines.find_map(|mut words| (words.next() == Some(name)).then(|| words.next()?.parse().ok())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_without_a_uid_are_no_users() {
        let passwd = "root:x:0:0::/root:/bin/sh\n+::::::\na:x:7:8\nb:x:7:x::/:\nc:x\n\n";
        let user = |name, uid, gid, shell| User {
            name,
            uid,
            gid,
            shell,
        };
        assert_eq!(
            users(passwd).collect::<Vec<_>>(),
            [
                user("root", 0, Some(0), "/bin/sh"),
                user("a", 7, Some(8), ""),
                user("b", 7, None, "")
            ]
        );
    }

    #[test]
    fn people_start_at_uid_min() {
        let debian = Ordinary::of("# UID_MIN 5\nUID_MIN\t\t\t 1000\nUID_MAX 60000\n");
        for (uid, is_one) in [
            (0, false),
            (999, false),
            (1000, true),
            (61184, false),
            (65534, false),
            (1_234_567, true),
        ] {
            assert_eq!(debian.has(uid), is_one, "{uid}");
        }
        assert!(Ordinary::of("UID_MIN 500").has(500));
        assert!(!Ordinary::of("UID_MIN x").has(500));
    }

    #[test]
    fn numbers_of_login_defs() {
        let text = "# UID_MIN 5\nUID_MIN\t\t 500\nUID_MAX nonsense\n";
        assert_eq!(defined(text, "UID_MIN"), Some(500));
        assert_eq!(defined(text, "UID_MAX"), None);
        assert_eq!(defined(text, "GID_MIN"), None);
    }
}
