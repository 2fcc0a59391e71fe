//! Shared parts of the stages: programs that are built once, cargo as a gate, and tests whose output is parsed.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::arch::Arch;
use crate::debian::Debian;
use crate::dist::{self, Dist, Parts};
use crate::listen::{Heard, limited, listen};
use crate::report::{Report, Told};
use crate::run;
use crate::so;
use crate::workspace::Workspace;

/// Unit tests that qemu cannot run, and why. On the host they run like all others.
const NOT_EMULATED: [(&str, &str); 14] = [
    (
        "adoption::suspended::tests::nobody_asks_again_after_a_process_that_ended",
        "qemu-user has no clone(2) with CLONE_VM alone",
    ),
    (
        "copy::tests::a_copy_does_it",
        "qemu-user has no clone(2) without an exit signal",
    ),
    (
        "copy::tests::a_panic_is_an_error",
        "qemu-user has no clone(2) without an exit signal",
    ),
    (
        "copy::tests::long_results_come_whole_or_cut",
        "qemu-user has no clone(2) without an exit signal",
    ),
    (
        "copy::tests::what_never_returns_ends_at_the_deadline",
        "qemu-user has no clone(2) without an exit signal",
    ),
    (
        "exempt::tests::a_copy_of_the_process_asks",
        "qemu-user has no clone(2) without an exit signal",
    ),
    (
        "guard::tests::it_works_if_its_process_is_killed_and_not_if_it_is_dropped",
        "qemu-user has no clone(2) without an exit signal",
    ),
    (
        "namespace::tests::knows_namespaces_from_other_files",
        "qemu-user has no ioctl NS_GET_NSTYPE",
    ),
    (
        "namespace::tests::the_maker_of_a_user_namespace",
        "qemu-user has no ioctl NS_GET_OWNER_UID",
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
        "proxy::tests::a_panic_is_an_error",
        "qemu-user has no clone(2) with CLONE_VM alone",
    ),
    (
        "stop::tests::all_of_a_user_is_stopped_and_nothing_else",
        "qemu-user has no clone(2) without an exit signal",
    ),
];
/// The module's crates with `unsafe`, and the one that decodes bytes.
const LOW_LEVEL: &[&str] = &["pam", "sys", "proto"];
/// Its other crates.
const SAFE: &[&str] = &["pamconf", "adopt"];
/// Time limit of a stage, in minutes.
const LONGEST: u32 = 25;
/// Time limit of a stage in a long run, in minutes.
const LONGEST_OF_LONG: u32 = 240;

/// Size of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    /// No clusters, machines, other processor or long builds.
    Quick,
    /// Everything, with the long runs in a small form.
    Default,
    /// The long runs in full, with their results written to docs/reliability.md.
    Long,
}

/// A run of stages.
pub struct Runner {
    size: Size,
    /// Path for the results of a long run.
    pub long: Option<PathBuf>,
    /// The checkout.
    pub workspace: Workspace,
    /// Results so far.
    pub report: Report,
    /// Rows for docs/session.md that the tests reported.
    pub session_rows: Vec<String>,
    /// Result of each architecture's build, which runs at most once; `Some(false)` if it failed.
    dist: [Option<bool>; Arch::ALL.len()],
    lab: Option<bool>,
    /// Process that makes the lab's roots while other stages run.
    roots: Option<Roots>,
}

/// A process that makes the lab's roots, and its start time.
struct Roots(Child, Instant);

impl Drop for Roots {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Runner {
    /// Makes a runner that has run nothing yet.
    pub fn new(workspace: Workspace, size: Size, long: Option<PathBuf>) -> Self {
        Self {
            size,
            long,
            workspace,
            report: Report::new(),
            session_rows: Vec::new(),
            dist: [None; Arch::ALL.len()],
            lab: None,
            roots: None,
        }
    }

    /// Architectures to build for before anything is tested; others are built where they are.
    pub fn arches(&self) -> &'static [Arch] {
        match self.size {
            Size::Quick | Size::Default => &[Arch::X86_64],
            Size::Long => &Arch::ALL,
        }
    }

    /// Files to build for an architecture; for one that only qemu runs, the admin's program is left to long runs.
    pub fn parts(&self, arch: Arch) -> Parts {
        match (arch, self.size) {
            (Arch::X86_64, _) | (_, Size::Long) => Parts::All,
            _ => Parts::WithoutProgram,
        }
    }

    /// Starts making the lab's roots, which mostly waits for the mirror and the disk.
    pub fn begin_roots(&mut self) {
        if !self.has_lab("the lab's roots") {
            return;
        }
        let mut lab = Command::new(self.lab_program());
        lab.args(["roots", "--machines"])
            .current_dir(self.workspace.root())
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        match lab.spawn() {
            Ok(child) => self.roots = Some(Roots(child, Instant::now())),
            Err(error) => self.report.not_run("the lab's roots", &error.to_string()),
        }
    }

    /// Waits until the roots are made.
    pub fn finish_roots(&mut self) {
        let Some(mut roots) = self.roots.take() else {
            return;
        };
        self.report.gate("the lab's roots", || {
            let waited = Instant::now();
            let status = roots.0.wait().context("wait for the lab")?;
            ensure!(status.success(), "slurm-adopt-lab roots: {status}");
            let (all, waited) = (roots.1.elapsed(), waited.elapsed());
            Ok(format!(
                "{:.0} s, of which nothing else ran for {:.0} s",
                all.as_secs_f64(),
                waited.as_secs_f64()
            ))
        });
    }

    /// Runs cargo as a gate, in a directory of the repository. What it checks is kept apart from what tests run, so
    /// that neither waits for the other's lock.
    pub fn cargo(&mut self, name: &str, dir: &str, arguments: &[&str]) {
        let dir = self.workspace.path(dir);
        let checked = self.workspace.target("checked");
        self.report.gate(name, || {
            let mut cargo = run::cargo(&dir);
            // Affects only rustdoc: a dead link in a comment is an error.
            cargo.args(arguments).env("RUSTDOCFLAGS", "--deny=warnings");
            cargo.env("CARGO_TARGET_DIR", &checked);
            run::check(&mut cargo).map(|()| run::describe(&cargo))
        });
    }

    /// Whether there is a module for the lab's nodes; builds it if necessary.
    pub fn has_dist(&mut self, name: &str) -> bool {
        self.has_dist_for(Arch::X86_64, name)
    }

    pub fn has_dist_for(&mut self, arch: Arch, name: &str) -> bool {
        let there = self.need_dist(arch);
        if !there {
            self.report.not_run(name, "the module was not built");
        }
        there
    }

    pub fn need_dist(&mut self, arch: Arch) -> bool {
        match self.dist[arch as usize] {
            Some(is_there) => is_there,
            None => {
                let built = dist::build_parts(&self.workspace, arch, self.parts(arch));
                self.take_dist(arch, built)
            }
        }
    }

    /// Records the result of a build.
    pub fn take_dist(&mut self, arch: Arch, built: Result<Dist>) -> bool {
        let is_there = self.report.gate(&format!("dist {arch}"), || {
            built.map(|dist| dist.dir().display().to_string())
        });
        self.dist[arch as usize] = Some(is_there);
        is_there
    }

    /// Builds the module for aarch64, looks at it, and tests it as far as emulation allows.
    pub fn aarch64(&mut self) {
        let arch = Arch::Aarch64;
        let name = "unit tests for aarch64";
        if !self.has_dist_for(arch, name) {
            return;
        }
        so::gates(&self.workspace, arch, &mut self.report);
        let prepared = Debian::install(&self.workspace)
            .and_then(|debian| Ok((debian.runner(), dist::test(&self.workspace, arch)?)));
        let (runner, mut unit) = match prepared {
            Ok(prepared) => prepared,
            Err(error) => return self.report.not_run(name, &format!("{error:#}")),
        };
        // A list of one, because a plain text would be split at blanks.
        let list = serde_json::json!([runner]);
        unit.arg("--config")
            .arg(format!("target.{}.runner={list}", arch.target()))
            .args(["--no-fail-fast", "--lib"])
            .args(self.crates_again(name))
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

    /// Selects the crates whose unit tests run again in other circumstances.
    pub fn crates_again(&mut self, name: &str) -> Vec<String> {
        let crates = match self.size {
            Size::Long => [LOW_LEVEL, SAFE].concat(),
            Size::Quick | Size::Default => {
                let what = format!("those of {} run with --long", SAFE.join(" and "));
                self.report.left_out(name, vec![what]);
                LOW_LEVEL.to_vec()
            }
        };
        let package = |it: &&str| format!("--package={it}");
        crates.iter().map(package).collect()
    }

    pub fn has_lab(&mut self, name: &str) -> bool {
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

    /// Runs a stage of test programs.
    pub fn tests(&mut self, name: &str, what: &[&str]) {
        let mut cargo = run::cargo(self.workspace.root());
        cargo.args(["test", "--no-fail-fast"]).args(what);
        self.test_programs(name, &cargo);
    }

    /// Runs test programs and counts their tests.
    pub fn test_programs(&mut self, name: &str, cargo: &Command) {
        println!("        {name} ...");
        let run = hear(self.prepare(cargo));
        self.take(name, run);
    }

    /// Counts the results of a run.
    pub fn take(&mut self, name: &str, run: Run) {
        let Run {
            took,
            outcome,
            heard,
        } = run;
        self.session_rows.extend(heard.session_rows);
        self.report.times(name, heard.times);
        self.report.left_out(name, heard.left_out);
        let told = Told {
            failed: &heard.failed,
            ignored: &heard.ignored,
        };
        self.report.tests(name, took, outcome, heard.counts, told);
    }

    /// Location of the files that the lab's nodes run.
    pub fn dist_place(&self) -> Dist {
        Dist::place(&self.workspace, Arch::X86_64)
    }

    pub fn lab_program(&self) -> PathBuf {
        self.workspace.target("debug/slurm-adopt-lab")
    }

    /// Adds a time limit and the environment of test programs to a command.
    pub fn prepare(&self, command: &Command) -> Command {
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
        command
    }
}

/// Results of test programs.
pub struct Run {
    took: Duration,
    outcome: Result<()>,
    heard: Heard,
}

/// Runs the command, passes its output on, and collects what it reports about tests.
pub fn hear(mut command: Command) -> Run {
    let start = Instant::now();
    let mut heard = Heard::default();
    let outcome = listen(&mut command, &mut heard);
    Run {
        took: start.elapsed(),
        outcome,
        heard,
    }
}
