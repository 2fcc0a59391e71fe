//! Makes a node's namespaces, and runs the first process in them.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, WaitOptions, set_parent_process_death_signal, wait};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::cgroup;
use crate::keeper;

/// Enters the node's cgroups, then becomes the `unshare` that holds its namespaces.
pub fn enter(dir: &Path, number: usize) -> Result<()> {
    // Stays in force in `unshare`, which in turn kills the node's first process when it dies.
    set_parent_process_death_signal(Some(Signal::KILL)).context("tying to the keeper")?;
    let spec = keeper::read_spec(dir)?;
    cgroup::enter(&spec.hierarchies, &spec.id, number)?;
    if spec.one_cpu {
        stay_on_one_cpu(&spec.id)?;
    }

    let program = std::env::current_exe().context("finding the path of this program")?;
    let mut command = Command::new("unshare");
    command.args([
        "--mount",
        "--propagation",
        "private",
        "--pid",
        "--uts",
        "--ipc",
        "--net",
    ]);
    command.args(["--cgroup", "--fork", "--kill-child", "--"]);
    let error = command
        .arg(program)
        .arg("init")
        .arg(dir)
        .arg(number.to_string())
        .exec();
    Err(error).context("running unshare")
}

/// Ties this process and its children to one of the CPUs that it may use. The clusters of a program take
/// the CPUs in turn; all nodes of a cluster use the same one.
fn stay_on_one_cpu(id: &str) -> Result<()> {
    let all = sched_getaffinity(None).context("asking for this process's CPUs")?;
    let cpus: Vec<usize> = (0..CpuSet::MAX_CPU)
        .filter(|cpu| all.is_set(*cpu))
        .collect();
    let count: usize = id
        .split('-')
        .nth(1)
        .and_then(|it| it.parse().ok())
        .context("a cluster's id has no number")?;
    let cpu = cpus
        .get(count % cpus.len().max(1))
        .context("this process has no CPU")?;
    let mut one = CpuSet::new();
    one.set(*cpu);
    sched_setaffinity(None, &one).context("staying on one CPU")
}

/// Runs a node's first process: starts the agent, then reaps processes until the agent ends.
pub fn run(dir: &Path, number: usize) -> Result<()> {
    let program = std::env::current_exe().context("finding the path of this program")?;
    let mut command = Command::new(program);
    command.arg("agent").arg(dir).arg(number.to_string());
    let agent = command
        .stdin(Stdio::null())
        .spawn()
        .context("starting the agent")?;
    // The agent's pivot_root moves this process too if its working directory is the old root.
    std::env::set_current_dir("/").context("changing to /")?;
    let agent = Pid::from_child(&agent);
    loop {
        match wait(WaitOptions::empty()).context("waiting for processes to end")? {
            Some((pid, status)) if pid == agent => bail!("the agent has ended: {status:?}"),
            Some((pid, status)) => {
                // Perhaps a daemon's. Tests end processes with TERM and KILL.
                let signal = status.terminating_signal().and_then(Signal::from_named_raw);
                if let Some(signal) = signal.filter(|it| ![Signal::TERM, Signal::KILL].contains(it))
                {
                    let _ = writeln!(std::io::stderr(), "process {pid} has ended by {signal:?}");
                }
            }
            None => {}
        }
    }
}
