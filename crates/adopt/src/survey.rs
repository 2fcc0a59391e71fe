//! The node as the module finds it, its steps and daemons, for `slurm-adopt check`, `status` and `sweep`.

mod cgroups;
mod daemons;
mod jobs;
mod place;
mod steps;

use std::path::Path;

use crate::log::{Log, Sink};
use crate::node::search::Search;
use crate::node::{Environment, Node, NodeError};
use crate::options::{LogLevel, Options};
use crate::state_dir::{self, StateDir};
use crate::stepd::spool;

pub use cgroups::{Steps, cgroup_file, cgroups_of};
pub use daemons::{AuthProblem, SlurmdProblem, ask_slurmd, make_credential};
pub use jobs::{Holding, JobSeen, JobsSeen, Life, jobs};
pub use place::{Cgroup, Place, cgroups, place};
pub use steps::{Answer, JobCgroup, NotSockets, StepSeen, StepState, StepsSeen, steps};

/// Finds slurm.conf and this node's name as a login would. The environment of the calling shell does not count.
///
/// # Errors
/// [`NodeError`].
pub fn node(options: &Options, sink: &dyn Sink) -> Result<Node, NodeError> {
    let log = Log::new(sink, LogLevel::Error);
    let search = Search {
        options,
        environment: &Environment::default(),
        state_dir: &StateDir::open(Path::new(state_dir::DIR), false, log),
        has_stepds: &spool::has_stepds,
        log,
    };
    search.run()
}

#[cfg(test)]
mod tests;
