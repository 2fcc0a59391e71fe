//! Why a setup or undo cannot go on.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

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
        write!(f, "{operation} {}: {cause}", path.display())
    }
}

impl std::error::Error for Failure {}
