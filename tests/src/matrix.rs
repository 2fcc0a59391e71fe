//! Every test on every suite that can do it: four clusters side by side, on each one test after the other.

use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use lab::Suite;
use libtest_mimic::{Arguments, Failed, Trial};

use crate::long::{is_long, left_out};

/// The tests of a program, with what those of one suite share.
pub struct Matrix<Stage> {
    stages: Vec<(Suite, Arc<Mutex<Stage>>)>,
    trials: Vec<Trial>,
}

impl<Stage: Send + 'static> Matrix<Stage> {
    /// No tests yet; `stage` makes what a suite's tests share. It should start no cluster: not all
    /// suites need be chosen.
    pub fn new(stage: impl Fn(Suite) -> Stage) -> Self {
        let stages = Suite::ALL.map(|suite| (suite, Arc::new(Mutex::new(stage(suite)))));
        Self {
            stages: stages.into(),
            trials: Vec::new(),
        }
    }

    /// Adds a test on every suite.
    ///
    /// The suites take turns in the list, so that as many threads work on as many clusters.
    pub fn add(
        &mut self,
        name: &str,
        test: impl Fn(Suite, &mut Stage) -> Result<()> + Clone + Send + 'static,
    ) {
        self.add_on(&Suite::ALL, name, test);
    }

    /// Adds a test on those suites alone whose Slurm has what is tested.
    pub fn add_on(
        &mut self,
        suites: &[Suite],
        name: &str,
        test: impl Fn(Suite, &mut Stage) -> Result<()> + Clone + Send + 'static,
    ) {
        let stages = self.stages.iter();
        for (suite, stage) in stages.filter(|(suite, _)| suites.contains(suite)) {
            let (suite, stage, test) = (*suite, Arc::clone(stage), test.clone());
            self.trials.push(Trial::test(
                format!("{}/{name}", suite.slurm()),
                move || {
                    let mut stage = stage.lock().unwrap_or_else(PoisonError::into_inner);
                    test(suite, &mut stage).map_err(|error| Failed::from(format!("{error:#}")))
                },
            ));
        }
    }

    /// Adds a test on those suites that is for long runs alone; says so where it is left out.
    pub fn add_long(
        &mut self,
        suites: &[Suite],
        name: &str,
        test: impl Fn(Suite, &mut Stage) -> Result<()> + Clone + Send + 'static,
    ) {
        if is_long() {
            return self.add_on(suites, name, test);
        }
        for suite in suites {
            left_out(&format!("{}/{name}", suite.slurm()));
        }
    }

    /// Runs those that the command line chooses, takes the stages down and ends the program.
    pub fn run(self) -> ! {
        let threads = self.stages.len();
        self.run_with(threads)
    }

    /// The same, one test after the other: each has the machine for itself.
    pub fn run_in_turn(self) -> ! {
        self.run_with(1)
    }

    fn run_with(self, threads: usize) -> ! {
        let arguments = Arguments::from_args();
        let test_threads = arguments.test_threads.or(Some(threads));
        let arguments = Arguments {
            test_threads,
            ..arguments
        };
        let conclusion = libtest_mimic::run(&arguments, self.trials);
        drop(self.stages);
        conclusion.exit()
    }
}
