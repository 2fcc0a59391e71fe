//! Names of users, for findings.

use std::time::Duration;

use crate::host::{Host, command};

/// The time that a directory service may take.
const LIMIT: Duration = Duration::from_millis(500);

/// The user with this uid as a finding names it: `alice (uid 2001)`, or `uid 2001` if nobody knows the name in time.
pub(super) fn shown(host: &Host, uid: u32) -> String {
    let local = host.tree.text("/etc/passwd").unwrap_or_default();
    let directory = || {
        let deadline = host.deadline.within(LIMIT);
        let found = command::run("getent", &["passwd", &uid.to_string()], &deadline);
        name_in(&found.ok()?.out, uid).map(str::to_owned)
    };
    match name_in(&local, uid).map(str::to_owned).or_else(directory) {
        Some(name) => format!("{} (uid {uid})", name.escape_default()),
        None => format!("uid {uid}"),
    }
}

/// The name that the first line of passwd(5) with this uid has.
fn name_in(passwd: &str, uid: u32) -> Option<&str> {
    let mut found = passwd.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let (name, id) = (fields.next()?, fields.nth(1)?);
        (id.parse() == Ok(uid)).then_some(name)
    });
    found.next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_with_the_uid_counts() {
        let passwd = "root:x:0:0::/root:/bin/sh\n+::::::\na:x:7:7\nb:x:7:7\nc:x:77:7\nd:x\n";
        assert_eq!(name_in(passwd, 7), Some("a"));
        assert_eq!(name_in(passwd, 0), Some("root"));
        assert_eq!(name_in(passwd, 8), None);
        assert_eq!(name_in("", 0), None);
    }
}
