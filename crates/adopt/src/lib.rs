//! From an ssh login to its Slurm job: who logs in ([`login`]), what node this is ([`node`]),
//! whose jobs run here ([`stepd`]), which of them the connection comes from ([`callerid`]), what that
//! means ([`decide`]), doing it ([`apply`], [`adoption`]) and saying it ([`report`]). The session phase looks
//! whether that has held, and puts back what was moved.
//!
//! Facts about Slurm are in docs/protocol.md, differences from SchedMD's module in
//! docs/differences.md, what an attacker may try in docs/threat-model.md.
//!
#![forbid(unsafe_code)]

mod access;
pub mod adoption;
pub mod apply;
pub mod callerid;
pub mod decide;
mod exchange;
pub mod explain;
#[cfg(fuzzing)]
pub mod fuzzing;
pub mod log;
pub mod login;
pub mod node;
pub mod options;
pub mod report;
pub mod session;
pub mod stack;
pub mod state_dir;
pub mod stepd;

use std::ops::ControlFlow;
use std::path::Path;
use std::time::{Duration, Instant};

use pam::{Handle, MessageStyle, ReturnCode};
use sys::Deadline;

use crate::adoption::cgroup::{self, Origin};
use crate::adoption::limits::JobLimits;
use crate::apply::{Live, Outcome};
use crate::decide::{Admission, Answer, Caller, Plan, Reason, Stage};
use crate::log::{Log, said};
use crate::login::Login;
use crate::node::{Environment, Node};
use crate::options::{BadArgument, Limits, Options};
use crate::session::Host;
use crate::session::record::{Key, Record};
use crate::stack::{Kind, Reach, Stack};
use crate::state_dir::StateDir;
use crate::stepd::{Census, Manner};

/// What libpam asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// pam_sm_acct_mgmt(3): may the user in, and into which job.
    Account,
    /// pam_sm_open_session(3): into that job for good.
    OpenSession,
    /// pam_sm_close_session(3).
    CloseSession,
}

/// One phase of a login, from the PAM line's arguments to PAM's code.
#[must_use]
pub fn run(phase: Phase, handle: &Handle, args: &[Vec<u8>]) -> ReturnCode {
    let (mut call, bad_arguments) = Call::new(phase, handle, args);
    if phase != Phase::CloseSession {
        for bad in bad_arguments {
            call.log.error(|| bad.to_string());
        }
        if let Some(text) = call.options.missed_service(call.service()) {
            call.log.error(|| text.clone());
        }
    }
    let uid = match decide::before(&call.options, &call.login) {
        ControlFlow::Break(verdict) => return call.answer(&verdict.into()),
        ControlFlow::Continue(uid) => uid,
    };
    if session::is_slurmds_su(call.service()) {
        let line = || "left alone: slurmd itself asks for the job's environment".to_owned();
        call.log.debug(line);
        return report::code(phase, Answer::Ignore);
    }
    let outcome = match phase {
        Phase::Account => call.account(uid),
        Phase::OpenSession => call.open_session(uid),
        Phase::CloseSession => {
            session::close(&call.options, handle, uid, call.log);
            return ReturnCode::Success;
        }
    };
    call.answer(&outcome)
}

/// What a panic anywhere in [`run`] comes to: root passes, for the rest it is a generic failure.
#[must_use]
pub fn after_panic(phase: Phase, handle: &Handle, args: &[Vec<u8>], cause: &str) -> ReturnCode {
    let (mut call, _) = Call::new(phase, handle, args);
    let outcome = match decide::before(&call.options, &call.login) {
        ControlFlow::Break(verdict) => verdict.into(),
        ControlFlow::Continue(uid) => {
            let stage = match phase {
                Phase::Account => Stage::Account,
                Phase::OpenSession | Phase::CloseSession => call.session_stage(uid).0,
            };
            let reason = Reason::Panicked(cause.to_owned());
            let outcome = decide::generic_failure(&call.options, stage, reason).into();
            if stage == Stage::Account {
                call.leave_undecided(uid, &outcome, Duration::ZERO);
            }
            outcome
        }
    };
    call.answer(&outcome)
}

/// One call of libpam's.
struct Call<'a> {
    phase: Phase,
    handle: &'a Handle,
    options: Options,
    login: Login,
    started: Instant,
    log: Log<'a>,
}

impl<'a> Call<'a> {
    fn new(phase: Phase, handle: &'a Handle, args: &[Vec<u8>]) -> (Self, Vec<BadArgument>) {
        let started = Instant::now();
        let (options, bad_arguments) = Options::parse(args);
        let log = Log::new(handle, options.log_level);
        let login = Login::from_pam(handle, &|service| decide::acts_for(&options, service));
        let call = Self {
            phase,
            handle,
            options,
            login,
            started,
            log,
        };
        (call, bad_arguments)
    }

    fn service(&self) -> &str {
        self.login.service.as_deref().unwrap_or_default()
    }

    /// May the user in, and into which job.
    fn account(&mut self, uid: u32) -> Outcome {
        let key = Key::of(&self.options);
        if Record::is_kept(&key, self.handle) {
            session::warn_if_listed_twice(&Stack::read(self.service()), self.log);
            Record::forget(&key, self.handle);
        }
        let (plan, inquiry) = self.gather(Stage::Account, uid, self.options.timeout);
        let deadline = inquiry.deadline;
        let mut effects = Live::new(self, inquiry, None);
        let outcome = apply::apply(plan, &mut effects, self.log);
        let used = self.options.timeout.saturating_sub(deadline.remaining());
        self.leave_undecided(uid, &outcome, used);
        outcome
    }

    /// Where the session runs.
    fn open_session(&mut self, uid: u32) -> Outcome {
        let (stage, record) = self.session_stage(uid);
        let left = record.as_ref().map_or(Duration::ZERO, |it| it.used);
        let left = self.options.timeout.saturating_sub(left);
        let stays = record.as_ref().and_then(|it| {
            it.job
                .filter(|_| !it.leaves_namespaces && it.held.is_unchanged())
        });
        let (outcome, deadline) = match stays {
            Some(job) => {
                let deadline = Deadline::after(left);
                self.stay(job, uid, stage, left);
                (Outcome::stays(job), deadline)
            }
            None => {
                let (plan, inquiry) = self.gather(stage, uid, left);
                let deadline = inquiry.deadline;
                let mut effects = Live::new(self, inquiry, record.as_ref());
                (apply::apply(plan, &mut effects, self.log), deadline)
            }
        };
        if outcome.verdict.answer == Answer::Adopted {
            let Self {
                options, handle, ..
            } = &*self;
            session::make_runtime_dir(options, handle, &self.login, &deadline, self.log);
        }
        outcome
    }

    /// Who admitted the user, and what the account phase left for this user; its stricter options count.
    fn session_stage(&mut self, uid: u32) -> (Stage, Option<Record>) {
        let stack = Stack::read(self.service());
        session::warn_of_pam_systemd(&stack, self.log);
        let found = Record::find(&Key::of(&self.options), self.handle, self.log);
        let mut admission = session::admission(found.as_ref(), uid, &stack, self.service());
        // Users can write there: it counts against the user alone.
        let is_told = self.handle.env(c"SLURM_JOB_ID").is_some();
        if admission == Admission::Others && found.is_none() && is_told {
            admission = session::without_record(self.service());
        }
        let record = found.filter(|it| it.uid == uid);
        if let Some(record) = &record {
            record.tighten(&mut self.options);
        }
        (Stage::Session(admission), record)
    }

    /// The process is in the job already. The rest of what the line asks for keeps nobody out.
    fn stay(&self, job: u32, uid: u32, stage: Stage, left: Duration) {
        apply::put_job(job, self.handle, self.log);
        if self.options.limits == Limits::Job {
            let (_, inquiry) = self.gather(stage, uid, left);
            JobLimits::ask(&inquiry.census, job, &inquiry.deadline, self.log).set(self.log);
        }
    }

    fn gather(&self, stage: Stage, uid: u32, limit: Duration) -> (Plan, Inquiry) {
        let environment = Environment::of_service(self.service());
        let state_dir = StateDir::open(Path::new(state_dir::DIR), true, self.log);
        let asking = Asking {
            environment: &environment,
            uid,
            state_dir: &state_dir,
            limit,
            ahead: stage == Stage::Account && self.options.join_container,
            // su and its like are started from within a job; sshd is not.
            origin: match self.service() {
                session::SSHD => Origin::Process,
                _ => Origin::ProcessOrParent,
            },
        };
        let connection = || Login::connection(self.handle);
        gather_and_decide(&self.options, stage, &asking, self.log, |inquiry| {
            callerid::ask(connection(), &self.options, inquiry, self.log)
        })
    }

    /// Leaves word of a user who may come in, but is in no job: a session phase that finds no word takes that for
    /// a failure. A job that did not take the login is named: there the session line's options count too.
    fn leave_undecided(&self, uid: u32, outcome: &Outcome, used: Duration) {
        if !matches!(outcome.verdict.answer, Answer::Allow | Answer::Ignore) {
            return;
        }
        let key = Key::of(&self.options);
        let mut record = Record::new(&self.options, uid, used);
        record.job = outcome.job;
        let left = match Host::find() {
            Ok(Host::Helper) => match Stack::read(self.service()).reach(Kind::Session) {
                Reach::Absent => Ok(()),
                _ => record.leave(&key).map_err(said),
            },
            Ok(Host::Own) | Err(_) => record.keep(&key, self.handle),
        };
        if let Err(cause) = left {
            let line = || format!("leave word for the session phase: {cause}");
            self.log.error(line);
        }
    }

    fn answer(&self, outcome: &Outcome) -> ReturnCode {
        let verdict = &outcome.verdict;
        let told = report::user_text(verdict.answer, &verdict.reason)
            .map(|text| self.handle.tell(MessageStyle::Error, &text));
        if let Some(Err(code)) = told {
            let line = || format!("tell the user: libpam's code {code}");
            self.log.debug(line);
        }
        let line = || report::admin_line(&self.login, outcome, self.started.elapsed());
        match (self.phase, &verdict.answer, &verdict.reason) {
            (Phase::Account, ..) | (_, Answer::Adopted, _) => self.log.info(line),
            // Whoever admitted the user has said so, or it is no matter of ours.
            (_, Answer::Ignore, Reason::NoJob(_) | Reason::Root | Reason::OtherService(_)) => {
                self.log.debug(line)
            }
            // Who was admitted has a job and is not in it, or is kept out.
            _ => self.log.error(line),
        }
        report::code(self.phase, verdict.answer)
    }
}

/// What asking goes on with when the plan is made.
pub(crate) struct Inquiry {
    node: Node,
    pub(crate) census: Census,
    /// Of the whole login.
    pub(crate) deadline: Deadline,
    /// Of all questions before the last, to the stepd that is to adopt.
    for_questions: Deadline,
}

/// Whose jobs are asked for, and how.
struct Asking<'a> {
    environment: &'a Environment,
    uid: u32,
    state_dir: &'a StateDir,
    /// What is left of the login's deadline.
    limit: Duration,
    /// As in [`Manner`].
    ahead: bool,
    /// Where to look for the job that the process comes from.
    origin: Origin,
}

/// All that `explain` and a real login share: no effects but questions, and what is kept of their
/// answers unless the directory is only to be read. `ask_caller` is called where
/// the answer depends on the job that the connection comes from.
fn gather_and_decide(
    options: &Options,
    stage: Stage,
    asking: &Asking<'_>,
    log: Log<'_>,
    ask_caller: impl FnOnce(&Inquiry) -> Caller,
) -> (Plan, Inquiry) {
    let &Asking { uid, state_dir, .. } = asking;
    let node = Node::find(options, asking.environment, state_dir, log);
    // Nobody can bound the user database and the disk; what they took is not the stepds' fault.
    let deadline = Deadline::after(asking.limit);
    let mut inquiry = Inquiry {
        node: Node::default(),
        census: Census::default(),
        deadline,
        for_questions: deadline.sooner(time_to_adopt(asking.limit)),
    };
    inquiry.node = match node {
        Ok(node) => node,
        Err(error) => {
            let plan = decide::plan(options, stage, Err(error), Caller::NotAsked);
            return (plan, inquiry);
        }
    };
    let manner = Manner {
        may_stop: decide::may_stop_at_first_job(options),
        ahead: asking.ahead,
    };
    let Inquiry {
        node,
        for_questions,
        ..
    } = &inquiry;
    inquiry.census = stepd::census(node, uid, state_dir, manner, for_questions, log);
    let mut steps = std::mem::take(&mut inquiry.census.steps);
    if !steps.silent.is_empty() {
        log.error(|| decide::silence(&steps.silent));
    }
    if steps.own.len() > 1 {
        steps.holder = cgroup::holder(&inquiry.census.own(), asking.origin);
    }
    let caller = match decide::wants_caller(options, stage, &steps) {
        true => ask_caller(&inquiry),
        false => Caller::NotAsked,
    };
    (decide::plan(options, stage, Ok(steps), caller), inquiry)
}

/// What silent stepds must leave of the deadline for the one that is to adopt.
fn time_to_adopt(timeout: Duration) -> Duration {
    (timeout / 4).min(Duration::from_secs(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silent_stepds_leave_time_to_adopt() {
        for (timeout, left) in [(100, 25), (1000, 250), (5000, 1000), (60_000, 1000)] {
            let time = time_to_adopt(Duration::from_millis(timeout));
            assert_eq!(time, Duration::from_millis(left), "of {timeout} ms");
        }
    }
}
