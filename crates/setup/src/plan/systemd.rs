//! systemd: users' service managers, which are outside all jobs.

use std::path::Path;

use crate::plan::lines::Lines;
use crate::plan::{Refusal, Work, units};

/// What the admin decides.
pub(super) const QUESTION: &str = "logins give users a service manager (user@UID.service) outside their job: they can \
                                   start programs there that no limit holds and that outlive the job";

/// What the decision means.
const ANSWERS: [&str; 3] = [
    "With the drop-in for user@.service users have no service manager on this node: no systemctl --user, no",
    "systemd-run --user, no session bus (dbus-run-session starts one in the job), no lingering services.",
    "Logins, XDG_RUNTIME_DIR and loginctl work as before, and root keeps its manager.",
];

/// The files that packages bring too; root's first, who keeps a manager.
const FILES: [(&str, &str); 2] = [
    (
        "/etc/systemd/system/user@0.service.d/slurm_adopt.conf",
        include_str!("../../../../packaging/systemd/user@0.service.d/slurm_adopt.conf"),
    ),
    (
        "/etc/systemd/system/user@.service.d/slurm_adopt.conf",
        include_str!("../../../../packaging/systemd/user@.service.d/slurm_adopt.conf"),
    ),
];

/// Plans the drop-ins, or the question.
pub(super) fn plan(work: &mut Work<'_>) -> Result<(), Refusal> {
    let host = work.host();
    if !check::gives_managers(host) || work.wish.user_manager == Some(false) {
        return Ok(());
    }
    if work.wish.user_manager.is_none() {
        work.advise(QUESTION, &ANSWERS);
        return Ok(());
    }
    let mut is_changed = false;
    for (path, text) in FILES {
        let found = host.tree.read(path).ok();
        if found.as_deref() == Some(text.as_bytes()) {
            continue;
        }
        let why = "users' service managers are outside all jobs; root keeps one";
        *work.draft.edit(Path::new(path), why)? = Lines::of(text.as_bytes());
        is_changed = true;
    }
    if !is_changed {
        let title = "another drop-in for user@.service overrides slurm_adopt.conf";
        let how = match host.is_live() {
            true => "systemctl cat user@.service",
            false => "Look into the directories user@.service.d of the tree.",
        };
        work.advise(title, &[how]);
    } else if units::has_systemd(host) {
        work.command(
            "systemctl",
            &["daemon-reload"],
            "systemd reads its units again",
        );
    }
    Ok(())
}
