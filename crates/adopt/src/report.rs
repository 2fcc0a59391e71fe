//! Turns outcomes into PAM codes, the user's message and the admin's log line; nothing else does.

mod banner;
mod log_text;
mod user_text;
mod words;

use std::time::Duration;

use pam::{Handle, Item, MessageStyle, ReturnCode, Severity};

use crate::adoption::Before;
use crate::adoption::cgroup;
use crate::decide::{Answer, Choice, Reason, Verdict};
use crate::log::Event;
use crate::login::{Entry, Login};
use crate::prepare::Prepared;
use crate::text::cut;

pub(crate) use crate::report::banner::{Banner, greet};
pub(crate) use crate::report::log_text::{best, next_job_line, silence};
pub use crate::report::user_text::{Reader, user_text};

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

#[cfg(test)]
mod tests;
