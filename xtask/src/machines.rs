//! Tests in virtual machines.

use std::path::PathBuf;
use std::process::Command;
use std::thread;

use anyhow::{Context, Result, ensure};

use crate::run;
use crate::runner::{Runner, hear};

impl Runner {
    /// Runs two machines side by side: one with the demo and tests of the clusters (each test program with
    /// a part of its tests' names), and one whose own Debian is the node. One thread of the host emulates
    /// each.
    pub fn machines(&mut self, tests: &[(&str, &str)]) {
        let (first, second) = ("virtual machine", "hosts with systemd");
        let lab = match self.machine(tests) {
            Ok(lab) => lab,
            Err(error) => return self.report.not_run(first, &format!("{error:#}")),
        };
        if let Err(error) = self.test_program("machine") {
            return self.report.not_run(second, &format!("{error:#}"));
        }
        let mut systemd = run::cargo(self.workspace.root());
        systemd.args([
            "test",
            "--no-fail-fast",
            "--package=tests",
            "--test=machine",
        ]);
        let commands = [self.prepare(&lab), self.prepare(&systemd)];
        println!("        {first} and {second}, side by side ...");
        let [one, other] = commands.map(|it| thread::spawn(move || hear(it)));
        for (name, thread) in [(first, one), (second, other)] {
            match thread.join() {
                Ok(run) => self.take(name, run),
                Err(_) => self.report.not_run(name, "a thread panicked"),
            }
        }
    }

    fn machine(&self, tests: &[(&str, &str)]) -> Result<Command> {
        let mut lab = Command::new(self.lab_program());
        lab.args(["vm", "--suite", "forky", "--module"])
            .arg(self.dist_place().module())
            .arg("--dist")
            .arg(self.dist_place().dir());
        for (test, filter) in tests {
            let mut option = self.test_program(test)?.into_os_string();
            option.push(format!("={filter}"));
            lab.arg("--test").arg(option);
        }
        lab.current_dir(self.workspace.root());
        Ok(lab)
    }

    /// Builds that test of the package tests, and returns the path of its program.
    fn test_program(&self, test: &str) -> Result<PathBuf> {
        let mut cargo = run::cargo(self.workspace.root());
        cargo.args([
            "test",
            "--package=tests",
            "--no-run",
            "--message-format=json",
        ]);
        let output = cargo
            .args(["--quiet", "--test", test])
            .output()
            .context("run cargo")?;
        ensure!(
            output.status.success(),
            "cargo test --no-run: {}",
            output.status
        );
        let told = String::from_utf8_lossy(&output.stdout);
        let mut messages = told.lines().filter_map(|it| serde_json::from_str(it).ok());
        let program = messages.find_map(|it: serde_json::Value| {
            let is_it = it["target"]["name"] == test;
            it["executable"]
                .as_str()
                .filter(|_| is_it)
                .map(PathBuf::from)
        });
        program.with_context(|| format!("cargo names no program of the test {test}"))
    }
}
