//! A job that the first ssh submits and the others share.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lab::{Background, Cluster, Node, Status};
use tests::{CLI, job_of_cgroup};

use crate::site::LOOK;

/// Of the job that two share.
const COMMENT: &str = "two words";
const LIMIT: Duration = Duration::from_secs(60);
/// With this file on node2 the first two logins end.
const GO: &str = "/run/go";
/// The signals by which ssh or a terminal ends a proxy, and what ends ssh alone.
const ENDS: [(&str, &str); 4] = [
    (CLI, "INT"),
    (CLI, "TERM"),
    (CLI, "HUP"),
    ("ssh -o", "KILL"),
];

/// Two at the same moment get one job, a third one shares it, and it ends after the last of them.
pub fn shared(cluster: &Cluster) -> Result<()> {
    let script = format!("{LOOK}; until test -e {GO}; do sleep 0.1; done");
    // A name in /tmp is anybody's.
    let others = format!(
        "/tmp/slurm-adopt.{}.dev",
        cluster.node(1).sh("id -u alice")?.trim()
    );
    cluster.node(1).run_as("bob", &["touch", &others])?.ok()?;
    // On two hosts, which no lock of one can hold apart.
    let logins = [
        login(cluster.node(1), "-w node2 --comment='two words'", &script)?,
        login(cluster.node(2), "-w node2 --comment='two words'", &script)?,
    ];
    for login in &logins {
        lab::poll::until_true("a login", LIMIT, || Ok(login.stdout()?.contains("node2")))
            .with_context(|| login.stderr().unwrap_or_default())?;
    }
    seen_by_holder(cluster.node(2))?;
    let third = login(cluster.node(1), "-w node1", LOOK)?;
    let mut jobs = Vec::new();
    for (turn, mut login) in [third].into_iter().chain(logins).enumerate() {
        if turn == 1 {
            cluster.node(2).write(GO, "", 0o644)?;
        }
        let status = login.wait(LIMIT)?;
        let (seen, told) = (login.stdout()?, login.stderr()?);
        ensure!(
            status == Some(Status::Exited(0)),
            "{status:?} {seen} {told}"
        );
        jobs.push(job_of_cgroup(cluster.node(2), &seen)?);
    }
    ensure!(jobs[0].is_some(), "{jobs:?}");
    ensure!(jobs.iter().all(|it| *it == jobs[0]), "{jobs:?}");
    // One that lost may be known still, but was cancelled before it began.
    let list = known(cluster, COMMENT)?;
    let begun = list.iter().filter(|it| !it.contains("CANCELLED"));
    ensure!(begun.count() == 1, "{list:?}");
    let mut list = Vec::new();
    lab::poll::until_true("the job's end", LIMIT, || {
        list = known(cluster, COMMENT)?;
        Ok(list.iter().any(|it| it.contains("COMPLETED two words")))
    })
    .with_context(|| format!("{list:?}"))?;
    cluster.node(1).remove(&others)?;
    cluster.node(2).remove(GO)?;
    nothing_left(cluster)
}

/// Waits until the job's script has looked for connections once more, between two pauses. Who is gone before its first
/// look has not come: then it waits for two minutes.
fn seen_by_holder(node: &Node) -> Result<()> {
    let pause = || {
        let all = node.processes("sleep 1")?;
        let pause = all.into_iter().find(|(_, line)| line == "sleep 1");
        anyhow::Ok(pause.map(|(pid, _)| pid))
    };
    let first = lab::poll::until("a pause of the holder", LIMIT, pause)?;
    lab::poll::until_true("its next pause", LIMIT, || {
        Ok(pause()?.is_some_and(|it| it != first))
    })
}

/// The job that waits stays as long as anyone waits for it.
pub fn given_up(cluster: &Cluster) -> Result<()> {
    let node = cluster.node(1);
    for (process, signal) in ENDS {
        let ends = || -> Result<()> {
            let pids = running(node, process)?;
            node.signal(*pids.first().context("none runs")?, signal)
        };
        let first = login(cluster.node(1), "--hold", "true")?;
        waits(&first)?;
        let second = login(cluster.node(1), "--hold", "true")?;
        waits(&second)?;
        let list = names(cluster)?;
        ensure!(list.len() == 1, "{list:?}");
        ends()?;
        lab::poll::until_true("one proxy", LIMIT, || Ok(running(node, CLI)?.len() == 1))?;
        ensure!(names(cluster)? == list, "{signal}");
        ends()?;
        lab::poll::until_true("no proxy", LIMIT, || Ok(running(node, CLI)?.is_empty()))?;
        let left = names(cluster)?;
        ensure!(left.is_empty(), "{process}, {signal}: {left:?}");
        nothing_left(cluster)?;
    }
    Ok(())
}

/// A job of the user's own is used, and is never ended.
pub fn own(cluster: &Cluster) -> Result<()> {
    let node = cluster.node(1);
    let job = cluster.submit_only("alice", &["--hold", "--job-name=dev", "-wnode2"])?;
    let waiting = login(cluster.node(1), "", "true")?;
    waits(&waiting)?;
    node.signal(waiting.pid(), "KILL")?;
    nothing_left(cluster)?;
    ensure!(names(cluster)?.len() == 1, "it is gone");
    let mut waiting = login(cluster.node(1), "", LOOK)?;
    waits(&waiting)?;
    node.run(&["scontrol", "release", &job.to_string()])?.ok()?;
    waiting.wait(LIMIT)?;
    let found = job_of_cgroup(cluster.node(2), &waiting.stdout()?)?;
    ensure!(found == Some(job), "{found:?}, {}", waiting.stderr()?);
    std::thread::sleep(Duration::from_secs(8));
    ensure!(names(cluster)?.len() == 1, "it is gone");
    Ok(())
}

/// The job that another host's ssh has submitted and cancelled is submitted again; what sbatch refuses is told.
pub fn taken_over(cluster: &Cluster) -> Result<()> {
    let there = login(cluster.node(1), "--hold", "true")?;
    waits(&there)?;
    let first = names(cluster)?;
    let here = login(cluster.node(2), "--hold", "true")?;
    waits(&here)?;
    cluster.node(1).signal(there.pid(), "KILL")?;
    lab::poll::until_true("another job", LIMIT, || {
        let list = names(cluster)?;
        Ok(list.len() == 1 && list != first)
    })?;
    cluster.node(2).signal(here.pid(), "KILL")?;
    lab::poll::until_true("no job", LIMIT, || Ok(names(cluster)?.is_empty()))?;
    for (options, text) in [
        ("/bin/hostname", "sbatch: "),
        ("--no-such-option", "sbatch: "),
        ("--time=nonsense", "sbatch: "),
        (
            "--array=1-2",
            "--alloc cannot have sbatch's \"--array=1-2\"",
        ),
    ] {
        let mut refused = login(cluster.node(1), options, "true")?;
        let status = refused.wait(LIMIT)?;
        let told = refused.stderr()?;
        ensure!(status == Some(Status::Exited(255)), "{options}: {told}");
        ensure!(told.contains(text), "{options}: {told}");
    }
    ensure!(names(cluster)?.is_empty(), "{:?}", names(cluster)?);
    nothing_left(cluster)
}

/// A job that starts while its proxy pauses, and has nobody then, ends at once; that it is cancelled by hand is told.
pub fn in_between(cluster: &Cluster) -> Result<()> {
    let node = cluster.node(1);
    let mut waiting = login(node, "--hold", "true")?;
    waits(&waiting)?;
    node.run_as("alice", &["scancel", "--name=dev"])?.ok()?;
    let status = waiting.wait(LIMIT)?;
    let told = waiting.stderr()?;
    ensure!(status == Some(Status::Exited(255)), "{told}");
    let line = told.lines().rfind(|it| it.contains("slurm-adopt"));
    ensure!(
        line.is_some_and(|it| it.contains(" is over (CANCELLED")),
        "{told}"
    );
    nothing_left(cluster)?;

    let waiting = login_keeping(node, "--hold", "sleep 1000", "10")?;
    waits(&waiting)?;
    let job: u32 = names(cluster)?.first().context("no job")?.parse()?;
    // Its pause lasts until ssh is gone.
    let proxy = *running(node, CLI)?.first().context("no proxy")?;
    node.signal(proxy, "STOP")?;
    node.run(&["scontrol", "release", &job.to_string()])?.ok()?;
    cluster.wait_running(job)?;
    node.signal(waiting.pid(), "KILL")?;
    node.signal(proxy, "CONT")?;
    lab::poll::until_true("the job's end", LIMIT, || Ok(names(cluster)?.is_empty()))?;
    nothing_left(cluster)
}

/// From another host, where two shells read the options.
pub fn laptop(cluster: &Cluster) -> Result<()> {
    // Into node1 she gets by a job.
    crate::site::job_on(cluster, 1, &[])?;
    let print = format!(
        "{CLI} connect --print-config --from-laptop node1 --name dev --alloc \"-wnode2 --comment='it is 100%'\""
    );
    let script =
        format!("{print} >/tmp/dev.conf; ssh -F /tmp/dev.conf -o BatchMode=yes dev '{LOOK}'");
    let login = cluster.node(2).run_as("alice", &["sh", "-ec", &script])?;
    ensure!(login.success(), "{login}");
    let jobs = known(cluster, "it is 100%")?;
    ensure!(
        jobs.len() == 1 && jobs[0].ends_with("RUNNING it is 100%"),
        "{jobs:?}"
    );
    let job = job_of_cgroup(cluster.node(2), &login.stdout)?.context("no job")?;
    ensure!(jobs[0].starts_with(&format!("{job} ")), "{jobs:?}: {job}");
    cluster.node(2).remove("/tmp/dev.conf")
}

fn login(node: &Node, options: &str, command: &str) -> Result<Background> {
    login_keeping(node, options, command, "0.05")
}

fn login_keeping(node: &Node, options: &str, command: &str, keep: &str) -> Result<Background> {
    let options = options.replace('\'', r"'\''");
    let proxy = format!("ProxyCommand={CLI} proxy --name dev --alloc '{options}' --keep {keep}");
    let argv = ["ssh", "-o", &proxy, "-oBatchMode=yes", "dev", command];
    // What scancel would otherwise ask on a terminal.
    let command = node.command(&argv).env("SCANCEL_INTERACTIVE", "1");
    command.user("alice").spawn()
}

/// Processes whose command line begins so.
fn running(node: &Node, command: &str) -> Result<Vec<u32>> {
    let all = node.processes(command)?;
    let mut pids: Vec<u32> = all
        .into_iter()
        .filter(|(_, it)| it.starts_with(command))
        .map(|(pid, _)| pid)
        .collect();
    pids.sort_unstable();
    Ok(pids)
}

fn waits(login: &Background) -> Result<()> {
    lab::poll::until_true("the line of progress", LIMIT, || {
        Ok(login.stderr()?.contains("waiting: job "))
    })
    .with_context(|| login.stderr().unwrap_or_default())
}

/// The numbers of the jobs that run or wait.
fn names(cluster: &Cluster) -> Result<Vec<String>> {
    let argv = ["squeue", "-h", "--states=PD,R", "--format=%A"];
    let list = cluster.node(1).run(&argv)?.ok()?;
    Ok(list.lines().map(str::to_owned).collect())
}

/// All jobs of the name with this comment that Slurm still knows, with their states.
fn known(cluster: &Cluster, comment: &str) -> Result<Vec<String>> {
    let argv = [
        "squeue",
        "-h",
        "--states=all",
        "--name=dev",
        "--format=%A %T %k",
    ];
    let list = cluster.node(1).run(&argv)?.ok()?;
    let lines = list.lines().filter(|it| it.ends_with(comment));
    Ok(lines.map(str::to_owned).collect())
}

/// Neither a proxy nor a file.
fn nothing_left(cluster: &Cluster) -> Result<()> {
    crate::site::wait_no_relay(cluster)?;
    for node in cluster.nodes() {
        let files = node.sh("find /tmp /run/user -name 'slurm-adopt*' 2>/dev/null || :")?;
        ensure!(files.is_empty(), "{files}");
        let home = node.sh("find ~alice -newer /etc/passwd -name '*slurm*'")?;
        ensure!(home.is_empty(), "{home}");
    }
    Ok(())
}
