//! What the module logs.

use anyhow::{Result, bail, ensure};
use lab::Cluster;
use tests::{Call, End, Module, wait_for};

pub fn one_line(cluster: &Cluster) -> Result<()> {
    let node = cluster.node(1);
    let job = cluster.submit("alice", &[])?;
    let mark = node.syslog_mark()?;
    node.ssh("alice", "node1", &["true"])?.ok()?;
    ensure!(!node.ssh("bob", "node1", &["true"])?.success());
    let ours = || -> Result<Vec<String>> {
        let log = node.syslog_since(mark)?;
        Ok(log
            .lines()
            .filter(|it| it.contains("decision="))
            .map(str::to_owned)
            .collect())
    };
    wait_for("two lines in the log", || Ok(ours()?.len() >= 2))?;
    let lines = ours()?;
    let [alice, bob] = &lines[..] else {
        bail!("not one line a login: {lines:?}")
    };
    for (line, parts) in [
        (
            alice,
            format!("user=alice uid=2001 decision=adopted job={job} ms="),
        ),
        (
            bob,
            "user=bob uid=2002 decision=denied job=- ms=".to_owned(),
        ),
        (alice, "the user's only job here".to_owned()),
        (bob, "no job on this node (1 job of other users".to_owned()),
        (alice, "pam_slurm_adopt(sshd:account)".to_owned()),
        // LOG_AUTHPRIV | LOG_INFO, syslog(3).
        (alice, "<86>".to_owned()),
    ] {
        ensure!(line.contains(&parts), "{line} lacks {parts}");
    }
    cluster.cancel(job)
}

pub fn bad_options(cluster: &Cluster) -> Result<()> {
    let node = cluster.node(1);
    let call = Call::new(
        "alice",
        "bogus=1 action_no_jobs=allow timeout=0 log_level=loud",
    );
    let mark = node.syslog_mark()?;
    let outcome = call.make(node, Module::Ours)?;
    ensure!(outcome.end == End::Code(6), "{outcome}");
    let log = node.syslog_since(mark)?;
    for part in [
        "ignoring unknown option \"bogus=1\"",
        "action_no_jobs: invalid value \"allow\" (expected deny or ignore); keeping deny",
        "timeout: invalid value \"0\"",
        "log_level: invalid value \"loud\"",
    ] {
        ensure!(
            log.matches(part).count() == 1,
            "{part} is not there once:\n{log}"
        );
    }
    let mark = node.syslog_mark()?;
    Call::new("alice", "log_level=quiet bogus=1").make(node, Module::Ours)?;
    ensure!(
        !node.syslog_since(mark)?.contains("pam_slurm_adopt"),
        "quiet is not"
    );
    Ok(())
}
