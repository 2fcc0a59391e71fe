//! One point in time that every blocking call of a login shares.

use std::time::{Duration, Instant};

/// The moment at which a login must have its answer (CLOCK_MONOTONIC).
#[derive(Debug, Clone, Copy)]
pub struct Deadline {
    end: Instant,
}

impl Deadline {
    /// Starts the clock: the deadline is `limit` from now.
    #[must_use]
    pub fn after(limit: Duration) -> Self {
        let now = Instant::now();
        Self {
            end: now.checked_add(limit).unwrap_or(now),
        }
    }

    /// The same, but earlier.
    #[must_use]
    pub fn sooner(&self, by: Duration) -> Self {
        Self {
            end: self.end.checked_sub(by).unwrap_or(self.end),
        }
    }

    /// The same, but at most `limit` from now.
    #[must_use]
    pub fn within(&self, limit: Duration) -> Self {
        Self {
            end: self.end.min(Self::after(limit).end),
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
}
