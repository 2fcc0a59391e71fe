//! What kind of host this is, and what the module does there.

use crate::host::Host;
use crate::slurm;
use crate::{Check, Finding, Notes, Room, Severity};

pub(crate) const ROOM: Room = Room {
    name: "host",
    checks: &[&NO_COMPUTE_NODE],
    look,
};

const NO_COMPUTE_NODE: Check = Check {
    id: "SA001",
    severity: Severity::Note,
    title: "this host is not a compute node",
    why: "No slurmd runs here and no slurm.conf names this host. The module finds no job for anybody here: it \
          denies every user but root (action_no_jobs), or leaves them to the other modules where it finds no \
          slurm.conf at all (action_generic_failure).",
    fix: "Take the module's lines out of the PAM stacks of login nodes and controllers.",
};

/// The programs that make a host what it is.
const DAEMONS: [(&str, &str); 4] = [
    ("slurmd", "compute node"),
    ("slurmctld", "controller"),
    ("slurmdbd", "database host"),
    ("sackd", "login node"),
];

/// Whether a slurmd runs here or slurm.conf names this host; true for a tree that does not run.
pub(crate) fn is_compute_node(host: &Host) -> bool {
    !host.is_live() || is_seen_to_be_one(host)
}

/// Whether a slurmd runs here or slurm.conf names this host, or that of the tree.
pub(crate) fn is_seen_to_be_one(host: &Host) -> bool {
    match host.node() {
        None => slurm::names_host(host),
        Some(node) => runs(host, "slurmd") || node.as_ref().is_ok_and(|it| it.is_named),
    }
}

fn runs(host: &Host, daemon: &str) -> bool {
    // Debian's file is slurmd-wlm.
    let is_daemon = |it: &str| it == daemon || it.strip_suffix("-wlm") == Some(daemon);
    let mut processes = host.processes().iter();
    processes.any(|it| it.uid == 0 && is_daemon(it.program_name()) || is_daemon(&it.name))
}

fn look(host: &Host, notes: &mut Notes) {
    let distribution = &host.distribution().name;
    let name = if distribution.is_empty() {
        "unknown distribution"
    } else {
        distribution
    };
    notes.summary(name);
    if !host.is_live() {
        return;
    }
    let mut kinds = DAEMONS
        .iter()
        .filter(|(daemon, _)| runs(host, daemon))
        .peekable();
    if kinds.peek().is_none() {
        notes.summary("no Slurm daemon runs");
    }
    kinds.for_each(|(_, kind)| notes.summary(*kind));
    if !is_compute_node(host) {
        let slurm = match host.slurm_conf() {
            Ok(conf) => format!("{} does not name this host", conf.path.display()),
            Err(error) => error.to_string(),
        };
        notes.find(Finding::of(
            &NO_COMPUTE_NODE,
            format!("no slurmd runs here; {slurm}"),
        ));
    }
}
