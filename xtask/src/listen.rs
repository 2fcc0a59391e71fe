//! Runs a test program: passes its output on, counts its tests and limits its time.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{ChildStdout, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::counts::Counts;
use crate::run;
use crate::session;

/// Wraps a command so that it ends, with everything that it started, after `minutes` or when we end.
pub fn limited(command: &Command, minutes: u32) -> Command {
    let mut limited = Command::new("setpriv");
    limited
        .args(["--pdeathsig", "TERM", "timeout", "--kill-after=20"])
        .arg(format!("{minutes}m"))
        .arg(command.get_program())
        .args(command.get_args());
    if let Some(dir) = command.get_current_dir() {
        limited.current_dir(dir);
    }
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => limited.env(name, value),
            None => limited.env_remove(name),
        };
    }
    limited
}

/// Reports collected from the output of test programs.
#[derive(Debug, Default)]
pub struct Heard {
    /// Totals of all programs.
    pub counts: Counts,
    /// `name: reason` of each ignored test.
    pub ignored: Vec<String>,
    /// Rows for docs/session.md, in JSON.
    pub session_rows: Vec<String>,
    /// Seconds and name of each test that reported its time.
    pub times: Vec<(f64, String)>,
    /// Parts that this run leaves to long runs, one line each.
    pub left_out: Vec<String>,
    /// Each failed test with the beginning of what it said.
    pub failed: Vec<String>,
    /// Whether the lines that come are those of the last of them.
    in_failed: bool,
}

impl Heard {
    fn line(&mut self, line: &str) {
        self.failed_test(line);
        if let Some(counts) = Counts::parse(line) {
            self.counts.add(counts);
        } else if let Some(ignored) = ignored_test(line) {
            self.ignored.push(ignored);
        } else if let Some(row) = session::told(line) {
            self.session_rows.push(row.to_owned());
        } else if let Some(time) = test_seconds(line) {
            self.times.push(time);
        } else if let Some((_, what)) = line.split_once("left out: ") {
            // With one thread, this follows the name of the test.
            self.left_out.push(what.trim_end().to_owned());
        }
    }

    /// Reads what a test program prints of its failures, each below a line `---- name ----`, or `---- name stdout ----`.
    fn failed_test(&mut self, line: &str) {
        let title = line
            .strip_prefix("---- ")
            .and_then(|it| it.strip_suffix(" ----"));
        if let Some(title) = title {
            let name = title.strip_suffix(" stdout").unwrap_or(title);
            self.failed.push(name.to_owned());
            self.in_failed = true;
        } else if ["failures:", "stack backtrace:"].contains(&line) {
            self.in_failed = false;
        } else if let (true, Some(failed)) = (self.in_failed, self.failed.last_mut()) {
            if failed.len() < LONGEST_FAILURE && !line.trim().is_empty() {
                failed.push_str(" | ");
                failed.extend(line.trim().chars().take(LONGEST_FAILURE));
            }
        }
    }
}

/// Number of bytes after which no more lines of a failed test are kept.
const LONGEST_FAILURE: usize = 600;

/// Parses `test-seconds 1.5 name`, which `tests::Matrix` prints.
fn test_seconds(line: &str) -> Option<(f64, String)> {
    let (seconds, name) = line.strip_prefix("test-seconds ")?.split_once(' ')?;
    Some((seconds.parse().ok()?, name.trim_end().to_owned()))
}

/// Parses `test name ... ignored, reason`.
fn ignored_test(line: &str) -> Option<String> {
    let (name, rest) = line.strip_prefix("test ")?.split_once(" ... ignored")?;
    let reason = rest.trim_start_matches([',', ' ']).trim_end();
    let reason = if reason.is_empty() {
        "no reason given"
    } else {
        reason
    };
    Some(format!("{}: {reason}", name.trim_end()))
}

/// Runs the command, passes its output on, and collects what it reports about tests.
pub fn listen(command: &mut Command, heard: &mut Heard) -> Result<()> {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("start {}", run::describe(command)))?;
    let stdout = child.stdout.take().context("its stdout is a pipe")?;
    let lines = lines_of(stdout);
    let mut ended = None;
    let closed = loop {
        match lines.recv_timeout(TICK) {
            Ok(line) => {
                // The output of tests need not be UTF-8.
                let text = String::from_utf8_lossy(&line);
                let text = text.trim_end_matches('\n');
                println!("{text}");
                heard.line(text);
            }
            Err(RecvTimeoutError::Disconnected) => break true,
            Err(RecvTimeoutError::Timeout) => {}
        }
        if ended.is_none()
            && child
                .try_wait()
                .context("ask whether it has ended")?
                .is_some()
        {
            ended = Some(Instant::now());
        }
        if ended.is_some_and(|when: Instant| when.elapsed() > GRACE) {
            break false;
        }
    };
    let status = child
        .wait()
        .with_context(|| format!("wait for {}", run::describe(command)))?;
    // timeout(1)
    ensure!(status.code() != Some(124), "not done in time");
    ensure!(status.success(), "{}: {status}", program_of(command));
    ensure!(closed, "{}: what it started lives on", program_of(command));
    Ok(())
}

/// Receives the lines as they come. A thread reads them, because a daemon that a test left behind may keep
/// the pipe open for ever.
fn lines_of(stdout: ChildStdout) -> Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut lines = BufReader::new(stdout);
        let mut line = Vec::new();
        while lines
            .read_until(b'\n', &mut line)
            .is_ok_and(|length| length > 0)
        {
            if sender.send(std::mem::take(&mut line)).is_err() {
                return;
            }
        }
    });
    receiver
}

/// Interval between two checks whether the program has ended.
const TICK: Duration = Duration::from_millis(100);
/// Time that its output may stay open after its end.
const GRACE: Duration = Duration::from_secs(5);

/// Name and arguments of the program behind setpriv and timeout.
fn program_of(command: &Command) -> String {
    let words: Vec<_> = command
        .get_args()
        .skip(5)
        .map(|it| it.to_string_lossy())
        .collect();
    let first = words
        .first()
        .map(|it| Path::new(it.as_ref()).file_name().unwrap_or_default());
    let first = first
        .map(|it| it.to_string_lossy().into_owned())
        .unwrap_or_default();
    format!("{first} {}", words.get(1..).unwrap_or_default().join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn tests_are_counted_and_reasons_kept() {
        let mut heard = Heard::default();
        let script = "echo 'test a ... ok'; echo 'test b ... ignored, no root'; \
                      echo 'test c ... ignored'; \
                      echo 'test result: ok. 1 passed; 0 failed; 2 ignored; 0 measured'; \
                      echo 'test-seconds 1.5 24.11/d e'; echo 'test e ... left out: 3 rows run with --long'; \
                      echo 'test result: ok. 4 passed; 0 failed; 0 ignored; 0 measured'";
        listen(&mut limited(&shell(script), 1), &mut heard).expect("exit status 0");
        assert_eq!(
            heard.counts,
            Counts {
                passed: 5,
                failed: 0,
                ignored: 2
            }
        );
        assert_eq!(heard.ignored, ["b: no root", "c: no reason given"]);
        assert_eq!(heard.times, [(1.5, "24.11/d e".to_owned())]);
        assert_eq!(heard.left_out, ["3 rows run with --long"]);
    }

    #[test]
    fn failed_tests_are_told_with_what_they_said() {
        let mut heard = Heard::default();
        for line in [
            "test a b ... FAILED",
            "failures:",
            "",
            "---- a b ----",
            "no job",
            "",
            "  of alice",
            "",
            "---- c::d stdout ----",
            "thread 'c::d' panicked at x.rs:1:2:",
            "stack backtrace:",
            "   0: std",
            "failures:",
            "    a b",
        ] {
            heard.line(line);
        }
        assert_eq!(
            heard.failed,
            [
                "a b | no job | of alice",
                "c::d | thread 'c::d' panicked at x.rs:1:2:"
            ]
        );
    }

    #[test]
    fn a_failing_program_is_named() {
        let outcome = listen(&mut limited(&shell("exit 7"), 1), &mut Heard::default());
        let error = outcome.expect_err("exit status 7").to_string();
        assert_eq!(error, "sh -c exit 7: exit status: 7");
    }

    #[test]
    fn a_program_that_hangs_is_ended() {
        let mut command = limited(&shell("sleep 100 & sleep 100"), 0);
        let argument = command
            .get_args()
            .position(|it| it == "0m")
            .expect("the limit");
        let args: Vec<_> = command.get_args().map(ToOwned::to_owned).collect();
        command = Command::new("setpriv");
        command
            .args(&args[..argument])
            .arg("0.2")
            .args(&args[argument + 1..]);
        let error = listen(&mut command, &mut Heard::default())
            .expect_err("ended")
            .to_string();
        assert!(error.starts_with("not done in time"), "{error}");
    }

    #[test]
    fn a_daemon_left_behind_is_noticed() {
        let mut heard = Heard::default();
        let command = shell("setsid sleep 8 & echo 'test a ... ignored, b'");
        let error = listen(&mut limited(&command, 1), &mut heard).expect_err("a sleep is left");
        assert!(
            error.to_string().ends_with("what it started lives on"),
            "{error}"
        );
        assert_eq!(heard.ignored, ["a: b"]);
    }

    #[test]
    fn its_surroundings_stay() {
        let mut command = shell("test $PWD:$GIVEN:${CARGO_MANIFEST_DIR-none} = /:x:none");
        command.current_dir("/").env("GIVEN", "x");
        command.env_remove("CARGO_MANIFEST_DIR");
        listen(&mut limited(&command, 1), &mut Heard::default()).expect("the same surroundings");
    }

    #[test]
    fn stdin_is_empty() {
        listen(
            &mut limited(&shell("! read line"), 1),
            &mut Heard::default(),
        )
        .expect("no line");
    }
}
