//! The session phase.

use super::*;

/// A missing job denies nobody in the session phase, but the chosen job must exist.
#[test]
fn a_session_without_a_job() {
    for (line, phase, steps, answer, reason) in [
        ("", ALONE, Steps::default(), Answer::Ignore, "no job on"),
        ("", ALONE, silent(7), Answer::Ignore, "no job on"),
        ("", AFTER_OTHERS, silent(7), Answer::Ignore, "no job on"),
        (
            "",
            session(7),
            Steps::default(),
            Answer::Allow,
            "adoption failed: job 7, which the account phase chose: no job on this node",
        ),
        (
            "action_adopt_failure=deny",
            session(7),
            Steps::default(),
            Answer::Deny,
            "adoption failed: job 7",
        ),
        (
            "action_adopt_failure=deny",
            session(7),
            silent(8),
            Answer::Deny,
            "slurmstepd of job 8 does not answer",
        ),
        (
            "",
            LOST,
            Steps::default(),
            Answer::Allow,
            "adoption failed: the record of the account phase is missing or another user's: no job on",
        ),
        (
            "action_adopt_failure=deny",
            LOST,
            Steps::default(),
            Answer::Deny,
            "the record of the account phase is missing",
        ),
    ] {
        assert_settled(line, phase, steps, (answer, reason));
    }
}

/// The user can make the stepd hang.
#[test]
fn a_session_whose_stepd_is_silent() {
    for (line, answer) in [
        ("", Answer::Deny),
        ("action_no_jobs=ignore", Answer::Allow),
        (
            "action_no_jobs=ignore action_adopt_failure=deny",
            Answer::Deny,
        ),
    ] {
        assert_settled(line, session(7), silent(7), (answer, "slurmstepd of job 7"));
    }
}

fn silent(job: u32) -> Steps {
    Steps {
        silent: vec![job],
        ..Steps::default()
    }
}

fn assert_settled(line: &str, phase: Phase, steps: Steps, (answer, reason): (Answer, &str)) {
    let caller = Caller::NotAsked;
    let Plan::Settle(verdict) = plan(&options(line), phase, Ok(steps), caller) else {
        panic!("{line} {phase:?}: nothing to adopt here")
    };
    let text = verdict.reason.to_string();
    assert_eq!(verdict.answer, answer, "{line} {phase:?} {text}");
    assert!(text.contains(reason), "{line} {phase:?}: {text}");
}

/// The account phase's choice counts only for a job of the user's.
#[test]
fn a_session_goes_where_the_login_was_sent() {
    let three = [(7, 100), (8, 90), (9, 80)];
    for (line, phase, expected) in [
        ("", session(9), Some((9, Choice::Chosen, Some(7)))),
        ("", session(7), Some((7, Choice::Chosen, Some(8)))),
        (
            "action_unknown=deny",
            session(8),
            Some((8, Choice::Chosen, None)),
        ),
        ("action_unknown=deny", session(10), None),
        ("action_unknown=allow", session(10), None),
    ] {
        let text = format!("{line} {phase:?}");
        match (
            plan(&options(line), phase, Ok(steps(&three)), lost()),
            expected,
        ) {
            (
                Plan::Adopt {
                    job,
                    choice,
                    instead,
                    ..
                },
                Some((wanted, why, next)),
            ) => {
                assert_eq!((job, choice), (wanted, why), "{text}");
                let other = match instead.as_deref() {
                    Some(Plan::Adopt { job, .. }) => Some(*job),
                    _ => None,
                };
                assert_eq!(other, next, "{text}");
            }
            (Plan::Settle(verdict), None) => {
                assert!(matches!(verdict.reason, Reason::Several { .. }), "{text}");
            }
            (plan, _) => panic!("{text}: {plan:?}"),
        }
    }
}

/// A user admitted by another module's account line, for example an admin, is adopted if possible and
/// never denied by this module.
#[test]
fn a_session_keeps_nobody_out_whom_others_let_in() {
    let strict =
        options("action_adopt_failure=deny action_unknown=deny action_generic_failure=deny");
    let answers = |phase, steps: Result<Steps, NodeError>| match plan(&strict, phase, steps, lost())
    {
        Plan::Settle(verdict) => vec![verdict.answer],
        Plan::Adopt {
            if_refused,
            if_silent,
            ..
        } => vec![if_refused, if_silent],
    };
    let lost_conf = || Err(NodeError::NotFound);
    let one = || Ok(steps(&[(7, 100)]));
    let two = || Ok(steps(&[(7, 100), (8, 90)]));
    for steps in [lost_conf, one, two] {
        for phase in [Phase::Account, ALONE, LOST, session(7)] {
            let denied = answers(phase, steps());
            assert!(
                denied.iter().all(|it| *it == Answer::Deny),
                "{phase:?}: {denied:?}"
            );
        }
        let let_in = answers(AFTER_OTHERS, steps());
        assert!(let_in.iter().all(|it| *it == Answer::Ignore), "{let_in:?}");
    }
    // The same for the fallback in a plan.
    let caller = Caller::Job {
        job: 8,
        source: [10, 0, 0, 1].into(),
    };
    let Plan::Adopt {
        instead: Some(next),
        ..
    } = plan(&strict, AFTER_OTHERS, two(), caller)
    else {
        panic!("the caller's job, then another")
    };
    let Plan::Settle(verdict) = *next else {
        panic!("action_unknown=deny")
    };
    assert_eq!(verdict.answer, Answer::Ignore);
    for (phase, answer) in [
        (AFTER_OTHERS, Answer::Ignore),
        (ALONE, Answer::Deny),
        (LOST, Answer::Deny),
        (session(7), Answer::Deny),
        (Phase::Account, Answer::Deny),
    ] {
        let reason = Reason::Panicked("x".into());
        assert_eq!(generic_failure(&strict, phase, reason).answer, answer);
    }
}

/// After the account phase has chosen a job, any failure is a failed adoption, not a generic failure.
#[test]
fn a_failure_after_the_account_phase_is_a_failed_adoption() {
    for (line, answer) in [
        ("", Answer::Allow),
        ("action_generic_failure=deny", Answer::Allow),
        ("action_adopt_failure=deny", Answer::Deny),
        (
            "action_adopt_failure=deny action_generic_failure=allow",
            Answer::Deny,
        ),
    ] {
        for (phase, text) in [
            (session(7), "adoption failed: job 7, which the account"),
            (LOST, "adoption failed: the record of the account phase"),
        ] {
            let error = Err(NodeError::NotFound);
            let Plan::Settle(verdict) = plan(&options(line), phase, error, Caller::NotAsked) else {
                panic!("{line}: nothing is known")
            };
            let reason = verdict.reason.to_string();
            assert_eq!(verdict.answer, answer, "{line} {reason}");
            assert!(reason.starts_with(text), "{reason}");
            assert!(reason.contains("no slurm.conf"), "{reason}");
        }
    }
}

/// su from within a job stays in it, even if a newer job exists; the account phase's choice comes first.
#[test]
fn the_job_that_holds_the_process_is_preferred() {
    let from = |holder| Steps {
        holder: Some(holder),
        ..steps(&[(7, 100), (8, 90)])
    };
    for (line, phase, holder, expected) in [
        ("", ALONE, 8, "holder 8, Allow"),
        ("action_unknown=deny", ALONE, 8, "holder 8, Allow"),
        ("action_unknown=allow", Phase::Account, 8, "holder 8, Allow"),
        ("action_adopt_failure=deny", ALONE, 8, "holder 8, Deny"),
        ("", session(7), 8, "chosen 7, newest 8, Allow"),
        // Not a job of the user's.
        ("", ALONE, 5, "newest 7, next 8, Allow"),
    ] {
        assert_eq!(
            wants_caller(&options(line), phase, &from(holder)),
            holder == 5,
            "{line}"
        );
        let plan = plan(&options(line), phase, Ok(from(holder)), lost());
        assert_eq!(chain(plan), expected, "{line} {holder}");
    }
}

#[test]
fn whose_word_it_is_need_not_be_asked_again() {
    let two = [(7, 100), (8, 90)];
    for (phase, wants) in [
        (Phase::Account, true),
        (session(8), false),
        (session(9), true),
        (ALONE, true),
    ] {
        assert_eq!(
            wants_caller(&options(""), phase, &steps(&two)),
            wants,
            "{phase:?}"
        );
    }
}
