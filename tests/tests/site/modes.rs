//! Modes that deny nobody, and the kill switch.

use anyhow::{Context, Result, ensure};
use lab::{Cluster, Status};
use tests::{CLI, OURS, job_of_cgroup};

use crate::{FILE, Test, by_stack, expect, logged, while_suspended};

pub const TESTS: &[(&str, Test)] = &[
    ("mode=audit tells and changes nothing", audit),
    ("mode=adopt-only adopts and denies nobody", adopt_only),
    (
        "a mode of one line does not undo what the other enforces",
        modes_of_two_lines,
    ),
    ("the kill switch lets everyone in", kill_switch),
];

fn audit(cluster: &Cluster) -> Result<()> {
    let node = cluster.node(1);
    let job = cluster.submit("alice", &[])?;
    let alice = || expect(node, "alice", "mode=audit", 0, None).map(drop);
    let adopted = format!("mode=audit: would be adopted into job {job}: the user's only job here");
    logged(node, alice, &["decision=audited job=- ms=", &adopted])?;
    // The node's own stack has other modules: they decide.
    let bob = || expect(node, "bob", "mode=audit", 25, None).map(drop);
    logged(
        node,
        bob,
        &["mode=audit: would be denied: no job on this node"],
    )?;
    let exempt = || expect(node, "bob", "mode=audit exempt_users=bob", 0, None).map(drop);
    logged(
        node,
        exempt,
        &["would be admitted without adoption: exempt (exempt_users"],
    )?;
    let lost = || {
        let options = "mode=audit slurm_conf=/none action_generic_failure=deny";
        expect(node, "bob", options, 25, None).map(drop)
    };
    logged(
        node,
        lost,
        &["mode=audit: would be denied: read slurm.conf /none"],
    )?;
    // A denial that does not count ends no stack, as a success would behind `sufficient`.
    let stack = format!(
        "account [success=done default=ignore] {OURS} mode=audit\naccount required pam_deny.so\n"
    );
    for (user, code) in [("alice", 0), ("bob", 7)] {
        let (outcome, _) = by_stack(node, &stack, user, "account")?;
        ensure!(outcome == code, "{user}: {outcome}");
    }
    // By sshd, both phases.
    node.write(FILE, "mode = audit\n", 0o644)?;
    let explained = node.run(&[CLI, "explain", "bob"])?;
    ensure!(
        explained
            .stdout
            .contains("mode=audit: would be denied: no job on this node"),
        "{explained}"
    );
    let shell = node.ssh("alice", node.name(), &["cat", "/proc/self/cgroup"])?;
    ensure!(
        job_of_cgroup(node, &shell.ok()?)?.is_none(),
        "it is in a job"
    );
    let bob = node.ssh("bob", node.name(), &["true"])?;
    ensure!(bob.status == Status::Exited(0), "{bob}");
    node.sh(&format!("rm {FILE}"))?;
    // What is suspended adopts nobody.
    let alice = || expect(node, "alice", "mode=audit strict", 25, None).map(drop);
    let text = format!("mode=audit: would be denied: adoption failed: job {job} is suspended");
    while_suspended(node, job, || logged(node, alice, &[&text]))
}

fn adopt_only(cluster: &Cluster) -> Result<()> {
    let node = cluster.node(1);
    let job = cluster.submit("alice", &[])?;
    let strict = "mode=adopt-only strict";
    expect(node, "alice", strict, 0, Some(job))?;
    expect(node, "bob", strict, 25, None)?;
    expect(node, "bob", &format!("{strict} slurm_conf=/none"), 25, None)?;
    let _second = cluster.submit("alice", &[])?;
    expect(
        node,
        "alice",
        &format!("{strict} action_unknown=deny"),
        25,
        None,
    )?;
    Ok(())
}

/// The session line sees to it that a login stays where an enforcing account line has put it, whatever its mode is.
fn modes_of_two_lines(cluster: &Cluster) -> Result<()> {
    let node = cluster.node(1);
    let job = cluster.submit("alice", &[])?;
    // Between the phases the login is moved out of its job.
    let out = "session required pam_exec.so type=open_session /usr/local/sbin/move-out";
    let script = "#!/bin/sh\nfor it in $(find /sys/fs/cgroup -maxdepth 2 -name cgroup.procs); do\n\
                  echo $PPID >$it 2>/dev/null || :\ndone\n";
    node.write("/usr/local/sbin/move-out", script, 0o755)?;
    for (account, session, expected) in [
        ("", "mode=audit", Some(job)),
        ("", "mode=adopt-only", Some(job)),
        ("mode=audit", "", Some(job)),
        ("mode=audit", "mode=audit", None),
        ("mode=adopt-only", "mode=adopt-only", Some(job)),
    ] {
        let stack = format!(
            "account required {OURS} strict {account}\naccount required pam_permit.so\n{out}\n\
             session required {OURS} strict {session}\n"
        );
        let text = format!("account {account}, session {session}");
        let (code, found) = by_stack(node, &stack, "alice", "both").context(text.clone())?;
        ensure!(
            (code, found) == (0, expected),
            "{text}: {code}, in {found:?}"
        );
    }
    Ok(())
}

fn kill_switch(cluster: &Cluster) -> Result<()> {
    const SWITCH: &str = "/run/let-all-in";
    let node = cluster.node(1);
    let job = cluster.submit("alice", &[])?;
    let options = format!("kill_switch={SWITCH}");
    let user = |user: &str, code, job| expect(node, user, &options, code, job).map(drop);
    user("bob", 6, None)?;
    node.write(SWITCH, "", 0o600)?;
    for name in ["bob", "alice"] {
        let text = format!("user={name} uid=");
        let on = format!("the kill switch {SWITCH} is on: everyone gets in");
        logged(node, || user(name, 0, None), &[&text, &on])?;
    }
    node.sh(&format!("chown alice {SWITCH}"))?;
    let text = format!("kill_switch: ignoring {SWITCH}: must be a file of root");
    logged(node, || user("bob", 6, None), &[&text])?;
    node.sh(&format!("rm {SWITCH}"))?;
    user("bob", 6, None)?;
    user("alice", 0, Some(job))?;
    // Nor does a session line without the option take it for a failure.
    node.write(SWITCH, "", 0o600)?;
    let stack = format!(
        "account required {OURS} {options}\nsession required {OURS} strict action_no_jobs=deny\n"
    );
    let done = by_stack(node, &stack, "bob", "both")?;
    ensure!(done == (0, None), "{done:?}");
    Ok(())
}
