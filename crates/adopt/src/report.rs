//! The only mapping to PAM's codes, the only text for users, the one line for the admin.

use std::time::Duration;

use pam::ReturnCode;

use crate::apply::Outcome;
use crate::decide::{self, Answer, Reason};
use crate::login::Login;
use crate::options::shown;

/// The code that the host gets.
#[must_use]
pub fn code(answer: Answer) -> ReturnCode {
    match answer {
        Answer::Adopted | Answer::Allow => ReturnCode::Success,
        Answer::Deny => ReturnCode::PermissionDenied,
        Answer::Ignore => ReturnCode::Ignore,
        Answer::SessionError => ReturnCode::SessionError,
        Answer::BadItem => ReturnCode::BadItem,
    }
}

/// The one line that a user who is kept out reads; the beginnings are SchedMD's of 26.05, because
/// sites' scripts look for them.
#[must_use]
pub fn user_text(answer: Answer, reason: &Reason) -> Option<String> {
    if answer != Answer::Deny {
        return None;
    }
    let no_job = "you have no active jobs on this node";
    let text = match reason {
        Reason::NoJob { silent, .. } if !silent.is_empty() => {
            format!("{no_job} ({})", decide::silence(silent))
        }
        Reason::NoJob { .. } => no_job.to_owned(),
        Reason::StepdSilent { job } => format!("{no_job} ({})", decide::silence(&[*job])),
        Reason::Several { .. } => "unable to determine source job".to_owned(),
        Reason::Refused(_) => "adoption failure".to_owned(),
        Reason::Node(_) => {
            "this node's Slurm configuration can't be read; tell your administrator".to_owned()
        }
        Reason::Panicked(_) => "internal error; tell your administrator".to_owned(),
        // None of these keeps anybody out with PAM_PERM_DENIED.
        Reason::OtherService(_)
        | Reason::NoService(_)
        | Reason::NoUser(_)
        | Reason::UnknownUser(_)
        | Reason::Root
        | Reason::Job(_) => return None,
    };
    Some(format!("Access denied by pam_slurm_adopt: {text}"))
}

/// The line that each login leaves in the log.
#[must_use]
pub fn admin_line(login: &Login, outcome: &Outcome, took: Duration) -> String {
    let decision = match outcome.verdict.answer {
        Answer::Adopted => "adopted",
        Answer::Allow => "allowed-without-adoption",
        Answer::Deny => "denied",
        Answer::Ignore => "ignored",
        Answer::SessionError => "no-such-user",
        Answer::BadItem => "bad-item",
    };
    let number = |number: Option<u32>| number.map_or("-".to_owned(), |number| number.to_string());
    format!(
        "user={} uid={} decision={decision} job={} ms={}.{} reason=\"{}\"",
        quoted(&login.user),
        number(login.uid()),
        number(outcome.job),
        took.as_millis(),
        took.as_micros() % 1000 / 100,
        outcome.verdict.reason.to_string().replace('"', "'"),
    )
}

/// A name as it is, if it is a plain word; else in quotes, so that it can't pass for a field.
fn quoted(name: &str) -> String {
    let plain = |sign: char| sign.is_ascii_alphanumeric() || matches!(sign, '_' | '-' | '.' | '@');
    match !name.is_empty() && name.chars().all(plain) {
        true => shown(name),
        false => format!("\"{}\"", shown(name)),
    }
}
