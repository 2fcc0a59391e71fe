//! `slurm-adopt notify`: lines on the terminals of real logins.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lab::command::Background;
use lab::{Cluster, Node, Status};
use tests::CLI;

use crate::Test;

pub const TESTS: &[(&str, Test)] = &[
    ("a login is told three times when its job ends", three_lines),
    ("who wants no messages gets none", no_messages),
];

const LIMIT: Duration = Duration::from_secs(30);

/// A login with a terminal that stays.
fn terminal(node: &Node, user: &str, first: &str) -> Result<Background> {
    let argv = ["ssh", "-tt", "-o", "BatchMode=yes", node.name()];
    let typed = format!("{first}echo 'I'n; exec sleep 1000\n");
    let mut ssh = node.command(&argv).user(user).stdin(typed).spawn()?;
    lab::poll::until_true("the login", LIMIT, || {
        ensure!(ssh.is_running()?, "kept out: {}", ssh.stderr()?);
        Ok(ssh.stdout()?.contains("In\r\n"))
    })?;
    Ok(ssh)
}

/// Moves the end of a job to this many seconds from now, and runs what the timer runs. Not at the end of a minute: the
/// line would belong to the next run. Nor at its beginning: of a job that ends in 63 seconds the last line would belong
/// to this run, too.
fn notify(node: &Node, job: u32, seconds: u32) -> Result<()> {
    node.sh(&format!(
        "until s=$(date +%S); s=${{s#0}}; test $s -ge 4 && test $s -lt 40; do sleep 0.2; done\n\
         scontrol update jobid={job} EndTime=$(date -d '{seconds} seconds' +%Y-%m-%dT%H:%M:%S)"
    ))?;
    let run = node.run(&[CLI, "notify"])?;
    ensure!(
        run.success() && run.stdout.is_empty() && run.stderr.is_empty(),
        "{run}"
    );
    Ok(())
}

fn three_lines(cluster: &Cluster) -> Result<()> {
    let node = cluster.node(1);
    let job = cluster.submit("alice", &["-t", "60"])?;
    let others = cluster.submit("bob", &[])?;
    let mut alices = terminal(node, "alice", "")?;
    let bobs = terminal(node, "bob", "")?;
    let on_node = format!("job {job} on {}", node.name());
    let early = node.run(&[CLI, "notify"])?;
    ensure!(
        early.success() && !alices.stdout()?.contains(&on_node),
        "{early}"
    );
    for (seconds, line) in [
        (603, format!("\n{on_node} ends in 10 minutes, at ")),
        (63, format!("\n{on_node} ends in 1 minute, at ")),
        (12, format!("\n{on_node} ends in 5 seconds, at ")),
    ] {
        notify(node, job, seconds)?;
        let told = || Ok(alices.stdout()?.matches(&line).count() == 1);
        let waited = lab::poll::until_true(&line, LIMIT, told);
        waited.with_context(|| alices.stdout().unwrap_or_default())?;
    }
    let told = alices.stdout()?;
    ensure!(told.matches(&on_node).count() == 3);
    compare_with_page(&told, job)?;
    // Nothing of ours stays, and the login ends with the job.
    let ours = node.processes(CLI)?;
    ensure!(ours.is_empty(), "{ours:?}");
    // It may have ended by itself.
    node.sh(&format!("scancel {job} || :"))?;
    cluster.wait_gone(job)?;
    lab::poll::until_true("the end of the login", LIMIT, || Ok(!alices.is_running()?))?;
    ensure!(
        !bobs.stdout()?.contains(" ends "),
        "bob's job {others} does not end"
    );
    Ok(())
}

/// docs/tool.md has the first line, of another job and time.
fn compare_with_page(told: &str, job: u32) -> Result<()> {
    const PAGE: &str = include_str!("../../../docs/tool.md");
    let is_first = |it: &&str| it.contains(" ends in 10 minutes, at ");
    let shown = PAGE
        .lines()
        .find(is_first)
        .context("the line in the page")?;
    let line = told.lines().find(is_first).context("the line")?.trim_end();
    let of_page = line.replacen(&format!("job {job} "), "job 4711 ", 1);
    let plain = |it: &str| it.replace(|sign: char| sign.is_ascii_digit(), "0");
    ensure!(
        plain(&of_page) == plain(shown),
        "{of_page}, docs/tool.md: {shown}"
    );
    Ok(())
}

fn no_messages(cluster: &Cluster) -> Result<()> {
    let node = cluster.node(1);
    let job = cluster.submit("alice", &["-t", "60"])?;
    // As mesg n does.
    let quiet = terminal(node, "alice", "chmod g-w $(tty); ")?;
    let other = terminal(node, "alice", "")?;
    notify(node, job, 602)?;
    let line = "ends in 10 minutes";
    let told = || Ok(other.stdout()?.contains(line));
    lab::poll::until_true(line, LIMIT, told)?;
    ensure!(!quiet.stdout()?.contains(line));
    let user = node.run_as("alice", &[CLI, "notify"])?;
    ensure!(user.status == Status::Exited(3), "{user}");
    Ok(())
}
