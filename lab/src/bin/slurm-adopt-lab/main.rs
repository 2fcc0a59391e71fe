//! The lab's program: starts clusters by hand, and runs the processes that hold a cluster.

#![forbid(unsafe_code)]
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "it talks to a person"
)]

mod demo;

use std::io::Read;
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use clap::{Args, Parser, Subcommand};
use lab::vm::{Machine, TestProgram};
use lab::{Cluster, Suite};

/// Throwaway real Slurm clusters.
#[derive(Debug, Parser)]
#[command(name = "slurm-adopt-lab")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Show what the module does, and check it.
    Demo {
        #[command(flatten)]
        options: Options,
        /// Package to install on the node, instead of a module that is there from the start.
        #[arg(long, value_name = "DEB", conflicts_with = "module")]
        package: Option<PathBuf>,
    },
    /// Open a root shell on the first node of a cluster.
    Shell(Options),
    /// Run a cluster until the standard input ends.
    Hold(Options),
    /// Run the demo, then test programs, in a virtual machine with systemd and cgroup v2.
    Vm(VmOptions),
    /// Make the root directories of all suites, or of the given ones.
    Roots {
        /// bullseye, bookworm, trixie or forky.
        suites: Vec<Suite>,
        /// Also make those of the default run's virtual machines.
        #[arg(long)]
        machines: bool,
    },
    // Internal: the processes of a cluster, started by lab::Cluster.
    #[command(hide = true)]
    Keep { dir: PathBuf },
    #[command(hide = true)]
    Node { dir: PathBuf, number: usize },
    #[command(hide = true)]
    Init { dir: PathBuf, number: usize },
    #[command(hide = true)]
    Agent { dir: PathBuf, number: usize },
}

/// The cluster to start.
#[derive(Debug, Args)]
struct Options {
    /// Debian suite whose Slurm to run: bullseye, bookworm, trixie or forky.
    #[arg(long, default_value_t = Suite::Trixie)]
    suite: Suite,
    /// Number of nodes.
    #[arg(long, value_name = "N", default_value_t = 1)]
    nodes: usize,
    /// Module to use instead of SchedMD's; "original" keeps that one.
    #[arg(long, value_name = "PATH", default_value = ORIGINAL)]
    module: String,
}

const ORIGINAL: &str = "original";

#[derive(Debug, Args)]
struct VmOptions {
    /// Debian suite whose Slurm to run: bullseye, bookworm, trixie or forky.
    #[arg(long, default_value_t = Suite::Trixie)]
    suite: Suite,
    /// Module for the demo to use instead of SchedMD's.
    #[arg(long, value_name = "PATH")]
    module: Option<PathBuf>,
    /// Directory with the files that test programs load.
    #[arg(long, value_name = "DIR", requires = "test")]
    dist: Option<PathBuf>,
    /// Test program, and a filter for its tests; may be repeated.
    #[arg(long, value_name = "PROGRAM=FILTER", requires = "dist")]
    test: Vec<TestProgram>,
}

fn main() -> ExitCode {
    match run(&Arguments::parse().task) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("slurm-adopt-lab: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(task: &Task) -> Result<()> {
    match task {
        Task::Demo { options, package } => demo::run(options, package.as_deref()),
        Task::Shell(options) => shell(options),
        Task::Hold(options) => hold(options),
        Task::Vm(options) => vm(options),
        Task::Roots { suites, machines } => roots(suites, *machines),
        Task::Keep { dir } => lab::keeper::run(dir),
        Task::Node { dir, number } => lab::init::enter(dir, *number),
        Task::Init { dir, number } => lab::init::run(dir, *number),
        Task::Agent { dir, number } => lab::agent::run(dir, *number),
    }
}

impl Options {
    /// Path of the module, unless it is SchedMD's.
    fn module(&self) -> Option<&str> {
        Some(&*self.module).filter(|it| *it != ORIGINAL)
    }

    fn start(&self) -> Result<Cluster> {
        let mut cluster = Cluster::new(self.suite).nodes(self.nodes);
        if let Some(module) = self.module() {
            cluster = cluster.module(module);
        }
        cluster.start()
    }
}

fn shell(options: &Options) -> Result<()> {
    let cluster = options.start()?;
    println!(
        "A cluster of Slurm {}; it goes when you leave.",
        options.suite.slurm()
    );
    println!("Try: runuser -u alice -- sbatch --chdir=/tmp --wrap 'sleep 1000'");
    println!("     runuser -u alice -- ssh {}", cluster.node(1).name());
    let pid = cluster.node(1).host_pid();
    let mut command = Command::new("nsenter");
    command.args([
        "--target",
        &pid.to_string(),
        "--mount",
        "--uts",
        "--ipc",
        "--net",
        "--cgroup",
    ]);
    // This process holds the node's pid namespace but is not in it.
    command.arg(format!("--pid=/proc/{pid}/ns/pid_for_children"));
    // Change the directory after the root: until then, "/" is the host's.
    command.args(["--root", "sh", "-c", "cd /root && exec bash -i"]);
    command
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .env("HOME", "/root");
    command.env("TERM", std::env::var_os("TERM").unwrap_or("dumb".into()));
    command.status().context("running nsenter")?;
    cluster.stop()
}

fn hold(options: &Options) -> Result<()> {
    let cluster = options.start()?;
    println!("up {}", cluster.id());
    std::io::stdin()
        .read_to_end(&mut Vec::new())
        .context("reading the standard input")?;
    cluster.stop()
}

fn vm(options: &VmOptions) -> Result<()> {
    let began = Instant::now();
    println!("Booting a virtual machine with systemd and cgroup v2 ...");
    let mut machine = Machine::of_demo(options.suite, options.module.as_deref())?;
    if let Some(dist) = &options.dist {
        machine.add_tests(dist, &options.test)?;
    }
    machine.run(|line| println!("{line}"))?;
    let took = began.elapsed().as_secs();
    println!("All went well in the virtual machine; {took} s in all.");
    Ok(())
}

/// Makes roots, two at a time: making one mostly waits for the mirror and the disk.
fn roots(suites: &[Suite], machines: bool) -> Result<()> {
    let all = match suites {
        [] => &Suite::ALL,
        some => some,
    };
    type Make = Box<dyn FnOnce() -> Result<PathBuf> + Send>;
    let mut makes: Vec<Make> = Vec::new();
    for suite in all.iter().copied() {
        makes.push(Box::new(move || lab::roots::ensure(suite)));
    }
    if machines {
        makes.push(Box::new(lab::vm::root));
        makes.push(Box::new(|| lab::systemd_node::root(Suite::Trixie)));
    }
    let next = Mutex::new(makes.into_iter());
    let take = || next.lock().unwrap_or_else(PoisonError::into_inner).next();
    let work = || -> Result<()> {
        while let Some(make) = take() {
            println!("{}", make()?.display());
        }
        Ok(())
    };
    thread::scope(|scope| {
        let other = scope.spawn(work);
        let here = work();
        here.and(other.join().unwrap_or_else(|_| bail!("a thread panicked")))
    })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_arguments_are_consistent() {
        Arguments::command().debug_assert();
    }
}
