//! What is shipped and what the tests run, built for hosts as old as RHEL 7 (glibc 2.17).

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::{self, ScopedJoinHandle};

use anyhow::{Context, Result, bail};

use crate::arch::Arch;
use crate::debian::Debian;
use crate::run;
use crate::stub;
use crate::tools::Zig;
use crate::workspace::Workspace;

/// What PAM's configuration calls the module.
const NAME: &str = "pam_slurm_adopt.so";

/// What cargo calls it, and its twin for the tests.
const MODULE: &str = "libpam_slurm_adopt.so";
const FORCED_PANIC: &str = "examples/libforced_panic.so";

/// The directory with the built files.
#[derive(Debug)]
pub struct Dist(PathBuf);

impl Dist {
    /// The directory where they belong; they may not be there yet.
    pub fn place(workspace: &Workspace, arch: Arch) -> Self {
        Self(workspace.target("dist").join(arch.target()))
    }

    /// The directory itself.
    pub fn dir(&self) -> &Path {
        &self.0
    }

    /// The module.
    pub fn module(&self) -> PathBuf {
        self.0.join(NAME)
    }

    /// The module that panics in every call, to show that the host survives it.
    pub fn forced_panic(&self) -> PathBuf {
        self.0.join("forced-panic").join(NAME)
    }

    /// The admin's program.
    pub fn cli(&self) -> PathBuf {
        self.0.join("slurm-adopt")
    }

    /// The test driver.
    pub fn pamcall(&self) -> PathBuf {
        self.0.join("pamcall")
    }
}

/// Builds all of them; where nothing changed cargo finds that out in half a second.
pub fn build(workspace: &Workspace, arch: Arch) -> Result<Dist> {
    let cross = Cross::install(workspace, arch)?;
    let dist = Dist::place(workspace, arch);
    // Not all at once: cargo would give the module the features that the test driver wants.
    cross.release(&["--package=pam-slurm-adopt", "--lib", "--examples"])?;
    cross.release(&["--package=slurm-adopt"])?;
    cross.release(&["--package=tests", "--bin=pamcall"])?;
    let built = built(workspace, arch);
    copy(&built.join(MODULE), &dist.module())?;
    copy(&built.join(FORCED_PANIC), &dist.forced_panic())?;
    copy(&built.join("slurm-adopt"), &dist.cli())?;
    copy(&built.join("pamcall"), &dist.pamcall())?;
    Ok(dist)
}

/// Builds for several architectures at once: with link-time optimization a build uses one processor.
pub fn build_each(workspace: &Workspace, arches: &[Arch]) -> Vec<Result<Dist>> {
    // The tools first, as the builds share them; an error comes up again below.
    for arch in arches {
        let _ = Cross::install(workspace, *arch);
    }
    let build = |arch: &Arch| build(workspace, *arch);
    thread::scope(|scope| {
        let builds: Vec<_> = arches
            .iter()
            .map(|arch| scope.spawn(move || build(arch)))
            .collect();
        let end = |it: ScopedJoinHandle<'_, Result<Dist>>| {
            it.join().unwrap_or_else(|_| bail!("the build panicked"))
        };
        builds.into_iter().map(end).collect()
    })
}

/// Builds the program whose parts are counted: as what is shipped, but with its symbols.
pub fn budgets(workspace: &Workspace) -> Result<PathBuf> {
    let arch = Arch::X86_64;
    Cross::install(workspace, arch)?.release(&[
        "--package=budgets",
        "--config=profile.release.package.budgets.strip=\"none\"",
    ])?;
    Ok(built(workspace, arch).join("budgets"))
}

/// `cargo test` with programs for that architecture, as a command to be given what to test.
pub fn test(workspace: &Workspace, arch: Arch) -> Result<Command> {
    Cross::install(workspace, arch)?.cargo("test")
}

/// A target directory of its own: cargo gives a library's file the same name whatever the linker and
/// the compiler were, so that one build would pass for the other.
fn target_dir(workspace: &Workspace, arch: Arch) -> PathBuf {
    workspace.target(&match arch {
        Arch::X86_64 => String::from("zig"),
        Arch::Aarch64 => format!("zig-{arch}"),
    })
}

/// Where cargo leaves what it has built as it is shipped.
fn built(workspace: &Workspace, arch: Arch) -> PathBuf {
    target_dir(workspace, arch)
        .join(arch.target())
        .join("release")
}

/// The tools that build for an architecture.
struct Cross<'a> {
    workspace: &'a Workspace,
    arch: Arch,
    zig: Zig,
    debian: Debian,
    stub: PathBuf,
    target_dir: PathBuf,
}

impl<'a> Cross<'a> {
    fn install(workspace: &'a Workspace, arch: Arch) -> Result<Self> {
        let zig = Zig::install(workspace)?;
        Ok(Self {
            workspace,
            arch,
            stub: stub::build(workspace, &zig, arch)?,
            debian: Debian::install(workspace)?,
            target_dir: target_dir(workspace, arch),
            zig,
        })
    }

    /// Builds as it is shipped.
    fn release(&self, what: &[&str]) -> Result<()> {
        let mut cargo = self.cargo("zigbuild")?;
        run::check(cargo.args(["--release", "--locked"]).args(what))
    }

    /// A command of cargo-zigbuild, so far without what to build.
    fn cargo(&self, verb: &str) -> Result<Command> {
        let mut cargo = self.zig.cargo(self.workspace.root(), verb)?;
        cargo
            .args(["--target", &self.arch.zigbuild_target(), "--target-dir"])
            .arg(&self.target_dir)
            // Not RUSTFLAGS: that one is split at blanks, and the directories may have some.
            .env("CARGO_ENCODED_RUSTFLAGS", self.flags().join("\u{1f}"))
            .env("RUSTC", self.debian.rustc());
        Ok(cargo)
    }

    fn flags(&self) -> Vec<String> {
        let unwinder = self.debian.unwinder(self.arch);
        let mut flags = vec![
            format!("-Lnative={}", self.stub.display()),
            // Comes before zig's own, which has the loader map libpthread and libdl.
            format!("-Clink-arg={}", unwinder.display()),
        ];
        // A panic's place in the log is a file of the source, not of this machine. Cargo names our own
        // crates' files relative to the workspace.
        let registry = cargo_home().map(|it| it.join("registry/src"));
        flags.extend(registry.map(|it| format!("--remap-path-prefix={}/=", it.display())));
        flags
    }
}

/// Where cargo keeps the sources of foreign crates.
pub fn cargo_home() -> Option<PathBuf> {
    let by_default = || Some(Path::new(&env::var_os("HOME")?).join(".cargo"));
    env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(by_default)
}

/// Copies a file unless its like is there: a changed time would have others build again. In two
/// steps, so that a process which has the old one mapped keeps it.
fn copy(from: &Path, to: &Path) -> Result<()> {
    let new = fs::read(from).with_context(|| format!("read {}", from.display()))?;
    if fs::read(to).is_ok_and(|old| old == new) {
        return Ok(());
    }
    let dir = to.parent().context("a path with a directory")?;
    fs::create_dir_all(dir).with_context(|| format!("make {}", dir.display()))?;
    let fresh = to.with_extension("new");
    fs::copy(from, &fresh)
        .with_context(|| format!("copy {} to {}", from.display(), fresh.display()))?;
    fs::rename(&fresh, to)
        .with_context(|| format!("rename {} to {}", fresh.display(), to.display()))
}
