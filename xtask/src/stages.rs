//! All gates and tests in order, the cheap ones first. ./test runs them.

use std::fs;
use std::process::ExitCode;
use std::time::{Instant, SystemTime};

use anyhow::ensure;
use clap::ValueEnum;

use crate::arch::Arch;
use crate::beside::Beside;
use crate::crates;
use crate::dist;
use crate::docs;
use crate::fuzz;
use crate::long;
use crate::package;
use crate::runner::{Runner, Size};
use crate::session;
use crate::so;
use crate::stage::{Stage, Work};
use crate::workspace::Workspace;

/// Seconds that each fuzz target runs.
const FUZZ_SECONDS: u32 = 4;

/// Runs the chosen stages, or all. With `write`, writes the rows of docs/session.md.
pub fn all(workspace: Workspace, size: Size, write: bool, only: &[Stage]) -> ExitCode {
    let long = match (size == Size::Long)
        .then(|| long::begin(&workspace))
        .transpose()
    {
        Ok(long) => long,
        Err(error) => {
            println!("error: {error:#}");
            return ExitCode::FAILURE;
        }
    };
    let mut runner = Runner::new(workspace, size, long);
    let before = kept_on_host();
    let mut has_session = false;
    let has_beside = size == Size::Default && only.is_empty();
    let mut beside: Option<Beside> = None;
    for stage in Stage::value_variants() {
        if !only.is_empty() && !only.contains(stage) {
            continue;
        }
        if size == Size::Quick && !stage.is_quick() {
            println!("left out by --quick: {}", stage.name());
            continue;
        }
        if has_beside && stage.is_beside() {
            continue;
        }
        if *stage == Stage::Unit && only.is_empty() && size != Size::Quick {
            runner.begin_roots();
        }
        if has_beside && *stage == Stage::Lab {
            beside = begin_beside(&mut runner);
        }
        if *stage >= Stage::Lab {
            runner.finish_roots();
        }
        if *stage == Stage::Vm {
            // The machines take all the time of two processors.
            end_beside(&mut beside, &mut runner);
        }
        has_session |= *stage == Stage::Session;
        runner.stage(*stage);
    }
    close(&mut runner, write || size == Size::Long, has_session);
    runner.report.gate("the host's /run", || {
        let after = kept_on_host();
        ensure!(after == before, "{KEPT} was {before:?}, is {after:?}");
        Ok("")
    });
    runner.report.finish()
}

/// Publishes the results of a long run, and compares the rows of docs/session.md, or writes them with `write`.
fn close(runner: &mut Runner, write: bool, has_session: bool) {
    if let Some(results) = &runner.long {
        let workspace = &runner.workspace;
        runner.report.gate("the long runs' results", || {
            long::publish(workspace, results)
        });
    }
    if has_session || !runner.session_rows.is_empty() {
        let (workspace, rows) = (&runner.workspace, &runner.session_rows);
        runner.report.gate("docs/session.md", || {
            session::compare(workspace, rows, write)
        });
    }
}

/// Starts the stages that need no attention while the clusters' run.
fn begin_beside(runner: &mut Runner) -> Option<Beside> {
    let stages = Stage::value_variants().iter().filter(|it| it.is_beside());
    let names: Vec<String> = stages.map(|it| it.name()).collect();
    match Beside::begin(&runner.workspace, &names) {
        Ok(beside) => Some(beside),
        Err(error) => {
            let reason = format!("{error:#}");
            runner.report.not_run(&names.join(", "), &reason);
            None
        }
    }
}

/// Waits for those stages and takes their results over.
fn end_beside(beside: &mut Option<Beside>, runner: &mut Runner) {
    if let Some(beside) = beside.take() {
        beside.end(&mut runner.report);
    }
}

/// The module's files on this host, which no test may change.
const KEPT: &str = "/run/slurm-adopt";

/// Time when the module last wrote there, if there is anything.
fn kept_on_host() -> Option<SystemTime> {
    fs::metadata(KEPT).and_then(|it| it.modified()).ok()
}

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

impl Runner {
    fn stage(&mut self, stage: Stage) {
        let start = Instant::now();
        match stage.work() {
            Work::Own(run) => run(self),
            Work::Module(title, programs) => {
                if self.has_dist(title) {
                    self.tests(title, &[&["--package=tests"], programs].concat());
                }
            }
            Work::Clusters(title, program) => {
                if self.has_dist(title) && self.has_lab(title) {
                    self.tests(title, &["--package=tests", "--test", program]);
                }
            }
        }
        self.report.stage(&stage.name(), start.elapsed());
    }

    pub fn lock(&mut self) {
        let [host, other] = Arch::ALL.map(Arch::target);
        let fetch = ["fetch", "--quiet", "--locked", "--target", host];
        let all = [&fetch[..], &["--target", other]].concat();
        self.cargo("Cargo.lock", "", &all);
        self.cargo("Cargo.lock: fuzz", "fuzz", &fetch);
    }

    pub fn fmt(&mut self) {
        self.cargo("fmt", "", &["fmt", "--all", "--check"]);
        self.cargo("fmt: fuzz", "fuzz", &["fmt", "--check"]);
    }

    pub fn clippy(&mut self) {
        let all = [
            "clippy",
            "--quiet",
            "--workspace",
            "--all-targets",
            "--features=pam/app",
            "--",
            "--deny=warnings",
        ];
        self.cargo("clippy", "", &all);
    }

    pub fn unit(&mut self) {
        let all = [
            "--workspace",
            "--exclude=lab",
            "--exclude=pamcall",
            "--exclude=tests",
            "--features=pam/app",
        ];
        self.tests("unit tests", &all);
    }

    pub fn docs(&mut self) {
        docs::gates(&self.workspace, &mut self.report);
        let all = [
            "doc",
            "--quiet",
            "--workspace",
            "--no-deps",
            "--features=pam/app",
        ];
        self.cargo("docs: comments", "", &all);
    }

    pub fn dist(&mut self) {
        let what: Vec<_> = self
            .arches()
            .iter()
            .map(|it| (*it, self.parts(*it)))
            .collect();
        let built = dist::build_each(&self.workspace, &what);
        for ((arch, _), dist) in what.iter().zip(built) {
            self.take_dist(*arch, dist);
        }
    }

    pub fn so(&mut self) {
        let arch = Arch::X86_64;
        if self.has_dist_for(arch, &format!("so {arch}")) {
            so::gates(&self.workspace, arch, &mut self.report);
        }
        crates::gates(&self.workspace, &mut self.report);
    }

    pub fn fuzz(&mut self) {
        fuzz::gates(&self.workspace, FUZZ_SECONDS, None, &mut self.report);
    }

    pub fn lab(&mut self) {
        if self.has_lab("lab") {
            self.tests("lab", &["--package=lab"]);
        }
    }

    pub fn loading(&mut self) {
        if self.has_dist("loading") && self.has_lab("loading") {
            let roots = [
                "--package=tests",
                "--test=loading",
                "--test=stacks",
                "root_of_",
            ];
            self.tests("loading", &roots);
            let parsers = ["--package=tests", "--test=parsers", "--test=sshd_config"];
            self.tests("parsers beside Slurm's and sshd's", &parsers);
        }
    }

    pub fn package(&mut self) {
        if self.has_dist("package")
            && self.has_lab("package")
            && package::gates(&self.workspace, &mut self.report)
        {
            let programs = ["--package=tests", "--test=package", "--test=package_rpm"];
            self.tests("package", &programs);
        }
    }

    pub fn vm(&mut self) {
        if self.has_dist("virtual machine") && self.has_lab("virtual machine") {
            self.machines(&IN_MACHINE);
        }
    }
}
