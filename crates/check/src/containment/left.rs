//! What is left of a login that has ended.

use std::path::{Path, PathBuf};

use adopt::state_dir;

use super::observe::read;
use crate::host::Host;

/// A login that has ended.
pub(super) struct Ended {
    /// The process that made it, which led its session.
    pub pid: u32,
    /// The user's uid.
    pub uid: u32,
    /// Whether the user had a runtime directory before.
    pub had_runtime_dir: bool,
}

/// The user's runtime directory.
pub(super) fn runtime_dir(uid: u32) -> String {
    format!("/run/user/{uid}")
}

/// What is left, in words.
pub(super) fn look(host: &Host, ended: &Ended) -> Vec<String> {
    let mut left = Vec::new();
    let tree = &host.tree;
    for pid in tree.names("/proc").unwrap_or_default() {
        let stat = read(tree, format!("/proc/{pid}/stat")).unwrap_or_default();
        if let Some((name, session)) = name_and_session(&stat) {
            if session == ended.pid {
                left.push(format!("process {pid} ({name})"));
            }
        }
    }
    let notes = Path::new(state_dir::DIR).join("sessions");
    let pid = ended.pid.to_string();
    for name in tree.names(&notes).unwrap_or_default() {
        // UID.PID.START.NAMESPACE and login.PID.START.NAMESPACE
        if name.split('.').nth(1) == Some(pid.as_str()) {
            left.push(notes.join(name).to_string_lossy().into_owned());
        }
    }
    let dir = runtime_dir(ended.uid);
    // logind removes its own some seconds after the user's last session, and the module those of runtime_dir=create
    // when the user has no process any more.
    let is_known = [PathBuf::from("/run/systemd/users"), notes];
    let is_known = is_known
        .iter()
        .any(|it| tree.exists(it.join(ended.uid.to_string())));
    if !ended.had_runtime_dir && !is_known && tree.exists(&dir) {
        left.push(dir);
    }
    left
}

/// The name and the session of a process that runs, by its /proc/PID/stat.
fn name_and_session(stat: &str) -> Option<(&str, u32)> {
    let (before, after) = stat.rsplit_once(')')?;
    let (_, name) = before.split_once('(')?;
    let mut words = after.split_whitespace();
    // State, parent, process group, session, proc_pid_stat(5).
    if matches!(words.next()?, "Z" | "X") {
        return None;
    }
    Some((name, words.nth(2)?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_session_of_a_process() {
        for (stat, found) in [
            ("7 (a b) S 1 7 9 0 -1\n", Some(("a b", 9))),
            ("7 (a) b) S 1 7 9 0\n", Some(("a) b", 9))),
            ("7 (a) Z 1 7 9 0\n", None),
            ("7 (a) S 1\n", None),
            ("", None),
        ] {
            assert_eq!(name_and_session(stat), found, "{stat}");
        }
    }
}
