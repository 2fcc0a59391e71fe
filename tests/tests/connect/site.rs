//! A cluster of two nodes. Users connect from the first, where they are in no job, by the lines that `slurm-adopt connect
//! --print-config` prints.

use std::ops::RangeInclusive;
use std::time::Duration;

use anyhow::{Result, ensure};
use lab::{Cluster, Node, Output, Suite};
use tests::{CLI, job_of_cgroup};

/// What a login runs to show where it is.
pub const LOOK: &str = "cat /proc/self/cgroup; hostname";
/// ssh's file of options.
pub const CONFIG: &str = ".ssh/config";

/// Ports at which srun may listen.
pub const PORTS: RangeInclusive<u16> = 60001..=60900;
/// slurm.conf's TaskProlog.
pub const PROLOG: &str = "/usr/local/lib/task-prolog";
/// One that does nothing.
pub const NOTHING: &str = "#!/bin/sh\n";

/// Starts one.
pub fn start(suite: Suite) -> Result<Cluster> {
    let cluster = tests::cluster(suite)?
        .nodes(2)
        .slurm_conf(&format!(
            "SrunPortRange={}-{}\nTaskProlog={PROLOG}",
            PORTS.start(),
            PORTS.end()
        ))
        .copy(tests::dist("slurm-adopt")?, CLI)
        .sshd_config("X11Forwarding yes\nX11UseLocalhost yes")
        .start()?;
    for node in cluster.nodes() {
        node.write(PROLOG, NOTHING, 0o755)?;
    }
    for user in ["alice", "bob"] {
        let script = format!("{CLI} connect --print-config >{CONFIG}; cat {CONFIG}");
        let lines = cluster.node(1).run_as(user, &["sh", "-c", &script])?.ok()?;
        ensure!(lines.contains("Host job-*\n"), "{lines}");
    }
    Ok(cluster)
}

/// A job of alice's on that node.
pub fn job_on(cluster: &Cluster, number: usize, arguments: &[&str]) -> Result<u32> {
    let node = format!("--nodelist=node{number}");
    cluster.submit("alice", &[&[node.as_str()], arguments].concat())
}

/// Logs alice in from node1.
pub fn ssh(cluster: &Cluster, host: &str, argv: &[&str]) -> Result<Output> {
    let command = cluster.node(1).ssh_command("alice", host, argv);
    command.time_limit(Duration::from_secs(60)).output()
}

/// Checks that alice's login to `host` is on that node, in that job.
pub fn lands(cluster: &Cluster, host: &str, number: usize, job: u32) -> Result<()> {
    let login = ssh(cluster, host, &[LOOK])?;
    ensure!(login.stderr.is_empty(), "{host}: {login}");
    is_in(cluster.node(number), &login.ok()?, job, host)
}

/// Checks what [`LOOK`] printed.
pub fn is_in(node: &Node, seen: &str, job: u32, what: &str) -> Result<()> {
    ensure!(seen.trim_end().ends_with(node.name()), "{what}: {seen}");
    let found = job_of_cgroup(node, seen)?;
    ensure!(found == Some(job), "{what}: in {found:?}, not in job {job}");
    Ok(())
}

/// Waits until none of alice's steps but those of a job's own are left, and no relay.
pub fn wait_no_relay(cluster: &Cluster) -> Result<()> {
    lab::poll::until_true("the relays to end", Duration::from_secs(60), || {
        for node in cluster.nodes() {
            for text in [
                "slurm-adopt proxy",
                "slurm-adopt relay",
                "srun --unbuffered",
            ] {
                if !node.processes(text)?.is_empty() {
                    return Ok(false);
                }
            }
        }
        let steps = cluster
            .node(1)
            .run(&["squeue", "--steps", "-h", "--format=%j"])?
            .ok()?;
        Ok(!steps.lines().any(|it| it.trim() == "ssh"))
    })
}
