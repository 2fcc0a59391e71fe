//! From an ssh login to its Slurm job, as a library: the module and the admin's program share it.
//!
//! [`run`] is the pipeline; each step is a room that uses only rooms below it:
//!
//! | room | what it does |
//! |---|---|
//! | `run`, `explain` | a login; a dry run that changes nothing |
//! | `apply` | the only effects on the process |
//! | `gather` | collects the facts: node, extern steps, source of the connection |
//! | `report` | the only PAM codes, and the texts for admin and user |
//! | `session` | what passes between account and session phase; runtime directory |
//! | `adoption` | one stepd takes the process in: namespaces, cgroup, X11, limits |
//! | `decide` | pure: options, login and facts to a plan |
//! | `callerid` | which job a connection comes from |
//! | `stepd` | the extern steps of this node, and whose they are |
//! | `node` | slurm.conf and the node's name |
//!
//! Facts about Slurm are in docs/protocol.md, differences from SchedMD's module in
//! docs/differences.md, what an attacker may try in docs/threat-model.md.
#![forbid(unsafe_code)]

mod access;
pub mod adoption;
mod apply;
pub mod callerid;
pub mod decide;
mod exchange;
pub mod exempt;
pub mod explain;
pub mod facts;
#[cfg(fuzzing)]
pub mod fuzzing;
mod gather;
pub mod log;
pub mod login;
pub mod node;
pub mod options;
mod prepare;
pub mod report;
mod run;
pub mod session;
pub mod state_dir;
pub mod stepd;
mod text;
mod trust;

pub use login::Entry;
pub use run::{after_panic, run};
