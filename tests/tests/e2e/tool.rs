//! slurm-adopt's commands on a node with jobs.

use anyhow::{Context, Result, ensure};
use lab::{Cluster, Node, Output, Status};
use tests::CLI;

use crate::NO_JOBS;

pub fn explain(cluster: &Cluster) -> Result<()> {
    let node = cluster.node(1);
    let denied = explained(node, &["alice"])?;
    ensure!(
        denied.status == Status::Exited(2) && denied.stdout.contains(NO_JOBS),
        "{denied}"
    );
    let job = cluster.submit("alice", &[])?;
    let before = node.read("/proc/1/cgroup")?;
    explain_in_words(node, job)?;
    explain_in_json(node, job)?;
    explain_without_decision(node)?;
    ensure!(
        node.read("/proc/1/cgroup")? == before,
        "explain moved something"
    );
    let newer = cluster.submit("alice", &[])?;
    let alice = explained(node, &["alice"])?;
    has_each(
        &alice,
        &[
            &format!("would be adopted into job {newer}: the newest of 2 jobs here"),
            &format!(
                "if that job is ending: job {job}, and so on; if no slurmstepd accepts the login: denied (PAM_PERM_DENIED)"
            ),
        ],
    )?;
    cluster.cancel(newer)?;
    cluster.cancel(job)
}

fn explained(node: &Node, argv: &[&str]) -> Result<Output> {
    node.run(&[&[CLI, "explain"], argv].concat())
}

fn has_each(output: &Output, parts: &[&str]) -> Result<()> {
    for part in parts {
        ensure!(output.stdout.contains(part), "no {part}: {output}");
    }
    Ok(())
}

fn explain_in_words(node: &Node, job: u32) -> Result<()> {
    let alice = explained(node, &["alice"])?;
    ensure!(alice.status == Status::Exited(0), "{alice}");
    has_each(
        &alice,
        &[
            // The options are those of the line.
            "/etc/pam.d/sshd:4: account required pam_slurm_adopt.so action_adopt_failure=deny",
            "/etc/slurm/slurm.conf: node name node1",
            &format!("would be adopted into job {job}: the user's only job here"),
            "if its slurmstepd refuses: denied (PAM_PERM_DENIED)",
        ],
    )?;
    ensure!(alice.stderr.is_empty(), "{alice}");
    Ok(())
}

fn explain_in_json(node: &Node, job: u32) -> Result<()> {
    let json: serde_json::Value =
        serde_json::from_str(&explained(node, &["alice", "--json"])?.stdout)?;
    ensure!(
        json["job"] == job && json["admission"] == "adopted",
        "{json}"
    );
    let refused = json["steps"]
        .as_array()
        .and_then(|it| it.iter().find(|it| it["step"] == "if refused"));
    let refused = refused.with_context(|| format!("{json}"))?;
    ensure!(
        refused["option"] == "action_adopt_failure" && refused["place"] == "/etc/pam.d/sshd:4",
        "{json}"
    );
    Ok(())
}

/// Logins that the module leaves to others, and a service whose stack does not call it.
fn explain_without_decision(node: &Node) -> Result<()> {
    for argv in [
        &["root"][..],
        &["alice", "--options", "exempt_users=bob service=su"],
    ] {
        let ignored = explained(node, argv)?;
        ensure!(ignored.status == Status::Exited(1), "{ignored}");
    }
    let su = explained(node, &["alice", "--service", "su"])?;
    let none = "no line of the PAM stack of su calls pam_slurm_adopt.so";
    ensure!(
        su.status == Status::Exited(3) && su.stderr.contains(none),
        "{su}"
    );
    Ok(())
}

/// All of support's sections, without secrets and, if asked, without names.
pub fn support(cluster: &Cluster) -> Result<()> {
    let node = cluster.node(1);
    let job = cluster.submit("alice", &[])?;
    let options = "/etc/security/slurm_adopt.conf";
    node.write(
        options,
        "message_url = x?token=hunter2\n# secret=hunter2\n",
        0o644,
    )?;
    let plain = node.run(&[CLI, "support", "--user", "alice"])?;
    let out = ["--hash-names", "--out", "/root/support"];
    let hashed = node.run(&[&[CLI, "support", "--user", "alice"][..], &out].concat())?;
    node.sh(&format!("rm {options}"))?;
    ensure!(
        plain.status == Status::Exited(0) && hashed.stdout.is_empty(),
        "{plain} {hashed}"
    );
    has_each(
        &plain,
        &[
            "==== versions\n",
            "==== check\n",
            "==== status\n",
            "==== explain alice\n",
            "==== PAM service sshd\n/etc/pam.d/sshd:1: ",
            "==== /etc/slurm/slurm.conf\n",
            "ProctrackType=proctrack/cgroup",
            "==== log\n",
            &format!("would be adopted into job {job}"),
        ],
    )?;
    ensure!(!plain.stdout.contains("hunter2"), "a secret: {plain}");
    let hashed = node.read_text("/root/support")?;
    let mode = node.sh("stat -c %a /root/support; rm /root/support")?;
    ensure!(mode.trim() == "600", "mode {mode}");
    for name in ["alice", node.name()] {
        ensure!(
            plain.stdout.contains(name) && !hashed.contains(name),
            "{name}: {hashed}"
        );
    }
    cluster.cancel(job)
}
