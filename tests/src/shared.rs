//! State that the tests of a suite share.

use anyhow::{Result, anyhow};
use lab::Suite;

/// A cluster, or a program's state around one: the first test that needs it starts it.
pub struct Shared<T> {
    suite: Suite,
    start: fn(Suite) -> Result<T>,
    up: Option<Result<T, String>>,
}

impl<T> Shared<T> {
    /// Prepares the state; nothing runs yet.
    pub fn new(suite: Suite, start: fn(Suite) -> Result<T>) -> Self {
        Self {
            suite,
            start,
            up: None,
        }
    }

    /// Returns the shared state, starting it if necessary.
    ///
    /// # Errors
    /// It did not start, now or when an earlier test needed it; there is no second attempt.
    pub fn up(&mut self) -> Result<&mut T> {
        let (suite, start) = (self.suite, self.start);
        self.up
            .get_or_insert_with(|| start(suite).map_err(|error| format!("{error:#}")))
            .as_mut()
            .map_err(|error| anyhow!("the cluster did not come up: {error}"))
    }

    /// Runs a test on the shared state, then `finish`. If one of them fails, the next test gets a new
    /// state, because nobody knows what a failed test leaves behind.
    ///
    /// # Errors
    /// The test's error, or else that of `finish`.
    pub fn run(
        &mut self,
        test: impl FnOnce(&mut T) -> Result<()>,
        finish: impl FnOnce(&mut T) -> Result<()>,
    ) -> Result<()> {
        let shared = self.up()?;
        let done = test(shared).and_then(|()| finish(shared));
        if done.is_err() {
            self.up = None;
        }
        done
    }
}
