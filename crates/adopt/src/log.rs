//! Where lines for the admin go, their form, and the threshold for them.

pub mod event;
pub mod journal;
mod json;
mod system;

pub use pam::Severity;

pub use crate::log::event::{Decision, Event};
pub(crate) use crate::log::system::SystemLog;
use crate::options::{LogFormat, LogLevel, Options};

/// Takes finished lines: the host's log in the module, the terminal in `slurm-adopt explain`.
pub trait Sink {
    /// Writes one line.
    fn line(&self, severity: Severity, text: &str);

    /// Writes the line about a decision.
    fn event(&self, severity: Severity, text: &str, _: &Event) {
        self.line(severity, text);
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
    format: LogFormat,
}

impl<'a> Log<'a> {
    /// Logs to `sink` up to `level`, as text.
    #[must_use]
    pub fn new(sink: &'a dyn Sink, level: LogLevel) -> Self {
        Self {
            sink,
            level,
            format: LogFormat::Text,
        }
    }

    /// Logs to `sink` as the options say.
    #[must_use]
    pub(crate) fn with_options(sink: &'a dyn Sink, options: &Options) -> Self {
        Self {
            sink,
            level: options.log_level,
            format: options.log_format,
        }
    }

    /// A log that drops every line.
    #[must_use]
    pub(crate) fn silent() -> Log<'static> {
        Log::new(&Nowhere, LogLevel::Error)
    }

    /// Logs a fault that needs an admin.
    pub fn error(&self, text: impl Fn() -> String) {
        self.write(Severity::Error, &text);
    }

    /// Logs what is neither a fault nor a decision.
    pub fn info(&self, text: impl Fn() -> String) {
        self.write(Severity::Info, &text);
    }

    /// Logs a step on the way.
    pub fn debug(&self, text: impl Fn() -> String) {
        self.write(Severity::Debug, &text);
    }

    /// Logs the line that every login gets.
    pub fn event(&self, severity: Severity, event: impl Fn() -> Event) {
        if self.takes(severity) {
            let event = event();
            let line = match self.format {
                LogFormat::Text => event.text(),
                LogFormat::Json => event.json(severity),
            };
            self.sink.event(severity, &line, &event);
        }
    }

    /// Not generic, so that the many callers share one copy.
    fn write(&self, severity: Severity, text: &dyn Fn() -> String) {
        if self.takes(severity) {
            let text = text();
            match self.format {
                LogFormat::Text => self.sink.line(severity, &text),
                LogFormat::Json => self.sink.line(severity, &json::plain(severity, &text)),
            }
        }
    }

    fn takes(&self, severity: Severity) -> bool {
        let from = match severity {
            Severity::Error => LogLevel::Error,
            Severity::Info => LogLevel::Info,
            Severity::Debug => LogLevel::Debug,
        };
        self.level >= from
    }
}

/// The word for a severity in JSON.
fn level_word(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Info => "info",
        Severity::Debug => "debug",
    }
}
