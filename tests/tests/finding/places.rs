//! Where slurm.conf is: what the running slurmd tells of it, and where it is without one.

use std::time::Duration;

use anyhow::{Result, ensure};
use lab::{Node, Suite};
use tests::{Call, Module};

use crate::Found::{Job, NoJob, Rejected};
use crate::{both_look, found, look, start};

/// slurmd runs with `-f`: SchedMD's module knows only the path it was compiled for.
pub fn slurmd_with_f(suite: Suite) -> Result<()> {
    let (cluster, job) = start(suite)?;
    let node = cluster.node(1);
    node.stop_slurmd()?;
    node.sh("mkdir /srv/site; mv /etc/slurm/*.conf /srv/site; \
         slurmd -N node1 -f /srv/site/slurm.conf")?;
    wait_for_slurmd(node)?;
    both_look(node, job, "", Job, Rejected)?;
    // A place that is gone since slurmd started is no place: the usual ones are looked at.
    node.sh("cp /srv/site/*.conf /etc/slurm; mv /srv/site /srv/away")?;
    ensure!(look(node, job, Module::Ours)? == Job);
    node.sh("mv /srv/away /srv/site; rm /etc/slurm/*.conf")?;
    // Without a slurmd nobody knows of the place; slurm_conf= still does.
    node.stop_slurmd()?;
    ensure!(look(node, job, Module::Ours)? == Rejected);
    let call = Call::new("alice", "slurm_conf=/srv/site/slurm.conf");
    ensure!(found(node, &call.make(node, Module::Ours)?, job)? == Job);
    Ok(())
}

const PID_FILE: &str = "/run/slurmd.pid";

/// slurmd goes to the background before it has written its pid file, and removes it at its end.
pub fn wait_for_slurmd(node: &Node) -> Result<()> {
    let ready = || Ok(node.read_text(PID_FILE).is_ok_and(|pid| !pid.is_empty()));
    wait_until("slurmd to run", ready)
}

fn wait_until(what: &str, is_so: impl FnMut() -> Result<bool>) -> Result<()> {
    lab::poll::until_true(what, Duration::from_secs(20), is_so)
}

/// Slurm below /opt/slurm, and below a directory that is none of the usual: a copy of slurmd there.
///
/// Debian's binary has /etc/slurm compiled in, so it sees its own etc in that place as well, in a
/// mount namespace of its own; all others see no slurm.conf but the one below the prefix.
pub fn prefix(suite: Suite) -> Result<()> {
    let (cluster, job) = start(suite)?;
    let node = cluster.node(1);
    node.stop_slurmd()?;
    node.sh(
        "mkdir -p /opt/slurm/sbin /opt/slurm/etc; cp /usr/sbin/slurmd /opt/slurm/sbin; \
         mv /etc/slurm/*.conf /opt/slurm/etc",
    )?;
    // SchedMD's module was built for /etc/slurm.
    for (prefix, without_slurmd) in [("/opt/slurm", Job), ("/srv/hpc/slurm-1", Rejected)] {
        node.sh(&format!(
            "mkdir -p /srv/hpc; [ -d {prefix} ] || mv /opt/slurm {prefix}"
        ))?;
        both_look(node, job, "", without_slurmd, Rejected)?;
        node.sh(&format!(
            "unshare --mount --propagation private sh -ec \
             'mount --bind {prefix}/etc /etc/slurm; exec {prefix}/sbin/slurmd -N node1'"
        ))?;
        wait_for_slurmd(node)?;
        let pid = node.read_text(PID_FILE)?;
        let program = node.run(&["readlink", &format!("/proc/{}/exe", pid.trim())])?;
        ensure!(program.ok()?.trim() == format!("{prefix}/sbin/slurmd"));
        both_look(node, job, "", Job, Rejected)?;
        node.stop_slurmd()?;
    }
    Ok(())
}

/// The cache of a configless slurmd, which is not running now.
pub fn configless_cache(suite: Suite) -> Result<()> {
    let (cluster, job) = start(suite)?;
    let node = cluster.node(1);
    node.stop_slurmd()?;
    node.sh("mkdir -p /run/slurm; mv /etc/slurm /run/slurm/conf")?;
    both_look(node, job, "", Job, Job)
}

/// A node without a slurm.conf, whose slurmd gets it from slurmctld.
pub fn conf_server(suite: Suite) -> Result<()> {
    let mut builder = tests::cluster(suite)?
        .nodes(2)
        .slurm_conf("SlurmctldParameters=enable_configless");
    // 20.11's slurmctld hands out slurm.conf without the files that it includes.
    let includes = suite > Suite::Bullseye;
    if includes {
        let nodes = "NodeName=node[1-2] NodeAddr=10.88.0.[1-2] CPUs=2\n";
        builder =
            builder
                .node_lines("Include nodes.conf")
                .file("/etc/slurm/nodes.conf", nodes, 0o644);
    }
    let cluster = builder.start()?;
    let node = cluster.node(2);
    node.stop_slurmd()?;
    node.sh("rm -r /etc/slurm; slurmd -N node2 --conf-server node1:6817")?;
    wait_for_slurmd(node)?;
    let job = cluster.submit("alice", &["--nodelist=node2"])?;
    let cache = node
        .run(&["readlink", "-e", "/run/slurm/conf/slurm.conf"])?
        .ok()?;
    ensure!(
        cache.trim() == "/var/spool/slurmd/conf-cache/slurm.conf",
        "{cache}"
    );
    let included = node.read("/run/slurm/conf/nodes.conf").is_ok();
    ensure!(included == includes, "nodes.conf is there: {included}");
    both_look(node, job, "", Job, Job)?;
    ensure!(found(node, &Call::new("bob", "").make(node, Module::Ours)?, job)? == NoJob);
    // From 23.11 on slurmd starts itself anew then.
    let before = node.read_text(PID_FILE)?;
    cluster.node(1).run(&["scontrol", "reconfigure"])?.ok()?;
    wait_until("slurmd to be new", || {
        let pid = node.read_text(PID_FILE).unwrap_or_default();
        Ok(!pid.is_empty() && (pid != before) == (suite >= Suite::Trixie))
    })?;
    both_look(node, job, "", Job, Job)?;
    // A file that was left behind is not slurmd's: SchedMD's module takes it before the cache.
    node.sh(
        "mkdir /etc/slurm; ln -s /run/slurm/conf/nodes.conf /etc/slurm; \
         sed 's,^SlurmdSpoolDir=.*,SlurmdSpoolDir=/var/spool/other,' \
         /run/slurm/conf/slurm.conf >/etc/slurm/slurm.conf",
    )?;
    both_look(node, job, "", Job, NoJob)?;
    node.stop_slurmd()?;
    both_look(node, job, "", Job, NoJob)?;
    node.sh("rm -r /etc/slurm")?;
    both_look(node, job, "", Job, Job)
}
