//! slurm-adopt(8): for the admin of a node.
#![forbid(unsafe_code)]
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program for a terminal"
)]

use std::os::unix::fs::MetadataExt as _;
use std::process::ExitCode;
use std::time::Duration;

use adopt::log::Sink;
use adopt::session::notes::Notes;
use adopt::session::runtime_dir::Users;
use clap::{Parser, Subcommand};
use sys::Deadline;

/// Tells what pam_slurm_adopt.so does on this node.
#[derive(Parser)]
#[command(name = "slurm-adopt", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Prints what an ssh login of USER would meet here, and lets nobody in.
    ///
    /// The same code as the module's: it asks the slurmstepds and decides, but adopts nothing.
    /// The steps go to stderr, the decision to stdout; the exit status is PAM's code.
    Explain {
        /// The user's name.
        user: String,
        /// The module's arguments, as they stand in the PAM file.
        #[arg(value_name = "OPTION=VALUE")]
        options: Vec<String>,
    },
    /// Removes the runtime directories of users whose sessions have ended with their job
    /// (runtime_dir=create): for the end of slurmd's Epilog.
    Tidy,
}

/// The steps, for whoever looks.
struct Steps;

impl Sink for Steps {
    fn line(&self, severity: pam::Severity, text: &str) {
        eprintln!("{severity:?}: {text}");
    }
}

fn main() -> ExitCode {
    match Arguments::parse().command {
        Command::Explain { user, options } => {
            if !std::fs::metadata("/proc/self").is_ok_and(|it| it.uid() == 0) {
                eprintln!("Not root: a running slurmd can't be asked for its slurm.conf.");
            }
            let options: Vec<_> = options.into_iter().map(String::into_bytes).collect();
            let explanation = adopt::explain::explain(&user, &options, &Steps);
            println!("{explanation}");
            ExitCode::from(u8::try_from(explanation.code().as_raw()).unwrap_or(u8::MAX))
        }
        Command::Tidy => {
            let deadline = Deadline::after(Duration::from_secs(5));
            match Notes::open(&deadline).and_then(|notes| Users::new(notes).tidy(&deadline)) {
                Ok(()) => ExitCode::SUCCESS,
                // An Epilog that fails takes the node out of service; the next login tidies up.
                Err(error) if error.kind() == std::io::ErrorKind::TimedOut => {
                    eprintln!("slurm-adopt tidy: another process has the lock; nothing is removed");
                    ExitCode::SUCCESS
                }
                Err(error) => {
                    eprintln!("slurm-adopt tidy: {error}");
                    ExitCode::FAILURE
                }
            }
        }
    }
}
