//! Faults in the files.

use std::fmt;
use std::path::PathBuf;

use crate::MAX_LEVEL;
use crate::control::ControlError;
use crate::layout::MOST_FILES;
use crate::model::Place;

/// A fault that keeps libpam from doing what a line says, or that not every libpam treats alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The line; `None` if there is no file.
    pub place: Option<Place>,
    /// The kind of fault.
    pub kind: ProblemKind,
    /// Whether libpam gives up there: pam_start(3) fails with `PAM_ABORT`.
    pub is_fatal: bool,
}

impl fmt::Display for Problem {
    /// FILE:LINE: the fault.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.place {
            write!(f, "{place}: ")?;
        }
        write!(f, "{}", self.kind)
    }
}

/// Kinds of problems. libpam turns a line that it cannot use into one that always fails, unless noted
/// otherwise here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProblemKind {
    /// Neither the service nor `other` has a file.
    NoFile,
    /// None of the directories has the included file.
    Missing {
        /// The name in the line.
        name: Vec<u8>,
    },
    /// The file exists, but the caller could not read it: libpam may see lines that are missing here.
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The cause.
        error: String,
    },
    /// The file is left out because [`MOST_FILES`] were read: libpam may see lines that are missing here.
    TooManyFiles {
        /// The name in the line.
        name: Vec<u8>,
    },
    /// Files include each other more than [`MAX_LEVEL`] deep. Before Linux-PAM 1.6, `include` had no limit.
    TooDeep {
        /// The name in the line.
        name: Vec<u8>,
    },
    /// An `include`, `substack` or `@include` without a file name. Debian's libpam crashes.
    NoName,
    /// An `@include` within an `include` or a `substack` fails: Debian's libpam does not set the actions of its
    /// entry, so they are whatever was in memory. Here every value is a failure.
    UnknownActions,
    /// The first word is none of the four. Such a line goes to the auth stack, or to the stack of the
    /// including line.
    UnknownFacility {
        /// The word.
        word: Vec<u8>,
    },
    /// Nothing follows the facility.
    NoControl,
    /// libpam takes every return value of the module as a failure.
    UnknownControl(ControlError),
    /// Nothing follows the control.
    NoModule,
    /// libpam gives up on a module or substack whose file name without extension is empty or `?`
    /// (`extract_modulename`). Within an include it has already made the entry, and may crash in the walk.
    BadModuleName {
        /// The path.
        path: Vec<u8>,
    },
    /// The file ends within a continued line. libpam refuses the file, but has already taken the lines before.
    Unfinished,
    /// A blank line or a comment within a continued line: since Linux-PAM 1.6 it ends the line, before that it
    /// does not.
    ContinuationEnds,
    /// The line has more than 1023 bytes. Before Linux-PAM 1.6 the rest is read as another line, or the file is
    /// refused.
    LongLine,
    /// The line ends with a carriage return, which libpam takes as part of the last word.
    CarriageReturn,
    /// The line has a NUL, at which it ends for libpam.
    Nul,
}

impl ProblemKind {
    /// Whether libpam may see lines that are missing here.
    #[must_use]
    pub fn hides_lines(&self) -> bool {
        matches!(self, Self::Unreadable { .. } | Self::TooManyFiles { .. })
    }
}

impl fmt::Display for ProblemKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoFile => f.write_str("neither the service nor \"other\" has a file"),
            Self::Missing { name } => write!(f, "no file \"{}\"", name.escape_ascii()),
            Self::Unreadable { path, error } => write!(f, "read {}: {error}", path.display()),
            Self::TooManyFiles { name } => write!(
                f,
                "read {}: the stack has more than {MOST_FILES} files",
                name.escape_ascii()
            ),
            Self::TooDeep { name } => write!(
                f,
                "\"{}\" is included more than {} files deep",
                name.escape_ascii(),
                MAX_LEVEL - 1
            ),
            Self::UnknownActions => {
                f.write_str("libpam fails here with the actions of some other line")
            }
            Self::NoName => f.write_str("names no file to include"),
            Self::UnknownFacility { word } => write!(
                f,
                "\"{}\" is none of auth, account, password, session",
                word.escape_ascii()
            ),
            Self::NoControl => f.write_str("has no control"),
            Self::UnknownControl(error) => write!(f, "control: {error}"),
            Self::NoModule => f.write_str("names no module"),
            Self::BadModuleName { path } => {
                write!(f, "\"{}\" is no name for a module", path.escape_ascii())
            }
            Self::Unfinished => f.write_str("the file ends within a continued line"),
            Self::ContinuationEnds => f.write_str(
                "a blank line or a comment within a continued line: Linux-PAM 1.6 and later end it there, \
                 earlier releases do not",
            ),
            Self::LongLine => f.write_str(
                "is longer than 1023 bytes: Linux-PAM before 1.6 reads the rest as another line",
            ),
            Self::CarriageReturn => {
                f.write_str("ends with a carriage return, which is a part of its last word")
            }
            Self::Nul => f.write_str("has a NUL, which ends the line"),
        }
    }
}
