//! The way to the node, and its end.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lab::Cluster;
use tests::CLI;

use crate::site::{CONFIG, LOOK, is_in, job_on, lands, ssh, wait_no_relay};

/// A killed ssh tells nobody.
pub fn gone(cluster: &Cluster) -> Result<()> {
    let node = cluster.node(1);
    let job = job_on(cluster, 2, &[])?;
    let host = format!("job-{job}");
    for (way, signal) in [("direct", "KILL"), ("srun", "TERM"), ("srun", "KILL")] {
        ended(cluster, &host, way, signal).with_context(|| format!("{way}, {signal}"))?;
    }
    // While it waits.
    let waits = cluster.submit_only("alice", &["--hold"])?;
    let host = format!("job-{waits}");
    let login = node.ssh_command("alice", &host, &["true"]).spawn()?;
    let waits = || Ok(login.stderr()?.contains("waiting"));
    lab::poll::until_true("the proxy to wait", Duration::from_secs(60), waits)?;
    node.signal(login.pid(), "KILL")?;
    wait_no_relay(cluster)
}

/// A login whose ssh is ended by this signal leaves nothing, and nothing is told.
fn ended(cluster: &Cluster, host: &str, way: &str, signal: &str) -> Result<()> {
    let node = cluster.node(1);
    let proxy = format!("ProxyCommand={CLI} proxy --via {way} %n");
    let options = ["ssh", "-o", "BatchMode=yes", "-o", &proxy];
    let argv = [&options[..], &[host, "echo in; sleep 1000"]].concat();
    let login = node.command(&argv).user("alice").spawn()?;
    let is_in = || Ok(login.stdout()? == "in\n");
    lab::poll::until_true("the login", Duration::from_secs(60), is_in)?;
    node.signal(login.pid(), signal)?;
    wait_no_relay(cluster)?;
    let told = login.stderr()?;
    let is_quiet = !told.contains("srun") && !told.contains("slurmstepd");
    ensure!(is_quiet, "{told}");
    Ok(())
}

pub fn connect_and_laptop(cluster: &Cluster) -> Result<()> {
    let node = cluster.node(1);
    let older = job_on(cluster, 2, &["--job-name=older"])?;
    job_on(cluster, 2, &[])?;
    for arguments in [&["older"][..], &["--via", "srun", "job-older"]] {
        let more = ["-o", "BatchMode=yes", LOOK];
        let argv = [&[CLI, "connect"], arguments, &more].concat();
        let seen = node.run_as("alice", &argv)?.ok()?;
        is_in(cluster.node(2), &seen, older, "connect")?;
    }
    // From another host, by way of node1, into which she gets by her job there.
    job_on(cluster, 1, &[])?;
    let laptop = cluster.node(2);
    let print = format!("{CLI} connect --print-config --from-laptop node1 >{CONFIG}");
    laptop.run_as("alice", &["sh", "-c", &print])?.ok()?;
    let login = laptop.ssh("alice", "job-older", &[LOOK])?;
    laptop.run_as("alice", &["rm", CONFIG])?.ok()?;
    is_in(laptop, &login.ok()?, older, "laptop")
}

/// There, bash relays; and sshd's host is known by its name alone.
pub fn without_program(cluster: &Cluster) -> Result<()> {
    let older = job_on(cluster, 2, &[])?;
    job_on(cluster, 2, &[])?;
    let away = format!("{CLI}.away");
    cluster.node(2).run(&["mv", CLI, &away])?.ok()?;
    let host = format!("job-{older}");
    let done = lands(cluster, &host, 2, older)
        .and_then(|()| ended(cluster, &host, "srun", "KILL").context("srun, KILL"));
    cluster.node(2).run(&["mv", &away, CLI])?.ok()?;
    done
}

/// The job's own step has all of its CPUs.
pub fn full(cluster: &Cluster) -> Result<()> {
    let own = "--wrap=exec srun sleep 100000";
    let job = job_on(cluster, 2, &[own])?;
    let argv = ["squeue", "--steps", "-h", "--format=%j"];
    lab::poll::until_true("the job's step", Duration::from_secs(60), || {
        Ok(cluster.node(1).run(&argv)?.ok()?.contains("sleep"))
    })?;
    let proxy = format!("ProxyCommand={CLI} proxy --via srun %n");
    let host = format!("job-{job}");
    let login = ssh(cluster, &host, &["-o", &proxy, LOOK])?;
    is_in(cluster.node(2), &login.ok()?, job, "full")
}
