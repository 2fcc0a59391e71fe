//! Measures a user's jobs here, for `action_unknown=longest` and `largest`.
//!
//! What slurmstepd does not tell stands in the job's environment: `SLURM_JOB_END_TIME` (from 23.02 on) and
//! `SLURM_CPUS_ON_NODE` (all releases). It is the user's to change, and to choose among their own jobs is all that they
//! gain. With ConstrainCores the job's cpuset has its CPUs.

use std::time::Duration;

use sys::Deadline;

use crate::access;
use crate::adoption::hierarchy;
use crate::adoption::steps::Steps as StepCgroups;
use crate::facts::Measure;
use crate::job_env::{END_TIME, JobEnv};
use crate::log::Log;
use crate::options::Unknown;
use crate::stepd::{Census, OwnStepd};

const CPUS: &str = "SLURM_CPUS_ON_NODE";

/// Measures each of the jobs as far as that can be known before the deadline. Logs which ones it cannot measure.
pub(crate) fn measure(
    census: &Census,
    by: Unknown,
    deadline: &Deadline,
    log: Log<'_>,
) -> Vec<Measure> {
    /// For one job: a process may make its reader wait.
    const EACH: Duration = Duration::from_millis(500);
    // The stepds that are still to answer need time too.
    let deadline = deadline.within(deadline.remaining() / 2);
    let mut measures = Vec::new();
    let mut unknown = Vec::new();
    for own in census.own() {
        let env = || {
            let wanted = |name: &str| name == END_TIME || name == CPUS;
            match deadline.has_passed() {
                true => JobEnv::default(),
                false => JobEnv::ask(census, own.job, wanted, &deadline.within(EACH), log),
            }
        };
        let value = match by {
            Unknown::Longest => env().end(),
            Unknown::Largest => {
                let of_env = || env().value(CPUS)?.parse().ok();
                cpus_of_cgroup(own, log).or_else(of_env)
            }
            _ => return measures,
        };
        match value {
            Some(value) => measures.push(Measure {
                job: own.job,
                value,
            }),
            None => unknown.push(own.job.to_string()),
        }
    }
    if !unknown.is_empty() {
        let what = match by {
            Unknown::Longest => "end",
            _ => "number of CPUs",
        };
        log.info(|| {
            let jobs = unknown.join(", ");
            format!("action_unknown: the {what} is not known of job {jobs}; others come first, then the newest")
        });
    }
    measures
}

/// The CPUs of the job's cpuset. None without ConstrainCores.
fn cpus_of_cgroup(own: OwnStepd, log: Log<'_>) -> Option<u64> {
    let steps = StepCgroups::beside(own.job, own.pid, log);
    let (hierarchy, dir) = steps.job_dir()?;
    // With v1 the directory has the same path in each hierarchy.
    let hierarchy = match hierarchy {
        hierarchy::UNIFIED => hierarchy::UNIFIED,
        _ => "cpuset",
    };
    let path = hierarchy::find(hierarchy, &format!("{dir}/cpuset.cpus"));
    let text = access::read_unless_gone(&path.ok()??);
    cpus(&text.ok()??)
}

/// The number of CPUs in a list such as `0-3,8`, cpuset(7). None if there is none.
fn cpus(list: &str) -> Option<u64> {
    let mut count = 0_u64;
    for range in list.trim().split(',') {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last): (u32, u32) = (first.parse().ok()?, last.parse().ok()?);
        count += u64::from(last.checked_sub(first)?) + 1;
    }
    Some(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_cpus() {
        for (list, count) in [
            ("0\n", Some(1)),
            ("0-3,8\n", Some(5)),
            ("2,4,6-7", Some(4)),
            ("0-4294967295", Some(1 << 32)),
            ("\n", None),
            ("", None),
            ("3-1", None),
            ("0-", None),
            ("a", None),
            ("0,,1", None),
        ] {
            assert_eq!(cpus(list), count, "{list}");
        }
    }
}
