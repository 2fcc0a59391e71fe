//! Finds the user's processes in the steps of one of their jobs.
//!
//! A process of the job is found by its cgroup. The pids that a stepd lists (LIST_PIDS) are those of the job's
//! own pid namespace if it has one, and with cgroup v2 the list begins with the stepd itself.

use std::ffi::CStr;
use std::io;
use std::os::fd::OwnedFd;

use sys::{Deadline, Proc, ProcessDir};

use crate::access;
use crate::adoption::steps::{EXTERN, Steps};
use crate::stepd::Census;

/// The processes of a job.
pub(crate) struct JobProcesses {
    /// Its slurmstepd, unless only the job's processes are visible.
    pub stepd: Option<ProcessDir>,
    proc: Proc,
    uid: u32,
    steps: Steps,
    /// That slurmstepd exists as long as the connection does.
    _connection: OwnedFd,
}

/// What the first process of a job says.
pub(crate) struct First {
    /// Its pid.
    pub pid: u32,
    /// Whether it is of the batch script or the interactive step, which have all that the job has on this node.
    pub is_of_whole_job: bool,
    /// What was read of it.
    pub read: Vec<u8>,
}

impl JobProcesses {
    /// Looks for the job's slurmstepd and its cgroups; None if the job is not one of the user's here.
    ///
    /// # Errors
    /// The system's error, with the operation; `Other` if another user listens in the slurmstepd's place, or if the
    /// slurmstepd is in another pid namespace.
    pub fn find(census: &Census, job: u32) -> io::Result<Option<Self>> {
        let Some(extern_socket) = census.socket_of(job) else {
            return Ok(None);
        };
        let connection = sys::connect_unix(&extern_socket).map_err(access::during("slurmstepd"))?;
        let stepd = sys::peer_credentials(&connection).map_err(access::during("slurmstepd"))?;
        if !census.trusts(stepd.uid) {
            let cause = format!("uid {} listens at its socket", stepd.uid);
            return Err(io::Error::other(cause));
        }
        // In the job's namespaces only the job's processes may be visible.
        let proc = Proc::own().or_else(|_| Proc::mounted());
        let proc = proc.map_err(access::during("/proc"))?;
        let own = u32::try_from(stepd.pid)
            .ok()
            .filter(|pid| *pid > 0 && proc.is_own());
        let stepd_dir = match own.map(|pid| proc.process(pid)) {
            Some(Ok(Some(dir))) if is_of(&dir, stepd.uid) => Some(dir),
            Some(Err(error)) => return Err(access::during("slurmstepd's process")(error)),
            _ => None,
        };
        let steps = match &stepd_dir {
            Some(dir) => Steps::by(job, &text(dir, c"cgroup")?.unwrap_or_default()),
            None if !proc.is_own() => Steps::seen_from_within(job),
            None => {
                return Err(io::Error::other(
                    "its slurmstepd is in another pid namespace",
                ));
            }
        };
        Ok(Some(Self {
            stepd: stepd_dir,
            proc,
            uid: census.uid(),
            steps,
            _connection: connection,
        }))
    }

    /// Reads something of the job's first process: the script, or the first step's command. `read` returns None if
    /// the process has ended.
    ///
    /// # Errors
    /// The system's error, with the operation; `Other` at the deadline.
    pub fn first(
        &self,
        deadline: &Deadline,
        read: &dyn Fn(&ProcessDir) -> io::Result<Option<Vec<u8>>>,
    ) -> io::Result<Option<First>> {
        let mut best: Option<((u64, u64), u32, Vec<u8>)> = None;
        let mut unseen = None;
        for pid in self.proc.pids().map_err(access::during("list /proc"))? {
            if deadline.has_passed() {
                let cause = "no time is left to look for its processes";
                return Err(io::Error::other(cause));
            }
            match self.candidate(pid) {
                Ok(Some(Candidate { rank, process }))
                    if best.as_ref().is_none_or(|(best, ..)| rank < *best) =>
                {
                    best = read(&process)?.map(|it| (rank, pid, it)).or(best);
                }
                Ok(_) => {}
                // An SELinux rule may hide processes that do not belong to the job.
                Err(error) => {
                    let what = format!("look at process {pid}");
                    unseen = Some(access::during(what)(error));
                }
            }
        }
        match (best, unseen) {
            (Some(((step, _), pid, read)), _) => Ok(Some(First {
                pid,
                is_of_whole_job: step <= INTERACTIVE,
                read,
            })),
            (None, Some(cause)) => Err(cause),
            (None, None) => Ok(None),
        }
    }

    /// Whether the process is the user's.
    pub fn is_users(&self, process: &ProcessDir) -> bool {
        is_of(process, self.uid)
    }

    /// Returns the process if it is the user's and in a step of the job.
    fn candidate(&self, pid: u32) -> io::Result<Option<Candidate>> {
        if self.proc.owner(pid)? != Some(self.uid) {
            return Ok(None);
        }
        // From here on use one descriptor: the pid may be another process's by now.
        let Some(process) = self.proc.process(pid)? else {
            return Ok(None);
        };
        let step = text(&process, c"cgroup")?.and_then(|it| rank(self.steps.step_in(&it)?));
        let stat = process.stat()?.filter(|it| !it.is_zombie);
        let (Some(step), Some(stat), true) = (step, stat, self.is_users(&process)) else {
            return Ok(None);
        };
        let rank = (step, stat.start);
        Ok(Some(Candidate { rank, process }))
    }
}

/// A process of one of the job's steps, ranked by step and start; the lowest rank is best.
struct Candidate {
    rank: (u64, u64),
    process: ProcessDir,
}

fn is_of(process: &ProcessDir, uid: u32) -> bool {
    matches!(process.owner(), Ok(Some(owner)) if owner == uid)
}

/// The text of a process's file; None if the process has ended.
///
/// # Errors
/// The system's error, with the file.
pub(crate) fn text(process: &ProcessDir, name: &CStr) -> io::Result<Option<String>> {
    let what = format!("read {} of a process", name.to_string_lossy());
    process.read(name).map_err(access::during(what))
}

/// The rank of a step: the lower, the likelier it has what the job has. None for the extern step, where logins are.
fn rank(step: &str) -> Option<u64> {
    match step {
        EXTERN => None,
        "batch" => Some(0),
        "interactive" => Some(INTERACTIVE),
        step => Some(step.parse().map_or(u64::MAX, |it: u32| u64::from(it) + 2)),
    }
}

/// The rank of the step that salloc starts (LaunchParameters=use_interactive_step).
const INTERACTIVE: u64 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_script_before_the_steps_in_their_order() {
        for (step, expected) in [
            ("batch", Some(0)),
            ("interactive", Some(1)),
            ("0", Some(2)),
            ("3", Some(5)),
            ("4294967294", Some(0x1_0000_0000)),
            ("x", Some(u64::MAX)),
            ("extern", None),
        ] {
            assert_eq!(rank(step), expected, "{step}");
        }
    }
}
