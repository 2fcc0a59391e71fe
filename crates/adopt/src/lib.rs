//! The library behind the PAM module and the admin's program: takes an ssh login into its Slurm job.
//!
//! [`run`] is the pipeline; each part uses only parts below it:
//!
//! | part | purpose |
//! |---|---|
//! | `run`, `explain`, `survey` | one login; a dry run that changes nothing; the node, its steps and daemons |
//! | `apply` | the only effects on the process |
//! | `gather` | collects the facts: node, extern steps, source of the connection |
//! | `report` | the only PAM codes, and the texts for admin and user |
//! | `log` | lines and their fields: syslog, the journal, JSON |
//! | `session` | data passed from the account to the session phase; runtime directory |
//! | `adoption` | asks one stepd to take the process in: namespaces, cgroup, X11, limits |
//! | `decide` | pure: makes a plan from options, login and facts |
//! | `job_env` | reads variables of a job's environment |
//! | `callerid` | finds the job that a connection comes from |
//! | `stepd` | the extern steps of this node, and their owners |
//! | `measure` | the end and the CPUs of a user's jobs |
//! | `waiting` | waits for a job of the user to start here |
//! | `exempt` | who gets in without a job: exempt users, the kill switch |
//! | `node` | slurm.conf and the node's name |
//!
//! docs/protocol.md has the facts about Slurm, docs/differences.md the differences from SchedMD's
//! module, docs/threat-model.md the attacks that are considered.
#![forbid(unsafe_code)]

mod access;
pub mod adoption;
mod apply;
pub mod callerid;
pub mod decide;
mod exchange;
pub mod exempt;
pub mod explain;
mod extras;
pub mod facts;
#[cfg(fuzzing)]
pub mod fuzzing;
mod gather;
mod job_env;
pub mod log;
pub mod login;
mod measure;
pub mod node;
pub mod options;
mod prepare;
pub mod report;
mod run;
pub mod session;
pub mod state_dir;
pub mod stepd;
pub mod survey;
mod text;
mod trust;
mod waiting;

pub use login::Entry;
pub use run::{after_panic, run};
