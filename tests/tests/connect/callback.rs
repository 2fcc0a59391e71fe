//! The connection beside srun's.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use lab::{Cluster, Node};
use tests::CLI;

use crate::site::{LOOK, NOTHING, PORTS, PROLOG, is_in, job_on, ssh, wait_no_relay};

/// By a port that srun has, and by srun itself where the relay cannot call.
pub fn called_back(cluster: &Cluster) -> Result<()> {
    let there = cluster.node(2);
    let job = job_on(cluster, 2, &[])?;
    let host = format!("job-{job}");
    let ports = connected(cluster, &host)?;
    ensure!(
        ports.len() == 1 && PORTS.contains(&ports[0]),
        "the relay is connected to ports {ports:?} of the proxy's host"
    );
    // No route leads there; and such a script may print, too.
    let script = "#!/bin/sh\necho print hello\necho export SLURM_LAUNCH_NODE_IPADDR=192.0.2.1\n";
    there.write(PROLOG, script, 0o755)?;
    let tried = connected(cluster, &host).and_then(|ports| {
        ensure!(ports.is_empty(), "it is connected to ports {ports:?}");
        carried(cluster, &host)?;
        let seen = ssh(cluster, &host, &["-o", &by_srun(), LOOK])?.ok()?;
        is_in(there, &seen, job, "by srun alone")
    });
    there.write(PROLOG, NOTHING, 0o755)?;
    tried
}

fn by_srun() -> String {
    format!("ProxyCommand={CLI} proxy --via srun %n")
}

/// The ports of node1 to which a relay on node2 is connected while a login lasts.
fn connected(cluster: &Cluster, host: &str) -> Result<Vec<u16>> {
    let node = cluster.node(1);
    let argv = ["-o", &by_srun(), "echo in; sleep 1000"];
    let login = node.ssh_command("alice", host, &argv).spawn()?;
    let is_in = || Ok(login.stdout()?.contains("in\n"));
    let waited = lab::poll::until_true("the login", Duration::from_secs(60), is_in);
    waited.with_context(|| login.stderr().unwrap_or_default())?;
    let ports = peers(cluster.node(2), &node.ipv4());
    node.signal(login.pid(), "KILL")?;
    wait_no_relay(cluster)?;
    ports
}

/// The ports of that address to which slurm-adopt is connected.
fn peers(node: &Node, address: &str) -> Result<Vec<u16>> {
    let listed = node.run(&["ss", "-Htnp", "state", "established"])?.ok()?;
    let of_relay = listed.lines().filter(|it| it.contains("slurm-adopt"));
    let peers = of_relay.filter_map(|it| it.split_whitespace().nth(3)?.rsplit_once(':'));
    let there = peers.filter(|(host, _)| host.trim_matches(['[', ']']).ends_with(address));
    there.map(|(_, port)| Ok(port.parse()?)).collect()
}

/// More bytes than any buffer holds, there and back.
fn carried(cluster: &Cluster, host: &str) -> Result<()> {
    let proxy = by_srun();
    let script = format!(
        "head -c 4M /dev/urandom >/tmp/file
         ssh -o BatchMode=yes -o '{proxy}' {host} cat </tmp/file | cmp - /tmp/file"
    );
    let argv = ["bash", "-o", "pipefail", "-ec", &script];
    cluster.node(1).run_as("alice", &argv)?.ok().map(drop)
}
