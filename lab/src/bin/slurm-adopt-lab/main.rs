//! The lab's program: clusters by hand, and the processes that hold one.

#![forbid(unsafe_code)]
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "it talks to a person"
)]

mod demo;

use std::io::Read;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use lab::vm::Machine;
use lab::{Cluster, Suite};

const USAGE: &str = "\
usage: slurm-adopt-lab demo [OPTIONS]         show what the module does, and check it
       slurm-adopt-lab shell [OPTIONS]        a root shell on the first node of a cluster
       slurm-adopt-lab hold [OPTIONS]         a cluster until the standard input ends
       slurm-adopt-lab vm-demo [OPTIONS]      the demo in a virtual machine with cgroup v2
       slurm-adopt-lab vm-test SUITE DIST PROGRAM [ARGUMENT...]
                                              a test program in such a machine
       slurm-adopt-lab roots [SUITE...]       make the root directories

  --suite SUITE    bullseye, bookworm, trixie (the default) or forky
  --nodes N        that many nodes
  --module PATH    the module to use in the place of SchedMD's; «original» is that one
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match run(&words) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("slurm-adopt-lab: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(words: &[&str]) -> Result<()> {
    match words {
        // The processes of a cluster; lab::Cluster starts them.
        ["keep", dir] => lab::keeper::run(Path::new(dir)),
        ["node", dir, number] => lab::init::enter(Path::new(dir), number.parse()?),
        ["init", dir, number] => lab::init::run(Path::new(dir), number.parse()?),
        ["agent", dir, number] => lab::agent::run(Path::new(dir), number.parse()?),

        ["demo", options @ ..] => demo::run(&Options::parse(options)?),
        ["vm-demo", options @ ..] => vm_demo(&Options::parse(options)?),
        ["vm-test", suite, dist, program, arguments @ ..] => {
            let (program, dist) = (Path::new(program), Path::new(dist));
            boot(&Machine::of_test(suite.parse()?, program, dist, arguments)?)
        }
        ["shell", options @ ..] => shell(&Options::parse(options)?),
        ["hold", options @ ..] => hold(&Options::parse(options)?),
        ["roots", suites @ ..] => roots(suites),
        _ => bail!("no such command\n{USAGE}"),
    }
}

struct Options {
    suite: Suite,
    nodes: usize,
    module: Option<String>,
}

impl Options {
    fn parse(words: &[&str]) -> Result<Self> {
        let mut options = Self {
            suite: Suite::Trixie,
            nodes: 1,
            module: None,
        };
        for pair in words.chunks(2) {
            match pair {
                ["--suite", suite] => options.suite = suite.parse()?,
                ["--nodes", count] => options.nodes = count.parse().context("--nodes")?,
                ["--module", "original"] => options.module = None,
                ["--module", path] => options.module = Some(path.to_string()),
                _ => bail!("what is «{}»?\n{USAGE}", pair.join(" ")),
            }
        }
        Ok(options)
    }

    fn start(&self) -> Result<Cluster> {
        let mut cluster = Cluster::new(self.suite).nodes(self.nodes);
        if let Some(module) = &self.module {
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
    // That process holds the node's pid namespace but is not itself in it.
    command.arg(format!("--pid=/proc/{pid}/ns/pid_for_children"));
    command.args(["--root", "--wd", "bash", "-i"]);
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

fn vm_demo(options: &Options) -> Result<()> {
    boot(&Machine::of_demo(
        options.suite,
        options.module.as_ref().map(Path::new),
    )?)
}

fn boot(machine: &Machine) -> Result<()> {
    let began = Instant::now();
    println!("Booting a virtual machine with systemd and cgroup v2 ...");
    machine.run(|line| println!("{line}"))?;
    let took = began.elapsed().as_secs();
    println!("All went well in the virtual machine; {took} s in all.");
    Ok(())
}

fn roots(names: &[&str]) -> Result<()> {
    let mut suites = Suite::ALL.to_vec();
    if !names.is_empty() {
        suites = names
            .iter()
            .map(|name| name.parse())
            .collect::<Result<_>>()?;
    }
    for suite in suites {
        println!("{}", lab::roots::ensure(suite)?.display());
    }
    Ok(())
}
