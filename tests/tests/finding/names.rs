//! What this node is called: names, ranges and hosts of slurm.conf, live under slurmds that find
//! their name by themselves.

use anyhow::{Result, ensure};
use lab::{Cluster, ClusterBuilder, Suite};

use crate::Found::{Job, NoJob};
use crate::both_look;

/// The host is called otherwise than its node.
pub fn other_host_name(suite: Suite) -> Result<()> {
    let cluster = tests::cluster(suite)?.hostname("hosta").start()?;
    let job = cluster.submit("alice", &[])?;
    both_look(cluster.node(1), job, "", Job, Job)
}

/// A node called `name` on that host; its slurmd knows its name from slurm.conf alone.
fn named(suite: Suite, name: &str, host: &str, lines: &str) -> Result<ClusterBuilder> {
    Ok(tests::cluster(suite)?
        .node_names(&[name])
        .hostname(host)
        .node_lines(lines)
        .slurmd(&[]))
}

/// alice has a job under that name, and both find it.
fn both_find(cluster: &Cluster) -> Result<u32> {
    let node = cluster.node(1);
    let job = cluster.submit("alice", &["--nodelist", node.name()])?;
    both_look(node, job, "", Job, Job)?;
    Ok(job)
}

/// The kernel's name of the host has a domain; slurm.conf has it, or has it not.
pub fn host_with_domain(suite: Suite) -> Result<()> {
    for in_conf in ["hosta", "hosta.lab.example"] {
        let line = format!("NodeName=n1 NodeHostname={in_conf} NodeAddr=10.88.0.1 CPUs=2");
        let cluster = named(suite, "n1", "hosta.lab.example", &line)?
            .slurm_conf("SlurmctldHost=hosta(10.88.0.1)")
            .start()?;
        both_find(&cluster)?;
    }
    Ok(())
}

/// slurm.conf knows the host by another of its names in /etc/hosts.
pub fn alias(suite: Suite) -> Result<()> {
    let line = "NodeName=n1 NodeHostname=n1-mgmt NodeAddr=10.88.0.1 CPUs=2";
    let cluster = named(suite, "n1", "hosta", line)?
        .file(
            "/etc/hosts",
            "127.0.0.1 localhost\n10.88.0.1 hosta n1-mgmt n1\n",
            0o644,
        )
        .start()?;
    both_find(&cluster).map(drop)
}

/// Two brackets in a name.
pub fn dimensions(suite: Suite) -> Result<()> {
    let line = "NodeName=rack[1-2]node[1-3] NodeAddr=10.88.0.1 CPUs=2";
    both_find(&named(suite, "rack2node2", "rack2node2", line)?.start()?).map(drop)
}

/// Three brackets in the names, one in the hosts: paired by Slurm's order of the names.
pub fn paired(suite: Suite) -> Result<()> {
    let line = "NodeName=a[1-2]b[3-4]c[5-6] NodeHostname=h[1-8] NodeAddr=10.88.0.1 CPUs=2";
    both_find(&named(suite, "a1b4c6", "h6", line)?.start()?).map(drop)
}

/// Text behind the last bracket: Slurm reads it from 23.11 on, before that no daemon starts.
pub fn suffix(suite: Suite) -> Result<()> {
    let line = "NodeName=n[1-3]-ib NodeAddr=10.88.0.1 CPUs=2";
    let started = named(suite, "n2-ib", "n2-ib", line)?.start();
    if suite < Suite::Trixie {
        let error = started.err().map(|error| format!("{error:#}"));
        let error = error.unwrap_or_default();
        ensure!(
            error.contains("slurmd: fatal: Unable to create NodeName list from n[1-3]-ib"),
            "{error}"
        );
        return Ok(());
    }
    both_find(&started?).map(drop)
}

/// Nodes in files of their own, one of them named after the cluster, one included by another.
pub fn includes(suite: Suite) -> Result<()> {
    let lines = "Include a.conf\nInclude nodes-of-%c.conf\ninclude /etc/slurm/b.conf";
    let mut builder = named(suite, "n2", "hosta", lines)?;
    for (file, text) in [
        ("a.conf", "NodeName=n1 NodeAddr=10.88.0.9 CPUs=2\n"),
        ("nodes-of-lab.conf", "Include more.conf\n"),
        (
            "more.conf",
            "NodeName=n2 NodeHostname=hosta NodeAddr=10.88.0.1 CPUs=2\n",
        ),
        ("b.conf", "NodeName=n3 NodeAddr=10.88.0.9 CPUs=2\n"),
    ] {
        builder = builder.file(&format!("/etc/slurm/{file}"), text, 0o644);
    }
    both_find(&builder.start()?).map(drop)
}

/// A node that slurm.conf does not name, called by its host's name: from 22.05 on.
///
/// SchedMD's module of 22.05 does not find them, that of 24.11 only where the host has no domain.
pub fn dynamic(suite: Suite) -> Result<()> {
    if suite == Suite::Bullseye {
        return no_dynamic_nodes(suite);
    }
    for (name, host) in [
        ("node1", "node1"),
        ("hosta.lab.example", "hosta.lab.example"),
    ] {
        // slurmd takes the whole name of the host; the module of 24.11 the name up to the first dot.
        let theirs = match (suite, name) {
            (Suite::Bookworm, _) | (Suite::Trixie, "hosta.lab.example") => NoJob,
            _ => Job,
        };
        let cluster = dynamic_node(suite, name, host, &["-Z"])?;
        let node = cluster.node(1);
        let job = cluster.submit("alice", &["--nodelist", name])?;
        both_look(node, job, "", Job, theirs)?;
        both_look(node, job, &format!("nodename={name}"), Job, Job)?;
    }
    Ok(())
}

/// A dynamic node that was given another name than its host's, as clouds do.
pub fn dynamic_with_name(suite: Suite) -> Result<()> {
    if suite == Suite::Bullseye {
        return no_dynamic_nodes(suite);
    }
    let cluster = dynamic_node(suite, "dyn7", "hosta", &["-Z", "-N", "dyn7"])?;
    let job = cluster.submit("alice", &["--nodelist=dyn7"])?;
    // Nothing but slurmd's arguments says so.
    both_look(cluster.node(1), job, "nodename=dyn7", Job, Job)?;
    both_look(cluster.node(1), job, "", Job, NoJob)
}

fn dynamic_node(suite: Suite, name: &str, host: &str, slurmd: &[&str]) -> Result<Cluster> {
    let short = host.split('.').next().unwrap_or(host);
    tests::cluster(suite)?
        .node_names(&[name])
        .hostname(host)
        .slurm_conf(&format!(
            "MaxNodeCount=10\nSlurmctldHost={short}(10.88.0.1)"
        ))
        .node_lines("")
        .slurmd(slurmd)
        .start()
}

/// 20.11 has no dynamic nodes: its slurmd says so itself.
fn no_dynamic_nodes(suite: Suite) -> Result<()> {
    let cluster = tests::cluster(suite)?.start()?;
    let refused = cluster.node(1).run(&["slurmd", "-Z"])?;
    ensure!(
        !refused.success() && refused.stderr.contains("invalid option -- 'Z'"),
        "{refused}"
    );
    Ok(())
}
