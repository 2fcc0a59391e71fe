//! The texts of the admin's log.

use std::fmt;

use crate::adoption::AdoptError;
use crate::decide::{Answer, Choice, Reason, SourceUnknown};
use crate::facts::Steps;
use crate::options::Unknown;
use crate::text::shown;

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
            Self::Job(choice) => chosen(choice, f),
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

/// Writes why a job was chosen.
fn chosen(choice: &Choice, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match choice {
        Choice::OnlyJob => f.write_str("the user's only job here"),
        Choice::Chosen => f.write_str("chosen by the account phase"),
        Choice::Holder => f.write_str("the process runs in this job"),
        Choice::Caller { source } => {
            write!(f, "the connection comes from this job (slurmd at {source})")
        }
        Choice::Newest { of, why } => {
            write!(f, "the newest of {of} jobs here; source job unknown: {why}")
        }
        Choice::Preferred { by, of, why } => {
            let best = best(*by);
            write!(f, "{best}, of {of} jobs; source job unknown: {why}")
        }
        Choice::NextPreferred { of, refused } | Choice::NextNewest { of, refused } => {
            let which = match choice {
                Choice::NextPreferred { .. } => "next best",
                _ => "newest",
            };
            write!(
                f,
                "the {which} of {of} jobs here that accepts the login; job {refused} refused it"
            )
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
            Self::SourceRefused { job } | Self::ChosenRefused { job } => {
                let which = match self {
                    Self::SourceRefused { .. } => "where the connection comes from",
                    _ => "chosen by the account phase",
                };
                write!(f, "job {job}, {which}, refused the login")
            }
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
