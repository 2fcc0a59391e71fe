//! The demo: shows and checks what the module does for a cluster's users, and what an admin does for that.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use lab::{Cluster, Node, Output, Status, Suite, cgroup, poll};

use crate::Options;

/// A sleep of a length that nothing else uses.
const SLEEP: &str = "sleep 86413";

/// Runs the demo; fails at the first step that goes differently. With a package, an admin installs it on a node whose
/// stacks are the distribution's, sets the node up and takes that back; else the node has the given module from the
/// start.
pub fn run(options: &Options, package: Option<&Path>) -> Result<()> {
    println!(
        "A Slurm cluster on this machine, in namespaces of its own, for as long as this takes."
    );
    lab::roots::ensure(options.suite)?;
    let controllers = controllers();
    let began = Instant::now();
    let cluster = match package {
        Some(_) => bare(options)?,
        None => options.start()?,
    };
    let node = cluster.node(1);
    chapter(&format!(
        "The cluster is up after {:.1} s",
        began.elapsed().as_secs_f32()
    ));
    let ssh_version = node.run(&["ssh", "-V"])?.stderr;
    println!("    {}", node.run(&["slurmd", "-V"])?.ok()?.trim());
    println!("    {}", ssh_version.trim());
    match package {
        Some(package) => admin(node, package, || users(&cluster, true))?,
        None => {
            let module = options.module().unwrap_or("SchedMD's own, for comparison");
            println!("    pam_slurm_adopt.so: {module}");
            users(&cluster, false)?;
        }
    }
    let id = cluster.id().to_string();
    cluster.stop()?;
    is_gone(&id, controllers)?;
    println!("\nAll of this was checked, and is so.");
    Ok(())
}

/// Starts a cluster whose PAM stacks are the distribution's, and whose slurm.conf is as it should be.
fn bare(options: &Options) -> Result<Cluster> {
    let suite = options.suite;
    let stack = lab::roots::ensure(suite)?.join("etc/pam.d/sshd");
    let stack =
        fs::read_to_string(&stack).with_context(|| format!("reading {}", stack.display()))?;
    let mut cluster = Cluster::new(suite).nodes(options.nodes).pam("sshd", &stack);
    for line in [
        "ConstrainCores=yes",
        "ConstrainRAMSpace=yes",
        "ConstrainSwapSpace=yes",
    ] {
        cluster = cluster.cgroup_conf(line);
    }
    // Slurm has DeferBatch from 22.05 on.
    if suite > Suite::Bullseye {
        cluster = cluster.slurm_conf("PrologFlags=contain,DeferBatch");
    }
    cluster.start()
}

/// Installs the package and sets the node up; after `used`, takes that back.
fn admin(node: &Node, package: &Path, used: impl FnOnce() -> Result<()>) -> Result<()> {
    let name = package.file_name().context("the package has no name")?;
    let path = format!("/root/{}", name.to_string_lossy());
    node.copy(package, &path)?;
    let before = node.sh(ETC)?;

    chapter("The admin installs the package, which changes no PAM stack");
    as_root(node, &["dpkg", "-i", &path], 0)?;
    ensure!(node.sh(ETC)? == before, "the package changed /etc");

    chapter("setup shows what it changes, and changes it");
    as_root(node, &["slurm-adopt", "setup", "--yes"], 0)?;

    chapter("check finds nothing wrong");
    as_root(node, &["slurm-adopt", "check"], 0)?;

    used()?;

    chapter("The admin takes everything back");
    as_root(node, &["slurm-adopt", "undo", "--yes"], 0)?;
    as_root(node, &["dpkg", "--purge", "slurm-adopt"], 0)?;
    ensure!(node.sh(ETC)? == before, "/etc is not as before");
    checked("/etc is as it was, byte for byte");
    Ok(())
}

/// What users see, and with `explains` what the admin finds out about them.
fn users(cluster: &Cluster, explains: bool) -> Result<()> {
    let node = cluster.node(1);
    chapter("Alice has no job on node1. She may not log in");
    refused(node, "alice")?;

    chapter("Alice submits a job");
    let job = cluster.submit("alice", &["--wrap", "sleep 1000"])?;
    println!("    alice$ sbatch --wrap 'sleep 1000'");
    println!("    job {job} runs on {}", node.name());

    chapter("Now she may, and what she runs there belongs to her job");
    adopted(node, job)?;

    chapter("Bob has no job. He may not");
    refused(node, "bob")?;
    if explains {
        chapter("The admin asks why");
        let explained = as_root(node, &["slurm-adopt", "explain", "bob"], 2)?;
        ensure!(explained.contains("bob"), "{explained}");
        let shown = as_root(node, &["slurm-adopt", "status"], 0)?;
        ensure!(shown.contains(&job.to_string()), "{shown}");
    }
    end_of_job(cluster, job)?;

    chapter("So she may not log in any more");
    refused(node, "alice")
}

/// Logs alice in; her login belongs to the job.
fn adopted(node: &Node, job: u32) -> Result<()> {
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
    Ok(())
}

fn end_of_job(cluster: &Cluster, job: u32) -> Result<()> {
    let node = cluster.node(1);
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
    Ok(())
}

/// Checks that the cluster left nothing on this machine.
fn is_gone(id: &str, before: Option<String>) -> Result<()> {
    let mounts = fs::read_to_string("/proc/self/mounts").context("reading the mounts")?;
    ensure!(!mounts.contains(id), "the cluster left a mount");
    ensure!(
        !cgroup::ids()?.contains(&id.to_owned()),
        "the cluster left a cgroup"
    );
    // Other running clusters use the same controllers.
    if cgroup::ids()?.is_empty() {
        ensure!(
            controllers() == before,
            "the cluster left a controller enabled"
        );
    }
    chapter("The cluster is gone, with its processes, namespaces, mounts and cgroups");
    println!("    The root directory it ran on is kept for the next time: target/lab/roots");
    Ok(())
}

/// Controllers enabled in the host's root cgroup, if it is cgroup v2.
fn controllers() -> Option<String> {
    fs::read_to_string("/sys/fs/cgroup/cgroup.subtree_control").ok()
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

/// Runs a command as root, prints it and what it says, and compares its exit status.
fn as_root(node: &Node, argv: &[&str], status: i32) -> Result<String> {
    println!("    {}# {}", node.name(), argv.join(" "));
    let ended = node.run(argv)?;
    for line in ended.stdout.lines() {
        println!("    {line}");
    }
    ensure!(
        ended.status == Status::Exited(status),
        "{} was to end with {status}: {ended}",
        argv.join(" ")
    );
    Ok(ended.stdout)
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

/// All of /etc: kinds, modes, owners, targets and contents of files.
const ETC: &str = "find /etc -printf '%p %y %m %U:%G %l\\n' | sort
find /etc -type f -exec sha256sum {} + | sort";
