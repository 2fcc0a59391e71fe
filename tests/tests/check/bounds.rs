//! What check takes: time, and nothing else.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use lab::Cluster;
use tests::CLI;

use crate::case::check;

/// The promise of slurm-adopt(8).
const LIMIT: Duration = Duration::from_secs(10);

/// munged, slurmd and a slurmstepd are stopped at the same time.
pub fn hanging(cluster: &Cluster) -> Result<()> {
    let node = cluster.node(1);
    let job = cluster.submit("alice", &[])?;
    let stepd = node.pid_of_stepd(job)?;
    let pids = format!("{stepd} $(cat /run/slurmd.pid /run/munge/munged.pid)");
    // A thread that the kernel holds up stops later.
    node.sh(&format!(
        "kill -STOP {pids}
         for pid in {pids}; do until grep -q '^State:.T' /proc/$pid/status; do sleep 0.02; done; done"
    ))?;
    let begun = Instant::now();
    let found = check(node);
    let took = begun.elapsed();
    node.sh(&format!("kill -CONT {pids}"))?;
    let found = found?;
    ensure!(took < LIMIT, "it took {took:?}");
    let socket = node.extern_socket(job);
    for expected in [
        "SA506 warning",
        "SA512 warning /run/munge/munge.socket.2",
        &format!("SA521 failure {socket}"),
    ] {
        ensure!(found.contains(expected), "no {expected}: {found:?}");
    }
    Ok(())
}

/// Names, sizes, modes, owners, and times of change of files and directories are what they were.
pub fn unchanged(cluster: &Cluster) -> Result<()> {
    const LIST: &str =
        "find /etc /run /var/spool /var/lib /root -xdev -printf '%p %s %m %U:%G %T@ %C@\\n' | sort";
    let node = cluster.node(1);
    cluster.submit("alice", &[])?;
    node.ssh("alice", node.name(), &["true"])?.ok()?;
    let before = node.sh(LIST)?;
    check(node)?;
    let after = node.sh(LIST)?;
    let lines = after
        .lines()
        .filter(|it| !before.lines().any(|old| old == *it));
    let changed: Vec<_> = lines.collect();
    ensure!(before == after, "changed: {changed:#?}");
    Ok(())
}

/// Who is not root gets no findings on what only root may look at, but reads that it was not looked at.
pub fn as_a_user(cluster: &Cluster) -> Result<()> {
    let node = cluster.node(1);
    let text = node.run_as("alice", &[CLI, "check", "--terse"])?.stdout;
    ensure!(text.contains("munged: needs root"), "{text}");
    ensure!(!text.contains(" SA5"), "{text}");
    Ok(())
}
