//! Waits for a condition, without fixed sleeps.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// Interval between two checks.
const INTERVAL: Duration = Duration::from_millis(20);

/// Calls `look` until it finds something; after `limit`, fails with an error that names `what`.
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

/// Calls `look` until it returns true.
pub fn until_true(
    what: &str,
    limit: Duration,
    mut look: impl FnMut() -> Result<bool>,
) -> Result<()> {
    until(what, limit, || Ok(look()?.then_some(())))
}
