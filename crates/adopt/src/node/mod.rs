//! This node, and where its stepds listen: finds and reads slurm.conf as slurmd does.
//!
//! docs/protocol.md has the order of places and names. Only sshd's environment counts, and only if the
//! process is root's alone ([`sys::is_set_user_id`]); any other service's environment is the user's.

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
    /// Its values.
    pub conf: Conf,
    /// NodeName; for a host that is not in slurm.conf, the host's name, in full and then short.
    pub names: Vec<String>,
    /// SlurmdSpoolDir for each of the names, with `%h` and `%n` filled in.
    pub spool_dirs: Vec<PathBuf>,
    /// Whether a NodeName line names it.
    pub is_named: bool,
    /// The node that slurm.conf has for this host's name, whatever name slurmd was given.
    pub of_host: Option<String>,
    /// The running slurmds. None: not searched for, because slurm.conf and the name were given.
    pub slurmds: Option<Slurmds>,
    /// The users besides root whose files and processes are trusted.
    pub trusted: Trusted,
}

/// The reason why the node's configuration is unknown.
#[derive(Debug)]
pub enum NodeError {
    /// There is no slurm.conf in any of the places.
    NotFound,
    /// slurm.conf cannot be read.
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's error.
        cause: io::Error,
    },
    /// slurm.conf cannot be parsed.
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

/// The two variables that count, and only if the environment is sshd's own.
#[derive(Debug, Default)]
pub struct Environment {
    slurm_conf: Option<PathBuf>,
    node_name: Option<String>,
}

impl Environment {
    /// Reads them if `service` is sshd and the process is root's alone.
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

/// The copy kept by a configless slurmd or by sackd.
const RUN_DIR: &str = "/run/slurm/conf";
/// Compiled-in directories of the usual builds: packages, Debian up to 10, /opt, `./configure`.
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
        // Cargo sets neither variable; PATH shows that there is an environment.
        assert!(std::env::var_os("PATH").is_some());
        for service in ["su", "login", "sshd2", ""] {
            let environment = Environment::of_service(service);
            assert!(environment.slurm_conf.is_none() && environment.node_name.is_none());
        }
    }
}
