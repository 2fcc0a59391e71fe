//! When a job ends, by the environment of its processes.
//!
//! Slurm sets SLURM_JOB_END_TIME from 23.02 on. It does not change when the job's limit does, and the user may set it
//! to anything in a process of their own: it is good enough to show, and nothing depends on it.

use jiff::Timestamp;

use crate::model::End;
use crate::processes::Process;

/// Slurm counts a job without a limit as one of a year (`job_mgr.c`).
const YEAR: i64 = 365 * 24 * 3600;
/// The largest number of processes to look at.
const MOST: usize = 16;

/// The end of a job, by its oldest process that slurmstepd has started.
pub(crate) fn end(job: u32, processes: &[Process]) -> Option<End> {
    let is_of_job = |it: &&Process| it.place.job() == Some(job) && !it.place.is_extern();
    let mut of_job: Vec<_> = processes.iter().filter(is_of_job).collect();
    of_job.sort_by_key(|it| it.started);
    let mut environments = of_job
        .iter()
        .take(MOST)
        .filter_map(|it| environment(it.pid));
    environments.find_map(|it| in_environment(job, &it))
}

/// /proc/PID/environ; None if it is gone or another user's.
fn environment(pid: i32) -> Option<String> {
    let path = format!("/proc/{pid}/environ");
    let bytes = sys::read_regular(path.as_ref(), 4 << 20).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

fn in_environment(job: u32, environment: &str) -> Option<End> {
    let value = |name: &str| {
        let mut variables = environment.split('\0').filter_map(|it| it.split_once('='));
        variables
            .find(|(it, _)| *it == name)
            .map(|(_, value)| value)
    };
    // A process that another job's has started, such as srun, has that one's.
    if value("SLURM_JOB_ID")?.parse() != Ok(job) {
        return None;
    }
    let end: i64 = value("SLURM_JOB_END_TIME")?.parse().ok()?;
    let start = value("SLURM_JOB_START_TIME").and_then(|it| it.parse::<i64>().ok());
    let is_unlimited = start.and_then(|start| end.checked_sub(start)) == Some(YEAR);
    match is_unlimited {
        true => Some(End::Never),
        false => Timestamp::from_second(end).ok().map(End::At),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_in_an_environment() {
        let at = |second| Timestamp::from_second(second).ok().map(End::At);
        for (environment, end) in [
            (
                "A=1\0SLURM_JOB_ID=7\0SLURM_JOB_END_TIME=1796024900\0",
                at(1_796_024_900),
            ),
            (
                "SLURM_JOB_START_TIME=1796017100\0SLURM_JOB_ID=7\0SLURM_JOB_END_TIME=1827553100",
                Some(End::Never),
            ),
            ("SLURM_JOB_ID=8\0SLURM_JOB_END_TIME=1796024900\0", None),
            ("SLURM_JOB_ID=7\0", None),
            ("SLURM_JOB_ID=7\0SLURM_JOB_END_TIME=soon\0", None),
            (
                "SLURM_JOB_ID=7\0SLURM_JOB_END_TIME=9223372036854775807\0",
                None,
            ),
            ("", None),
        ] {
            assert_eq!(in_environment(7, environment), end, "{environment}");
        }
    }
}
