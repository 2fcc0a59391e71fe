//! Builds what the benchmark needs and runs it; see bench/README.md.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use serde_json::json;

use crate::arch::Arch;
use crate::debian::Debian;
use crate::dist;
use crate::elf::Facts;
use crate::run;
use crate::workspace::Workspace;

/// Selection of measurements. Suites and axes have the benchmark's own names.
#[derive(Debug, Args)]
pub struct Wanted {
    /// A small run of everything, to test the benchmark itself.
    #[arg(long)]
    quick: bool,
    /// Only this suite (bookworm, trixie, forky); may be repeated.
    #[arg(long, value_name = "NAME")]
    suite: Vec<String>,
    /// Only this axis (conf, cold, jobs, tcp, ssh, connect); may be repeated.
    #[arg(long, value_name = "AXIS")]
    only: Vec<String>,
    /// Put the axis connect into the results that are there, and leave the rest of them as it is.
    #[arg(long)]
    merge: bool,
    /// Only write the table and the plots again, from existing results.
    #[arg(long)]
    render: bool,
    /// Directory for the results: bench/results, or target/bench for a partial run.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// Runs the benchmark.
pub fn run(workspace: &Workspace, wanted: &Wanted) -> Result<()> {
    for tool in ["strace", "nsenter"] {
        need(tool)?;
    }
    need_nc()?;
    let dist = dist::build(workspace, Arch::X86_64)?;
    let mut cargo = run::cargo(workspace.root());
    cargo.args(["build", "--quiet", "--release"]);
    cargo.args(["--package=bench", "--bin=bench"]);
    run::check(cargo.args(["--package=lab", "--bin=slurm-adopt-lab"]))?;
    let facts = Facts::read(&dist.module())?;
    let rustc = Debian::install(workspace)?.rustc();
    let built = json!({
        "date": run::output(Command::new("date").args(["--utc", "+%Y-%m-%d %H:%M UTC"]))?.trim(),
        "commit": commit(workspace)?,
        "rustc": run::output(Command::new(rustc).arg("--version"))?.trim(),
        "module": {
            "bytes": facts.size,
            "relocations": facts.relocations,
            "symbol_relocations": facts.symbol_relocations,
        },
    });
    let release = |name: &str| workspace.target("release").join(name);
    let mut bench = Command::new(release("bench"));
    bench
        .arg("--out")
        .arg(wanted.out(workspace))
        .args(["--built", &built.to_string()])
        .args(wanted.suite.iter().flat_map(|it| ["--suite", it]))
        .args(wanted.only.iter().flat_map(|it| ["--only", it]));
    for (flag, is_given) in [
        ("--quick", wanted.quick),
        ("--merge", wanted.merge),
        ("--render", wanted.render),
    ] {
        bench.args(is_given.then_some(flag));
    }
    bench
        .env("SLURM_ADOPT_DIST", dist.dir())
        .env("SLURM_ADOPT_LAB_BIN", release("slurm-adopt-lab"));
    run::check(&mut bench)
}

impl Wanted {
    /// Directory for the results: a partial run must not replace the published ones.
    fn out(&self, workspace: &Workspace) -> PathBuf {
        let is_some = !self.suite.is_empty() || !self.only.is_empty();
        let is_part = self.quick || (is_some && !self.merge);
        match &self.out {
            Some(dir) => dir.clone(),
            None if is_part => workspace.target("bench"),
            None => workspace.path("bench/results"),
        }
    }
}

fn need(tool: &str) -> Result<()> {
    let version = Command::new(tool)
        .arg("--version")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    match version {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => bail!("{tool} --version: {status}"),
        Err(error) => bail!("start {tool}: {error}: sudo apt-get install strace util-linux"),
    }
}

/// What `slurm-adopt proxy` is compared with.
fn need_nc() -> Result<()> {
    let path = Path::new("/usr/bin/nc.openbsd");
    ensure!(
        path.exists(),
        "{} is missing: sudo apt-get install netcat-openbsd",
        path.display()
    );
    Ok(())
}

/// The commit, marked if tracked files differ from it.
pub fn commit(workspace: &Workspace) -> Result<String> {
    let describe = [
        "describe",
        "--always",
        "--dirty",
        "--abbrev=12",
        "--exclude=*",
    ];
    let told = run::output(
        Command::new("git")
            .args(describe)
            .current_dir(workspace.root()),
    );
    Ok(told.context("name the commit")?.trim().to_owned())
}
