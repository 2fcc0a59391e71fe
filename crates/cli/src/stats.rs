//! `slurm-adopt stats`: decisions and latency for the textfile collector of Prometheus' node_exporter.

mod histogram;
mod journal;
mod lines;
mod prometheus;
mod state;
mod sums;

use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use check::Request;
use clap::Args;
use sys::Deadline;

use crate::COULD_NOT_LOOK;
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
        match self.write() {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("slurm-adopt stats: {error}");
                ExitCode::from(COULD_NOT_LOOK)
            }
        }
    }

    fn write(&self) -> Result<(), String> {
        let state = self.state()?;
        let found = match self.check {
            true => Some(findings()?),
            false => None,
        };
        let text = prometheus::text(&state.sums, found.as_ref());
        match &self.out {
            Some(path) => replace(path, &(state.comment() + &text))
                .map_err(|error| format!("write {}: {error}", path.display())),
            None => print(&text).map_err(|error| format!("write: {error}")),
        }
    }

    /// The sums up to now.
    fn state(&self) -> Result<State, String> {
        if let Some(path) = &self.input {
            let sums = lines::sum(path)
                .map_err(|error| format!("read --input {}: {error}", path.display()))?;
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
fn findings() -> Result<prometheus::Findings, String> {
    let request = Request {
        limit: CHECKS,
        ..Request::default()
    };
    let report = check::run(&request, &mut |_| {}).map_err(|error| format!("check: {error}"))?;
    match report.status() {
        COULD_NOT_LOOK => Err("check: nothing could be judged".to_owned()),
        _ => Ok(prometheus::Findings::of(&report)),
    }
}

/// Puts a file with this text in the place of the one that is there.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    let path = std::path::absolute(path)?;
    let dir = path.parent().unwrap_or(Path::new("/"));
    // The collector reads what ends in .prom. Dropped without having got its name, the file is removed.
    let mut file = tempfile::Builder::new()
        .prefix(".slurm-adopt-stats.")
        .tempfile_in(dir)?;
    file.write_all(text.as_bytes())?;
    file.as_file()
        .set_permissions(std::fs::Permissions::from_mode(MODE))?;
    file.persist(&path)?;
    Ok(())
}

fn print(text: &str) -> io::Result<()> {
    match io::stdout().lock().write_all(text.as_bytes()) {
        // Whoever reads no further, as head does, wants no more.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        done => done,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_whole_and_nothing_is_left_behind() {
        let dir = tempfile::tempdir().expect("a directory");
        let names = || {
            let entries = std::fs::read_dir(dir.path()).expect("list");
            let mut names: Vec<_> = entries.map(|it| it.expect("entry").file_name()).collect();
            names.sort();
            names
        };
        let path = dir.path().join("a.prom");
        for text in ["one\n", "two\n"] {
            replace(&path, text).expect("write");
            assert_eq!(std::fs::read_to_string(&path).expect("read"), text);
            let mode = std::fs::metadata(&path).expect("stat").permissions().mode();
            assert_eq!(mode & 0o777, 0o644);
            assert_eq!(names(), ["a.prom"]);
        }
        std::fs::create_dir(dir.path().join("b.prom")).expect("make it");
        replace(&dir.path().join("b.prom"), "x").expect_err("a directory");
        assert_eq!(names(), ["a.prom", "b.prom"]);
        replace(&dir.path().join("none/c.prom"), "x").expect_err("no such directory");
    }
}
