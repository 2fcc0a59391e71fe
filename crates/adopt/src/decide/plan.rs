//! The values of a decision: phases, plans, answers and their reasons.

use std::net::IpAddr;
use std::path::PathBuf;

use pam::ItemError;

use crate::exempt::Exemption;
use crate::facts::Steps;
use crate::node::NodeError;
use crate::options::Unknown;

/// The phase that a plan is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Account: a user without a job is denied.
    Account,
    /// Session: the user is already admitted; decide only where the session runs.
    Session(Admission),
}

/// The module that admitted the user of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// Our account phase. Any failure now is a failed adoption: nothing else vouches for the user.
    Ours {
        /// The job chosen by the account phase, if its record exists. It counts only if it is the user's.
        job: Option<u32>,
    },
    /// Another module: the session phase adopts if possible and never denies.
    Others,
    /// No account line is ours: the session line decides by its own options.
    NoAccountLine,
}

impl Phase {
    /// The job that the account phase chose.
    pub(super) fn chosen(self) -> Option<u32> {
        match self {
            Self::Session(Admission::Ours { job }) => job,
            Self::Account | Self::Session(_) => None,
        }
    }

    /// Whether the phase may deny a user.
    pub(super) fn may_deny(self) -> bool {
        self != Self::Session(Admission::Others)
    }
}

/// The plan, with every fallback in it: carrying it out takes no further decision.
#[derive(Debug)]
#[must_use]
pub enum Plan {
    /// Only give this answer.
    Settle(Verdict),
    /// Put the process into the job.
    Adopt {
        /// The job.
        job: u32,
        /// The reason for choosing this job.
        choice: Choice,
        /// The next plan if the stepd refuses without having changed anything.
        instead: Option<Box<Plan>>,
        /// Whether `instead` also applies after a stepd has tried to take the process and failed.
        even_if_failed: bool,
        /// The answer if the stepd refuses and there is no other plan.
        if_refused: Answer,
        /// The answer if the stepd is silent.
        if_silent: Answer,
    },
}

impl Plan {
    /// Sets the answer to every silence.
    pub(super) fn if_silent(&mut self, answer: Answer) {
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

    /// Replaces each denial with another answer.
    pub(super) fn deny_nobody(&mut self, instead_of_deny: Answer) {
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

/// The reason for choosing a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    /// It is the user's only job.
    OnlyJob,
    /// The account phase chose it.
    Chosen,
    /// This process, or the one that started it, is already in the job.
    Holder,
    /// The connection comes from it.
    Caller {
        /// The address of the slurmd that says so.
        source: IpAddr,
    },
    /// It started last.
    Newest {
        /// The number of the user's jobs.
        of: usize,
        /// The reason why the source job is unknown.
        why: SourceUnknown,
    },
    /// `action_unknown` prefers it for another reason than its age.
    Preferred {
        /// The value of `action_unknown`.
        by: Unknown,
        /// The number of the user's jobs.
        of: usize,
        /// The reason why the source job is unknown.
        why: SourceUnknown,
    },
    /// `action_unknown` prefers it to the others that did not refuse the login.
    NextPreferred {
        /// The number of the user's jobs.
        of: usize,
        /// The last one that refused.
        refused: u32,
    },
    /// It started last of those that did not refuse the login.
    NextNewest {
        /// The number of the user's jobs.
        of: usize,
        /// The last one that refused.
        refused: u32,
    },
}

/// The reason why the source job is unknown or unusable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceUnknown {
    /// The options do not ask for it.
    NotAsked,
    /// It could not be determined, for this reason.
    Failed(String),
    /// The slurmd at the source names a job that is not one of this user's here.
    NotOwn {
        /// The job.
        job: u32,
        /// The address of the slurmd.
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

/// The answer to the application, before it becomes a PAM code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// Admit the user, inside a job.
    Adopted,
    /// Admit the user; the session phase adopts.
    Chosen,
    /// Admit the user.
    Allow,
    /// Admit the user although the decision was to deny: the mode does not enforce it.
    Unenforced,
    /// Deny the user.
    Deny,
    /// Leave the user to the other modules.
    Ignore,
    /// The user does not exist.
    SessionError,
    /// The application did not name its service.
    BadItem,
}

/// An answer with its reason.
#[derive(Debug)]
pub struct Verdict {
    /// The answer.
    pub answer: Answer,
    /// The reason, for the log and the user.
    pub reason: Reason,
}

/// The reason for an answer.
#[derive(Debug)]
pub enum Reason {
    /// The stack's service is not ours.
    OtherService(String),
    /// PAM_SERVICE is not available.
    NoService(ItemError),
    /// PAM_USER is not available.
    NoUser(ItemError),
    /// The user database does not know the user.
    UnknownUser(String),
    /// Root passes.
    Root,
    /// The kill switch exists.
    KillSwitch(PathBuf),
    /// The user is exempt, and would be denied for this reason otherwise.
    Exempt {
        /// The option that exempts the user.
        by: Exemption,
        /// The reason for the denial.
        reason: Box<Reason>,
        /// The answer without the exemption.
        answer: Answer,
    },
    /// `mode=audit`: the decision without its effects.
    Audit {
        /// The answer.
        answer: Answer,
        /// The job that would adopt.
        job: Option<u32>,
        /// The reason.
        reason: Box<Reason>,
    },
    /// The node's configuration is unknown.
    Node(NodeError),
    /// The module itself failed.
    Panicked(String),
    /// None of the user's jobs answers here; the steps found instead.
    NoJob(Steps),
    /// The user has several jobs, and the source job is unknown.
    Several {
        /// The number of jobs.
        count: usize,
        /// The jobs, without one that has refused the login.
        jobs: Vec<u32>,
        /// The reason why the source job is unknown.
        why: SourceUnknown,
    },
    /// Adopted, now or later by the session phase.
    Job(Choice),
    /// The stepd did not take the process; its reason.
    Refused(String),
    /// Our account phase admitted the user, and the session phase finds no job for the session.
    AfterAccount {
        /// The job chosen by the account phase, if its record exists.
        job: Option<u32>,
        /// The failure since then.
        reason: Box<Reason>,
    },
    /// The job is suspended: a process put into it stops until the job is resumed.
    Suspended {
        /// The job.
        job: u32,
    },
    /// The stepd was asked to adopt and did not answer.
    StepdSilent {
        /// Its job.
        job: u32,
    },
}
