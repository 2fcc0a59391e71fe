//! Chores and gates of the project: `cargo xtask help`.
#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, reason = "it is a command-line tool")]

mod arch;
mod bench;
mod budgets;
mod crates;
mod debian;
mod dist;
mod docs;
mod elf;
mod fuzz;
mod licences;
mod listen;
mod long;
mod machines;
mod named;
mod report;
mod rooms;
mod run;
mod runner;
mod sanitize;
mod session;
mod so;
mod stages;
mod stub;
mod table;
mod tools;
mod workspace;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand, ValueEnum};

use crate::arch::Arch;
use crate::report::Report;
use crate::runner::Size;
use crate::stages::Stage;
use crate::workspace::Workspace;

#[derive(Debug, Parser)]
#[command(name = "cargo xtask", about = "Chores and gates of slurm-adopt")]
struct Args {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Run all gates and tests, the cheap ones first.
    Test {
        /// Without clusters, machines, the other processor, sanitizers and fuzzing.
        #[arg(long)]
        quick: bool,
        /// The long runs in full (hours), and their results into docs/reliability.md.
        #[arg(long, conflicts_with = "quick")]
        long: bool,
        /// Put the rows for docs/session.md there instead of holding them against it; --long does.
        #[arg(long)]
        write: bool,
        /// Only this one; may be given several times.
        #[arg(long, value_enum, value_name = "NAME")]
        only: Vec<Stage>,
    },
    /// Build for glibc 2.17: the module, its panicking twin, slurm-adopt and the test driver.
    Dist {
        /// Only for this architecture.
        #[arg(long, value_enum)]
        arch: Option<Arch>,
    },
    /// Compare instruction counts of the pure parts with their budgets.
    Budgets {
        /// Make what is counted now the budgets.
        #[arg(long)]
        write: bool,
    },
    /// Write the option tables into the man page and the README.
    Docs {
        /// Only check that they are up to date and that no link is dead.
        #[arg(long)]
        check: bool,
    },
    /// Run the decoders on made-up bytes.
    Fuzz {
        /// How long each target runs.
        #[arg(long, default_value_t = 10)]
        seconds: u32,
        /// Only this one of fuzz/targets.
        target: Option<String>,
    },
    /// Measure what a login costs with our module and with SchedMD's; as root.
    Bench(bench::Wanted),
    /// Run one group of gates by itself.
    Gate {
        /// Which.
        group: Gates,
    },
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Gates {
    /// What the built module needs, exports and weighs.
    So,
    /// `unsafe` in crates/pam and crates/sys only.
    Unsafe,
}

fn main() -> ExitCode {
    match perform(&Args::parse().task) {
        Ok(code) => code,
        Err(error) => {
            println!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn perform(task: &Task) -> Result<ExitCode> {
    let workspace = Workspace::find()?;
    match task {
        Task::Test {
            quick,
            long,
            write,
            only,
        } => {
            let size = match (quick, long) {
                (true, _) => Size::Quick,
                (false, true) => Size::Long,
                (false, false) => Size::Default,
            };
            return Ok(stages::all(workspace, size, *write, only));
        }
        Task::Dist { arch } => build_dist(&workspace, *arch)?,
        Task::Budgets { write: true } => budgets::write(&workspace)?,
        Task::Docs { check: false } => docs::write(&workspace)?,
        Task::Bench(wanted) => bench::run(&workspace, wanted)?,
        Task::Budgets { write: false } => {
            return gates(|report| budgets::gates(&workspace, report));
        }
        Task::Docs { check: true } => return gates(|report| docs::gates(&workspace, report)),
        Task::Fuzz { seconds, target } => {
            return gates(|report| fuzz::gates(&workspace, *seconds, target.as_deref(), report));
        }
        Task::Gate { group: Gates::So } => return so_gates(&workspace),
        Task::Gate {
            group: Gates::Unsafe,
        } => return gates(|report| rooms::gate(&workspace, report)),
    }
    Ok(ExitCode::SUCCESS)
}

/// Runs some gates, and says how they went.
fn gates(run: impl FnOnce(&mut Report)) -> Result<ExitCode> {
    let mut report = Report::new();
    run(&mut report);
    Ok(report.finish())
}

fn build_dist(workspace: &Workspace, only: Option<Arch>) -> Result<()> {
    for arch in Arch::ALL {
        if only.is_none_or(|it| it == arch) {
            let dist = dist::build(workspace, arch)?;
            println!("{}", dist.module().display());
            println!("{}", dist.cli().display());
            println!("{}", dist.forced_panic().display());
            println!("{}", dist.pamcall().display());
        }
    }
    Ok(())
}

fn so_gates(workspace: &Workspace) -> Result<ExitCode> {
    let mut report = Report::new();
    for arch in Arch::ALL {
        dist::build(workspace, arch)?;
        so::gates(workspace, arch, &mut report);
    }
    crates::gates(workspace, &mut report);
    Ok(report.finish())
}
