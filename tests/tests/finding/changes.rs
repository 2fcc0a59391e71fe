//! What one login has found and the next one finds: a slurm.conf or a slurmd that changes between them.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use lab::{Node, Suite};
use tests::{Call, Module};

use crate::Found::{self, Job, NoJob};
use crate::places::wait_for_slurmd;
use crate::{found, start};

/// A file that was changed so recently is not remembered (adopt::node::cache).
const SETTLED: Duration = Duration::from_millis(2500);

/// What becomes of alice's login, and whether the node was found as at an earlier login.
fn look(node: &Node, job: u32) -> Result<(Found, bool)> {
    let mark = node.syslog_mark()?;
    let call = Call::new("alice", "action_generic_failure=deny log_level=debug");
    let outcome = call.make(node, Module::Ours)?;
    let log = node.syslog_since(mark)?;
    let remembered = log.contains("cached by an earlier login");
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

/// Checks logins after a change that was begun at `changed` and is not settled: they find the node anew,
/// and so does the first one when it has settled; the one after that remembers it. On a slow machine it
/// may settle while they look: from then on either is right.
#[allow(clippy::print_stdout, reason = "for the reader of the run's output")]
fn not_before_settled(
    node: &Node,
    job: u32,
    expected: Found,
    changed: Instant,
    looks: &[&str],
) -> Result<()> {
    // The kernel's times of files are some milliseconds behind.
    const RECENT: Duration = Duration::from_millis(1900);
    let mut may_be_remembered = false;
    for (index, when) in looks.iter().enumerate() {
        let seen = look(node, job)?;
        // What is new the first look finds anew, however late.
        may_be_remembered |= index > 0 && changed.elapsed() > RECENT;
        ensure!(
            seen.0 == expected && (may_be_remembered || !seen.1),
            "{when}: {seen:?}, expected {expected:?}"
        );
    }
    let is_settled = changed.elapsed() > RECENT;
    thread::sleep(SETTLED);
    let when = format!("{}, settled", looks[0]);
    match is_settled {
        false => anew_then_remembered(node, job, expected, &when),
        true => {
            println!("{when}: this machine is too slow to see that it was not remembered before");
            let seen = [look(node, job)?, look(node, job)?];
            let is_right = seen[0].0 == expected && seen[1] == (expected, true);
            ensure!(is_right, "{when}: {seen:?}, expected {expected:?}");
            Ok(())
        }
    }
}

/// slurm.conf and its Includes, changed in ways that leave as little to be seen as can be.
pub fn of_slurm_conf(suite: Suite) -> Result<()> {
    let (cluster, job) = start(suite)?;
    let node = cluster.node(1);
    // As long as the right one, so that not even the file's size changes.
    let written = Instant::now();
    node.sh("cd /etc/slurm; mkdir /var/spool/nowhere; \
         grep -v -e ^NodeName= -e ^SlurmdSpoolDir= generated >base; \
         echo SlurmdSpoolDir=/var/spool/slurmd/ >right; \
         echo SlurmdSpoolDir=/var/spool/nowhere >wrong; \
         cp right spool.conf; echo Include nodes.conf >>base; echo Include spool.conf >>base; \
         cp base slurm.conf")?;
    // What was just written may be written again without its time telling.
    let looks = ["just written", "just written, again"];
    not_before_settled(node, job, Job, written, &looks)?;
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
        let changed = Instant::now();
        node.sh(&format!("cd /etc/slurm; {how}"))?;
        if how.starts_with("ln") {
            // The links lead to files that have long settled.
            let seen = look(node, job)?;
            ensure!(seen == (expected, false), "right after '{how}': {seen:?}");
            thread::sleep(SETTLED);
        } else {
            not_before_settled(node, job, expected, changed, &[how])?;
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
        ensure!(seen == (Job, false), "after '{damage}': {seen:?}");
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
    node.sh("mkdir /srv/site /var/spool/nowhere; cp /etc/slurm/*.conf /srv/site")?;
    // What slurmd is going to read has settled when it starts, however long that takes.
    thread::sleep(SETTLED);
    node.stop_slurmd()?;
    node.sh("slurmd -N node1 -f /srv/site/slurm.conf")?;
    wait_for_slurmd(node)?;
    // Now /etc/slurm is not what this slurmd reads.
    node.sh(
        "sed -i s,^SlurmdSpoolDir=.*,SlurmdSpoolDir=/var/spool/nowhere, /etc/slurm/slurm.conf",
    )?;
    anew_then_remembered(node, job, Job, "with -f")?;
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
         cp -r /srv/site /srv/move; sed -i s,^SlurmdSpoolDir=.*,SlurmdSpoolDir=/var/spool/nowhere, \
         /srv/move/slurm.conf /etc/slurm/slurm.conf",
    )?;
    // What slurmd is going to read has settled when it starts, however long that takes.
    thread::sleep(SETTLED);
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
        ))?;
        Ok(())
    };
    for (mark, expected) in [("site", Job), ("move", NoJob)] {
        start_service(mark)?;
        anew_then_remembered(node, job, expected, mark)?;
        // By now it is also remembered by which mark its slurm.conf was found.
        thread::sleep(SETTLED);
        for _ in 0..2 {
            let seen = look(node, job)?;
            ensure!(seen == (expected, true), "{mark}, settled: {seen:?}");
        }
    }
    Ok(())
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
