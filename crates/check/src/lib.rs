//! Judges a node: what its sshd, PAM, Slurm and systemd make of logins with this module.
//!
//! [`run`] looks into each [`Room`] at the same time and returns a [`Report`]. A room knows one part of the
//! set-up and lists its [`Check`]s: a stable ID, a severity, and the text of `slurm-adopt help ID` and of the
//! manual. Rooms ask [`Host`] for files and processes, so that a tree that does not run (an image) is judged
//! by the same code. Nothing here changes the node: the one trial login that may be asked for is closed again.
#![forbid(unsafe_code)]

mod causes;
mod containment;
mod finding;
pub mod host;
mod kind;
mod module;
mod options;
mod pam;
mod report;
mod running;
mod security;
mod slurm;
mod sshd;
mod systemd;

pub use containment::trial;
pub use finding::{Check, Finding, Notes, Severity, Spot, Unseen};
pub use host::Host;
pub use module::{Maker, ModuleFile, module_file};
pub use pam::{moves_session, shut_for_root};
pub use report::{Report, Request, RequestError, RoomReport, findings, run};
pub use slurm::{SlurmFacts, slurm_facts};
pub use sshd::penalizes_refusals;
pub use systemd::gives_managers;

/// A part of the set-up.
#[derive(Debug)]
pub struct Room {
    /// Its name in the output, such as `pam/account`.
    pub name: &'static str,
    /// All that it can find.
    pub checks: &'static [&'static Check],
    /// Looks at the host.
    look: fn(&Host, &mut Notes),
}

/// All rooms, in the order of the output.
pub const ROOMS: &[Room] = &[
    kind::ROOM,
    module::ROOM,
    options::ROOM,
    pam::files::ROOM,
    pam::account::ROOM,
    pam::session::ROOM,
    pam::other::ROOM,
    sshd::ROOM,
    slurm::ROOM,
    running::ROOM,
    systemd::ROOM,
    security::ROOM,
    containment::ROOM,
];

/// All checks, in the order of their IDs.
pub fn checks() -> impl Iterator<Item = &'static Check> {
    ROOMS.iter().flat_map(|room| room.checks.iter().copied())
}

/// The check with this ID.
#[must_use]
pub fn named(id: &str) -> Option<&'static Check> {
    checks().find(|check| check.id.eq_ignore_ascii_case(id))
}

#[cfg(test)]
mod tests;
