//! Logins whose job ends.

use std::time::Duration;

use anyhow::{Result, bail, ensure};
use lab::{Cluster, Status};
use tests::wait_for;

pub fn with_the_job(cluster: &Cluster) -> Result<()> {
    let job = cluster.submit("alice", &[])?;
    let argv = ["echo in; sleep 1000"];
    let mut login = cluster
        .node(1)
        .ssh_command("alice", "node1", &argv)
        .spawn()?;
    wait_for("the login", || Ok(login.stdout()?.contains("in")))?;
    cluster.cancel(job)?;
    let end = login.wait(Duration::from_secs(30))?;
    ensure!(
        end.is_some_and(|end| end != Status::Exited(0)),
        "the session lives on: {end:?}"
    );
    Ok(())
}

/// Jobs end while logins come in: whatever the moment, a login is kept out or ends with its job.
pub fn during_the_login(cluster: &Cluster) -> Result<()> {
    let node = cluster.node(1);
    for turn in 0..6u64 {
        let job = cluster.submit("alice", &[])?;
        let mut login = node
            .ssh_command("alice", "node1", &["sleep 1000"])
            .spawn()?;
        // From before the connection is there until after the session has begun.
        std::thread::sleep(Duration::from_millis(turn * 60));
        cluster.cancel(job)?;
        let Some(end) = login.wait(Duration::from_secs(30))? else {
            bail!("turn {turn}: the login outlives its job")
        };
        ensure!(end != Status::Exited(0), "turn {turn}: {end:?}");
    }
    wait_for("what was killed to be gone", || {
        Ok(node.processes("sleep 1000")?.is_empty())
    })
}
