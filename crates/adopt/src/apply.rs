//! Carries a plan out: the only effects that a login has on the process.

use std::cell::OnceCell;

use pam::Handle;

use crate::adoption::limits::JobLimits;
use crate::adoption::suspended;
use crate::adoption::{self, AdoptError, Adopted, Join, Was};
use crate::decide::{Answer, Choice, Plan, Reason, Verdict};
use crate::log::{Log, said};
use crate::options::{Limits, Options};
use crate::session::record::{Key, Record};
use crate::session::{self, Host};
use crate::stack::Stack;
use crate::{Call, Inquiry, Phase};

/// What became of a login.
#[derive(Debug)]
pub struct Outcome {
    /// The answer and its reason.
    pub verdict: Verdict,
    /// The job that the plan was about.
    pub job: Option<u32>,
    /// How the process came to be in it, in the session phase.
    pub place: Option<Was>,
}

impl From<Verdict> for Outcome {
    /// Nothing was done.
    fn from(verdict: Verdict) -> Self {
        Self {
            verdict,
            job: None,
            place: None,
        }
    }
}

impl Outcome {
    /// The process is in that job already, where the account phase put it.
    #[must_use]
    pub fn stays(job: u32) -> Self {
        Self {
            verdict: Verdict {
                answer: Answer::Adopted,
                reason: Reason::Job(Choice::Chosen),
            },
            job: Some(job),
            place: Some(Was::Inside),
        }
    }
}

/// The effects, so that the tests below can see what is done without a stepd and a libpam.
pub trait Effects {
    /// Puts the process into the user's job.
    ///
    /// # Errors
    /// [`AdoptError`].
    fn adopt(&mut self, job: u32) -> Result<Adopted, AdoptError>;

    /// Sets a variable in the login's environment.
    ///
    /// # Errors
    /// libpam's code.
    fn put_env(&mut self, name: &str, value: &str) -> Result<(), i32>;
}

/// Does what the plan says; all choices are in the plan.
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
        let mut place = None;
        let done = match effects.adopt(job) {
            Err(AdoptError::Suspended) if instead.is_some() => {
                Err(AdoptError::Refused("it is suspended".to_owned()))
            }
            done => done,
        };
        let (answer, reason) = match done {
            Ok(mut adopted) => {
                set_environment(job, &adopted, effects, log);
                place = adopted.was.take();
                let answer = match adopted.later {
                    true => Answer::Chosen,
                    false => Answer::Adopted,
                };
                (answer, Reason::Job(choice))
            }
            Err(AdoptError::NotJoined(cause)) => {
                // As far as it goes: the process is in the job's cgroup.
                set_environment(job, &Adopted::default(), effects, log);
                (if_refused, Reason::Refused(cause))
            }
            Err(AdoptError::Suspended) => (if_refused, Reason::Suspended { job }),
            Err(AdoptError::NotHeld(cause)) => (if_refused, Reason::Refused(cause)),
            Err(AdoptError::Silent) => (if_silent, Reason::StepdSilent { job }),
            Err(AdoptError::Failed(cause)) if !even_if_failed => {
                (if_refused, Reason::Refused(cause))
            }
            Err(AdoptError::Refused(cause) | AdoptError::Failed(cause)) => match instead {
                Some(next) => {
                    let which = match choice {
                        Choice::Caller { .. } => "where the connection comes from",
                        Choice::Newest { .. } => "the newest here",
                        Choice::NextNewest { .. } => "the next newest here",
                        Choice::Chosen => "which the account phase chose",
                        Choice::Holder => "which the process comes from",
                        Choice::OnlyJob => "the only one here",
                    };
                    log.error(|| format!("job {job}, {which}: {cause}"));
                    plan = *next;
                    continue;
                }
                None => (if_refused, Reason::Refused(cause)),
            },
        };
        let verdict = Verdict { answer, reason };
        return Outcome {
            verdict,
            job: Some(job),
            place,
        };
    }
}

/// The effects of a real login.
pub(crate) struct Live<'a> {
    handle: &'a Handle,
    phase: Phase,
    service: &'a str,
    pid: u32,
    uid: u32,
    options: &'a Options,
    inquiry: Inquiry,
    /// What the account phase left.
    record: Option<&'a Record>,
    stack: OnceCell<Stack>,
    log: Log<'a>,
}

impl<'a> Live<'a> {
    /// Those of a call that has been decided.
    pub(crate) fn new(call: &'a Call<'_>, inquiry: Inquiry, record: Option<&'a Record>) -> Self {
        Self {
            handle: call.handle,
            phase: call.phase,
            service: call.service(),
            pid: call.login.pid,
            uid: call.login.uid().unwrap_or(u32::MAX),
            options: &call.options,
            inquiry,
            record,
            stack: OnceCell::new(),
            log: call.log,
        }
    }

    /// Whether a session line of ours is sure to follow.
    fn session_follows(&self) -> Result<(), String> {
        let stack = self.stack.get_or_init(|| Stack::read(self.service));
        session::adopts_later(stack)
    }

    /// Puts the process into the job, or leaves that to the session phase where this process is none that
    /// stays.
    fn adopt_in_account(&mut self, job: u32) -> Result<Adopted, AdoptError> {
        let host = Host::find().map_err(|error| AdoptError::NotHeld(said(error)))?;
        if host == Host::Helper {
            self.session_follows().map_err(AdoptError::NotHeld)?;
            let Inquiry {
                census, deadline, ..
            } = &mut self.inquiry;
            suspended::look(census, job, deadline, self.log)?;
            let record = self.new_record(job);
            let left = record.leave(&Key::of(self.options));
            left.map_err(|error| {
                AdoptError::NotHeld(format!("leave a note for the session phase: {error}"))
            })?;
            return Ok(Adopted {
                later: true,
                ..Adopted::default()
            });
        }
        let mut adopted = self.adopt_now(job)?;
        // Where a login comes from is no news.
        adopted.was = None;
        let mut record = self.new_record(job);
        record.held.clone_from(&adopted.held);
        record.leaves_namespaces = adopted.leaves_namespaces;
        // A session phase that finds none looks for itself.
        if let Err(cause) = record.keep(&Key::of(self.options), self.handle) {
            let line = || format!("leave word for the session phase: {cause}");
            self.log.error(line);
        }
        Ok(adopted)
    }

    fn adopt_in_session(&mut self, job: u32) -> Result<Adopted, AdoptError> {
        let is_wanted = self.options.limits == Limits::Job;
        let Inquiry {
            census, deadline, ..
        } = &self.inquiry;
        // Before the namespaces are entered: from within the processes may not be seen.
        let limits = is_wanted.then(|| JobLimits::ask(census, job, deadline, self.log));
        let adopted = self.adopt_now(job)?;
        if let Some(limits) = limits {
            limits.set(self.log);
        }
        Ok(adopted)
    }

    fn adopt_now(&mut self, job: u32) -> Result<Adopted, AdoptError> {
        let mut census = std::mem::take(&mut self.inquiry.census);
        // Other hosts need not open a session for whom they let in.
        let follows = || self.service == session::SSHD && self.session_follows().is_ok();
        let was_held = self.record.and_then(|it| Some((it.job?, &it.held)));
        let request = adoption::Request {
            pid: self.pid,
            join: match (self.options.join_container, self.phase) {
                (false, _) => Join::Nobody,
                (true, Phase::Account) => Join::UnlessSessionFollows(&follows),
                (true, _) => Join::Now,
            },
            x11: !self.options.disable_x11,
            may_be_inside: self.phase != Phase::Account,
            was_held,
        };
        let adopted = adoption::adopt(&mut census, job, request, &self.inquiry.deadline, self.log);
        self.inquiry.census = census;
        adopted
    }

    fn new_record(&self, job: u32) -> Record {
        let left = self.inquiry.deadline.remaining();
        let used = self.options.timeout.saturating_sub(left);
        let mut record = Record::new(self.options, self.uid, used);
        record.job = Some(job);
        record
    }
}

impl Effects for Live<'_> {
    fn adopt(&mut self, job: u32) -> Result<Adopted, AdoptError> {
        match self.phase {
            Phase::Account => self.adopt_in_account(job),
            Phase::OpenSession | Phase::CloseSession => self.adopt_in_session(job),
        }
    }

    fn put_env(&mut self, name: &str, value: &str) -> Result<(), i32> {
        self.handle.put_env(name, value)
    }
}

/// Names the job in the login's environment.
pub(crate) fn put_job(job: u32, handle: &Handle, log: Log<'_>) {
    if let Err(code) = handle.put_env(JOB_ID, &job.to_string()) {
        log.error(|| format!("pam_putenv {JOB_ID}: libpam's code {code}"));
    }
}

const JOB_ID: &str = "SLURM_JOB_ID";

fn set_environment(job: u32, adopted: &Adopted, effects: &mut dyn Effects, log: Log<'_>) {
    let mut put = |name: &str, value: &str| {
        if let Err(code) = effects.put_env(name, value) {
            log.error(|| format!("pam_putenv {name}: libpam's code {code}"));
        }
    };
    put(JOB_ID, &job.to_string());
    if let Some(display) = &adopted.display {
        put("DISPLAY", display);
    }
    if let Some(authority) = &adopted.authority {
        put("XAUTHORITY", authority);
    }
}

#[cfg(test)]
mod tests {
    use pam::Severity;

    use super::*;
    use crate::log::Sink;
    use crate::options::LogLevel;

    struct Silent;

    impl Sink for Silent {
        fn line(&self, _: Severity, _: &str) {}
    }

    /// Answers in the stepds' place, and keeps what was asked and what was put into the environment.
    #[derive(Default)]
    struct Fake {
        stepds: Vec<(u32, Result<Adopted, AdoptError>)>,
        env: Vec<String>,
    }

    impl Effects for Fake {
        fn adopt(&mut self, job: u32) -> Result<Adopted, AdoptError> {
            assert!(!self.stepds.is_empty(), "job {job} was asked as well");
            let (expected, answer) = self.stepds.remove(0);
            assert_eq!(job, expected);
            answer
        }

        fn put_env(&mut self, name: &str, value: &str) -> Result<(), i32> {
            self.env.push(format!("{name}={value}"));
            Ok(())
        }
    }

    fn run(plan: Plan, stepds: Vec<(u32, Result<Adopted, AdoptError>)>) -> (Outcome, Vec<String>) {
        let mut fake = Fake {
            stepds,
            ..Fake::default()
        };
        let log = Log::new(&Silent, LogLevel::Debug);
        let outcome = apply(plan, &mut fake, log);
        assert!(fake.stepds.is_empty(), "not asked: {:?}", fake.stepds);
        (outcome, fake.env)
    }

    fn into(job: u32, instead: Option<Plan>) -> Plan {
        Plan::Adopt {
            job,
            choice: Choice::OnlyJob,
            instead: instead.map(Box::new),
            even_if_failed: false,
            if_refused: Answer::Allow,
            if_silent: Answer::Deny,
        }
    }

    fn refused() -> Result<Adopted, AdoptError> {
        Err(AdoptError::Refused("no".into()))
    }

    #[test]
    fn what_a_stepds_answer_comes_to() {
        let with_x11 = Adopted {
            display: Some("localhost:10.0".into()),
            authority: Some("/tmp/a".into()),
            ..Adopted::default()
        };
        let later = Adopted {
            later: true,
            ..Adopted::default()
        };
        let job = "SLURM_JOB_ID=7";
        for (stepd, answer, env) in [
            (Ok(Adopted::default()), Answer::Adopted, vec![job]),
            (
                Ok(with_x11),
                Answer::Adopted,
                vec![job, "DISPLAY=localhost:10.0", "XAUTHORITY=/tmp/a"],
            ),
            (Ok(later), Answer::Chosen, vec![job]),
            (refused(), Answer::Allow, vec![]),
            (Err(AdoptError::NotHeld("x".into())), Answer::Allow, vec![]),
            (
                Err(AdoptError::NotJoined("x".into())),
                Answer::Allow,
                vec![job],
            ),
            (Err(AdoptError::Silent), Answer::Deny, vec![]),
        ] {
            let (outcome, found) = run(into(7, None), vec![(7, stepd)]);
            assert_eq!((outcome.verdict.answer, outcome.job), (answer, Some(7)));
            assert_eq!(found, env, "{answer:?}");
        }
    }

    #[test]
    fn another_job_only_where_nothing_was_changed() {
        let next = || Some(into(8, None));
        let good = || Ok(Adopted::default());
        let (outcome, env) = run(into(7, next()), vec![(7, refused()), (8, good())]);
        assert_eq!(
            (outcome.verdict.answer, outcome.job),
            (Answer::Adopted, Some(8))
        );
        assert_eq!(env, ["SLURM_JOB_ID=8"]);
        let (outcome, _) = run(into(7, next()), vec![(7, refused()), (8, refused())]);
        assert_eq!(
            (outcome.verdict.answer, outcome.job),
            (Answer::Allow, Some(8))
        );
        for (stepd, answer) in [
            (AdoptError::NotJoined("x".into()), Answer::Allow),
            (AdoptError::NotHeld("x".into()), Answer::Allow),
            (AdoptError::Failed("x".into()), Answer::Allow),
            (AdoptError::Silent, Answer::Deny),
        ] {
            let (outcome, _) = run(into(7, next()), vec![(7, Err(stepd))]);
            assert_eq!((outcome.verdict.answer, outcome.job), (answer, Some(7)));
        }
    }

    #[test]
    fn a_failed_attempt_counts_as_a_refusal_where_the_plan_says_so() {
        let Plan::Adopt {
            job,
            choice,
            instead,
            if_refused,
            if_silent,
            ..
        } = into(7, Some(into(8, None)))
        else {
            panic!("it adopts")
        };
        let plan = Plan::Adopt {
            job,
            choice,
            instead,
            even_if_failed: true,
            if_refused,
            if_silent,
        };
        let failed = Err(AdoptError::Failed("x".into()));
        let (outcome, _) = run(plan, vec![(7, failed), (8, Ok(Adopted::default()))]);
        assert_eq!(
            (outcome.verdict.answer, outcome.job),
            (Answer::Adopted, Some(8))
        );
    }

    #[test]
    fn what_is_settled_has_no_effect() {
        let verdict = Verdict {
            answer: Answer::Ignore,
            reason: Reason::Root,
        };
        let (outcome, env) = run(Plan::Settle(verdict), vec![]);
        assert_eq!(
            (outcome.verdict.answer, outcome.job),
            (Answer::Ignore, None)
        );
        assert!(env.is_empty());
    }
}
