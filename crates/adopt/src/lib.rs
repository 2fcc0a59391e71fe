//! From an ssh login to its Slurm job: who logs in ([`login`]), what node this is ([`node`]),
//! whose jobs run here ([`stepd`]), what that means ([`decide`]), doing it ([`apply`]) and
//! saying it ([`report`]).
//!
//! Facts about Slurm are in docs/protocol.md, differences from SchedMD's module in
//! docs/differences.md, what an attacker may try in docs/threat-model.md.
#![forbid(unsafe_code)]

pub mod apply;
pub mod decide;
pub mod explain;
pub mod log;
pub mod login;
pub mod node;
pub mod options;
pub mod report;
mod slurmd;
pub mod stepd;

use pam::{Handle, MessageStyle, ReturnCode};
use sys::Deadline;

use crate::apply::{Effects, Outcome};
use crate::decide::{Plan, Reason};
use crate::log::Log;
use crate::login::Login;
use crate::node::{Environment, Node};
use crate::options::Options;
use crate::stepd::{AdoptError, Census};

/// The account phase: one login, from the PAM line's arguments to PAM's code.
#[must_use]
pub fn account(handle: &Handle, args: &[Vec<u8>]) -> ReturnCode {
    let (options, bad_arguments) = Options::parse(args);
    let deadline = Deadline::after(options.timeout);
    let log = Log::new(handle, options.log_level);
    for bad in bad_arguments {
        log.error(|| bad.to_string());
    }
    let login = Login::from_pam(handle, |service| decide::acts_for(&options, service));
    let outcome = match decide::before(&options, &login) {
        Err(verdict) => Outcome { verdict, job: None },
        Ok(uid) => {
            let environment = Environment::of_service(login.service.as_deref().unwrap_or_default());
            let (plan, census) = gather_and_decide(&options, &environment, uid, &deadline, log);
            let mut effects = Live {
                handle,
                pid: login.pid,
                deadline: &deadline,
            };
            apply::apply(plan, census, &mut effects, log)
        }
    };
    answer(handle, &login, &outcome, &deadline, log)
}

/// What a panic anywhere in [`account`] comes to: root passes, for the rest it is a generic
/// failure.
#[must_use]
pub fn account_after_panic(handle: &Handle, args: &[Vec<u8>], cause: &str) -> ReturnCode {
    let (options, _) = Options::parse(args);
    let deadline = Deadline::after(options.timeout);
    let log = Log::new(handle, options.log_level);
    let login = Login::from_pam(handle, |service| decide::acts_for(&options, service));
    let verdict = match decide::before(&options, &login) {
        Err(verdict) => verdict,
        Ok(_) => decide::generic_failure(&options, Reason::Panicked(cause.to_owned())),
    };
    answer(
        handle,
        &login,
        &Outcome { verdict, job: None },
        &deadline,
        log,
    )
}

/// All that `explain` and a real login share: no effects but questions.
fn gather_and_decide(
    options: &Options,
    environment: &Environment,
    uid: u32,
    deadline: &Deadline,
    log: Log<'_>,
) -> (Plan, Census) {
    let node = match Node::find(options, environment, log) {
        Ok(node) => node,
        Err(error) => return (decide::plan(options, Err(error)), Census::default()),
    };
    let may_stop = decide::may_stop_at_first_job(options);
    let mut census = stepd::census(&node, uid, may_stop, deadline, log);
    let steps = std::mem::take(&mut census.steps);
    if !steps.silent.is_empty() {
        log.error(|| decide::silence(&steps.silent));
    }
    if decide::wants_caller(options, &steps) {
        log.info(|| {
            "asking the connection's source for its job is not built yet: counts as unanswered"
                .to_owned()
        });
    }
    (decide::plan(options, Ok(steps)), census)
}

fn answer(
    handle: &Handle,
    login: &Login,
    outcome: &Outcome,
    deadline: &Deadline,
    log: Log<'_>,
) -> ReturnCode {
    let verdict = &outcome.verdict;
    let told = report::user_text(verdict.answer, &verdict.reason)
        .map(|text| handle.tell(MessageStyle::Error, &text));
    if let Some(Err(code)) = told {
        log.debug(|| format!("tell the user: libpam's code {code}"));
    }
    log.info(|| report::admin_line(login, outcome, deadline.elapsed()));
    report::code(verdict.answer)
}

/// The effects of a real login.
struct Live<'a> {
    handle: &'a Handle,
    pid: u32,
    deadline: &'a Deadline,
}

impl Effects for Live<'_> {
    fn adopt(&mut self, census: Census, job: u32) -> Result<(), AdoptError> {
        census.adopt(job, self.pid, self.deadline)
    }

    fn put_env(&mut self, name: &str, value: &str) -> Result<(), i32> {
        self.handle.put_env(name, value)
    }
}
