//! What the tests of a suite share.

use anyhow::{Result, anyhow};
use lab::Suite;

/// A cluster, or what a program has around one: the first test that needs it brings it up.
pub struct Shared<T> {
    suite: Suite,
    start: fn(Suite) -> Result<T>,
    up: Option<Result<T, String>>,
}

impl<T> Shared<T> {
    /// Nothing runs yet.
    pub fn new(suite: Suite, start: fn(Suite) -> Result<T>) -> Self {
        Self {
            suite,
            start,
            up: None,
        }
    }

    /// What is shared.
    ///
    /// # Errors
    /// It did not come up, now or when an earlier test needed it: that is not tried again.
    pub fn up(&mut self) -> Result<&mut T> {
        let (suite, start) = (self.suite, self.start);
        self.up
            .get_or_insert_with(|| start(suite).map_err(|error| format!("{error:#}")))
            .as_mut()
            .map_err(|error| anyhow!("the cluster did not come up: {error}"))
    }

    /// Runs a test on what is shared, then `finish`. Where one of them fails the next test has it anew: what a
    /// failed one leaves behind is nobody's to know.
    ///
    /// # Errors
    /// The test's; else that of `finish`.
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
