//! Several slurmds on one host, each a node of its own, as builds with --enable-multiple-slurmd
//! (Debian's) can.

use std::time::Duration;

use anyhow::{Result, ensure};
use lab::{Cluster, Suite};
use tests::{Call, End, Module};

/// Each slurmd has a spool directory.
pub fn own_directories(suite: Suite) -> Result<()> {
    several(suite, "/var/spool/slurmd-%n")
}

/// They share one, which slurmd does not mind: the sockets have their node's name.
pub fn one_directory(suite: Suite) -> Result<()> {
    several(suite, "/var/spool/slurmd")
}

/// Two nodes of slurm.conf are one host. alice has a job on both, bob on the second.
fn several(suite: Suite, spool_dir: &str) -> Result<()> {
    let lines = "NodeName=b NodeHostname=node1 NodeAddr=10.88.0.1 Port=17002 CPUs=2\n\
        NodeName=c NodeHostname=node1 NodeAddr=10.88.0.1 Port=17003 CPUs=2";
    let cluster = tests::cluster(suite)?
        .node_names(&["b"])
        .hostname("node1")
        .node_lines(lines)
        .slurm_conf(&format!(
            "SlurmdSpoolDir={spool_dir}\nSlurmdPidFile=/run/slurmd-%n.pid\n\
             SlurmdLogFile=/var/log/slurm/slurmd-%n.log"
        ))
        .start()?;
    cluster.node(1).sh("slurmd -N c")?;
    let submit = |user, node: &str| {
        let job = cluster.submit_only(user, &["--nodelist", node])?;
        wait_for_extern_step(&cluster, &spool_dir.replace("%n", node), node, job)?;
        anyhow::Ok(Some(job))
    };
    let (b, c) = (submit("alice", "b")?, submit("alice", "c")?);
    let bobs = submit("bob", "c")?;
    // SLURMD_NODENAME is known to SchedMD's module from 23.11.4 on, and to ours everywhere.
    let (by_environment, by_empty) = match suite {
        Suite::Bullseye | Suite::Bookworm => (b, b),
        Suite::Trixie | Suite::Forky => (c, None),
    };
    for (user, options, variable, ours, theirs) in [
        // Who says nothing means the first of slurm.conf.
        ("alice", "", None, b, b),
        ("bob", "", None, None, None),
        ("alice", "nodename=b", None, b, b),
        ("alice", "nodename=c", None, c, c),
        ("bob", "nodename=b", None, None, None),
        ("bob", "nodename=c", None, bobs, bobs),
        ("alice", "", Some("b"), b, b),
        ("alice", "", Some("c"), c, by_environment),
        ("alice", "", Some(""), b, by_empty),
        ("alice", "nodename=b", Some("c"), b, b),
        ("alice", "nodename=c", Some("b"), c, c),
    ] {
        for (module, expected) in [(Module::Ours, ours), (Module::SchedMd, theirs)] {
            let found = job_of(&cluster, user, options, variable, module)?;
            ensure!(
                found == expected,
                "{module:?}, {user}, '{options}', SLURMD_NODENAME={variable:?}: \
                 {found:?}, expected {expected:?}"
            );
        }
    }
    Ok(())
}

/// A second slurmd whose pid file is in no usual place counts from its start on, whatever the first one has told
/// earlier logins.
pub fn second_without_trace(suite: Suite) -> Result<()> {
    let lines = "NodeName=b NodeHostname=node1 NodeAddr=10.88.0.1 Port=17002 CPUs=2\n\
        NodeName=c NodeHostname=node1 NodeAddr=10.88.0.1 Port=17003 CPUs=2";
    let cluster = tests::cluster(suite)?
        .node_names(&["b"])
        .hostname("node1")
        .node_lines(lines)
        .slurm_conf("SlurmdSpoolDir=/var/spool/slurmd-%n\nSlurmdPidFile=/run/slurmd-%n.pid")
        .start()?;
    let node = cluster.node(1);
    node.sh("slurmd -N c")?;
    let submit = |node: &str| {
        let job = cluster.submit_only("alice", &["--nodelist", node])?;
        wait_for_extern_step(&cluster, &format!("/var/spool/slurmd-{node}"), node, job)?;
        anyhow::Ok(Some(job))
    };
    let (b, c) = (submit("b")?, submit("c")?);
    let seen = |when: &str, expected| {
        let found = job_of(&cluster, "alice", "", None, Module::Ours)?;
        ensure!(
            found == expected,
            "{when}: {found:?}, expected {expected:?}"
        );
        anyhow::Ok(())
    };
    node.sh(
        "pid=$(cat /run/slurmd-b.pid); while kill $pid; do sleep 0.1; done 2>/dev/null
         cp /run/slurmd-c.pid /run/slurmd.pid",
    )?;
    // Long enough for its pid file to be trusted.
    std::thread::sleep(Duration::from_millis(2500));
    for _ in 0..2 {
        seen("c alone", c)?;
    }
    node.sh("slurmd -N b; until test -s /run/slurmd-b.pid; do sleep 0.1; done")?;
    for _ in 0..2 {
        seen("b as well, the first of slurm.conf", b)?;
    }
    Ok(())
}

/// The job that a login gets into; none if it is denied.
fn job_of(
    cluster: &Cluster,
    user: &str,
    options: &str,
    variable: Option<&str>,
    module: Module,
) -> Result<Option<u32>> {
    let mut call = Call::new(user, options);
    call.env = variable
        .map(|name| ("SLURMD_NODENAME".into(), name.into()))
        .into_iter()
        .collect();
    let node = cluster.node(1);
    let outcome = call.make(node, module)?;
    let job = outcome.job(node)?;
    let expected = if job.is_some() { 0 } else { 6 };
    ensure!(outcome.end == End::Code(expected), "{module:?}: {outcome}");
    Ok(job)
}

fn wait_for_extern_step(cluster: &Cluster, spool_dir: &str, node: &str, job: u32) -> Result<()> {
    let start = format!("{spool_dir}/{node}_{job}.4294967292");
    lab::poll::until_true(&start, Duration::from_secs(30), || {
        let sockets = cluster.node(1).unix_sockets()?;
        Ok(sockets.iter().any(|path| path.starts_with(&start)))
    })
}
