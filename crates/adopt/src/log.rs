//! Where lines for the admin go, and which of them.

use pam::{Handle, Severity};

use crate::options::LogLevel;

/// Takes finished lines: syslog in the module, the terminal in `slurm-adopt explain`.
pub trait Sink {
    /// Writes one line.
    fn line(&self, severity: Severity, text: &str);
}

impl Sink for Handle {
    fn line(&self, severity: Severity, text: &str) {
        self.log(severity, text);
    }
}

struct Nowhere;

impl Sink for Nowhere {
    fn line(&self, _: Severity, _: &str) {}
}

/// A sink with a threshold. Text below the threshold is not even made.
#[derive(Clone, Copy)]
pub struct Log<'a> {
    sink: &'a dyn Sink,
    level: LogLevel,
}

impl<'a> Log<'a> {
    /// Passes on what `level` asks for.
    #[must_use]
    pub fn new(sink: &'a dyn Sink, level: LogLevel) -> Self {
        Self { sink, level }
    }

    /// For who looks without a word.
    #[must_use]
    pub(crate) fn silent() -> Log<'static> {
        Log::new(&Nowhere, LogLevel::Error)
    }

    /// Something that needs an admin.
    pub fn error(&self, text: impl Fn() -> String) {
        self.write(LogLevel::Error, Severity::Error, &text);
    }

    /// The line that each login gets.
    pub fn info(&self, text: impl Fn() -> String) {
        self.write(LogLevel::Info, Severity::Info, &text);
    }

    /// A step on the way.
    pub fn debug(&self, text: impl Fn() -> String) {
        self.write(LogLevel::Debug, Severity::Debug, &text);
    }

    /// One function for all, not one for each place that logs: they are many.
    fn write(&self, from: LogLevel, severity: Severity, text: &dyn Fn() -> String) {
        if self.level >= from {
            self.sink.line(severity, &text());
        }
    }
}
