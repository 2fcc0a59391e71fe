//! A stepd that announces the job's namespace and does not hand it over.

use std::time::Duration;

use anyhow::{Result, ensure};
use lab::{Background, Cluster};
use tests::session::Lines;
use tests::{Module, job_of_cgroup};

use crate::namespaces::SHOW;
use crate::place::{
    AS_IT_IS, HAND_OVER, HOLD, METHODS, Place, STRICT, Test, bare, inside, ssh, submit, use_module,
    wait_for, wait_for_file,
};

/// Where a job has a mount namespace of its own, and no other.
pub const TESTS_OF_ONE: &[(&str, Test)] = &[
    ("a namespace that is announced and not sent", not_sent),
    (
        "a namespace that Slurm has not kept for the job",
        not_its_own,
    ),
    ("a login after SchedMD's that came too early", after_theirs),
];

/// Alice's job, with its stepd behind the stand-in.
struct Behind<'a> {
    cluster: &'a Cluster,
    job: u32,
    socket: String,
    stand_in: Background,
    /// As the job sees its namespaces.
    shown: String,
}

impl<'a> Behind<'a> {
    fn new(cluster: &'a Cluster, what: &str) -> Result<Self> {
        let node = inside(cluster);
        node.sh("rm -f /home/alice/show")?;
        let script = format!("({SHOW}) > ~/.show && mv ~/.show ~/show; exec sleep 100000");
        let job = submit(cluster, &script)?;
        let shown = wait_for_file(cluster, "/home/alice/show")?;
        let socket = format!("node2_{job}.4294967292");
        let path = format!("/var/spool/slurmd/{socket}");
        let mut stand_in = node.command(&[HAND_OVER, what, &path]).spawn()?;
        wait_for("the stand-in", || {
            ensure!(stand_in.is_running()?, "{}", stand_in.stderr()?);
            let names = node.list("/var/spool/slurmd")?;
            Ok(names.contains(&socket) && names.contains(&format!("{socket}.real")))
        })?;
        Ok(Self {
            cluster,
            job,
            socket,
            stand_in,
            shown,
        })
    }

    fn end(mut self) -> Result<()> {
        let path = format!("/var/spool/slurmd/{}", self.socket);
        let node = inside(self.cluster);
        node.sh(&format!("mv {path}.real {path}"))?;
        for (pid, _) in node.processes(HAND_OVER)? {
            node.signal(pid, "KILL")?;
        }
        self.stand_in.wait(Duration::from_secs(20))?;
        self.cluster.cancel(self.job)
    }
}

/// It is taken from where Slurm keeps it, within a second.
fn not_sent(_: &Place, cluster: &Cluster) -> Result<()> {
    let node = inside(cluster);
    for what in ["own", "silent"] {
        let behind = Behind::new(cluster, what)?;
        use_module(cluster, Module::Ours, STRICT)?;
        // The second is asked for the namespaces with the first question, where that is done.
        for turn in 0..2 {
            let mark = node.syslog_mark()?;
            let login = ssh(cluster, &format!("{SHOW}; cat /proc/self/cgroup")).output()?;
            ensure!(
                login.stdout.starts_with(&behind.shown),
                "{what} {turn}: not the job's, {}{login}\n{}",
                behind.shown,
                node.syslog_since(mark)?
            );
            // The deadline is 5 s.
            let log = node.syslog_since(mark)?;
            let took = tests::took(&log)?;
            ensure!(took < Duration::from_secs(3), "{what} {turn}: {log}");
            let cgroup = &login.stdout[behind.shown.len()..];
            ensure!(
                job_of_cgroup(node, cgroup)? == Some(behind.job),
                "{what} {turn}: {login}"
            );
        }
        let call = bare(cluster, Module::Ours, STRICT, AS_IT_IS)?;
        ensure!(
            call.code == 0 && call.new_descriptors.is_empty(),
            "{call:?}"
        );
        // For good, too: with a key from within, else from without.
        let stack = tests::session::stack(Module::Ours, Lines::Both, STRICT, "");
        node.write("/etc/pam.d/sshd", stack, 0o644)?;
        for method in METHODS {
            let script = format!("export LC_ALL=C; {SHOW}");
            let login = method.client(cluster.node(1), "alice", &["ssh", "node2", &script]);
            let login = login.output()?;
            ensure!(
                login.stdout == behind.shown,
                "{what} {method}: not the job's, {}{login}",
                behind.shown
            );
        }
        behind.end()?;
    }
    Ok(())
}

/// Only the mount that Slurm has made for a job of this user's counts.
fn not_its_own(_: &Place, cluster: &Cluster) -> Result<()> {
    let node = inside(cluster);
    let behind = Behind::new(cluster, "own")?;
    let job = behind.job;
    let dir = node
        .sh("dirname $(awk '$9 == \"nsfs\" || $10 == \"nsfs\" {print $5}' /proc/self/mountinfo)")?;
    let dir = dir.trim();
    for (spoil, told) in [
        (
            format!("chown 2002 {dir}/.{job}"),
            "is no directory of uid 2001",
        ),
        (format!("umount {dir}/.ns"), "mountinfo has none of job"),
    ] {
        node.sh(&spoil)?;
        let mark = node.syslog_mark()?;
        let call = bare(cluster, Module::Ours, STRICT, AS_IT_IS)?;
        ensure!(call.code != 0, "{spoil}: {call:?}");
        ensure!(call.new_descriptors.is_empty(), "{spoil}: {call:?}");
        let mut log = String::new();
        wait_for("the log", || {
            log = node.syslog_since(mark)?;
            Ok(log.contains("decision=denied"))
        })?;
        ensure!(log.contains(told), "{spoil}: {log}");
    }
    behind.end()
}

/// It asks a step that is still starting, which hands out an empty file from then on.
fn after_theirs(_: &Place, cluster: &Cluster) -> Result<()> {
    let node = inside(cluster);
    node.remove("/home/alice/show")?;
    node.write(HOLD, "", 0o644)?;
    let script = format!("({SHOW}) > ~/.show && mv ~/.show ~/show; exec sleep 100000");
    let job = cluster.submit_only("alice", &["--nodelist=node2", "--wrap", &script])?;
    let socket = format!("node2_{job}.4294967292");
    wait_for("the extern step's socket", || {
        Ok(node.list("/var/spool/slurmd")?.contains(&socket))
    })?;
    use_module(cluster, Module::SchedMd, "")?;
    let mut early = ssh(cluster, "true").spawn()?;
    early.wait(Duration::from_secs(1))?;
    node.remove(HOLD)?;
    early.wait(Duration::from_secs(20))?;
    let of_job = wait_for_file(cluster, "/home/alice/show")?;
    use_module(cluster, Module::Ours, STRICT)?;
    let mark = node.syslog_mark()?;
    let login = ssh(cluster, SHOW).output()?;
    ensure!(
        login.stdout == of_job,
        "not the job's, {of_job}{login}{}",
        node.syslog_since(mark)?
    );
    Ok(())
}
