//! Waiting for something to become so, without fixed sleeps.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// How long to wait between two looks.
const INTERVAL: Duration = Duration::from_millis(20);

/// Looks until `look` finds something; an error that names `what` when the time is over.
pub fn until<T>(
    what: &str,
    limit: Duration,
    mut look: impl FnMut() -> Result<Option<T>>,
) -> Result<T> {
    let began = Instant::now();
    loop {
        if let Some(found) = look()? {
            return Ok(found);
        }
        if began.elapsed() > limit {
            bail!("waiting for {what}: not so after {} s", limit.as_secs());
        }
        thread::sleep(INTERVAL);
    }
}

/// Looks until `look` says yes.
pub fn until_true(
    what: &str,
    limit: Duration,
    mut look: impl FnMut() -> Result<bool>,
) -> Result<()> {
    until(what, limit, || Ok(look()?.then_some(())))
}
