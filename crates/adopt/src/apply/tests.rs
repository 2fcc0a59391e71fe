use pam::Severity;

use super::*;
use crate::log::Sink;
use crate::options::LogLevel;

struct Silent;

impl Sink for Silent {
    fn line(&self, _: Severity, _: &str) {}
}

/// Stands in for the stepds; keeps the requests and the environment.
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

    fn job_variables(&self, job: u32) -> Vec<Variable> {
        let (name, value) = ("SLURM_JOB_ID".into(), job.to_string());
        vec![Variable { name, value }]
    }

    fn put_env(&mut self, name: &str, value: &str) -> Result<(), pam::Code> {
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
        is_deferred: true,
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
