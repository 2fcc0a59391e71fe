//! The lines and stacks that the files contain.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use crate::codes::Code;
use crate::control::Control;
use crate::problem::Problem;
use crate::walk::Walk;

/// The purpose of a line, its first word; pam.conf(5) calls it the type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Facility {
    /// pam_authenticate(3) and pam_setcred(3)
    Auth,
    /// pam_acct_mgmt(3)
    Account,
    /// pam_open_session(3) and pam_close_session(3)
    Session,
    /// pam_chauthtok(3)
    Password,
}

impl Facility {
    /// All four facilities.
    pub const ALL: [Self; 4] = [Self::Auth, Self::Account, Self::Session, Self::Password];

    /// Its word in a file.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Auth => "auth",
            Self::Account => "account",
            Self::Session => "session",
            Self::Password => "password",
        }
    }

    pub(crate) fn named(word: &[u8]) -> Option<Self> {
        let is = |it: &Self| word.eq_ignore_ascii_case(it.name().as_bytes());
        Self::ALL.into_iter().find(is)
    }
}

impl fmt::Display for Facility {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The place of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file.
    pub file: Arc<Path>,
    /// The line's number, from 1; for a continued line that of its first line.
    pub line: usize,
}

impl fmt::Display for Place {
    /// FILE:LINE
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file.display(), self.line)
    }
}

/// A line that libpam takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Its place.
    pub place: Place,
    /// Its text without comment, with continued lines joined and with the blanks at its end.
    pub text: Vec<u8>,
    /// The stack that it belongs to. `None` for an `@include` outside any `include`: there the included lines
    /// decide.
    pub facility: Option<Facility>,
    /// Whether a `-` precedes the facility: libpam then does not log that the module cannot be loaded. The line
    /// fails anyway.
    pub is_silent: bool,
    /// The word of the control, without its brackets. Empty for `@include`, or if there is no control.
    pub control: Vec<u8>,
    /// Its instruction.
    pub item: Item,
    /// The number of lines through which the file is included, one within another.
    pub depth: usize,
    /// The number of those that are substacks.
    pub level: usize,
}

/// The instruction of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// Calls a module.
    Module {
        /// A name below libpam's directory of modules, or a path. `$ISA` stands for a part of the path.
        path: Vec<u8>,
        /// Its arguments.
        arguments: Vec<Vec<u8>>,
    },
    /// Reads another file here: `include` and `@include`.
    Include {
        /// The name in the line.
        name: Vec<u8>,
    },
    /// Reads another file as a stack within the stack: `done`, `die`, `reset` and jumps stay within it.
    Substack {
        /// The name in the line.
        name: Vec<u8>,
    },
    /// Nothing that can be parsed.
    Nothing,
}

/// An entry of a stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handler {
    /// The index of its line: [`Service::line`].
    pub line: usize,
    /// Its role.
    pub role: Role,
    /// The action for each return value.
    pub control: Control,
    /// The number of substacks around it, below [`MAX_LEVEL`](crate::MAX_LEVEL).
    pub level: usize,
}

/// The role of an entry of a stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Calls a module.
    Module,
    /// Fails with `PAM_PERM_DENIED`, because libpam cannot use the line.
    Fail,
    /// Begins a substack: its entries follow, one level up.
    Substack,
}

/// A service as libpam reads it.
#[derive(Debug, Clone, Default)]
pub struct Service {
    pub(crate) lines: Vec<Line>,
    pub(crate) problems: Vec<Problem>,
    pub(crate) own: Stacks,
    pub(crate) other: Stacks,
}

/// A stack for each facility.
pub(crate) type Stacks = [Vec<Handler>; 4];

impl Service {
    /// The lines that libpam takes, in the order in which it reads them; those of `other` come last. Leaves out
    /// lines of another facility than the including line's.
    #[must_use]
    pub fn lines(&self) -> &[Line] {
        &self.lines
    }

    /// The line of a stack's entry.
    #[must_use]
    pub fn line(&self, handler: &Handler) -> Option<&Line> {
        self.lines.get(handler.line)
    }

    /// The problems, in the same order.
    #[must_use]
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// The problem that makes libpam give up: pam_start(3) fails with `PAM_ABORT`, and no stack is
    /// walked. The stacks contain the entries read up to then.
    #[must_use]
    pub fn fatal(&self) -> Option<&Problem> {
        self.problems.iter().find(|it| it.is_fatal)
    }

    /// The stack that libpam walks for a facility: the service's own, or that of `other` if it has no entry
    /// (`_pam_dispatch`).
    #[must_use]
    pub fn stack(&self, facility: Facility) -> &[Handler] {
        let [own, other] = [&self.own, &self.other].map(|it| it.get(facility as usize));
        own.filter(|it| !it.is_empty())
            .or(other)
            .map_or(&[], Vec::as_slice)
    }

    /// Walks the stack of a facility: [`Walk::of`]. Fails with `PAM_PERM_DENIED` if it has no entries, and with
    /// `PAM_ABORT` if libpam gives up on the files.
    pub fn walk(&self, facility: Facility, result: impl FnMut(usize, &Handler) -> Code) -> Walk {
        match self.fatal() {
            Some(_) => Walk::aborted(),
            None => Walk::of(self.stack(facility), result),
        }
    }
}
