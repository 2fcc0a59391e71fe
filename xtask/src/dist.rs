//! What is shipped and what the tests run, built for hosts as old as RHEL 7 (glibc 2.17).

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::run;
use crate::stub;
use crate::tools::Zig;
use crate::workspace::Workspace;

/// Rust's name for the hosts.
const TARGET: &str = "x86_64-unknown-linux-gnu";
/// The oldest glibc that the files run with.
const GLIBC: &str = "2.17";
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
    pub fn place(workspace: &Workspace) -> Self {
        Self(workspace.target("dist").join(TARGET))
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

    /// The command-line program.
    pub fn program(&self) -> PathBuf {
        self.0.join("slurm-adopt")
    }

    /// The test driver.
    pub fn pamcall(&self) -> PathBuf {
        self.0.join("pamcall")
    }
}

/// Builds all of them; where nothing changed cargo finds that out in half a second.
pub fn build(workspace: &Workspace) -> Result<Dist> {
    let zig = Zig::install(workspace)?;
    let stub = stub::build(workspace, &zig)?;
    let dist = Dist::place(workspace);
    // Target directories of their own: cargo gives a library's file the same name whatever the
    // linker and the features were, so that one build would pass for the other.
    let (plain, panicking) = (
        workspace.target("zig"),
        workspace.target("zig-forced-panic"),
    );
    let module = ["--package", "pam-slurm-adopt"];
    let zigbuild = |target: &Path, what: &[&str]| {
        let mut command = zig.cargo(workspace.root())?;
        command
            .args([
                "--release",
                "--target",
                &format!("{TARGET}.{GLIBC}"),
                "--target-dir",
            ])
            .arg(target)
            .args(what)
            // Not RUSTFLAGS: that one is split at blanks, and the directory may have some.
            .env(
                "CARGO_ENCODED_RUSTFLAGS",
                format!("-Lnative={}\u{1f}{}", stub.display(), SMALL.join("\u{1f}")),
            );
        run::check(&mut command)
    };
    zigbuild(&plain, &module)?;
    zigbuild(
        &panicking,
        &[&module[..], &["--features", "forced-panic"]].concat(),
    )?;
    zigbuild(&plain, &["--package", "slurm-adopt"])?;
    zigbuild(&plain, &["--package", "slurm-adopt"])?;
    zigbuild(&plain, &["--package", "tests", "--bin", "pamcall"])?;
    let built = |target: &Path, name: &str| target.join(TARGET).join("release").join(name);
    copy(&built(&plain, MODULE.0), &dist.module())?;
    copy(&built(&panicking, MODULE.0), &dist.forced_panic())?;
    copy(&built(&plain, "slurm-adopt"), &dist.cli())?;
    copy(&built(&plain, "slurm-adopt"), &dist.program())?;
    copy(&built(&plain, "pamcall"), &dist.pamcall())?;
    Ok(dist)
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
