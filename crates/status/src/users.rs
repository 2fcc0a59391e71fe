//! Users' names.

use std::collections::{BTreeMap, BTreeSet};

use check::host::Host;
use check::host::users::users;

use crate::model::Account;

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
    fn the_first_name_of_a_uid_counts() {
        let mut names = Names::default();
        let text = "root:x:0:0::/:/bin/sh\nalice:x:2001:2001:::\nother:x:2001:1:::\nbroken\n";
        names.add(text, &BTreeSet::from([2001, 2002]));
        assert_eq!(names.account(2001).name, "alice");
        assert_eq!(names.account(2002).name, "2002");
        assert_eq!(names.account(0).name, "0");
    }
}
