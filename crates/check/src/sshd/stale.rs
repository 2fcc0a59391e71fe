//! Whether a running sshd has read its files since they were changed.

use std::os::unix::fs::MetadataExt as _;

use crate::sshd::Daemon;
use crate::{Check, Finding, Notes, Severity, Spot};

pub(super) const CHANGED: Check = Check {
    id: "SA308",
    severity: Severity::Warning,
    title: "sshd has not read its configuration since it was changed",
    why: "sshd reads its files when it starts and at SIGHUP, and serves each login by what it read then. What check \
          says here is of the files as they are now: the running sshd may still let users in without PAM.",
    fix: "systemctl reload sshd (Debian: ssh), after sshd -t.",
};

/// Where sshd writes its pid unless PidFile says otherwise.
const PID_FILES: [&str; 2] = ["/run/sshd.pid", "/var/run/sshd.pid"];
/// Files may be written in the second in which sshd starts.
const SLACK: i64 = 2;

pub(super) fn look(daemon: &Daemon, notes: &mut Notes) {
    let Some(read_at) = read_at(daemon) else {
        return;
    };
    for file in &daemon.config.files {
        let Ok(status) = daemon.host.tree.status(file) else {
            continue;
        };
        let seconds = status.mtime().saturating_sub(read_at);
        if seconds > SLACK {
            let detail = format!("changed {seconds} s after sshd last read it");
            notes.find(Finding::of(&CHANGED, detail).at(Spot::file(file)));
        }
    }
}

/// When a running sshd last read its files: it writes its pid anew each time.
fn read_at(daemon: &Daemon) -> Option<i64> {
    let pid = daemon.sshd.server.pid?;
    let tree = &daemon.host.tree;
    let named = daemon.effective.values("pidfile");
    let usual = PID_FILES.iter().map(|it| (*it).to_owned());
    let files: Vec<String> = named.into_iter().chain(usual).collect();
    let is_own = |file: &&String| {
        let text = tree.text(file.as_str()).unwrap_or_default();
        text.trim().parse() == Ok(pid)
    };
    let file = files.iter().find(is_own)?;
    Some(tree.status(file).ok()?.mtime())
}
