//! systemd: users' service managers, sshd's unit, and daemons that run users' programs.

mod checks;
mod hardening;
mod manager;
mod programs;

pub use crate::systemd::manager::gives_managers;

use crate::host::Host;
use crate::kind::is_compute_node;
use crate::{Notes, Room};

pub(crate) const ROOM: Room = Room {
    name: "systemd",
    checks: checks::ALL,
    look,
};

fn look(host: &Host, notes: &mut Notes) {
    cgroups(host, notes);
    hardening::look(host, notes);
    // Elsewhere there are no jobs to be outside of.
    if is_compute_node(host) {
        manager::look(host, notes);
        programs::look(host, notes);
    }
}

/// Says which kind of control groups a running host has.
fn cgroups(host: &Host, notes: &mut Notes) {
    if !host.is_live() {
        return;
    }
    let has = |path: &str| host.tree.exists(format!("/sys/fs/cgroup/{path}"));
    notes.summary(if has("cgroup.controllers") {
        "cgroup v2"
    } else if has("unified/cgroup.controllers") {
        "cgroup v1 and v2"
    } else if has("freezer") || has("memory") {
        "cgroup v1"
    } else {
        "no cgroups"
    });
}
