//! Reasons why there is no connection.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;

use proto::hostlist::HostListError;

use crate::target::Which;

/// Reason why there is no connection.
#[derive(Debug)]
pub enum Error {
    /// A program could not be run.
    Run {
        /// Its name.
        program: &'static str,
        /// The cause.
        cause: io::Error,
    },
    /// A program failed.
    Failed {
        /// Its name.
        program: &'static str,
        /// Its exit status.
        status: ExitStatus,
        /// What it wrote to standard error.
        said: String,
    },
    /// The job has ended.
    Over {
        /// The job.
        job: String,
        /// Its state, in Slurm's words.
        state: String,
        /// The time of its end, as squeue prints it.
        end: String,
    },
    /// The job is another user's.
    NotYours {
        /// The job.
        job: String,
        /// Its owner.
        owner: String,
    },
    /// Slurm does not know the job.
    Unknown {
        /// What was looked for.
        which: Which,
        /// The cluster that was asked, if known.
        cluster: Option<String>,
    },
    /// The array or heterogeneous job has no such part.
    NoPart(Which),
    /// The user has no job of that name.
    NoName {
        /// The name.
        name: String,
        /// The user's jobs.
        jobs: String,
    },
    /// The user has no job.
    NoJob,
    /// The job has fewer nodes.
    NoNode {
        /// The job.
        job: String,
        /// The node's place that was asked for, from 0.
        node: u32,
        /// The number of its nodes.
        nodes: u64,
    },
    /// The job's list of nodes cannot be read.
    Nodes {
        /// The list.
        list: String,
        /// The cause.
        cause: HostListError,
    },
    /// The site's Slurm has given a job that was submitted another name.
    Renamed {
        /// The job, which is cancelled.
        job: String,
        /// The name with which it was submitted.
        wanted: String,
        /// Its name.
        name: String,
    },
    /// sbatch did not tell a job's number.
    NoNumber(String),
    /// The file by which a user's proxies know of each other cannot be used.
    Waiters {
        /// Its path.
        path: PathBuf,
        /// The cause.
        cause: io::Error,
    },
    /// ssh has gone.
    Gone,
    /// Nothing can be said to ssh.
    Client(io::Error),
    /// The node's sshd cannot be reached.
    Connect {
        /// The node.
        node: String,
        /// Its port.
        port: u16,
        /// The cause.
        cause: io::Error,
    },
    /// No port can be listened at for the relay in the job.
    Listen(io::Error),
    /// The step of the job ended before it relayed.
    Ended,
    /// The connection broke.
    Relay(io::Error),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Run { program, cause } if is_slurms(program, cause) => write!(
                f,
                "{program} is not in PATH: Slurm's commands are needed here, as on a login node"
            ),
            Self::Run { program, cause } => write!(f, "run {program}: {cause}"),
            Self::Failed {
                program,
                status,
                said,
            } => match said.is_empty() {
                true => write!(f, "{program}: {status}"),
                false => write!(f, "{program}: {said}"),
            },
            Self::Over { job, state, end } => write!(f, "job {job} is over ({state}, {end})"),
            Self::NotYours { job, owner } => {
                write!(f, "job {job} is not yours: it belongs to {owner}")
            }
            Self::Unknown { which, cluster } => {
                write!(f, "{which} is unknown to Slurm")?;
                if let Some(cluster) = cluster {
                    write!(f, " on cluster {cluster}")?;
                }
                f.write_str(": it never was, or has been over for some time")
            }
            Self::NoPart(which) => write!(f, "{which} is not there, or is over"),
            Self::NoName { name, jobs } => write!(
                f,
                "you have no job named \"{name}\" that runs or waits (yours: {jobs})"
            ),
            Self::NoJob => f.write_str("you have no job that runs or waits"),
            Self::NoNode { job, node, nodes } => write!(
                f,
                "job {job} has no node {node}: it has {nodes}, counted from 0"
            ),
            Self::Nodes { list, cause } => write!(f, "read the list of nodes {list}: {cause}"),
            Self::Renamed { job, wanted, name } => write!(
                f,
                "job {job} was submitted as \"{wanted}\" and is cancelled: this site's Slurm has named it \"{name}\""
            ),
            Self::NoNumber(said) => write!(f, "sbatch: no job's number in \"{said}\""),
            Self::Waiters { path, cause } => write!(f, "lock {}: {cause}", path.display()),
            Self::Gone => f.write_str("ssh has gone"),
            Self::Client(cause) => write!(f, "watch ssh: {cause}"),
            Self::Connect { node, port, cause } => {
                write!(f, "connect to {node}, port {port}: {cause}")
            }
            Self::Listen(cause) => write!(f, "listen for the relay in the job: {cause}"),
            Self::Ended => f.write_str("srun ended without a connection"),
            Self::Relay(cause) => write!(f, "relay: {cause}"),
        }
    }
}

impl std::error::Error for Error {}

/// Whether one of Slurm's commands is not there.
fn is_slurms(program: &str, cause: &io::Error) -> bool {
    cause.kind() == io::ErrorKind::NotFound && program != "ssh-keygen"
}
