//! The extern steps of this node, each as its stepd tells.

use std::fmt;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use proto::Version;
use proto::stepd::State;
use sys::Deadline;

use crate::adoption::steps::Steps;
use crate::adoption::suspended::Freezer;
use crate::log::Log;
use crate::node::Node;
use crate::stepd::heard::{Heard, Reply, ask_each};
use crate::stepd::spool::{self, Found, Socket};
use crate::trust::{DirectoryError, Trusted};

/// The time for the questions about owners of jobs whose extern step is silent.
const OWNERS: Duration = Duration::from_millis(250);
/// The time after which a socket that refused is looked at again: a step that ends removes its own.
const LEAVING: Duration = Duration::from_millis(100);

/// What the spool directories of this node have.
#[derive(Debug, Default)]
pub struct StepsSeen {
    /// The extern steps, by job.
    pub steps: Vec<StepSeen>,
    /// Jobs that run here without an extern step, by job: another of their steps answers. Their owners are denied.
    pub without_extern: Vec<StepSeen>,
    /// Extern steps whose sockets cannot be checked, and the causes.
    pub unreachable: Vec<(u32, DirectoryError)>,
    /// Files that are named like an extern step's socket but are not one; no login asks them.
    pub not_sockets: Option<NotSockets>,
    /// The reason why a spool directory cannot be used.
    pub problem: Option<DirectoryError>,
}

/// Files that are named like an extern step's socket.
#[derive(Debug)]
pub struct NotSockets {
    /// Their number.
    pub count: usize,
    /// The first one.
    pub first: PathBuf,
    /// The uid of its owner.
    pub owner: u32,
    /// Whether it is a socket, but not one of root or SlurmdUser.
    pub is_socket: bool,
}

/// One step, as its stepd tells.
#[derive(Debug)]
pub struct StepSeen {
    /// The job's number (an array task's own).
    pub job: u32,
    /// The socket.
    pub socket: PathBuf,
    /// When the socket was made, in seconds since 1970.
    pub started: i64,
    /// The stepd's pid, if it is visible from here.
    pub pid: Option<u32>,
    /// The time that the stepd took to answer, or was waited for.
    pub took: Duration,
    /// The answer.
    pub answer: Answer,
    /// The job's owner, as this stepd tells; if it does not answer, as another of the job's steps does.
    pub owner: Option<u32>,
    /// The job's cgroup, if the stepd's shows it.
    pub cgroup: Option<JobCgroup>,
}

/// A stepd's answer, or why there is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// It answers.
    Step {
        /// Its state.
        state: StepState,
        /// The protocol version of the release that started the step.
        version: Version,
    },
    /// No answer before the deadline.
    Silent,
    /// Nobody listens: the stepd was killed and has left its socket.
    Stale,
    /// No usable answer, or it cannot be asked; the cause.
    Failed(String),
}

/// The state of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StepState {
    /// Its container is not ready.
    Starting,
    /// It takes logins.
    Running,
    /// Its processes are stopped (`scontrol suspend`, preemption).
    Suspended,
    /// It is going away.
    Ending,
}

impl fmt::Display for StepState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Suspended => "suspended",
            Self::Ending => "completing",
        })
    }
}

/// A job's directory in a cgroup hierarchy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobCgroup {
    /// The hierarchy's controllers, as in /proc/PID/cgroup: none with cgroup v2, `freezer` with v1.
    pub controllers: &'static str,
    /// The path in the hierarchy, without the step.
    pub path: String,
}

impl JobCgroup {
    /// The job's SLUID, after which Slurm 26.05 names the directory with cgroup v2 (unless `CgroupJobIdPaths`).
    #[must_use]
    pub fn sluid(&self) -> Option<&str> {
        let (_, name) = self.path.rsplit_once('/')?;
        let mut rest = name.strip_prefix('s')?.bytes();
        let is_coded = rest.all(|it| it.is_ascii_digit() || it.is_ascii_uppercase());
        (is_coded && name.len() > 1).then_some(name)
    }
}

impl StepSeen {
    fn of(heard: Heard, log: Log<'_>) -> Self {
        let Heard {
            socket,
            pid,
            took,
            reply,
        } = heard;
        let job = socket.job;
        let steps = Steps::beside(job.job, pid, log);
        let cgroup = steps.job_dir().map(|(controllers, path)| JobCgroup {
            controllers,
            path: path.to_owned(),
        });
        let owner = match &reply {
            Reply::Owner(told) => Some(told.uid),
            _ => None,
        };
        let answer = match reply {
            Reply::Owner(told) => Answer::Step {
                state: match told.state {
                    State::Starting => StepState::Starting,
                    State::Ending => StepState::Ending,
                    // Its stepd goes on to say that it runs.
                    State::Running if Freezer::of(&steps, pid, log).is_suspended() => {
                        StepState::Suspended
                    }
                    State::Running => StepState::Running,
                },
                version: told.version,
            },
            Reply::Silent => Answer::Silent,
            Reply::Gone => Answer::Stale,
            Reply::Failed(cause) => Answer::Failed(cause),
        };
        Self {
            job: job.job,
            socket: socket.path,
            started: job.started,
            pid: u32::try_from(pid).ok().filter(|pid| *pid != 0),
            took,
            answer,
            owner,
            cgroup,
        }
    }
}

/// Asks the stepds of all extern steps here at the same time, and those of jobs that have only other steps. Changes
/// nothing, and takes no longer than the deadline and half a second.
#[must_use]
pub fn steps(node: &Node, deadline: &Deadline) -> StepsSeen {
    let log = Log::silent();
    let found = spool::find_sockets(node, log);
    let others = only_other_steps(&found, node);
    let is_other = |socket: &Socket| others.iter().any(|it| it.path == socket.path);
    let all = found.sockets.iter().chain(&others).cloned();
    let mut heard = ask_each(all, node, deadline, log);
    leave_out_ended(&mut heard, &node.trusted);
    let owners = owners_of_silent(&heard, &found.other_steps, node, log);
    let mut seen = StepsSeen {
        unreachable: found.unreachable,
        problem: found.problem,
        not_sockets: found.junk.first.map(|it| NotSockets {
            count: found.junk.count,
            first: it.path,
            owner: it.owner,
            is_socket: it.is_socket,
        }),
        ..StepsSeen::default()
    };
    for it in heard {
        let list = match is_other(&it.socket) {
            true => &mut seen.without_extern,
            false => &mut seen.steps,
        };
        let mut seen = StepSeen::of(it, log);
        let of_job = || owners.iter().find(|(job, _)| *job == seen.job);
        seen.owner = seen.owner.or_else(|| of_job().map(|(_, owner)| *owner));
        list.push(seen);
    }
    seen.steps.sort_by_key(|it| it.job);
    // The extern step ends first: such a job is not without one, but going away.
    seen.without_extern
        .retain(|it| matches!(it.answer, Answer::Step { state, .. } if state != StepState::Ending));
    seen.without_extern.sort_by_key(|it| it.job);
    seen
}

/// The owners of jobs whose stepds do not answer, by job, as the stepds of other steps tell.
fn owners_of_silent(
    heard: &[Heard],
    others: &[(u32, PathBuf)],
    node: &Node,
    log: Log<'_>,
) -> Vec<(u32, u32)> {
    let is_silent = |job: u32| {
        let mut heard = heard.iter().filter(|it| it.socket.job.job == job);
        heard.any(|it| !matches!(it.reply, Reply::Owner(_)))
    };
    let others = others.iter().filter(|(job, _)| is_silent(*job));
    let sockets = others.filter_map(|(job, path)| Socket::of_step(*job, path, &node.trusted));
    let heard = ask_each(sockets, node, &Deadline::after(OWNERS), log);
    let owner = |it: Heard| match it.reply {
        Reply::Owner(told) => Some((it.socket.job.job, told.uid)),
        _ => None,
    };
    heard.into_iter().filter_map(owner).collect()
}

/// A step of each job that has steps here, but no extern step.
fn only_other_steps(found: &Found, node: &Node) -> Vec<Socket> {
    let has_extern = |job: u32| {
        found.sockets.iter().any(|it| it.job.job == job)
            || found.unreachable.iter().any(|(it, _)| *it == job)
    };
    let others = found
        .other_steps
        .iter()
        .filter(|(job, _)| !has_extern(*job));
    let sockets = others.filter_map(|(job, path)| Socket::of_step(*job, path, &node.trusted));
    sockets.collect()
}

/// Leaves out steps that have just ended: their sockets are gone, or those of a requeued job by now.
fn leave_out_ended(heard: &mut Vec<Heard>, trusted: &Trusted) {
    let is_gone = |it: &Heard| matches!(it.reply, Reply::Gone);
    if !heard.iter().any(is_gone) {
        return;
    }
    thread::sleep(LEAVING);
    heard.retain(|it| {
        let now = || Socket::of_step(it.socket.job.job, &it.socket.path, trusted);
        !is_gone(it) || now().is_some_and(|now| now.identity == it.socket.identity)
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sluid_is_told_from_a_jobs_number() {
        for (path, sluid) in [
            (
                "/system.slice/n_slurmstepd.scope/s0DNM8M1FSF400",
                Some("s0DNM8M1FSF400"),
            ),
            ("/system.slice/n_slurmstepd.scope/job_7", None),
            ("/slurm/uid_2001/job_7", None),
            ("/scope/s", None),
            ("/scope/slurm", None),
            ("s0", None),
            ("", None),
        ] {
            let cgroup = JobCgroup {
                controllers: "",
                path: path.to_owned(),
            };
            assert_eq!(cgroup.sluid(), sluid, "{path}");
        }
    }
}
