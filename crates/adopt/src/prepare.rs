//! The common start of a login, of a panic and of `explain`.

use std::ops::ControlFlow;
use std::path::Path;
use std::time::Instant;

use pam::Handle;

use crate::decide::{self, Answer, Reason, Verdict};
use crate::exempt;
use crate::log::{Log, Sink};
use crate::login::Login;
use crate::options::{BadArgument, LogLevel, Options, file};

/// A login with parsed options, before anything about Slurm is known.
pub(crate) struct Prepared<'a> {
    pub options: Options,
    pub bad_arguments: Vec<BadArgument>,
    pub login: Login,
    pub log: Log<'a>,
    pub started: Instant,
}

impl<'a> Prepared<'a> {
    /// Prepares a call by libpam; logs to `sink`.
    pub fn from_pam(handle: &Handle, args: &[Vec<u8>], sink: &'a dyn Sink) -> Self {
        let started = Instant::now();
        let (options, bad_arguments) = Options::read(Path::new(file::PATH), args);
        Self {
            login: Login::from_pam(handle, &|service| options.acts_for(service)),
            log: Log::with_options(sink, &options),
            bad_arguments,
            options,
            started,
        }
    }

    /// Prepares a dry run for a user; logs everything to `sink`.
    pub fn for_user(user: &str, service: &str, args: &[Vec<u8>], sink: &'a dyn Sink) -> Self {
        let started = Instant::now();
        let (options, bad_arguments) = Options::read(Path::new(file::PATH), args);
        let login = Login {
            service: Ok(service.to_owned()),
            ..Login::of_user(user.as_bytes())
        };
        Self {
            log: Log::new(sink, LogLevel::Debug),
            bad_arguments,
            login,
            options,
            started,
        }
    }

    /// Logs bad options.
    pub fn warn_of_options(&self) {
        for bad in &self.bad_arguments {
            self.log.error(|| bad.to_string());
        }
        if let Some(text) = self.options.missed_service(self.service()) {
            self.log.error(|| text.clone());
        }
    }

    /// Decides what can be decided without Slurm; otherwise returns the user's uid.
    pub fn before_slurm(&self) -> ControlFlow<Verdict, u32> {
        decide::before(&self.options, &self.login)
    }

    /// Admits everyone if the kill switch exists.
    pub fn kill_switch(&self) -> Option<Verdict> {
        let path = self.options.kill_switch.as_ref()?;
        exempt::is_switched_off(path, self.log).then(|| Verdict {
            answer: Answer::Allow,
            reason: Reason::KillSwitch(path.clone()),
        })
    }

    /// PAM_SERVICE; empty if there is none.
    pub fn service(&self) -> &str {
        self.login.service.as_deref().unwrap_or_default()
    }
}
