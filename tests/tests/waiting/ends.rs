//! What ends a wait.

use std::time::Duration;

use anyhow::{Result, ensure};
use lab::{Cluster, Suite};
use tests::{CLI, job_of_cgroup};

use crate::{
    CGROUP, LIMIT, SLOW, Test, lands_in, logged, login, start, start_with, waiting_login,
    with_options,
};

pub const TESTS: &[(&str, Test)] = &[
    ("a spool directory may be missing at first", no_spool),
    (
        "a file system may be mounted on the spool directory",
        mounted_spool,
    ),
];

/// Starts a cluster with a configuration of its own.
type OwnCluster = fn(Suite) -> Result<()>;

pub const OWN_CLUSTER: &[(&str, OwnCluster)] = &[
    ("a prolog that runs in the job is waited for", run_in_job),
    (
        "the job after one that is ending is waited for",
        after_ending,
    ),
];

fn no_spool(cluster: &Cluster) -> Result<()> {
    let node = cluster.node(2);
    with_options(cluster, "wait_for_job=60")?;
    node.stop_slurmd()?;
    node.sh("rm -r /var/spool/slurmd")?;
    let login = waiting_login(cluster)?;
    node.sh("mkdir /var/spool/slurmd")?;
    node.start_slurmd()?;
    let job = cluster.submit("alice", &["--nodelist=node2"])?;
    lands_in(node, login, job)
}

/// No event tells of the mount, nor of what is made in there.
fn mounted_spool(cluster: &Cluster) -> Result<()> {
    let node = cluster.node(2);
    with_options(cluster, "wait_for_job=60")?;
    let login = waiting_login(cluster)?;
    node.stop_slurmd()?;
    node.sh("sleep 0.3; mount -t tmpfs -o mode=755 tmpfs /var/spool/slurmd")?;
    node.start_slurmd()?;
    let job = cluster.submit("alice", &["--nodelist=node2"])?;
    let landed = lands_in(node, login, job);
    cluster.cancel_all()?;
    node.stop_slurmd()?;
    node.sh("umount /var/spool/slurmd")?;
    node.start_slurmd()?;
    landed
}

/// The slurmstepd is there and says that it runs: who does not wait is in the job before its prolog is done.
fn run_in_job(suite: Suite) -> Result<()> {
    let cluster = start(suite, "contain,RunInJob")?;
    let node = cluster.node(2);
    node.write(SLOW, "", 0o644)?;
    let job = cluster.submit_only("alice", &["--nodelist=node2"])?;
    let socket = node.extern_socket(job);
    let listens = || Ok(node.unix_sockets()?.contains(&socket));
    lab::poll::until_true(&socket, LIMIT, listens)?;
    let is_running = || Ok(!node.processes("/etc/slurm/prolog")?.is_empty());
    lab::poll::until_true("the prolog", LIMIT, is_running)?;
    with_options(&cluster, "")?;
    let during = cluster.node(1).ssh("alice", "node2", CGROUP)?.ok()?;
    ensure!(job_of_cgroup(node, &during)? == Some(job), "{during}");

    with_options(&cluster, "wait_for_job=60")?;
    let mark = node.syslog_mark()?;
    let mut login = login(&cluster, "alice")?;
    let text = format!("alice waits for job {job} to be set up, up to 60 s");
    logged(node, mark, &text)?;
    ensure!(
        login.wait(Duration::from_secs(1))?.is_none(),
        "it did not wait"
    );
    node.remove(SLOW)?;
    lands_in(node, login, job)?;
    // Who comes when it runs does not wait.
    cluster.wait_running(job)?;
    let mark = node.syslog_mark()?;
    cluster.node(1).ssh("alice", "node2", CGROUP)?.ok()?;
    let log = node.syslog_since(mark)?;
    ensure!(!log.contains("wait"), "{log}");
    Ok(())
}

/// A job that was cancelled ends for as long as KillWait, and no other starts on its node before. (Up to 22.05 its
/// extern step is over at once.)
fn after_ending(suite: Suite) -> Result<()> {
    let cluster = start_with(suite, "PrologFlags=contain\nKillWait=10\n")?;
    let node = cluster.node(2);
    let stays = "--wrap=trap '' TERM; touch /tmp/stays; while :; do sleep 1; done";
    let old = cluster.submit("alice", &["--nodelist=node2", stays])?;
    let has_begun = || Ok(node.list("/tmp")?.contains(&"stays".to_owned()));
    lab::poll::until_true("its script", LIMIT, has_begun)?;
    node.sh(&format!("scancel {old}"))?;
    let options = "wait_for_job=60 action_adopt_failure=deny";
    with_options(&cluster, options)?;
    let is_ending = || {
        let told = node.run(&[CLI, "explain", "alice", "--options", options])?;
        Ok(told.stdout.contains("a login waits up to 60 s"))
    };
    lab::poll::until_true("explain to tell of the wait", LIMIT, is_ending)?;
    let login = waiting_login(&cluster)?;
    let is_there = node.unix_sockets()?.contains(&node.extern_socket(old));
    ensure!(is_there, "job {old} is over: nothing was seen");
    let job = cluster.submit("alice", &["--nodelist=node2"])?;
    lands_in(node, login, job)
}
