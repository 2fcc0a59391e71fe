//! Fuzzing with stable Rust: libFuzzer with the coverage counters of rustc's own LLVM. Without sanitizers,
//! which need nightly, but with debug assertions and overflow checks.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::report::Report;
use crate::run;
use crate::workspace::Workspace;

/// Flags for libFuzzer: count code in inline 8-bit counters, and report comparisons.
const COVERAGE: [&str; 7] = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "--cfg=fuzzing",
    // The linker must discard the counters of code that it discards.
    "-Ccodegen-units=1",
];

/// With an explicit target, cargo does not use the flags for build scripts and procedural macros.
const TARGET: &str = "x86_64-unknown-linux-gnu";

/// Memory limit for one input, in MiB; a login needs no more.
const MEMORY: u32 = 512;
/// Time limit for one input, in seconds.
const SLOWEST: u32 = 2;
/// Number of targets that run in parallel; CI's machines have two processors.
const AT_ONCE: usize = 2;
/// Minimum number of inputs per second; with fewer the run fails.
const SLOWEST_RATE: u64 = 50;

/// Builds the targets once and runs each, or only the named one, for `seconds`.
pub fn gates(workspace: &Workspace, seconds: u32, only: Option<&str>, report: &mut Report) {
    let mut targets = Vec::new();
    let built = report.gate("fuzz: build", || {
        targets = build(workspace)?;
        Ok(format!("{} targets", targets.len()))
    });
    report.gate("fuzz: clippy", || {
        let deny = ["--quiet", "--", "--deny=warnings"];
        run::check(cargo(workspace, "clippy").args(deny)).map(|()| "")
    });
    if !built {
        return report.not_run("fuzz", "the targets were not built");
    }
    let chosen: Vec<_> = targets
        .iter()
        .filter(|(name, _)| only.is_none_or(|it| it == name))
        .collect();
    if chosen.is_empty() {
        report.not_run("fuzz", &format!("no target {}", only.unwrap_or_default()));
    }
    let next = AtomicUsize::new(0);
    let (ended, outcomes) = mpsc::channel();
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            let (ended, next, chosen) = (ended.clone(), &next, &chosen);
            scope.spawn(move || {
                while let Some((name, program)) = chosen.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let start = Instant::now();
                    let outcome = fuzz(workspace, name, program, seconds);
                    // The receiver waits for all senders.
                    let _ = ended.send((name, start.elapsed(), outcome));
                }
            });
        }
        drop(ended);
        for (name, took, outcome) in outcomes {
            report.count(&format!("fuzz: {name}"), took, outcome);
        }
    });
}

/// Builds the targets and returns the name and program of each.
fn build(workspace: &Workspace) -> Result<Vec<(String, PathBuf)>> {
    let json = ["--message-format=json-render-diagnostics"];
    let output = run::output(
        cargo(workspace, "build")
            .args(json)
            .stderr(Stdio::inherit()),
    )?;
    programs(&output)
}

/// Prepares the cargo command that builds the targets.
fn cargo(workspace: &Workspace, verb: &str) -> Command {
    let mut cargo = run::cargo(&workspace.path("fuzz"));
    cargo
        .args([verb, "--release", "--target", TARGET, "--target-dir"])
        .arg(workspace.target("fuzz"))
        .env("CARGO_ENCODED_RUSTFLAGS", COVERAGE.join("\u{1f}"));
    cargo
}

/// Finds the programs in cargo's messages.
fn programs(messages: &str) -> Result<Vec<(String, PathBuf)>> {
    let mut found = Vec::new();
    for line in messages.lines() {
        let message: Value = serde_json::from_str(line).context("parse a message of cargo")?;
        if let (Some(name), Some(program)) = (
            message["target"]["name"].as_str(),
            message["executable"].as_str(),
        ) {
            found.push((name.to_owned(), PathBuf::from(program)));
        }
    }
    ensure!(!found.is_empty(), "cargo built no target");
    found.sort();
    Ok(found)
}

fn fuzz(workspace: &Workspace, name: &str, program: &Path, seconds: u32) -> Result<String> {
    let seeds = workspace.path("fuzz/corpus").join(name);
    let has_seed = fs::read_dir(&seeds)
        .with_context(|| format!("list {}", seeds.display()))?
        .next()
        .is_some();
    ensure!(has_seed, "{} has no seed", seeds.display());
    // libFuzzer writes new inputs to the first directory, so that must not be the repository's.
    let finds = workspace.target("fuzz/corpus").join(name);
    let crashes = workspace.target("fuzz/crashes").join(name);
    for dir in [&finds, &crashes] {
        fs::create_dir_all(dir).with_context(|| format!("make {}", dir.display()))?;
    }
    let output = Command::new(program)
        .arg(format!("-max_total_time={seconds}"))
        .arg(format!("-rss_limit_mb={MEMORY}"))
        .arg(format!("-timeout={SLOWEST}"))
        .arg(format!("-artifact_prefix={}/", crashes.display()))
        .arg("-print_final_stats=1")
        .args([&finds, &seeds])
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("start {}", program.display()))?;
    let log = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        let tail: Vec<&str> = log.lines().rev().take(40).collect();
        let tail: Vec<&str> = tail.into_iter().rev().collect();
        bail!("{}\n{}", output.status, tail.join("\n"));
    }
    judge(&log, seconds)
}

/// Judges a run by its log, because libFuzzer also succeeds if the program has no counters or nothing ran.
fn judge(log: &str, seconds: u32) -> Result<String> {
    let counters = log
        .lines()
        .find_map(|line| line.strip_prefix("INFO: Loaded ")?.split_once('('))
        .and_then(|(_, rest)| rest.split(' ').next()?.parse::<u64>().ok())
        .context("the program has no coverage counters")?;
    let inputs = log
        .lines()
        .find_map(|line| line.strip_prefix("stat::number_of_executed_units:"))
        .and_then(|number| number.trim().parse::<u64>().ok())
        .context("libFuzzer did not say how many inputs it tried")?;
    let least = SLOWEST_RATE * u64::from(seconds);
    ensure!(inputs >= least, "only {inputs} inputs in {seconds} s");
    Ok(format!("{inputs} inputs, {counters} counters"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "INFO: Seed: 1\n\
        INFO: Loaded 1 modules   (1200 inline 8-bit counters): 1200 [0x1, 0x2),\n\
        stat::number_of_executed_units: 90000\n";

    #[test]
    fn a_good_run_passes() {
        assert_eq!(judge(LOG, 5).expect("good"), "90000 inputs, 1200 counters");
    }

    #[test]
    fn a_run_without_counters_or_inputs_fails() {
        for (from, to) in [
            ("INFO: Loaded 1 modules", "INFO: none"),
            ("stat::number", "stat::other"),
            ("90000", "249"),
        ] {
            assert!(judge(&LOG.replace(from, to), 5).is_err(), "{to}");
        }
    }

    #[test]
    fn programs_are_found_among_the_messages() {
        let messages = "{\"reason\":\"compiler-artifact\",\"target\":{\"name\":\"a\"},\
            \"executable\":\"/x/a\"}\n{\"reason\":\"build-finished\",\"success\":true}\n";
        let found = programs(messages).expect("one");
        assert_eq!(found, [(String::from("a"), PathBuf::from("/x/a"))]);
        assert!(programs("{\"reason\":\"build-finished\"}\n").is_err());
        assert!(programs("warning: no JSON\n").is_err());
    }
}
