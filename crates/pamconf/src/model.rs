//! What the files come to.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use crate::codes::Code;
use crate::control::Control;
use crate::problem::Problem;
use crate::walk::Walk;

/// What a line is for, its first word; pam.conf(5) calls it the type.
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
    /// All four.
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

/// Where a line stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file.
    pub file: Arc<Path>,
    /// Its line, from 1; of a continued line the first.
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
    /// Where it stands.
    pub place: Place,
    /// Its text without comment, continued lines joined, blanks at its end included.
    pub text: Vec<u8>,
    /// The stack that it belongs to. `None` for an `@include` outside of any `include`: the included lines
    /// say.
    pub facility: Option<Facility>,
    /// Has a `-` before the facility: libpam does not log that the module can't be loaded. The line fails all
    /// the same.
    pub is_silent: bool,
    /// The word of the control, without its brackets. Empty for `@include`, or if there is none.
    pub control: Vec<u8>,
    /// What it asks for.
    pub item: Item,
    /// How many lines include the file that it stands in, one in another.
    pub depth: usize,
    /// How many of these are substacks.
    pub level: usize,
}

/// What a line asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// To call a module.
    Module {
        /// A name below libpam's directory of modules, or a path. `$ISA` in it stands for a part of the path.
        path: Vec<u8>,
        /// Its arguments.
        arguments: Vec<Vec<u8>>,
    },
    /// To read another file here: `include` and `@include`.
    Include {
        /// As the line names it.
        name: Vec<u8>,
    },
    /// The same as a stack within the stack: `done`, `die`, `reset` and jumps stay in it.
    Substack {
        /// As the line names it.
        name: Vec<u8>,
    },
    /// Nothing that can be read.
    Nothing,
}

/// An entry of a stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handler {
    /// The line that it is made from: [`Service::line`].
    pub line: usize,
    /// What it does.
    pub role: Role,
    /// The action for each return value.
    pub control: Control,
    /// How many substacks it is in, below [`MAX_LEVEL`](crate::MAX_LEVEL).
    pub level: usize,
}

/// What an entry of a stack does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Calls a module.
    Module,
    /// Fails with `PAM_PERM_DENIED`, because the line can't be used.
    Fail,
    /// Nothing: the entries of a substack follow, one level up.
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
    /// The lines that libpam takes, in the order in which it reads them, those of `other` last. Lines of
    /// another facility than the one that the including line is for are not among them.
    #[must_use]
    pub fn lines(&self) -> &[Line] {
        &self.lines
    }

    /// The line that an entry of a stack is made from.
    #[must_use]
    pub fn line(&self, handler: &Handler) -> Option<&Line> {
        self.lines.get(handler.line)
    }

    /// What is wrong, in the same order.
    #[must_use]
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// The problem because of which libpam gives up: pam_start(3) fails with `PAM_ABORT`, and no stack is
    /// walked. The stacks are as far as they were read.
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

    /// Walks the stack of a facility: [`Walk::of`]. Without entries it fails with `PAM_PERM_DENIED`, and with
    /// `PAM_ABORT` if libpam gives up on the files.
    pub fn walk(&self, facility: Facility, result: impl FnMut(usize, &Handler) -> Code) -> Walk {
        match self.fatal() {
            Some(_) => Walk::aborted(),
            None => Walk::of(self.stack(facility), result),
        }
    }
}
