//! Why there is no connection to a job.

use std::fmt;
use std::io;

use ::connect::{AllocationError, TargetError};

/// Reason why there is no connection.
#[derive(Debug)]
pub enum Error {
    /// The job's name cannot be read.
    Target(TargetError),
    /// The job cannot be found or reached.
    Job(::connect::Error),
    /// The job of --alloc cannot be submitted.
    Allocation(AllocationError),
    /// The job of --alloc has no name.
    NoName,
    /// The lines for --alloc have no name for their host.
    NoHostName,
    /// The job's name can be no host's.
    HostName(String),
    /// This program's path is unknown.
    Program(io::Error),
    /// Signals cannot be caught.
    Signals(io::Error),
    /// ssh cannot be run.
    Ssh(io::Error),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Target(error) => error.fmt(f),
            Self::Job(error) => error.fmt(f),
            Self::Allocation(error) => error.fmt(f),
            Self::NoName => f.write_str("--alloc needs the job's name: give --name, or job-NAME"),
            Self::NoHostName => {
                f.write_str("--alloc needs --name here, which becomes the host's name")
            }
            Self::HostName(name) => write!(
                f,
                "--name {name}: letters, digits and ._- alone can be a host's name"
            ),
            Self::Program(cause) => write!(f, "find this program: {cause}"),
            Self::Signals(cause) => write!(f, "catch signals: {cause}"),
            Self::Ssh(cause) => write!(f, "run ssh: {cause}"),
        }
    }
}

/// A text that is no time.
#[derive(Debug)]
pub struct NotMinutes;

impl fmt::Display for NotMinutes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no number of minutes")
    }
}

impl std::error::Error for NotMinutes {}

impl From<TargetError> for Error {
    fn from(error: TargetError) -> Self {
        Self::Target(error)
    }
}

impl From<::connect::Error> for Error {
    fn from(error: ::connect::Error) -> Self {
        Self::Job(error)
    }
}

impl From<AllocationError> for Error {
    fn from(error: AllocationError) -> Self {
        Self::Allocation(error)
    }
}
