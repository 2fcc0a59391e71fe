//! Every test on every suite that can do it: four clusters side by side, on each one test after the other.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Result;
use lab::Suite;
use libtest_mimic::{Arguments, Failed, Trial};

use crate::long::{is_long, left_out};

/// The tests of a program, with what those of one suite share.
pub struct Matrix<Stage> {
    stages: Vec<(Suite, Arc<Mutex<Stage>>)>,
    trials: Vec<Trial>,
    times: Arc<Mutex<Vec<(String, Duration)>>>,
    arguments: Arguments,
    /// The suite that has the next test of those that one has.
    turn: usize,
    /// Why a default run leaves tests out, and how many.
    left_out: Vec<(&'static str, usize)>,
}

/// Why most suites leave a test out.
const ONE_IN_TURN: &str = "what does not depend on the release has one in turn by default";
/// Why all of them do.
const TAKES_LONG: &str = "others show the same sooner";

impl<Stage: Send + 'static> Matrix<Stage> {
    /// No tests yet; `stage` makes what a suite's tests share. It should start no cluster: not all
    /// suites need be chosen.
    pub fn new(stage: impl Fn(Suite) -> Stage) -> Self {
        let stages = Suite::ALL.map(|suite| (suite, Arc::new(Mutex::new(stage(suite)))));
        Self {
            stages: stages.into(),
            trials: Vec::new(),
            times: Arc::default(),
            arguments: Arguments::from_args(),
            turn: 0,
            left_out: Vec::new(),
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
            let name = format!("{}/{name}", suite.slurm());
            let (times, timed) = (Arc::clone(&self.times), name.clone());
            self.trials.push(Trial::test(name, move || {
                let mut stage = stage.lock().unwrap_or_else(PoisonError::into_inner);
                let start = Instant::now();
                let done = test(suite, &mut stage);
                let mut times = times.lock().unwrap_or_else(PoisonError::into_inner);
                times.push((timed, start.elapsed()));
                done.map_err(|error| Failed::from(format!("{error:#}")))
            }));
        }
    }

    /// Adds a test of what does not depend on Slurm's release. A default run has it on one of those suites, the
    /// next in turn; a long run, and one with a filter on the command line, on each.
    pub fn add_in_turn(
        &mut self,
        suites: &[Suite],
        name: &str,
        test: impl Fn(Suite, &mut Stage) -> Result<()> + Clone + Send + 'static,
    ) {
        if self.has_all() || suites.is_empty() {
            return self.add_on(suites, name, test);
        }
        let suite = suites[self.turn % suites.len()];
        self.turn += 1;
        self.leave_out(ONE_IN_TURN, suites.len() - 1);
        self.add_on(&[suite], name, test);
    }

    /// Adds a test on those suites that is for long runs alone, and for those that ask for it on the command line.
    pub fn add_long(
        &mut self,
        suites: &[Suite],
        name: &str,
        test: impl Fn(Suite, &mut Stage) -> Result<()> + Clone + Send + 'static,
    ) {
        if self.has_all() {
            return self.add_on(suites, name, test);
        }
        self.leave_out(TAKES_LONG, suites.len());
    }

    /// Whether nothing is left out.
    fn has_all(&self) -> bool {
        is_long() || self.arguments.filter.is_some()
    }

    fn leave_out(&mut self, reason: &'static str, count: usize) {
        match self.left_out.iter_mut().find(|(it, _)| *it == reason) {
            Some((_, all)) => *all += count,
            None => self.left_out.push((reason, count)),
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
        let test_threads = self.arguments.test_threads.or(Some(threads));
        let arguments = Arguments {
            test_threads,
            ..self.arguments
        };
        for (reason, count) in self.left_out {
            left_out(count, "tests", reason);
        }
        let conclusion = libtest_mimic::run(&arguments, self.trials);
        print_times(&self.times.lock().unwrap_or_else(PoisonError::into_inner));
        drop(self.stages);
        conclusion.exit()
    }
}

/// Tells xtask how long each test took. After the run: with one thread a line of the run may be unfinished
/// while a test runs.
#[allow(clippy::print_stdout, reason = "for the reader of the run's output")]
fn print_times(times: &[(String, Duration)]) {
    for (name, took) in times {
        println!("test-seconds {:.1} {name}", took.as_secs_f64());
    }
}
