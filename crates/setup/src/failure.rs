//! Why a setup or undo cannot go on.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

/// An operation that failed.
#[derive(Debug)]
pub struct Failure {
    operation: &'static str,
    path: PathBuf,
    cause: io::Error,
}

impl Failure {
    /// Names the operation and its object.
    pub fn new(operation: &'static str, path: impl AsRef<Path>, cause: io::Error) -> Self {
        Self {
            operation,
            path: path.as_ref().to_owned(),
            cause,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            operation,
            path,
            cause,
        } = self;
        write!(f, "{operation} {}: {cause}", path.display())?;
        match Errno::from_io_error(cause) {
            Some(Errno::ROFS) => f.write_str("; mount it so that it can be written first"),
            Some(Errno::NOSPC | Errno::DQUOT) => f.write_str("; make room there first"),
            _ => Ok(()),
        }
    }
}

impl std::error::Error for Failure {}
