//! Who waits for a job, and how long.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use lab::{Cluster, Status};
use tests::{CLI, Call, End, Module, job_of_cgroup};

use crate::{CGROUP, LIMIT, NO_JOB, SLOW, Test, lands_in, logged, login, with_options};

pub const TESTS: &[(&str, Test)] = &[
    (
        "a job's ssh to its second node waits for the prolog there",
        second_node,
    ),
    (
        "a stranger without a job is refused when the time is over",
        stranger,
    ),
    ("only logins from wait_from wait", from_networks),
    ("exempt users and root do not wait", exempt),
    ("the kill switch lets in who waits", kill_switch),
    ("a user waits four times at most", four_times),
    ("a client that hangs up leaves its place at once", hang_up),
];

/// A job of both nodes whose script logs in to the second one, as mpirun and deepspeed do.
fn launcher(cluster: &Cluster) -> Result<u32> {
    let script = "--wrap=ssh -o BatchMode=yes node2 cat /proc/self/cgroup >/tmp/login 2>&1; \
                  echo ended >>/tmp/login; exec sleep 100000";
    cluster.submit_only("alice", &["--nodes=2", script])
}

/// What the login of that script has said, once it has ended.
fn login_of_launcher(cluster: &Cluster) -> Result<String> {
    let node = cluster.node(1);
    let text = || node.read_text("/tmp/login").unwrap_or_default();
    lab::poll::until_true("the login", LIMIT, || Ok(text().contains("ended")))?;
    Ok(text())
}

fn second_node(cluster: &Cluster) -> Result<()> {
    let node = cluster.node(2);
    for options in ["", "wait_for_job=60 wait_from=10.88.0.0/24,fd00::/8"] {
        with_options(cluster, options)?;
        cluster.node(1).remove("/tmp/login")?;
        node.write(SLOW, "", 0o644)?;
        let mark = node.syslog_mark()?;
        let job = launcher(cluster)?;
        if !options.is_empty() {
            logged(
                node,
                mark,
                "alice waits for a job to start here, up to 60 s",
            )?;
            node.remove(SLOW)?;
        }
        let said = login_of_launcher(cluster)?;
        node.remove(SLOW)?;
        cluster.wait_running(job)?;
        match options.is_empty() {
            true => ensure!(said.contains(NO_JOB), "without the option: {said}"),
            false => {
                ensure!(
                    job_of_cgroup(node, &said)? == Some(job),
                    "{options}: {said}"
                );
                logged(node, mark, "the user's only job here; waited ")?;
            }
        }
        cluster.cancel(job)?;
    }
    Ok(())
}

/// Refused by ssh after at least so many seconds, and long before the minute that others wait; the log.
fn refused(cluster: &Cluster, user: &str, least: u64) -> Result<String> {
    let node = cluster.node(2);
    let (mark, start) = (node.syslog_mark()?, Instant::now());
    let output = cluster.node(1).ssh(user, &node.ipv4(), &["true"])?;
    let took = start.elapsed();
    ensure!(output.stderr.contains(NO_JOB), "{output}");
    let bounds = Duration::from_secs(least)..LIMIT;
    ensure!(bounds.contains(&took), "{user} was refused after {took:?}");
    node.syslog_since(mark)
}

fn stranger(cluster: &Cluster) -> Result<()> {
    let explained = |options: &str, more: &[&str]| {
        let argv = [&[CLI, "explain", "bob", "--options", options], more].concat();
        cluster.node(2).run(&argv)
    };
    let told = explained("wait_for_job=2", &[])?.stdout;
    let text =
        "a login waits up to 2 s for a job to start here; explain does not  wait_for_job=2 (";
    ensure!(told.contains(text), "{told}");
    for (options, more) in [
        ("wait_for_job=2 exempt_users=bob", &[][..]),
        ("wait_for_job=2 wait_from=10.0.0.1", &["--from", "10.0.0.2"]),
        ("", &[]),
    ] {
        let told = explained(options, more)?.stdout;
        ensure!(!told.contains("waits up to"), "{options}: {told}");
    }
    with_options(cluster, "wait_for_job=2")?;
    let job = cluster.submit("alice", &["--nodelist=node2"])?;
    let log = refused(cluster, "bob", 2)?;
    ensure!(
        log.contains("bob waits for a job to start here, up to 2 s"),
        "{log}"
    );
    ensure!(log.contains("; waited "), "{log}");
    // alice has one, and does not wait.
    let mark = cluster.node(2).syslog_mark()?;
    let login = cluster.node(1).ssh("alice", "node2", CGROUP)?.ok()?;
    ensure!(
        job_of_cgroup(cluster.node(2), &login)? == Some(job),
        "{login}"
    );
    let log = cluster.node(2).syslog_since(mark)?;
    ensure!(!log.contains("wait"), "{log}");
    Ok(())
}

fn from_networks(cluster: &Cluster) -> Result<()> {
    for (from, waits) in [("10.88.0.2,10.89.0.0/16", false), ("10.88.0.1", true)] {
        with_options(cluster, &format!("wait_for_job=1 wait_from={from}"))?;
        let log = refused(cluster, "bob", u64::from(waits))?;
        let has_waited = log.contains("bob waits for a job") && log.contains("; waited ");
        ensure!(has_waited == waits, "{from}: {log}");
    }
    Ok(())
}

fn exempt(cluster: &Cluster) -> Result<()> {
    let node = cluster.node(2);
    let options = "wait_for_job=60 exempt_users=bob";
    let mark = node.syslog_mark()?;
    for (user, code) in [("bob", 0), ("root", 25)] {
        let call = Call::new(user, options).make(node, Module::Ours)?;
        ensure!(call.end == End::Code(code), "{user}: {call}");
    }
    // Nor is anybody else held up by what keeps nobody out.
    for (options, service, codes) in [
        // As the stack has other account modules or not.
        ("wait_for_job=60 mode=audit", "sshd", [0, 25]),
        ("wait_for_job=60 service=*", "login", [6, 6]),
    ] {
        let mut call = Call::new("alice", options);
        call.service = service.into();
        let outcome = call.make(node, Module::Ours)?;
        let is_expected = codes.iter().any(|it| outcome.end == End::Code(*it));
        ensure!(is_expected, "{options}: {outcome}");
    }
    let log = node.syslog_since(mark)?;
    ensure!(!log.contains("waits for a job"), "{log}");
    Ok(())
}

fn four_times(cluster: &Cluster) -> Result<()> {
    let node = cluster.node(2);
    with_options(cluster, "wait_for_job=60")?;
    let mark = node.syslog_mark()?;
    let mut waiting = Vec::new();
    for _ in 0..4 {
        waiting.push(login(cluster, "alice")?);
    }
    let texts = || {
        let log = node.syslog_since(mark)?;
        Ok(log.matches("alice waits for a job").count() == 4)
    };
    lab::poll::until_true("four logins to wait", LIMIT, texts)?;
    refused(cluster, "alice", 0)?;
    logged(
        node,
        mark,
        "alice does not wait for a job: too many do already",
    )?;
    let mut other = login(cluster, "bob")?;
    logged(node, mark, "bob waits for a job to start here")?;
    // One job ends the waits of its user alone.
    let job = cluster.submit("alice", &["--nodelist=node2"])?;
    for login in waiting {
        lands_in(node, login, job)?;
    }
    ensure!(other.wait(Duration::ZERO)?.is_none(), "bob still waits");
    let bobs = cluster.submit("bob", &["--nodelist=node2"])?;
    lands_in(node, other, bobs)
}

fn kill_switch(cluster: &Cluster) -> Result<()> {
    const SWITCH: &str = "/run/let-all-in";
    let node = cluster.node(2);
    with_options(cluster, &format!("wait_for_job=10 kill_switch={SWITCH}"))?;
    let mark = node.syslog_mark()?;
    let mut login = login(cluster, "bob")?;
    logged(node, mark, "bob waits for a job to start here")?;
    node.write(SWITCH, "", 0o600)?;
    let ended = login.wait(LIMIT);
    node.remove(SWITCH)?;
    let log = node.syslog_since(mark)?;
    ensure!(ended? == Some(Status::Exited(0)), "refused: {log}");
    ensure!(
        log.contains("the kill switch /run/let-all-in is on"),
        "{log}"
    );
    Ok(())
}

fn hang_up(cluster: &Cluster) -> Result<()> {
    let node = cluster.node(2);
    with_options(cluster, "wait_for_job=60")?;
    let mark = node.syslog_mark()?;
    let count = |text: &str| Ok::<_, anyhow::Error>(node.syslog_since(mark)?.matches(text).count());
    let mut waiting = Vec::new();
    for number in 1..=4 {
        waiting.push(login(cluster, "alice")?);
        let waits = || Ok(count("alice waits for a job")? == number);
        lab::poll::until_true("a login to wait", LIMIT, waits)?;
    }
    let processes = node.processes("sshd")?.len();
    // Dropping it kills ssh.
    waiting.pop();
    // The others wait for a minute.
    lab::poll::until_true("its end", LIMIT, || Ok(count("alice has hung up")? == 1))?;
    let ended = || Ok(node.processes("sshd")?.len() < processes);
    lab::poll::until_true("its sshd to end", LIMIT, ended)?;
    waiting.push(login(cluster, "alice")?);
    let waits = || Ok(count("alice waits for a job")? == 5);
    lab::poll::until_true("another login to wait", LIMIT, waits)?;
    let job = cluster.submit("alice", &["--nodelist=node2"])?;
    for login in waiting {
        lands_in(node, login, job)?;
    }
    ensure!(count("alice has hung up")? == 1, "others stay");
    Ok(())
}
