//! The lines of a PAM stack, as libpam follows them: is ours called, and what comes after it.
//!
//! Source: pam.conf(5), pam.d(5); Linux-PAM 1.4 to 1.7, `pam_handlers.c` and `pam_dispatch.c`.

mod control;
mod reader;
#[cfg(test)]
mod tests;
mod walk;

use crate::stack::control::{Code, Control};
use crate::stack::reader::{Chain, Reader};

/// A phase that lines are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `account`
    Account,
    /// `session`
    Session,
}

impl Kind {
    /// The code by which this module denies in that phase.
    fn denial(self) -> Code {
        match self {
            Self::Account => Code::PERM_DENIED,
            Self::Session => Code::SESSION_ERR,
        }
    }
}

/// Tells if a phase calls this module.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Reach {
    /// No line of that phase is ours.
    #[default]
    Absent,
    /// Every way through the stack that ends in success calls us.
    Always,
    /// A way that ends in success passes us over.
    MayBePassed(Line),
    /// Lines are ours, but the stack can succeed after any of them has failed (`optional` and the like).
    NotBinding,
}

/// A line of a stack's file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Its text, shortened.
    pub text: String,
    /// FILE:LINE.
    pub place: String,
}

/// What the lines of one service come to.
#[derive(Debug, Default)]
pub struct Stack {
    account: Phase,
    session: Phase,
    /// Whether no line was found for either phase.
    is_empty: bool,
    /// Whether one of pam_systemd comes after the last line of ours.
    pam_systemd_later: bool,
    /// The first file that is there and could not be read, and why.
    unread: Option<String>,
}

#[derive(Debug, Default)]
struct Phase {
    reach: Reach,
    /// Lines of ours whose failure fails the stack.
    binding: Vec<Line>,
}

/// Where stacks are, in libpam's order.
const DIRS: [&str; 3] = ["/etc/pam.d", "/usr/lib/pam.d", "/usr/etc/pam.d"];

impl Stack {
    /// Reads the stack of that service, as far as its files can be read.
    #[must_use]
    pub fn read(service: &str) -> Self {
        Self::read_in(&DIRS, service)
    }

    /// The same with other directories.
    #[must_use]
    pub fn read_in(dirs: &[&str], service: &str) -> Self {
        let mut reader = Reader::new(dirs, service);
        let (account, session) = reader.service();
        let mut stack = Self::of(&account, &session);
        stack.unread = reader.unread;
        stack
    }

    fn of(account: &Chain, session: &Chain) -> Self {
        let last = session.iter().rposition(|it| it.module == Module::Ours);
        let after = last.and_then(|last| session.get(last..)).unwrap_or(&[]);
        Self {
            pam_systemd_later: after.iter().any(|it| it.module == Module::PamSystemd),
            account: Phase::of(account, Kind::Account),
            session: Phase::of(session, Kind::Session),
            is_empty: account.is_empty() && session.is_empty(),
            unread: None,
        }
    }

    fn phase(&self, kind: Kind) -> &Phase {
        match kind {
            Kind::Account => &self.account,
            Kind::Session => &self.session,
        }
    }

    /// Tells if that phase calls us.
    #[must_use]
    pub fn reach(&self, kind: Kind) -> &Reach {
        &self.phase(kind).reach
    }

    /// The lines of ours whose failure fails the stack: more than one decides more than once.
    #[must_use]
    pub fn binding(&self, kind: Kind) -> &[Line] {
        &self.phase(kind).binding
    }

    /// How many these are.
    #[must_use]
    pub fn count(&self, kind: Kind) -> usize {
        self.binding(kind).len()
    }

    /// Whether no line was found for either phase.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.is_empty
    }

    /// The first file that is there and could not be read, and why: lines may be missing.
    #[must_use]
    pub fn unread(&self) -> Option<&str> {
        self.unread.as_deref()
    }

    /// Whether pam_systemd's session line comes after the last one of ours.
    #[must_use]
    pub fn is_pam_systemd_later(&self) -> bool {
        self.pam_systemd_later
    }
}

impl Phase {
    fn of(chain: &Chain, kind: Kind) -> Self {
        if !chain.iter().any(|it| it.module == Module::Ours) {
            return Self::default();
        }
        let binding = walk::binding(chain, kind.denial());
        let reach = match binding.is_empty() {
            true => Reach::NotBinding,
            false => walk::bypass(chain, &binding).map_or(Reach::Always, Reach::MayBePassed),
        };
        let lines = binding.iter().filter_map(|index| chain.get(*index));
        Self {
            reach,
            binding: lines.map(|it| it.line.clone()).collect(),
        }
    }
}

/// One entry of the list that libpam makes of a phase's lines.
#[derive(Debug)]
struct Handler {
    module: Module,
    control: Control,
    /// How many substacks it is in.
    level: usize,
    line: Line,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Module {
    /// This module, and its options say that it acts for the service.
    Ours,
    PamSystemd,
    Other,
    /// Fails always with this code: its file is missing, or its line is broken.
    Failing(Code),
    /// No module: the lines of a substack follow.
    Substack,
}

/// How many lines of a stack's text call a module, whatever it includes.
#[cfg(fuzzing)]
pub(crate) fn count(text: &str) -> usize {
    let mut reader = Reader::new(&[], "sshd");
    let (account, session) = reader.text(text);
    // Whatever they are, the answers are had.
    let stack = Stack::of(&account, &session);
    assert!(stack.count(Kind::Session) <= session.len());
    let lines = account.iter().chain(&session);
    lines.filter(|it| it.module != Module::Substack).count()
}
