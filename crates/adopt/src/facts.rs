//! What is known when a login is decided: whose extern steps run here, and where the connection comes from.

use std::fmt;
use std::net::IpAddr;

use crate::node::NodeError;
use crate::text::shown;
use crate::trust::DirectoryError;

/// Everything that a decision rests on besides options and login.
#[derive(Debug)]
pub struct Facts {
    /// The extern steps of this node.
    pub steps: Result<Steps, NodeError>,
    /// The job that the connection comes from.
    pub caller: Caller,
}

/// One of the user's own jobs on this node: its stepd said so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OwnJob {
    /// The job's number (an array task's own).
    pub job: u32,
    /// When its extern step's socket was made: ctime in whole seconds since 1970, as 26.05 compares it.
    pub started: i64,
}

impl OwnJob {
    /// Larger is newer: the socket's second, then the job's number.
    #[must_use]
    pub fn age_key(&self) -> (i64, u32) {
        (self.started, self.job)
    }
}

/// What the extern steps on this node are.
#[derive(Debug, Default)]
pub struct Steps {
    /// The user's own.
    pub own: Vec<OwnJob>,
    /// How many belong to other users.
    pub others: usize,
    /// The one of the user's own that this process comes from, if that was looked at.
    pub holder: Option<u32>,
    /// Jobs whose stepd did not answer in time: counted as nobody's.
    pub silent: Vec<u32>,
    /// Jobs whose stepd gave no usable answer, and what it did instead: not counted.
    pub failed: Vec<(u32, String)>,
    /// Why the spool directory could not be looked at: counted as no steps at all.
    pub problem: Option<DirectoryError>,
    /// Whether a permission to reach one of the failed was missing.
    pub is_denied: bool,
    /// The node's name and spool directory, where none are the user's.
    pub place: String,
    /// What is seen there and may be why.
    pub remarks: Vec<Remark>,
}

impl Steps {
    /// Notes a job whose stepd is silent; in the order of their numbers.
    pub(crate) fn add_silent(&mut self, job: u32) {
        let place = self.silent.partition_point(|other| *other < job);
        self.silent.insert(place, job);
    }
}

/// What is known of the job that the connection comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Caller {
    /// It does not matter.
    NotAsked,
    /// The slurmd at the source says which. No more than a hint: the job counts only if a stepd
    /// here says that it is the user's.
    Job {
        /// The job's number.
        job: u32,
        /// Where the slurmd is.
        source: IpAddr,
    },
    /// It can't be found out, and why.
    Unknown(String),
}

/// What is seen where a user has no job: it may be why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Remark {
    /// These jobs have steps here, but no extern step.
    NoExternStep(Vec<u32>),
    /// The sockets that are here are those of other nodes.
    OtherNodes(Vec<String>),
    /// No NodeName line has the node, or the host.
    NotNamed {
        /// Its name.
        name: String,
        /// Whether that is the host's name, not a node's that was given.
        is_host: bool,
    },
    /// slurmd was started with `-N` and another name.
    SlurmdIs(String),
    /// No slurmd was found.
    NoSlurmd,
    /// Something could not be looked at.
    Unseen(String),
}

impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoExternStep(jobs) => {
                let (jobs, have) = match &jobs[..] {
                    [job] => (format!("job {job}"), "has"),
                    _ => (format!("jobs {}", list(jobs)), "have"),
                };
                write!(
                    f,
                    "{jobs} {have} no extern step (started without PrologFlags=contain)"
                )
            }
            Self::OtherNodes(names) => {
                let nodes = if names.len() == 1 { "node" } else { "nodes" };
                let names: Vec<_> = names.iter().map(|name| shown(name)).collect();
                let names = names.join(", ");
                write!(
                    f,
                    "the spool directory has only sockets of {nodes} {names}; see nodename="
                )
            }
            Self::NotNamed { name, is_host } => {
                let kind = if *is_host { "host" } else { "node" };
                write!(f, "{kind} {} is not on any NodeName line", shown(name))
            }
            Self::SlurmdIs(name) => write!(f, "slurmd runs as node {}", shown(name)),
            Self::NoSlurmd => f.write_str("no slurmd runs here"),
            Self::Unseen(what) => f.write_str(what),
        }
    }
}

fn list(jobs: &[u32]) -> String {
    let jobs: Vec<_> = jobs.iter().map(u32::to_string).collect();
    jobs.join(", ")
}
