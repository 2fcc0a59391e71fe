//! What one login has found and the next one finds: a slurm.conf or a slurmd that changes between them.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use lab::{Node, Suite};
use tests::{Call, Module};

use crate::Found::{self, Job, NoJob};
use crate::places::wait_for_slurmd;
use crate::{found, start};

/// A file that was changed so recently is not remembered (adopt::memo).
const SETTLED: Duration = Duration::from_millis(2500);
/// How long that is; less a second for the file's time.
const RECENT: Duration = Duration::from_secs(1);

/// What becomes of alice's login, and whether the node was found as at an earlier login.
fn look(node: &Node, job: u32) -> Result<(Found, bool)> {
    let mark = node.syslog_mark()?;
    let call = Call::new("alice", "action_generic_failure=deny log_level=debug");
    let outcome = call.make(node, Module::Ours)?;
    let log = node.syslog_since(mark)?;
    let remembered = log.contains("as it was at an earlier login");
    Ok((found(node, &outcome, job)?, remembered))
}

/// Checks two logins: the first finds the node anew, the second remembers it.
fn anew_then_remembered(node: &Node, job: u32, expected: Found, when: &str) -> Result<()> {
    for remembered in [false, true] {
        let seen = look(node, job)?;
        ensure!(
            seen == (expected, remembered),
            "{when}: {seen:?}, expected {expected:?} and remembered {remembered}"
        );
    }
    Ok(())
}

/// The same after an earlier look at it, which on a slow machine may have remembered it already.
fn remembered_at_last(node: &Node, job: u32, expected: Found, when: &str) -> Result<()> {
    let (first, _) = look(node, job)?;
    let then = look(node, job)?;
    ensure!(
        first == expected && then == (expected, true),
        "{when}: {first:?}, then {then:?}, expected {expected:?}"
    );
    Ok(())
}

/// slurm.conf and its Includes, changed in ways that leave as little to be seen as can be.
pub fn of_slurm_conf(suite: Suite) -> Result<()> {
    let (cluster, job) = start(suite)?;
    let node = cluster.node(1);
    // As long as the right one, so that not even the file's size changes.
    node.sh("cd /etc/slurm; mkdir /var/spool/nowhere; \
         grep -v -e ^NodeName= -e ^SlurmdSpoolDir= generated >base; \
         echo SlurmdSpoolDir=/var/spool/slurmd/ >right; \
         echo SlurmdSpoolDir=/var/spool/nowhere >wrong; \
         cp right spool.conf; echo Include nodes.conf >>base; echo Include spool.conf >>base; \
         cp base slurm.conf")?;
    // What was just written may be written again without its time telling.
    let written = Instant::now();
    ensure!(look(node, job)? == (Job, false), "just written");
    let again = look(node, job)?;
    ensure!(
        again == (Job, false) || written.elapsed() > RECENT,
        "just written, again: {again:?}"
    );
    thread::sleep(SETTLED);
    remembered_at_last(node, job, Job, "settled")?;
    for (how, expected) in [
        ("cat wrong >spool.conf", NoJob),
        (
            "cp -p right new; touch -r wrong new; mv new spool.conf",
            Job,
        ),
        ("ln -sf wrong spool.conf", NoJob),
        ("ln -sf right spool.conf", Job),
        ("cat base wrong >slurm.conf", NoJob),
        ("cat base >slurm.conf", Job),
    ] {
        node.sh(&format!("cd /etc/slurm; {how}"))?;
        let seen = look(node, job)?;
        ensure!(seen == (expected, false), "right after «{how}»: {seen:?}");
        thread::sleep(SETTLED);
        // The links lead to files that have long settled.
        if !how.starts_with("ln") {
            anew_then_remembered(node, job, expected, how)?;
        }
    }
    // Whoever damages what is remembered gains nothing, and loses nothing for others.
    for damage in [
        "truncate -s -1 node",
        "printf x >>node",
        "printf x | dd of=node bs=1 seek=30 conv=notrunc 2>/dev/null",
        "chmod 644 node",
        "chown alice node",
        "mv node away; ln -s away node",
        "rm -f node; mkdir node",
    ] {
        node.sh(&format!("cd /run/slurm-adopt; {damage}"))?;
        let seen = look(node, job).context(damage)?;
        ensure!(seen == (Job, false), "after «{damage}»: {seen:?}");
        node.sh("cd /run/slurm-adopt; rm -rf node away")?;
        anew_then_remembered(node, job, Job, damage)?;
    }
    Ok(())
}

/// A slurmd that is started anew, with another slurm.conf.
pub fn of_slurmd(suite: Suite) -> Result<()> {
    let (cluster, job) = start(suite)?;
    let node = cluster.node(1);
    thread::sleep(SETTLED);
    anew_then_remembered(node, job, Job, "at first")?;
    node.stop_slurmd()?;
    node.sh(
        "mkdir /srv/site /var/spool/nowhere; cp /etc/slurm/*.conf /srv/site; \
             slurmd -N node1 -f /srv/site/slurm.conf",
    )?;
    wait_for_slurmd(node)?;
    // Now /etc/slurm is not what this slurmd reads.
    node.sh(
        "sed -i s,^SlurmdSpoolDir=.*,SlurmdSpoolDir=/var/spool/nowhere, /etc/slurm/slurm.conf",
    )?;
    ensure!(look(node, job)? == (Job, false), "with -f");
    thread::sleep(SETTLED);
    anew_then_remembered(node, job, Job, "with -f, settled")?;
    node.stop_slurmd()?;
    let (seen, _) = look(node, job)?;
    ensure!(
        seen == NoJob,
        "without a slurmd /etc/slurm is looked at: {seen:?}"
    );
    node.sh("slurmd -N node1 -f /srv/site/slurm.conf")?;
    wait_for_slurmd(node)?;
    let (seen, _) = look(node, job)?;
    ensure!(seen == Job, "with -f again: {seen:?}");
    Ok(())
}

/// A slurmd without a pid file, as a service of systemd's: of that it has the cgroup, which stays while
/// jobs run, and the mark that each start makes anew.
pub fn of_the_service(suite: Suite) -> Result<()> {
    let (cluster, job) = start(suite)?;
    let node = cluster.node(1);
    node.sh(
        "mkdir -p /run/systemd/units /srv/site /var/spool/nowhere; cp /etc/slurm/*.conf /srv/site; \
         sed -i s,^SlurmdSpoolDir=.*,SlurmdSpoolDir=/var/spool/nowhere, /etc/slurm/slurm.conf",
    )?;
    let start_service = |mark: &str| -> Result<()> {
        // The pid file is only for stop_slurmd.
        node.sh("[ ! -f /run/away ] || mv /run/away /run/slurmd.pid")?;
        node.stop_slurmd()?;
        let conf = format!("/srv/{mark}/slurm.conf");
        node.sh(&format!("slurmd -N node1 -f {conf}"))?;
        wait_for_slurmd(node)?;
        node.sh(&format!(
            "cgroup=/sys/fs/cgroup/systemd; [ -d $cgroup ] || cgroup=/sys/fs/cgroup; \
             mkdir -p $cgroup/system.slice/slurmd.service; \
             cat /run/slurmd.pid >$cgroup/system.slice/slurmd.service/cgroup.procs; \
             mv /run/slurmd.pid /run/away; cd /run/systemd/units; \
             ln -s {mark} new; mv new invocation:slurmd.service"
        ))
        .map(drop)
    };
    start_service("site")?;
    ensure!(look(node, job)? == (Job, false), "just started");
    thread::sleep(SETTLED);
    remembered_at_last(node, job, Job, "started")?;
    node.sh("cp -r /srv/site /srv/move; \
         sed -i s,^SlurmdSpoolDir=.*,SlurmdSpoolDir=/var/spool/nowhere, /srv/move/slurm.conf")?;
    start_service("move")?;
    ensure!(look(node, job)? == (NoJob, false), "started anew");
    thread::sleep(SETTLED);
    remembered_at_last(node, job, NoJob, "started anew, settled")
}

/// A pid file that a slurmd has left behind, and one that is a link: neither hides the slurmd that runs.
pub fn of_the_pid_file(suite: Suite) -> Result<()> {
    let (cluster, job) = start(suite)?;
    let node = cluster.node(1);
    thread::sleep(SETTLED);
    anew_then_remembered(node, job, Job, "at first")?;
    let pid = node.read_text("/run/slurmd.pid")?;
    node.signal(pid.trim().parse().context("slurmd's pid")?, "KILL")?;
    let start_slurmd = |dir: &str, pid_file: &str| -> Result<()> {
        node.sh(&format!(
            "sed -i s,^SlurmdPidFile=.*,SlurmdPidFile={pid_file}, {dir}/slurm.conf; \
             mkdir -p $(dirname {pid_file}); slurmd -N node1 -f {dir}/slurm.conf"
        ))?;
        lab::poll::until_true("slurmd to run", Duration::from_secs(20), || {
            Ok(node.read_text(pid_file).is_ok_and(|pid| !pid.is_empty()))
        })
    };
    node.sh(
        "mkdir -p /srv/site /var/spool/nowhere; cp /etc/slurm/*.conf /srv/site; \
         sed -i s,^SlurmdSpoolDir=.*,SlurmdSpoolDir=/var/spool/nowhere, /etc/slurm/slurm.conf",
    )?;
    start_slurmd("/srv/site", "/run/slurm/slurmd.pid")?;
    ensure!(
        look(node, job)? == (Job, false),
        "beside a pid file that was left behind"
    );

    // The link leads to none of the usual places, and stays as it is.
    node.sh("cat /run/slurm/slurmd.pid >/run/slurmd.pid")?;
    node.stop_slurmd()?;
    node.sh("rm -f /run/slurm/slurmd.pid; ln -sf elsewhere/slurmd.pid /run/slurmd.pid")?;
    start_slurmd("/srv/site", "/run/elsewhere/slurmd.pid")?;
    thread::sleep(SETTLED);
    anew_then_remembered(node, job, Job, "by a link")?;
    node.stop_slurmd()?;
    node.sh("cp -r /srv/site /srv/move; \
         sed -i s,^SlurmdSpoolDir=.*,SlurmdSpoolDir=/var/spool/nowhere, /srv/move/slurm.conf")?;
    start_slurmd("/srv/move", "/run/elsewhere/slurmd.pid")?;
    ensure!(
        look(node, job)? == (NoJob, false),
        "another slurmd, by the same link"
    );
    Ok(())
}
