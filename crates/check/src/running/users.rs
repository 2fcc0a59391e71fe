//! Names of users, for findings.

use std::collections::BTreeMap;
use std::time::Duration;

use sys::Deadline;

use crate::host::users::users;
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
    let found = users(passwd).find(|it| it.uid == uid);
    found.map(|it| it.name.to_owned())
}
