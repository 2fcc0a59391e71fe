//! Suspended jobs: a process that enters the extern step of one stops there until the job is resumed.
//!
//! Slurm suspends a job (`scontrol suspend`, preemption, gang scheduling) by SIGTSTP to the processes of
//! each step, and two seconds later by the freezer of each step: `freezer.state` of `step_extern` with
//! cgroup v1, `cgroup.freeze` of `step_extern/user` with v2. Seen with 20.11, 22.05, 24.11 and 26.05. The
//! slurmstepd itself, in the directory above or beside, goes on and takes processes in as ever; its STATE
//! stays "running". Where a directory above is frozen, the slurmstepd is too, and does not answer.

use std::cell::Cell;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use sys::{Deadline, Interest, ProxyError};

use crate::adoption::cgroup::{self, Step};
use crate::adoption::error::AdoptError;
use crate::adoption::hierarchy::{self, UNIFIED};
use crate::exchange::{self, Broken};
use crate::log::Log;
use crate::stepd::Census;

/// The freezer of an extern step.
#[derive(Debug)]
pub struct Freezer {
    /// The file with its state, if there is one to be seen.
    state: Option<String>,
    is_suspended: bool,
}

impl Freezer {
    /// Looks at that of a job whose slurmstepd is this process (0: not visible from here).
    #[must_use]
    #[inline(never)]
    pub fn of(job: u32, stepd: i32) -> Self {
        let cgroups = read(format!("/proc/{stepd}/cgroup")).unwrap_or_default();
        let found = state_file(job, &cgroups).and_then(|(hierarchy, file)| {
            let file = hierarchy::find(hierarchy, &file)?;
            let state = read(&file)?;
            Some((file, state))
        });
        // What is in no step's cgroup holds no step: its children may be stopped for reasons of their own.
        let is_suspended = |state: &str| is_frozen(state) || is_sleeper_stopped(stepd);
        Self {
            is_suspended: found.as_ref().is_some_and(|(_, state)| is_suspended(state)),
            state: found.map(|(file, _)| file),
        }
    }

    /// Whether it is suspended, or will be within two seconds.
    #[must_use]
    pub fn is_suspended(&self) -> bool {
        self.is_suspended
    }
}

/// Whether the process that the slurmstepd has put into the step to hold it is stopped, as all of the step
/// are before it is frozen. It is root's: no user can stop it. In 26.05 there is none.
fn is_sleeper_stopped(stepd: i32) -> bool {
    let children = read(format!("/proc/{stepd}/task/{stepd}/children")).unwrap_or_default();
    children.split_whitespace().any(|child| {
        let stat = read(format!("/proc/{child}/stat"));
        stat.is_some_and(|it| is_stopped(&it))
    })
}

fn read(path: impl AsRef<Path>) -> Option<String> {
    let text = sys::read_regular(path.as_ref(), 1 << 20).ok()?;
    String::from_utf8(text).ok()
}

/// The hierarchy and the path in it of the file that has the state of a job's extern step, by the text of
/// its slurmstepd's /proc/PID/cgroup.
fn state_file(job: u32, stepd: &str) -> Option<(&'static str, String)> {
    if let Some(step) = Step::beside(job, stepd).v2 {
        return Some((UNIFIED, format!("{step}/user/cgroup.freeze")));
    }
    let has = |it: &cgroup::Line<'_>| it.controllers.split(',').any(|it| it == "freezer");
    let path = cgroup::lines(stepd).find(has)?.path;
    // The slurmstepd is in the job's directory, job_N.
    let end = format!("/job_{job}");
    path.ends_with(&end)
        .then(|| ("freezer", format!("{path}/step_extern/freezer.state")))
}

/// By the text of freezer.state (FREEZING counts) or cgroup.freeze.
fn is_frozen(state: &str) -> bool {
    !matches!(state.trim(), "THAWED" | "0" | "")
}

/// By the text of /proc/PID/stat of a child of the slurmstepd: only sleep(1), which it runs to hold the step
/// (`mgr.c`), counts.
fn is_stopped(stat: &str) -> bool {
    let after = stat.split_once(" (sleep) ");
    after.is_some_and(|(_, after)| after.starts_with('T'))
}

/// Says whether a job that is to be adopted into later is suspended now.
///
/// # Errors
/// [`AdoptError::Suspended`], and what comes of asking the slurmstepd whose job it is.
#[inline(never)]
pub fn look(
    census: &mut Census,
    job: u32,
    deadline: &Deadline,
    log: Log<'_>,
) -> Result<(), AdoptError> {
    let conversation = census.converse(job, deadline, log)?;
    match Freezer::of(job, conversation.pid).is_suspended() {
        true => Err(AdoptError::Suspended),
        false => Ok(()),
    }
}

/// Asks the slurmstepd to take a process, the calling one, into its step. The answer is left to be read.
///
/// # Errors
/// [`AdoptError::Suspended`]: the process is where it was.
pub fn ask(
    freezer: &Freezer,
    socket: &OwnedFd,
    question: &[u8],
    pid: u32,
    deadline: &Deadline,
    log: Log<'_>,
) -> Result<(), AdoptError> {
    let ask = || {
        let sent = sys::send(socket, question);
        if sent.is_ok() {
            let _ = exchange::wait(Interest::readable(socket), deadline);
        }
        sent
    };
    guarded(freezer, pid, &ask, log)?.map_err(|error| Broken::from(error).into())
}

/// Does what moves a process, the calling one, into the step.
///
/// Who is moved into a frozen step stops at once, and can't help itself. So another process does the work:
/// it is not moved, and puts the login back where it was if the step is suspended by then.
///
/// # Errors
/// [`AdoptError::Suspended`]: the process is where it was.
pub fn guarded(
    freezer: &Freezer,
    pid: u32,
    work: &dyn Fn() -> io::Result<()>,
    log: Log<'_>,
) -> Result<io::Result<()>, AdoptError> {
    const THROUGH: u8 = 0;
    const FAILED: u8 = 1;
    const PUT_BACK: u8 = 2;
    const NOT_PUT_BACK: u8 = 3;
    if freezer.is_suspended {
        return Err(AdoptError::Suspended);
    }
    let Some(state) = &freezer.state else {
        log.debug(|| "the job has no freezer, or none is visible".to_owned());
        return Ok(work());
    };
    let failure = Cell::new(None);
    // No line to the log from in there: see `by_proxy`.
    let done = sys::by_proxy(&|| {
        let worked = work();
        let is_frozen = read(state).is_some_and(|it| is_frozen(&it));
        match (is_frozen.then(|| put_back(pid)), worked) {
            (None, Ok(())) => THROUGH,
            (None, Err(error)) => {
                failure.set(Some(error));
                FAILED
            }
            (Some(Ok(())), _) => PUT_BACK,
            (Some(Err(_)), _) => NOT_PUT_BACK,
        }
    });
    match done {
        Ok(THROUGH) => Ok(Ok(())),
        // Where the other process is a copy of this one (valgrind) its error is not to be had.
        Ok(FAILED) => Ok(Err(failure
            .take()
            .unwrap_or_else(|| io::Error::other("it failed")))),
        Ok(PUT_BACK) => Err(AdoptError::Suspended),
        Ok(_) => {
            log.error(|| "the job was suspended, and the login could not leave it".to_owned());
            Ok(Ok(()))
        }
        Err(ProxyError::NotStarted(error)) => {
            log.error(|| format!("start a process that asks: {error}"));
            Ok(work())
        }
        // It may have asked, so that nobody may ask again.
        Err(error) => Err(AdoptError::NotHeld(error.to_string())),
    }
}

/// Puts a process where the calling one is, in each hierarchy of control groups.
fn put_back(pid: u32) -> io::Result<()> {
    let unseen = |what: &str| io::Error::other(format!("{what} is not visible"));
    let here = read("/proc/self/cgroup").ok_or_else(|| unseen("the own cgroup"))?;
    let there = format!("/proc/{pid}/cgroup");
    let there = read(&there).ok_or_else(|| unseen("the login's cgroup"))?;
    let mut result = Ok(());
    for line in cgroup::lines(&here) {
        let same = |it: &cgroup::Line<'_>| it.controllers == line.controllers;
        let is_there = cgroup::lines(&there).find(same);
        if is_there.is_some_and(|it| it.path != line.path) {
            // Whatever fails elsewhere, out of the freezer.
            result = result.and(hierarchy::put(pid, line.controllers, line.path));
        }
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_the_state_is() {
        for (job, stepd, found) in [
            (
                7,
                "6:freezer:/slurm_node1/uid_2001/job_7\n0::/init.scope\n",
                Some((
                    "freezer",
                    "/slurm_node1/uid_2001/job_7/step_extern/freezer.state",
                )),
            ),
            (
                7,
                "0::/system.slice/n_slurmstepd.scope/s8FSM8/step_extern/slurm\n",
                Some((
                    "",
                    "/system.slice/n_slurmstepd.scope/s8FSM8/step_extern/user/cgroup.freeze",
                )),
            ),
            (7, "6:freezer:/slurm/uid_2001/job_77\n", None),
            (7, "6:freezer:/\n0::/\n", None),
            (7, "5:cpu:/slurm/uid_2001/job_7\n", None),
            (7, "", None),
        ] {
            let found = found.map(|(hierarchy, path)| (hierarchy, path.to_owned()));
            assert_eq!(state_file(job, stepd), found, "{stepd}");
        }
    }

    #[test]
    fn what_is_frozen() {
        for (state, is) in [
            ("THAWED\n", false),
            ("0\n", false),
            ("", false),
            ("FREEZING\n", true),
            ("FROZEN\n", true),
            ("1\n", true),
        ] {
            assert_eq!(is_frozen(state), is);
        }
    }

    #[test]
    fn what_is_stopped() {
        for (stat, is) in [
            ("310 (sleep) T 296 310", true),
            ("310 (sleep) S 296 310", false),
            ("310 (perl) T 296 310", false),
            ("310 (a) (sleep T 296 310", false),
            ("", false),
        ] {
            assert_eq!(is_stopped(stat), is, "{stat}");
        }
    }
}
