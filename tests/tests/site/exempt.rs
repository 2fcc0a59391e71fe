//! Users who get in without a job.

use anyhow::{Context, Result, bail, ensure};
use lab::Cluster;
use tests::{OURS, Outcome};

use crate::{Test, by_stack, expect, logged, while_suspended};

pub const TESTS: &[(&str, Test)] = &[
    (
        "an exempt user gets in, and into a job of theirs",
        exempt_users,
    ),
    (
        "an exempt user stays in through both phases",
        exempt_in_both_phases,
    ),
    ("a member of an exempt group gets in", exempt_groups),
    (
        "a directory that hangs exempts nobody and delays nobody else",
        hung_directory,
    ),
];

fn exempt_users(cluster: &Cluster) -> Result<()> {
    let node = cluster.node(1);
    let options = "exempt_users=carol,2002 exempt_uid_below=2001";
    let bob = || expect(node, "bob", options, 0, None).map(drop);
    let texts = [
        "decision=allowed-without-adoption",
        "exempt (exempt_users has the user); otherwise denied: no job on this node",
    ];
    logged(node, bob, &texts)?;
    expect(node, "carol", options, 0, None)?;
    expect(node, "alice", options, 6, None)?;
    let below = "exempt_uid_below=2002";
    expect(node, "alice", below, 0, None)?;
    expect(node, "bob", below, 6, None)?;
    let job = cluster.submit("bob", &[])?;
    expect(node, "bob", options, 0, Some(job))?;
    // Also where nothing is known of Slurm, and where a slurmstepd hangs.
    let lost = format!("{options} slurm_conf=/none action_generic_failure=deny");
    expect(node, "bob", &lost, 0, None)?;
    expect(node, "alice", &lost, 6, None)?;
    let stepd = node.pid_of_stepd(job)?;
    node.signal(stepd, "STOP")?;
    let silent = expect(node, "bob", &format!("{options} timeout=1"), 0, None);
    node.signal(stepd, "CONT")?;
    silent.map(drop)
}

/// What the account line exempts the session line, which does not know of it, does not deny.
fn exempt_in_both_phases(cluster: &Cluster) -> Result<()> {
    let node = cluster.node(1);
    let job = cluster.submit("bob", &[])?;
    let login = |account: &str| {
        let stack =
            format!("account required {OURS} strict {account}\nsession required {OURS} strict\n");
        by_stack(node, &stack, "bob", "both")
    };
    let logins = || Ok((login("")?, login("exempt_users=bob")?));
    let (other, exempt) = while_suspended(node, job, logins)?;
    ensure!(
        other == (6, None),
        "not exempt, and let into a suspended job"
    );
    ensure!(exempt == (0, None), "{exempt:?}");
    Ok(())
}

fn exempt_groups(cluster: &Cluster) -> Result<()> {
    let node = cluster.node(1);
    node.sh("cp /etc/group /etc/group.saved; echo 'admins:x:900:bob' >>/etc/group")?;
    let done = (|| {
        for options in ["exempt_groups=staff,admins", "exempt_groups=900"] {
            expect(node, "bob", options, 0, None)?;
            expect(node, "alice", options, 6, None)?;
        }
        // The primary group stands in passwd alone.
        let primary = format!("exempt_groups={}", node.sh("id -g alice")?.trim());
        expect(node, "alice", &primary, 0, None)?;
        expect(node, "bob", &primary, 6, None)?;
        let missing = || expect(node, "alice", "exempt_groups=nowhere", 6, None).map(drop);
        logged(node, missing, &["one of exempt_groups is not found"])
    })();
    node.sh("mv /etc/group.saved /etc/group")?;
    done
}

/// A FIFO in the place of /etc/group stands for a directory service that does not answer: who opens it waits.
fn hung_directory(cluster: &Cluster) -> Result<()> {
    let node = cluster.node(1);
    let job = cluster.submit("alice", &[])?;
    node.sh("mv /etc/group /etc/group.saved; mkfifo /etc/group")?;
    let done = (|| {
        let options = "exempt_groups=admins timeout=1";
        let bob = || {
            within(1_150, || {
                let login = expect(node, "bob", options, 6, None)?;
                ensure!(login.left_open.is_empty(), "left open: {login}");
                Ok(login)
            })
        };
        let texts = [
            "exempt_groups: read /etc/group: not a regular file",
            "find the groups of bob: no answer in time; the user counts as not exempt",
        ];
        logged(node, bob, &texts)?;
        // No group decides here, for which half a second would be kept.
        within(450, || {
            expect(
                node,
                "alice",
                "exempt_groups=admins timeout=20",
                0,
                Some(job),
            )
        })?;
        expect(node, "root", options, 25, None)?;
        // A stepd that hangs as well takes no more than its share of the one deadline.
        let stepd = node.pid_of_stepd(job)?;
        node.signal(stepd, "STOP")?;
        let both = within(1_150, || {
            node.remove("/run/slurm-adopt")?;
            expect(node, "bob", options, 6, None)
        });
        node.signal(stepd, "CONT")?;
        both.context("beyond the deadline")?;
        // What stands before the groups does not wait for them.
        expect(node, "bob", &format!("{options} exempt_users=bob"), 0, None)?;
        ensure!(node.processes("pamcall")?.is_empty(), "a process is left");
        Ok(())
    })();
    node.sh("rm /etc/group; mv /etc/group.saved /etc/group")?;
    done
}

/// Checks that a login takes less than so many milliseconds; on a busy host the quickest of several counts.
fn within(millis: u64, login: impl Fn() -> Result<Outcome>) -> Result<()> {
    let mut last = login()?;
    for _ in 0..30 {
        if last.micros < millis * 1000 {
            return Ok(());
        }
        last = login()?;
    }
    bail!("never within {millis} ms: {last:?}")
}
