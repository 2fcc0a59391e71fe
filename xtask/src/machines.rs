//! Tests in virtual machines.

use std::path::PathBuf;
use std::process::Command;
use std::thread::{self, JoinHandle};

use anyhow::{Context, Result, ensure};

use crate::run;
use crate::runner::{Run, Runner, hear};

const FIRST: &str = "virtual machine";
const SECOND: &str = "hosts with systemd";

/// Test programs, each with a part of its tests' names, for the machine with cgroup v2 and the newest
/// Slurm, which gives a job's directory there a random name. They select the tests that look into cgroups;
/// e2e selects its own.
const IN_MACHINE: [(&str, &str); 5] = [
    ("finding", "26.05/a service that changes"),
    ("session", "26.05/a suspended job is passed over"),
    (
        "inside",
        "26.05/no namespaces: limits=job gives the job's limits",
    ),
    (
        "status",
        "26.05/each login is shown in the job that holds it",
    ),
    ("e2e", ""),
];

/// Machines that run beside other stages.
pub struct Machines([(&'static str, JoinHandle<Run>); 2]);

impl Runner {
    /// Starts the two machines of the stage `vm`: one with the demo and tests of the clusters, and one whose own
    /// Debian is the node. One thread of the host emulates each; clusters, beside which they run, mostly wait.
    pub fn begin_vm(&mut self) {
        if !self.has_dist(FIRST) || !self.has_lab(FIRST) {
            return;
        }
        let commands = self
            .machine(&IN_MACHINE)
            .and_then(|lab| Ok([lab, Command::new(self.test_program("machine")?)]));
        self.machines = Some(commands.map(|commands| {
            let [lab, systemd] = commands.map(|it| {
                let command = self.prepare(&it);
                thread::spawn(move || hear(command))
            });
            Machines([(FIRST, lab), (SECOND, systemd)])
        }));
    }

    /// Waits for the machines, which start now unless they run, and counts their tests.
    pub fn vm(&mut self) {
        if self.machines.is_none() {
            self.begin_vm();
        }
        println!("        {FIRST} and {SECOND}, side by side ...");
        match self.machines.take() {
            Some(Ok(Machines(machines))) => {
                for (name, thread) in machines {
                    match thread.join() {
                        Ok(run) => self.take(name, run),
                        Err(_) => self.report.not_run(name, "a thread panicked"),
                    }
                }
            }
            Some(Err(error)) => self.report.not_run(FIRST, &format!("{error:#}")),
            None => {}
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
