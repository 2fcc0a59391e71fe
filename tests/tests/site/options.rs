//! The file of options, and options that stand there at most sites.

use anyhow::{Context, Result, ensure};
use lab::{Cluster, Status};
use tests::CLI;

use crate::{FILE, NO_JOB, Test, expect, logged, while_suspended};

pub const TESTS: &[(&str, Test)] = &[
    ("the file of options counts, and arguments before it", file),
    ("a file that a user could write is ignored", foreign_file),
    ("strict closes what is open by default", strict),
    ("users read the site's messages", messages),
];

fn file(cluster: &Cluster) -> Result<()> {
    let node = cluster.node(1);
    let text = "# Site defaults.\n\naction_generic_failure = deny # not left to others\n\
                exempt_users = bob\ntimeout=never\n";
    node.write(FILE, text, 0o644)?;
    let bob = || expect(node, "bob", "", 0, None).map(drop);
    let texts =
        ["/etc/security/slurm_adopt.conf:5: timeout: invalid value \"never\" (expected SECONDS)"];
    logged(node, bob, &texts)?;
    expect(node, "alice", "", 6, None)?;
    expect(node, "alice", "slurm_conf=/none", 6, None)?;
    let argument = "slurm_conf=/none action_generic_failure=ignore";
    expect(node, "alice", argument, 25, None)?;
    expect(node, "bob", "exempt_users=carol", 6, None)?;
    // The same by sshd, whose line says nothing of it.
    let in_by_ssh = node.ssh("bob", node.name(), &["true"])?;
    ensure!(in_by_ssh.status == Status::Exited(0), "{in_by_ssh}");
    let kept_out = node.ssh("alice", node.name(), &["true"])?;
    ensure!(kept_out.stderr.contains(NO_JOB), "{kept_out}");
    let explained = node.run(&[CLI, "explain", "bob"])?;
    ensure!(
        explained
            .stdout
            .contains("exempt (exempt_users has the user)"),
        "{explained}"
    );
    Ok(())
}

fn foreign_file(cluster: &Cluster) -> Result<()> {
    let node = cluster.node(1);
    for (owner, mode) in [((2001, 2001), 0o644), ((0, 0), 0o666), ((0, 2001), 0o664)] {
        node.write_owned(FILE, "exempt_users = alice\n", mode, owner)?;
        // Nor is anything open that it may have closed.
        expect(node, "alice", "slurm_conf=/none", 6, None)?;
        let alice = || expect(node, "alice", "", 6, None).map(drop);
        let texts =
            ["slurm_adopt.conf: must be root's and writable by its owner alone, but has owner uid"];
        logged(node, alice, &texts).with_context(|| format!("{owner:?}, {mode:o}"))?;
        node.sh(&format!("rm {FILE}"))?;
    }
    Ok(())
}

fn strict(cluster: &Cluster) -> Result<()> {
    let node = cluster.node(1);
    let lost = |options: &str, code| {
        let options = format!("slurm_conf=/none {options}");
        expect(node, "alice", &options, code, None)
    };
    lost("", 25)?;
    lost("strict", 6)?;
    lost("strict=1", 6)?;
    lost("strict=0", 25)?;
    lost("action_generic_failure=ignore strict", 25)?;
    // A job that is suspended takes nobody in.
    let job = cluster.submit("alice", &[])?;
    while_suspended(node, job, || {
        expect(node, "alice", "", 0, None)?;
        expect(node, "alice", "strict", 6, None).map(drop)
    })
}

fn messages(cluster: &Cluster) -> Result<()> {
    let node = cluster.node(1);
    let options =
        "[message_no_jobs=No job of {user} on {host}. See {url}] message_url=https://x.example/";
    let bob = expect(node, "bob", options, 6, None)?;
    let text = "No job of bob on node1. See https://x.example/";
    ensure!(bob.messages == [text], "{bob}");
    let silent = expect(node, "bob", "message_no_jobs=", 6, None)?;
    ensure!(silent.messages.is_empty(), "{silent}");
    let bad = || {
        let bob = expect(node, "bob", "message_no_jobs={name}", 6, None)?;
        ensure!(bob.messages == [NO_JOB], "{bob}");
        Ok(())
    };
    logged(
        node,
        bad,
        &["message_no_jobs: invalid value \"{name}\" (expected TEXT)"],
    )?;
    let jobs = [cluster.submit("alice", &[])?, cluster.submit("alice", &[])?];
    let which = "action_unknown=deny [message_unknown=One of {jobs}?]";
    let alice = expect(node, "alice", which, 6, None)?;
    let text = format!("One of {}, {}?", jobs[0], jobs[1]);
    ensure!(alice.messages == [text], "{alice}");
    node.write(FILE, "message_no_jobs = \"Ask for a job first.\"\n", 0o644)?;
    let shown = node.ssh("bob", node.name(), &["true"])?;
    ensure!(shown.stderr.contains("Ask for a job first."), "{shown}");
    ensure!(!shown.stderr.contains("Access denied"), "{shown}");
    Ok(())
}
