//! Programs other than sshd whose sessions are ours: su from within a job, Slurm's own su, slurmstepd's PAM session,
//! and hosts that ask for one user and open the session of another.

use anyhow::{Context, Result, ensure};
use lab::{Node, Suite};
use tests::{Call, Module, OURS, job_of_cgroup};

use crate::Test;
use crate::site::{STRICT, Site, wait_for};

pub const TESTS: &[(&str, Test)] = &[
    ("su from within a job stays in that job", su_in_a_job),
    ("Slurm's own su is left alone", slurms_su),
    (
        "the account phase of one user, the session of another",
        sudo,
    ),
    ("lines for two clusters", two_clusters),
];

type OnSuite = fn(Suite) -> Result<()>;

/// In an own cluster: slurm.conf has what the others must not.
pub const CLUSTERS: &[(&str, OnSuite)] = &[
    ("slurmstepd's PAM session is not ours", slurmstepds_session),
    ("processes that are not tracked by cgroups", other_tracking),
    (
        "a slurmstepd of another pid namespace is asked for nothing",
        other_pid_namespace,
    ),
];

const PAM_SU: &str = "/etc/pam.d/su";

/// Adds the line of docs/session.md to su's stack while something is done.
fn with_su_line(node: &Node, options: &str, work: impl FnOnce() -> Result<()>) -> Result<()> {
    let before = node.read_text(PAM_SU)?;
    let line = format!("session required {OURS} service=su,su-l {options}\n");
    node.write(PAM_SU, format!("{before}{line}"), 0o644)?;
    let result = work();
    node.write(PAM_SU, before, 0o644)?;
    result
}

/// Whatever is newer, and whatever action_unknown says.
fn su_in_a_job(site: &Site) -> Result<()> {
    const SCRIPT: &str = "#!/bin/sh\nuntil test -e /tmp/go; do sleep 0.05; done\n\
        echo alice-secret | su alice -c 'cat /proc/self/cgroup; echo SLURM_JOB_ID=$SLURM_JOB_ID' \
        >/tmp/after 2>&1\ntouch /tmp/done\nexec sleep 1000\n";
    let node = site.node();
    node.write("/usr/local/bin/in-job", SCRIPT, 0o755)?;
    for options in [STRICT, &format!("{STRICT} action_unknown=deny")] {
        node.sh("rm -f /tmp/go /tmp/done /tmp/after")?;
        let argv = [
            "sbatch",
            "--parsable",
            "--chdir=/tmp",
            "--output=/dev/null",
            "/usr/local/bin/in-job",
        ];
        let job = node.run_as("alice", &argv)?.ok()?;
        let job: u32 = job.trim().parse().context("a job's number")?;
        site.cluster().wait_running(job)?;
        let newer = site.cluster().submit("alice", &[])?;
        with_su_line(node, options, || {
            node.sh("touch /tmp/go")?;
            wait_for("su", || Ok(node.list("/tmp")?.contains(&"done".to_owned())))
        })?;
        let after = node.read_text("/tmp/after")?;
        ensure!(
            after.contains(&format!("SLURM_JOB_ID={job}\n")),
            "{options}, newer is {newer}: {after}"
        );
        let held = format!("/job_{job}/step_");
        ensure!(
            after.contains(&held) || job_of_cgroup(node, &after)? == Some(job),
            "{options}: not in job {job}: {after}"
        );
        ensure!(
            !after.contains(&format!("/job_{newer}/")),
            "{options}: {after}"
        );
        site.finish()?;
    }
    Ok(())
}

/// slurmd has su tell the environment of a job that is submitted without one; from 2.6.24 of Linux on in a pid
/// namespace of its own. With every kind of su line the job has it, and nothing is an error.
fn slurms_su(site: &Site) -> Result<()> {
    let node = site.node();
    node.write(
        "/home/bob/.bash_profile",
        "export MYVAR=from-profile\n",
        0o644,
    )?;
    node.write("/tmp/b.sh", "#!/bin/bash\necho \"MYVAR=$MYVAR\"\n", 0o755)?;
    let run = || -> Result<String> {
        let argv = [
            "sbatch",
            "--parsable",
            "--wait",
            "--chdir=/tmp",
            "-o",
            "/tmp/out.%j",
            "--export=NONE",
            "/tmp/b.sh",
        ];
        let job = node.run_as("bob", &argv)?.ok()?;
        node.read_text(&format!("/tmp/out.{}", job.trim()))
    };
    let without = run()?;
    ensure!(
        without.contains("from-profile"),
        "without a line: {without}"
    );
    for options in ["", STRICT] {
        let mark = node.syslog_mark()?;
        with_su_line(node, options, || {
            let with = run()?;
            ensure!(with == without, "'{options}': {with}");
            Ok(())
        })?;
        let log = node.syslog_since(mark)?;
        // <83>: authpriv.err
        let mut lines = log.lines().filter(|it| it.contains("pam_slurm_adopt"));
        ensure!(
            !lines.any(|it| it.starts_with("<83>")),
            "'{options}': {log}"
        );
    }
    node.remove("/home/bob/.bash_profile")
}

/// One transaction of a host such as sudo, with our lines in both phases.
fn both_phases(
    node: &Node,
    lines: &[&str],
    user: &str,
    session_user: &str,
) -> Result<tests::Outcome> {
    let stack = |kind: &str| {
        let lines = lines
            .iter()
            .map(|it| format!("{kind} required {OURS} {it}\n"));
        lines.collect::<String>()
    };
    let permit = "account required pam_permit.so\nsession required pam_permit.so\n";
    let text = format!("{permit}{}{}", stack("account"), stack("session"));
    let mut call = Call::new(user, "");
    call.service = "sudo".into();
    call.arguments = ["--phase", "both", "--session-user", session_user]
        .map(str::to_owned)
        .into();
    // The stack of the call's own making has one line.
    let command = call.command(node, Module::Ours)?;
    node.write("/run/pamcall/Ours/sudo", text, 0o644)?;
    tests::outcome(command)
}

/// alice may run sudo to become bob, who has no job: that is no failure of hers.
fn sudo(site: &Site) -> Result<()> {
    let job = site.cluster().submit("alice", &[])?;
    let options = format!("{STRICT} service=sshd,sudo");
    for (user, code) in [("alice", 0), ("bob", 0), ("root", 0)] {
        let outcome = both_phases(site.node(), &[&options], "alice", user)?;
        ensure!(outcome.end == tests::End::Code(code), "{user}: {outcome}");
        let found = job_of_cgroup(site.node(), &outcome.cgroup)?;
        ensure!(found == Some(job), "{user}: {outcome}");
    }
    let outcome = both_phases(site.node(), &[&options], "bob", "bob")?;
    ensure!(outcome.end == tests::End::Code(6), "{outcome}");
    Ok(())
}

/// Each pair of lines has a record of its own: one cluster's choice is not the other's failure.
fn two_clusters(site: &Site) -> Result<()> {
    let node = site.node();
    let job = site.cluster().submit("alice", &[])?;
    let conf = node.read_text("/etc/slurm/slurm.conf")?;
    let other = conf
        .lines()
        .filter(|it| !it.starts_with("SlurmdSpoolDir"))
        .chain(["SlurmdSpoolDir=/var/spool/other"]);
    let other: Vec<&str> = other.collect();
    node.sh("mkdir -p /etc/other /var/spool/other")?;
    node.write("/etc/other/slurm.conf", other.join("\n") + "\n", 0o644)?;
    let here =
        format!("{STRICT} action_no_jobs=ignore service=sudo slurm_conf=/etc/slurm/slurm.conf");
    let there = here.replace("/etc/slurm/", "/etc/other/");
    for lines in [[&*here, &*there], [&*there, &*here]] {
        let outcome = both_phases(site.node(), &lines, "alice", "alice")?;
        ensure!(outcome.end == tests::End::Code(0), "{lines:?}: {outcome}");
        ensure!(outcome.job(node)? == Some(job), "{lines:?}: {outcome}");
    }
    Ok(())
}

/// A stranger who has there the number that our process has here is not put into the job.
fn other_pid_namespace(suite: Suite) -> Result<()> {
    let cluster = tests::cluster(suite)?.start()?;
    let node = cluster.node(1);
    node.stop_slurmd()?;
    // Numbers of processes there and here are made equal.
    const START: &str = "rm -f /tmp/victim*; (setsid unshare --pid --fork --kill-child sh -c '\
        slurmd -N node1 -D >/dev/null 2>&1 & until test -e /tmp/victim; do sleep 0.05; done; \
        echo 4999 >/proc/sys/kernel/ns_last_pid; sleep 1000 & echo $! >/tmp/victim.pid; wait' \
        >/dev/null 2>&1 &)";
    node.sh(START)?;
    let job = cluster.submit("alice", &[])?;
    node.sh("touch /tmp/victim; until test -s /tmp/victim.pid; do sleep 0.05; done")?;
    let number = node.read_text("/tmp/victim.pid")?.trim().to_owned();
    ensure!(number == "5000", "the stranger's number there is {number}");
    let places = || node.sh("for p in $(pgrep -x sleep); do cat /proc/$p/cgroup; done");
    let before = places()?;
    let mut call = Call::new("alice", STRICT);
    call.wrapper = Some("echo 4999 >/proc/sys/kernel/ns_last_pid; \"$@\"; true".into());
    let mark = node.syslog_mark()?;
    let outcome = call.make(node, Module::Ours)?;
    let log = node.syslog_since(mark)?;
    ensure!(outcome.end == tests::End::Code(6), "job {job}: {outcome}");
    ensure!(log.contains("is in another pid namespace"), "{log}");
    let after = places()?;
    ensure!(before == after, "somebody was moved: {before}\n{after}");
    cluster.stop()
}

/// With UsePAM=1 slurmstepd opens a session of its own, service slurm: `service=*` does not mean that one.
fn slurmstepds_session(suite: Suite) -> Result<()> {
    let stack = "account required pam_unix.so\n@include common-session\n";
    let cluster = tests::cluster(suite)?
        .slurm_conf("UsePAM=1")
        .pam("slurm", stack)
        .start()?;
    let node = cluster.node(1);
    let common = node.read_text("/etc/pam.d/common-session")?;
    let line = format!("session required {OURS} service=* {STRICT}\n");
    node.write(
        "/etc/pam.d/common-session",
        format!("{common}{line}"),
        0o644,
    )?;
    let mark = node.syslog_mark()?;
    let argv = [
        "sbatch",
        "--parsable",
        "--chdir=/tmp",
        "--output=/dev/null",
        "--wrap",
        "touch /tmp/started; exec sleep 1000",
    ];
    let job: u32 = node.run_as("bob", &argv)?.ok()?.trim().parse()?;
    // By then slurmstepd has opened its session.
    wait_for("the batch step", || {
        Ok(node.list("/tmp")?.contains(&"started".to_owned()))
    })?;
    let batch = format!("slurmstepd: [{job}.batch]");
    let found = node.processes(&batch)?.into_iter().next();
    let (pid, _) = found.context("a batch step")?;
    let cgroup = node.run(&["cat", &format!("/proc/{pid}/cgroup")])?.ok()?;
    ensure!(
        !cgroup.contains("step_extern"),
        "{cgroup}\n{}",
        node.syslog_since(mark)?
    );
    cluster.cancel(job)?;
    cluster.stop()
}

/// Nothing holds such a login in its job: that is an adoption failure, and its text says where to look. With
/// task/cgroup it is in cgroups of the job all the same.
fn other_tracking(suite: Suite) -> Result<()> {
    for (tracking, task) in [("linuxproc", "task/cgroup"), ("pgid", "task/none")] {
        let cluster = tests::cluster(suite)?
            .slurm_conf(&format!("ProctrackType=proctrack/{tracking}"))
            .slurm_conf(&format!("TaskPlugin={task}"))
            .cgroup_conf("ConstrainRAMSpace=yes")
            .start()?;
        let node = cluster.node(1);
        let job = cluster.submit("alice", &[])?;
        for (options, code, failures) in [(STRICT, 6, 1), ("", 0, 2)] {
            let mark = node.syslog_mark()?;
            let options = format!("service=sudo {options}");
            let outcome = both_phases(node, &[&options], "alice", "alice")?;
            let log = node.syslog_since(mark)?;
            ensure!(
                outcome.end == tests::End::Code(code),
                "{tracking}, job {job}: {outcome}"
            );
            let found = log.matches("adoption failed: ").count();
            ensure!(found == failures, "{tracking}: {found} in {log}");
            ensure!(!log.contains("decision=adopted"), "{tracking}: {log}");
            ensure!(log.contains("ProctrackType="), "{tracking}: {log}");
        }
        cluster.stop()?;
    }
    Ok(())
}
