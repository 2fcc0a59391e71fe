//! Analyzes this module's lines in a PAM stack: whether they are called, and what comes after them.

mod module;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use pamconf::{
    Bypass, Code, Facility, Flavor, Handler, Item, Layout, MOST_WAYS, ReadOther, Service, Ways,
};

use crate::session::stack::module::Module;

/// Whether a stack calls this module.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Reach {
    /// No line of the stack is ours.
    #[default]
    Absent,
    /// Every way through the stack that ends in success calls us.
    Always,
    /// A way that ends in success bypasses us.
    MayBePassed(Line),
    /// Lines are ours, but the stack can succeed after any of them has failed (`optional` and the like).
    NotBinding,
}

/// A line of a stack's file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Line {
    /// Its text, shortened.
    pub text: String,
    /// FILE:LINE.
    pub place: String,
}

/// The analysis of one service.
#[derive(Debug, Default)]
pub struct Stack {
    account: Ours,
    session: Ours,
    is_empty: bool,
    is_pam_systemd_later: bool,
    runs_programs: bool,
    has_others: bool,
    unread: Option<String>,
}

#[derive(Debug, Default)]
struct Ours {
    reach: Reach,
    /// Lines of ours whose failure fails the stack.
    binding: Vec<Line>,
    first: Option<OwnLine>,
}

/// A line that calls this module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnLine {
    /// Where it is, and its text.
    pub line: Line,
    /// Its arguments, as the module gets them.
    pub arguments: Vec<Vec<u8>>,
}

/// The directories of services, in libpam's order. The last vendor directory is fixed when libpam is built:
/// openSUSE's, or the default since Linux-PAM 1.7.2 (meson_options.txt).
const DIRS: [&str; 4] = [
    "/etc/pam.d",
    "/usr/lib/pam.d",
    "/usr/etc/pam.d",
    "/usr/share/pam/pam.d",
];

/// The largest file that is read, in bytes.
const LARGEST: u64 = 1 << 20;

impl Stack {
    /// Reads the stacks of a service, as far as its files can be read.
    #[must_use]
    pub fn read(service: &str) -> Self {
        Self::read_in(&DIRS, service)
    }

    /// Reads the stacks from other directories.
    #[must_use]
    pub fn read_in(dirs: &[&str], service: &str) -> Self {
        let layout = Layout {
            dirs: dirs.iter().map(PathBuf::from).collect(),
            flavor: Flavor::Either,
        };
        // pam_start(3) keeps no path in the name; one with a path was set later and is not what libpam read.
        let name = if service.contains('/') {
            "other"
        } else {
            service
        };
        let other = ReadOther::IfLacking(&[Facility::Account, Facility::Session]);
        let mut read_file = |path: &Path| sys::read_regular(path, LARGEST);
        let read = Service::read(&layout, name, other, &mut read_file);
        Self::of(&read, service)
    }

    fn of(read: &Service, service: &str) -> Self {
        let [account, session] = [Facility::Account, Facility::Session].map(|it| read.stack(it));
        let modules = Module::each(read, session, service);
        let of_account = Module::each(read, account, service);
        let last = modules.iter().rposition(|it| *it == Module::Ours);
        let after = last
            .and_then(|last| modules.get(last..))
            .unwrap_or_default();
        let mut hidden = read.problems().iter().filter(|it| it.kind.hides_lines());
        Self {
            is_pam_systemd_later: after.contains(&Module::PamSystemd),
            runs_programs: [&modules, &of_account]
                .iter()
                .any(|it| it.contains(&Module::RunsPrograms)),
            account: Ours::of(read, Facility::Account, service),
            session: Ours::of(read, Facility::Session, service),
            is_empty: account.is_empty() && session.is_empty(),
            has_others: of_account.iter().any(Module::is_other),
            unread: hidden.next().map(|it| it.kind.to_string()),
        }
    }

    fn ours(&self, facility: Facility) -> Option<&Ours> {
        match facility {
            Facility::Account => Some(&self.account),
            Facility::Session => Some(&self.session),
            Facility::Auth | Facility::Password => None,
        }
    }

    /// How the stack calls us.
    #[must_use]
    pub fn reach(&self, facility: Facility) -> &Reach {
        self.ours(facility).map_or(&Reach::Absent, |it| &it.reach)
    }

    /// Our lines whose failure fails the stack. If there are several, each one decides.
    #[must_use]
    pub fn binding(&self, facility: Facility) -> &[Line] {
        self.ours(facility).map_or(&[], |it| &it.binding)
    }

    /// Whether other account modules answer too, so that the stack has a result if ours answers PAM_IGNORE.
    #[must_use]
    pub fn has_others(&self) -> bool {
        self.has_others
    }

    /// Returns the first line of that stack that calls us.
    #[must_use]
    pub fn own_line(&self, facility: Facility) -> Option<&OwnLine> {
        self.ours(facility)?.first.as_ref()
    }

    /// Whether both the account and the session stack are empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.is_empty
    }

    /// The first file that exists but could not be read, and the cause: lines may be missing.
    #[must_use]
    pub fn unread(&self) -> Option<&str> {
        self.unread.as_deref()
    }

    /// Whether a module of the stacks runs programs, as root, with the variables that modules have set for the login.
    /// The session stack is run through once more at the end.
    #[must_use]
    pub fn runs_programs(&self) -> bool {
        self.runs_programs
    }

    /// Whether pam_systemd's session line comes after the last one of ours.
    #[must_use]
    pub fn is_pam_systemd_later(&self) -> bool {
        self.is_pam_systemd_later
    }
}

impl Ours {
    fn of(read: &Service, facility: Facility, service: &str) -> Self {
        let stack = read.stack(facility);
        let modules = Module::each(read, stack, service);
        let is_ours = |it: &usize| modules.get(*it) == Some(&Module::Ours);
        let ours: Vec<usize> = (0..stack.len()).filter(is_ours).collect();
        if ours.is_empty() {
            return Self::default();
        }
        let known = |entry: usize| match modules.get(entry) {
            Some(Module::Missing) => Some(Code::MODULE_UNKNOWN),
            _ => None,
        };
        let ways = Ways::new(stack, &known);
        let binding = ways.binding(&ours, denial(facility));
        let line = |entry: &usize| stack.get(*entry).and_then(|it| Line::of(read, it));
        let bypass = ways.bypass(if binding.is_empty() { &ours } else { &binding });
        let reach = match bypass {
            Some(Bypass::TooManyWays) => Reach::MayBePassed(Line {
                text: format!("more than {MOST_WAYS} ways through the stack"),
                ..line(&0).unwrap_or_default()
            }),
            _ if binding.is_empty() => Reach::NotBinding,
            None => Reach::Always,
            Some(Bypass::By(entry)) => Reach::MayBePassed(line(&entry).unwrap_or_default()),
        };
        Self {
            reach,
            binding: binding.iter().filter_map(line).collect(),
            first: ours
                .first()
                .and_then(|it| OwnLine::of(read, stack.get(*it)?)),
        }
    }
}

impl OwnLine {
    fn of(read: &Service, handler: &Handler) -> Option<Self> {
        let Item::Module { arguments, .. } = &read.line(handler)?.item else {
            return None;
        };
        Some(Self {
            line: Line::of(read, handler)?,
            arguments: arguments.clone(),
        })
    }
}

/// The code with which this module denies.
fn denial(facility: Facility) -> Code {
    match facility {
        Facility::Session => Code::SESSION_ERR,
        Facility::Account | Facility::Auth | Facility::Password => Code::PERM_DENIED,
    }
}

impl Line {
    fn of(read: &Service, handler: &Handler) -> Option<Self> {
        read.line(handler).map(|line| Self {
            text: shortened(&String::from_utf8_lossy(&line.text)),
            place: line.place.to_string(),
        })
    }
}

/// Puts one blank between words, and shortens the line for the log.
fn shortened(line: &str) -> String {
    const LONGEST: usize = 120;
    let line: Vec<&str> = line.split_ascii_whitespace().collect();
    let line = line.join(" ");
    match line.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}...", line.get(..end).unwrap_or_default()),
        None => line,
    }
}
