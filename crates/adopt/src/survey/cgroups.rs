//! The cgroups of processes and jobs, for the place of a login.

use std::path::PathBuf;

use crate::adoption::hierarchy;

pub use crate::adoption::steps::{Steps, cgroups_of};

/// Finds a file of a cgroup by the hierarchy's controllers as /proc/PID/cgroup has them, and its path there; None if
/// it does not exist or cannot be seen.
#[must_use]
pub fn cgroup_file(controllers: &str, path: &str) -> Option<PathBuf> {
    let found = hierarchy::find(controllers, path).ok().flatten();
    found.map(PathBuf::from)
}
