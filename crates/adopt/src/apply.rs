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

/// The effects, so that the tests below can see what is done without a stepd and a libpam.
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

#[cfg(test)]
mod tests {
    use pam::Severity;

    use super::*;
    use crate::decide::Choice;
    use crate::log::Sink;
    use crate::options::LogLevel;

    struct Silent;

    impl Sink for Silent {
        fn line(&self, _: Severity, _: &str) {}
    }

    /// Answers in a stepd's place, and keeps what was put into the environment.
    struct Fake {
        stepd: Option<Result<(), AdoptError>>,
        env: Vec<(String, String)>,
    }

    impl Effects for Fake {
        fn adopt(&mut self, _: Census, job: u32) -> Result<(), AdoptError> {
            assert_eq!(job, 7);
            self.stepd.take().expect("asked to adopt, and once only")
        }

        fn put_env(&mut self, name: &str, value: &str) -> Result<(), i32> {
            self.env.push((name.into(), value.into()));
            Ok(())
        }
    }

    fn run(plan: Plan, stepd: Option<Result<(), AdoptError>>) -> (Outcome, Fake) {
        let mut fake = Fake {
            stepd,
            env: Vec::new(),
        };
        let log = Log::new(&Silent, LogLevel::Debug);
        let outcome = apply(plan, Census::default(), &mut fake, log);
        (outcome, fake)
    }

    #[test]
    fn what_a_stepds_answer_comes_to() {
        let refused = || Err(AdoptError::Refused("no".into()));
        for (stepd, answer) in [
            (Ok(()), Answer::Adopted),
            (refused(), Answer::Allow),
            (Err(AdoptError::Silent), Answer::Deny),
        ] {
            let plan = Plan::Adopt {
                job: 7,
                choice: Choice::OnlyJob,
                if_refused: Answer::Allow,
                if_silent: Answer::Deny,
            };
            let (outcome, fake) = run(plan, Some(stepd));
            assert_eq!((outcome.verdict.answer, outcome.job), (answer, Some(7)));
            let adopted = answer == Answer::Adopted;
            let env = adopted.then(|| ("SLURM_JOB_ID".to_owned(), "7".to_owned()));
            assert_eq!(fake.env, env.into_iter().collect::<Vec<_>>(), "{answer:?}");
        }
    }

    #[test]
    fn what_is_settled_has_no_effect() {
        let verdict = Verdict {
            answer: Answer::Ignore,
            reason: Reason::Root,
        };
        let (outcome, fake) = run(Plan::Settle(verdict), None);
        assert_eq!(
            (outcome.verdict.answer, outcome.job),
            (Answer::Ignore, None)
        );
        assert!(fake.env.is_empty());
    }
}
