//! The pipeline: prepare, gather, decide, apply, report.

use std::cell::OnceCell;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::Duration;

use pam::{Handle, ReturnCode};
use sys::Deadline;

use crate::adoption::cgroup::Origin;
use crate::apply::{self, Live};
use crate::callerid;
use crate::decide::{self, Answer, Phase, Plan, Reason, Verdict};
use crate::exempt::{self, Exemption};
use crate::facts::Facts;
use crate::gather::{self, Stepds};
use crate::job_env::JobEnv;
use crate::log::SystemLog;
use crate::login::{Entry, Login};
use crate::node::Environment;
use crate::options::{Mode, Options};
use crate::prepare::Prepared;
use crate::report::{self, Known, Outcome};
use crate::session::stack::Stack;
use crate::session::{self, record::Record};
use crate::state_dir::{self, StateDir};
use crate::waiting::{self, Progress};

/// Runs one phase of a login, from the PAM line's arguments to PAM's code.
#[must_use]
pub fn run(entry: Entry, handle: &Handle, args: &[Vec<u8>]) -> ReturnCode {
    let log = SystemLog::new(entry, handle);
    let call = Call::new(entry, handle, args, &log);
    let prepared = &call.prepared;
    if entry != Entry::CloseSession {
        prepared.warn_of_options();
    }
    let uid = match prepared.before_slurm() {
        ControlFlow::Break(verdict) => return call.report(&verdict.into()),
        ControlFlow::Continue(uid) => uid,
    };
    if session::is_slurmds_su(prepared.service()) {
        let line = || "ignoring slurmd's own su for a job's environment".to_owned();
        prepared.log.debug(line);
        return report::code(entry, Answer::Ignore);
    }
    if let Some(outcome) = call.switched_off(uid) {
        return call.report(&outcome);
    }
    let outcome = match entry {
        Entry::Account => call.account(uid),
        Entry::OpenSession => call.open_session(uid),
        Entry::CloseSession => {
            session::close(&prepared.options, handle, uid, prepared.log);
            return ReturnCode::Success;
        }
    };
    call.report(&outcome)
}

/// Answers after a panic in [`run`]: root passes, everything else is a generic failure.
#[must_use]
pub fn after_panic(entry: Entry, handle: &Handle, args: &[Vec<u8>], cause: &str) -> ReturnCode {
    let log = SystemLog::new(entry, handle);
    let call = Call::new(entry, handle, args, &log);
    let prepared = &call.prepared;
    let uid = match prepared.before_slurm() {
        ControlFlow::Break(verdict) => return call.report(&verdict.into()),
        ControlFlow::Continue(uid) => uid,
    };
    if let Some(outcome) = call.switched_off(uid) {
        return call.report(&outcome);
    }
    let (phase, record) = match entry {
        Entry::Account => (Phase::Account, None),
        Entry::OpenSession | Entry::CloseSession => call.session_phase(uid),
    };
    let options = stricter(&prepared.options, record.as_ref());
    let reason = Reason::Panicked(cause.to_owned());
    let failure = Plan::Settle(decide::generic_failure(&options, phase, reason));
    let deadline = Deadline::after(options.timeout);
    let verdict = call.settle(&options, phase, record.as_ref(), failure, &deadline);
    let outcome = verdict.into();
    if phase == Phase::Account {
        call.leave_word(uid, &outcome, Duration::ZERO);
    }
    call.report(&outcome)
}

/// One call by libpam.
struct Call<'a> {
    entry: Entry,
    handle: &'a Handle,
    prepared: Prepared<'a>,
    /// The node's name, once it is known.
    node: OnceCell<String>,
    /// The time that the login waited for a job, if it did.
    waited: OnceCell<Duration>,
}

impl<'a> Call<'a> {
    fn new(entry: Entry, handle: &'a Handle, args: &[Vec<u8>], log: &'a SystemLog<'_>) -> Self {
        Self {
            entry,
            handle,
            prepared: Prepared::from_pam(handle, args, log),
            node: OnceCell::new(),
            waited: OnceCell::new(),
        }
    }

    /// Decides whether the user may in, and into which job; adopts.
    fn account(&self, uid: u32) -> Outcome {
        let Prepared { options, log, .. } = &self.prepared;
        session::forget_earlier_call(options, self.handle, self.prepared.service(), *log);
        let gather = || self.gather(options, Phase::Account, uid, options.timeout);
        let (mut facts, mut stepds) = gather();
        if self.has_waited(uid, &facts, &stepds) {
            if let Some(outcome) = self.switched_off(uid) {
                return outcome;
            }
            (facts, stepds) = gather();
        }
        let deadline = stepds.whole;
        let plan = decide::plan(options, Phase::Account, facts);
        let outcome = match options.mode {
            Mode::Audit => self.audit(options, Phase::Account, plan, stepds),
            Mode::Enforce | Mode::AdoptOnly => {
                let mut effects = self.effects(options, uid, stepds, None);
                let outcome = apply::apply(plan, &mut effects, *log);
                self.or_exempt(Phase::Account, outcome, None, &deadline)
            }
        };
        let used = options.timeout.saturating_sub(deadline.remaining());
        self.leave_word(uid, &outcome, used);
        outcome
    }

    /// Waits for a job if the options say so. Whether it did: then there may be other facts.
    fn has_waited(&self, uid: u32, facts: &Facts, stepds: &Stepds) -> bool {
        let Prepared {
            options,
            login,
            log,
            ..
        } = &self.prepared;
        let from = || Login::remote_address(self.handle);
        if facts.steps.is_err()
            || !waiting::may_wait(options, self.prepared.service())
            || !waiting::may_wait_from(options, from())
        {
            return false;
        }
        let progress = Progress::of(&stepds.census.own());
        let is_exempt = || exempt::find(&options.exempt, login, &stepds.whole, *log).is_some();
        if progress == Progress::Ready || is_exempt() {
            return false;
        }
        let query = self.query(options, Phase::Account, uid, options.timeout);
        let waited = waiting::wait(&query, &login.user, &progress, &|| {
            let connection = Login::connection(self.handle).ok()??;
            sys::copy_of_tcp(&connection).ok()?
        });
        waited.is_some_and(|it| self.waited.set(it).is_ok())
    }

    /// Makes sure that the session runs in the user's job.
    fn open_session(&self, uid: u32) -> Outcome {
        let Prepared { login, log, .. } = &self.prepared;
        let (phase, record) = self.session_phase(uid);
        let options = &stricter(&self.prepared.options, record.as_ref());
        let used = record.as_ref().map_or(Duration::ZERO, |it| it.used);
        let left = options.timeout.saturating_sub(used);
        let (outcome, effects) = match record.as_ref().and_then(Record::job_that_holds) {
            Some(job) => self.stay(options, phase, uid, job, left),
            None => {
                let (facts, stepds) = self.gather(options, phase, uid, left);
                let plan = decide::plan(options, phase, facts);
                if options.mode == Mode::Audit {
                    return self.audit(options, phase, plan, stepds);
                }
                let mut effects = self.effects(options, uid, stepds, record.as_ref());
                (apply::apply(plan, &mut effects, *log), effects)
            }
        };
        let deadline = effects.stepds.whole;
        let outcome = self.or_exempt(phase, outcome, record.as_ref(), &deadline);
        if outcome.verdict.answer == Answer::Adopted {
            session::make_runtime_dir(options, self.handle, login, &deadline, *log);
            let job = outcome.job.filter(|_| options.banner);
            if let Some(banner) = job.map(|job| effects.banner(job)) {
                report::greet(&banner, self.handle, &self.prepared);
            }
        }
        outcome
    }

    /// Completes a session that is still where the account phase has put it.
    fn stay<'b>(
        &'b self,
        options: &'b Options,
        phase: Phase,
        uid: u32,
        job: u32,
        left: Duration,
    ) -> (Outcome, Live<'b>) {
        let stepds = match options.wants_more_of_job() {
            true => self.gather(options, phase, uid, left).1,
            false => Stepds::unasked(left),
        };
        let mut effects = self.effects(options, uid, stepds, None);
        effects.stay(job);
        (Outcome::stays(job), effects)
    }

    /// Admits everyone while the kill switch exists, and records that so the session phase takes it for no failure.
    fn switched_off(&self, uid: u32) -> Option<Outcome> {
        if self.entry == Entry::CloseSession {
            return None;
        }
        let outcome = Outcome::from(self.prepared.kill_switch()?);
        if self.entry == Entry::Account {
            self.leave_word(uid, &outcome, Duration::ZERO);
        }
        Some(outcome)
    }

    /// Reports what would happen, as far as that shows without adopting.
    fn audit(&self, options: &Options, phase: Phase, plan: Plan, mut stepds: Stepds) -> Outcome {
        let log = self.prepared.log;
        let plan = apply::without_suspended(plan, &mut stepds, log);
        let plan = match phase {
            Phase::Account => apply::without_helper(plan, self.prepared.service()),
            Phase::Session(_) => plan,
        };
        let verdict = self.settle(options, phase, None, plan, &stepds.whole);
        verdict.into()
    }

    /// The verdict of a plan without any effect, after mode and exemptions.
    fn settle(
        &self,
        options: &Options,
        phase: Phase,
        record: Option<&Record>,
        plan: Plan,
        deadline: &Deadline,
    ) -> Verdict {
        let (verdict, job) = decide::foreseen(plan);
        let Outcome { verdict, .. } = self.or_exempt(phase, verdict.into(), record, deadline);
        match options.mode {
            Mode::Enforce => verdict,
            Mode::AdoptOnly => decide::unenforced(verdict),
            Mode::Audit => decide::audited(verdict, job),
        }
    }

    /// Returns the outcome, or the exempt outcome if the user is exempt.
    fn or_exempt(
        &self,
        phase: Phase,
        outcome: Outcome,
        record: Option<&Record>,
        deadline: &Deadline,
    ) -> Outcome {
        if !decide::may_be_exempt(phase, &outcome.verdict) {
            return outcome;
        }
        let Prepared {
            options,
            login,
            log,
            ..
        } = &self.prepared;
        let by = match record {
            Some(record) if record.is_exempt => Some(Exemption::Recorded),
            _ => exempt::find(&options.exempt, login, deadline, *log),
        };
        match by {
            None => outcome,
            Some(by) => Outcome {
                verdict: decide::exempted(outcome.verdict, by),
                ..outcome
            },
        }
    }

    fn gather(
        &self,
        options: &Options,
        phase: Phase,
        uid: u32,
        limit: Duration,
    ) -> (Facts, Stepds) {
        let query = self.query(options, phase, uid, limit);
        let (facts, stepds) = gather::gather(&query, |scope| {
            callerid::ask(Login::connection(self.handle), scope)
        });
        if let Some(node) = &stepds.node {
            self.node.get_or_init(|| node.clone());
        }
        (facts, stepds)
    }

    fn query<'b>(
        &'b self,
        options: &'b Options,
        phase: Phase,
        uid: u32,
        limit: Duration,
    ) -> gather::Query<'b> {
        let log = self.prepared.log;
        let service = self.prepared.service();
        gather::Query {
            options,
            phase,
            uid,
            environment: Environment::of_service(service),
            state_dir: StateDir::open(Path::new(state_dir::DIR), true, log),
            limit,
            // su and its like are started from within a job; sshd is not.
            origin: match service {
                session::SSHD => Origin::Process,
                _ => Origin::ProcessOrParent,
            },
            log,
        }
    }

    fn effects<'b>(
        &'b self,
        options: &'b Options,
        uid: u32,
        stepds: Stepds,
        record: Option<&'b Record>,
    ) -> Live<'b> {
        Live {
            handle: self.handle,
            entry: self.entry,
            service: self.prepared.service(),
            pid: self.prepared.login.pid,
            uid,
            user: &self.prepared.login.user,
            options,
            stepds,
            record,
            job_env: JobEnv::default(),
            log: self.prepared.log,
        }
    }

    /// The module that admitted the user, and the account phase's record for this user.
    fn session_phase(&self, uid: u32) -> (Phase, Option<Record>) {
        let Prepared { options, log, .. } = &self.prepared;
        let service = self.prepared.service();
        let (admission, record) = session::admitted(options, self.handle, service, uid, *log);
        (Phase::Session(admission), record)
    }

    fn leave_word(&self, uid: u32, outcome: &Outcome, used: Duration) {
        let Prepared { options, log, .. } = &self.prepared;
        use Answer::{Allow, Ignore, Unenforced};
        if matches!(outcome.verdict.answer, Allow | Unenforced | Ignore) {
            let mut record = Record::new(options, uid, used);
            record.job = outcome.job;
            record.is_exempt = matches!(outcome.verdict.reason, Reason::Exempt { .. });
            session::leave_undecided(&record, options, self.handle, self.prepared.service(), *log);
        }
    }

    fn report(&self, outcome: &Outcome) -> ReturnCode {
        let known = Known {
            node: self.node.get().cloned(),
            waited: self.waited.get().copied(),
        };
        let code = report::report(self.entry, self.handle, &self.prepared, outcome, &known);
        let is_unenforced = outcome.verdict.answer == Answer::Unenforced;
        // An unenforced denial must not end the stack as a success would, for example on a `sufficient` line.
        if is_unenforced
            && self.entry == Entry::Account
            && Stack::read(self.prepared.service()).has_others()
        {
            return ReturnCode::Ignore;
        }
        code
    }
}

/// This line's options, tightened by the account line's where those are stricter.
fn stricter(options: &Options, record: Option<&Record>) -> Options {
    let mut options = options.clone();
    if let Some(record) = record {
        record.tighten(&mut options);
    }
    options
}
