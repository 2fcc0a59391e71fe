//! Names of users, for findings.

use std::collections::BTreeMap;
use std::time::Duration;

use sys::Deadline;

use crate::host::{Host, command};

/// The time that a directory service may take for all names together.
const LIMIT: Duration = Duration::from_millis(500);

/// The users who were asked for, and the time left to look others up.
#[derive(Debug)]
pub(super) struct Users {
    passwd: String,
    known: BTreeMap<u32, Option<String>>,
    deadline: Deadline,
}

impl Users {
    pub(super) fn of(host: &Host) -> Self {
        Self {
            passwd: host.tree.text("/etc/passwd").unwrap_or_default(),
            known: BTreeMap::new(),
            deadline: host.deadline.within(LIMIT),
        }
    }

    /// The user with this uid as a finding names it: `alice (uid 2001)`, or `uid 2001` if nobody knows the name in
    /// time.
    pub(super) fn shown(&mut self, uid: u32) -> String {
        let (passwd, deadline) = (&self.passwd, &self.deadline);
        let look = || name_in(passwd, uid).or_else(|| in_directory(uid, deadline));
        match self.known.entry(uid).or_insert_with(look) {
            Some(name) => format!("{} (uid {uid})", name.escape_default()),
            None => format!("uid {uid}"),
        }
    }
}

fn in_directory(uid: u32, deadline: &Deadline) -> Option<String> {
    if deadline.has_passed() {
        return None;
    }
    let found = command::run("getent", &["passwd", &uid.to_string()], deadline);
    name_in(&found.ok()?.out, uid)
}

/// The name that the first line of passwd(5) with this uid has.
fn name_in(passwd: &str, uid: u32) -> Option<String> {
    let mut found = passwd.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let (name, id) = (fields.next()?, fields.nth(1)?);
        (id.parse() == Ok(uid)).then_some(name)
    });
    found.next().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_with_the_uid_counts() {
        let passwd = "root:x:0:0::/root:/bin/sh\n+::::::\na:x:7:7\nb:x:7:7\nc:x:77:7\nd:x\n";
        for (uid, name) in [(7, Some("a")), (0, Some("root")), (8, None)] {
            assert_eq!(name_in(passwd, uid).as_deref(), name, "{uid}");
        }
        assert_eq!(name_in("", 0), None);
    }
}
