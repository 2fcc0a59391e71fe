//! A row for every branch of the man page.

use std::net::IpAddr;

use pam::ItemError;
use sys::UserLookupError;

use super::*;
use crate::node::NodeError;

mod callers;
mod exceptions;
mod sessions;
mod several;

fn options(line: &str) -> Options {
    let (options, bad) = Options::parse(&line.split_whitespace().collect::<Vec<_>>());
    assert_eq!(bad, [], "{line}");
    options
}

fn login(service: &str, account: Account) -> Login {
    Login {
        service: Ok(service.into()),
        user: "u".into(),
        account,
        pid: 1,
    }
}

fn steps(own: &[(u32, i64)]) -> Steps {
    let own = own
        .iter()
        .map(|(job, started)| OwnJob {
            job: *job,
            started: *started,
        })
        .collect();
    Steps {
        own,
        others: 3,
        ..Steps::default()
    }
}

fn plan(options: &Options, phase: Phase, steps: Result<Steps, NodeError>, caller: Caller) -> Plan {
    super::plan(options, phase, Facts { steps, caller })
}

fn lost() -> Caller {
    Caller::Unknown("slurmd is lost".into())
}

#[test]
fn the_service_says_whether_the_module_acts() {
    const ALICE: Account = Account::Known { uid: 2001 };
    for (line, service, expected) in [
        ("", "sshd", Ok(2001)),
        ("", "su", Err(Answer::Ignore)),
        ("", "SSHD", Err(Answer::Ignore)),
        ("service=su", "sshd", Err(Answer::Ignore)),
        ("service=su", "su", Ok(2001)),
        ("service=sshd,su", "su", Ok(2001)),
        ("service=sshd,su", "sshd", Ok(2001)),
        ("service=sshd,su", "sshd,su", Err(Answer::Ignore)),
        ("service=sshd,*", "su", Ok(2001)),
        ("service=*", "cron", Ok(2001)),
        ("service=*", "slurm", Err(Answer::Ignore)),
        ("service=*,slurm", "slurm", Ok(2001)),
        ("service=slurm", "slurm", Ok(2001)),
    ] {
        let found = uid_or_answer(line, &login(service, ALICE));
        assert_eq!(found, expected, "{line} {service}");
    }
    let gone = Account::Missing(ItemError::Missing);
    let of_nobody = login("sshd", gone);
    assert_eq!(uid_or_answer("service=su", &of_nobody), Err(Answer::Ignore));
    let damaged = Login {
        service: Err(ItemError::Missing),
        ..login("", Account::Missing(ItemError::Missing))
    };
    assert_eq!(uid_or_answer("", &damaged), Err(Answer::BadItem));
}

#[test]
fn who_is_unknown_and_root_are_answered_before_slurm_is_looked_at() {
    use Account::{Known, Missing, Unknown};
    let lost = || Unknown(UserLookupError::Unknown);
    for (line, account, expected) in [
        ("", Missing(ItemError::Missing), Err(Answer::SessionError)),
        ("", lost(), Err(Answer::SessionError)),
        (
            "action_generic_failure=allow",
            lost(),
            Err(Answer::SessionError),
        ),
        ("", Known { uid: 0 }, Err(Answer::Ignore)),
        ("ignore_root=0", Known { uid: 0 }, Err(Answer::Ignore)),
        (
            "action_generic_failure=deny",
            Known { uid: 0 },
            Err(Answer::Ignore),
        ),
        ("", Known { uid: u32::MAX }, Ok(u32::MAX)),
    ] {
        let text = format!("{line} {account:?}");
        let found = uid_or_answer(line, &login("sshd", account));
        assert_eq!(found, expected, "{text}");
    }
}

fn uid_or_answer(line: &str, login: &Login) -> Result<u32, Answer> {
    match before(&options(line), login) {
        ControlFlow::Continue(uid) => Ok(uid),
        ControlFlow::Break(verdict) => Err(verdict.answer),
    }
}

#[test]
fn settled_without_adoption() {
    let two = [(7, 100), (8, 90)];
    for (line, own, answer, reason) in [
        (
            "",
            &[][..],
            Answer::Deny,
            "no job on this node (3 jobs of other users",
        ),
        (
            "action_no_jobs=ignore",
            &[],
            Answer::Ignore,
            "no job on this node",
        ),
        ("action_unknown=allow", &[], Answer::Deny, "no job"),
        (
            "action_unknown=allow",
            &two,
            Answer::Allow,
            "2 jobs on this node, source job unknown: slurmd is lost",
        ),
        (
            "action_unknown=deny",
            &two,
            Answer::Deny,
            "2 jobs on this node, source job unknown: slurmd is lost",
        ),
    ] {
        let Plan::Settle(verdict) = plan(&options(line), Phase::Account, Ok(steps(own)), lost())
        else {
            panic!("{line}: nothing to adopt here")
        };
        assert_eq!(verdict.answer, answer, "{line}");
        assert!(
            verdict.reason.to_string().contains(reason),
            "{line}: {}",
            verdict.reason
        );
    }
}

#[test]
fn adopted_into() {
    use Answer::{Allow, Deny, Ignore};
    let only = || Choice::OnlyJob;
    let newest = |of| Choice::Newest {
        of,
        why: SourceUnknown::Failed("slurmd is lost".into()),
    };
    for (line, own, expected) in [
        ("", &[(7, 100)][..], (7, only(), Allow, Deny)),
        ("action_unknown=deny", &[(7, 100)], (7, only(), Allow, Deny)),
        (
            "action_unknown=deny single_job_skip_rpc=0",
            &[(7, 100)],
            (7, only(), Allow, Deny),
        ),
        (
            "action_adopt_failure=deny",
            &[(7, 100)],
            (7, only(), Deny, Deny),
        ),
        (
            "action_no_jobs=ignore",
            &[(7, 100)],
            (7, only(), Allow, Ignore),
        ),
        (
            "action_adopt_failure=allow",
            &[(7, 100)],
            (7, only(), Allow, Deny),
        ),
        ("", &[(7, 100), (8, 90)], (7, newest(2), Allow, Deny)),
        ("", &[(8, 90), (7, 100)], (7, newest(2), Allow, Deny)),
        ("", &[(8, 90), (7, 90)], (8, newest(2), Allow, Deny)),
        ("", &[(1, 5), (9, 5), (3, 5)], (9, newest(3), Allow, Deny)),
        ("", &[(1, -5), (9, -7)], (1, newest(2), Allow, Deny)),
    ] {
        match plan(&options(line), Phase::Account, Ok(steps(own)), lost()) {
            Plan::Adopt {
                job,
                choice,
                instead,
                even_if_failed: false,
                if_refused,
                if_silent,
            } => {
                assert_eq!(instead.is_some(), own.len() > 1, "{line} {own:?}");
                assert_eq!(
                    (job, choice, if_refused, if_silent),
                    expected,
                    "{line} {own:?}"
                );
            }
            other => panic!("{line} {own:?}: {other:?}"),
        }
    }
}

/// Describes a plan, step by step.
fn chain(plan: Plan) -> String {
    match plan {
        Plan::Settle(verdict) => format!("{:?}", verdict.answer),
        Plan::Adopt {
            job,
            choice,
            instead,
            if_refused,
            ..
        } => {
            let choice = match choice {
                Choice::OnlyJob => "only",
                Choice::Chosen => "chosen",
                Choice::Holder => "holder",
                Choice::Caller { .. } => "caller",
                Choice::Newest { .. } => "newest",
                Choice::NextNewest { .. } => "next",
                Choice::Preferred { by, .. } => crate::report::best(by),
                Choice::NextPreferred { .. } => "next best",
            };
            let rest = match instead {
                Some(plan) => chain(*plan),
                None => format!("{if_refused:?}"),
            };
            format!("{choice} {job}, {rest}")
        }
    }
}

#[test]
fn nothing_known_of_the_node() {
    for (line, answer) in [
        ("", Answer::Ignore),
        ("action_generic_failure=ignore", Answer::Ignore),
        ("action_generic_failure=allow", Answer::Allow),
        ("action_generic_failure=deny", Answer::Deny),
        (
            "action_generic_failure=deny action_no_jobs=ignore",
            Answer::Deny,
        ),
    ] {
        let Plan::Settle(verdict) = plan(
            &options(line),
            Phase::Account,
            Err(NodeError::NotFound),
            Caller::NotAsked,
        ) else {
            panic!("{line}: no job is known")
        };
        assert_eq!(verdict.answer, answer, "{line}");
        let panicked =
            generic_failure(&options(line), Phase::Account, Reason::Panicked("x".into()));
        assert_eq!(panicked.answer, answer, "{line}");
    }
}

#[test]
fn silence_is_nobodys_job_and_is_named() {
    let silent = Steps {
        silent: vec![103],
        ..Steps::default()
    };
    let Plan::Settle(verdict) = plan(
        &Options::default(),
        Phase::Account,
        Ok(silent),
        Caller::NotAsked,
    ) else {
        panic!("no job")
    };
    assert_eq!(verdict.answer, Answer::Deny);
    assert!(
        verdict
            .reason
            .to_string()
            .ends_with("slurmstepd of job 103 does not answer")
    );

    let silent = Steps {
        silent: vec![103],
        ..steps(&[(7, 1)])
    };
    assert!(matches!(
        plan(
            &Options::default(),
            Phase::Account,
            Ok(silent),
            Caller::NotAsked
        ),
        Plan::Adopt { job: 7, .. }
    ));

    assert!(may_stop_at_first_job(&options("action_unknown=allow")));
    assert!(!may_stop_at_first_job(&options("action_unknown=deny")));
    for (line, enough) in [
        ("", 1),
        ("action_unknown=newest", 1),
        ("action_unknown=allow", 2),
        ("action_unknown=deny", 2),
        ("action_unknown=oldest", 2),
    ] {
        assert_eq!(enough_jobs(&options(line)), enough, "{line}");
    }
}

/// The session phase of a login for which our account phase chose this job.
fn session(job: u32) -> Phase {
    Phase::Session(Admission::Ours { job: Some(job) })
}

/// The same, with a lost record.
const LOST: Phase = Phase::Session(Admission::Ours { job: None });

/// No account line is ours.
const ALONE: Phase = Phase::Session(Admission::NoAccountLine);

/// Another module admitted the user.
const AFTER_OTHERS: Phase = Phase::Session(Admission::Others);
