//! Adoption by one stepd: it hands over the job's namespaces, takes the process into the extern step
//! and names the job's X11 display.

pub(crate) mod cgroup;
mod error;
pub(crate) mod hierarchy;
pub(crate) mod limits;
pub(crate) mod namespaces;
pub(crate) mod processes;
pub(crate) mod steps;
pub mod suspended;

use std::fmt;
use std::os::fd::OwnedFd;

use proto::stepd::{self, NotAdopted, State};
use sys::Deadline;

use crate::adoption::cgroup::{Held, Membership};
pub use crate::adoption::error::AdoptError;
use crate::adoption::error::ENDING;
use crate::adoption::namespaces::Entrance;
use crate::adoption::steps::Steps;
use crate::adoption::suspended::Freezer;
use crate::exchange::{self, Broken};
use crate::log::Log;
use crate::stepd::{Census, Conversation};
use crate::text::{said, shown};

/// A request for adoption.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// The process.
    pub pid: u32,
    /// Whether to enter the namespaces of the job's container; only the process itself can.
    pub join: Join<'a>,
    /// Whether to ask for the X11 display.
    pub x11: bool,
    /// Whether an earlier phase may already have put the process into a job.
    pub may_be_inside: bool,
    /// The job that took the process in the account phase of this login, and its place then.
    pub was_held: Option<(u32, &'a Held)>,
    /// ProctrackType, if it is not proctrack/cgroup.
    pub other_tracking: Option<&'a str>,
}

/// The phase that enters the namespaces of a job's container.
#[derive(Clone, Copy)]
pub enum Join<'a> {
    /// No phase.
    Nobody,
    /// This call.
    Now,
    /// This call, unless the session phase is sure to follow: what runs in between may need the node's namespaces.
    UnlessSessionFollows(&'a dyn Fn() -> bool),
}

/// The result of an adoption.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Adopted {
    /// Whether the session phase is to adopt; nothing was done yet.
    pub is_deferred: bool,
    /// Where the process was before, if that was checked.
    pub before: Option<Before>,
    /// Where it is now.
    pub held: Held,
    /// Whether the session phase must enter the job's namespaces.
    pub leaves_namespaces: bool,
    /// DISPLAY, if the job has one.
    pub display: Option<String>,
    /// XAUTHORITY, if the job has one.
    pub authority: Option<String>,
}

/// Where a process was before it was adopted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Before {
    /// In the extern step.
    SameStep,
    /// Elsewhere, at this place.
    Elsewhere(String),
}

/// Puts the process into one of the user's jobs, unless it is there already, and checks that it is there.
///
/// Asks for the namespaces before it changes anything, and enters them last.
///
/// # Errors
/// [`AdoptError`].
pub fn adopt(
    census: &mut Census,
    job: u32,
    request: Request<'_>,
    deadline: &Deadline,
    log: Log<'_>,
) -> Result<Adopted, AdoptError> {
    let mut conversation = census.converse(job, deadline, log)?;
    if conversation.owner.state == State::Ending {
        return Err(AdoptError::ending());
    }
    let stepd = conversation.pid;
    let is_elsewhere = cgroup::is_elsewhere(stepd).map_err(|error| {
        AdoptError::Refused(format!(
            "check the pid namespace of its slurmstepd: {error}"
        ))
    })?;
    if stepd == 0 || is_elsewhere {
        return Err(AdoptError::Refused(FOREIGN.into()));
    }
    let found = match request.join {
        Join::Nobody => Vec::new(),
        Join::Now | Join::UnlessSessionFollows(_) => {
            namespaces::namespaces(census, &mut conversation, deadline, log)?
        }
    };
    // Not earlier: a stepd that is starting is not in its own cgroup yet.
    let whereabouts = Whereabouts::find(&conversation, request, deadline, log)?;
    let leaves_namespaces = match request.join {
        Join::UnlessSessionFollows(follows) => !found.is_empty() && follows(),
        Join::Nobody | Join::Now => false,
    };
    let entrance = match whereabouts.is_joined || leaves_namespaces {
        true => Entrance::default(),
        false => Entrance::prepare(found).map_err(|error| AdoptError::Refused(said(error)))?,
    };
    let adopted = whereabouts.put_inside(&conversation, request, deadline, log)?;
    let entered = entrance.enter(log);
    entered.map_err(|error| AdoptError::NotJoined(said(error)))?;
    Ok(Adopted {
        before: Some(whereabouts.before),
        leaves_namespaces,
        ..adopted
    })
}

/// The place of the process, compared with its job's extern step.
struct Whereabouts {
    steps: Steps,
    before: Before,
    /// Its place in the extern step, if it was found there.
    held: Held,
    /// /proc does not show this process: that is so only in a job's mount namespace.
    is_joined: bool,
}

impl Whereabouts {
    fn find(
        conversation: &Conversation,
        request: Request<'_>,
        deadline: &Deadline,
        log: Log<'_>,
    ) -> Result<Self, AdoptError> {
        let steps = Steps::beside(conversation.job.job, conversation.pid, log);
        let mut is_joined = false;
        let mut held = Held::default();
        let before = match steps.membership(true) {
            Membership::Inside(found) => {
                tracked(&steps, conversation.job.job, request)?;
                held = found;
                Before::SameStep
            }
            _ if request.may_be_inside && steps.is_in_other_step() => Before::SameStep,
            Membership::Outside(place) => Before::Elsewhere(place),
            Membership::Unclear(place) => {
                is_joined = place.is_none() && cgroup::is_proc_foreign();
                let is_inside = request.may_be_inside
                    && has_process(&conversation.socket, request.pid, deadline)?;
                match is_inside {
                    true => Before::SameStep,
                    false => Before::Elsewhere(place.unwrap_or_else(unseen)),
                }
            }
        };
        Ok(Self {
            steps,
            before,
            held,
            is_joined,
        })
    }

    /// Puts the process into the extern step, unless it is there already.
    fn put_inside(
        &self,
        conversation: &Conversation,
        request: Request<'_>,
        deadline: &Deadline,
        log: Log<'_>,
    ) -> Result<Adopted, AdoptError> {
        if self.before == Before::SameStep {
            return Ok(Adopted {
                held: self.held.clone(),
                ..Adopted::default()
            });
        }
        let job = conversation.job.job;
        let was_held = request.was_held.filter(|(other, _)| *other == job);
        if let Some((_, held)) = was_held {
            let freezer = Freezer::of(&self.steps, conversation.pid, log);
            let work = || held.put_back(request.pid);
            match suspended::guarded(&freezer, request.pid, &work, log)? {
                Ok(()) => {
                    // slurmstepd may have ended the job's processes a moment before.
                    if namespaces::ask_state(&conversation.socket, deadline)? == State::Ending {
                        return Err(AdoptError::NotHeld(ENDING.into()));
                    }
                    return Ok(Adopted {
                        held: self.inside_now(conversation, request, deadline)?,
                        ..Adopted::default()
                    });
                }
                Err(error) => log.debug(|| format!("put the process back into job {job}: {error}")),
            }
        }
        let freezer = Freezer::of(&self.steps, conversation.pid, log);
        let adopted = add_process(conversation, &freezer, request, deadline, log)?;
        Ok(Adopted {
            held: self.inside_now(conversation, request, deadline)?,
            ..adopted
        })
    }

    /// The current place of the process in the extern step; empty if only slurmstepd can tell that it is there.
    fn inside_now(
        &self,
        conversation: &Conversation,
        request: Request<'_>,
        deadline: &Deadline,
    ) -> Result<Held, AdoptError> {
        let (job, pid) = (conversation.job.job, request.pid);
        let not_held = |what: &str| {
            AdoptError::NotHeld(format!(
                "slurmstepd of job {job} took process {pid}, but {what}"
            ))
        };
        let place = match self.steps.membership(false) {
            Membership::Inside(held) => {
                return tracked(&self.steps, job, request).map(|()| held);
            }
            Membership::Outside(place) => place,
            Membership::Unclear(place) => match has_process(&conversation.socket, pid, deadline) {
                Ok(true) => return Ok(Held::default()),
                Ok(false) => place.unwrap_or_else(unseen),
                // The stepd has taken it: no other job may be tried.
                Err(_) => return Err(not_held("does not say that it has it")),
            },
        };
        Err(not_held(&format!(
            "it is in {}, not in the job (is ProctrackType=proctrack/cgroup set in slurm.conf?)",
            cgroup::described(&place)
        )))
    }
}

/// Checks that a process in the job's cgroup ends with the job. With cgroup v2 task/cgroup puts it there too,
/// and only slurm.conf tells whether slurmstepd looks there for processes to end.
fn tracked(steps: &Steps, job: u32, request: Request<'_>) -> Result<(), AdoptError> {
    match request.other_tracking.filter(|_| steps.uses_v2()) {
        None => Ok(()),
        Some(other) => Err(AdoptError::NotHeld(format!(
            "process {} is in the cgroup of job {job}, but would outlive the job: slurm.conf has \
             ProctrackType={}, not proctrack/cgroup",
            request.pid,
            shown(other)
        ))),
    }
}

fn unseen() -> String {
    "a cgroup that /proc does not show".to_owned()
}

/// Asks the stepd whether the process is in its extern step.
fn has_process(socket: &OwnedFd, pid: u32, deadline: &Deadline) -> Result<bool, AdoptError> {
    let pid = i32::try_from(pid).map_err(|error| AdoptError::Refused(said(error)))?;
    exchange::nothing_unread(socket)?;
    sys::send(socket, &stepd::ask_has_process(pid)).map_err(Broken::from)?;
    let mut answer = [0];
    exchange::read_exactly(socket, &mut answer, deadline)?;
    Ok(answer != [0])
}

const FOREIGN: &str = "its slurmstepd is in another pid namespace, and would take another process for \
                       this one";

/// Asks the stepd to take the process into its extern step, and for the job's display.
fn add_process(
    conversation: &Conversation,
    freezer: &Freezer,
    request: Request<'_>,
    deadline: &Deadline,
    log: Log<'_>,
) -> Result<Adopted, AdoptError> {
    let socket = &conversation.socket;
    let refused = |cause: &dyn fmt::Display| AdoptError::Refused(said(cause));
    let pid = i32::try_from(request.pid).map_err(|error| refused(&error))?;
    exchange::nothing_unread(socket)?;
    let mut question = stepd::adopt(pid).to_vec();
    if request.x11 {
        question.extend(stepd::ask_x11());
    }
    suspended::ask(freezer, socket, &question, request.pid, deadline, log)?;
    let mut answer = [0; stepd::ADOPT_ANSWER];
    exchange::read_exactly(socket, &mut answer, deadline)?;
    stepd::read_adopted(&answer).map_err(|error| match error {
        NotAdopted::Refused(_) => AdoptError::Failed(said(error)),
        NotAdopted::Ending | NotAdopted::Nonsense(_) => refused(&error),
    })?;
    if !request.x11 {
        return Ok(Adopted::default());
    }
    // A missing display denies nobody.
    Ok(receive_x11(socket, deadline).unwrap_or_else(|broken| {
        log.error(|| format!("the job's X11 display: {broken}"));
        Adopted::default()
    }))
}

pub(crate) fn receive_x11(socket: &OwnedFd, deadline: &Deadline) -> Result<Adopted, Broken> {
    let mut answer = [0; stepd::X11_ANSWER];
    exchange::read_exactly(socket, &mut answer, deadline)?;
    let x11 = stepd::read_x11(&answer).map_err(|error| Broken::Nonsense(said(error)))?;
    let mut path = vec![0; x11.authority];
    exchange::read_exactly(socket, &mut path, deadline)?;
    let display = (x11.display != 0).then(|| format!("localhost:{}.0", x11.display));
    let authority = match path.split_last() {
        None => None,
        Some((0, path)) if !path.contains(&0) => Some(
            String::from_utf8(path.to_vec())
                .map_err(|_| Broken::Nonsense("XAUTHORITY is not UTF-8".into()))?,
        ),
        Some(_) => return Err(Broken::Nonsense("XAUTHORITY is no text".into())),
    };
    Ok(Adopted {
        display,
        authority,
        ..Adopted::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn with_cgroup_v2_slurm_conf_tells_whether_a_process_is_tracked() {
        let v1 = Steps::by(7, "6:freezer:/slurm/uid_2001/job_7\n0::/\n");
        let v2 = Steps::by(7, "0::/scope/job_7/step_extern/slurm\n");
        let request = |other_tracking| Request {
            pid: 1,
            join: Join::Nobody,
            x11: false,
            may_be_inside: false,
            was_held: None,
            other_tracking,
        };
        assert!(tracked(&v2, 7, request(None)).is_ok());
        // The freezer shows it.
        assert!(tracked(&v1, 7, request(Some("proctrack/linuxproc"))).is_ok());
        let error = tracked(&v2, 7, request(Some("proctrack/linuxproc")));
        let text = format!("{error:?}");
        for word in ["NotHeld(", "job 7", "ProctrackType=proctrack/linuxproc"] {
            assert!(text.contains(word), "{text}");
        }
    }
}
