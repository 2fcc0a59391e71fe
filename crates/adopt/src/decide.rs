//! The decision, as a pure function: from options, login and the node's steps to a plan.
//!
//! Order and outcomes are those of SchedMD's module in 26.05 (docs/differences.md explains the
//! differences); every branch of the man page is a row in the tests' table.

mod plan;

use std::ops::ControlFlow;

use crate::exempt::Exemption;
use crate::facts::{Caller, Facts, OwnJob, Steps};
use crate::login::{Account, Login};
use crate::options::{AdoptFailure, GenericFailure, Mode, NoJobs, Options, Unknown};

pub use crate::decide::plan::{
    Admission, Answer, Choice, Phase, Plan, Reason, SourceUnknown, Verdict,
};

/// Decides what can be decided without knowing Slurm; root passes here.
/// `Break` holds the final verdict, `Continue` the user's uid.
pub fn before(options: &Options, login: &Login) -> ControlFlow<Verdict, u32> {
    let verdict = |answer, reason| ControlFlow::Break(Verdict { answer, reason });
    match &login.service {
        Err(error) => return verdict(Answer::BadItem, Reason::NoService(*error)),
        Ok(service) if !options.acts_for(service) => {
            return verdict(Answer::Ignore, Reason::OtherService(service.clone()));
        }
        Ok(_) => {}
    }
    match &login.account {
        Account::Missing(error) => verdict(Answer::SessionError, Reason::NoUser(*error)),
        Account::Unknown(error) => {
            let reason = Reason::UnknownUser(error.to_string());
            verdict(Answer::SessionError, reason)
        }
        Account::Known { uid: 0 } => verdict(Answer::Ignore, Reason::Root),
        Account::Known { uid } => ControlFlow::Continue(*uid),
    }
}

/// Whether the answer depends on which job the connection comes from.
#[must_use]
pub fn wants_caller(options: &Options, phase: Phase, steps: &Steps) -> bool {
    let settled = [phase.chosen(), steps.holder];
    if steps.own.iter().any(|it| settled.contains(&Some(it.job))) {
        return false;
    }
    match steps.own.len() {
        0 => false,
        1 => !options.single_job_skip_rpc,
        _ => true,
    }
}

/// Makes the plan for a user who exists and is not root.
pub fn plan(options: &Options, phase: Phase, facts: Facts) -> Plan {
    let mut plan = strict_plan(options, phase, facts);
    plan.if_silent(silent(options, phase));
    if !phase.may_deny() {
        plan.deny_nobody(Answer::Ignore);
    }
    if options.mode == Mode::AdoptOnly {
        plan.deny_nobody(Answer::Unenforced);
    }
    plan
}

/// Whether an exemption can change a verdict. Only users whom we would not admit are looked up.
#[must_use]
pub fn may_be_exempt(phase: Phase, verdict: &Verdict) -> bool {
    match (verdict.answer, &verdict.reason) {
        (Answer::Deny, _) => true,
        (Answer::Ignore, Reason::NoJob(_) | Reason::Node(_) | Reason::Panicked(_)) => {
            phase == Phase::Account
        }
        _ => false,
    }
}

/// Returns the verdict under `mode=adopt-only`.
#[must_use]
pub fn unenforced(verdict: Verdict) -> Verdict {
    Verdict {
        answer: match verdict.answer {
            Answer::Deny => Answer::Unenforced,
            answer => answer,
        },
        reason: verdict.reason,
    }
}

/// Returns the verdict on an exempt user who would be denied otherwise.
#[must_use]
pub fn exempted(denied: Verdict, by: Exemption) -> Verdict {
    Verdict {
        answer: Answer::Allow,
        reason: Reason::Exempt {
            by,
            reason: Box::new(denied.reason),
            answer: denied.answer,
        },
    }
}

/// Returns the verdict and the job of a plan if every stepd agrees.
#[must_use]
pub fn foreseen(plan: Plan) -> (Verdict, Option<u32>) {
    match plan {
        Plan::Settle(verdict) => (verdict, None),
        Plan::Adopt { job, choice, .. } => {
            let verdict = Verdict {
                answer: Answer::Adopted,
                reason: Reason::Job(choice),
            };
            (verdict, Some(job))
        }
    }
}

/// Returns the verdict under `mode=audit` for the verdict that would apply otherwise.
#[must_use]
pub fn audited(would_be: Verdict, job: Option<u32>) -> Verdict {
    Verdict {
        answer: match would_be.answer {
            Answer::Deny => Answer::Unenforced,
            // Other modules still decide about a user who is left to them.
            Answer::Ignore => Answer::Ignore,
            _ => Answer::Allow,
        },
        reason: Reason::Audit {
            answer: would_be.answer,
            job,
            reason: Box::new(would_be.reason),
        },
    }
}

/// Makes the plan of a phase that may deny.
fn strict_plan(options: &Options, phase: Phase, facts: Facts) -> Plan {
    let steps = match facts.steps {
        Ok(steps) => steps,
        Err(error) => {
            let reason = Reason::Node(error);
            return Plan::Settle(generic_failure(options, phase, reason));
        }
    };
    if steps.own.is_empty() {
        return Plan::Settle(without_job(options, phase, steps));
    }
    let count = steps.own.len();
    let is_own = |job: u32| steps.own.iter().any(|it| it.job == job);
    if let Some(job) = phase.chosen().filter(|job| is_own(*job)) {
        let why = SourceUnknown::ChosenRefused { job };
        let instead = without_caller(options, &but(steps, job), count, why);
        return adopt(options, job, Choice::Chosen, instead);
    }
    if let Some(job) = steps.holder.filter(|job| is_own(*job)) {
        return adopt(options, job, Choice::Holder, None);
    }
    let why = match facts.caller {
        Caller::Job { job, source } if is_own(job) => {
            let why = SourceUnknown::SourceRefused { job };
            let instead = without_caller(options, &but(steps, job), count, why);
            return adopt(options, job, Choice::Caller { source }, instead);
        }
        Caller::Job { job, .. } if steps.silent.contains(&job) => SourceUnknown::Silent { job },
        Caller::Job { job, source } => SourceUnknown::NotOwn { job, source },
        Caller::Unknown(cause) => SourceUnknown::Failed(cause),
        Caller::NotAsked => SourceUnknown::NotAsked,
    };
    match without_caller(options, &steps, count, why) {
        Some(plan) => plan,
        None => Plan::Settle(without_job(options, phase, steps)),
    }
}

fn but(mut steps: Steps, job: u32) -> Steps {
    steps.own.retain(|it| it.job != job);
    steps
}

/// The verdict on a user without a job here.
fn without_job(options: &Options, phase: Phase, steps: Steps) -> Verdict {
    let admission = match phase {
        Phase::Account => {
            let (answer, reason) = (no_jobs(options), Reason::NoJob(steps));
            return Verdict { answer, reason };
        }
        Phase::Session(admission) => admission,
    };
    match admission {
        Admission::Ours { job: Some(job) } if steps.silent.contains(&job) => Verdict {
            answer: silent(options, phase),
            reason: Reason::StepdSilent { job },
        },
        Admission::Ours { job } => failed_after_account(options, job, Reason::NoJob(steps)),
        Admission::Others | Admission::NoAccountLine => Verdict {
            answer: Answer::Ignore,
            reason: Reason::NoJob(steps),
        },
    }
}

/// The verdict on a session that our account phase admitted and that has no job to run in.
fn failed_after_account(options: &Options, job: Option<u32>, reason: Reason) -> Verdict {
    Verdict {
        answer: adopt_failure(options),
        reason: Reason::AfterAccount {
            job,
            reason: Box::new(reason),
        },
    }
}

/// Makes the plan if the source job is unknown. `steps` has the jobs left of the user's `count`; None if
/// there are none.
fn without_caller(
    options: &Options,
    steps: &Steps,
    count: usize,
    why: SourceUnknown,
) -> Option<Plan> {
    let own = &steps.own;
    if own.is_empty() {
        return None;
    }
    let choice = match (count, options.unknown) {
        (1, _) => Choice::OnlyJob,
        (of, Unknown::Newest) => Choice::Newest { of, why },
        (of, Unknown::Longest | Unknown::Largest) if steps.measures.is_empty() => {
            Choice::Newest { of, why }
        }
        (of, by @ (Unknown::Oldest | Unknown::Longest | Unknown::Largest)) => {
            Choice::Preferred { by, of, why }
        }
        (_, Unknown::Allow) => return Some(several(Answer::Allow, own, count, why)),
        (_, Unknown::Deny) => return Some(several(Answer::Deny, own, count, why)),
    };
    // The best job may be ending while another one runs, so the plan goes on to the next best.
    let mut best_last = own.clone();
    // Of equal ones the newest comes last.
    best_last.sort_unstable_by_key(|it| (steps.measure(it.job), it.age_key()));
    if options.unknown == Unknown::Oldest {
        best_last.reverse();
    }
    let mut plan = None;
    for (index, own) in best_last.iter().enumerate() {
        let refused = best_last.get(index + 1).map(|it| it.job);
        let choice = match (refused, &choice) {
            (None, _) => choice.clone(),
            (Some(refused), Choice::Newest { .. }) => Choice::NextNewest { of: count, refused },
            (Some(refused), _) => Choice::NextPreferred { of: count, refused },
        };
        plan = Some(adopt(options, own.job, choice, plan));
    }
    plan
}

fn adopt(options: &Options, job: u32, choice: Choice, instead: Option<Plan>) -> Plan {
    Plan::Adopt {
        job,
        // After a failed attempt another stepd would fail too, and as slowly. But if the source job's
        // stepd failed, action_unknown decides what follows.
        even_if_failed: matches!(choice, Choice::Caller { .. }),
        choice,
        instead: instead.map(Box::new),
        if_refused: adopt_failure(options),
        if_silent: no_jobs(options),
    }
}

/// The verdict if the node's configuration is unknown.
pub fn generic_failure(options: &Options, phase: Phase, reason: Reason) -> Verdict {
    let answer = match (phase, options.generic_failure) {
        (Phase::Session(Admission::Ours { job }), _) => {
            return failed_after_account(options, job, reason);
        }
        (Phase::Session(Admission::Others), GenericFailure::Deny) => Answer::Ignore,
        (_, GenericFailure::Ignore) => Answer::Ignore,
        (_, GenericFailure::Allow) => Answer::Allow,
        (_, GenericFailure::Deny) => Answer::Deny,
    };
    Verdict { answer, reason }
}

/// Whether silent stepds may be given up once one own job is known. Not with action_unknown=deny,
/// where a second job would still deny the user.
#[must_use]
pub fn may_stop_at_first_job(options: &Options) -> bool {
    options.unknown != Unknown::Deny
}

/// Whether the own jobs must be measured: their ages do not decide, and nothing better than `action_unknown` does.
#[must_use]
pub fn wants_measures(options: &Options, phase: Phase, steps: &Steps, caller: &Caller) -> bool {
    let of_caller = match caller {
        Caller::Job { job, .. } => Some(*job),
        Caller::NotAsked | Caller::Unknown(_) => None,
    };
    let settled = [phase.chosen(), steps.holder, of_caller];
    matches!(options.unknown, Unknown::Longest | Unknown::Largest)
        && steps.own.len() > 1
        && !steps.own.iter().any(|it| settled.contains(&Some(it.job)))
}

/// Whether each own stepd must answer: the newest of them need not be the one that is chosen.
#[must_use]
pub fn compares_all(options: &Options) -> bool {
    use Unknown::{Largest, Longest, Oldest};
    matches!(options.unknown, Oldest | Longest | Largest)
}

/// The number of own jobs that stepds must confirm, including the newest. If the newest is chosen anyway,
/// one is enough: no other job changes the decision.
#[must_use]
pub fn enough_jobs(options: &Options) -> usize {
    match options.unknown {
        Unknown::Newest => 1,
        _ => 2,
    }
}

fn adopt_failure(options: &Options) -> Answer {
    match options.adopt_failure {
        AdoptFailure::Allow => Answer::Allow,
        AdoptFailure::Deny => Answer::Deny,
    }
}

fn no_jobs(options: &Options) -> Answer {
    match options.no_jobs {
        NoJobs::Deny => Answer::Deny,
        NoJobs::Ignore => Answer::Ignore,
    }
}

/// The answer if the stepd that is to adopt is silent; SchedMD's module waits for ever. A user can make the job's
/// stepd hang (the job's memory is the user's), so to admit the user then would be a way around adoption.
fn silent(options: &Options, phase: Phase) -> Answer {
    match (phase, no_jobs(options)) {
        // Only our account phase admitted the user, so no other module can decide.
        (Phase::Session(Admission::Ours { .. }), Answer::Ignore) => adopt_failure(options),
        (_, answer) => answer,
    }
}

fn several(answer: Answer, own: &[OwnJob], count: usize, why: SourceUnknown) -> Plan {
    let jobs = own.iter().map(|it| it.job).collect();
    Plan::Settle(Verdict {
        answer,
        reason: Reason::Several { count, jobs, why },
    })
}

#[cfg(test)]
mod tests;
