//! The daemons that a login's caller ID depends on: the maker of credentials, and slurmds here and elsewhere.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use proto::Version;
use sys::Deadline;

use crate::callerid;
use crate::callerid::credential::Authority;
use crate::callerid::error::{CallerIdError, CredentialError, MungedError, SlurmdError};
use crate::exchange::Broken;
use crate::node::Node;
use crate::trust::DirectoryError;

/// The reason why no credential can be made.
#[derive(Debug)]
pub enum AuthProblem {
    /// Nobody listens on the daemon's socket, or there is none.
    Absent {
        /// The socket.
        socket: PathBuf,
        /// The system's error.
        cause: io::Error,
    },
    /// The daemon does not answer before the deadline.
    Silent {
        /// Its socket; none for that of slurmd or sackd.
        socket: Option<PathBuf>,
    },
    /// Others than root and the daemon's user could replace the socket.
    Directory {
        /// The socket.
        socket: PathBuf,
        /// The directory and what is wrong with it.
        problem: DirectoryError,
    },
    /// The cluster's key is needed and cannot be used.
    Key(String),
    /// The module does not speak this AuthType.
    AuthType(String),
    /// Anything else.
    Failed(String),
}

/// Has a credential made as the module does before it asks a slurmd, and throws it away. The time that it took.
///
/// # Errors
/// [`AuthProblem`].
pub fn make_credential(
    node: &Node,
    version: Version,
    deadline: &Deadline,
) -> Result<Duration, AuthProblem> {
    let begun = Instant::now();
    let authority = Authority::of(node).map_err(AuthProblem::of)?;
    let made = authority.make(version, b"", deadline);
    made.map_err(AuthProblem::of)?;
    Ok(begun.elapsed())
}

impl AuthProblem {
    fn of(error: CredentialError) -> Self {
        use io::ErrorKind::{ConnectionRefused, NotFound};
        match error {
            CredentialError::AuthType(kind) => Self::AuthType(kind),
            CredentialError::Munged(socket, MungedError::Directory(problem)) => {
                Self::Directory { socket, problem }
            }
            CredentialError::Munged(socket, MungedError::Broken(Broken::Silent)) => Self::Silent {
                socket: Some(socket),
            },
            CredentialError::Munged(socket, MungedError::Broken(Broken::Failed(cause)))
                if [ConnectionRefused, NotFound].contains(&cause.kind()) =>
            {
                Self::Absent { socket, cause }
            }
            CredentialError::Sack(Broken::Silent) => Self::Silent { socket: None },
            CredentialError::KeyFile(..)
            | CredentialError::NoKeyFile(_)
            | CredentialError::NoValidKey => Self::Key(error.to_string()),
            other => Self::Failed(other.to_string()),
        }
    }
}

/// The reason why a slurmd does not answer the question for a login's source.
#[derive(Debug)]
pub enum SlurmdProblem {
    /// There is no connection to it: it does not run, a firewall is in between, or its host is down.
    Unreachable(String),
    /// It takes the connection and does not answer before the deadline.
    Silent,
    /// It answers, but the module cannot use it.
    Refuses(String),
    /// It was not asked: no credential can be made, or slurmds speak only TLS.
    NotAsked(String),
}

impl fmt::Display for SlurmdProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Silent => f.write_str("it takes the connection and does not answer"),
            Self::Unreachable(cause) | Self::Refuses(cause) | Self::NotAsked(cause) => {
                f.write_str(cause)
            }
        }
    }
}

/// Asks a slurmd about a connection that does not exist. The time that it took to answer.
///
/// # Errors
/// [`SlurmdProblem`].
pub fn ask_slurmd(
    slurmd: SocketAddr,
    node: &Node,
    version: Version,
    deadline: &Deadline,
) -> Result<Duration, SlurmdProblem> {
    let begun = Instant::now();
    let asked = callerid::probe(slurmd, node, version, deadline);
    asked.map_err(SlurmdProblem::of)?;
    Ok(begun.elapsed())
}

impl SlurmdProblem {
    fn of(error: CallerIdError) -> Self {
        let CallerIdError::Slurmd(_, cause) = error else {
            return Self::NotAsked(error.to_string());
        };
        match &cause {
            SlurmdError::Connect(Broken::Silent) => {
                Self::Unreachable("connect: no answer in time".to_owned())
            }
            SlurmdError::Connect(_) => Self::Unreachable(cause.to_string()),
            SlurmdError::Exchange(Broken::Silent) => Self::Silent,
            SlurmdError::Make(_) => Self::NotAsked(cause.to_string()),
            _ => Self::Refuses(cause.to_string()),
        }
    }
}
