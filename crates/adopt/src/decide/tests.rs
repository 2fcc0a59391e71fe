//! A row for every branch of the man page.

use std::net::IpAddr;

use pam::ItemError;
use sys::UserLookupError;

use super::*;

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
fn before_slurm_is_looked_at() {
    use Account::{Known, Missing, Unknown};
    let lost = || Unknown(UserLookupError::Unknown);
    let gone = || Missing(ItemError::Missing);
    for (line, service, account, expected) in [
        ("", "sshd", Known { uid: 2001 }, Ok(2001)),
        ("", "su", Known { uid: 2001 }, Err(Answer::Ignore)),
        ("", "SSHD", Known { uid: 2001 }, Err(Answer::Ignore)),
        ("service=su", "sshd", gone(), Err(Answer::Ignore)),
        ("service=su", "su", Known { uid: 2001 }, Ok(2001)),
        ("service=sshd,su", "su", Known { uid: 2001 }, Ok(2001)),
        ("service=sshd,su", "sshd", Known { uid: 2001 }, Ok(2001)),
        (
            "service=sshd,su",
            "sshd,su",
            Known { uid: 2001 },
            Err(Answer::Ignore),
        ),
        ("service=sshd,*", "su", Known { uid: 2001 }, Ok(2001)),
        ("service=*", "cron", Known { uid: 2001 }, Ok(2001)),
        (
            "service=*",
            "slurm",
            Known { uid: 2001 },
            Err(Answer::Ignore),
        ),
        ("service=*,slurm", "slurm", Known { uid: 2001 }, Ok(2001)),
        ("service=slurm", "slurm", Known { uid: 2001 }, Ok(2001)),
        ("", "sshd", gone(), Err(Answer::SessionError)),
        ("", "sshd", lost(), Err(Answer::SessionError)),
        (
            "action_generic_failure=allow",
            "sshd",
            lost(),
            Err(Answer::SessionError),
        ),
        ("", "sshd", Known { uid: 0 }, Err(Answer::Ignore)),
        (
            "ignore_root=0",
            "sshd",
            Known { uid: 0 },
            Err(Answer::Ignore),
        ),
        (
            "action_generic_failure=deny",
            "sshd",
            Known { uid: 0 },
            Err(Answer::Ignore),
        ),
        ("", "sshd", Known { uid: u32::MAX }, Ok(u32::MAX)),
    ] {
        let text = format!("{line} {service} {account:?}");
        let got = match before(&options(line), &login(service, account)) {
            ControlFlow::Continue(uid) => Ok(uid),
            ControlFlow::Break(verdict) => Err(verdict.answer),
        };
        assert_eq!(got, expected, "{text}");
    }
    let damaged = Login {
        service: Err(ItemError::Missing),
        ..login("", gone())
    };
    let ControlFlow::Break(verdict) = before(&Options::default(), &damaged) else {
        panic!("no service")
    };
    assert_eq!(verdict.answer, Answer::BadItem);
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
fn where_the_connection_comes_from() {
    let source: IpAddr = "10.0.0.9".parse().expect("an address");
    let two = [(7, 100), (8, 90)];
    let three = [(7, 100), (8, 90), (9, 95)];
    for (line, own, caller, expected) in [
        ("", &two[..], 8, "caller 8, newest 7, Allow"),
        ("", &two, 7, "caller 7, newest 8, Allow"),
        ("", &three, 7, "caller 7, newest 9, next 8, Allow"),
        (
            "action_adopt_failure=deny",
            &two,
            8,
            "caller 8, newest 7, Deny",
        ),
        ("action_unknown=deny", &two, 8, "caller 8, Deny"),
        ("action_unknown=allow", &two, 8, "caller 8, Allow"),
        ("single_job_skip_rpc=0", &two[..1], 7, "caller 7, Allow"),
        // A job that no stepd here has confirmed to be this user's counts for nothing.
        ("", &two, 9, "newest 7, next 8, Allow"),
        (
            "action_adopt_failure=deny",
            &three,
            5,
            "newest 7, next 9, next 8, Deny",
        ),
        ("action_unknown=deny", &two, 9, "Deny"),
        ("action_unknown=allow", &two, u32::MAX, "Allow"),
        ("single_job_skip_rpc=0", &two[..1], 9, "only 7, Allow"),
        ("", &[], 9, "Deny"),
        ("action_no_jobs=ignore", &[], 9, "Ignore"),
    ] {
        let caller = Caller::Job {
            job: caller,
            source,
        };
        let plan = plan(
            &options(line),
            Phase::Account,
            Ok(steps(own)),
            caller.clone(),
        );
        assert_eq!(chain(plan), expected, "{line} {own:?} {caller:?}");
    }
    let why = |caller| match plan(
        &options("action_unknown=deny"),
        Phase::Account,
        Ok(steps(&two)),
        caller,
    ) {
        Plan::Settle(verdict) => verdict.reason.to_string(),
        plan => chain(plan),
    };
    assert!(
        why(Caller::Job { job: 9, source })
            .contains("slurmd at 10.0.0.9 names job 9, which is not")
    );
}

#[test]
fn the_next_newest_says_whose_place_it_takes() {
    let own = [(8, 90), (7, 100), (9, 95)];
    let mut plan = plan(&Options::default(), Phase::Account, Ok(steps(&own)), lost());
    let mut said = Vec::new();
    while let Plan::Adopt {
        choice, instead, ..
    } = plan
    {
        said.push(Reason::Job(choice).to_string());
        match instead {
            Some(next) => plan = *next,
            None => break,
        }
    }
    assert_eq!(
        said,
        [
            "the newest of 3 jobs here; source job unknown: slurmd is lost",
            "the newest of 3 jobs here that accepts the login; job 7 refused it",
            "the newest of 3 jobs here that accepts the login; job 9 refused it",
        ]
    );
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
fn when_the_caller_is_asked() {
    for (line, own, asked) in [
        ("", &[][..], false),
        ("single_job_skip_rpc=0", &[], false),
        ("", &[(1, 1)], false),
        ("single_job_skip_rpc=0", &[(1, 1)], true),
        ("", &[(1, 1), (2, 2)], true),
        ("action_unknown=allow", &[(1, 1), (2, 2)], true),
    ] {
        assert_eq!(
            wants_caller(&options(line), Phase::Account, &steps(own)),
            asked,
            "{line} {own:?}"
        );
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

/// A missing job denies nobody in the session phase, but the chosen job must exist.
#[test]
fn a_session_without_a_job() {
    let silent = |job| Steps {
        silent: vec![job],
        ..Steps::default()
    };
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
        (
            "",
            session(7),
            silent(7),
            Answer::Deny,
            "slurmstepd of job 7",
        ),
        (
            "action_no_jobs=ignore",
            session(7),
            silent(7),
            Answer::Allow,
            "slurmstepd of job 7",
        ),
        (
            "action_no_jobs=ignore action_adopt_failure=deny",
            session(7),
            silent(7),
            Answer::Deny,
            "slurmstepd of job 7",
        ),
    ] {
        let caller = Caller::NotAsked;
        let Plan::Settle(verdict) = plan(&options(line), phase, Ok(steps), caller) else {
            panic!("{line} {phase:?}: nothing to adopt here")
        };
        let text = verdict.reason.to_string();
        assert_eq!(verdict.answer, answer, "{line} {phase:?} {text}");
        assert!(text.contains(reason), "{line} {phase:?}: {text}");
    }
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

/// Every answer that a plan can give.
fn answers(plan: &Plan) -> Vec<Answer> {
    match plan {
        Plan::Settle(verdict) => vec![verdict.answer],
        Plan::Adopt {
            instead,
            if_refused,
            if_silent,
            ..
        } => {
            let rest = instead.iter().flat_map(|it| answers(it));
            [Answer::Adopted, *if_refused, *if_silent]
                .into_iter()
                .chain(rest)
                .collect()
        }
    }
}

/// A line that denies in every case.
const DENY_ALL: &str = "strict action_no_jobs=deny action_unknown=deny";

#[test]
fn adopt_only_denies_nobody() {
    let of = |mode: &str, own: &[(u32, i64)], phase| {
        let options = options(&format!("{DENY_ALL} mode={mode}"));
        answers(&plan(&options, phase, Ok(steps(own)), lost()))
    };
    for own in [&[][..], &[(7, 1)], &[(7, 1), (8, 2)]] {
        for phase in [Phase::Account, session(7), LOST, ALONE] {
            let all = of("adopt-only", own, phase);
            assert!(!all.contains(&Answer::Deny), "{own:?} {phase:?}: {all:?}");
        }
        assert!(
            of("enforce", own, Phase::Account).contains(&Answer::Deny),
            "{own:?}"
        );
    }
    assert_eq!(
        of("adopt-only", &[(7, 1)], Phase::Account)[0],
        Answer::Adopted
    );
    let denied = |answer| Verdict {
        answer,
        reason: Reason::Panicked("x".into()),
    };
    assert_eq!(unenforced(denied(Answer::Deny)).answer, Answer::Unenforced);
    assert_eq!(unenforced(denied(Answer::Ignore)).answer, Answer::Ignore);
}

#[test]
fn only_who_would_not_get_in_by_our_word_may_be_exempt() {
    let no_job = || Reason::NoJob(Steps::default());
    for (phase, answer, reason, may_be) in [
        (Phase::Account, Answer::Deny, no_job(), true),
        (
            session(7),
            Answer::Deny,
            Reason::StepdSilent { job: 7 },
            true,
        ),
        (Phase::Account, Answer::Ignore, no_job(), true),
        (
            Phase::Account,
            Answer::Ignore,
            Reason::Node(NodeError::NotFound),
            true,
        ),
        (AFTER_OTHERS, Answer::Ignore, no_job(), false),
        (Phase::Account, Answer::Ignore, Reason::Root, false),
        (Phase::Account, Answer::Allow, no_job(), false),
        (Phase::Account, Answer::Unenforced, no_job(), false),
    ] {
        let text = format!("{phase:?} {answer:?} {reason}");
        let verdict = Verdict { answer, reason };
        assert_eq!(may_be_exempt(phase, &verdict), may_be, "{text}");
    }
}

#[test]
fn an_audit_says_what_would_be_and_lets_in() {
    let options = options(&format!("{DENY_ALL} mode=audit"));
    let audit = |own: &[(u32, i64)]| {
        let plan = plan(&options, Phase::Account, Ok(steps(own)), lost());
        let (verdict, job) = foreseen(plan);
        audited(verdict, job)
    };
    for (own, would, job, expected) in [
        (&[][..], Answer::Deny, None, Answer::Unenforced),
        (&[(7, 1)], Answer::Adopted, Some(7), Answer::Allow),
        (&[(7, 1), (8, 2)], Answer::Deny, None, Answer::Unenforced),
    ] {
        let verdict = audit(own);
        assert_eq!(verdict.answer, expected, "{own:?}");
        let Reason::Audit {
            answer, job: found, ..
        } = verdict.reason
        else {
            panic!("{:?}", verdict.reason);
        };
        assert_eq!((answer, found), (would, job), "{own:?}");
    }
    let ignored = Verdict {
        answer: Answer::Ignore,
        reason: Reason::Root,
    };
    assert_eq!(audited(ignored, None).answer, Answer::Ignore);
}

#[test]
fn an_exempt_user_gets_in_and_the_log_has_both_reasons() {
    let denied = Verdict {
        answer: Answer::Deny,
        reason: Reason::StepdSilent { job: 7 },
    };
    let verdict = exempted(denied, Exemption::Uid { below: 1000 });
    assert_eq!(verdict.answer, Answer::Allow);
    assert_eq!(
        verdict.reason.to_string(),
        "exempt (exempt_uid_below=1000); otherwise denied: slurmstepd of job 7 does not answer"
    );
}
