//! What is told where no job is found: the admin's reason says what is seen, the user's text what is wrong. A
//! permission that is missing is never "no jobs".

use anyhow::{Context, Result, ensure};
use lab::{Node, Suite};
use tests::{CLI, Call, End, Module, STRACE, bring_strace};

use crate::Found::Job;
use crate::places::wait_for_slurmd;
use crate::{Stage, look, start};

const SPOOL: &str = "/var/spool/slurmd";
const NO_JOBS: &str = "Access denied by pam_slurm_adopt: you have no active jobs on this node";
/// Root as a policy leaves it: without the right to pass by a file's mode.
const WITHOUT_RIGHTS: &str = "exec setpriv --bounding-set -dac_override,-dac_read_search \"$@\"";
/// The same where /sys/fs/selinux says that it enforces.
const ENFORCING: &str = "exec unshare --mount --propagation private sh -ec \
     'mount -t tmpfs none /sys/fs; mkdir /sys/fs/selinux; printf 1 >/sys/fs/selinux/enforce; \
     exec setpriv --bounding-set -dac_override,-dac_read_search \"$@\"' sh \"$@\"";

/// The log of a call that is denied.
pub fn log_of(node: &Node, call: &Call) -> Result<String> {
    told(node, call).map(|(_, log)| log)
}

/// What the user reads, and the log, where a call is denied for want of a job.
fn told(node: &Node, call: &Call) -> Result<(String, String)> {
    let mark = node.syslog_mark()?;
    let outcome = call.make(node, Module::Ours)?;
    let log = node.syslog_since(mark)?;
    let text = outcome.messages.concat();
    ensure!(
        outcome.end == End::Code(6) && text.starts_with(NO_JOBS),
        "{outcome}: {log}"
    );
    Ok((text[NO_JOBS.len()..].to_owned(), log))
}

fn reset(node: &Node) -> Result<()> {
    node.run(&["cp", "/etc/slurm/generated", "/etc/slurm/slurm.conf"])?
        .ok()
        .map(drop)
}

fn has(text: &str, parts: &[&str]) -> Result<()> {
    for part in parts {
        ensure!(text.contains(part), "lacks \"{part}\": {text}");
    }
    Ok(())
}

/// What was found before the error counts, and the error is told to who has no job among that.
pub fn partly_read(suite: Suite) -> Result<()> {
    let (cluster, job) = start(suite)?;
    let node = cluster.node(1);
    bring_strace(node)?;
    let call = |user: &str| {
        let mut call = Call::new(user, "");
        // The first call returns all names, the second one the end.
        call.wrapper = Some(format!(
            "exec {STRACE} -f -o /dev/null -P {SPOOL} -e inject=getdents64:error=EIO:when=2+ \"$@\""
        ));
        call
    };
    let log = log_of(node, &call("bob"))?;
    has(&log, &[&format!("read {SPOOL}: Input/output error")])?;
    let outcome = call("alice").make(node, Module::Ours)?;
    ensure!(outcome.job(node)? == Some(job), "{outcome}");
    Ok(())
}

/// Each directory that is at fault is named with its owner, its mode and the command that fixes it.
pub fn unsafe_directories(stage: &mut Stage) -> Result<()> {
    let (cluster, _) = stage.up()?;
    let node = cluster.node(1);
    reset(node)?;
    for (spoil, mend, user, admin) in [
        (
            "chmod 757 /var/spool/slurmd",
            "chmod go-w /var/spool/slurmd",
            " (/var/spool/slurmd is writable by others; tell your administrator)",
            "/var/spool/slurmd is not safe: owner uid 0, mode 757",
        ),
        (
            "chown bob /var/spool/slurmd",
            "chown root /var/spool/slurmd",
            " (/var/spool/slurmd belongs to uid 2002; tell your administrator)",
            "/var/spool/slurmd is not safe: owner uid 2002, mode 755",
        ),
        (
            "chown bob:bob /var/spool/slurmd; chmod 775 /var/spool/slurmd",
            "chown root /var/spool/slurmd && chmod go-w /var/spool/slurmd",
            " (/var/spool/slurmd belongs to uid 2002; tell your administrator)",
            "/var/spool/slurmd is not safe: owner uid 2002, mode 775",
        ),
        (
            "chmod 777 /var/spool",
            "chmod go-w /var/spool",
            " (/var/spool is writable by others; tell your administrator)",
            "/var/spool is not safe: owner uid 0, mode 777",
        ),
    ] {
        node.sh(spoil)?;
        let told = told(node, &Call::new("alice", ""));
        // The command is the one that the log names.
        node.sh(mend)?;
        let (text, log) = told.context(spoil)?;
        ensure!(text == user, "{spoil}: {text}");
        has(&log, &[admin, &format!("run: {mend}")]).context(spoil)?;
    }
    node.sh("chgrp root /var/spool/slurmd")?;
    let (_, job) = stage.up()?;
    let (cluster, _) = stage.up()?;
    ensure!(
        look(cluster.node(1), job, Module::Ours)? == Job,
        "after the commands"
    );
    Ok(())
}

/// A right that is missing on the way to the stepds is told with path and errno, and SELinux by name.
pub fn permissions(stage: &mut Stage) -> Result<()> {
    let (cluster, job) = stage.up()?;
    let (node, socket) = (cluster.node(1), cluster.node(1).extern_socket(job));
    reset(node)?;
    let mut call = Call::new("alice", "");
    call.wrapper = Some(WITHOUT_RIGHTS.into());
    let file = socket.rsplit('/').next().unwrap_or_default();
    let path = format!("{SPOOL}/{file}");
    let user = " (slurmstepds cannot be reached: permission denied; tell your administrator)";
    let eacces = "Permission denied (os error 13)";
    let unread = format!("read {SPOOL}: {eacces}");
    let unseen = format!("stat {path}: {eacces}");
    let refused = format!("connect to {path}: {eacces}");
    for (spoil, mend, what) in [
        (
            "chown slurm /var/spool/slurmd; chmod 700 /var/spool/slurmd",
            "",
            &unread,
        ),
        (
            "chown slurm /var/spool/slurmd; chmod 744 /var/spool/slurmd",
            "",
            &unseen,
        ),
        (
            &format!("chmod 444 {path}")[..],
            &format!("; chmod 777 {path}")[..],
            &refused,
        ),
    ] {
        node.sh(spoil)?;
        let with_rights = look(node, job, Module::Ours);
        let plain = told(node, &call);
        let mut under_selinux = call.clone();
        under_selinux.wrapper = Some(ENFORCING.into());
        let enforcing = told(node, &under_selinux);
        node.sh(&format!("chown root {SPOOL}; chmod 755 {SPOOL}{mend}"))?;
        ensure!(with_rights? == Job, "{spoil}");
        for (told, selinux) in [(plain, false), (enforcing, true)] {
            let (text, log) = told.with_context(|| format!("{spoil}, SELinux {selinux}"))?;
            ensure!(text == user, "{spoil}: {text}");
            has(&log, &[what]).context("the log")?;
            let named = log.contains("SELinux is enforcing");
            ensure!(
                named == selinux && !log.contains("0 of others\""),
                "{spoil}: {log}"
            );
        }
    }
    ensure!(look(node, job, Module::Ours)? == Job, "after that");
    Ok(())
}

/// A slurm.conf or a pid file that can't be looked at is not one that is not there.
pub fn other_permissions(stage: &mut Stage) -> Result<()> {
    let (cluster, _) = stage.up()?;
    let node = cluster.node(1);
    reset(node)?;
    let mut call = Call::new("bob", "action_generic_failure=deny");
    call.wrapper = Some(WITHOUT_RIGHTS.into());
    node.sh("chmod 000 /run/slurmd.pid")?;
    let pid_file = told(node, &call);
    node.sh("chmod 644 /run/slurmd.pid; chown slurm /etc/slurm; chmod 700 /etc/slurm")?;
    let mark = node.syslog_mark()?;
    let conf = call.make(node, Module::Ours);
    let log = node.syslog_since(mark)?;
    node.sh("chown root /etc/slurm; chmod 755 /etc/slurm")?;
    let (_, told) = pid_file?;
    has(
        &told,
        &["read /run/slurmd.pid: Permission denied (os error 13)"],
    )
    .context("the pid file")?;
    let conf = conf?;
    ensure!(
        conf.messages
            .concat()
            .contains("configuration can't be read"),
        "{conf}: {log}"
    );
    has(
        &log,
        &["/etc/slurm/slurm.conf: Permission denied (os error 13)"],
    )
    .context("slurm.conf")
}

/// Many files that are no stepd's make one line.
pub fn junk(stage: &mut Stage) -> Result<()> {
    let (cluster, job) = stage.up()?;
    let node = cluster.node(1);
    reset(node)?;
    node.sh(&format!(
        "cd {SPOOL}; for i in $(seq 9001 9150); do : >node1_$i.4294967292; done"
    ))?;
    let mark = node.syslog_mark()?;
    let found = look(node, job, Module::Ours);
    let log = node.syslog_since(mark)?;
    node.sh(&format!("cd {SPOOL}; rm node1_9[01]*.4294967292"))?;
    ensure!(found? == Job, "{log}");
    let lines: Vec<&str> = log
        .lines()
        .filter(|line| line.contains("4294967292"))
        .collect();
    let [line] = lines[..] else {
        anyhow::bail!("{} lines: {log}", lines.len());
    };
    has(
        line,
        &[
            "150 files in /var/spool/slurmd",
            ": not a socket",
            "node1_9",
        ],
    )?;
    ensure!(!line.contains("of root"), "{line}");
    Ok(())
}

/// The reason names node and directory, and what is seen there.
pub fn reasons(suite: Suite) -> Result<()> {
    let (cluster, _) = start(suite)?;
    let node = cluster.node(1);
    let reason = |options: &str, parts: &[&str]| -> Result<()> {
        let (text, log) = told(node, &Call::new("bob", options))?;
        ensure!(text.is_empty(), "the user reads more: {text}");
        has(&log, parts).context(options.to_owned())
    };
    node.stop_slurmd()?;
    node.sh("slurmd -N node1")?;
    wait_for_slurmd(node)?;
    let here = "node node1, spool directory /var/spool/slurmd)";
    reason("", &["no job on this node (1 job of other users", here])?;
    reason(
        "nodename=gone",
        &[
            "node gone, spool directory /var/spool/slurmd)",
            "has only sockets of node node1",
            "node gone is not on any NodeName line",
            "slurmd runs as node node1",
        ],
    )?;
    // The host was given another name; slurmd is not told one.
    node.stop_slurmd()?;
    let unnamed = "unshare --uts sh -ec 'hostname hosta; exec \"$@\"' sh \"$@\"";
    let mut call = Call::new("bob", "");
    call.wrapper = Some(unnamed.into());
    let (_, log) = told(node, &call)?;
    has(
        &log,
        &[
            "node hosta, ",
            "host hosta is not on any NodeName line",
            "has only sockets of node node1",
            "no slurmd runs here",
        ],
    )?;
    // Nobody's jobs, nor a slurmd: a login node.
    node.sh("rm -rf /var/spool/slurmd")?;
    reason(
        "",
        &[
            "no slurmd runs here",
            "/var/spool/slurmd: No such file",
            "node node1",
        ],
    )
}

/// A job without an extern step is named: its batch step listens.
pub fn without_contain(suite: Suite) -> Result<()> {
    let cluster = tests::cluster(suite)?
        .slurm_conf("PrologFlags=Alloc")
        .copy(tests::dist("slurm-adopt")?, CLI)
        .start()?;
    let node = cluster.node(1);
    let job = cluster.submit_only("alice", &[])?;
    lab::poll::until_true("the batch step", std::time::Duration::from_secs(20), || {
        Ok(node
            .list(SPOOL)?
            .iter()
            .any(|it| it.starts_with(&format!("node1_{job}."))))
    })?;
    let (text, log) = told(node, &Call::new("alice", ""))?;
    ensure!(text.is_empty(), "{text}");
    has(
        &log,
        &[&format!(
            "job {job} has no extern step (started without PrologFlags=contain)"
        )],
    )?;
    let explained = node.run(&[CLI, "explain", "alice"])?.to_string();
    has(
        &explained,
        &[&format!("job {job} has no extern step"), "node node1, "],
    )
}
