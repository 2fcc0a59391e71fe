use pam::ItemError;

use super::*;
use crate::decide::{Choice, SourceUnknown};
use crate::exempt::Exemption;
use crate::facts::Steps;
use crate::login::Account;
use crate::node::NodeError;
use crate::options::message::{Messages, Template};
use crate::trust::DirectoryError;

fn no_job(silent: &[u32]) -> Reason {
    Reason::NoJob(Steps {
        others: 2,
        silent: silent.to_vec(),
        ..Steps::default()
    })
}

fn untrusted() -> DirectoryError {
    DirectoryError::Untrusted {
        path: "/s".into(),
        uid: 2002,
        mode: 0o40755,
        is_owner_trusted: false,
        is_writable: false,
    }
}

fn missing() -> DirectoryError {
    let cause = std::io::ErrorKind::NotFound.into();
    DirectoryError::System {
        operation: "find",
        path: "/s".into(),
        cause,
    }
}

const ALICE: Reader<'_> = Reader {
    messages: &Messages {
        no_jobs: None,
        unknown: None,
        adopt_failure: None,
        url: String::new(),
    },
    user: "alice",
    job: None,
};

#[test]
fn what_users_read_where_the_site_words_it() {
    let text = |it: &str| Template::parse(it);
    let messages = Messages {
        no_jobs: text("{user} has no job, see {url}"),
        unknown: text("which of {jobs}?"),
        adopt_failure: text(""),
        url: "https://example.org".into(),
    };
    let reader = Reader {
        messages: &messages,
        ..ALICE
    };
    let several = Reason::Several {
        count: 2,
        jobs: vec![9, 7],
        why: SourceUnknown::NotAsked,
    };
    for (reason, read) in [
        (
            no_job(&[]),
            Some("alice has no job, see https://example.org"),
        ),
        (
            Reason::StepdSilent { job: 7 },
            Some("alice has no job, see https://example.org"),
        ),
        (several, Some("which of 7, 9?")),
        (Reason::Refused("x".into()), None),
        (
            Reason::Panicked("x".into()),
            Some("Access denied by pam_slurm_adopt: internal error; tell your administrator"),
        ),
    ] {
        let found = user_text(Answer::Deny, &reason, &reader);
        assert_eq!(found.as_deref(), read, "{reason}");
        assert_eq!(user_text(Answer::Allow, &reason, &reader), None);
    }
    let failed = Messages {
        adopt_failure: text("job {jobs} does not take {user}"),
        ..Messages::default()
    };
    let reader = Reader {
        messages: &failed,
        user: "x\u{1b}y",
        job: Some(7),
    };
    let found = user_text(Answer::Deny, &Reason::Refused("x".into()), &reader);
    assert_eq!(found.as_deref(), Some("job 7 does not take x\\u{1b}y"));
}

#[test]
fn what_admins_read_of_who_gets_in_all_the_same() {
    let denied = || Box::new(no_job(&[]));
    for (reason, text) in [
        (
            Reason::KillSwitch("/run/off".into()),
            "the kill switch /run/off is on: everyone gets in",
        ),
        (
            Reason::Exempt {
                by: Exemption::Group("admins".into()),
                reason: denied(),
                answer: Answer::Deny,
            },
            "exempt (member of the exempt group admins); otherwise denied: no job on this node \
             (2 jobs of other users)",
        ),
        (
            Reason::Audit {
                answer: Answer::Deny,
                job: None,
                reason: denied(),
            },
            "mode=audit: would be denied: no job on this node (2 jobs of other users)",
        ),
        (
            Reason::Audit {
                answer: Answer::Adopted,
                job: Some(7),
                reason: Box::new(Reason::Job(Choice::OnlyJob)),
            },
            "mode=audit: would be adopted into job 7: the user's only job here",
        ),
    ] {
        assert_eq!(reason.to_string(), text);
        assert_eq!(user_text(Answer::Deny, &reason, &ALICE), None);
    }
}

#[test]
fn what_users_without_a_job_read() {
    for (reason, text) in [
        (no_job(&[]), "you have no active jobs on this node"),
        (
            no_job(&[103]),
            "you have no active jobs on this node (slurmstepd of job 103 does not answer)",
        ),
        (
            Reason::NoJob(Steps {
                failed: vec![(5, "x".into())],
                ..Steps::default()
            }),
            "you have no active jobs on this node \
             (slurmstepd of job 5 gives no usable answer)",
        ),
        (
            Reason::NoJob(Steps {
                problem: Some(untrusted()),
                ..Steps::default()
            }),
            "you have no active jobs on this node \
             (/s belongs to uid 2002; tell your administrator)",
        ),
        (
            Reason::NoJob(Steps {
                is_denied: true,
                failed: vec![(5, "x".into())],
                ..Steps::default()
            }),
            "you have no active jobs on this node \
             (slurmstepds cannot be reached: permission denied; tell your administrator)",
        ),
        (
            Reason::NoJob(Steps {
                problem: Some(missing()),
                ..Steps::default()
            }),
            "you have no active jobs on this node",
        ),
        (
            Reason::StepdSilent { job: 7 },
            "you have no active jobs on this node (slurmstepd of job 7 does not answer)",
        ),
    ] {
        assert_denied_with(&reason, text);
    }
}

#[test]
fn what_users_read_whose_job_does_not_take_them() {
    for (reason, text) in [
        (
            Reason::Several {
                count: 2,
                jobs: vec![7, 9],
                why: SourceUnknown::NotAsked,
            },
            "unable to determine source job",
        ),
        (Reason::Refused("x".into()), "adoption failure"),
        (
            Reason::Suspended { job: 7 },
            "adoption failure (job 7 is suspended)",
        ),
        (
            Reason::Node(NodeError::NotFound),
            "this node's Slurm configuration can't be read; tell your administrator",
        ),
        (
            Reason::Panicked("x".into()),
            "internal error; tell your administrator",
        ),
    ] {
        assert_denied_with(&reason, text);
    }
}

fn assert_denied_with(reason: &Reason, text: &str) {
    let read = user_text(Answer::Deny, reason, &ALICE);
    let expected = format!("Access denied by pam_slurm_adopt: {text}");
    assert_eq!(read, Some(expected));
    for answer in [
        Answer::Allow,
        Answer::Ignore,
        Answer::Adopted,
        Answer::SessionError,
    ] {
        let read = user_text(answer, reason, &ALICE);
        assert_eq!(read, None, "who is not denied reads nothing");
    }
}

#[test]
fn silent_stepds_are_named_by_their_jobs() {
    assert_eq!(silence(&[1]), "slurmstepd of job 1 does not answer");
    assert_eq!(silence(&[1, 2]), "slurmstepds of jobs 1, 2 do not answer");
    assert_eq!(
        silence(&[1, 2, 3, 4, 5]),
        "slurmstepds of jobs 1, 2, 3 and 2 more do not answer"
    );
}

#[test]
fn codes() {
    for (answer, expected) in [
        (Answer::Adopted, 0),
        (Answer::Chosen, 0),
        (Answer::Allow, 0),
        (Answer::Unenforced, 0),
        (Answer::Deny, 6),
        (Answer::SessionError, 14),
        (Answer::Ignore, 25),
        (Answer::BadItem, 29),
    ] {
        let account = code(Entry::Account, answer).as_raw();
        assert_eq!(account, expected, "{answer:?}");
        let session = match answer {
            Answer::Deny => 14,
            Answer::Ignore => 0,
            _ => expected,
        };
        assert_eq!(
            code(Entry::OpenSession, answer).as_raw(),
            session,
            "{answer:?}"
        );
    }
}

fn line(user: &str, account: Account, answer: Answer, reason: Reason) -> String {
    let login = Login {
        service: Ok("sshd".into()),
        user: user.into(),
        account,
        pid: 1,
    };
    let job = matches!(answer, Answer::Adopted).then_some(4711);
    let outcome = Outcome {
        verdict: Verdict { answer, reason },
        job,
        place: None,
    };
    event(
        Entry::Account,
        &login,
        &outcome,
        Duration::from_micros(1278),
    )
    .text()
}

#[test]
fn what_admins_read() {
    assert_eq!(
        line(
            "alice",
            Account::Known { uid: 2001 },
            Answer::Adopted,
            Reason::Job(Choice::OnlyJob)
        ),
        "user=alice uid=2001 decision=adopted job=4711 ms=1.2 \
         reason=\"the user's only job here\""
    );
    let missing = ItemError::Missing;
    assert_eq!(
        line(
            "",
            Account::Missing(missing),
            Answer::SessionError,
            Reason::NoUser(missing)
        ),
        "user=\"\" uid=- decision=no-such-user job=- ms=1.2 \
         reason=\"no PAM_USER: the application did not set it\""
    );
}

#[test]
fn where_a_session_was_before() {
    let login = Login {
        service: Ok("sshd".into()),
        user: "alice".into(),
        account: Account::Known { uid: 2001 },
        pid: 1,
    };
    for (place, end) in [
        (None, "account phase\""),
        (Some(Before::SameStep), "account phase; already there\""),
        (
            Some(Before::Elsewhere("/user.slice/session-3.scope".into())),
            "account phase; moved there from /user.slice/session-3.scope (pam_systemd)\"",
        ),
    ] {
        let outcome = Outcome {
            verdict: Verdict {
                answer: Answer::Adopted,
                reason: Reason::Job(Choice::Chosen),
            },
            job: Some(7),
            place,
        };
        let line = event(Entry::OpenSession, &login, &outcome, Duration::ZERO).text();
        assert!(line.ends_with(end), "{line}");
    }
}

#[test]
fn no_name_can_pass_for_a_field_or_a_line() {
    let forged = "x uid=0 decision=adopted\n\u{1b}[2Jroot";
    let text = line(forged, Account::Known { uid: 5 }, Answer::Deny, no_job(&[]));
    assert!(
        text.starts_with("user=\"x uid=0 decision=adopted\\n\\u{1b}[2Jroot\" uid=5 "),
        "{text}"
    );
    let service = Reason::OtherService("a\"\n b".into());
    let text = line("u", Account::Known { uid: 5 }, Answer::Ignore, service);
    assert!(
        !text.contains('\n') && text.matches('"').count() == 2,
        "{text}"
    );
    let long = line(
        &"y".repeat(70_000),
        Account::Known { uid: 5 },
        Answer::Deny,
        no_job(&[]),
    );
    assert!(long.len() < 500, "{} bytes", long.len());
}
