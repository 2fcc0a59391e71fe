//! Carries out a plan: the only effects that a login has on the process.

use std::path::Path;

use pam::Handle;
use pamconf::Facility;

use crate::adoption::limits::JobLimits;
use crate::adoption::suspended;
use crate::adoption::{self, AdoptError, Adopted, Join};
use crate::decide::{Answer, Choice, Plan, Reason, Verdict};
use crate::extras::{self, Extras};
use crate::gather::Stepds;
use crate::job_env::{JobEnv, Variable};
use crate::log::Log;
use crate::login::Entry;
use crate::options::{self, EnvironmentLevel, Limits, Options};
use crate::report::{self, Banner, Outcome};
use crate::session::record::{Record, RecordKey};
use crate::session::stack::Stack;
use crate::session::{self, CallingProcess, NotSure};
use crate::text::said;

/// The effects, as a trait so that the tests below run without a stepd and without libpam.
pub trait Effects {
    /// Puts the process into the user's job.
    ///
    /// # Errors
    /// [`AdoptError`].
    fn adopt(&mut self, job: u32) -> Result<Adopted, AdoptError>;

    /// The variables of the job that the last adoption was about, for the login.
    fn job_variables(&self, job: u32) -> Vec<Variable>;

    /// Sets a variable in the login's environment.
    ///
    /// # Errors
    /// libpam's code.
    fn put_env(&mut self, name: &str, value: &str) -> Result<(), pam::Code>;
}

/// Carries out the plan; the plan contains every decision.
pub fn apply(mut plan: Plan, effects: &mut dyn Effects, log: Log<'_>) -> Outcome {
    loop {
        let (job, choice, instead, even_if_failed, if_refused, if_silent) = match plan {
            Plan::Adopt {
                job,
                choice,
                instead,
                even_if_failed,
                if_refused,
                if_silent,
            } => (job, choice, instead, even_if_failed, if_refused, if_silent),
            Plan::Settle(verdict) => return verdict.into(),
        };
        let error = match effects.adopt(job) {
            Ok(adopted) => return in_job(job, adopted, choice, effects, log),
            Err(error) => error,
        };
        let tries_next = match &error {
            AdoptError::Refused(_) | AdoptError::Suspended => true,
            AdoptError::Failed(_) => even_if_failed,
            AdoptError::Silent | AdoptError::NotJoined(_) | AdoptError::NotHeld(_) => false,
        };
        if let Some(next) = instead.filter(|_| tries_next) {
            log.error(|| report::next_job_line(job, &choice, &error));
            plan = *next;
            continue;
        }
        let (answer, reason) = match error {
            AdoptError::Silent => (if_silent, Reason::StepdSilent { job }),
            AdoptError::Suspended => (if_refused, Reason::Suspended { job }),
            AdoptError::NotJoined(cause) => {
                // The process is in the job's cgroup.
                set_environment(job, &Adopted::default(), effects, log);
                (if_refused, Reason::Refused(cause))
            }
            AdoptError::Refused(cause) | AdoptError::Failed(cause) | AdoptError::NotHeld(cause) => {
                (if_refused, Reason::Refused(cause))
            }
        };
        return Outcome {
            verdict: Verdict { answer, reason },
            job: Some(job),
            place: None,
        };
    }
}

/// Completes the login of a process that is in the job, or that the session phase will put there.
fn in_job(
    job: u32,
    mut adopted: Adopted,
    choice: Choice,
    effects: &mut dyn Effects,
    log: Log<'_>,
) -> Outcome {
    set_environment(job, &adopted, effects, log);
    let answer = match adopted.is_deferred {
        true => Answer::Chosen,
        false => Answer::Adopted,
    };
    let reason = Reason::Job(choice);
    Outcome {
        verdict: Verdict { answer, reason },
        job: Some(job),
        place: adopted.before.take(),
    }
}

/// Drops suspended jobs from a plan.
pub(crate) fn without_suspended(mut plan: Plan, stepds: &mut Stepds, log: Log<'_>) -> Plan {
    loop {
        let Plan::Adopt { job, .. } = plan else {
            return plan;
        };
        let Stepds {
            census, deadline, ..
        } = stepds;
        let looked = suspended::check_running(census, job, deadline, log);
        if !matches!(looked, Err(AdoptError::Suspended)) {
            return plan;
        }
        plan = match plan {
            Plan::Adopt {
                instead: Some(next),
                ..
            } => *next,
            Plan::Adopt { if_refused, .. } => Plan::Settle(Verdict {
                answer: if_refused,
                reason: Reason::Suspended { job },
            }),
            settled @ Plan::Settle(_) => settled,
        };
    }
}

/// Adapts a plan to sshd's helper for keyboard-interactive, which does not adopt by itself.
pub(crate) fn without_helper(plan: Plan, service: &str) -> Plan {
    let Plan::Adopt { if_refused, .. } = plan else {
        return plan;
    };
    let cause = match CallingProcess::find() {
        Ok(CallingProcess::Session) => return plan,
        Ok(CallingProcess::Helper) => session::adopts_later(&Stack::read(service)).map_err(said),
        Err(error) => Err(said(error)),
    };
    match cause {
        Ok(()) => plan,
        Err(cause) => Plan::Settle(Verdict {
            answer: if_refused,
            reason: Reason::Refused(cause),
        }),
    }
}

/// The effects of a real login.
pub(crate) struct Live<'a> {
    pub handle: &'a Handle,
    pub entry: Entry,
    pub service: &'a str,
    pub pid: u32,
    pub uid: u32,
    pub user: &'a str,
    pub options: &'a Options,
    pub stepds: Stepds,
    /// The account phase's record.
    pub record: Option<&'a Record>,
    /// Variables of the last job that was to adopt.
    pub job_env: JobEnv,
    pub log: Log<'a>,
}

impl Live<'_> {
    /// Checks that a session line of this module is sure to follow.
    fn session_follows(&self) -> Result<(), NotSure> {
        session::adopts_later(&Stack::read(self.service))
    }

    /// Puts the process into the job, or leaves that to the session phase if this process does not stay.
    fn adopt_in_account(&mut self, job: u32) -> Result<Adopted, AdoptError> {
        let host = CallingProcess::find().map_err(|error| AdoptError::NotHeld(said(error)))?;
        if host == CallingProcess::Helper {
            let follows = self.session_follows();
            follows.map_err(|error| AdoptError::NotHeld(said(error)))?;
            let Stepds {
                census, deadline, ..
            } = &mut self.stepds;
            suspended::check_running(census, job, deadline, self.log)?;
            let record = self.new_record(job);
            let left = record.leave(&RecordKey::of(self.options));
            left.map_err(|error| {
                AdoptError::NotHeld(format!("record the login for the session phase: {error}"))
            })?;
            return Ok(Adopted {
                is_deferred: true,
                ..Adopted::default()
            });
        }
        let mut adopted = self.adopt_now(job)?;
        // The log line of the account phase does not say where the process was before.
        adopted.before = None;
        let mut record = self.new_record(job);
        record.held.clone_from(&adopted.held);
        record.leaves_namespaces = adopted.leaves_namespaces;
        // Without a record the session phase decides for itself.
        if let Err(cause) = record.keep(&RecordKey::of(self.options), self.handle) {
            let line = || format!("record the login for the session phase: pam_set_data: {cause}");
            self.log.error(line);
        }
        Ok(adopted)
    }

    fn adopt_in_session(&mut self, job: u32) -> Result<Adopted, AdoptError> {
        // Ask before entering the namespaces: the job's processes may be invisible from inside.
        let limits = self.job_limits(job);
        let adopted = self.adopt_now(job)?;
        limits.set(self.log);
        Ok(adopted)
    }

    /// Completes a session that is still in the job that the account phase has put it into.
    pub fn stay(&mut self, job: u32) {
        self.job_limits(job).set(self.log);
        self.job_env = self.extras().ask(&self.stepds, job);
        let log = self.log;
        set_environment(job, &Adopted::default(), self, log);
    }

    /// The limits of the job, if they are wanted.
    fn job_limits(&self, job: u32) -> JobLimits {
        let Stepds {
            census, deadline, ..
        } = &self.stepds;
        match self.options.limits {
            Limits::Job => JobLimits::ask(census, job, deadline, self.log),
            Limits::Sshd => JobLimits::default(),
        }
    }

    /// Whether the session line is sure to set at least the variables that this account line is to set.
    fn session_sets_variables(&self) -> bool {
        if self.service != session::SSHD {
            return false;
        }
        let stack = Stack::read(self.service);
        let line = stack.own_line(Facility::Session);
        let level = line.map(|it| {
            Options::read(Path::new(options::FILE), &it.arguments)
                .0
                .environment
        });
        level >= Some(self.options.environment) && session::adopts_later(&stack).is_ok()
    }

    /// The variables of the job's process. One read is enough, and what the session line sets its predecessors do not
    /// see.
    fn ask_job_env(&self, job: u32) -> JobEnv {
        let wants = self.options.environment >= EnvironmentLevel::Allocation;
        match wants && self.entry == Entry::Account && self.session_sets_variables() {
            true => JobEnv::default(),
            false => self.extras().ask(&self.stepds, job),
        }
    }

    /// The variables of the job, and the banner.
    fn extras(&self) -> Extras<'_> {
        Extras {
            options: self.options,
            uid: self.uid,
            user: self.user,
            service: self.service,
            may_greet: self.entry == Entry::OpenSession,
            log: self.log,
        }
    }

    /// What a login with a terminal is told of its job.
    pub fn banner(&self, job: u32) -> Banner {
        extras::banner(&self.stepds, job, &self.job_env)
    }

    fn adopt_now(&mut self, job: u32) -> Result<Adopted, AdoptError> {
        self.job_env = self.ask_job_env(job);
        let mut census = std::mem::take(&mut self.stepds.census);
        // Other applications need not open a session for a user whom they admit.
        let follows = || self.service == session::SSHD && self.session_follows().is_ok();
        let was_held = self.record.and_then(|it| Some((it.job?, &it.held)));
        let request = adoption::Request {
            pid: self.pid,
            join: match (self.options.join_container, self.entry) {
                (false, _) => Join::Nobody,
                (true, Entry::Account) => Join::UnlessSessionFollows(&follows),
                (true, _) => Join::Now,
            },
            x11: !self.options.disable_x11,
            may_be_inside: self.entry != Entry::Account,
            was_held,
            other_tracking: self.stepds.other_tracking.as_deref(),
        };
        let adopted = adoption::adopt(&mut census, job, request, &self.stepds.deadline, self.log);
        self.stepds.census = census;
        adopted
    }

    fn new_record(&self, job: u32) -> Record {
        let left = self.stepds.whole.remaining();
        let used = self.options.timeout.saturating_sub(left);
        let mut record = Record::new(self.options, self.uid, used);
        record.job = Some(job);
        record
    }
}

impl Effects for Live<'_> {
    fn adopt(&mut self, job: u32) -> Result<Adopted, AdoptError> {
        match self.entry {
            Entry::Account => self.adopt_in_account(job),
            Entry::OpenSession | Entry::CloseSession => self.adopt_in_session(job),
        }
    }

    fn job_variables(&self, job: u32) -> Vec<Variable> {
        self.extras().variables(&self.stepds, job, &self.job_env)
    }

    fn put_env(&mut self, name: &str, value: &str) -> Result<(), pam::Code> {
        self.handle.put_env(name, value)
    }
}

fn set_environment(job: u32, adopted: &Adopted, effects: &mut dyn Effects, log: Log<'_>) {
    let variables = effects.job_variables(job);
    let mut put = |name: &str, value: &str| {
        if let Err(code) = effects.put_env(name, value) {
            log.error(|| format!("pam_putenv {name}: {code}"));
        }
    };
    for Variable { name, value } in &variables {
        put(name, value);
    }
    if let Some(display) = &adopted.display {
        put("DISPLAY", display);
    }
    if let Some(authority) = &adopted.authority {
        put("XAUTHORITY", authority);
    }
}

#[cfg(test)]
mod tests;
