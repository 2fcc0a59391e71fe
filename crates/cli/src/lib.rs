//! slurm-adopt(8): for the admin of a node, and for users who connect to their jobs.
#![forbid(unsafe_code)]
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program for a terminal"
)]

mod check;
mod connect;
mod explain;
mod help;
mod notify;
mod output;
mod proxy;
mod setup;
mod stats;
mod status;
mod support;
mod sweep;
mod trial;
mod undo;

use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory as _, Parser, Subcommand};

/// The exit status of a command that could not look, as for Nagios; also after a usage error.
const COULD_NOT_LOOK: u8 = 3;

/// Set a node up and check it, explain and show logins, end what users leave behind, and connect to jobs
#[derive(Debug, Parser)]
#[command(name = "slurm-adopt", version, disable_help_subcommand = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Check(check::Check),
    Explain(explain::Explain),
    Setup(setup::Setup),
    Undo(undo::Undo),
    Status(status::Status),
    Stats(stats::Stats),
    Support(support::Support),
    Sweep(sweep::Sweep),
    Notify(notify::Notify),
    Proxy(proxy::Proxy),
    Connect(connect::Connect),
    Help(help::Help),
    #[command(hide = true)]
    Relay(proxy::Relay),
    #[command(hide = true)]
    HostKeys(proxy::HostKeys),
    #[command(name = ::check::trial::SUBCOMMAND, hide = true)]
    TrialLogin(trial::TrialLogin),
}

/// Its commands and their arguments, for the manual and for shell completions.
#[must_use]
pub fn command() -> clap::Command {
    let mut command = Arguments::command();
    command.build();
    command
}

/// Carries out the command line.
#[must_use]
pub fn main() -> ExitCode {
    let command = match Arguments::try_parse() {
        Ok(arguments) => arguments.command,
        Err(error) => {
            // Nobody can be told if that fails.
            let _ = error.print();
            let is_asked = [ErrorKind::DisplayHelp, ErrorKind::DisplayVersion];
            return match is_asked.contains(&error.kind()) {
                true => ExitCode::SUCCESS,
                false => ExitCode::from(COULD_NOT_LOOK),
            };
        }
    };
    match command {
        Command::Check(check) => check.run(),
        Command::Explain(explain) => explain.run(),
        Command::Setup(setup) => setup.run(),
        Command::Undo(undo) => undo.run(),
        Command::Status(status) => status.run(),
        Command::Stats(stats) => stats.run(),
        Command::Support(support) => support.run(),
        Command::Sweep(sweep) => sweep.run(),
        Command::Notify(notify) => notify.run(),
        Command::Proxy(proxy) => proxy.run(),
        Command::Connect(connect) => connect.run(),
        Command::Relay(relay) => relay.run(),
        Command::HostKeys(keys) => keys.run(),
        Command::Help(help) => help.run(),
        Command::TrialLogin(trial) => trial.run(),
    }
}
