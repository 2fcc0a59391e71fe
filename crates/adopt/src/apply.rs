//! Carries a plan out: the only effects that a login has.

use crate::decide::{Answer, Plan, Reason, Verdict};
use crate::log::Log;
use crate::stepd::{AdoptError, Census};

/// What became of a login.
#[derive(Debug)]
pub struct Outcome {
    /// The answer and its reason.
    pub verdict: Verdict,
    /// The job that the plan was about.
    pub job: Option<u32>,
}

/// The effects, so that `explain` and tests can do without.
pub trait Effects {
    /// Puts the process into the user's job.
    ///
    /// # Errors
    /// [`AdoptError`].
    fn adopt(&mut self, census: Census, job: u32) -> Result<(), AdoptError>;

    /// Sets a variable in the login's environment.
    ///
    /// # Errors
    /// libpam's code.
    fn put_env(&mut self, name: &str, value: &str) -> Result<(), i32>;
}

/// Does what the plan says; all choices are in the plan.
pub fn apply(plan: Plan, census: Census, effects: &mut dyn Effects, log: Log<'_>) -> Outcome {
    let (job, choice, if_refused, if_silent) = match plan {
        Plan::Adopt {
            job,
            choice,
            if_refused,
            if_silent,
        } => (job, choice, if_refused, if_silent),
        Plan::Settle(verdict) => return Outcome { verdict, job: None },
    };
    let verdict = match effects.adopt(census, job) {
        Ok(()) => {
            log.debug(|| "the job's X11 display and namespaces are not joined yet".into());
            if let Err(code) = effects.put_env("SLURM_JOB_ID", &job.to_string()) {
                log.error(|| format!("pam_putenv SLURM_JOB_ID: libpam's code {code}"));
            }
            Verdict {
                answer: Answer::Adopted,
                reason: Reason::Job(choice),
            }
        }
        Err(AdoptError::Refused(cause)) => Verdict {
            answer: if_refused,
            reason: Reason::Refused(cause),
        },
        Err(AdoptError::Silent) => Verdict {
            answer: if_silent,
            reason: Reason::StepdSilent { job },
        },
    };
    Outcome {
        verdict,
        job: Some(job),
    }
}
