//! Long runs, `./test --long`: whether this is one, and where its results go.

use std::env;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;

use anyhow::{Context, Result};
use serde_json::json;

/// Whether this is a long run, which has full sizes and leaves nothing out.
#[must_use]
pub fn is_long() -> bool {
    env::var_os("SLURM_ADOPT_LONG").is_some_and(|it| it == "1")
}

/// Prints that this run leaves out `count` parts of a long run.
#[allow(clippy::print_stdout, reason = "for the reader of the run's output")]
pub fn left_out(count: usize, what: &str, reason: &str) {
    println!("left out: {count} {what} run with --long: {reason}");
}

/// Writes one row for docs/reliability.md, if this run records results: what was done, with which versions,
/// and the result, counts first.
///
/// # Errors
/// The file could not be written.
pub fn record(what: &str, with: &str, result: &str) -> Result<()> {
    let Some(path) = env::var_os("SLURM_ADOPT_RESULTS").map(PathBuf::from) else {
        return Ok(());
    };
    let row = json!({ "what": what, "with": with, "result": result });
    // In one write, because several suites may write at once.
    OpenOptions::new()
        .create(true)
        .append(true)
        .open(&path)
        .and_then(|mut file| file.write_all(format!("{row}\n").as_bytes()))
        .with_context(|| format!("write to {}", path.display()))
}
