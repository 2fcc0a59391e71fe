//! The ends of jobs as slurmctld knows them: `scontrol update` may have moved one since the job started.

use std::collections::BTreeMap;
use std::time::Duration;

use check::host::{Host, command, slurmd};
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use sys::Deadline;

/// The largest number of jobs that slurmctld is asked for: one at a time, which costs it least (squeue fetches all jobs
/// of the cluster if it is to show two).
const MOST: usize = 8;
/// The time for all of them.
const PATIENCE: Duration = Duration::from_secs(4);

/// An end of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// In seconds since 1970.
    At(i64),
    /// There is none.
    Never,
}

/// The ends of those of the jobs that slurmctld tells of in time.
pub fn ends(jobs: &[u32], host: &Host) -> BTreeMap<u32, End> {
    let deadline = host.deadline.within(PATIENCE);
    let program = squeue(host);
    let mut ends = BTreeMap::new();
    for job in jobs.iter().take(MOST) {
        if deadline.has_passed() {
            break;
        }
        ends.extend(ask(&program, *job, &deadline).map(|end| (*job, end)));
    }
    ends
}

fn ask(program: &str, job: u32, deadline: &Deadline) -> Option<End> {
    let number = job.to_string();
    let arguments = ["--noheader", "--format=%e", "--jobs", &number];
    let printed = command::run(program, &arguments, deadline).ok()?;
    printed
        .is_success()
        .then(|| parse(&printed.out, &TimeZone::system()))?
}

/// The squeue of the slurmd that runs here, which need not be in PATH.
fn squeue(host: &Host) -> String {
    let slurmds = slurmd::running(host).filter(|it| it.has_our_root);
    let beside = slurmds.filter_map(|it| {
        let program = it.process.program.as_ref()?;
        let squeue = program.parent()?.parent()?.join("bin/squeue");
        let squeue = squeue.to_str()?.to_owned();
        std::fs::metadata(&squeue).is_ok().then_some(squeue)
    });
    beside
        .into_iter()
        .next()
        .unwrap_or_else(|| "squeue".to_owned())
}

/// Parses what squeue prints: a time of this host's zone, or `N/A`.
fn parse(text: &str, zone: &TimeZone) -> Option<End> {
    let text = text.lines().next()?.trim();
    if matches!(text, "N/A" | "NONE" | "UNLIMITED") {
        return Some(End::Never);
    }
    let time: DateTime = text.parse().ok()?;
    let time = zone.to_timestamp(time).ok()?;
    Some(End::At(time.as_second()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_squeue_prints() {
        for (text, end) in [
            ("2026-12-01T05:38:20\n", Some(End::At(1_796_103_500))),
            ("N/A\n", Some(End::Never)),
            ("", None),
            ("slurm_load_jobs error\n", None),
        ] {
            assert_eq!(parse(text, &TimeZone::UTC), end, "{text}");
        }
    }
}
