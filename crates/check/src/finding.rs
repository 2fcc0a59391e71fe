//! What a check is, and what it has found.

use std::ops::Range;
use std::sync::mpsc::Sender;

use serde::Serialize;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// True and worth knowing.
    Note,
    /// Works today, but not always, or not for every login or method; or something the admin wrote has no effect.
    Warning,
    /// Somebody gets in who has no job, is kept out who has one, or is not held in the job; or root is locked
    /// out; or a user can make root run code or pose as a slurmstepd.
    Failure,
}

impl Severity {
    /// Its word in the output.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Failure => "failure",
        }
    }
}

/// One way to get a set-up wrong: a row of the manual.
#[derive(Debug, PartialEq, Eq)]
pub struct Check {
    /// SA and three digits. Never reused for something else.
    pub id: &'static str,
    /// The severity of its findings, unless one says otherwise.
    pub severity: Severity,
    /// What is wrong, in one line.
    pub title: &'static str,
    /// What follows from it, for whom, and where that is written.
    pub why: &'static str,
    /// What to do.
    pub fix: &'static str,
}

/// The place of a finding: a file, and the line in it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Spot {
    /// The file, as it is named in the tree.
    pub file: String,
    /// The line, from 1.
    pub line: Option<usize>,
    /// The text of the line.
    pub text: Option<String>,
    /// The bytes of the text that are at fault.
    pub mark: Option<Range<usize>>,
}

impl Spot {
    /// A file as a whole.
    #[must_use]
    pub fn file(file: impl Into<String>) -> Self {
        Self {
            file: file.into(),
            ..Self::default()
        }
    }

    /// A line of a file.
    #[must_use]
    pub fn line(file: impl Into<String>, line: usize, text: impl Into<String>) -> Self {
        Self {
            file: file.into(),
            line: Some(line),
            text: Some(text.into()),
            mark: None,
        }
    }

    /// The line of a PAM stack.
    #[must_use]
    pub fn pam(line: &pamconf::Line) -> Self {
        let file = line.place.file.to_string_lossy().into_owned();
        let text = String::from_utf8_lossy(&line.text);
        Self::line(file, line.place.line, text.trim_end())
    }

    /// Marks the first occurrence of a text behind a sign in the line.
    #[must_use]
    pub fn mark_after(mut self, sign: char, part: &str) -> Self {
        let text = self.text.as_deref().unwrap_or_default();
        let behind = text.find(sign).map(|it| it + sign.len_utf8());
        let found = behind.and_then(|at| Some(at + text.get(at..)?.find(part)?));
        let start = found.filter(|_| !part.is_empty());
        self.mark = start.map(|it| it..it + part.len());
        self
    }

    /// Marks the first occurrence of a text in the line.
    #[must_use]
    pub fn mark(mut self, part: &str) -> Self {
        let text = self.text.as_deref().unwrap_or_default();
        let start = text.find(part).filter(|_| !part.is_empty());
        self.mark = start.map(|it| it..it + part.len());
        self
    }
}

/// One thing found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What it is an instance of.
    pub check: &'static Check,
    /// How bad it is here.
    pub severity: Severity,
    /// Where it is.
    pub spot: Option<Spot>,
    /// What is seen, with names and numbers.
    pub detail: String,
    /// What to do, if there is more to say than the check does.
    pub fix: Option<String>,
}

impl Finding {
    /// An instance of a check.
    #[must_use]
    pub fn of(check: &'static Check, detail: impl Into<String>) -> Self {
        Self {
            check,
            severity: check.severity,
            spot: None,
            detail: detail.into(),
            fix: None,
        }
    }

    /// Says where it is.
    #[must_use]
    pub fn at(self, spot: Spot) -> Self {
        let spot = Some(spot);
        Self { spot, ..self }
    }

    /// Says that it is worse or less bad here.
    #[must_use]
    pub fn as_severe_as(self, severity: Severity) -> Self {
        Self { severity, ..self }
    }

    /// Says what to do here.
    #[must_use]
    pub fn fix(self, fix: impl Into<String>) -> Self {
        let fix = Some(fix.into());
        Self { fix, ..self }
    }

    /// What to do.
    #[must_use]
    pub fn advice(&self) -> &str {
        self.fix.as_deref().unwrap_or(self.check.fix)
    }
}

/// Something that could not be looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Unseen {
    /// What.
    pub what: String,
    /// Why.
    pub why: String,
}

/// What a room says.
#[derive(Debug)]
pub(crate) enum Note {
    Finding(Finding),
    Summary(String),
    Measured(String),
    Unseen(Unseen),
    Shown,
    Done,
}

/// Takes what a room says, as it comes: what was said before the time was up is not lost.
#[derive(Debug)]
pub struct Notes {
    pub(crate) room: usize,
    pub(crate) sender: Sender<(usize, Note)>,
}

impl Notes {
    fn send(&self, note: Note) {
        // After the time is up nobody listens.
        let _ = self.sender.send((self.room, note));
    }

    /// Adds a finding.
    pub fn find(&mut self, finding: Finding) {
        self.send(Note::Finding(finding));
    }

    /// Adds a few words on what is there, for the room's line in the output: `UsePAM yes`.
    pub fn summary(&mut self, text: impl Into<String>) {
        self.send(Note::Summary(text.into()));
    }

    /// Adds to that line what differs from node to node and from hour to hour: `n018 answered in 4 ms`. Equal nodes
    /// shall print equal text with `--terse`, which leaves it out.
    pub fn measured(&mut self, text: impl Into<String>) {
        self.send(Note::Measured(text.into()));
    }

    /// Says what could not be looked at, and why.
    pub fn unseen(&mut self, what: impl Into<String>, why: impl Into<String>) {
        self.send(Note::Unseen(Unseen {
            what: what.into(),
            why: why.into(),
        }));
    }

    /// Says that what the room was asked to prove is proved.
    pub(crate) fn shown(&mut self) {
        self.send(Note::Shown);
    }

    pub(crate) fn done(&mut self) {
        self.send(Note::Done);
    }
}
