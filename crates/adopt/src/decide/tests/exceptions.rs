//! Modes and exemptions.

use super::*;

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
