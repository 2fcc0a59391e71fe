//! Copies the resource limits of a job's step to a login (`limits=job`).
//!
//! Slurm gives the processes of a step the limits that the user had at submission, as far as
//! PropagateResourceLimits says so, and otherwise its daemons' (`slurmstepd/ulimits.c`). sshd's own come from
//! its service and pam_limits.
//!
//! A process of the job is found by its cgroup. The pids that a stepd lists (LIST_PIDS) are those of the job's
//! own pid namespace if it has one, and with cgroup v2 the list begins with the stepd itself.

use std::ffi::CStr;
use std::io;
use std::path::Path;

use sys::{Deadline, Limit, Proc, ProcessDir, Resource};

use crate::access;
use crate::adoption::steps::{EXTERN, Steps};
use crate::log::Log;
use crate::stepd::Census;

/// The lowest limit with which a login works: sshd's monitor, which is root's, has these limits too, and
/// the user's sshd must start a shell.
fn floor(resource: Resource) -> u64 {
    match resource {
        Resource::OpenFiles => 256,
        Resource::Stack => 1 << 20,
        Resource::Processes => 64,
        Resource::LockedMemory | Resource::Core => 0,
    }
}

/// The job's limit, but at least the floor; the floor never raises it above sshd's.
fn bounded(job: Limit, sshd: Limit, floor: u64) -> Limit {
    Limit {
        soft: job.soft.max(floor.min(sshd.soft)),
        hard: job.hard.max(floor.min(sshd.hard)),
    }
}

/// The limits of a process of the job, or none.
#[derive(Debug, Default)]
pub struct JobLimits(Vec<(Resource, Limit)>);

impl JobLimits {
    /// Reads the limits of a process of the job, or of its slurmstepd if it has none here. Only logs
    /// a failure: it denies nobody.
    pub fn ask(census: &Census, job: u32, deadline: &Deadline, log: Log<'_>) -> Self {
        let Some(socket) = census.socket_of(job) else {
            return Self::default();
        };
        match find(census, &socket, job, deadline) {
            Ok(limits) => Self(limits),
            Err(cause) => {
                log.error(|| format!("the limits of job {job}: {cause}"));
                Self::default()
            }
        }
    }

    /// Sets the limits of this process.
    pub fn set(self, log: Log<'_>) {
        for (resource, job) in self.0 {
            let limit = bounded(job, sys::limit(resource), floor(resource));
            match sys::set_limit(resource, limit) {
                Ok(()) => {
                    let Limit { soft, hard } = limit;
                    log.debug(|| format!("{resource}: {soft}, at most {hard}"));
                }
                Err(error) => log.error(|| format!("the limit {resource} of the job: {error}")),
            }
        }
    }
}

type Limits = Vec<(Resource, Limit)>;

fn find(
    census: &Census,
    extern_socket: &Path,
    job: u32,
    deadline: &Deadline,
) -> io::Result<Limits> {
    // Keep it open until the end: that slurmstepd exists as long as the connection does.
    let connection = sys::connect_unix(extern_socket).map_err(access::during("slurmstepd"))?;
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
    let found = oldest_of_first_step(&proc, census.uid(), &steps, deadline)?;
    match (found, stepd_dir) {
        (Some(limits), _) => Ok(limits),
        (None, Some(dir)) => {
            limits_of(&dir)?.ok_or_else(|| io::Error::other("its slurmstepd has ended"))
        }
        (None, None) => Err(io::Error::other("no process of it can be seen")),
    }
}

/// The limits of the job's first process: the script, or the first step's command.
fn oldest_of_first_step(
    proc: &Proc,
    uid: u32,
    steps: &Steps,
    deadline: &Deadline,
) -> io::Result<Option<Limits>> {
    let mut best: Option<((u64, u64), Limits)> = None;
    let mut unseen = None;
    for pid in proc.pids().map_err(access::during("list /proc"))? {
        if deadline.has_passed() {
            let cause = "no time is left to look for its processes";
            return Err(io::Error::other(cause));
        }
        match candidate(proc, pid, uid, steps) {
            Ok(Some(Candidate { rank, process }))
                if best.as_ref().is_none_or(|(best, _)| rank < *best) =>
            {
                best = limits_of(&process)?.map(|it| (rank, it)).or(best);
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
        (Some((_, limits)), _) => Ok(Some(limits)),
        (None, Some(cause)) => Err(cause),
        (None, None) => Ok(None),
    }
}

/// A process of one of the job's steps, ranked by step and start; the lowest rank is best.
struct Candidate {
    rank: (u64, u64),
    process: ProcessDir,
}

/// Returns the process if it is the user's and in a step of the job.
fn candidate(proc: &Proc, pid: u32, uid: u32, steps: &Steps) -> io::Result<Option<Candidate>> {
    if proc.owner(pid)? != Some(uid) {
        return Ok(None);
    }
    // From here on use one descriptor: the pid may be another process's by now.
    let Some(process) = proc.process(pid)? else {
        return Ok(None);
    };
    let step = text(&process, c"cgroup")?.and_then(|it| rank(steps.step_in(&it)?));
    let stat = process.stat()?.filter(|it| !it.is_zombie);
    let (Some(step), Some(stat), true) = (step, stat, is_of(&process, uid)) else {
        return Ok(None);
    };
    let rank = (step, stat.start);
    Ok(Some(Candidate { rank, process }))
}

fn is_of(process: &ProcessDir, uid: u32) -> bool {
    matches!(process.owner(), Ok(Some(owner)) if owner == uid)
}

fn text(process: &ProcessDir, name: &CStr) -> io::Result<Option<String>> {
    let what = format!("read {} of a process", name.to_string_lossy());
    process.read(name).map_err(access::during(what))
}

/// The limits of a process; None if it has ended.
fn limits_of(process: &ProcessDir) -> io::Result<Option<Limits>> {
    let Some(text) = text(process, c"limits")? else {
        return Ok(None);
    };
    let limit = |resource| {
        let limit = sys::limit_in(&text, resource);
        let missing = || io::Error::other(format!("/proc/PID/limits names no {resource}"));
        let limit = limit.ok_or_else(missing)?;
        Ok((resource, limit))
    };
    Resource::ALL
        .into_iter()
        .map(limit)
        .collect::<io::Result<_>>()
        .map(Some)
}

/// The rank of a step: the lower, the likelier it has the job's limits. None for the extern step, where logins are.
fn rank(step: &str) -> Option<u64> {
    match step {
        EXTERN => None,
        "batch" => Some(0),
        "interactive" => Some(1),
        step => Some(step.parse().map_or(u64::MAX, |it: u32| u64::from(it) + 2)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: u64 = u64::MAX;

    #[test]
    fn the_floor_holds_and_gives_no_more_than_sshd_has() {
        for (job, sshd, bound) in [
            ((4, 4), (1024, 4096), (256, 256)),
            ((4, 1000), (1024, 4096), (256, 1000)),
            ((777, 888), (1024, 4096), (777, 888)),
            ((NONE, NONE), (1024, 4096), (NONE, NONE)),
            ((4, 4), (100, 200), (100, 200)),
            ((4, 4), (2, 200), (4, 200)),
        ] {
            let [job, sshd, bound] = [job, sshd, bound].map(|(soft, hard)| Limit { soft, hard });
            assert_eq!(bounded(job, sshd, 256), bound, "{job:?} {sshd:?}");
            assert!(bound.soft <= bound.hard);
        }
    }

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
