//! Modules that move a session to another cgroup.

use crate::pam::stack::Stack;

/// Modules that move the process that opens the session.
const MOVERS: [&str; 4] = [
    "pam_systemd.so",
    "pam_elogind.so",
    "pam_cgroup.so",
    "pam_cgfs.so",
];

/// Whether a module, by its file name, moves the process that opens the session to another cgroup.
#[must_use]
pub fn moves_session(module: &str) -> bool {
    MOVERS.contains(&module)
}

/// The entries that move a session, in the order of the stack.
pub(super) fn movers(stack: &Stack<'_>) -> Vec<usize> {
    let tree = &stack.host.tree;
    // pam_systemd does nothing without logind: it looks for this directory.
    let has_logind = !tree.is_live() || tree.exists("/run/systemd/seats");
    let is_mover = |name: &str| moves_session(name) && (has_logind || name != "pam_systemd.so");
    let mut movers = stack.find(|it| is_mover(&it.name) && it.fault.is_none());
    movers.retain(|it| stack.reaches(*it));
    movers
}
