//! `slurm-adopt status`: shows the logins of a node and the jobs that hold them.

mod json;
#[cfg(test)]
pub(crate) mod samples;
mod span;
mod table;

use std::io::{self, IsTerminal as _, Write};
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use clap::Args;
use status::Status as Node;

use crate::COULD_NOT_LOOK;

/// The time after which what hangs is given up.
const LIMIT: Duration = Duration::from_secs(9);
/// The time between two looks of --watch.
const PAUSE: Duration = Duration::from_secs(2);
/// Moves the cursor to the top and clears the terminal, console_codes(4).
const CLEAR: &str = "\x1b[H\x1b[2J";

/// Show which login is in which job, and what runs outside any job
///
/// Asks the slurmstepds of this node for their jobs. A login is shown in the job whose cgroup its process is in. LEFT
/// counts to the end that the job was started with (Slurm 23.02 and later): it does not follow a changed time limit.
/// CPUS and MEM are the limits of the job's cgroup. A dash means not known, or no limit.
///
/// Processes of root and of system users are not counted. Without root only your own jobs and logins are shown.
///
/// Exit status: 0, or 3 if nothing could be looked at.
#[derive(Debug, Args)]
pub struct Status {
    /// Show again every two seconds until interrupted
    #[arg(long)]
    watch: bool,
    /// Print one JSON object (with --watch: one a line)
    #[arg(long)]
    json: bool,
    /// Show only your own jobs and logins
    #[arg(long)]
    mine: bool,
}

impl Status {
    /// Prints the table, once or until interrupted.
    pub fn run(&self) -> ExitCode {
        let request = status::Request {
            is_mine: self.mine,
            limit: LIMIT,
        };
        let mut is_first = true;
        loop {
            let node = match status::look(&request) {
                Ok(node) => node,
                Err(error) => {
                    eprintln!("slurm-adopt status: {error}");
                    return ExitCode::from(COULD_NOT_LOOK);
                }
            };
            match self.print(&node, is_first) {
                Ok(()) => {}
                // Whoever reads no further, as head does, wants no more.
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => break,
                Err(error) => {
                    eprintln!("slurm-adopt status: write the table: {error}");
                    return ExitCode::from(COULD_NOT_LOOK);
                }
            }
            if !self.watch {
                break;
            }
            is_first = false;
            thread::sleep(PAUSE);
        }
        ExitCode::SUCCESS
    }

    fn print(&self, node: &Node, is_first: bool) -> io::Result<()> {
        let mut out = io::stdout().lock();
        let is_terminal = out.is_terminal();
        if self.json {
            json::write(&mut out, node)?;
            return out.flush();
        }
        let style = table::Style {
            is_colored: is_terminal && std::env::var_os("NO_COLOR").is_none(),
            has_time: self.watch,
        };
        // In one piece, so that the terminal does not flicker.
        let mut text = Vec::new();
        match (self.watch && is_terminal, is_first) {
            (true, _) => write!(text, "{CLEAR}")?,
            (false, false) => writeln!(text)?,
            (false, true) => {}
        }
        style.write(&mut text, node)?;
        out.write_all(&text)?;
        out.flush()
    }
}

/// The status as JSON, for a text.
pub(crate) fn json_text(node: &Node) -> String {
    let mut text = Vec::new();
    // Writing to memory cannot fail.
    let _ = json::write(&mut text, node);
    String::from_utf8_lossy(&text).into_owned()
}
