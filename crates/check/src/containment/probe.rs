//! What a trial login has shown: judged by [`judge`](super::judge).

use adopt::survey::Place;

use super::cpus::CpuSet;
use super::trial::{Answer, Gpu};
use crate::Spot;

/// What the module would do, by its options and the jobs on this node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expected {
    /// Take the login into a job.
    Adopted,
    /// Let it in without a job, or leave it to other modules.
    LetIn,
    /// Deny it.
    Denied,
}

/// A trial login.
#[derive(Debug, Clone)]
pub(super) struct Probe {
    pub user: String,
    pub expected: Expected,
    /// What the module would do, in words.
    pub explanation: String,
    /// Whether a process of the user runs in a job.
    pub has_job: bool,
    /// The answer of the account phase.
    pub account: Answer,
    /// The answer of the session phase, if the account phase let the user in.
    pub session: Option<Answer>,
    /// What was seen of the login; None if it was not let in.
    pub inside: Option<Inside>,
    /// What is still there after the end of the login.
    pub left: Vec<String>,
}

/// A process in the login, seen from within and without.
#[derive(Debug, Clone)]
pub(super) struct Inside {
    pub place: Place,
    /// Controllers of cgroup v1 in whose hierarchies the extern step does not have the login.
    pub missing: Vec<String>,
    pub cpus: Cpus,
    pub memory: Memory,
    pub gpus: Vec<Gpu>,
    /// The number of GPUs that Slurm gave the job here, if known.
    pub allocated_gpus: Option<u64>,
    pub namespaces: Vec<Namespace>,
    /// The soft limits for locked memory.
    pub memlock: Memlock,
    pub slurm: Slurm,
}

/// What Slurm is configured to constrain by cgroups.
#[derive(Debug, Clone, Default)]
pub(super) struct Slurm {
    pub cores: Constraint,
    pub ram: Constraint,
    pub devices: Constraint,
    /// Whether slurm.conf has GPUs among its GRES.
    pub has_gpus: bool,
}

/// A setting of cgroup.conf.
#[derive(Debug, Clone, Default)]
pub(super) struct Constraint {
    pub is_on: bool,
    /// Where that is set, or the file in which it is missing.
    pub spot: Option<Spot>,
}

/// CPUs that may be used.
#[derive(Debug, Clone, Default)]
pub(super) struct Cpus {
    /// By the login.
    pub login: Option<CpuSet>,
    /// By the job, if a cgroup says so.
    pub job: Option<CpuSet>,
    /// All of the node.
    pub node: Option<CpuSet>,
}

/// Memory of the login's job.
#[derive(Debug, Clone, Default)]
pub(super) struct Memory {
    /// The lowest limit at or above the login's cgroup, within the job.
    pub limit: Option<u64>,
    pub charge: Charge,
}

/// Whether what the login takes is counted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) enum Charge {
    /// The usage rose by about as much as was taken.
    #[default]
    Counted,
    /// It did not.
    NotCounted,
    /// That was not tried, and why.
    Untried(String),
}

/// A kind of namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Namespace {
    /// `mount`, `pid` or `user`.
    pub kind: &'static str,
    pub is_jobs_private: bool,
    pub is_login_in_nodes: bool,
}

/// Soft limits for locked memory, in bytes; `u64::MAX` is unlimited.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Memlock {
    pub login: Option<u64>,
    /// Of a task of the job.
    pub job: Option<u64>,
}
