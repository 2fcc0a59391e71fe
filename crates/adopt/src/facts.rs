//! The facts that a decision is based on: the extern steps here and their owners, and the source of the connection.

use std::fmt;
use std::net::IpAddr;

use crate::node::NodeError;
use crate::text::shown;
use crate::trust::DirectoryError;

/// All facts for a decision besides options and login.
#[derive(Debug)]
pub struct Facts {
    /// The extern steps of this node.
    pub steps: Result<Steps, NodeError>,
    /// The job that the connection comes from.
    pub caller: Caller,
}

/// One of the user's own jobs on this node, confirmed by its stepd.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OwnJob {
    /// The job's number (an array task's own).
    pub job: u32,
    /// When its extern step's socket was created: ctime in whole seconds since 1970, as 26.05 compares it.
    pub started: i64,
}

impl OwnJob {
    /// Sort key, larger is newer: the socket's second, then the job's number.
    #[must_use]
    pub fn age_key(&self) -> (i64, u32) {
        (self.started, self.job)
    }
}

/// The extern steps on this node.
#[derive(Debug, Default)]
pub struct Steps {
    /// The user's own jobs.
    pub own: Vec<OwnJob>,
    /// The number of jobs of other users.
    pub others: usize,
    /// What `action_unknown=longest` and `largest` compare, of the own jobs of which it is known.
    pub measures: Vec<Measure>,
    /// The user's job that this process comes from, if that was checked.
    pub holder: Option<u32>,
    /// Jobs whose stepd did not answer in time: counted as nobody's.
    pub silent: Vec<u32>,
    /// Jobs whose stepd gave no usable answer, with the cause: not counted.
    pub failed: Vec<(u32, String)>,
    /// The error that kept the spool directory from being read: counted as no steps at all.
    pub problem: Option<DirectoryError>,
    /// Whether one of the failed jobs was unreachable for lack of a permission.
    pub is_denied: bool,
    /// The node's name and spool directory, if no job is the user's.
    pub place: String,
    /// Observations that may explain why the user has no job here.
    pub remarks: Vec<Remark>,
}

/// What `action_unknown` compares of a job: its end in seconds since 1970, or its CPUs on this node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Measure {
    /// The job.
    pub job: u32,
    /// The value.
    pub value: u64,
}

impl Steps {
    /// The measure of a job, if it is known.
    #[must_use]
    pub fn measure(&self, job: u32) -> Option<u64> {
        let mut all = self.measures.iter();
        all.find(|it| it.job == job).map(|it| it.value)
    }

    /// Adds a job whose stepd is silent; keeps the list sorted by job number.
    pub(crate) fn add_silent(&mut self, job: u32) {
        let place = self.silent.partition_point(|other| *other < job);
        self.silent.insert(place, job);
    }
}

/// The job that the connection comes from, as far as it is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Caller {
    /// Not asked: it does not matter.
    NotAsked,
    /// The slurmd at the source names this job. It is only a hint: the job counts only if a stepd
    /// here confirms that it is the user's.
    Job {
        /// The job's number.
        job: u32,
        /// The address of the slurmd.
        source: IpAddr,
    },
    /// Unknown, with the cause.
    Unknown(String),
}

/// An observation that may explain why a user has no job here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Remark {
    /// These jobs have steps here, but no extern step.
    NoExternStep(Vec<u32>),
    /// All sockets here belong to other nodes.
    OtherNodes(Vec<String>),
    /// No NodeName line names the node or host.
    NotNamed {
        /// Its name.
        name: String,
        /// Whether it is the host's name, not a node name that was given.
        is_host: bool,
    },
    /// slurmd was started with `-N` and another name.
    SlurmdIs(String),
    /// No slurmd was found.
    NoSlurmd,
    /// Something could not be read.
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
