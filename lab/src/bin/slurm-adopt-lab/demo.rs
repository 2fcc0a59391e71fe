//! The demo: shows and checks what the module does for a cluster's users.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use lab::{Node, Output, Status, cgroup, poll};

use crate::Options;

/// A sleep of a length that nothing else uses.
const SLEEP: &str = "sleep 86413";

/// Runs the demo; fails at the first step that goes differently.
pub fn run(options: &Options) -> Result<()> {
    println!(
        "A Slurm cluster on this machine, in namespaces of its own, for as long as this takes."
    );
    lab::roots::ensure(options.suite)?;
    let controllers = controllers();
    let began = Instant::now();
    let cluster = options.start()?;
    let node = cluster.node(1);
    chapter(&format!(
        "The cluster is up after {:.1} s",
        began.elapsed().as_secs_f32()
    ));
    let ssh_version = node.run(&["ssh", "-V"])?.stderr;
    println!("    {}", node.run(&["slurmd", "-V"])?.ok()?.trim());
    println!("    {}", ssh_version.trim());
    let module = options.module().unwrap_or("SchedMD's own, for comparison");
    println!("    pam_slurm_adopt.so: {module}");

    chapter("Alice has no job on node1. She may not log in");
    refused(node, "alice")?;

    chapter("Alice submits a job");
    let job = cluster.submit("alice", &["--wrap", "sleep 1000"])?;
    println!("    alice$ sbatch --wrap 'sleep 1000'");
    println!("    job {job} runs on {}", node.name());

    chapter("Now she may, and what she runs there belongs to her job");
    let login = show(
        node,
        "alice",
        "cat /proc/self/cgroup; echo SLURM_JOB_ID=$SLURM_JOB_ID",
    )?;
    ensure!(login.success(), "alice's login failed: {login}");
    let extern_step = node.extern_cgroup(job)?;
    ensure!(
        login.stdout.contains(&extern_step),
        "the login is not in {extern_step}: {login}"
    );
    let variable = format!("SLURM_JOB_ID={job}\n");
    ensure!(
        login.stdout.ends_with(&variable),
        "the login has no {variable}: {login}"
    );
    checked(&format!(
        "the login's cgroup is the extern step of job {job}"
    ));

    chapter("Bob has no job. He may not");
    refused(node, "bob")?;

    chapter("Alice leaves a session open, and her job ends");
    let mut session = node.ssh_command("alice", node.name(), &[SLEEP]).spawn()?;
    poll::until_true("alice's session", Duration::from_secs(20), || {
        ensure!(
            session.is_running()?,
            "alice's session ended: {}",
            session.stderr()?
        );
        Ok(!running(node)?.is_empty())
    })?;
    println!("    alice$ ssh {} {SLEEP} &", node.name());
    println!("    alice$ scancel {job}");
    cluster.cancel(job)?;
    let ended = session.wait(Duration::from_secs(20))?;
    ensure!(ended.is_some(), "alice's session outlived her job");
    ensure!(
        running(node)?.is_empty(),
        "a process of alice's session outlived her job"
    );
    checked("the session ended with the job, and what ran in it is gone");

    chapter("So she may not log in any more");
    refused(node, "alice")?;

    let id = cluster.id().to_string();
    cluster.stop()?;
    let mounts = std::fs::read_to_string("/proc/self/mounts").context("reading the mounts")?;
    ensure!(!mounts.contains(&id), "the cluster left a mount");
    ensure!(!cgroup::ids()?.contains(&id), "the cluster left a cgroup");
    // Other running clusters use the same controllers.
    if cgroup::ids()?.is_empty() {
        ensure!(
            self::controllers() == controllers,
            "the cluster left a controller enabled"
        );
    }
    chapter("The cluster is gone, with its processes, namespaces, mounts and cgroups");
    println!("    The root directory it ran on is kept for the next time: target/lab/roots");
    println!("\nAll of this was checked, and is so.");
    Ok(())
}

/// Controllers enabled in the host's root cgroup, if it is cgroup v2.
fn controllers() -> Option<String> {
    std::fs::read_to_string("/sys/fs/cgroup/cgroup.subtree_control").ok()
}

fn chapter(title: &str) {
    println!("\n{title}:");
}

fn checked(what: &str) {
    println!("    -> {what}");
}

/// Logs in and prints what the user sees.
fn show(node: &Node, user: &str, command: &str) -> Result<Output> {
    println!("    {user}$ ssh {} '{command}'", node.name());
    let login = node.ssh(user, node.name(), &[command])?;
    for line in login.stdout.lines().chain(login.stderr.lines()) {
        println!("    {line}");
    }
    Ok(login)
}

fn refused(node: &Node, user: &str) -> Result<()> {
    let login = show(node, user, "id")?;
    // ssh itself exits with 255; any other status means that the login succeeded.
    ensure!(
        login.status == Status::Exited(255),
        "{user} was let in: {login}"
    );
    ensure!(
        login.stderr.contains("Access denied"),
        "{user} was not told why: {login}"
    );
    checked(&format!("{user} is refused"));
    Ok(())
}

/// Processes of the open session, without the ssh client.
fn running(node: &Node) -> Result<Vec<String>> {
    let all = node.processes(SLEEP)?;
    Ok(all
        .into_iter()
        .map(|(_, line)| line)
        .filter(|line| !line.starts_with("ssh "))
        .collect())
}
