//! The decision, as a pure function: options, login and the node's steps in, a plan out.
//!
//! Order and outcomes are those of SchedMD's module in 26.05 (docs/differences.md has what
//! differs and why); every branch of the man page is a row of the table below.

use std::fmt;
use std::net::IpAddr;
use std::ops::ControlFlow;

use pam::ItemError;
use sys::UserLookupError;

use crate::login::{Account, Login};
use crate::node::NodeError;
use crate::options::{AdoptFailure, GenericFailure, NoJobs, Options, Unknown, shown};
use crate::stepd::spool::{Remark, SpoolProblem};

/// One of the user's own jobs on this node: its stepd said so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OwnJob {
    /// The job's number (an array task's own).
    pub job: u32,
    /// When its extern step's socket was made: ctime in whole seconds since 1970, as 26.05 compares it.
    pub started: i64,
}

impl OwnJob {
    /// Larger is newer: the socket's second, then the job's number.
    #[must_use]
    pub fn age_key(&self) -> (i64, u32) {
        (self.started, self.job)
    }
}

/// What the extern steps on this node are.
#[derive(Debug, Default)]
pub struct Steps {
    /// The user's own.
    pub own: Vec<OwnJob>,
    /// How many belong to other users.
    pub others: usize,
    /// The one of the user's own that this process comes from, if that was looked at.
    pub holder: Option<u32>,
    /// Jobs whose stepd did not answer in time: counted as nobody's.
    pub silent: Vec<u32>,
    /// Jobs whose stepd gave no usable answer, and what it did instead: not counted.
    pub failed: Vec<(u32, String)>,
    /// Why the spool directory could not be looked at: counted as no steps at all.
    pub problem: Option<SpoolProblem>,
    /// Whether a permission to reach one of the failed was missing.
    pub is_denied: bool,
    /// The node's name and spool directory, where none are the user's.
    pub place: String,
    /// What is seen there and may be why.
    pub remarks: Vec<Remark>,
}

/// What is known of the job that the connection comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Caller {
    /// It does not matter.
    NotAsked,
    /// The slurmd at the source says which. No more than a hint: the job counts only if a stepd
    /// here says that it is the user's.
    Job {
        /// The job's number.
        job: u32,
        /// Where the slurmd is.
        source: IpAddr,
    },
    /// It can't be found out, and why.
    Unknown(String),
}

/// The phase that a plan is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
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

impl Stage {
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

    fn keep_nobody_out(&mut self) {
        let let_in = |answer: &mut Answer| {
            if *answer == Answer::Deny {
                *answer = Answer::Ignore;
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
                    plan.keep_nobody_out();
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
        why: String,
    },
    /// It started last but for those that did not take the login.
    NextNewest {
        /// Of how many.
        of: usize,
        /// The last of those.
        refused: u32,
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
        /// Why.
        why: String,
    },
    /// Adopted, or will be by the session phase.
    Job(Choice),
    /// The stepd would not have the process; its words.
    Refused(String),
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
        Ok(service) if !acts_for(options, service) => {
            return verdict(Answer::Ignore, Reason::OtherService(service.clone()));
        }
        Ok(_) => {}
    }
    match &login.account {
        Account::Missing(error) => verdict(Answer::SessionError, Reason::NoUser(*error)),
        Account::Unknown(error) => {
            let cause = match error {
                UserLookupError::Unknown => "no such user".to_owned(),
                UserLookupError::Failed(_) => error.to_string(),
            };
            verdict(Answer::SessionError, Reason::UnknownUser(cause))
        }
        Account::Known { uid: 0 } => verdict(Answer::Ignore, Reason::Root),
        Account::Known { uid } => ControlFlow::Continue(*uid),
    }
}

/// Whether the module acts for this PAM service.
#[must_use]
pub fn acts_for(options: &Options, service: &str) -> bool {
    // slurmstepd's own: it would be moved itself (UsePAM=1 in slurm.conf; `pam_ses.c`).
    const SLURMS: &str = "slurm";
    let mut services = options.service.split(',');
    services.any(|it| it == service || it == "*" && service != SLURMS)
}

/// Whether the answer depends on which job the connection comes from.
#[must_use]
pub fn wants_caller(options: &Options, stage: Stage, steps: &Steps) -> bool {
    let settled = [stage.chosen(), steps.holder];
    if steps.own.iter().any(|it| settled.contains(&Some(it.job))) {
        return false;
    }
    match steps.own.len() {
        0 => false,
        1 => !options.single_job_skip_rpc,
        _ => true,
    }
}

/// The plan for a user who is neither root nor unknown, on a node whose extern steps are `steps`.
pub fn plan(
    options: &Options,
    stage: Stage,
    steps: Result<Steps, NodeError>,
    caller: Caller,
) -> Plan {
    let mut plan = strict_plan(options, stage, steps, caller);
    plan.if_silent(silent(options, stage));
    if !stage.may_deny() {
        plan.keep_nobody_out();
    }
    plan
}

fn strict_plan(
    options: &Options,
    stage: Stage,
    steps: Result<Steps, NodeError>,
    caller: Caller,
) -> Plan {
    let steps = match steps {
        Ok(steps) => steps,
        Err(error) => {
            let reason = Reason::Node(error);
            return Plan::Settle(generic_failure(options, stage, reason));
        }
    };
    if steps.own.is_empty() {
        return Plan::Settle(without_job(options, stage, steps));
    }
    let count = steps.own.len();
    let is_own = |job: u32| steps.own.iter().any(|it| it.job == job);
    if let Some(job) = stage.chosen().filter(|job| is_own(*job)) {
        let why = format!("job {job}, which the account phase chose, did not take it");
        let instead = without_caller(options, &but(steps.own, job), count, why);
        return adopt(options, job, Choice::Chosen, instead);
    }
    if let Some(job) = steps.holder.filter(|job| is_own(*job)) {
        return adopt(options, job, Choice::Holder, None);
    }
    let why = match caller {
        Caller::Job { job, source } if is_own(job) => {
            let why = format!("job {job}, which the connection comes from, did not take it");
            let instead = without_caller(options, &but(steps.own, job), count, why);
            return adopt(options, job, Choice::Caller { source }, instead);
        }
        Caller::Job { job, .. } if steps.silent.contains(&job) => silence(&[job]),
        Caller::Job { job, source } => {
            format!("slurmd at {source} says job {job}, which is none of this user's here")
        }
        Caller::Unknown(why) => why,
        Caller::NotAsked => "not asked".to_owned(),
    };
    match without_caller(options, &steps.own, count, why) {
        Some(plan) => plan,
        None => Plan::Settle(without_job(options, stage, steps)),
    }
}

fn but(mut own: Vec<OwnJob>, job: u32) -> Vec<OwnJob> {
    own.retain(|it| it.job != job);
    own
}

/// The verdict on a user without a job here.
fn without_job(options: &Options, stage: Stage, steps: Steps) -> Verdict {
    let admission = match stage {
        Stage::Account => {
            let (answer, reason) = (no_jobs(options), Reason::NoJob(steps));
            return Verdict { answer, reason };
        }
        Stage::Session(admission) => admission,
    };
    match admission {
        Admission::Ours { job: Some(job) } if steps.silent.contains(&job) => Verdict {
            answer: silent(options, stage),
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
    let cause = match job {
        Some(job) => format!("job {job}, which the account phase chose: {reason}"),
        None => format!("the record of the account phase is missing or another user's: {reason}"),
    };
    Verdict {
        answer: adopt_failure(options),
        reason: Reason::Refused(cause),
    }
}

/// One of `own`, the user's jobs that are left of `count`; nothing if none is left.
fn without_caller(options: &Options, own: &[OwnJob], count: usize, why: String) -> Option<Plan> {
    if own.is_empty() {
        return None;
    }
    let choice = match (count, options.unknown) {
        (1, _) => Choice::OnlyJob,
        (of, Unknown::Newest) => Choice::Newest { of, why },
        (_, Unknown::Allow) => return Some(several(Answer::Allow, count, why)),
        (_, Unknown::Deny) => return Some(several(Answer::Deny, count, why)),
    };
    // The newest may be on its way out while another runs. The chain is made from its end, the oldest.
    // (Without a sort: that would be 5 KB of code, for jobs that are few.)
    let mut left = own.to_vec();
    let mut plan = None;
    while let Some(oldest) = take_oldest(&mut left) {
        let next = left.iter().min_by_key(|it| it.age_key());
        let choice = match next {
            Some(next) => Choice::NextNewest {
                of: count,
                refused: next.job,
            },
            None => choice.clone(),
        };
        plan = Some(adopt(options, oldest.job, choice, plan));
    }
    plan
}

fn take_oldest(jobs: &mut Vec<OwnJob>) -> Option<OwnJob> {
    let (index, _) = jobs.iter().enumerate().min_by_key(|(_, it)| it.age_key())?;
    Some(jobs.swap_remove(index))
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
pub fn generic_failure(options: &Options, stage: Stage, reason: Reason) -> Verdict {
    let answer = match (stage, options.generic_failure) {
        (Stage::Session(Admission::Ours { job }), _) => {
            return failed_after_account(options, job, reason);
        }
        (Stage::Session(Admission::Others), GenericFailure::Deny) => Answer::Ignore,
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
fn silent(options: &Options, stage: Stage) -> Answer {
    match (stage, no_jobs(options)) {
        // The user is in by our word alone: nobody else's may count.
        (Stage::Session(Admission::Ours { .. }), Answer::Ignore) => adopt_failure(options),
        (_, answer) => answer,
    }
}

fn several(answer: Answer, count: usize, why: String) -> Plan {
    Plan::Settle(Verdict {
        answer,
        reason: Reason::Several { count, why },
    })
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OtherService(name) => {
                write!(f, "service is «{}», not the one of service=", shown(name))
            }
            Self::NoService(error) => write!(f, "no PAM_SERVICE: {error}"),
            Self::NoUser(error) => write!(f, "no PAM_USER: {error}"),
            Self::UnknownUser(cause) => f.write_str(cause),
            Self::Root => f.write_str("root always passes"),
            Self::Node(error) => write!(f, "{error}"),
            Self::Panicked(cause) => write!(f, "internal error: {}", shown(cause)),
            Self::NoJob(Steps {
                others,
                silent,
                failed,
                problem,
                place,
                remarks,
                ..
            }) => {
                match problem {
                    Some(problem) => write!(f, "spool directory: {problem}")?,
                    None => write!(f, "no job of this user here, {others} of others")?,
                }
                if !place.is_empty() {
                    write!(f, " ({place})")?;
                }
                if !silent.is_empty() {
                    write!(f, "; {}", silence(silent))?;
                }
                if let [(job, cause), rest @ ..] = &failed[..] {
                    write!(f, "; slurmstepd of job {job}: {cause}")?;
                    if !rest.is_empty() {
                        write!(f, " (and {} more)", rest.len())?;
                    }
                }
                for remark in remarks {
                    write!(f, "; {remark}")?;
                }
                Ok(())
            }
            Self::Several { count, why } => write!(
                f,
                "{count} jobs here and no telling which the connection comes from: {why}"
            ),
            Self::Job(Choice::OnlyJob) => f.write_str("the only job of this user here"),
            Self::Job(Choice::Chosen) => f.write_str("the account phase chose it"),
            Self::Job(Choice::Holder) => f.write_str("the process comes from it"),
            Self::Job(Choice::Caller { source }) => {
                write!(f, "the connection comes from it, says slurmd at {source}")
            }
            Self::Job(Choice::Newest { of, why }) => write!(
                f,
                "the newest of {of} jobs here; where the connection comes from is not known: {why}"
            ),
            Self::Job(Choice::NextNewest { of, refused }) => write!(
                f,
                "the newest of {of} jobs here that took the login: job {refused} did not"
            ),
            Self::Refused(cause) => write!(f, "adoption failed: {cause}"),
            Self::Suspended { job } => write!(f, "adoption failed: job {job} is suspended"),
            Self::StepdSilent { job } => f.write_str(&silence(&[*job])),
        }
    }
}

/// «slurmstepd of job 103 does not answer»; of many the first few.
#[must_use]
pub fn silence(jobs: &[u32]) -> String {
    const NAMED: usize = 3;
    let named: Vec<_> = jobs.iter().take(NAMED).map(u32::to_string).collect();
    match jobs {
        [job] => format!("slurmstepd of job {job} does not answer"),
        _ if jobs.len() <= NAMED => {
            format!("slurmstepds of jobs {} do not answer", named.join(", "))
        }
        _ => format!(
            "slurmstepds of jobs {} and {} more do not answer",
            named.join(", "),
            jobs.len() - NAMED
        ),
    }
}

#[cfg(test)]
mod tests;
