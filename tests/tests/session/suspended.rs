//! Logins of users whose job is suspended: a process stops the moment that it enters such a job.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lab::Suite;
use tests::session::{Lines, Method};
use tests::suspended::{as_before, begin, freeze_when_asked, freezer, frozen, resume};
use tests::{Call, End, Module, STRACE, bring_strace, dist};

use crate::Test;
use crate::handover::logged;
use crate::site::{Login, OnNode, STRICT, Site};

pub const TESTS: &[(&str, Test)] = &[
    ("a suspended job is passed over", |site| {
        with_suspended(site, passed_over)
    }),
    ("logins to a suspended job do not fill sshd", |site| {
        with_suspended(site, root_gets_in)
    }),
    ("a job that is suspended in the very moment", in_the_moment),
    ("a freezer that can't be read is logged", unseen_freezer),
];

/// With each method the account phase is in another process, or leaves the adoption to the session phase.
const WAYS: [(Lines, Method); 3] = [
    (Lines::Account, Method::PublicKey),
    (Lines::Both, Method::PublicKey),
    (Lines::Both, Method::KeyboardInteractive),
];
const PORT: &str = "2209";
const EXPLAIN: &str = "/usr/local/bin/slurm-adopt";

fn told(job: u32) -> String {
    format!("Access denied by pam_slurm_adopt: adoption failure (job {job} is suspended)")
}

/// A job of alice's, suspended for as long as the test takes.
fn with_suspended(site: &Site, test: fn(&Site, u32) -> Result<()>) -> Result<()> {
    let job = site.cluster().submit("alice", &[])?;
    sh(site, &begin(job))?;
    let result = test(site, job);
    sh(site, &resume(job))?;
    result
}

fn sh(site: &Site, script: &str) -> Result<String> {
    site.node().run(&["bash", "-ec", script])?.ok()
}

fn denied(site: &Site, login: Login, job: u32) -> Result<()> {
    let is_told = login.stderr.contains(&told(job));
    ensure!(login.shell.is_none() && is_told, "{login}");
    login.end(site.node())
}

/// Its user gets into another job; who has no other is told, instead of stopping there.
fn passed_over(site: &Site, job: u32) -> Result<()> {
    let node = site.node();
    // Before the freezer Slurm stops the processes, of which 26.05 has none in an extern step.
    if site.suite() < Suite::Forky {
        site.use_stack(Module::Ours, Lines::Account, STRICT, "")?;
        denied(site, site.log_in("alice", Method::PublicKey)?, job)?;
    }
    sh(site, &frozen(job))?;
    for (lines, method) in WAYS {
        site.use_stack(Module::Ours, lines, STRICT, "")?;
        let mark = node.syslog_mark()?;
        denied(site, site.log_in("alice", method)?, job)?;
        logged(site, mark, &[&format!("job {job} is suspended\"")])?;
    }
    node.copy(&dist("slurm-adopt")?, EXPLAIN)?;
    let explained = node.sh(&format!(
        "{EXPLAIN} explain alice --options '{STRICT}' || true"
    ))?;
    ensure!(explained.contains(&told(job)), "{explained}");
    let other = site.cluster().submit("alice", &[])?;
    for (lines, method) in WAYS {
        site.use_stack(Module::Ours, lines, STRICT, "")?;
        let login = site.log_in("alice", method)?;
        ensure!(login.shell()?.job(node)? == Some(other), "{lines}: {login}");
        login.end(node)?;
    }
    Ok(())
}

/// With an account line alone a frozen login had not been let in yet: sshd takes only so many of those.
fn root_gets_in(site: &Site, job: u32) -> Result<()> {
    let node = site.node();
    sh(site, &frozen(job))?;
    site.use_stack(Module::Ours, Lines::Account, STRICT, "")?;
    // As an option it is not heeded where sshd_config has one.
    sh(
        site,
        &format!(
            "sed 's/^MaxStartups .*/MaxStartups 4:100:4/' /etc/ssh/sshd_config >/run/few.conf
             /usr/sbin/sshd -f /run/few.conf -p {PORT} -o PidFile=/run/few.pid
             until test -s /run/few.pid; do sleep 0.02; done"
        ),
    )?;
    let ssh = ["ssh", "-n", "-p", PORT, "-o", "BatchMode=yes", "node1"];
    let mut logins = Vec::new();
    for _ in 0..6 {
        let login = [&ssh[..], &["true"]].concat();
        let mut login = node.command(&login).user("alice").spawn()?;
        login.wait(Duration::from_secs(2))?;
        logins.push(login);
    }
    let root = node.command(&[&ssh[..], &["id", "-u"]].concat());
    let root = root.env("HOME", "/root").output()?;
    sh(site, "kill $(cat /run/few.pid)")?;
    ensure!(root.stdout == "0\n", "{root}");
    for login in &mut logins {
        login.wait(Duration::from_secs(60))?;
        let stderr = login.stderr()?;
        ensure!(stderr.contains(&told(job)), "{stderr}");
    }
    Ok(())
}

/// As a rule of SELinux hides it: the login goes on as where there is no freezer.
fn unseen_freezer(site: &Site) -> Result<()> {
    let node = site.node();
    bring_strace(node)?;
    let job = site.cluster().submit("alice", &[])?;
    let path = sh(site, &freezer(job))?;
    let path = path.trim();
    for call in ["openat", "lstat,newfstatat,statx"] {
        let mark = node.syslog_mark()?;
        let mut login = Call::new("alice", STRICT);
        login.wrapper = Some(format!(
            "exec {STRACE} -f -o /dev/null -P {path} -e inject={call}:error=EACCES \"$@\""
        ));
        let outcome = login.make(node, Module::Ours)?;
        ensure!(outcome.job(node)? == Some(job), "{call}: {outcome}");
        logged(
            site,
            mark,
            &[
                &format!(
                    "check whether the job is suspended: {}",
                    told_of(call, path)
                ),
                &format!("decision=adopted job={job}"),
            ],
        )?;
    }
    Ok(())
}

fn told_of(call: &str, path: &str) -> String {
    let operation = match call {
        "openat" => "read",
        _ => "stat",
    };
    format!("{operation} {path}: Permission denied")
}

/// Between our look and the slurmstepd's answer: the login is put back and goes on without that job.
fn in_the_moment(site: &Site) -> Result<()> {
    let node = site.node();
    let first = site.cluster().submit("alice", &[])?;
    // The sockets' seconds are compared.
    std::thread::sleep(Duration::from_millis(1100));
    let second = site.cluster().submit("alice", &[])?;
    sh(site, &freeze_when_asked(second))?;
    let result = put_back(site, first, second);
    sh(site, &as_before(second)).context("the relay's end")?;
    result?;
    // Nothing of it is left where the job goes on.
    let login = site.log_in("alice", Method::PublicKey)?;
    ensure!(login.shell()?.job(node)? == Some(second), "{login}");
    login.end(node)
}

fn put_back(site: &Site, first: u32, second: u32) -> Result<()> {
    let node = site.node();
    let thaw = |job| sh(site, &tests::suspended::thaw(job));
    site.use_stack(Module::Ours, Lines::Account, STRICT, "")?;
    let mark = node.syslog_mark()?;
    let login = site.log_in("alice", Method::PublicKey)?;
    ensure!(login.shell()?.job(node)? == Some(first), "{login}");
    logged(
        site,
        mark,
        &[&format!("job {second}, the newest here: it is suspended")],
    )?;
    login.end(node)?;
    thaw(second)?;

    site.cluster().cancel(first)?;
    let call = Call::new("alice", &format!("{STRICT} timeout=15")).make(node, Module::Ours)?;
    ensure!(call.end == End::Code(6), "{call}");
    ensure!(call.messages == [told(second)], "{call}");
    ensure!(!call.cgroup.contains("/job_"), "{call}");
    ensure!(call.left_open.is_empty(), "{call:?}");
    ensure!(call.micros < 10_000_000, "it waited: {call:?}");
    thaw(second)?;
    Ok(())
}
