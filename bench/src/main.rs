//! Measures what a login costs with SchedMD's module and with ours, in turns on the same live cluster.
//!
//! `cargo xtask bench`, as root, builds what this needs and runs it. bench/README.md describes what is
//! measured and how.

#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, reason = "it tells how far it is")]

mod beside;
mod cold;
mod conf;
mod connect;
mod jobs;
mod machine;
mod measure;
mod plot;
mod plots;
mod results;
mod speeds;
mod ssh;
mod stats;
mod table;
mod taken;
mod targets;
mod tcp;
mod trace;
mod warm;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use lab::{Cluster, Node, Suite};

use crate::measure::Effort;
use crate::results::{About, Axis, Connect, Results, Row, SuiteResults};

/// Measure logins and write results.json, table.md and plots.
#[derive(Debug, Parser)]
struct Args {
    /// Directory for the results.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// A small run of everything.
    #[arg(long)]
    quick: bool,
    /// Only this suite; may be repeated.
    #[arg(long = "suite", value_name = "NAME")]
    suites: Vec<Suite>,
    /// Only this axis; may be repeated.
    #[arg(long, value_enum, value_name = "AXIS")]
    only: Vec<Axis>,
    /// Put the axis connect into the results that are there, and leave the rest of them as it is.
    #[arg(long)]
    merge: bool,
    /// Only write the table and the plots again, from the existing results.json.
    #[arg(long)]
    render: bool,
    /// Facts about the builds, as JSON.
    #[arg(long, value_name = "JSON", default_value = "{}")]
    built: String,
}

/// Directory of the PAM stacks on the nodes.
const STACKS: &str = "/run/bench";
/// Suites to measure by default.
const SUITES: [Suite; 3] = [Suite::Bookworm, Suite::Trixie, Suite::Forky];

fn main() -> Result<()> {
    let args = Args::parse();
    let file = args.out.join("results.json");
    let results = match args.render {
        true => read(&file)?,
        false => {
            let earlier = args.merge.then(|| earlier(&args, &file)).transpose()?;
            let measured = measure(&args)?;
            let results = match earlier {
                Some(earlier) => earlier.with_connect(measured),
                None => measured,
            };
            fs::create_dir_all(&args.out)
                .with_context(|| format!("make {}", args.out.display()))?;
            let text = serde_json::to_string_pretty(&results).context("write JSON")?;
            write(&file, &(text + "\n"))?;
            results
        }
    };
    write(&args.out.join("table.md"), &table::table(&results))?;
    for (name, svg) in plots::all(&results) {
        write(&args.out.join(name), &svg)?;
    }
    let failed = results.suites.iter().flat_map(|suite| &suite.failed);
    let failed: Vec<&str> = failed.map(String::as_str).collect();
    ensure!(failed.is_empty(), "not measured: {}", failed.join("; "));
    Ok(())
}

/// The results to which one axis is added.
fn earlier(args: &Args, file: &Path) -> Result<Results> {
    ensure!(args.only == [Axis::Connect], "--merge needs --only connect");
    read(file)
}

fn read(file: &Path) -> Result<Results> {
    let text = fs::read_to_string(file).with_context(|| format!("read {}", file.display()))?;
    serde_json::from_str(&text).with_context(|| format!("read {}", file.display()))
}

fn write(file: &Path, text: &str) -> Result<()> {
    fs::write(file, text).with_context(|| format!("write {}", file.display()))?;
    println!("{}", file.display());
    Ok(())
}

fn measure(args: &Args) -> Result<Results> {
    let effort = match args.quick {
        true => Effort::QUICK,
        false => Effort::FULL,
    };
    let (about, module) = machine::about(&args.built, args.quick, effort)?;
    let suites = match args.suites.as_slice() {
        [] => &SUITES,
        chosen => chosen,
    };
    let run = Run {
        only: &args.only,
        about: &about,
        effort,
        start: Instant::now(),
    };
    let suites = suites.iter().map(|suite| run.suite(*suite)).collect();
    run.tell("done");
    Ok(Results {
        about,
        module,
        suites,
    })
}

/// One run of the benchmark.
struct Run<'a> {
    only: &'a [Axis],
    about: &'a About,
    effort: Effort,
    start: Instant,
}

impl Run<'_> {
    fn wants(&self, axis: Axis) -> bool {
        self.only.is_empty() || self.only.contains(&axis)
    }

    /// Measures all axes of one release. If one fails, the failure is reported and the others continue.
    fn suite(&self, suite: Suite) -> SuiteResults {
        self.tell(&format!("{suite}: Slurm {}", suite.slurm()));
        let mut results = SuiteResults {
            suite: suite.to_string(),
            slurm: suite.slurm().into(),
            openssh: "unknown".into(),
            rows: Vec::new(),
            failed: Vec::new(),
            connect: None,
        };
        let mut failed = Vec::new();
        let mut note = |what: &str, outcome: Result<()>| {
            if let Err(error) = outcome {
                self.tell(&format!("  {what} failed: {error:#}"));
                failed.push(format!("{what}: {error:#}"));
            }
        };
        note("one node", self.one_node(suite, &mut results));
        if self.wants(Axis::Ssh) || self.wants(Axis::Tcp) {
            note("three nodes", self.three_nodes(suite, &mut results));
        }
        if self.wants(Axis::Connect) {
            note("connect", self.connect(suite, &mut results));
        }
        if self.wants(Axis::Cold) {
            note("empty page cache", self.cold(suite, &mut results));
        }
        results.failed = failed;
        results
    }

    fn one_node(&self, suite: Suite, results: &mut SuiteResults) -> Result<()> {
        let cluster = self.cluster(suite, 1)?;
        let node = cluster.node(1);
        results.slurm = machine::version(node, &["sbatch", "--version"])?;
        results.openssh = machine::version(node, &["ssh", "-V"])?;
        let mut done = |row: Row| self.done(&mut results.rows, row);
        if self.wants(Axis::Conf) {
            conf::rows(node, STACKS, self.effort, &mut done)?;
        }
        if self.wants(Axis::Jobs) {
            jobs::rows(&cluster, STACKS, self.effort, done)?;
        }
        Ok(())
    }

    fn three_nodes(&self, suite: Suite, results: &mut SuiteResults) -> Result<()> {
        let cluster = self.cluster(suite, 3)?;
        let mut done = |row: Row| self.done(&mut results.rows, row);
        if self.wants(Axis::Ssh) {
            ssh::rows(&cluster, self.effort, &mut done)?;
        }
        if self.wants(Axis::Tcp) {
            tcp::rows(&cluster, STACKS, self.effort, done)?;
        }
        Ok(())
    }

    fn connect(&self, suite: Suite, results: &mut SuiteResults) -> Result<()> {
        let cluster = tests::cluster(suite)?.nodes(2);
        let cluster = cluster
            .copy(tests::dist("slurm-adopt")?, tests::CLI)
            .start()?;
        let speeds = connect::rows(&cluster, self.effort)?;
        for speed in &speeds {
            self.tell(&speeds::progress(speed));
        }
        results.connect = Some(Connect {
            date: self.about.date.clone(),
            commit: self.about.commit.clone(),
            speeds,
        });
        Ok(())
    }

    fn cold(&self, suite: Suite, results: &mut SuiteResults) -> Result<()> {
        let cluster = self.cluster(suite, 1)?;
        let row = cold::row(cluster.node(1), suite, self.effort)?;
        self.done(&mut results.rows, row);
        Ok(())
    }

    fn done(&self, rows: &mut Vec<Row>, row: Row) {
        self.tell(&table::progress(&row));
        rows.push(row);
    }

    fn cluster(&self, suite: Suite, nodes: usize) -> Result<Cluster> {
        let cluster = tests::cluster(suite)?.nodes(nodes).start()?;
        let modules = ["pam_permit.so", lab::config::SCHEDMD_MODULE, tests::OURS];
        let prepare = |node: &Node| measure::stacks(node, STACKS, modules);
        cluster.nodes().iter().try_for_each(prepare)?;
        Ok(cluster)
    }

    fn tell(&self, what: &str) {
        println!("[{:4} s] {what}", self.start.elapsed().as_secs());
    }
}
