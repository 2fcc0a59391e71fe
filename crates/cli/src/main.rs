//! slurm-adopt(8): for the admin of a node.
#![forbid(unsafe_code)]
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program for a terminal"
)]

mod explain;
mod tidy;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::explain::Explain;

/// Explain and tidy up what pam_slurm_adopt.so does on this node.
#[derive(Parser)]
#[command(name = "slurm-adopt", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Explain(Explain),
    /// Remove the runtime directories of users whose sessions have ended with their job
    ///
    /// For runtime_dir=create, at the end of slurmd's Epilog.
    Tidy,
}

fn main() -> ExitCode {
    match Arguments::parse().command {
        Command::Explain(explain) => explain.run(),
        Command::Tidy => tidy::run(),
    }
}
