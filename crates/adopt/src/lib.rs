//! From an ssh login to its Slurm job: who logs in ([`login`]), what node this is ([`node`]),
//! whose jobs run here ([`stepd`]), which of them the connection comes from ([`callerid`]), what that
//! means ([`decide`]), doing it ([`apply`], [`adoption`]) and saying it ([`report`]). The session phase does
//! the same once more, for good.
//!
//! Facts about Slurm are in docs/protocol.md, differences from SchedMD's module in
//! docs/differences.md, what an attacker may try in docs/threat-model.md.
//!
//! Functions of some length are `#[inline(never)]`: the compiler would put all that a stage calls once
//! into one, whose frame is so large that three bytes more are needed wherever it is reached
//! (docs/adr/0007-std-from-source.md).
#![forbid(unsafe_code)]

pub mod adoption;
pub mod apply;
pub mod callerid;
mod credential;
pub mod decide;
mod exchange;
pub mod explain;
#[cfg(fuzzing)]
pub mod fuzzing;
pub mod known;
mod limits;
pub mod log;
pub mod login;
mod memo;
mod namespaces;
mod network;
pub mod node;
pub mod notes;
pub mod options;
mod place;
pub mod report;
pub mod run_dir;
pub mod runtime_dir;
mod session;
mod slurmd;
pub mod spool;
pub mod stack;
pub mod stepd;

use std::cell::OnceCell;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::{Duration, Instant};

use pam::{Handle, MessageStyle, ReturnCode};
use sys::Deadline;

use crate::adoption::{AdoptError, Adopted};
use crate::apply::{Effects, Outcome};
use crate::decide::{Answer, Caller, Plan, Reason, Stage};
use crate::limits::JobLimits;
use crate::log::Log;
use crate::login::Login;
use crate::node::{Environment, Node};
use crate::options::{Limits, Options};
use crate::run_dir::RunDir;
use crate::session::Host;
use crate::stack::{Kind, Reach, Stack};
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
#[inline(never)]
pub fn run(phase: Phase, handle: &Handle, args: &[Vec<u8>]) -> ReturnCode {
    let started = Instant::now();
    let (mut options, bad_arguments) = Options::parse(args);
    let log = Log::new(handle, options.log_level);
    for bad in bad_arguments {
        log.error(|| bad.to_string());
    }
    let login = Login::from_pam(handle, &|service| decide::acts_for(&options, service));
    let uid = match decide::before(&options, &login) {
        ControlFlow::Break(verdict) => {
            return answer(phase, handle, &login, &verdict.into(), started, log);
        }
        ControlFlow::Continue(uid) => uid,
    };
    let service = login.service.as_deref().unwrap_or_default();
    let stage = match phase {
        Phase::Account => {
            session::forget(handle);
            Stage::Account
        }
        Phase::OpenSession => {
            let stack = Stack::read(service);
            session::warn_of_pam_systemd(&stack, log);
            let mark = session::mark(handle);
            if let Some(mark) = mark {
                mark.tighten(&mut options);
            }
            Stage::Session {
                chosen: mark.map(|it| it.job),
                after_account: *stack.reach(Kind::Account) != Reach::Absent,
            }
        }
        Phase::CloseSession => {
            session::close(&options, handle, uid, log);
            return ReturnCode::Success;
        }
    };
    let environment = Environment::of_service(service);
    let run_dir = RunDir::open(Path::new(run_dir::DIR), true, log);
    let ask_caller = |inquiry: &_| callerid::ask(Login::connection(handle), &options, inquiry, log);
    let host = OnceCell::new();
    let look = || {
        // What fails for want of a descriptor may succeed when stepds are no longer asked.
        if let (Stage::Account, Ok(found)) = (stage, Host::find(service)) {
            let _ = host.set(found);
        }
    };
    let asking = Asking {
        environment: &environment,
        uid,
        run_dir: &run_dir,
        ahead: stage == Stage::Account && options.join_container,
        meanwhile: &look,
    };
    let (plan, inquiry) = gather_and_decide(&options, stage, &asking, log, ask_caller);
    let mut effects = Live {
        handle,
        service,
        host: host.into_inner(),
        request: adoption::Request {
            pid: login.pid,
            join_container: options.join_container,
            x11: !options.disable_x11,
            for_good: stage != Stage::Account,
        },
        options: &options,
        inquiry,
        log,
    };
    let outcome = apply::apply(plan, &mut effects, log);
    if phase == Phase::OpenSession && outcome.verdict.answer == Answer::Adopted {
        session::make_runtime_dir(&options, handle, &login, &effects.inquiry.deadline, log);
    }
    answer(phase, handle, &login, &outcome, started, log)
}

/// What a panic anywhere in [`run`] comes to: root passes, for the rest it is a generic failure.
#[must_use]
#[inline(never)]
pub fn after_panic(phase: Phase, handle: &Handle, args: &[Vec<u8>], cause: &str) -> ReturnCode {
    let started = Instant::now();
    let (mut options, _) = Options::parse(args);
    let log = Log::new(handle, options.log_level);
    let login = Login::from_pam(handle, &|service| decide::acts_for(&options, service));
    let verdict = match decide::before(&options, &login) {
        ControlFlow::Break(verdict) => verdict,
        ControlFlow::Continue(_) => {
            let stage = match phase {
                Phase::Account => Stage::Account,
                // Whom only others let in is not kept out by a fault of ours.
                Phase::OpenSession | Phase::CloseSession => {
                    let mark = session::mark(handle);
                    if let Some(mark) = mark {
                        mark.tighten(&mut options);
                    }
                    Stage::Session {
                        chosen: mark.map(|it| it.job),
                        after_account: true,
                    }
                }
            };
            decide::generic_failure(&options, stage, Reason::Panicked(cause.to_owned()))
        }
    };
    answer(phase, handle, &login, &verdict.into(), started, log)
}

/// What asking goes on with when the plan is made.
struct Inquiry {
    node: Node,
    census: Census,
    /// Of the whole login.
    deadline: Deadline,
    /// Of all questions before the last, to the stepd that is to adopt.
    for_questions: Deadline,
}

/// Whose jobs are asked for, and how.
struct Asking<'a> {
    environment: &'a Environment,
    uid: u32,
    run_dir: &'a RunDir,
    /// As in [`Manner`].
    ahead: bool,
    /// As in [`Manner`].
    meanwhile: &'a dyn Fn(),
}

/// All that `explain` and a real login share: no effects but questions, and what is kept of their
/// answers unless the directory is only to be read. `ask_caller` is called where
/// the answer depends on the job that the connection comes from.
#[inline(never)]
fn gather_and_decide(
    options: &Options,
    stage: Stage,
    asking: &Asking<'_>,
    log: Log<'_>,
    ask_caller: impl FnOnce(&Inquiry) -> Caller,
) -> (Plan, Inquiry) {
    let &Asking { uid, run_dir, .. } = asking;
    let node = Node::find(options, asking.environment, run_dir, log);
    // Nobody can bound the user database and the disk; what they took is not the stepds' fault.
    let deadline = Deadline::after(options.timeout);
    let mut inquiry = Inquiry {
        node: Node::default(),
        census: Census::default(),
        deadline,
        for_questions: deadline.sooner(time_to_adopt(options.timeout)),
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
        meanwhile: asking.meanwhile,
    };
    let Inquiry {
        node,
        for_questions,
        ..
    } = &inquiry;
    inquiry.census = stepd::census(node, uid, run_dir, manner, for_questions, log);
    let steps = std::mem::take(&mut inquiry.census.steps);
    if !steps.silent.is_empty() {
        log.error(|| decide::silence(&steps.silent));
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

fn answer(
    phase: Phase,
    handle: &Handle,
    login: &Login,
    outcome: &Outcome,
    started: Instant,
    log: Log<'_>,
) -> ReturnCode {
    let verdict = &outcome.verdict;
    let told = report::user_text(verdict.answer, &verdict.reason)
        .map(|text| handle.tell(MessageStyle::Error, &text));
    if let Some(Err(code)) = told {
        log.debug(|| format!("tell the user: libpam's code {code}"));
    }
    let line = || report::admin_line(login, outcome, started.elapsed());
    match (phase, &verdict.answer) {
        // The account phase has said so.
        (Phase::OpenSession | Phase::CloseSession, Answer::Ignore) => log.debug(line),
        _ => log.info(line),
    }
    report::code(phase, verdict.answer)
}

/// The effects of a real login.
struct Live<'a> {
    handle: &'a Handle,
    service: &'a str,
    /// Where this is, if it has been seen.
    host: Option<Host>,
    request: adoption::Request,
    options: &'a Options,
    inquiry: Inquiry,
    log: Log<'a>,
}

impl Effects for Live<'_> {
    fn adopt(&mut self, job: u32) -> Result<Adopted, AdoptError> {
        let Inquiry {
            census, deadline, ..
        } = &mut self.inquiry;
        let host = match (self.request.for_good, self.host) {
            (true, _) => Host::Here,
            (false, Some(host)) => host,
            (false, None) => Host::find(self.service)?,
        };
        // Before the namespaces are entered: from within the processes may not be seen.
        let limits = match self.request.for_good && self.options.limits == Limits::Job {
            true => JobLimits::ask(census, job, deadline, self.log),
            false => JobLimits::default(),
        };
        let adopted = match host {
            Host::Here => adoption::adopt(census, job, self.request, deadline, self.log)?,
            _ => Adopted {
                later: true,
                ..Adopted::default()
            },
        };
        session::leave(host, self.handle, self.options, job)?;
        limits.set(self.log);
        Ok(adopted)
    }

    fn put_env(&mut self, name: &str, value: &str) -> Result<(), i32> {
        self.handle.put_env(name, value)
    }
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
