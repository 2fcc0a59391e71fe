//! Why it is not known whether something of a user may be ended.

use std::fmt;

use adopt::options;

/// Reason why it is not known whether a user has a job here, or is exempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Doubt {
    /// The options file does not count, for this reason.
    OptionsFile(String),
    /// An option about exempt users cannot be read, for this reason.
    Exempt(String),
    /// Some users are exempt by name, and the user has none.
    NoName {
        /// The user.
        uid: u32,
    },
    /// The user or its groups cannot be looked up; what the look-up logs.
    LookUp(String),
    /// No time is left to find out.
    NoTime,
    /// The directory in which slurmstepds are found cannot be used; the cause.
    Spool(String),
    /// A slurmstepd does not tell of its job; the cause.
    Job(String),
    /// Slurm does not track jobs by cgroups; the value of `ProctrackType`.
    OtherTracking(String),
    /// The processes cannot be read; the system's error.
    Processes(String),
    /// A process cannot be held while it is signalled; the system's error.
    Hold(String),
    /// A process is in a job of which no slurmstepd tells.
    UnknownJob {
        /// The process.
        pid: i32,
        /// The job, if its cgroup says.
        job: Option<u32>,
    },
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OptionsFile(fault) => write!(f, "{}: {fault}", options::FILE),
            Self::Exempt(fault) => write!(f, "who is exempt is not clear: {fault}"),
            Self::NoName { uid } => {
                write!(f, "uid {uid} has no name to look for among those exempt")
            }
            Self::LookUp(fault) | Self::Job(fault) => f.write_str(fault),
            Self::NoTime => f.write_str("no time is left"),
            Self::Spool(cause) => write!(f, "spool directory: {cause}"),
            Self::OtherTracking(value) => write!(
                f,
                "ProctrackType={value}: cgroups do not tell what is in a job"
            ),
            Self::Processes(cause) => write!(f, "read /proc: {cause}"),
            Self::Hold(cause) => write!(f, "pidfd_open: {cause}"),
            Self::UnknownJob { pid, job } => {
                let job = job.map_or("a job".to_owned(), |it| format!("job {it}"));
                write!(
                    f,
                    "pid {pid} is in the cgroup of {job}, of which no slurmstepd tells"
                )
            }
        }
    }
}
