//! The log of the host that the module runs on.

use std::cell::OnceCell;

use pam::{Handle, Item, Severity};

use crate::log::journal::{self, Source};
use crate::log::{Event, Sink};
use crate::login::Entry;
use crate::text::{cut, shown};

/// The journal, with fields, where journald takes syslog; else syslog(3).
pub(crate) struct SystemLog<'a> {
    handle: &'a Handle,
    entry: Entry,
    /// Looked up for the first line.
    has_journal: OnceCell<bool>,
}

impl<'a> SystemLog<'a> {
    /// The log for one call by libpam.
    pub fn new(entry: Entry, handle: &'a Handle) -> Self {
        Self {
            handle,
            entry,
            has_journal: OnceCell::new(),
        }
    }

    fn write(&self, severity: Severity, line: &str, event: Option<&Event>) {
        let has_journal = self.has_journal.get_or_init(journal::takes_syslog);
        if !has_journal || !self.is_journaled(severity, line, event) {
            self.handle.log(severity, line);
        }
    }

    /// Sends the line to the journal. False if it did not take it, for example because it does not keep up.
    fn is_journaled(&self, severity: Severity, line: &str, event: Option<&Event>) -> bool {
        let item = |item| {
            let value = self.handle.item(item).unwrap_or_default();
            cut(&String::from_utf8_lossy(&value))
        };
        let source = Source {
            program: &sys::program_name(),
            pid: std::process::id(),
            service: &shown(&item(Item::Service)),
            phase: self.entry.phase(),
            user: &item(Item::User),
        };
        journal::send(&journal::entry(&source, severity, line, event)).is_ok()
    }
}

impl Sink for SystemLog<'_> {
    fn line(&self, severity: Severity, text: &str) {
        self.write(severity, text, None);
    }

    fn event(&self, severity: Severity, text: &str, event: &Event) {
        self.write(severity, text, Some(event));
    }
}
