//! The stages of a login with our module, one by one, in a fresh process: what each takes and how
//! many page faults it has. `cargo xtask bench` runs it on the lab's nodes.
//!
//! The module itself is only loaded; the other stages are the same functions, linked into this
//! program. They run in the order of a login, each finds what the ones before have left.
#![forbid(unsafe_code)]
#![allow(
    clippy::print_stdout,
    reason = "its answer is for the benchmark that started it"
)]

use std::env;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use adopt::log::{Log, Sink};
use adopt::node::{Environment, Node};
use adopt::options::Options;
use adopt::state_dir::{self, StateDir};
use adopt::stepd::{self, spool};
use anyhow::{Context, Result, anyhow, bail, ensure};
use clap::Parser;
use pam::{Severity, app};
use serde_json::{Value, json};
use sys::Deadline;

/// Times the stages of a login and prints them as JSON: of each process a line.
#[derive(Debug, Parser)]
struct Args {
    /// The module to load.
    #[arg(long, value_name = "PATH")]
    module: PathBuf,
    /// Who logs in.
    #[arg(long)]
    user: String,
    /// In so many fresh processes, one after the other.
    #[arg(long, value_name = "N")]
    repeat: Option<u32>,
}

fn main() -> Result<()> {
    let args = Args::parse();
    match args.repeat {
        None => {
            println!("{}", login(&args)?);
            Ok(())
        }
        Some(count) => {
            let program = env::current_exe().context("find this program's own path")?;
            (0..count).try_for_each(|_| {
                let status = Command::new(&program)
                    .arg("--module")
                    .arg(&args.module)
                    .args(["--user", &args.user])
                    .status()
                    .with_context(|| format!("start {}", program.display()))?;
                ensure!(status.success(), "a login's process: {status}");
                Ok(())
            })
        }
    }
}

fn login(args: &Args) -> Result<Value> {
    app::open_log(c"stages");
    let user = args.user.as_bytes();
    // As sshd has when it calls PAM.
    let _ = sys::uid_of_user(user);
    let libpam = app::load(Path::new("libpam.so.0"));
    libpam.map_err(|error| anyhow!("dlopen libpam: {error}"))?;
    let mut meter = Meter::new()?;
    let loaded = meter.stage("load the module (dlopen)", || app::load(&args.module))?;
    loaded.map_err(|error| anyhow!("dlopen: {error}"))?;
    let options = Options::default();
    let log = Log::new(&Nowhere, options.log_level);
    let uid = meter.stage("look up the user again (getpwnam)", || {
        sys::uid_of_user(user)
    })?;
    let uid = uid.map_err(|error| anyhow!("{}: {error}", args.user))?;
    let state_dir = StateDir::open(Path::new(state_dir::DIR), true, log);
    let environment = Environment::of_service("sshd");
    let node = meter.stage("read slurm.conf, name the node", || {
        Node::find(&options, &environment, &state_dir, &spool::has_stepds, log)
    })?;
    let node = match node {
        Ok(node) => node,
        Err(error) => bail!("find the node: {error}"),
    };
    let deadline = Deadline::after(options.timeout);
    let census = meter.stage("list the steps, ask stepds", || {
        let request = stepd::CensusRequest {
            uid,
            may_stop: true,
            asks_all: false,
        };
        stepd::census(&node, request, &state_dir, &deadline, log)
    })?;
    meter.stage("write the log line (syslog)", || {
        app::log_line(
            c"a line about as long as the one that a login leaves: user, job, why, how long",
        );
    })?;
    Ok(json!({
        "stages": meter.stages,
        "own": census.steps.own.len(),
        "others": census.steps.others,
    }))
}

/// Takes the lines that a login logs on its way; it has none unless something is wrong.
struct Nowhere;

impl Sink for Nowhere {
    fn line(&self, _: Severity, _: &str) {}
}

/// Times stages. /proc/self/stat is opened once and read outside of the timed spans.
struct Meter {
    stat: File,
    /// Page faults of the reading itself.
    own: u64,
    stages: Vec<Value>,
}

impl Meter {
    fn new() -> Result<Self> {
        let stat = File::open("/proc/self/stat").context("open /proc/self/stat")?;
        let mut meter = Self {
            stat,
            own: 0,
            stages: Vec::new(),
        };
        // The first readings touch pages that the later ones find there.
        for _ in 0..3 {
            meter.own = 0;
            let before = meter.faults()?;
            meter.own = meter.faults()?.saturating_sub(before);
        }
        Ok(meter)
    }

    fn stage<T>(&mut self, name: &str, work: impl FnOnce() -> T) -> Result<T> {
        let before = self.faults()?;
        let start = Instant::now();
        let done = work();
        let took = start.elapsed();
        let faults = self.faults()?.saturating_sub(before + self.own);
        self.stages.push(json!({
            "name": name,
            "nanos": u64::try_from(took.as_nanos())?,
            "minflt": faults,
        }));
        Ok(done)
    }

    /// Page faults that needed no disk, minflt of proc(5).
    fn faults(&self) -> Result<u64> {
        let mut bytes = [0; 512];
        let length = self
            .stat
            .read_at(&mut bytes, 0)
            .context("read /proc/self/stat")?;
        let stat = std::str::from_utf8(&bytes[..length]).context("read /proc/self/stat")?;
        // The name in parentheses may hold anything.
        let field = stat
            .rsplit_once(')')
            .and_then(|(_, fields)| fields.split_whitespace().nth(7))
            .context("/proc/self/stat is short")?;
        field.parse().context("parse minflt of /proc/self/stat")
    }
}
