//! One point in time that every blocking call of a login shares.

use std::time::{Duration, Instant};

/// The moment at which a login must have its answer (CLOCK_MONOTONIC).
#[derive(Debug, Clone, Copy)]
pub struct Deadline {
    start: Instant,
    end: Instant,
}

impl Deadline {
    /// Starts the clock: the deadline is `limit` from now.
    #[must_use]
    pub fn after(limit: Duration) -> Self {
        let start = Instant::now();
        Self {
            start,
            end: start.checked_add(limit).unwrap_or(start),
        }
    }

    /// What is left; zero once it has passed.
    #[must_use]
    pub fn remaining(&self) -> Duration {
        self.end.saturating_duration_since(Instant::now())
    }

    /// Whether it has passed.
    #[must_use]
    pub fn has_passed(&self) -> bool {
        self.remaining().is_zero()
    }

    /// Time since the clock was started.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }
}
