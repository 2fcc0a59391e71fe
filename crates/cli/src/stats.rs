//! `slurm-adopt stats`: decisions and latency for the textfile collector of Prometheus' node_exporter.

mod error;
mod histogram;
mod journal;
mod lines;
mod prometheus;
mod state;
mod sums;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use check::Request;
use clap::Args;
use sys::Deadline;

use crate::{COULD_NOT_LOOK, output};
use error::Error;
use state::State;

/// The time after which a journal that is still being read is given up.
const LIMIT: Duration = Duration::from_secs(60);
/// The time for the checks.
const CHECKS: Duration = Duration::from_secs(9);
/// For anyone to read, as node_exporter is not root.
const MODE: u32 = 0o644;

/// Sum up decisions and latency for Prometheus
///
/// Reads what the module wrote to systemd's journal since boot and prints it in the text format of Prometheus. A login
/// counts once for each phase that has a line of the module.
///
/// With --out the file also keeps the sums and the place in the journal, so that the next run reads only what is new and
/// no counter goes back when the journal drops old entries. Without it the sums are over what the journal still has.
///
/// Only entries of processes whose real user is root count, because any user can write such an entry; so logins by su
/// are left out.
///
/// Exit status: 0 it is done, 3 it could not look.
#[derive(Debug, Args)]
pub struct Stats {
    /// When to begin, unless FILE of --out says where to go on: boot, or a time as journalctl takes it
    #[arg(long, value_name = "TIME", default_value = "boot")]
    since: String,
    /// Sum up lines of log_format=json in this file instead of the journal; - is standard input
    #[arg(long, value_name = "FILE", conflicts_with = "since")]
    input: Option<PathBuf>,
    /// Write to this file, by rename in its directory, instead of to standard output
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Carry out slurm-adopt check too, and tell how much it has found
    #[arg(long)]
    check: bool,
}

impl Stats {
    /// Prints or writes the sums.
    pub fn run(&self) -> ExitCode {
        let text = match self.text() {
            Ok(text) => text,
            Err(error) => {
                eprintln!("slurm-adopt stats: {error}");
                return ExitCode::from(COULD_NOT_LOOK);
            }
        };
        let Some(path) = &self.out else {
            return output::print("stats", 0, |out| out.write_all(text.as_bytes()));
        };
        match output::replace(path, MODE, &text) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("slurm-adopt stats: write {}: {error}", path.display());
                ExitCode::from(COULD_NOT_LOOK)
            }
        }
    }

    fn text(&self) -> Result<String, Error> {
        let state = self.state()?;
        let found = match self.check {
            true => Some(findings()?),
            false => None,
        };
        let text = prometheus::text(&state.sums, found.as_ref());
        Ok(match self.out {
            Some(_) => state.comment() + &text,
            None => text,
        })
    }

    /// The sums up to now.
    fn state(&self) -> Result<State, Error> {
        if let Some(path) = &self.input {
            let sums = lines::sum(path).map_err(|cause| Error::Input {
                path: path.clone(),
                cause,
            })?;
            return Ok(State::of(sums));
        }
        let earlier = self.out.as_deref().and_then(State::read);
        let mut state = earlier.unwrap_or_default();
        let deadline = Deadline::after(LIMIT);
        journal::sum(&self.since, &mut state, &deadline)?;
        Ok(state)
    }
}

/// Carries out the checks.
fn findings() -> Result<prometheus::Findings, Error> {
    let request = Request {
        limit: CHECKS,
        ..Request::default()
    };
    let report = check::run(&request, &mut |_| {}).map_err(Error::Check)?;
    match report.status() {
        COULD_NOT_LOOK => Err(Error::NothingJudged),
        _ => Ok(prometheus::Findings::of(&report)),
    }
}
