//! What a login costs with SchedMD's module and with ours, in turns on the same live cluster.
//!
//! `cargo xtask bench`, as root, builds what this needs and runs it; bench/README.md says what is
//! measured and how.

#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, reason = "it tells how far it is")]

mod cold;
mod conf;
mod jobs;
mod machine;
mod measure;
mod parts;
mod plot;
mod plots;
mod results;
mod ssh;
mod stats;
mod table;
mod targets;
mod tcp;
mod trace;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result};
use clap::Parser;
use lab::{Cluster, Node, Suite};

use crate::jobs::Wanted;
use crate::measure::Effort;
use crate::results::{Axis, Results, Row, StageTable, SuiteResults};

/// Measures logins and writes results.json, table.md and plots.
#[derive(Debug, Parser)]
struct Args {
    /// Where the results go.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// A small run of everything.
    #[arg(long)]
    quick: bool,
    /// Only this suite; may be given several times.
    #[arg(long = "suite", value_name = "NAME")]
    suites: Vec<Suite>,
    /// Only this axis; may be given several times.
    #[arg(long, value_enum, value_name = "AXIS")]
    only: Vec<Axis>,
    /// Only writes the table and the plots anew, of the results.json that is there.
    #[arg(long)]
    render: bool,
    /// What was built, as JSON.
    #[arg(long, value_name = "JSON", default_value = "{}")]
    built: String,
}

/// Where the stacks of PAM are on the nodes.
const STACKS: &str = "/run/bench";
/// Those that are measured unless others are named.
const SUITES: [Suite; 3] = [Suite::Bookworm, Suite::Trixie, Suite::Forky];

fn main() -> Result<()> {
    let args = Args::parse();
    let file = args.out.join("results.json");
    let results = match args.render {
        true => read(&file)?,
        false => {
            let results = measure(&args)?;
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
    Ok(())
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
        effort,
        start: Instant::now(),
    };
    let suites: Result<Vec<_>> = suites.iter().map(|suite| run.suite(*suite)).collect();
    Ok(Results {
        about,
        module,
        suites: suites?,
    })
}

/// One run of the benchmark.
struct Run<'a> {
    only: &'a [Axis],
    effort: Effort,
    start: Instant,
}

impl Run<'_> {
    fn wants(&self, axis: Axis) -> bool {
        self.only.is_empty() || self.only.contains(&axis)
    }

    fn suite(&self, suite: Suite) -> Result<SuiteResults> {
        self.tell(&format!("{suite}: Slurm {}", suite.slurm()));
        let (mut rows, mut stages) = (Vec::new(), Vec::new());
        let cluster = self.cluster(suite, 1)?;
        let node = cluster.node(1);
        let version = |argv: &[&str]| machine::version(node, argv);
        let (slurm, openssh) = (version(&["sbatch", "--version"])?, version(&["ssh", "-V"])?);
        let mut done = |row: Row| {
            self.tell(&table::progress(&row));
            rows.push(row);
        };
        if self.wants(Axis::Conf) {
            conf::rows(node, STACKS, self.effort, &mut done)?;
        }
        if self.wants(Axis::Cold) {
            done(cold::row(node, suite, self.effort)?);
        }
        let wanted = Wanted {
            rows: self.wants(Axis::Jobs),
            stages: self.wants(Axis::Stages),
        };
        if wanted.rows || wanted.stages {
            let done_stages = |table: StageTable| {
                self.tell(&format!("  stages: {}", table.name));
                stages.push(table);
            };
            jobs::rows(
                &cluster,
                STACKS,
                wanted,
                self.effort,
                &mut done,
                done_stages,
            )?;
        }
        drop(cluster);
        if self.wants(Axis::Ssh) || self.wants(Axis::Tcp) {
            let cluster = self.cluster(suite, 3)?;
            if self.wants(Axis::Ssh) {
                ssh::rows(&cluster, self.effort, &mut done)?;
            }
            if self.wants(Axis::Tcp) {
                tcp::rows(&cluster, STACKS, self.effort, &mut done)?;
            }
        }
        Ok(SuiteResults {
            suite: suite.to_string(),
            slurm,
            openssh,
            rows,
            stages,
        })
    }

    fn cluster(&self, suite: Suite, nodes: usize) -> Result<Cluster> {
        let cluster = tests::cluster(suite)?
            .nodes(nodes)
            .copy(tests::dist("stages")?, parts::PROGRAM)
            .start()?;
        let prepare =
            |node: &Node| measure::stacks(node, STACKS, lab::config::SCHEDMD_MODULE, tests::OURS);
        cluster.nodes().iter().try_for_each(prepare)?;
        Ok(cluster)
    }

    fn tell(&self, what: &str) {
        println!("[{:4} s] {what}", self.start.elapsed().as_secs());
    }
}
