//! The words of the log that machines rely on: they do not change, unlike the texts.

use crate::decide::{Answer, Choice, Reason};
use crate::facts::Steps;
use crate::log::Decision;
use crate::options::Unknown;
use crate::trust::DirectoryError;

/// The decision, as the log names it.
pub(super) fn decision(answer: Answer, reason: &Reason) -> Decision {
    match answer {
        _ if matches!(reason, Reason::Audit { .. }) => Decision::Audited,
        Answer::Adopted => Decision::Adopted,
        Answer::Chosen => Decision::LeftToSession,
        Answer::Allow | Answer::Unenforced => Decision::AllowedWithoutAdoption,
        Answer::Deny => Decision::Denied,
        Answer::Ignore => Decision::Ignored,
        Answer::SessionError => Decision::NoSuchUser,
        Answer::BadItem => Decision::BadItem,
    }
}

/// The word for a reason, one of docs/log.schema.json. Of an audit it is the word without the audit.
pub(super) fn reason(reason: &Reason) -> &'static str {
    match reason {
        Reason::OtherService(_) => "other-service",
        Reason::NoService(_) => "no-service",
        Reason::NoUser(_) => "no-user",
        Reason::UnknownUser(_) => "unknown-user",
        Reason::Root => "root",
        Reason::KillSwitch(_) => "kill-switch",
        Reason::Exempt { .. } => "exempt",
        Reason::Audit { reason, .. } => self::reason(reason),
        Reason::Node(_) => "slurm-conf",
        Reason::Panicked(_) => "internal-error",
        Reason::NoJob(steps) => no_job(steps),
        Reason::Several { .. } => "several-jobs",
        Reason::Job(Choice::OnlyJob) => "only-job",
        Reason::Job(Choice::Chosen) => "chosen-job",
        Reason::Job(Choice::Holder) => "own-job",
        Reason::Job(Choice::Caller { .. }) => "source-job",
        Reason::Job(Choice::Newest { .. }) => "newest-job",
        Reason::Job(Choice::NextNewest { .. }) => "next-newest-job",
        Reason::Job(Choice::Preferred { by, .. }) => match by {
            Unknown::Longest => "longest-job",
            Unknown::Largest => "largest-job",
            _ => "oldest-job",
        },
        Reason::Job(Choice::NextPreferred { .. }) => "next-job",
        Reason::Refused(_) => "adoption-failed",
        Reason::AfterAccount { job: Some(_), .. } => "job-lost",
        Reason::AfterAccount { job: None, .. } => "record-lost",
        Reason::Suspended { .. } => "job-suspended",
        Reason::StepdSilent { .. } => "stepd-silent",
    }
}

/// Tells a user without a job from a node with a fault, which may hide one.
fn no_job(steps: &Steps) -> &'static str {
    let is_fault = |it: &DirectoryError| !it.means_no_slurm();
    match steps {
        _ if steps.problem.as_ref().is_some_and(is_fault) => "spool-directory",
        _ if steps.is_denied => "stepd-denied",
        _ if !steps.silent.is_empty() => "stepd-silent",
        _ if !steps.failed.is_empty() => "stepd-failed",
        _ => "no-job",
    }
}

#[cfg(test)]
mod tests {
    use pam::ItemError;
    use proto::json::Json;

    use super::*;
    use crate::decide::SourceUnknown;
    use crate::exempt::Exemption;
    use crate::node::NodeError;

    const SCHEMA: &str = include_str!("../../../../docs/log.schema.json");

    /// One of each reason.
    fn reasons() -> Vec<Reason> {
        let no_job = || Box::new(Reason::NoJob(Steps::default()));
        let job = |choice| Reason::Job(choice);
        let source = std::net::IpAddr::from([10, 0, 0, 1]);
        let why = SourceUnknown::NotAsked;
        let preferred = |by| Choice::Preferred {
            by,
            of: 2,
            why: SourceUnknown::NotAsked,
        };
        vec![
            Reason::OtherService("x".into()),
            Reason::NoService(ItemError::Missing),
            Reason::NoUser(ItemError::Missing),
            Reason::UnknownUser("x".into()),
            Reason::Root,
            Reason::KillSwitch("/x".into()),
            Reason::Exempt {
                by: Exemption::Recorded,
                reason: no_job(),
                answer: Answer::Deny,
            },
            Reason::Node(NodeError::NotFound),
            Reason::Panicked("x".into()),
            Reason::NoJob(Steps::default()),
            Reason::Several {
                count: 2,
                jobs: vec![1, 2],
                why: why.clone(),
            },
            job(Choice::OnlyJob),
            job(Choice::Chosen),
            job(Choice::Holder),
            job(Choice::Caller { source }),
            job(preferred(Unknown::Oldest)),
            job(preferred(Unknown::Longest)),
            job(preferred(Unknown::Largest)),
            job(Choice::NextPreferred { of: 2, refused: 1 }),
            job(Choice::Newest { of: 2, why }),
            job(Choice::NextNewest { of: 2, refused: 1 }),
            Reason::Refused("x".into()),
            Reason::AfterAccount {
                job: Some(1),
                reason: no_job(),
            },
            Reason::AfterAccount {
                job: None,
                reason: no_job(),
            },
            Reason::Suspended { job: 1 },
            Reason::StepdSilent { job: 1 },
        ]
    }

    /// A user without a job beside each fault that may be why.
    fn faults() -> [Reason; 5] {
        let missing = |kind: std::io::ErrorKind| DirectoryError::System {
            operation: "find",
            path: "/s".into(),
            cause: kind.into(),
        };
        let is_denied = true;
        let silent = vec![1];
        let failed = vec![(2, "x".to_owned())];
        [
            Steps {
                problem: Some(missing(std::io::ErrorKind::NotFound)),
                ..Steps::default()
            },
            Steps {
                problem: Some(missing(std::io::ErrorKind::PermissionDenied)),
                ..Steps::default()
            },
            Steps {
                is_denied,
                silent: silent.clone(),
                ..Steps::default()
            },
            Steps {
                silent,
                failed: failed.clone(),
                ..Steps::default()
            },
            Steps {
                failed,
                ..Steps::default()
            },
        ]
        .map(Reason::NoJob)
    }

    /// The words that a property of the schema may have.
    fn words_of(property: &str) -> Vec<String> {
        let mut words = Vec::new();
        let read = Json::read(SCHEMA.as_bytes(), |json| {
            json.object(&mut |json, key| match key {
                "properties" => json.object(&mut |json, key| match key == property {
                    true => json.object(&mut |json, key| match key {
                        "enum" => json.array(&mut |json| {
                            words.push(json.string()?);
                            Ok(())
                        }),
                        _ => json.skip(),
                    }),
                    false => json.skip(),
                }),
                _ => json.skip(),
            })
        });
        read.expect("the schema");
        words
    }

    #[test]
    fn the_schema_has_each_word_and_no_other() {
        let mut found: Vec<_> = reasons().iter().chain(&faults()).map(reason).collect();
        found.sort_unstable();
        found.dedup();
        let mut known = words_of("reason");
        known.sort_unstable();
        assert_eq!(known, found);
        let decisions = Decision::ALL.map(Decision::word);
        assert_eq!(words_of("decision"), decisions);
    }

    #[test]
    fn a_fault_is_told_from_a_user_without_a_job() {
        let expected = [
            "no-job",
            "spool-directory",
            "stepd-denied",
            "stepd-silent",
            "stepd-failed",
        ];
        let faults = faults();
        let found: Vec<_> = faults.iter().map(reason).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn an_audit_has_the_word_of_what_it_would_be() {
        let audit = |answer| {
            let reason = Box::new(Reason::NoJob(Steps::default()));
            Reason::Audit {
                answer,
                job: None,
                reason,
            }
        };
        let audited = audit(Answer::Deny);
        assert_eq!(reason(&audited), "no-job");
        assert_eq!(decision(Answer::Unenforced, &audited), Decision::Audited);
    }
}
