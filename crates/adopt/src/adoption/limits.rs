//! Copies the resource limits of a job's step to a login (`limits=job`).
//!
//! Slurm gives the processes of a step the limits that the user had at submission, as far as
//! PropagateResourceLimits says so, and otherwise its daemons' (`slurmstepd/ulimits.c`). sshd's own come from
//! its service and pam_limits.

use std::io;

use sys::{Deadline, Limit, ProcessDir, Resource};

use crate::adoption::processes::{JobProcesses, text};
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
        match find(census, job, deadline) {
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

fn find(census: &Census, job: u32, deadline: &Deadline) -> io::Result<Limits> {
    let Some(processes) = JobProcesses::find(census, job)? else {
        return Ok(Limits::new());
    };
    let read = |it: &ProcessDir| Ok(text(it, c"limits")?.map(String::into_bytes));
    let first = processes.first(deadline, &read)?;
    let limits = match (first, &processes.stepd) {
        (Some(first), _) => String::from_utf8_lossy(&first.read).into_owned(),
        (None, Some(stepd)) => {
            text(stepd, c"limits")?.ok_or_else(|| io::Error::other("its slurmstepd has ended"))?
        }
        (None, None) => return Err(io::Error::other("no process of it can be seen")),
    };
    limits_in(&limits)
}

/// The limits in the text of /proc/PID/limits.
fn limits_in(text: &str) -> io::Result<Limits> {
    let limit = |resource| {
        let limit = sys::limit_in(text, resource);
        let missing = || io::Error::other(format!("/proc/PID/limits names no {resource}"));
        let limit = limit.ok_or_else(missing)?;
        Ok((resource, limit))
    };
    Resource::ALL.into_iter().map(limit).collect()
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
}
