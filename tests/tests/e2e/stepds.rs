//! Stepds that do not answer, and what is kept of those that did.

use std::time::Duration;

use anyhow::{Result, ensure};
use lab::{Cluster, Node, Output, poll};
use tests::{Call, Module, job_of_cgroup};

use crate::{CGROUP, NO_JOBS};

pub fn stopped(cluster: &Cluster) -> Result<()> {
    let node = cluster.node(1);
    let bobs = cluster.submit("bob", &[])?;
    let alices = cluster.submit("alice", &[])?;
    let stepd = node.pid_of_stepd(bobs)?;
    node.signal(stepd, "STOP")?;
    let mark = node.syslog_mark()?;
    let alice = node.ssh("alice", "node1", CGROUP);
    let log = node.syslog_since(mark);
    let bob = node.ssh("bob", "node1", CGROUP);
    let many = more_logins_than_its_backlog(node, alices);
    node.signal(stepd, "CONT")?;
    ensure!(job_of_cgroup(node, &alice?.ok()?)? == Some(alices));
    // Not a measurement: SchedMD's module hangs here for ever (compliance shows it), ours would
    // wait for its deadline of 5 s if it did not know better.
    let (log, most) = (log?, Duration::from_secs(4));
    ensure!(
        tests::took(&log)? < most,
        "alice waited for bob's stepd: {log}"
    );
    many?;
    let bob = bob?;
    let reason = format!("{NO_JOBS} (slurmstepd of job {bobs} does not answer)");
    ensure!(bob.stderr.contains(&reason), "{bob}");
    ensure!(job_of_cgroup(node, &node.ssh("bob", "node1", CGROUP)?.ok()?)? == Some(bobs));
    cluster.cancel_all()
}

/// Each login leaves a connection in the stopped stepd's backlog of 32; then connecting blocks.
fn more_logins_than_its_backlog(node: &Node, job: u32) -> Result<()> {
    for (count, options) in [(38, ""), (3, "action_unknown=deny timeout=3")] {
        for turn in 1..=count {
            let call = Call::new("alice", options);
            let outcome = call.make(node, Module::Ours)?;
            ensure!(
                outcome.job(node)? == Some(job),
                "{options} login {turn}: {outcome}"
            );
        }
    }
    Ok(())
}

/// Where the module keeps what stepds have said, in a directory of root's.
const DIR: &str = "/run/slurm-adopt";
const FILE: &str = "/run/slurm-adopt/owners";
/// The file's size with one job of alice's and one of bob's.
const TWO: &str = "128\n";

/// What stepds have said is kept in a file of root's; whoever can't use it asks.
pub fn met_before(cluster: &Cluster) -> Result<()> {
    let node = cluster.node(1);
    node.remove(DIR)?;
    let bobs = cluster.submit("bob", &[])?;
    let alices = cluster.submit("alice", &[])?;
    both_kept(node)?;
    asked_only_if_spoilt(node, alices, bobs)?;
    carol_is_denied(node)?;
    ensure!(
        size(node)? == TWO,
        "a spoilt file stays so: {}",
        size(node)?
    );
    not_kept_without_room(node, alices)?;

    // Jobs that come and go: never an owner kept out, never anybody else let in.
    cluster.cancel(bobs)?;
    let bobs = cluster.submit("bob", &[])?;
    for (user, job) in [("alice", alices), ("bob", bobs), ("alice", alices)] {
        let login = node.ssh(user, "node1", CGROUP)?.ok()?;
        ensure!(job_of_cgroup(node, &login)? == Some(job), "{user}: {login}");
    }
    carol_is_denied(node)?;
    // Not until the node is idle: with 26.05 that takes a minute after a job that was so short.
    cluster.cancel(alices)?;
    cluster.cancel(bobs)
}

fn carol(node: &Node) -> Result<Output> {
    node.ssh("carol", "node1", CGROUP)
}

fn carol_is_denied(node: &Node) -> Result<()> {
    ensure!(carol(node)?.stderr.contains(NO_JOBS));
    Ok(())
}

fn size(node: &Node) -> Result<String> {
    node.sh(&format!("stat -c %s {FILE}"))
}

fn both_kept(node: &Node) -> Result<()> {
    // A step that is still starting is not kept.
    poll::until_true("both stepds to be kept", Duration::from_secs(20), || {
        carol_is_denied(node)?;
        Ok(size(node)? == TWO)
    })?;
    let kept = node.sh(&format!("stat -c '%a %U %s' {DIR} {FILE}"))?;
    ensure!(
        kept.starts_with("700 root ") && kept.ends_with(&format!("\n600 root {TWO}")),
        "{kept}"
    );
    Ok(())
}

/// bob's stopped stepd is asked again only if the file is spoilt.
fn asked_only_if_spoilt(node: &Node, alices: u32, bobs: u32) -> Result<()> {
    let stepd = node.pid_of_stepd(bobs)?;
    node.signal(stepd, "STOP")?;
    let met = carol(node);
    // With action_unknown=deny all silent ones are waited for.
    let strict = Call::new("alice", "action_unknown=deny timeout=15").make(node, Module::Ours);
    // Spoilt, it is as if it were not there.
    node.sh(&format!(
        "printf x >{FILE}.new; cat {FILE} >>{FILE}.new; cat {FILE}.new >{FILE}"
    ))?;
    let spoilt = carol(node);
    node.signal(stepd, "CONT")?;

    let asked = format!("slurmstepd of job {bobs} does not answer");
    ensure!(!met?.stderr.contains(&asked), "bob's stepd was asked again");
    let strict = strict?;
    ensure!(strict.job(node)? == Some(alices), "{strict}");
    ensure!(
        strict.micros < 10_000_000,
        "waited for a stepd that was met: {strict:?}"
    );
    ensure!(
        spoilt?.stderr.contains(&asked),
        "a spoilt file was believed"
    );
    Ok(())
}

/// Where a file may not grow the kernel would end the process.
fn not_kept_without_room(node: &Node, alices: u32) -> Result<()> {
    node.remove(DIR)?;
    let mut limited = Call::new("alice", "");
    limited.wrapper = Some("(ulimit -f 0; exec \"$@\") | cat".into());
    let limited = limited.make(node, Module::Ours)?;
    ensure!(limited.job(node)? == Some(alices), "{limited}");
    ensure!(node.list(DIR)?.is_empty());
    Ok(())
}
