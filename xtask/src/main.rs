//! Chores and gates of the project: `cargo xtask help`.
#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, reason = "it is a command-line tool")]

mod arch;
mod bench;
mod beside;
mod budgets;
mod counts;
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
mod man;
mod named;
mod package;
mod report;
mod rooms;
mod run;
mod runner;
mod sanitize;
mod session;
mod so;
mod stage;
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
use crate::stage::Stage;
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
        /// Skip clusters, machines, the other processor, sanitizers and fuzzing.
        #[arg(long)]
        quick: bool,
        /// Run the long runs in full (hours), and write their results to docs/reliability.md.
        #[arg(long, conflicts_with = "quick")]
        long: bool,
        /// Write the rows of docs/session.md instead of checking them; implied by --long.
        #[arg(long)]
        write: bool,
        /// Run only this stage; may be repeated.
        #[arg(long, value_enum, value_name = "NAME")]
        only: Vec<Stage>,
    },
    /// Build for glibc 2.17: the module, its panicking twin, slurm-adopt and the test driver.
    Dist {
        /// Only this architecture.
        #[arg(long, value_enum)]
        arch: Option<Arch>,
    },
    /// Pack what `dist` built, into target/packages.
    Package {
        /// Only this architecture.
        #[arg(long, value_enum)]
        arch: Option<Arch>,
        /// Only this kind.
        #[arg(long, value_enum)]
        only: Option<package::Kind>,
        /// For Debian and Ubuntu hosts like this one, what `cargo build --profile demo` made.
        #[arg(long, conflicts_with_all = ["arch", "only"])]
        host: bool,
    },
    /// Compare instruction counts of the pure parts with their budgets.
    Budgets {
        /// Write the current counts as the budgets.
        #[arg(long)]
        write: bool,
    },
    /// Write options, commands and checks into the manual.
    Docs {
        /// Only check that the tables are up to date, no link is dead and the named tests exist.
        #[arg(long)]
        check: bool,
    },
    /// Write the manual for man(1) and the shells' completions into target/dist.
    Man,
    /// Fuzz the decoders.
    Fuzz {
        /// Seconds that each target runs.
        #[arg(long, default_value_t = 10)]
        seconds: u32,
        /// Only this target of fuzz/targets.
        target: Option<String>,
    },
    /// Measure the cost of a login with our module and with SchedMD's; needs root.
    Bench(bench::Wanted),
    /// Run one group of gates by itself.
    Gate {
        /// Group of gates.
        group: Gates,
    },
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Gates {
    /// Dependencies, exports and size of the built module.
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
        Task::Package { host: true, .. } => {
            println!("{}", package::write_for_host(&workspace)?.display());
        }
        Task::Package { arch, only, .. } => {
            for written in package::write(&workspace, *arch, *only)? {
                println!("{}", written.display());
            }
        }
        Task::Budgets { write: true } => budgets::write(&workspace)?,
        Task::Docs { check: false } => docs::write(&workspace)?,
        Task::Man => man::write(&workspace)?,
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

/// Runs gates and reports the result.
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
