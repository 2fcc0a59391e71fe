//! Where lines for the admin go, and the threshold for them.

use pam::Handle;
pub use pam::Severity;

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

/// A sink with a threshold. Text below the threshold is not even formatted.
#[derive(Clone, Copy)]
pub struct Log<'a> {
    sink: &'a dyn Sink,
    level: LogLevel,
}

impl<'a> Log<'a> {
    /// Logs to `sink` up to `level`.
    #[must_use]
    pub fn new(sink: &'a dyn Sink, level: LogLevel) -> Self {
        Self { sink, level }
    }

    /// A log that drops every line.
    #[must_use]
    pub(crate) fn silent() -> Log<'static> {
        Log::new(&Nowhere, LogLevel::Error)
    }

    /// Logs a fault that needs an admin.
    pub fn error(&self, text: impl Fn() -> String) {
        self.write(LogLevel::Error, Severity::Error, &text);
    }

    /// Logs the line that every login gets.
    pub fn info(&self, text: impl Fn() -> String) {
        self.write(LogLevel::Info, Severity::Info, &text);
    }

    /// Logs a step on the way.
    pub fn debug(&self, text: impl Fn() -> String) {
        self.write(LogLevel::Debug, Severity::Debug, &text);
    }

    /// Not generic, so that the many callers share one copy.
    fn write(&self, from: LogLevel, severity: Severity, text: &dyn Fn() -> String) {
        if self.level >= from {
            self.sink.line(severity, &text());
        }
    }
}
