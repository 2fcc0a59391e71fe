//! Counts gates and tests, and prints the summary.

use std::fmt::Display;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::counts::Counts;

/// Lines that test programs printed of single tests.
#[derive(Debug, Clone, Copy, Default)]
pub struct Told<'a> {
    /// Name of each failed test, with what it said.
    pub failed: &'a [String],
    /// Name of each ignored test, with the reason.
    pub ignored: &'a [String],
}

/// Results of gates and tests so far.
#[derive(Debug)]
pub struct Report {
    passed: u32,
    failures: Vec<String>,
    failed: u32,
    ignored: Vec<String>,
    left_out: Vec<String>,
    stages: Vec<(String, Duration)>,
    tests: Vec<(f64, String)>,
    begun: Instant,
    ci: bool,
}

impl Report {
    /// Makes an empty report. If CI is set, an ignored test counts as failed.
    pub fn new() -> Self {
        let ci = std::env::var_os("CI").is_some_and(|it| !it.is_empty() && it != "false");
        Self {
            passed: 0,
            failures: Vec::new(),
            failed: 0,
            ignored: Vec::new(),
            left_out: Vec::new(),
            stages: Vec::new(),
            tests: Vec::new(),
            begun: Instant::now(),
            ci,
        }
    }

    /// Runs one gate and counts it; the gate's text says what it found.
    pub fn gate<T: Display>(&mut self, name: &str, gate: impl FnOnce() -> Result<T>) -> bool {
        let start = Instant::now();
        let result = gate();
        self.count(name, start.elapsed(), result)
    }

    /// Counts one gate that has already run.
    pub fn count<T: Display>(&mut self, name: &str, took: Duration, result: Result<T>) -> bool {
        let seconds = took.as_secs_f64();
        match result {
            Ok(found) => {
                println!("ok      {name} ({seconds:.1} s) {found}");
                self.passed += 1;
                true
            }
            Err(error) => {
                println!("FAILED  {name} ({seconds:.1} s) {error:#}");
                self.failures.push(name.to_owned());
                self.failed += 1;
                false
            }
        }
    }

    /// Counts the tests of one stage; `told` has a line for each failed test, and one with the reason for each ignored one.
    /// The whole stage fails if its program failed without a failed test, or ran no test.
    pub fn tests(
        &mut self,
        name: &str,
        took: Duration,
        outcome: Result<()>,
        counts: Counts,
        told: Told<'_>,
    ) -> bool {
        let seconds = took.as_secs_f64();
        let mut good = counts.failed == 0;
        self.passed += counts.passed;
        self.failed += counts.failed;
        // What passes may print such lines too.
        let most = usize::try_from(counts.failed).unwrap_or(usize::MAX);
        let named = told.failed.iter().take(most);
        let unnamed = most - named.len();
        self.failures
            .extend(named.map(|it| format!("{name}: {it}")));
        if unnamed > 0 {
            self.failures.push(format!("{name}: {unnamed} unnamed"));
        }
        let summary = format!(
            "{} passed, {} failed, {} ignored",
            counts.passed, counts.failed, counts.ignored
        );
        let trouble = match outcome {
            Err(error) => Some(format!("{error:#}")),
            Ok(()) if counts == Counts::default() => Some(String::from("it ran no test")),
            Ok(()) => None,
        };
        if let Some(trouble) = trouble {
            if counts.failed == 0 {
                self.failures.push(format!("{name}: {trouble}"));
                self.failed += 1;
            }
            good = false;
            println!("FAILED  {name} ({seconds:.1} s) {summary}: {trouble}");
        } else {
            let word = if good { "ok     " } else { "FAILED " };
            println!("{word} {name} ({seconds:.1} s) {summary}");
        }
        good & self.ignore(name, counts.ignored, told.ignored)
    }

    fn ignore(&mut self, name: &str, count: u32, lines: &[String]) -> bool {
        for line in lines {
            println!("ignored {name}: {line}");
            self.ignored.push(format!("{name}: {line}"));
        }
        // Other test programs may count ignored tests without listing them.
        let listed = u32::try_from(lines.len()).unwrap_or(u32::MAX);
        for _ in listed..count {
            self.ignored.push(format!("{name}: no reason given"));
        }
        if self.ci && count > 0 {
            self.failed += count;
            self.failures
                .push(format!("{name}: {count} ignored, which CI does not allow"));
            return false;
        }
        true
    }

    /// Counts a failure of something that could not start.
    pub fn not_run(&mut self, name: &str, reason: &str) {
        println!("FAILED  {name} (not run) {reason}");
        self.failures.push(format!("{name}: {reason}"));
        self.failed += 1;
    }

    /// Records how long a stage took.
    pub fn stage(&mut self, name: &str, took: Duration) {
        println!("        {name}: {:.0} s", took.as_secs_f64());
        self.stages.push((name.to_owned(), took));
    }

    /// Records how long each of a stage's tests took.
    pub fn times(&mut self, stage: &str, times: Vec<(f64, String)>) {
        let times = times.into_iter();
        self.tests
            .extend(times.map(|(took, test)| (took, format!("{stage}: {test}"))));
    }

    /// Records what a stage leaves to long runs.
    pub fn left_out(&mut self, stage: &str, what: Vec<String>) {
        self.left_out
            .extend(what.into_iter().map(|it| format!("{stage}: {it}")));
    }

    /// Adds the results of another run of this program, by the closing lines of its output; returns how many failed.
    pub fn take_over(&mut self, output: &str) -> Result<u32> {
        let closing = output.lines().rev().find_map(totals);
        let (passed, failed) = closing.context("it did not print how many passed")?;
        self.passed += passed;
        self.failed += failed;
        let mut lines = output.lines().skip_while(|line| *line != CLOSING);
        lines.next();
        for line in lines {
            if let Some(failure) = line.strip_prefix(FAILED) {
                self.failures.push(failure.to_owned());
            } else if let Some(ignored) = line.strip_prefix(IGNORED) {
                self.ignored.push(ignored.to_owned());
            } else if let Some(left_out) = line.strip_prefix(LEFT_OUT) {
                self.left_out.push(left_out.to_owned());
            } else if let Some((seconds, what)) = time(line) {
                match what.strip_prefix(SLOW) {
                    Some(test) => self.tests.push((seconds, test.to_owned())),
                    None if what == ALL => {}
                    None => {
                        let took = Duration::try_from_secs_f64(seconds).unwrap_or_default();
                        self.stages.push((format!("{what}, beside others"), took));
                    }
                }
            }
        }
        Ok(failed)
    }

    /// Prints the times of the stages and the slowest tests, what was left out, ignored or failed, and last
    /// the numbers of passed and failed.
    pub fn finish(mut self) -> ExitCode {
        self.print_times();
        for line in &self.left_out {
            println!("{LEFT_OUT}{line}");
        }
        for line in &self.ignored {
            println!("{IGNORED}{line}");
        }
        for line in &self.failures {
            println!("{FAILED}{line}");
        }
        if self.passed + self.failed == 0 {
            println!("{FAILED}nothing ran");
        }
        println!("{} passed, {} failed", self.passed, self.failed);
        if self.failed == 0 && self.passed > 0 {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        }
    }

    fn print_times(&mut self) {
        println!("{CLOSING}");
        for (name, took) in &self.stages {
            println!("{:>7.1} s  {name}", took.as_secs_f64());
        }
        println!("{:>7.1} s  {ALL}", self.begun.elapsed().as_secs_f64());
        self.tests.sort_by(|(a, _), (b, _)| b.total_cmp(a));
        for (took, test) in self.tests.iter().take(SLOWEST) {
            println!("{took:>7.1} s  {SLOW}{test}");
        }
    }
}

/// Parses `12 passed, 3 failed`.
fn totals(line: &str) -> Option<(u32, u32)> {
    let (passed, failed) = line.strip_suffix(" failed")?.split_once(" passed, ")?;
    Some((passed.parse().ok()?, failed.parse().ok()?))
}

/// Parses `   12.5 s  what`.
fn time(line: &str) -> Option<(f64, &str)> {
    let (seconds, what) = line.trim_start().split_once(" s  ")?;
    Some((seconds.parse().ok()?, what))
}

/// Parts of the closing lines, as they are printed and as they are read.
const CLOSING: &str = "closing report";
const FAILED: &str = "failed: ";
const IGNORED: &str = "ignored: ";
const LEFT_OUT: &str = "left out: ";
const SLOW: &str = "slow test: ";
const ALL: &str = "in all";
/// Number of slowest tests that the report names.
const SLOWEST: usize = 10;

#[cfg(test)]
mod tests {
    use anyhow::bail;

    use super::*;

    fn report(ci: bool) -> Report {
        Report {
            ci,
            ..Report::new()
        }
    }

    #[test]
    fn takes_over_what_another_run_counted() {
        let output = "FAILED  fuzz (1.0 s) failed: x\n\
            closing report\n   12.5 s  fuzz\n   20.0 s  in all\n    7.5 s  slow test: vm: a\n\
            left out: b\nignored: c\nfailed: fuzz: d\n41 passed, 2 failed\n";
        let mut report = report(false);
        report.stage("lab", Duration::from_secs(3));
        assert_eq!(report.take_over(output).expect("totals"), 2);
        assert_eq!((report.passed, report.failed), (41, 2));
        assert_eq!(report.failures, ["fuzz: d"]);
        assert_eq!(report.ignored, ["c"]);
        assert_eq!(report.left_out, ["b"]);
        assert_eq!(report.tests, [(7.5, String::from("vm: a"))]);
        let beside = Duration::from_millis(12_500);
        assert_eq!(
            report.stages[1],
            (String::from("fuzz, beside others"), beside)
        );
        assert_eq!(report.stages.len(), 2);
    }

    #[test]
    fn a_run_that_broke_off_is_not_taken_over() {
        assert!(report(false).take_over("ok      fuzz (1.0 s)\n").is_err());
    }

    #[test]
    fn a_failed_gate_fails_the_run() {
        let mut report = report(false);
        assert!(report.gate("good", || Ok("fine")));
        assert!(!report.gate("bad", || -> Result<String> { bail!("broken") }));
        assert_eq!((report.passed, report.failed), (1, 1));
        assert_eq!(report.finish(), ExitCode::FAILURE);
    }

    #[test]
    fn a_run_of_nothing_fails() {
        assert_eq!(report(false).finish(), ExitCode::FAILURE);
    }

    #[test]
    fn a_stage_without_tests_fails() {
        let mut report = report(false);
        assert!(!report.tests(
            "none",
            Duration::ZERO,
            Ok(()),
            Counts::default(),
            Told::default()
        ));
        assert_eq!(report.failed, 1);
    }

    #[test]
    fn a_crash_counts_once_beside_the_tests_that_ran() {
        let mut report = report(false);
        let counts = Counts {
            passed: 2,
            failed: 0,
            ignored: 0,
        };
        let crash = Err(anyhow::anyhow!("signal 11"));
        assert!(!report.tests("crash", Duration::ZERO, crash, counts, Told::default()));
        assert_eq!((report.passed, report.failed), (2, 1));
    }

    #[test]
    fn failed_tests_are_counted_once() {
        let mut report = report(false);
        let counts = Counts {
            passed: 2,
            failed: 3,
            ignored: 0,
        };
        let exit = Err(anyhow::anyhow!("exit status: 101"));
        let failed = [String::from("a | why"), String::from("b")];
        let told = Told {
            failed: &failed,
            ignored: &[],
        };
        assert!(!report.tests("tests", Duration::ZERO, exit, counts, told));
        assert_eq!((report.passed, report.failed), (2, 3));
        assert_eq!(
            report.failures,
            ["tests: a | why", "tests: b", "tests: 1 unnamed"]
        );
    }

    #[test]
    fn ignored_tests_fail_in_ci_alone() {
        let counts = Counts {
            passed: 1,
            failed: 0,
            ignored: 2,
        };
        let ignored = [String::from("a: no root")];
        let printed = [String::from("no failure")];
        let told = Told {
            failed: &printed,
            ignored: &ignored,
        };
        let mut local = report(false);
        assert!(local.tests("stage", Duration::ZERO, Ok(()), counts, told));
        assert_eq!((local.failed, local.ignored.len()), (0, 2));
        assert!(local.failures.is_empty(), "what passes fails nothing");
        let mut ci = report(true);
        assert!(!ci.tests("stage", Duration::ZERO, Ok(()), counts, told));
        assert_eq!(ci.failed, 2);
    }
}
