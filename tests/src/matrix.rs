//! Runs every test on its suites: clusters in parallel, and on each cluster one test after the other.

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Result;
use lab::Suite;
use libtest_mimic::{Arguments, Failed, Trial};

use crate::lane::Lane;
use crate::long::{is_long, left_out};

/// The tests of a program, and what the tests of one suite share.
pub struct Matrix<Stage> {
    lanes: Vec<(Suite, Arc<Lane<Stage>>)>,
    trials: Vec<Trial>,
    times: Arc<Mutex<Vec<(String, Duration)>>>,
    arguments: Arguments,
    /// Tests that depend on the release, and whether they have been added.
    by_release: Vec<(&'static str, bool)>,
    /// Number of tests that were given one of several equal places.
    turn: usize,
    /// Reasons for which a default run leaves tests out, each with their number.
    left_out: Vec<(&'static str, usize)>,
}

/// Reason why most suites leave a test out.
const ONE_IN_TURN: &str = "what does not depend on the release has one in turn by default";
/// Reason why all suites do.
const TAKES_LONG: &str = "others show the same sooner";

impl<Stage: Send + 'static> Matrix<Stage> {
    /// Makes an empty matrix; `stage` makes what a suite's tests share. It should start no cluster, because
    /// a run need not select all suites.
    pub fn new(stage: impl Fn(Suite) -> Stage) -> Self {
        Self::with_lanes(&Suite::ALL, 1, stage)
    }

    /// Makes a matrix of only these suites, with `lanes` clusters for each, which its tests use in turn.
    /// For tests that mostly wait.
    pub fn with_lanes(suites: &[Suite], lanes: usize, stage: impl Fn(Suite) -> Stage) -> Self {
        let each = (0..lanes).flat_map(|_| suites.iter().copied());
        Self {
            lanes: each
                .map(|suite| (suite, Arc::new(Lane::new(stage(suite)))))
                .collect(),
            trials: Vec::new(),
            times: Arc::default(),
            arguments: Arguments::from_args(),
            by_release: Vec::new(),
            turn: 0,
            left_out: Vec::new(),
        }
    }

    /// Names the tests of [`Matrix::add_in_turn`] that do depend on Slurm's release.
    #[must_use]
    pub fn by_release(mut self, names: &[&'static str]) -> Self {
        self.by_release = names.iter().map(|it| (*it, false)).collect();
        self
    }

    /// Adds a test on every suite.
    ///
    /// The suites alternate in the list, so that as many threads work on as many clusters.
    pub fn add(
        &mut self,
        name: &str,
        test: impl Fn(Suite, &mut Stage) -> Result<()> + Clone + Send + 'static,
    ) {
        self.add_on(&Suite::ALL, name, test);
    }

    /// Adds a test on only those suites whose Slurm has what is tested.
    pub fn add_on(
        &mut self,
        suites: &[Suite],
        name: &str,
        test: impl Fn(Suite, &mut Stage) -> Result<()> + Clone + Send + 'static,
    ) {
        for suite in Suite::ALL.into_iter().filter(|it| suites.contains(it)) {
            let Some(lane) = self.next_lane(suite) else {
                continue;
            };
            self.push(suite, &lane, name, test.clone());
        }
    }

    /// Adds a test to one particular lane of a suite.
    pub fn add_to_lane(
        &mut self,
        suite: Suite,
        lane: usize,
        name: &str,
        test: impl Fn(Suite, &mut Stage) -> Result<()> + Send + 'static,
    ) {
        let mut lanes = self.lanes.iter().filter(|(it, _)| *it == suite);
        let lane = lanes.nth(lane).map(|(_, lane)| Arc::clone(lane));
        let lane = lane.expect("as many lanes as were asked for");
        self.push(suite, &lane, name, test);
    }

    fn push(
        &mut self,
        suite: Suite,
        lane: &Arc<Lane<Stage>>,
        name: &str,
        test: impl Fn(Suite, &mut Stage) -> Result<()> + Send + 'static,
    ) {
        let name = format!("{}/{name}", suite.slurm());
        let (lane, times, timed) = (Arc::clone(lane), Arc::clone(&self.times), name.clone());
        self.trials.push(Trial::test(name, move || {
            lane.run(|stage| {
                let start = Instant::now();
                let done = test(suite, stage);
                let mut times = times.lock().unwrap_or_else(PoisonError::into_inner);
                times.push((timed, start.elapsed()));
                done.map_err(|error| Failed::from(format!("{error:#}")))
            })
        }));
    }

    /// Returns a suite's first lane and moves it behind the others.
    fn next_lane(&mut self, suite: Suite) -> Option<Arc<Lane<Stage>>> {
        let at = self.lanes.iter().position(|(it, _)| *it == suite)?;
        let lane = self.lanes.remove(at);
        let next = Arc::clone(&lane.1);
        self.lanes.push(lane);
        Some(next)
    }

    /// Adds a test that does not depend on Slurm's release, unless `by_release` named it. A default run has
    /// it on one of those suites, the next in turn; a long run, or a run with a filter on the command line,
    /// on each.
    pub fn add_in_turn(
        &mut self,
        suites: &[Suite],
        name: &str,
        test: impl Fn(Suite, &mut Stage) -> Result<()> + Clone + Send + 'static,
    ) {
        let named = self.by_release.iter_mut().find(|(it, _)| *it == name);
        let places = match named {
            Some((_, has_come)) => {
                *has_come = true;
                0..suites.len()
            }
            None => self.turn(suites.len()),
        };
        self.add_on(&suites[places], name, test);
    }

    /// Selects among equal places for a test that does not depend on them: the next in turn, or all.
    pub fn turn(&mut self, places: usize) -> Range<usize> {
        if self.has_all() || places == 0 {
            return 0..places;
        }
        let place = self.turn % places;
        self.turn += 1;
        self.leave_out(ONE_IN_TURN, places - 1);
        place..place + 1
    }

    /// Adds a test on those suites for long runs, and for runs with a filter on the command line.
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

    /// Runs the tests that the command line selects, drops the stages and ends the program.
    pub fn run(self) -> ! {
        // More threads than lanes: some wait for their lane while others are idle.
        let threads = 3 * self.lanes.len();
        self.run_with(threads)
    }

    /// Runs them one after the other, so that each has the machine to itself.
    pub fn run_in_turn(self) -> ! {
        self.run_with(1)
    }

    fn run_with(self, threads: usize) -> ! {
        for (name, has_come) in &self.by_release {
            assert!(*has_come, "no test \"{name}\"");
        }
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
        drop(self.lanes);
        conclusion.exit()
    }
}

/// Reports to xtask how long each test took. Prints after the run, because with one thread a line of the
/// run may be unfinished while a test runs.
#[allow(clippy::print_stdout, reason = "for the reader of the run's output")]
fn print_times(times: &[(String, Duration)]) {
    for (name, took) in times {
        println!("test-seconds {:.1} {name}", took.as_secs_f64());
    }
}
