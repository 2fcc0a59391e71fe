//! All gates and tests in order, the cheap ones first: what ./test runs.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;

use crate::arch::Arch;
use crate::budgets;
use crate::debian::Debian;
use crate::dist::{self, Dist};
use crate::docs;
use crate::fuzz;
use crate::licences;
use crate::listen::{Heard, limited, listen};
use crate::long;
use crate::report::{Counts, Report};
use crate::rooms;
use crate::run;
use crate::sanitize;
use crate::session;
use crate::so;
use crate::workspace::Workspace;

/// One group of gates or tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Stage {
    /// Cargo.lock is complete
    Lock,
    /// Foreign crates' licences and sources
    Licences,
    /// cargo fmt
    Fmt,
    /// `unsafe` in its two rooms only
    Unsafe,
    /// cargo clippy without a warning
    Clippy,
    /// Unit tests of the crates and of xtask
    Unit,
    /// Option tables and links
    Docs,
    /// Build the module for old hosts, for each architecture
    Dist,
    /// What the module needs, exports and weighs
    So,
    /// Instruction counts of the pure parts
    Budgets,
    /// Return codes, with a PAM directory of our own
    Retval,
    /// Unit tests and return codes under AddressSanitizer, return codes under valgrind
    Sanitize,
    /// Unit tests, and the module loaded, for aarch64: an emulated processor
    Aarch64,
    /// Decoders on made-up bytes
    Fuzz,
    /// The lab's own tests: clusters
    Lab,
    /// The module loaded in each of the lab's roots; host lists and slurm.conf beside Slurm's own parser
    Loading,
    /// Our module and SchedMD's in the same cases: clusters
    Compliance,
    /// slurm.conf and the node's name, read by both modules: clusters
    Finding,
    /// Which job a login comes from: clusters of three nodes
    Callerid,
    /// Steps of two releases on one node: clusters
    Mixed,
    /// What a login finds inside its job, namespaces, X11 and limits: clusters
    Inside,
    /// Where a login ends up, by its method and the lines of the PAM stack: clusters
    Session,
    /// What users try who mean no good: a cluster
    Hostile,
    /// Faults of the daemons, the node and the process: clusters
    Faults,
    /// ssh into jobs: clusters
    E2e,
    /// Many logins at once while jobs and daemons come and go: a cluster
    Load,
    /// Whole machines with systemd: QEMU
    Vm,
}

/// Seconds that each fuzz target runs.
const FUZZ_SECONDS: u32 = 10;
/// Unit tests that qemu cannot run, and why. They run on the host as all others do.
const NOT_EMULATED: [(&str, &str); 6] = [
    (
        "namespace::tests::knows_namespaces_from_other_files",
        "qemu-user has no ioctl NS_GET_NSTYPE",
    ),
    (
        "namespace::tests::takes_one_descriptor_and_loses_none",
        "qemu-user has no ioctl NS_GET_NSTYPE",
    ),
    (
        "proxy::tests::another_process_does_it_in_the_same_memory",
        "qemu-user has no clone(2) with CLONE_VM alone",
    ),
    (
        "proxy::tests::it_leaves_nothing_behind",
        "qemu-user has no clone(2) with CLONE_VM alone",
    ),
    (
        "adoption::suspended::tests::nobody_asks_again_after_a_process_that_ended",
        "qemu-user has no clone(2) with CLONE_VM alone",
    ),
    (
        "proxy::tests::a_panic_is_an_error",
        "qemu-user has no clone(2) with CLONE_VM alone",
    ),
];
/// Return-code tests that run under valgrind too, where a call takes a second: to the end, to the
/// wall, and not at all.
const UNDER_VALGRIND: [&str; 3] = [
    "a_panic_is_a_generic_failure_and_the_host_lives",
    "nobody_has_a_job_where_nothing_runs",
    "root_passes_before_anything_can_fail",
];
/// Minutes after which a stage is ended and has failed.
const LONGEST: u32 = 25;
/// The same of a long run.
const LONGEST_OF_LONG: u32 = 240;

/// How much is to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    /// Without what starts clusters and machines.
    Quick,
    /// Everything, the long runs in a small form.
    Default,
    /// The long runs in full, and their results into docs/reliability.md.
    Long,
}

/// The stages chosen, or all. `write`: rows for docs/session.md are put there.
pub fn all(workspace: Workspace, size: Size, write: bool, only: &[Stage]) -> ExitCode {
    let mut runner = Runner {
        long: (size == Size::Long).then(|| long::begin(&workspace)),
        workspace,
        report: Report::new(),
        dist: [None; Arch::ALL.len()],
        lab: None,
        session_rows: Vec::new(),
    };
    let before = kept_on_host();
    let mut has_session = false;
    for stage in Stage::value_variants() {
        if !only.is_empty() && !only.contains(stage) {
            continue;
        }
        if size == Size::Quick && *stage >= Stage::Lab {
            println!("left out by --quick: {stage:?}");
            continue;
        }
        has_session |= *stage == Stage::Session;
        runner.stage(*stage);
    }
    if let Some(results) = &runner.long {
        let workspace = &runner.workspace;
        runner.report.gate("the long runs' results", || {
            long::publish(workspace, results)
        });
    }
    if has_session || !runner.session_rows.is_empty() {
        let (workspace, rows) = (&runner.workspace, &runner.session_rows);
        let write = write || size == Size::Long;
        runner.report.gate("docs/session.md", || {
            session::compare(workspace, rows, write)
        });
    }
    runner.report.gate("the host's /run", || {
        let after = kept_on_host();
        ensure!(after == before, "{KEPT} was {before:?}, is {after:?}");
        Ok("")
    });
    runner.report.finish()
}

/// What the module keeps, on this host: no test may change it.
const KEPT: &str = "/run/slurm-adopt";

/// When the module last wrote there, if it has; none: there is nothing.
fn kept_on_host() -> Option<SystemTime> {
    fs::metadata(KEPT).and_then(|it| it.modified()).ok()
}

struct Runner {
    /// Of a long run: where its results go.
    long: Option<PathBuf>,
    workspace: Workspace,
    report: Report,
    /// Built at most once; `Some(false)`: could not be. In the order of the architectures.
    dist: [Option<bool>; Arch::ALL.len()],
    lab: Option<bool>,
    /// As the tests told them.
    session_rows: Vec<String>,
}

impl Runner {
    fn stage(&mut self, stage: Stage) {
        match stage {
            Stage::Lock => {
                let [host, other] = Arch::ALL.map(Arch::target);
                let fetch = ["fetch", "--quiet", "--locked", "--target", host];
                let all = [&fetch[..], &["--target", other]].concat();
                self.cargo("Cargo.lock", "", &all);
                self.cargo("Cargo.lock: fuzz", "fuzz", &fetch);
            }
            Stage::Licences => licences::gates(&self.workspace, &mut self.report),
            Stage::Fmt => {
                self.cargo("fmt", "", &["fmt", "--all", "--check"]);
                self.cargo("fmt: fuzz", "fuzz", &["fmt", "--check"]);
            }
            Stage::Unsafe => {
                rooms::gate(&self.workspace, &mut self.report);
                rooms::order_gate(&self.workspace, &mut self.report);
            }
            Stage::Clippy => {
                let all = [
                    "--workspace",
                    "--all-targets",
                    "--features=pam/app,pam/static-unwinder",
                ];
                self.clippy("clippy", &all);
            }
            Stage::Unit => {
                let all = ["--workspace", "--exclude=lab", "--exclude=tests"];
                self.tests("unit tests", &[&all[..], &["--features=pam/app"]].concat());
            }
            Stage::Docs => {
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
            Stage::Dist => {
                for arch in Arch::ALL {
                    self.need_dist(arch);
                }
            }
            Stage::So => {
                for arch in Arch::ALL {
                    if self.has_dist_for(arch, &format!("so {arch}")) {
                        so::gates(&self.workspace, arch, &mut self.report);
                    }
                }
                so::source_gates(&self.workspace, &mut self.report);
            }
            Stage::Budgets => budgets::gates(&self.workspace, &mut self.report),
            Stage::Retval => {
                if self.has_dist("return codes") {
                    self.tests(
                        "return codes",
                        &[
                            "--package=tests",
                            "--test=retval",
                            "--test=so",
                            "--test=stacks",
                            "--",
                            "--skip=root_of_",
                        ],
                    );
                }
            }
            Stage::Sanitize => self.sanitize(),
            Stage::Aarch64 => self.aarch64(),
            Stage::Fuzz => {
                fuzz::gates(&self.workspace, FUZZ_SECONDS, None, &mut self.report);
            }
            Stage::Lab => {
                if self.has_lab("lab") {
                    self.tests("lab", &["--package=lab"]);
                }
            }
            Stage::Loading => {
                if self.has_dist("loading") && self.has_lab("loading") {
                    let roots = [
                        "--package=tests",
                        "--test=loading",
                        "--test=stacks",
                        "root_of_",
                    ];
                    self.tests("loading", &roots);
                    let parsers = ["--package=tests", "--test=parsers"];
                    self.tests("parsers beside Slurm's", &parsers);
                }
            }
            Stage::Compliance => {
                if self.has_dist("compliance") && self.has_lab("compliance") {
                    self.tests("compliance", &["--package=tests", "--test=compliance"]);
                }
            }
            Stage::Finding => {
                if self.has_dist("finding the node") && self.has_lab("finding the node") {
                    self.tests("finding the node", &["--package=tests", "--test=finding"]);
                }
            }
            Stage::Callerid => {
                if self.has_dist("caller ID") && self.has_lab("caller ID") {
                    self.tests("caller ID", &["--package=tests", "--test=callerid"]);
                }
            }
            Stage::Mixed => {
                if self.has_dist("mixed versions") && self.has_lab("mixed versions") {
                    self.tests("mixed versions", &["--package=tests", "--test=mixed"]);
                }
            }
            Stage::Inside => {
                if self.has_dist("inside the job") && self.has_lab("inside the job") {
                    self.tests("inside the job", &["--package=tests", "--test=inside"]);
                }
            }
            Stage::Session => {
                if self.has_dist("session") && self.has_lab("session") {
                    self.tests("session", &["--package=tests", "--test=session"]);
                }
            }
            Stage::Hostile => {
                if self.has_dist("hostile users") && self.has_lab("hostile users") {
                    self.tests("hostile users", &["--package=tests", "--test=hostile"]);
                }
            }
            Stage::Faults => {
                if self.has_dist("faults") && self.has_lab("faults") {
                    self.tests("faults", &["--package=tests", "--test=faults"]);
                }
            }
            Stage::E2e => {
                if self.has_dist("end to end") && self.has_lab("end to end") {
                    self.tests("end to end", &["--package=tests", "--test=e2e"]);
                }
            }
            Stage::Load => {
                if self.has_dist("load") && self.has_lab("load") {
                    self.tests("load", &["--package=tests", "--test=load"]);
                }
            }
            Stage::Vm => {
                if self.has_dist("virtual machine") && self.has_lab("virtual machine") {
                    self.machine();
                    // The newest Slurm, whose cgroup/v2 names a job's directory by chance. Of finding the node what
                    // looks into cgroups: the rest is the same there, and took six minutes.
                    self.machine_tests("finding", "26.05/a service that changes");
                    self.machine_tests("e2e", "26.05/");
                    let systemd = ["--package=tests", "--test=machine"];
                    self.tests("hosts with systemd", &systemd);
                }
            }
        }
    }

    /// One gate that is cargo, in a directory of the repository.
    fn cargo(&mut self, name: &str, dir: &str, arguments: &[&str]) {
        let dir = self.workspace.path(dir);
        self.report.gate(name, || {
            let mut cargo = run::cargo(&dir);
            // Of rustdoc alone: a dead link in a comment is an error.
            cargo.args(arguments).env("RUSTDOCFLAGS", "--deny=warnings");
            run::check(&mut cargo).map(|()| run::describe(&cargo))
        });
    }

    fn clippy(&mut self, name: &str, what: &[&str]) {
        let deny = ["--", "--deny=warnings"];
        self.cargo(name, "", &[&["clippy", "--quiet"], what, &deny].concat());
    }

    /// Whether there is a module for the lab's nodes.
    fn has_dist(&mut self, name: &str) -> bool {
        self.has_dist_for(Arch::X86_64, name)
    }

    fn has_dist_for(&mut self, arch: Arch, name: &str) -> bool {
        let there = self.need_dist(arch);
        if !there {
            self.report.not_run(name, "the module was not built");
        }
        there
    }

    fn need_dist(&mut self, arch: Arch) -> bool {
        let workspace = &self.workspace;
        let report = &mut self.report;
        *self.dist[arch as usize].get_or_insert_with(|| {
            report.gate(&format!("dist {arch}"), || {
                dist::build(workspace, arch).map(|dist| dist.dir().display().to_string())
            })
        })
    }

    /// The same tests while their memory is watched.
    fn sanitize(&mut self) {
        let name = "under AddressSanitizer";
        match sanitize::missing() {
            Ok(None) => self.address_sanitizer(name),
            Ok(Some(reason)) => {
                let counts = Counts {
                    ignored: 1,
                    ..Counts::default()
                };
                let none = Duration::ZERO;
                self.report.tests(name, none, Ok(()), counts, &[reason]);
            }
            Err(error) => self.report.not_run(name, &format!("{error:#}")),
        }
        if self.has_dist("return codes under valgrind") {
            let mut cargo = run::cargo(self.workspace.root());
            cargo
                .args([
                    "test",
                    "--no-fail-fast",
                    "--package=tests",
                    "--test=retval",
                    "--",
                ])
                .args(UNDER_VALGRIND)
                .env("SLURM_ADOPT_UNDER", sanitize::VALGRIND);
            println!("under valgrind only: {}", UNDER_VALGRIND.join(", "));
            self.test_programs("return codes under valgrind", &cargo);
        }
    }

    fn address_sanitizer(&mut self, name: &str) {
        let mut unit = sanitize::cargo(&self.workspace, "test");
        unit.args(["--no-fail-fast", "--lib"])
            .args(["proto", "pamconf", "sys", "pam", "adopt"].map(|it| format!("--package={it}")));
        self.test_programs(&format!("unit tests {name}"), &unit);
        let dist = match sanitize::build(&self.workspace) {
            Ok(dist) => dist,
            Err(error) => return self.report.not_run(name, &format!("{error:#}")),
        };
        let mut retval = sanitize::cargo(&self.workspace, "test");
        retval
            .args(["--no-fail-fast", "--package=tests", "--test=retval"])
            .env("SLURM_ADOPT_DIST", dist);
        self.test_programs(&format!("return codes {name}"), &retval);
    }

    /// What can be tested of the module for a processor that is not the host's.
    fn aarch64(&mut self) {
        let arch = Arch::Aarch64;
        let name = "unit tests for aarch64";
        if !self.has_dist_for(arch, name) {
            return;
        }
        let prepared = Debian::install(&self.workspace)
            .and_then(|debian| Ok((debian.runner(), dist::test(&self.workspace, arch)?)));
        let (runner, mut unit) = match prepared {
            Ok(prepared) => prepared,
            Err(error) => return self.report.not_run(name, &format!("{error:#}")),
        };
        // As a list of one: a plain text would be split at blanks.
        let list = serde_json::json!([runner]);
        unit.arg("--config")
            .arg(format!("target.{}.runner={list}", arch.target()))
            .args(["--no-fail-fast", "--lib"])
            .args(["proto", "pamconf", "sys", "pam", "adopt"].map(|it| format!("--package={it}")))
            .arg("--");
        for (test, reason) in NOT_EMULATED {
            println!("left out of {name}: {test}: {reason}");
            unit.args(["--skip", test]);
        }
        self.test_programs(name, &unit);
        let mut loading = run::cargo(self.workspace.root());
        loading
            .args(["test", "--package=tests", "--test=loading", "aarch64_"])
            .env("SLURM_ADOPT_RUN_AARCH64", runner);
        self.test_programs("loading for aarch64", &loading);
    }

    fn has_lab(&mut self, name: &str) -> bool {
        if self.lab.is_none() {
            let workspace = &self.workspace;
            let built = self.report.gate("lab: build", || {
                let mut cargo = run::cargo(workspace.root());
                run::check(cargo.args(["build", "--quiet", "--package=lab", "--bins"])).map(|()| "")
            });
            self.lab = Some(built);
        }
        if self.lab == Some(false) {
            self.report.not_run(name, "the lab was not built");
        }
        self.lab == Some(true)
    }

    /// A stage of test programs.
    fn tests(&mut self, name: &str, what: &[&str]) {
        let mut cargo = run::cargo(self.workspace.root());
        cargo.args(["test", "--no-fail-fast"]).args(what);
        self.test_programs(name, &cargo);
    }

    fn test_programs(&mut self, name: &str, cargo: &Command) {
        let (took, outcome, heard) = self.stream(name, cargo);
        self.report
            .tests(name, took, outcome, heard.counts, &heard.ignored);
    }

    /// The virtual machine's checks: one gate, unless it tells of tests.
    fn machine(&mut self) {
        let mut lab = Command::new(self.lab_program());
        lab.arg("vm-demo")
            .arg("--module")
            .arg(self.dist_place().module());
        lab.current_dir(self.workspace.root());
        let name = "virtual machine";
        let (took, outcome, heard) = self.stream(name, &lab);
        if heard.counts == Counts::default() {
            self.report.gate(name, || {
                outcome.map(|()| format!("{:.1} s", took.as_secs_f64()))
            });
        } else {
            self.report
                .tests(name, took, outcome, heard.counts, &heard.ignored);
        }
    }

    /// Those of a test program of the clusters whose name has the filter, in the virtual machine: with
    /// cgroup v2.
    fn machine_tests(&mut self, test: &str, filter: &str) {
        let name = format!("{test} in the virtual machine");
        let program = match self.test_program(test) {
            Ok(program) => program,
            Err(error) => {
                self.report.gate(&name, || Err::<String, _>(error));
                return;
            }
        };
        let mut lab = Command::new(self.lab_program());
        lab.args(["vm-test", "forky"]).arg(self.dist_place().dir());
        lab.arg(program).args([filter, "--color", "never"]);
        lab.current_dir(self.workspace.root());
        let (took, outcome, heard) = self.stream(&name, &lab);
        self.report
            .tests(&name, took, outcome, heard.counts, &heard.ignored);
    }

    /// Where cargo built that test of the package tests.
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

    /// What the lab's nodes run.
    fn dist_place(&self) -> Dist {
        Dist::place(&self.workspace, Arch::X86_64)
    }

    fn lab_program(&self) -> PathBuf {
        self.workspace.target("debug/slurm-adopt-lab")
    }

    /// Runs it with its output going on to ours, and hears what it tells of tests.
    fn stream(&mut self, name: &str, command: &Command) -> (Duration, Result<()>, Heard) {
        println!("        {name} ...");
        let start = Instant::now();
        let longest = match self.long {
            Some(_) => LONGEST_OF_LONG,
            None => LONGEST,
        };
        let mut command = limited(command, longest);
        if let Some(results) = &self.long {
            command
                .env("SLURM_ADOPT_LONG", "1")
                .env("SLURM_ADOPT_RESULTS", results);
        }
        if !command
            .get_envs()
            .any(|(name, _)| name == "SLURM_ADOPT_DIST")
        {
            command.env("SLURM_ADOPT_DIST", self.dist_place().dir());
        }
        command.env("SLURM_ADOPT_LAB_BIN", self.lab_program());
        let mut heard = Heard::default();
        let outcome = listen(&mut command, &mut heard);
        self.session_rows.append(&mut heard.session_rows);
        (start.elapsed(), outcome, heard)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_starts_clusters_comes_last() {
        let slow = [
            Stage::Lab,
            Stage::Loading,
            Stage::Compliance,
            Stage::Finding,
            Stage::Callerid,
            Stage::Mixed,
            Stage::Inside,
            Stage::Session,
            Stage::Hostile,
            Stage::Faults,
            Stage::E2e,
            Stage::Load,
            Stage::Vm,
        ];
        for stage in Stage::value_variants() {
            assert_eq!(*stage >= Stage::Lab, slow.contains(stage), "{stage:?}");
        }
    }
}
