//! Unit and return-code tests under memory checkers: AddressSanitizer with LeakSanitizer, which the
//! compiler builds in, and valgrind, which runs the module as shipped.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::arch::Arch;
use crate::counts::Counts;
use crate::report::Told;
use crate::run;
use crate::runner::Runner;
use crate::workspace::Workspace;

/// valgrind that fails on definite leaks and wrong accesses, and is silent otherwise, because stderr is the
/// host's.
const VALGRIND: &str = "valgrind --quiet --error-exitcode=99 --leak-check=full \
    --show-leak-kinds=definite --errors-for-leak-kinds=definite";

/// Compiler flags. The module finds the sanitizer in the program that loads it.
const FLAGS: [&str; 2] = ["-Zsanitizer=address", "-Clink-arg=-rdynamic"];

/// Return-code tests to run under valgrind too, where a call takes a second: one that panics, one that runs
/// to the end, and one that returns at once.
const UNDER_VALGRIND: [&str; 3] = [
    "a_panic_is_a_generic_failure_and_the_host_lives",
    "nobody_has_a_job_where_nothing_runs",
    "root_passes_before_anything_can_fail",
];

impl Runner {
    /// Runs unit and return-code tests under AddressSanitizer, and some of the latter under valgrind.
    pub fn sanitize(&mut self) {
        let name = "under AddressSanitizer";
        match missing() {
            Ok(None) => self.address_sanitizer(name),
            Ok(Some(reason)) => {
                let counts = Counts {
                    ignored: 1,
                    ..Counts::default()
                };
                let none = Duration::ZERO;
                let told = Told {
                    failed: &[],
                    ignored: &[reason],
                };
                self.report.tests(name, none, Ok(()), counts, told);
            }
            Err(error) => self.report.not_run(name, &format!("{error:#}")),
        }
        if self.has_dist("return codes under valgrind") {
            let mut retval = run::cargo(self.workspace.root());
            retval
                .args([
                    "test",
                    "--no-fail-fast",
                    "--package=pamcall",
                    "--test=retval",
                    "--",
                ])
                .args(UNDER_VALGRIND)
                .env("SLURM_ADOPT_UNDER", VALGRIND);
            println!("under valgrind only: {}", UNDER_VALGRIND.join(", "));
            self.test_programs("return codes under valgrind", &retval);
        }
    }

    fn address_sanitizer(&mut self, name: &str) {
        let mut unit = cargo(&self.workspace, "test");
        unit.args(["--no-fail-fast", "--lib"])
            .args(self.crates_again(&format!("unit tests {name}")));
        self.test_programs(&format!("unit tests {name}"), &unit);
        let dist = match build(&self.workspace) {
            Ok(dist) => dist,
            Err(error) => return self.report.not_run(name, &format!("{error:#}")),
        };
        let mut retval = cargo(&self.workspace, "test");
        retval
            .args(["--no-fail-fast", "--package=pamcall", "--test=retval"])
            .env("SLURM_ADOPT_DIST", dist);
        self.test_programs(&format!("return codes {name}"), &retval);
    }
}

/// Reason why AddressSanitizer is not available here, or `None` if it is. Rust's own releases include its
/// runtime; Debian's rustc does not.
fn missing() -> Result<Option<String>> {
    let sysroot = run::output(Command::new("rustc").args(["--print", "sysroot"]))?;
    let lib = Path::new(sysroot.trim())
        .join("lib/rustlib")
        .join(Arch::X86_64.target())
        .join("lib");
    let names = fs::read_dir(&lib).with_context(|| format!("list {}", lib.display()))?;
    let is_runtime = |name: &str| name.ends_with("_rt.asan.a");
    let is_there = names
        .flatten()
        .any(|it| it.file_name().to_str().is_some_and(is_runtime));
    Ok((!is_there).then(|| format!("rustc has no AddressSanitizer: none in {}", lib.display())))
}

/// Prepares cargo with the sanitizer; RUSTC_BOOTSTRAP unlocks it in a stable rustc.
fn cargo(workspace: &Workspace, verb: &str) -> Command {
    let mut cargo = run::cargo(workspace.root());
    cargo
        .args([verb, "--target", Arch::X86_64.target(), "--target-dir"])
        .arg(workspace.target("asan"))
        .env("RUSTC_BOOTSTRAP", "1")
        .env("CARGO_ENCODED_RUSTFLAGS", FLAGS.join("\u{1f}"));
    cargo
}

/// Builds the module and its panicking twin with the sanitizer; returns the directory where the tests find them.
fn build(workspace: &Workspace) -> Result<PathBuf> {
    let what = [
        "--quiet",
        "--package=pam-slurm-adopt",
        "--lib",
        "--examples",
    ];
    run::check(cargo(workspace, "build").args(what))?;
    let built = workspace
        .target("asan")
        .join(Arch::X86_64.target())
        .join("debug");
    let dir = workspace.target("asan/dist");
    for (from, to) in [
        ("libpam_slurm_adopt.so", "pam_slurm_adopt.so"),
        (
            "examples/libforced_panic.so",
            "forced-panic/pam_slurm_adopt.so",
        ),
    ] {
        let to = dir.join(to);
        let parent = to.parent().unwrap_or(&dir);
        fs::create_dir_all(parent).with_context(|| format!("make {}", parent.display()))?;
        fs::copy(built.join(from), &to).with_context(|| format!("copy {from}"))?;
    }
    Ok(dir)
}
