//! Turns outcomes into PAM codes, the user's message and the admin's log line; nothing else does.

mod banner;
mod words;

use std::fmt;
use std::time::Duration;

use pam::{Handle, Item, MessageStyle, ReturnCode, Severity};

use crate::adoption::cgroup;
use crate::adoption::{AdoptError, Before};
use crate::decide::{Answer, Choice, Reason, SourceUnknown, Verdict};
use crate::facts::Steps;
use crate::log::Event;
use crate::login::{Entry, Login};
use crate::options::Unknown;
use crate::options::message::Messages;
use crate::prepare::Prepared;
use crate::text::{cut, shown};
use crate::trust::DirectoryError;

pub(crate) use crate::report::banner::{Banner, greet};

/// The result of a login.
#[derive(Debug)]
pub struct Outcome {
    /// The answer and its reason.
    pub verdict: Verdict,
    /// The job that the plan was about.
    pub job: Option<u32>,
    /// Where the process was before, in the session phase.
    pub place: Option<Before>,
}

impl From<Verdict> for Outcome {
    /// An outcome without any effect.
    fn from(verdict: Verdict) -> Self {
        Self {
            verdict,
            job: None,
            place: None,
        }
    }
}

impl Outcome {
    /// The outcome if the process is already in the job that the account phase put it into.
    #[must_use]
    pub fn stays(job: u32) -> Self {
        Self {
            verdict: Verdict {
                answer: Answer::Adopted,
                reason: Reason::Job(Choice::Chosen),
            },
            job: Some(job),
            place: Some(Before::SameStep),
        }
    }
}

/// What a call has found out besides its outcome.
pub(crate) struct Known {
    /// The node's name.
    pub node: Option<String>,
    /// The time that the login waited for a job to start.
    pub waited: Option<Duration>,
}

/// Tells the user and the log how a call ended, and returns PAM's code.
pub(crate) fn report(
    entry: Entry,
    handle: &Handle,
    prepared: &Prepared<'_>,
    outcome: &Outcome,
    known: &Known,
) -> ReturnCode {
    let Prepared {
        login,
        log,
        started,
        ..
    } = prepared;
    let verdict = &outcome.verdict;
    let reader = Reader {
        messages: &prepared.options.messages,
        user: &login.user,
        job: outcome.job,
    };
    let told = user_text(verdict.answer, &verdict.reason, &reader)
        .map(|text| handle.tell(MessageStyle::Error, &text));
    if let Some(Err(code)) = told {
        log.debug(|| format!("tell the user: {code}"));
    }
    let rhost = handle.item(Item::RemoteHost).ok();
    log.event(severity(entry, verdict), || {
        let waited = known.waited.unwrap_or_default();
        let mut event = event(
            entry,
            login,
            outcome,
            started.elapsed().saturating_sub(waited),
        );
        if known.waited.is_some() {
            let tenths = waited.subsec_millis() / 100;
            event.message += &format!("; waited {}.{tenths} s for a job", waited.as_secs());
        }
        Event {
            rhost: rhost.as_deref().map(name),
            node: known.node.clone(),
            ..event
        }
    });
    code(entry, verdict.answer)
}

/// The severity of the line about a verdict.
fn severity(entry: Entry, verdict: &Verdict) -> Severity {
    match (entry, &verdict.answer, &verdict.reason) {
        // Everyone gets in: the admin must see that.
        (Entry::Account, _, Reason::KillSwitch(_)) => Severity::Error,
        (Entry::Account, ..) | (_, Answer::Adopted, _) => Severity::Info,
        // Another module admitted the user and said so, or the login is not ours to decide.
        (_, Answer::Ignore, Reason::NoJob(_) | Reason::Root | Reason::OtherService(_)) => {
            Severity::Debug
        }
        (_, _, Reason::KillSwitch(_)) => Severity::Debug,
        (_, Answer::Allow, Reason::Exempt { .. }) | (_, _, Reason::Audit { .. }) => Severity::Info,
        // The user was admitted and has a job but is not in it, or the user is denied.
        _ => Severity::Error,
    }
}

/// The line about a job that did not take the login, if another job is tried instead.
pub(crate) fn next_job_line(job: u32, choice: &Choice, cause: &AdoptError) -> String {
    let which = match choice {
        Choice::Caller { .. } => "where the connection comes from",
        Choice::Newest { .. } => "the newest here",
        Choice::NextNewest { .. } => "the next newest here",
        Choice::Preferred { by, .. } => best(*by),
        Choice::NextPreferred { .. } => "the next best here",
        Choice::Chosen => "which the account phase chose",
        Choice::Holder => "which the process comes from",
        Choice::OnlyJob => "the only one here",
    };
    format!("job {job}, {which}: {cause}")
}

/// The PAM code for the application.
#[must_use]
pub fn code(entry: Entry, answer: Answer) -> ReturnCode {
    match answer {
        Answer::Adopted | Answer::Chosen | Answer::Allow | Answer::Unenforced => {
            ReturnCode::Success
        }
        Answer::Deny if entry == Entry::Account => ReturnCode::PermissionDenied,
        // pam_sm_open_session(3) has no other code for a denial.
        Answer::Deny => ReturnCode::SessionError,
        Answer::Ignore if entry == Entry::Account => ReturnCode::Ignore,
        // If the only session line answers PAM_IGNORE, libpam refuses everyone, root too (pam_dispatch.c).
        Answer::Ignore => ReturnCode::Success,
        Answer::SessionError => ReturnCode::SessionError,
        Answer::BadItem => ReturnCode::BadItem,
    }
}

/// The reader of a message, and the job that it is about.
#[derive(Debug, Clone, Copy)]
pub struct Reader<'a> {
    /// The site's texts.
    pub messages: &'a Messages,
    /// The user's name.
    pub user: &'a str,
    /// The job that did not take the login.
    pub job: Option<u32>,
}

/// The message to a denied user: the site's own, or one that begins as SchedMD's does in 26.05, because sites'
/// scripts match it.
#[must_use]
pub fn user_text(answer: Answer, reason: &Reason, reader: &Reader<'_>) -> Option<String> {
    if answer != Answer::Deny {
        return None;
    }
    let &Reader {
        messages,
        user,
        job,
    } = reader;
    let template = match reason {
        Reason::NoJob(_) | Reason::StepdSilent { .. } => &messages.no_jobs,
        Reason::Several { .. } => &messages.unknown,
        Reason::Refused(_) | Reason::AfterAccount { .. } | Reason::Suspended { .. } => {
            &messages.adopt_failure
        }
        _ => &None,
    };
    if let Some(template) = template {
        return template.expand(&|name| match name {
            "user" => shown(user),
            "host" => sys::hostname().unwrap_or_default(),
            "url" => messages.url.clone(),
            _ => jobs_of(reason, job),
        });
    }
    let text = match reason {
        Reason::NoJob(steps) => no_job(trouble(steps)),
        Reason::StepdSilent { job } => no_job(Some(silence(&[*job]))),
        Reason::Several { .. } => "unable to determine source job".to_owned(),
        Reason::Refused(_) | Reason::AfterAccount { .. } => "adoption failure".to_owned(),
        Reason::Suspended { job } => format!("adoption failure (job {job} is suspended)"),
        Reason::Node(_) => {
            "this node's Slurm configuration can't be read; tell your administrator".to_owned()
        }
        Reason::Panicked(_) => "internal error; tell your administrator".to_owned(),
        // None of these denies with PAM_PERM_DENIED.
        Reason::OtherService(_)
        | Reason::NoService(_)
        | Reason::NoUser(_)
        | Reason::UnknownUser(_)
        | Reason::Root
        | Reason::KillSwitch(_)
        | Reason::Exempt { .. }
        | Reason::Audit { .. }
        | Reason::Job(_) => return None,
    };
    Some(format!("Access denied by pam_slurm_adopt: {text}"))
}

/// The numbers of the jobs that a denial is about; "none" if there is none.
fn jobs_of(reason: &Reason, job: Option<u32>) -> String {
    let mut jobs: Vec<u32> = match reason {
        Reason::Several { jobs, .. } => jobs.clone(),
        Reason::StepdSilent { job } | Reason::Suspended { job } => vec![*job],
        _ => job.into_iter().collect(),
    };
    jobs.sort_unstable();
    let jobs: Vec<_> = jobs.iter().map(u32::to_string).collect();
    match jobs.is_empty() {
        true => "none".to_owned(),
        false => jobs.join(", "),
    }
}

fn no_job(trouble: Option<String>) -> String {
    let text = "you have no active jobs on this node";
    trouble.map_or(text.to_owned(), |trouble| format!("{text} ({trouble})"))
}

/// The fault on the node that may be why no job was found.
fn trouble(steps: &Steps) -> Option<String> {
    const DENIED: &str =
        "slurmstepds cannot be reached: permission denied; tell your administrator";
    match &steps.problem {
        Some(problem) if problem.means_denied() => return Some(DENIED.to_owned()),
        Some(DirectoryError::Untrusted {
            path,
            uid,
            is_owner_trusted,
            ..
        }) => {
            let path = shown(&path.to_string_lossy());
            let fault = match is_owner_trusted {
                true => "is writable by others".to_owned(),
                false => format!("belongs to uid {uid}"),
            };
            return Some(format!("{path} {fault}; tell your administrator"));
        }
        Some(problem) if !problem.means_no_slurm() => {
            return Some("the spool directory can't be used; tell your administrator".to_owned());
        }
        Some(_) | None => {}
    }
    if steps.is_denied {
        return Some(DENIED.to_owned());
    }
    if !steps.silent.is_empty() {
        return Some(silence(&steps.silent));
    }
    let (job, _) = steps.failed.first()?;
    Some(format!("slurmstepd of job {job} gives no usable answer"))
}

/// What every login leaves in the log.
pub(crate) fn event(entry: Entry, login: &Login, outcome: &Outcome, took: Duration) -> Event {
    let Verdict { answer, reason } = &outcome.verdict;
    let mut message = reason.to_string();
    match &outcome.place {
        None => {}
        Some(Before::SameStep) => message += "; already there",
        Some(Before::Elsewhere(place)) => {
            message += &format!("; moved there from {}", cgroup::described(place))
        }
    }
    Event {
        user: cut(&login.user),
        uid: login.uid(),
        decision: words::decision(*answer, reason),
        reason: words::reason(reason),
        message,
        job: outcome.job,
        took,
        rhost: None,
        entry,
        service: cut(login.service.as_deref().unwrap_or_default()),
        node: None,
    }
}

/// A foreign name, of bounded length.
fn name(bytes: &[u8]) -> String {
    cut(&String::from_utf8_lossy(bytes))
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OtherService(name) => {
                write!(f, "service is \"{}\", not the one of service=", shown(name))
            }
            Self::NoService(error) => write!(f, "no PAM_SERVICE: {error}"),
            Self::NoUser(error) => write!(f, "no PAM_USER: {error}"),
            Self::UnknownUser(cause) => f.write_str(cause),
            Self::Root => f.write_str("root always passes"),
            Self::KillSwitch(path) => {
                let path = shown(&path.to_string_lossy());
                write!(f, "the kill switch {path} is on: everyone gets in")
            }
            Self::Exempt { by, reason, answer } => {
                let otherwise = without_exception(*answer);
                write!(f, "exempt ({by}); otherwise {otherwise}: {reason}")
            }
            Self::Audit {
                answer: Answer::Adopted,
                job: Some(job),
                reason,
            } => write!(f, "mode=audit: would be adopted into job {job}: {reason}"),
            Self::Audit { answer, reason, .. } => {
                let would = without_exception(*answer);
                write!(f, "mode=audit: would be {would}: {reason}")
            }
            Self::Node(error) => write!(f, "{error}"),
            Self::Panicked(cause) => write!(f, "internal error: {}", shown(cause)),
            Self::NoJob(steps) => no_job_here(steps, f),
            Self::Several { count, why, .. } => {
                write!(f, "{count} jobs on this node, source job unknown: {why}")
            }
            Self::Job(Choice::OnlyJob) => f.write_str("the user's only job here"),
            Self::Job(Choice::Chosen) => f.write_str("chosen by the account phase"),
            Self::Job(Choice::Holder) => f.write_str("the process runs in this job"),
            Self::Job(Choice::Caller { source }) => {
                write!(f, "the connection comes from this job (slurmd at {source})")
            }
            Self::Job(Choice::Newest { of, why }) => {
                write!(f, "the newest of {of} jobs here; source job unknown: {why}")
            }
            Self::Job(Choice::Preferred { by, of, why }) => {
                let best = best(*by);
                write!(f, "{best}, of {of} jobs; source job unknown: {why}")
            }
            Self::Job(Choice::NextPreferred { of, refused }) => write!(
                f,
                "the next best of {of} jobs here that accepts the login; job {refused} refused it"
            ),
            Self::Job(Choice::NextNewest { of, refused }) => write!(
                f,
                "the newest of {of} jobs here that accepts the login; job {refused} refused it"
            ),
            Self::Refused(cause) => write!(f, "adoption failed: {cause}"),
            Self::Suspended { job } => write!(f, "adoption failed: job {job} is suspended"),
            Self::AfterAccount {
                job: Some(job),
                reason,
            } => write!(
                f,
                "adoption failed: job {job}, which the account phase chose: {reason}"
            ),
            Self::AfterAccount { job: None, reason } => write!(
                f,
                "adoption failed: the record of the account phase is missing or another user's: {reason}"
            ),
            Self::StepdSilent { job } => f.write_str(&silence(&[*job])),
        }
    }
}

/// Writes what is on the node instead of the user's job.
fn no_job_here(steps: &Steps, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let Steps {
        others,
        silent,
        failed,
        problem,
        place,
        remarks,
        ..
    } = steps;
    match problem {
        Some(problem) => write!(f, "spool directory: {problem}")?,
        None => match others {
            1 => f.write_str("no job on this node (1 job of other users")?,
            _ => write!(f, "no job on this node ({others} jobs of other users")?,
        },
    }
    match (problem.is_none(), place.is_empty()) {
        (true, true) => f.write_str(")")?,
        (true, false) => write!(f, "; {place})")?,
        (false, true) => {}
        (false, false) => write!(f, " ({place})")?,
    }
    if !silent.is_empty() {
        write!(f, "; {}", silence(silent))?;
    }
    if let [(job, cause), rest @ ..] = &failed[..] {
        write!(f, "; slurmstepd of job {job}: {cause}")?;
        if !rest.is_empty() {
            write!(f, " (and {} more)", rest.len())?;
        }
    }
    for remark in remarks {
        write!(f, "; {remark}")?;
    }
    Ok(())
}

/// The job that `action_unknown` prefers.
pub(crate) fn best(by: Unknown) -> &'static str {
    match by {
        Unknown::Oldest => "the oldest here",
        Unknown::Longest => "the one here that ends last",
        Unknown::Largest => "the one with the most CPUs here",
        Unknown::Newest | Unknown::Allow | Unknown::Deny => "the newest here",
    }
}

/// Returns the word for an answer that an exemption or a mode replaces.
fn without_exception(answer: Answer) -> &'static str {
    match answer {
        Answer::Deny => "denied",
        Answer::Ignore => "left to other modules",
        _ => "admitted without adoption",
    }
}

impl fmt::Display for SourceUnknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAsked => f.write_str("not asked"),
            Self::Failed(cause) => f.write_str(cause),
            Self::NotOwn { job, source } => write!(
                f,
                "slurmd at {source} names job {job}, which is not a job of this user here"
            ),
            Self::Silent { job } => f.write_str(&silence(&[*job])),
            Self::SourceRefused { job } => write!(
                f,
                "job {job}, where the connection comes from, refused the login"
            ),
            Self::ChosenRefused { job } => write!(
                f,
                "job {job}, chosen by the account phase, refused the login"
            ),
        }
    }
}

/// Names the jobs whose stepd is silent, at most three of them.
pub(crate) fn silence(jobs: &[u32]) -> String {
    const NAMED: usize = 3;
    let named: Vec<_> = jobs.iter().take(NAMED).map(u32::to_string).collect();
    match jobs {
        [job] => format!("slurmstepd of job {job} does not answer"),
        _ if jobs.len() <= NAMED => {
            format!("slurmstepds of jobs {} do not answer", named.join(", "))
        }
        _ => format!(
            "slurmstepds of jobs {} and {} more do not answer",
            named.join(", "),
            jobs.len() - NAMED
        ),
    }
}

#[cfg(test)]
mod tests {
    use pam::ItemError;

    use super::*;
    use crate::exempt::Exemption;
    use crate::login::Account;
    use crate::node::NodeError;
    use crate::options::message::Template;

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
    fn what_users_read() {
        let denied = |reason: &Reason| user_text(Answer::Deny, reason, &ALICE).unwrap_or_default();
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
            assert_eq!(
                denied(&reason),
                format!("Access denied by pam_slurm_adopt: {text}")
            );
            for answer in [
                Answer::Allow,
                Answer::Ignore,
                Answer::Adopted,
                Answer::SessionError,
            ] {
                assert_eq!(
                    user_text(answer, &reason, &ALICE),
                    None,
                    "who is not denied reads nothing"
                );
            }
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
}
