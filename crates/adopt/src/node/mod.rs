//! Which node this is and where its stepds listen: slurm.conf found and read as slurmd does.
//!
//! Order of places and of names: docs/protocol.md. The environment counts for sshd alone, and not
//! where the process got privileges from its file: with any other service it is the user's.

pub(crate) mod cache;
pub(crate) mod names;
pub(crate) mod reading;
pub(crate) mod search;
pub(crate) mod slurmd;

use std::fmt;
use std::io;
use std::path::PathBuf;

use proto::conf::{Conf, ConfError};

use crate::node::slurmd::Slurmds;
use crate::text::shown;
use crate::trust::Trusted;

/// This node, as its slurm.conf describes it.
#[derive(Debug, Default)]
pub struct Node {
    /// The slurm.conf that was read.
    pub path: PathBuf,
    /// What is in it.
    pub conf: Conf,
    /// NodeName; for a host that slurm.conf does not know the host's name, in full and then short.
    pub names: Vec<String>,
    /// SlurmdSpoolDir for each of the names, `%h` and `%n` filled in.
    pub spool_dirs: Vec<PathBuf>,
    /// Whether a NodeName line has it.
    pub is_named: bool,
    /// The node that slurm.conf has for this host's name, whatever name slurmd was given.
    pub of_host: Option<String>,
    /// The running slurmds; none: they were not looked for, as slurm.conf and the name were given.
    pub slurmds: Option<Slurmds>,
    /// Whose files and processes are trusted besides root's.
    pub trusted: Trusted,
}

/// Why it can't be known which node this is.
#[derive(Debug)]
pub enum NodeError {
    /// No slurm.conf in any of the places.
    NotFound,
    /// slurm.conf can't be read.
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's word.
        cause: io::Error,
    },
    /// slurm.conf can't be understood.
    Broken(ConfError),
    /// The host has no usable name.
    HostName(io::Error),
}

impl fmt::Display for NodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound => write!(
                f,
                "no slurm.conf: none of slurm_conf=, a running slurmd, {RUN_DIR}, {}",
                ETC_DIRS.join(", ")
            ),
            Self::Unreadable { path, cause } => {
                write!(
                    f,
                    "read slurm.conf {}: {cause}",
                    shown(&path.to_string_lossy())
                )
            }
            Self::Broken(error) => write!(f, "parse slurm.conf: {error}"),
            Self::HostName(cause) => write!(f, "gethostname: {cause}"),
        }
    }
}

/// The two variables that count, and only where the environment is sshd's own.
#[derive(Debug, Default)]
pub struct Environment {
    slurm_conf: Option<PathBuf>,
    node_name: Option<String>,
}

impl Environment {
    /// Reads them if `service` is sshd and the process is not privileged by its file.
    #[must_use]
    pub fn of_service(service: &str) -> Self {
        if service != "sshd" || sys::is_set_user_id() {
            return Self::default();
        }
        let text = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        Self {
            slurm_conf: text("SLURM_CONF").map(PathBuf::from),
            node_name: text("SLURMD_NODENAME").and_then(|name| name.into_string().ok()),
        }
    }
}

/// Where a configless slurmd and sackd keep their copy.
const RUN_DIR: &str = "/run/slurm/conf";
/// Compiled-in places of the usual builds: packages, Debian up to 10, /opt, `./configure`.
const ETC_DIRS: [&str; 4] = [
    "/etc/slurm",
    "/etc/slurm-llnl",
    "/opt/slurm/etc",
    "/usr/local/etc",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_is_sshds_alone() {
        // Cargo sets neither variable; PATH stands for "there is an environment".
        assert!(std::env::var_os("PATH").is_some());
        for service in ["su", "login", "sshd2", ""] {
            let environment = Environment::of_service(service);
            assert!(environment.slurm_conf.is_none() && environment.node_name.is_none());
        }
    }
}
