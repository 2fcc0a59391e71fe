//! Jobs that are ending, as slurmctld tells.

use std::time::Duration;

use crate::host::{Host, command};
use crate::running::slurmd::Slurmds;

/// The time for squeue.
const LIMIT: Duration = Duration::from_secs(2);

/// Those of the jobs that are ending. Up to 23.02 no slurmstepd tells that its job is ending while the job's processes have
/// time to end (KillWait), and by then the extern step is gone. Without an answer, none.
pub(super) fn ending(host: &Host, slurmds: &Slurmds, jobs: &[u32]) -> Vec<u32> {
    if jobs.is_empty() {
        return Vec::new();
    }
    let list: Vec<_> = jobs.iter().map(u32::to_string).collect();
    let list = list.join(",");
    let arguments = ["--noheader", "--format=%A %T", "--jobs", &list];
    let squeue = slurmds.client(host, "squeue");
    let printed = command::run(&squeue, &arguments, &host.deadline.within(LIMIT));
    printed.map_or_else(|_| Vec::new(), |it| completing(&it.out))
}

/// The jobs that lines of `JOB STATE` call ending.
fn completing(text: &str) -> Vec<u32> {
    let job = |line: &str| {
        let (job, state) = line.trim().split_once(' ')?;
        (state == "COMPLETING").then(|| job.parse().ok())?
    };
    text.lines().filter_map(job).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_completing_jobs_are_ending() {
        let text = "7 COMPLETING\n8 RUNNING\n 9 COMPLETING\nx COMPLETING\n10\n\n11 SUSPENDED\n";
        assert_eq!(completing(text), [7, 9]);
    }
}
