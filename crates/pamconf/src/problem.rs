//! What is wrong with the files.

use std::fmt;
use std::path::PathBuf;

use crate::MAX_LEVEL;
use crate::control::ControlError;
use crate::layout::MOST_FILES;
use crate::model::Place;

/// Something that keeps libpam from doing what a line says, or that not every libpam reads alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The line; `None` if there is no file at all.
    pub place: Option<Place>,
    /// What it is.
    pub kind: ProblemKind,
    /// libpam gives up there: pam_start(3) fails with `PAM_ABORT`.
    pub is_fatal: bool,
}

impl fmt::Display for Problem {
    /// FILE:LINE: what it is.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.place {
            write!(f, "{place}: ")?;
        }
        write!(f, "{}", self.kind)
    }
}

/// Kinds of problems. libpam turns a line that it can't use into one that always fails, unless it says
/// otherwise here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProblemKind {
    /// Neither the service nor `other` has a file.
    NoFile,
    /// An included file that is in none of the directories.
    Missing {
        /// As the line names it.
        name: Vec<u8>,
    },
    /// A file that is there and that the caller could not read: lines may be missing here that libpam has.
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        error: String,
    },
    /// A file that is left out because [`MOST_FILES`] were read: lines may be missing here that libpam has.
    TooManyFiles {
        /// As the line names it.
        name: Vec<u8>,
    },
    /// Files include each other more than [`MAX_LEVEL`] deep. Before Linux-PAM 1.6, `include` had no bound.
    TooDeep {
        /// As the line names it.
        name: Vec<u8>,
    },
    /// An `include`, `substack` or `@include` that names no file. Debian's libpam crashes.
    NoName,
    /// An `@include` within an `include` or a `substack` that fails: Debian's libpam does not set the actions of
    /// its entry, which then are what was left in memory. Here every value is a failure.
    UnknownActions,
    /// The first word is none of the four. Such a line is in the auth stack, or in the stack that the
    /// including line is for.
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
    /// libpam gives up on a module or substack whose file name is empty or `?` without its ending
    /// (`extract_modulename`). Within an include it has the entry by then, and may crash in the walk.
    BadModuleName {
        /// The path.
        path: Vec<u8>,
    },
    /// The file ends within a continued line. libpam refuses the file, after it has taken the lines before.
    Unfinished,
    /// A blank line or a comment within a continued line: it ends there since Linux-PAM 1.6, and goes on
    /// before.
    ContinuationEnds,
    /// More than 1023 bytes: before Linux-PAM 1.6 the rest is read as another line, or the file is refused.
    LongLine,
    /// Ends with a carriage return, which for libpam is a part of the last word.
    CarriageReturn,
    /// Has a NUL, which ends the line for libpam.
    Nul,
}

impl ProblemKind {
    /// Whether lines may be missing here that libpam has.
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
