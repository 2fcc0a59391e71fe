//! What is shipped and what the tests run, built for hosts as old as RHEL 7 (glibc 2.17).

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::arch::Arch;
use crate::run;
use crate::rustc::Rustc;
use crate::stub;
use crate::tools::Zig;
use crate::workspace::Workspace;

/// What cargo calls the module, and what PAM's configuration calls it.
const MODULE: (&str, &str) = ("libpam_slurm_adopt.so", "pam_slurm_adopt.so");

/// The hashes' portable code, and the small one: a login hashes some hundred bytes.
const SMALL: [&str; 3] = [
    "--cfg=sha2_backend=\"soft\"",
    "--cfg=sha2_backend_soft=\"compact\"",
    "--cfg=keccak_backend=\"soft\"",
];

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
        self.0.join(MODULE.1)
    }

    /// The module that panics in every call, to show that the host survives it.
    pub fn forced_panic(&self) -> PathBuf {
        self.0.join("forced-panic").join(MODULE.1)
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
    let (plain, panicking) = (
        target_dir(workspace, arch, ""),
        target_dir(workspace, arch, "-forced-panic"),
    );
    let module = ["--package", "pam-slurm-adopt"];
    let build = |target: &Path, what: &[&str]| {
        let mut cargo = cross.cargo("zigbuild", target)?;
        run::check(cargo.arg("--release").args(what))
    };
    build(&plain, &module)?;
    build(
        &panicking,
        &[&module[..], &["--features", "forced-panic"]].concat(),
    )?;
    build(&plain, &["--package", "slurm-adopt"])?;
    build(&plain, &["--package", "tests", "--bin", "pamcall"])?;
    let built = |target: &Path, name: &str| target.join(arch.target()).join("release").join(name);
    copy(&built(&plain, MODULE.0), &dist.module())?;
    copy(&built(&panicking, MODULE.0), &dist.forced_panic())?;
    copy(&built(&plain, "slurm-adopt"), &dist.cli())?;
    copy(&built(&plain, "pamcall"), &dist.pamcall())?;
    Ok(dist)
}

/// Builds the benchmark's program that runs on the lab's nodes, whose libc may be older than the
/// host's. Not one of those that are shipped or that the tests want.
pub fn build_stages(workspace: &Workspace, arch: Arch) -> Result<()> {
    const NAME: &str = "stages";
    let target = target_dir(workspace, arch, "");
    let mut cargo = Cross::install(workspace, arch)?.cargo("zigbuild", &target)?;
    run::check(cargo.args(["--release", "--package", "bench", "--bin", NAME]))?;
    let built = target.join(arch.target()).join("release").join(NAME);
    copy(&built, &Dist::place(workspace, arch).dir().join(NAME))
}

/// `cargo test` with programs for that architecture, as a command to be given what to test.
pub fn test(workspace: &Workspace, arch: Arch) -> Result<Command> {
    Cross::install(workspace, arch)?.cargo("test", &target_dir(workspace, arch, ""))
}

/// Target directories of their own: cargo gives a library's file the same name whatever the linker,
/// the compiler and the features were, so that one build would pass for the other.
fn target_dir(workspace: &Workspace, arch: Arch, which: &str) -> PathBuf {
    workspace.target(&match arch {
        Arch::X86_64 => format!("zig{which}"),
        Arch::Aarch64 => format!("zig-{arch}{which}"),
    })
}

/// The tools that build for an architecture.
struct Cross<'a> {
    workspace: &'a Workspace,
    arch: Arch,
    zig: Zig,
    rustc: Rustc,
    stub: PathBuf,
}

impl<'a> Cross<'a> {
    fn install(workspace: &'a Workspace, arch: Arch) -> Result<Self> {
        let zig = Zig::install(workspace)?;
        Ok(Self {
            workspace,
            arch,
            stub: stub::build(workspace, &zig, arch)?,
            rustc: Rustc::find(workspace, arch)?,
            zig,
        })
    }

    /// A command of cargo-zigbuild, so far without what to build.
    fn cargo(&self, verb: &str, target: &Path) -> Result<Command> {
        let mut cargo = self.zig.cargo(self.workspace.root(), verb)?;
        cargo
            .args(["--target", &self.arch.zigbuild_target(), "--target-dir"])
            .arg(target)
            // Not RUSTFLAGS: that one is split at blanks, and the directory may have some.
            .env(
                "CARGO_ENCODED_RUSTFLAGS",
                format!(
                    "-Lnative={}\u{1f}{}",
                    self.stub.display(),
                    SMALL.join("\u{1f}")
                ),
            );
        self.rustc.surround(&mut cargo);
        Ok(cargo)
    }
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
