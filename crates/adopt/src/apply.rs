//! Carries a plan out: the only effects that a login has on the process.

use crate::adoption::{AdoptError, Adopted, Was};
use crate::decide::{Answer, Choice, Plan, Reason, Verdict};
use crate::log::Log;

/// What became of a login.
#[derive(Debug)]
pub struct Outcome {
    /// The answer and its reason.
    pub verdict: Verdict,
    /// The job that the plan was about.
    pub job: Option<u32>,
    /// How the process came to be in it, in the session phase.
    pub place: Option<Was>,
}

impl From<Verdict> for Outcome {
    /// Nothing was done.
    fn from(verdict: Verdict) -> Self {
        Self {
            verdict,
            job: None,
            place: None,
        }
    }
}

/// The effects, so that the tests below can see what is done without a stepd and a libpam.
pub trait Effects {
    /// Puts the process into the user's job.
    ///
    /// # Errors
    /// [`AdoptError`].
    fn adopt(&mut self, job: u32) -> Result<Adopted, AdoptError>;

    /// Sets a variable in the login's environment.
    ///
    /// # Errors
    /// libpam's code.
    fn put_env(&mut self, name: &str, value: &str) -> Result<(), i32>;
}

/// Does what the plan says; all choices are in the plan.
pub fn apply(mut plan: Plan, effects: &mut dyn Effects, log: Log<'_>) -> Outcome {
    loop {
        let (job, choice, instead, even_if_failed, if_refused, if_silent) = match plan {
            Plan::Adopt {
                job,
                choice,
                instead,
                even_if_failed,
                if_refused,
                if_silent,
            } => (job, choice, instead, even_if_failed, if_refused, if_silent),
            Plan::Settle(verdict) => return verdict.into(),
        };
        let mut place = None;
        let (answer, reason) = match effects.adopt(job) {
            Ok(mut adopted) => {
                set_environment(job, &adopted, effects, log);
                place = adopted.was.take();
                let answer = match adopted.later {
                    true => Answer::Chosen,
                    false => Answer::Adopted,
                };
                (answer, Reason::Job(choice))
            }
            Err(AdoptError::NotJoined(cause)) => {
                // As far as it goes: the process is in the job's cgroup.
                set_environment(job, &Adopted::default(), effects, log);
                (if_refused, Reason::Refused(cause))
            }
            Err(AdoptError::NotHeld(cause)) => (if_refused, Reason::Refused(cause)),
            Err(AdoptError::Silent) => (if_silent, Reason::StepdSilent { job }),
            Err(AdoptError::Failed(cause)) if !even_if_failed => {
                (if_refused, Reason::Refused(cause))
            }
            Err(AdoptError::Refused(cause) | AdoptError::Failed(cause)) => match instead {
                Some(next) => {
                    let which = match choice {
                        Choice::Caller { .. } => "where the connection comes from",
                        Choice::Newest { .. } => "the newest here",
                        Choice::NextNewest { .. } => "the next newest here",
                        Choice::Chosen => "which the account phase chose",
                        Choice::OnlyJob => "the only one here",
                    };
                    log.error(|| format!("job {job}, {which}: {cause}"));
                    plan = *next;
                    continue;
                }
                None => (if_refused, Reason::Refused(cause)),
            },
        };
        let verdict = Verdict { answer, reason };
        return Outcome {
            verdict,
            job: Some(job),
            place,
        };
    }
}

fn set_environment(job: u32, adopted: &Adopted, effects: &mut dyn Effects, log: Log<'_>) {
    let mut put = |name: &str, value: &str| {
        if let Err(code) = effects.put_env(name, value) {
            log.error(|| format!("pam_putenv {name}: libpam's code {code}"));
        }
    };
    put("SLURM_JOB_ID", &job.to_string());
    if let Some(display) = &adopted.display {
        put("DISPLAY", display);
    }
    if let Some(authority) = &adopted.authority {
        put("XAUTHORITY", authority);
    }
}

#[cfg(test)]
mod tests {
    use pam::Severity;

    use super::*;
    use crate::log::Sink;
    use crate::options::LogLevel;

    struct Silent;

    impl Sink for Silent {
        fn line(&self, _: Severity, _: &str) {}
    }

    /// Answers in the stepds' place, and keeps what was asked and what was put into the environment.
    #[derive(Default)]
    struct Fake {
        stepds: Vec<(u32, Result<Adopted, AdoptError>)>,
        env: Vec<String>,
    }

    impl Effects for Fake {
        fn adopt(&mut self, job: u32) -> Result<Adopted, AdoptError> {
            assert!(!self.stepds.is_empty(), "job {job} was asked as well");
            let (expected, answer) = self.stepds.remove(0);
            assert_eq!(job, expected);
            answer
        }

        fn put_env(&mut self, name: &str, value: &str) -> Result<(), i32> {
            self.env.push(format!("{name}={value}"));
            Ok(())
        }
    }

    fn run(plan: Plan, stepds: Vec<(u32, Result<Adopted, AdoptError>)>) -> (Outcome, Vec<String>) {
        let mut fake = Fake {
            stepds,
            ..Fake::default()
        };
        let log = Log::new(&Silent, LogLevel::Debug);
        let outcome = apply(plan, &mut fake, log);
        assert!(fake.stepds.is_empty(), "not asked: {:?}", fake.stepds);
        (outcome, fake.env)
    }

    fn into(job: u32, instead: Option<Plan>) -> Plan {
        Plan::Adopt {
            job,
            choice: Choice::OnlyJob,
            instead: instead.map(Box::new),
            even_if_failed: false,
            if_refused: Answer::Allow,
            if_silent: Answer::Deny,
        }
    }

    fn refused() -> Result<Adopted, AdoptError> {
        Err(AdoptError::Refused("no".into()))
    }

    #[test]
    fn what_a_stepds_answer_comes_to() {
        let with_x11 = Adopted {
            display: Some("localhost:10.0".into()),
            authority: Some("/tmp/a".into()),
            ..Adopted::default()
        };
        let later = Adopted {
            later: true,
            ..Adopted::default()
        };
        let job = "SLURM_JOB_ID=7";
        for (stepd, answer, env) in [
            (Ok(Adopted::default()), Answer::Adopted, vec![job]),
            (
                Ok(with_x11),
                Answer::Adopted,
                vec![job, "DISPLAY=localhost:10.0", "XAUTHORITY=/tmp/a"],
            ),
            (Ok(later), Answer::Chosen, vec![job]),
            (refused(), Answer::Allow, vec![]),
            (Err(AdoptError::NotHeld("x".into())), Answer::Allow, vec![]),
            (
                Err(AdoptError::NotJoined("x".into())),
                Answer::Allow,
                vec![job],
            ),
            (Err(AdoptError::Silent), Answer::Deny, vec![]),
        ] {
            let (outcome, found) = run(into(7, None), vec![(7, stepd)]);
            assert_eq!((outcome.verdict.answer, outcome.job), (answer, Some(7)));
            assert_eq!(found, env, "{answer:?}");
        }
    }

    #[test]
    fn another_job_only_where_nothing_was_changed() {
        let next = || Some(into(8, None));
        let good = || Ok(Adopted::default());
        let (outcome, env) = run(into(7, next()), vec![(7, refused()), (8, good())]);
        assert_eq!(
            (outcome.verdict.answer, outcome.job),
            (Answer::Adopted, Some(8))
        );
        assert_eq!(env, ["SLURM_JOB_ID=8"]);
        let (outcome, _) = run(into(7, next()), vec![(7, refused()), (8, refused())]);
        assert_eq!(
            (outcome.verdict.answer, outcome.job),
            (Answer::Allow, Some(8))
        );
        for (stepd, answer) in [
            (AdoptError::NotJoined("x".into()), Answer::Allow),
            (AdoptError::NotHeld("x".into()), Answer::Allow),
            (AdoptError::Failed("x".into()), Answer::Allow),
            (AdoptError::Silent, Answer::Deny),
        ] {
            let (outcome, _) = run(into(7, next()), vec![(7, Err(stepd))]);
            assert_eq!((outcome.verdict.answer, outcome.job), (answer, Some(7)));
        }
    }

    #[test]
    fn a_failed_attempt_counts_as_a_refusal_where_the_plan_says_so() {
        let Plan::Adopt {
            job,
            choice,
            instead,
            if_refused,
            if_silent,
            ..
        } = into(7, Some(into(8, None)))
        else {
            panic!("it adopts")
        };
        let plan = Plan::Adopt {
            job,
            choice,
            instead,
            even_if_failed: true,
            if_refused,
            if_silent,
        };
        let failed = Err(AdoptError::Failed("x".into()));
        let (outcome, _) = run(plan, vec![(7, failed), (8, Ok(Adopted::default()))]);
        assert_eq!(
            (outcome.verdict.answer, outcome.job),
            (Answer::Adopted, Some(8))
        );
    }

    #[test]
    fn what_is_settled_has_no_effect() {
        let verdict = Verdict {
            answer: Answer::Ignore,
            reason: Reason::Root,
        };
        let (outcome, env) = run(Plan::Settle(verdict), vec![]);
        assert_eq!(
            (outcome.verdict.answer, outcome.job),
            (Answer::Ignore, None)
        );
        assert!(env.is_empty());
    }
}
