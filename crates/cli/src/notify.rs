//! `slurm-adopt notify`: tells terminals when their job ends.

use std::process::ExitCode;

use clap::Args;
use ending::notify::{self, Line};

use crate::COULD_NOT_LOOK;
use crate::output;

/// Tell the terminals of logins when their job ends
///
/// Writes a line to the terminals of the logins in a job ten minutes, one minute, and five seconds before it reaches its time
/// limit. For a timer that starts it at each full minute (slurm-adopt-notify.timer): a run ends before the next minute, and
/// keeps nothing. Asks squeue about jobs that have a login with a terminal, at most eight; without an answer it goes by
/// the end that the job was started with (Slurm 23.02 and later). Who wants no lines: mesg n.
///
/// Exit status: 0, or 3 if nothing could be looked at.
#[derive(Debug, Args)]
pub struct Notify {
    /// Only print what would be written to which terminal
    #[arg(long)]
    dry_run: bool,
}

impl Notify {
    /// Tells the terminals.
    pub fn run(&self) -> ExitCode {
        if sys::effective_uid() != 0 {
            eprintln!("slurm-adopt notify: not root: cannot write to users' terminals");
            return ExitCode::from(COULD_NOT_LOOK);
        }
        let lines = match notify::lines() {
            Ok(lines) => lines,
            Err(error) => {
                eprintln!("slurm-adopt notify: {error}");
                return ExitCode::from(COULD_NOT_LOOK);
            }
        };
        if self.dry_run {
            return output::print("notify", 0, |out| {
                lines.iter().try_for_each(|it| {
                    let name = output::safe(&it.login.user.name);
                    writeln!(out, "{name} {}: {}", it.tty, it.text)
                })
            });
        }
        lines.iter().for_each(tell);
        ExitCode::SUCCESS
    }
}

fn tell(line: &Line) {
    match notify::write(line) {
        Ok(()) => {}
        // The login has ended, or its user wants no lines.
        Err(error)
            if matches!(
                error.kind(),
                std::io::ErrorKind::NotFound | std::io::ErrorKind::PermissionDenied
            ) => {}
        Err(error) => eprintln!("slurm-adopt notify: write to {}: {error}", line.tty),
    }
}
