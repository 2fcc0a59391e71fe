//! Runs tests that share something and cannot run at the same time, one after the other in their order of
//! arrival.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};

/// A resource for one user at a time, first come, first served.
pub struct Lane<Stage> {
    stage: Mutex<Stage>,
    /// Number of arrivals.
    come: AtomicUsize,
    /// Number of departures.
    gone: Mutex<usize>,
    changed: Condvar,
}

impl<Stage> Lane<Stage> {
    /// Makes a free lane.
    pub fn new(stage: Stage) -> Self {
        Self {
            stage: Mutex::new(stage),
            come: AtomicUsize::new(0),
            gone: Mutex::new(0),
            changed: Condvar::new(),
        }
    }

    /// Waits for all earlier arrivals, then runs `work`.
    pub fn run<T>(&self, work: impl FnOnce(&mut Stage) -> T) -> T {
        let ticket = self.come.fetch_add(1, Ordering::Relaxed);
        let gone = self.gone.lock().unwrap_or_else(PoisonError::into_inner);
        let before = |gone: &mut usize| *gone != ticket;
        let turn = self.changed.wait_while(gone, before);
        drop(turn.unwrap_or_else(PoisonError::into_inner));
        let _leave = Leave(self);
        work(&mut self.stage.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Lets the next one in when this is dropped, also if a test panics.
struct Leave<'a, Stage>(&'a Lane<Stage>);

impl<Stage> Drop for Leave<'_, Stage> {
    fn drop(&mut self) {
        *self.0.gone.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.0.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::thread;

    use super::*;

    #[test]
    fn a_test_that_panics_lets_the_next_one_in() {
        let lane = Arc::new(Lane::new(0));
        let other = Arc::clone(&lane);
        let panicked = thread::spawn(move || other.run(|_| panic!("on purpose")));
        assert!(panicked.join().is_err());
        lane.run(|count| *count += 1);
        assert_eq!(lane.run(|count| *count), 1);
    }
}
