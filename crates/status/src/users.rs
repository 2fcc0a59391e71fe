//! Users' names, and which users are people.

use std::collections::{BTreeMap, BTreeSet};

use check::host::Host;
use check::host::tree::Tree;
use check::host::users::{defined, users};

use crate::model::Account;

/// The uids of people, login.defs(5).
#[derive(Debug)]
pub(crate) struct Ordinary {
    first: u32,
}

impl Ordinary {
    /// Those of this tree.
    pub fn read(tree: &Tree) -> Self {
        let text = tree.text("/etc/login.defs").unwrap_or_default();
        Self {
            first: defined(&text, "UID_MIN").unwrap_or(1000),
        }
    }

    /// Whether the uid may be a person's.
    pub fn has(&self, uid: u32) -> bool {
        /// The kernel's overflow uid.
        const NOBODY: [u32; 2] = [65534, u32::MAX];
        /// systemd's dynamic users (`docs/UIDS-GIDS.md`).
        const DYNAMIC: std::ops::RangeInclusive<u32> = 61184..=65519;
        uid >= self.first && !NOBODY.contains(&uid) && !DYNAMIC.contains(&uid)
    }
}

/// The names of some users.
#[derive(Debug, Default)]
pub(crate) struct Names(BTreeMap<u32, String>);

impl Names {
    /// The names of these users: of /etc/passwd, and for others of what getent(1) says, which gives up in time.
    pub fn of(uids: BTreeSet<u32>, host: &Host) -> Self {
        /// Uids that one getent is asked for.
        const AT_ONCE: usize = 200;
        let mut names = Self::default();
        names.add(&host.tree.text("/etc/passwd").unwrap_or_default(), &uids);
        let missing = uids.iter().filter(|it| !names.0.contains_key(it));
        let missing: Vec<String> = missing.map(u32::to_string).collect();
        for some in missing.chunks(AT_ONCE) {
            let arguments: Vec<&str> = ["passwd"]
                .into_iter()
                .chain(some.iter().map(String::as_str))
                .collect();
            // Its status says that some are unknown.
            if let Ok(printed) = host.run("getent", &arguments) {
                names.add(&printed.out, &uids);
            }
        }
        names
    }

    /// Adds entries of passwd(5); the first one of a uid counts.
    fn add(&mut self, text: &str, uids: &BTreeSet<u32>) {
        for user in users(text).filter(|it| uids.contains(&it.uid)) {
            let name = || user.name.to_owned();
            self.0.entry(user.uid).or_insert_with(name);
        }
    }

    /// The user with this uid.
    pub fn account(&self, uid: u32) -> Account {
        let name = self.0.get(&uid);
        Account {
            uid,
            name: name.cloned().unwrap_or_else(|| uid.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_start_at_uid_min() {
        let ordinary = |text: &str| Ordinary {
            first: defined(text, "UID_MIN").unwrap_or(1000),
        };
        let debian = ordinary("# UID_MIN 5\nUID_MIN\t\t\t 1000\nUID_MAX 60000\n");
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
        assert!(ordinary("UID_MIN 500").has(500));
        assert!(!ordinary("UID_MIN x").has(500));
    }

    #[test]
    fn the_first_name_of_a_uid_counts() {
        let mut names = Names::default();
        let text = "root:x:0:0::/:/bin/sh\nalice:x:2001:2001:::\nother:x:2001:1:::\nbroken\n";
        names.add(text, &BTreeSet::from([2001, 2002]));
        assert_eq!(names.account(2001).name, "alice");
        assert_eq!(names.account(2002).name, "2002");
        assert_eq!(names.account(0).name, "0");
    }
}
