//! The decision, as a pure function: options, login and the node's steps in, a plan out.
//!
//! Order and outcomes are those of SchedMD's module in 26.05 (docs/differences.md has what
//! differs and why); every branch of the man page is a row of the table below.

use std::net::IpAddr;
use std::ops::ControlFlow;
use std::path::PathBuf;

use pam::ItemError;

use crate::exempt::Exemption;
use crate::facts::{Caller, Facts, OwnJob, Steps};
use crate::login::{Account, Login};
use crate::node::NodeError;
use crate::options::{AdoptFailure, GenericFailure, Mode, NoJobs, Options, Unknown};

/// The phase that a plan is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Account: who has no job is kept out.
    Account,
    /// Session: the user is already admitted; decide only where the session runs.
    Session(Admission),
}

/// Who admitted the user of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// Our account phase. What fails now is a failed adoption: nothing else vouches for the user.
    Ours {
        /// The job that it chose, if its record is there. It counts only if it is the user's.
        job: Option<u32>,
    },
    /// Others: such a user is adopted if possible, and never kept out.
    Others,
    /// No account line is ours: the session line decides by its own options.
    NoAccountLine,
}

impl Phase {
    fn chosen(self) -> Option<u32> {
        match self {
            Self::Session(Admission::Ours { job }) => job,
            Self::Account | Self::Session(_) => None,
        }
    }

    /// Whether it may keep a user out.
    fn may_deny(self) -> bool {
        self != Self::Session(Admission::Others)
    }
}

/// What is to be done, with every fallback in it: whoever carries it out has no choice left.
#[derive(Debug)]
#[must_use]
pub enum Plan {
    /// Nothing to do but to answer.
    Settle(Verdict),
    /// Put the process into the job.
    Adopt {
        /// Which.
        job: u32,
        /// Why this one.
        choice: Choice,
        /// What to do if the stepd refuses and has changed nothing.
        instead: Option<Box<Plan>>,
        /// Whether that is also for a stepd that has tried to take the process and failed.
        even_if_failed: bool,
        /// What the refusal of the stepd comes to otherwise.
        if_refused: Answer,
        /// What its silence comes to.
        if_silent: Answer,
    },
}

impl Plan {
    /// What each silence comes to.
    fn if_silent(&mut self, answer: Answer) {
        if let Self::Adopt {
            if_silent, instead, ..
        } = self
        {
            *if_silent = answer;
            if let Some(next) = instead {
                next.if_silent(answer);
            }
        }
    }

    /// Puts another answer in the place of each denial.
    fn deny_nobody(&mut self, instead_of_deny: Answer) {
        let let_in = |answer: &mut Answer| {
            if *answer == Answer::Deny {
                *answer = instead_of_deny;
            }
        };
        match self {
            Self::Settle(verdict) => let_in(&mut verdict.answer),
            Self::Adopt {
                instead,
                if_refused,
                if_silent,
                ..
            } => {
                let_in(if_refused);
                let_in(if_silent);
                if let Some(plan) = instead {
                    plan.deny_nobody(instead_of_deny);
                }
            }
        }
    }
}

/// Why a job was chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    /// There is no other.
    OnlyJob,
    /// The account phase chose it.
    Chosen,
    /// This process, or the one that started it, is in it already.
    Holder,
    /// The connection comes from it.
    Caller {
        /// Where the slurmd is that says so.
        source: IpAddr,
    },
    /// It started last.
    Newest {
        /// Of how many.
        of: usize,
        /// Why it is not known from which one the connection comes.
        why: SourceUnknown,
    },
    /// It started last but for those that did not take the login.
    NextNewest {
        /// Of how many.
        of: usize,
        /// The last of those.
        refused: u32,
    },
}

/// Why the job that the connection comes from is not known, or not to be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceUnknown {
    /// The options do not ask for it.
    NotAsked,
    /// It cannot be found out.
    Failed(String),
    /// The slurmd at the source names a job that is none of this user's here.
    NotOwn {
        /// The job.
        job: u32,
        /// Where the slurmd is.
        source: IpAddr,
    },
    /// The slurmd at the source names a job whose stepd does not answer.
    Silent {
        /// The job.
        job: u32,
    },
    /// The job that the connection comes from refused the login.
    SourceRefused {
        /// The job.
        job: u32,
    },
    /// The job that the account phase chose refused the login.
    ChosenRefused {
        /// The job.
        job: u32,
    },
}

/// The answer to the host, before it becomes a PAM code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// Let the user in, inside a job.
    Adopted,
    /// Let the user in; the session phase is to adopt.
    Chosen,
    /// Let the user in.
    Allow,
    /// Let the user in although the decision was to deny: the mode does not enforce it.
    Unenforced,
    /// Keep the user out.
    Deny,
    /// Leave it to the other modules.
    Ignore,
    /// There is no such user to decide about.
    SessionError,
    /// The application did not say what it is.
    BadItem,
}

/// An answer with its reason.
#[derive(Debug)]
pub struct Verdict {
    /// The answer.
    pub answer: Answer,
    /// Why, for the log and the user.
    pub reason: Reason,
}

/// Why a login was answered as it was.
#[derive(Debug)]
pub enum Reason {
    /// The stack's service is not ours.
    OtherService(String),
    /// PAM_SERVICE is not to be had.
    NoService(ItemError),
    /// PAM_USER is not to be had.
    NoUser(ItemError),
    /// The user database does not know the user.
    UnknownUser(String),
    /// Root passes.
    Root,
    /// The kill switch is there.
    KillSwitch(PathBuf),
    /// The user is exempt, and would be denied for this reason.
    Exempt {
        /// By which option.
        by: Exemption,
        /// Why the user would be denied.
        reason: Box<Reason>,
    },
    /// `mode=audit`: what would be.
    Audit {
        /// The answer.
        answer: Answer,
        /// The job that would adopt.
        job: Option<u32>,
        /// Why.
        reason: Box<Reason>,
    },
    /// It can't be known what runs here.
    Node(NodeError),
    /// The module itself failed.
    Panicked(String),
    /// No job of the user's here that answers; what is here instead.
    NoJob(Steps),
    /// Several jobs, and no telling which.
    Several {
        /// How many.
        count: usize,
        /// Which, without one that has refused the login.
        jobs: Vec<u32>,
        /// Why.
        why: SourceUnknown,
    },
    /// Adopted, or will be by the session phase.
    Job(Choice),
    /// The stepd would not have the process; its words.
    Refused(String),
    /// Our account phase admitted the user, and the session phase finds no job for the session.
    AfterAccount {
        /// The job that the account phase chose, if its record is there.
        job: Option<u32>,
        /// What went wrong since.
        reason: Box<Reason>,
    },
    /// The job is suspended: who is put into it stops until it is resumed.
    Suspended {
        /// Which.
        job: u32,
    },
    /// The stepd was asked to adopt and did not answer.
    StepdSilent {
        /// Whose.
        job: u32,
    },
}

/// What can be said before anything about Slurm is known; root passes here.
/// `Break` is the verdict that ends the matter, `Continue` the user's uid.
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

/// The plan for a user who is neither root nor unknown.
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

/// Whether an exemption changes a verdict: only a user who would not get in by our word is asked about.
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

/// The verdict of `mode=adopt-only`.
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

/// The verdict on a user who would be denied and is exempt.
#[must_use]
pub fn exempted(denied: Verdict, by: Exemption) -> Verdict {
    Verdict {
        answer: Answer::Allow,
        reason: Reason::Exempt {
            by,
            reason: Box::new(denied.reason),
        },
    }
}

/// What a plan comes to if each stepd agrees.
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

/// The verdict of `mode=audit`, where that would be the answer.
#[must_use]
pub fn audited(would_be: Verdict, job: Option<u32>) -> Verdict {
    Verdict {
        answer: match would_be.answer {
            Answer::Deny => Answer::Unenforced,
            // Who is left to other modules is left to them.
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

/// The plan of a phase that may deny.
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
        let instead = without_caller(options, &but(steps.own, job), count, why);
        return adopt(options, job, Choice::Chosen, instead);
    }
    if let Some(job) = steps.holder.filter(|job| is_own(*job)) {
        return adopt(options, job, Choice::Holder, None);
    }
    let why = match facts.caller {
        Caller::Job { job, source } if is_own(job) => {
            let why = SourceUnknown::SourceRefused { job };
            let instead = without_caller(options, &but(steps.own, job), count, why);
            return adopt(options, job, Choice::Caller { source }, instead);
        }
        Caller::Job { job, .. } if steps.silent.contains(&job) => SourceUnknown::Silent { job },
        Caller::Job { job, source } => SourceUnknown::NotOwn { job, source },
        Caller::Unknown(cause) => SourceUnknown::Failed(cause),
        Caller::NotAsked => SourceUnknown::NotAsked,
    };
    match without_caller(options, &steps.own, count, why) {
        Some(plan) => plan,
        None => Plan::Settle(without_job(options, phase, steps)),
    }
}

fn but(mut own: Vec<OwnJob>, job: u32) -> Vec<OwnJob> {
    own.retain(|it| it.job != job);
    own
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

/// The verdict on a session that our account phase admitted and that finds no job to be in.
fn failed_after_account(options: &Options, job: Option<u32>, reason: Reason) -> Verdict {
    Verdict {
        answer: adopt_failure(options),
        reason: Reason::AfterAccount {
            job,
            reason: Box::new(reason),
        },
    }
}

/// One of `own`, the user's jobs that are left of `count`; nothing if none is left.
fn without_caller(
    options: &Options,
    own: &[OwnJob],
    count: usize,
    why: SourceUnknown,
) -> Option<Plan> {
    if own.is_empty() {
        return None;
    }
    let choice = match (count, options.unknown) {
        (1, _) => Choice::OnlyJob,
        (of, Unknown::Newest) => Choice::Newest { of, why },
        (_, Unknown::Allow) => return Some(several(Answer::Allow, own, count, why)),
        (_, Unknown::Deny) => return Some(several(Answer::Deny, own, count, why)),
    };
    // The newest may be ending while another runs: the chain goes on to the next newest.
    let mut oldest_first = own.to_vec();
    oldest_first.sort_by_key(OwnJob::age_key);
    let mut plan = None;
    for (index, own) in oldest_first.iter().enumerate() {
        let choice = match oldest_first.get(index + 1) {
            Some(newer) => Choice::NextNewest {
                of: count,
                refused: newer.job,
            },
            None => choice.clone(),
        };
        plan = Some(adopt(options, own.job, choice, plan));
    }
    plan
}

fn adopt(options: &Options, job: u32, choice: Choice, instead: Option<Plan>) -> Plan {
    Plan::Adopt {
        job,
        // Another stepd would fail as well, and as slowly; but action_unknown has its say first.
        even_if_failed: matches!(choice, Choice::Caller { .. }),
        choice,
        instead: instead.map(Box::new),
        if_refused: adopt_failure(options),
        if_silent: no_jobs(options),
    }
}

/// The verdict where it can't be known what runs here.
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

/// Whether a silent stepd may be given up once one own job is known: not where its answer could
/// still keep the user out (a second job, with action_unknown=deny).
#[must_use]
pub fn may_stop_at_first_job(options: &Options) -> bool {
    options.unknown != Unknown::Deny
}

/// How many of the user's jobs must have said that they are the user's, the newest among them: where the newest is
/// taken anyway, no other changes the decision.
#[must_use]
pub fn enough_jobs(options: &Options) -> usize {
    match options.unknown {
        Unknown::Newest => 1,
        Unknown::Allow | Unknown::Deny => 2,
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

/// The answer where the stepd that is to adopt is silent. SchedMD's module waits for ever there. To let a user
/// in who can make the own stepd hang (the job's memory is the user's) would be a way around adoption.
fn silent(options: &Options, phase: Phase) -> Answer {
    match (phase, no_jobs(options)) {
        // The user is in by our word alone: nobody else's may count.
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
