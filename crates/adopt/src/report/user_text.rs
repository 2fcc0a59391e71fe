//! The texts for users.

use crate::decide::{Answer, Reason};
use crate::facts::Steps;
use crate::options::message::Messages;
use crate::report::log_text::silence;
use crate::text::shown;
use crate::trust::DirectoryError;

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
