//! Why there are no sums.

use std::fmt;
use std::io;
use std::path::PathBuf;

use check::RequestError;

/// A look that failed.
#[derive(Debug)]
pub enum Error {
    /// The file of --input cannot be read.
    Input {
        /// The file.
        path: PathBuf,
        /// The system's error.
        cause: io::Error,
    },
    /// The host's syslog does not go to a journal.
    NoJournal,
    /// journalctl cannot be run, or does not end.
    Journalctl(io::Error),
    /// What journalctl says of its failure.
    Journal(String),
    /// The checks cannot be carried out.
    Check(RequestError),
    /// The checks could not judge anything.
    NothingJudged,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Input { path, cause } => write!(f, "read --input {}: {cause}", path.display()),
            Self::NoJournal => {
                f.write_str("no journal takes this host's syslog; pass --input FILE")
            }
            Self::Journalctl(cause) => write!(f, "journalctl: {cause}"),
            Self::Journal(said) => write!(f, "journalctl: {}", said.escape_default()),
            Self::Check(cause) => write!(f, "check: {cause}"),
            Self::NothingJudged => f.write_str("check: nothing could be judged"),
        }
    }
}
