//! What a trial login shows: `check --as`. Other findings of it are in the program `containment`.

use anyhow::{Context, Result, ensure};
use lab::{Cluster, Node, Suite};
use serde_json::Value;
use tests::{CLI, OURS};

/// A login as far as it goes without pam_unix.
fn stack(options: &str, last: &str) -> String {
    format!("account required {OURS} {options}\nsession required {OURS} {options}\n{last}\n")
}

/// What a trial login of alice's finds: IDs with severities.
fn find(node: &Node) -> Result<Vec<String>> {
    let run = node.run(&[CLI, "check", "--as=alice", "--json"])?;
    let report: Value = serde_json::from_str(&run.stdout).with_context(|| run.to_string())?;
    let findings = report["findings"].as_array().context("findings")?;
    let text = |it: &Value, key: &str| it[key].as_str().unwrap_or_default().to_owned();
    let rows = findings
        .iter()
        .map(|it| format!("{} {}", text(it, "id"), text(it, "severity")));
    Ok(rows.filter(|it| it.starts_with("SA9")).collect())
}

fn expect(node: &Node, what: &str, expected: &str, others: &[&str]) -> Result<()> {
    let found = find(node)?;
    let is_there = |it: &str| found.iter().any(|found| found == it);
    ensure!(is_there(expected), "{what}: no {expected}: {found:?}");
    let more = others.iter().find(|it| is_there(it));
    ensure!(more.is_none(), "{what}: {more:?} in {found:?}");
    Ok(())
}

/// Devices stand for GPUs: slurmd takes any. The job has one of two, and nothing keeps it from the other.
pub fn devices(suite: Suite) -> Result<()> {
    const CGROUP_CONF: &str = "/etc/slurm/cgroup.conf";
    let cluster = tests::cluster(suite)?
        .copy(tests::dist("slurm-adopt")?, CLI)
        .slurm_conf("GresTypes=gpu")
        .node_lines("NodeName=node1 NodeAddr=10.88.0.1 CPUs=2 Gres=gpu:2 State=UNKNOWN")
        .file(
            "/etc/slurm/gres.conf",
            "Name=gpu File=/dev/null\nName=gpu File=/dev/zero\n",
            0o644,
        )
        .start()?;
    let node = cluster.node(1);
    cluster.submit("alice", &["--gres=gpu:1"])?;
    node.write("/etc/pam.d/sshd", stack("", ""), 0o644)?;
    opens_both(&cluster)?;
    expect(
        node,
        "no ConstrainDevices",
        "SA915 warning",
        &["SA914 failure", "SA921 note"],
    )?;
    // slurmd has not read it: the job is held as before.
    node.sh(&format!("echo ConstrainDevices=yes >>{CGROUP_CONF}"))?;
    opens_both(&cluster)?;
    expect(
        node,
        "ConstrainDevices of later",
        "SA914 failure",
        &["SA915 warning"],
    )?;
    let low = "session required pam_limits.so conf=/etc/security/low.conf";
    node.write("/etc/security/low.conf", "* - memlock 64\n", 0o644)?;
    node.write("/etc/pam.d/sshd", stack("", low), 0o644)?;
    let locked = cluster
        .node(1)
        .ssh("alice", node.name(), &["ulimit -l"])?
        .ok()?;
    ensure!(locked.trim() == "64", "{locked}");
    expect(node, "a low memlock", "SA921 note", &[])?;
    for id in ["SA911 warning", "SA912 warning"] {
        expect(
            node,
            "neither cores nor memory are constrained",
            id,
            &["SA930 warning"],
        )?;
    }
    node.write(
        "/usr/local/sbin/make",
        "#!/bin/sh\nmkdir -p /run/user/2001\n",
        0o755,
    )?;
    let makes = "session required pam_exec.so type=open_session /usr/local/sbin/make";
    node.write("/etc/pam.d/sshd", stack("", makes), 0o644)?;
    expect(node, "a directory that stays", "SA930 warning", &[])?;
    cluster.stop()
}

fn opens_both(cluster: &Cluster) -> Result<()> {
    let node = cluster.node(1);
    let login = node.ssh("alice", node.name(), &["head -c 1 /dev/zero >/dev/null"])?;
    ensure!(login.success(), "{login}");
    Ok(())
}

/// join_container=false leaves a login in the node's /tmp.
pub fn namespaces(suite: Suite) -> Result<()> {
    let cluster = tests::cluster(suite)?
        .copy(tests::dist("slurm-adopt")?, CLI)
        .one_cpu()
        .slurm_conf("JobContainerType=job_container/tmpfs")
        .file(
            "/etc/slurm/job_container.conf",
            "AutoBasePath=true\nBasePath=/var/spool/containers\n",
            0o644,
        )
        .start()?;
    let node = cluster.node(1);
    cluster.submit("alice", &[])?;
    let mine = "touch /tmp/mine; test -e /tmp/mine";
    for (options, is_inside) in [("", true), ("join_container=false", false)] {
        node.write("/etc/pam.d/sshd", stack(options, ""), 0o644)?;
        node.ssh("alice", node.name(), &[mine])?.ok()?;
        let is_in_nodes = node
            .sh("test ! -e /tmp/mine || echo there")?
            .contains("there");
        ensure!(is_in_nodes != is_inside, "{options}");
        let found = find(node)?;
        let says = found.iter().any(|it| it == "SA920 warning");
        ensure!(says != is_inside, "{options}: {found:?}");
    }
    cluster.stop()
}
