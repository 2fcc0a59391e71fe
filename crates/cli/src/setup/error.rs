//! Why setup or undo did not do its work.

use std::fmt;
use std::io;
use std::path::PathBuf;

use ::setup::Failure;
use ::setup::plan::{Part, Refusal};

/// Reason why setup or undo did not do its work.
#[derive(Debug)]
pub(crate) enum Error {
    /// The caller is not root.
    NotRoot,
    /// There is nobody to ask.
    NoTerminal,
    /// An option is about a part that `--only` leaves out.
    Idle {
        /// The option.
        option: &'static str,
        /// The part.
        part: Part,
    },
    /// The tree cannot be opened.
    Root(io::Error),
    /// The host cannot be set up.
    Refused(Refusal),
    /// An operation failed.
    Failed(Failure),
    /// An operation failed halfway.
    Halfway {
        /// The operation.
        failure: Failure,
        /// What to do next.
        next: String,
    },
    /// The directory of the records cannot be removed.
    Records {
        /// The directory.
        dir: PathBuf,
        /// The system's error.
        cause: io::Error,
    },
    /// What was interrupted cannot be taken back, for this reason.
    FilesStay(String),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotRoot => f.write_str("only root can do this"),
            Self::NoTerminal => f.write_str(
                "there is no terminal to ask at: pass --yes to make the changes, or --dry-run to see them; nothing is \
                 changed",
            ),
            Self::Idle { option, part } => {
                let part = format!("{part:?}").to_ascii_lowercase();
                write!(
                    f,
                    "{option} is about the part {part}, which --only leaves out; leave one of the two out, or add {part} \
                     to --only"
                )
            }
            Self::Root(cause) => write!(f, "open --root: {cause}"),
            Self::Refused(refusal) => refusal.fmt(f),
            Self::Failed(failure) => failure.fmt(f),
            Self::Halfway { failure, next } => write!(f, "{failure}; {next}"),
            Self::Records { dir, cause } => write!(f, "remove {}: {cause}", dir.display()),
            Self::FilesStay(why) => write!(f, "the files stay as they are: {why}"),
        }
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}
