//! A point in time that blocking calls share.

use std::time::{Duration, Instant};

/// The moment by which something must be done (CLOCK_MONOTONIC).
#[derive(Debug, Clone, Copy)]
pub struct Deadline {
    end: Instant,
}

impl Deadline {
    /// A deadline `limit` from now.
    #[must_use]
    pub fn after(limit: Duration) -> Self {
        let now = Instant::now();
        Self {
            end: now.checked_add(limit).unwrap_or(now),
        }
    }

    /// This deadline, moved earlier.
    #[must_use]
    pub fn sooner(&self, by: Duration) -> Self {
        Self {
            end: self.end.checked_sub(by).unwrap_or(self.end),
        }
    }

    /// This deadline, or `limit` from now if that is earlier.
    #[must_use]
    pub fn within(&self, limit: Duration) -> Self {
        Self {
            end: self.end.min(Self::after(limit).end),
        }
    }

    /// Time left; zero when it has passed.
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
