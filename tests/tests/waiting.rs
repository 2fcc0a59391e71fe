//! Which job a login gets into if several are there, or none yet (`action_unknown=`, `wait_for_job=`): on two nodes
//! whose prolog lasts as long as a file is there.

#![forbid(unsafe_code)]

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use lab::{Cluster, Node, Status, Suite};
use tests::{CLI, Call, End, Matrix, Module, Shared, job_of_cgroup};

/// While it is there, the prolog goes on.
const SLOW: &str = "/run/slow";
const PROLOG: &str = "#!/bin/sh\nwhile [ -e /run/slow ]; do sleep 0.05; done\n";
const NO_JOB: &str = "Access denied by pam_slurm_adopt: you have no active jobs on this node";
const CGROUP: &[&str] = &["cat", "/proc/self/cgroup"];
const LIMIT: Duration = Duration::from_secs(30);

type Test = fn(&Cluster) -> Result<()>;

const TESTS: &[(&str, Test)] = &[
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
    ("a user waits four times at most", four_times),
    ("a client that hangs up leaves its place at once", hang_up),
    ("a spool directory may be missing at first", no_spool),
    (
        "a file system may be mounted on the spool directory",
        mounted_spool,
    ),
    ("action_unknown chooses among several jobs", several),
];

fn main() {
    let mut matrix = Matrix::new(|suite| Shared::new(suite, |suite| start(suite, "contain")));
    let long = [Suite::Bullseye, Suite::Bookworm, Suite::Trixie];
    let run = |test: Test| {
        move |_: Suite, stage: &mut Shared<Cluster>| {
            stage.run(|cluster| test(cluster), |cluster| cluster.cancel_all())
        }
    };
    for (name, test) in TESTS {
        matrix.add_on(&[Suite::Forky], name, run(*test));
        matrix.add_long(&long, name, run(*test));
    }
    let name = "a prolog that runs in the job is waited for";
    matrix.add_on(&[Suite::Forky], name, |suite, _| run_in_job(suite));
    matrix.add_long(&[Suite::Trixie], name, |suite, _| run_in_job(suite));
    let name = "the job after one that is ending is waited for";
    matrix.add_on(&[Suite::Forky], name, |suite, _| after_ending(suite));
    matrix.add_long(&[Suite::Trixie], name, |suite, _| after_ending(suite));
    matrix.run();
}

fn start(suite: Suite, flags: &str) -> Result<Cluster> {
    start_with(suite, &format!("PrologFlags={flags}\n"))
}

fn start_with(suite: Suite, lines: &str) -> Result<Cluster> {
    let conf = format!("{lines}Prolog=/etc/slurm/prolog\n");
    let cluster = tests::cluster(suite)?.nodes(2).slurm_conf(&conf);
    let cluster = cluster.copy(tests::dist("slurm-adopt")?, CLI);
    cluster.file("/etc/slurm/prolog", PROLOG, 0o755).start()
}

/// Gives sshd of node 2 a line of the module with these options.
fn with_options(cluster: &Cluster, options: &str) -> Result<()> {
    let stack = format!(
        "auth required pam_permit.so\naccount required pam_slurm_adopt.so {options}\n\
         session required pam_permit.so\n"
    );
    cluster.node(2).write("/etc/pam.d/sshd", stack, 0o644)
}

/// Waits until node 2 has logged that.
fn logged(node: &Node, mark: usize, text: &str) -> Result<()> {
    let has = || Ok(node.syslog_since(mark)?.contains(text));
    lab::poll::until_true(text, LIMIT, has).with_context(|| node.syslog().unwrap_or_default())
}

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
    let login = |user| cluster.node(1).ssh_command(user, "node2", CGROUP);
    let mut waiting = Vec::new();
    for _ in 0..4 {
        waiting.push(login("alice").spawn()?);
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
    let mut other = login("bob").spawn()?;
    logged(node, mark, "bob waits for a job to start here")?;
    // One job ends the waits of its user alone.
    let job = cluster.submit("alice", &["--nodelist=node2"])?;
    for mut login in waiting {
        ensure!(
            login.wait(LIMIT)? == Some(Status::Exited(0)),
            "a login of alice"
        );
        ensure!(job_of_cgroup(node, &login.stdout()?)? == Some(job));
    }
    ensure!(other.wait(Duration::ZERO)?.is_none(), "bob still waits");
    cluster.submit("bob", &["--nodelist=node2"])?;
    ensure!(
        other.wait(LIMIT)? == Some(Status::Exited(0)),
        "the login of bob"
    );
    Ok(())
}

fn hang_up(cluster: &Cluster) -> Result<()> {
    let node = cluster.node(2);
    with_options(cluster, "wait_for_job=60")?;
    let mark = node.syslog_mark()?;
    let count = |text: &str| Ok::<_, anyhow::Error>(node.syslog_since(mark)?.matches(text).count());
    let login = || {
        cluster
            .node(1)
            .ssh_command("alice", "node2", CGROUP)
            .spawn()
    };
    let mut waiting = Vec::new();
    for number in 1..=4 {
        waiting.push(login()?);
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
    waiting.push(login()?);
    let waits = || Ok(count("alice waits for a job")? == 5);
    lab::poll::until_true("another login to wait", LIMIT, waits)?;
    let job = cluster.submit("alice", &["--nodelist=node2"])?;
    for mut login in waiting {
        ensure!(login.wait(LIMIT)? == Some(Status::Exited(0)), "a login");
        ensure!(job_of_cgroup(node, &login.stdout()?)? == Some(job));
    }
    ensure!(count("alice has hung up")? == 1, "others stay");
    Ok(())
}

/// No event tells of the mount, nor of what is made in there.
fn mounted_spool(cluster: &Cluster) -> Result<()> {
    let node = cluster.node(2);
    with_options(cluster, "wait_for_job=60")?;
    let mark = node.syslog_mark()?;
    let mut login = cluster
        .node(1)
        .ssh_command("alice", "node2", CGROUP)
        .spawn()?;
    logged(node, mark, "alice waits for a job to start here")?;
    node.stop_slurmd()?;
    node.sh("sleep 0.3; mount -t tmpfs -o mode=755 tmpfs /var/spool/slurmd")?;
    node.start_slurmd()?;
    let job = cluster.submit("alice", &["--nodelist=node2"])?;
    let ended = login.wait(LIMIT);
    let said = login.stdout();
    cluster.cancel_all()?;
    node.stop_slurmd()?;
    node.sh("umount /var/spool/slurmd")?;
    node.start_slurmd()?;
    ensure!(ended? == Some(Status::Exited(0)), "the login");
    ensure!(job_of_cgroup(node, &said?)? == Some(job));
    Ok(())
}

fn no_spool(cluster: &Cluster) -> Result<()> {
    let node = cluster.node(2);
    with_options(cluster, "wait_for_job=60")?;
    let mark = node.syslog_mark()?;
    node.stop_slurmd()?;
    node.sh("rm -r /var/spool/slurmd")?;
    let mut login = cluster
        .node(1)
        .ssh_command("alice", "node2", CGROUP)
        .spawn()?;
    logged(node, mark, "alice waits for a job to start here")?;
    node.sh("mkdir /var/spool/slurmd")?;
    node.start_slurmd()?;
    let job = cluster.submit("alice", &["--nodelist=node2"])?;
    ensure!(login.wait(LIMIT)? == Some(Status::Exited(0)), "the login");
    ensure!(job_of_cgroup(node, &login.stdout()?)? == Some(job));
    Ok(())
}

/// Each of the four jobs is the best in another way.
fn several(cluster: &Cluster) -> Result<()> {
    let node = cluster.node(2);
    let submit = |more: [&str; 2]| {
        let arguments = [&["--nodelist=node2"][..], &more].concat();
        cluster.submit("alice", &arguments)
    };
    let oldest = submit(["--time=20", "--cpus-per-task=1"])?;
    let longest = submit(["--time=60", "--cpus-per-task=1"])?;
    let largest = submit(["--time=10", "--cpus-per-task=2"])?;
    let newest = submit(["--time=30", "--cpus-per-task=1"])?;
    // Their environment has their ends.
    for job in [oldest, longest, largest, newest] {
        cluster.wait_script(job)?;
    }
    let knows_end = cluster.suite() >= Suite::Trixie;
    for (by, job) in [
        ("newest", newest),
        ("oldest", oldest),
        ("longest", if knows_end { longest } else { newest }),
        ("largest", largest),
    ] {
        let mark = node.syslog_mark()?;
        let outcome =
            Call::new("alice", &format!("action_unknown={by}")).make(node, Module::Ours)?;
        ensure!(
            outcome.job(node)? == Some(job),
            "{by}, not {job}: {outcome}"
        );
        let log = node.syslog_since(mark)?;
        let is_unknown = log.contains("action_unknown: the end is not known of job");
        ensure!(is_unknown == (by == "longest" && !knows_end), "{by}: {log}");
    }
    // The best one is ending: the next best takes the login.
    cluster.cancel(largest)?;
    let outcome = Call::new("alice", "action_unknown=largest").make(node, Module::Ours)?;
    ensure!(
        outcome.job(node)? == Some(newest),
        "of equal ones the newest: {outcome}"
    );
    Ok(())
}

/// The slurmstepd is there and says that it runs: who does not wait is in the job before its prolog is done.
fn run_in_job(suite: Suite) -> Result<()> {
    let cluster = start(suite, "contain,RunInJob")?;
    let node = cluster.node(2);
    node.write(SLOW, "", 0o644)?;
    let job = cluster.submit_only("alice", &["--nodelist=node2"])?;
    let socket = node.extern_socket(job);
    let listens = || Ok(node.unix_sockets()?.contains(&socket));
    lab::poll::until_true(&socket, LIMIT, listens)?;
    let is_running = || Ok(!node.processes("/etc/slurm/prolog")?.is_empty());
    lab::poll::until_true("the prolog", LIMIT, is_running)?;
    with_options(&cluster, "")?;
    let during = cluster.node(1).ssh("alice", "node2", CGROUP)?.ok()?;
    ensure!(job_of_cgroup(node, &during)? == Some(job), "{during}");

    with_options(&cluster, "wait_for_job=60")?;
    let mark = node.syslog_mark()?;
    let mut login = cluster
        .node(1)
        .ssh_command("alice", "node2", CGROUP)
        .spawn()?;
    let text = format!("alice waits for job {job} to be set up, up to 60 s");
    logged(node, mark, &text)?;
    ensure!(
        login.wait(Duration::from_secs(1))?.is_none(),
        "it did not wait"
    );
    node.remove(SLOW)?;
    ensure!(login.wait(LIMIT)? == Some(Status::Exited(0)), "the login");
    ensure!(job_of_cgroup(node, &login.stdout()?)? == Some(job));
    // Who comes when it runs does not wait.
    cluster.wait_running(job)?;
    let mark = node.syslog_mark()?;
    cluster.node(1).ssh("alice", "node2", CGROUP)?.ok()?;
    let log = node.syslog_since(mark)?;
    ensure!(!log.contains("wait"), "{log}");
    Ok(())
}

/// A job that was cancelled ends for as long as KillWait, and no other starts on its node before. (Up to 22.05 its
/// extern step is over at once.)
fn after_ending(suite: Suite) -> Result<()> {
    let cluster = start_with(suite, "PrologFlags=contain\nKillWait=10\n")?;
    let node = cluster.node(2);
    let stays = "--wrap=trap '' TERM; touch /tmp/stays; while :; do sleep 1; done";
    let old = cluster.submit("alice", &["--nodelist=node2", stays])?;
    let has_begun = || Ok(node.list("/tmp")?.contains(&"stays".to_owned()));
    lab::poll::until_true("its script", LIMIT, has_begun)?;
    node.sh(&format!("scancel {old}"))?;
    let options = "wait_for_job=60 action_adopt_failure=deny";
    with_options(&cluster, options)?;
    let is_ending = || {
        let told = node.run(&[CLI, "explain", "alice", "--options", options])?;
        Ok(told.stdout.contains("a login waits up to 60 s"))
    };
    lab::poll::until_true("explain to tell of the wait", LIMIT, is_ending)?;
    let mark = node.syslog_mark()?;
    let mut login = cluster
        .node(1)
        .ssh_command("alice", "node2", CGROUP)
        .spawn()?;
    logged(node, mark, "alice waits for a job to start here")?;
    let is_there = node.unix_sockets()?.contains(&node.extern_socket(old));
    ensure!(is_there, "job {old} is over: nothing was seen");
    let job = cluster.submit("alice", &["--nodelist=node2"])?;
    ensure!(login.wait(LIMIT)? == Some(Status::Exited(0)), "the login");
    ensure!(job_of_cgroup(node, &login.stdout()?)? == Some(job));
    Ok(())
}
