//! Builds what is shipped and what the tests run, for hosts as old as RHEL 7 (glibc 2.17).

use std::env;
use std::fs;
use std::io::ErrorKind;
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

/// File name of the module in PAM's configuration.
const NAME: &str = "pam_slurm_adopt.so";

/// File names that cargo gives the module and its twin for the tests.
const MODULE: &str = "libpam_slurm_adopt.so";
const FORCED_PANIC: &str = "examples/libforced_panic.so";

/// The directory of the built files.
#[derive(Debug)]
pub struct Dist(PathBuf);

impl Dist {
    /// Locates the directory; the files may not be built yet.
    pub fn place(workspace: &Workspace, arch: Arch) -> Self {
        Self(workspace.target("dist").join(arch.target()))
    }

    /// Collects what `cargo build --profile demo` made for hosts like this one.
    pub fn of_host(workspace: &Workspace) -> Result<Self> {
        let dist = Self(workspace.target("dist/host"));
        copy(&workspace.target(DEMO).join(MODULE), &dist.module())?;
        copy(&workspace.target(DEMO).join("slurm-adopt"), &dist.cli())?;
        Ok(dist)
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

/// What is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parts {
    /// All files.
    All,
    /// All but the admin's program, which takes longer than the rest together. The module that panics is not
    /// optimized at link time.
    WithoutProgram,
}

/// Builds all files; if nothing changed, cargo finds out in half a second.
pub fn build(workspace: &Workspace, arch: Arch) -> Result<Dist> {
    build_parts(workspace, arch, Parts::All)
}

/// Builds some of the files.
pub fn build_parts(workspace: &Workspace, arch: Arch, parts: Parts) -> Result<Dist> {
    let cross = Cross::install(workspace, arch)?;
    let dist = Dist::place(workspace, arch);
    // Separate builds: in one, cargo would give the module the features that the test driver needs.
    let module = ["--package=pam-slurm-adopt", "--lib"];
    let twin = ["--package=pam-slurm-adopt", "--examples"];
    let profile_of_twin = match parts {
        Parts::All => {
            cross.build(RELEASE, &[&module[..], &twin].concat())?;
            cross.build(TOOL, &["--package=slurm-adopt", "--bins"])?;
            RELEASE
        }
        // The twin's link would take as long as the module's.
        Parts::WithoutProgram => {
            cross.build(RELEASE, &module)?;
            cross.build(TOOL, &twin)?;
            TOOL
        }
    };
    cross.build(TOOL, &["--package=pamcall", "--bins"])?;
    let built = |profile| built(workspace, arch, profile);
    copy(&built(RELEASE).join(MODULE), &dist.module())?;
    copy(
        &built(profile_of_twin).join(FORCED_PANIC),
        &dist.forced_panic(),
    )?;
    match parts {
        Parts::All => copy(&built(TOOL).join("slurm-adopt"), &dist.cli())?,
        // That of an earlier build must not be packed beside this module.
        Parts::WithoutProgram => remove(&dist.cli())?,
    }
    copy(&built(TOOL).join("pamcall"), &dist.pamcall())?;
    Ok(dist)
}

/// Builds for several architectures in parallel: with link-time optimization a build uses one processor.
pub fn build_each(workspace: &Workspace, what: &[(Arch, Parts)]) -> Vec<Result<Dist>> {
    // Install the tools first, because the builds share them; an error comes up again below.
    for (arch, _) in what {
        let _ = Cross::install(workspace, *arch);
    }
    let build = |(arch, parts): &(Arch, Parts)| build_parts(workspace, *arch, *parts);
    thread::scope(|scope| {
        let builds: Vec<_> = what
            .iter()
            .map(|it| scope.spawn(move || build(it)))
            .collect();
        let end = |it: ScopedJoinHandle<'_, Result<Dist>>| {
            it.join().unwrap_or_else(|_| bail!("the build panicked"))
        };
        builds.into_iter().map(end).collect()
    })
}

/// Builds the program whose instructions are counted: like the shipped files, but with symbols.
pub fn budgets(workspace: &Workspace) -> Result<PathBuf> {
    let arch = Arch::X86_64;
    let unstripped = "--config=profile.release.package.budgets.strip=\"none\"";
    Cross::install(workspace, arch)?.build(RELEASE, &["--package=budgets", unstripped])?;
    Ok(built(workspace, arch, RELEASE).join("budgets"))
}

/// Prepares `cargo test` for that architecture; the caller adds what to test.
pub fn test(workspace: &Workspace, arch: Arch) -> Result<Command> {
    Cross::install(workspace, arch)?.cargo("test")
}

/// Returns a target directory of its own: cargo gives a library's file the same name whatever the linker
/// and the compiler, so one build would pass for the other.
fn target_dir(workspace: &Workspace, arch: Arch) -> PathBuf {
    workspace.target(&match arch {
        Arch::X86_64 => String::from("zig"),
        Arch::Aarch64 => format!("zig-{arch}"),
    })
}

/// The profile of the module, and of what is measured like it.
const RELEASE: &str = "release";
/// The profile of programs.
const TOOL: &str = "tool";
const DEMO: &str = "demo";

/// Directory where cargo leaves the files of a profile.
fn built(workspace: &Workspace, arch: Arch, profile: &str) -> PathBuf {
    target_dir(workspace, arch)
        .join(arch.target())
        .join(profile)
}

/// Tools that build for an architecture.
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

    /// Builds packages in a profile of Cargo.toml.
    fn build(&self, profile: &str, what: &[&str]) -> Result<()> {
        let mut cargo = self.cargo("zigbuild")?;
        run::check(cargo.args(["--profile", profile, "--locked"]).args(what))
    }

    /// Prepares a command of cargo-zigbuild; the caller adds what to build.
    fn cargo(&self, verb: &str) -> Result<Command> {
        let mut cargo = self.zig.cargo(self.workspace.root(), verb)?;
        cargo
            .args(["--target", &self.arch.zigbuild_target(), "--target-dir"])
            .arg(&self.target_dir)
            // Not RUSTFLAGS, which is split at blanks: the directories may contain some.
            .env("CARGO_ENCODED_RUSTFLAGS", self.flags().join("\u{1f}"))
            .env("RUSTC", self.debian.rustc());
        Ok(cargo)
    }

    fn flags(&self) -> Vec<String> {
        let unwinder = self.debian.unwinder(self.arch);
        let mut flags = vec![
            format!("-Lnative={}", self.stub.display()),
            // Comes before zig's own unwinder, which makes the loader map libpthread and libdl.
            format!("-Clink-arg={}", unwinder.display()),
        ];
        // A panic's location in the log must be a file of the source, not of this machine. Cargo already
        // names our own crates' files relative to the workspace.
        let registry = cargo_home().map(|it| it.join("registry/src"));
        flags.extend(registry.map(|it| format!("--remap-path-prefix={}/=", it.display())));
        flags
    }
}

/// Cargo's directory, which contains the sources of foreign crates.
pub fn cargo_home() -> Option<PathBuf> {
    let by_default = || Some(Path::new(&env::var_os("HOME")?).join(".cargo"));
    env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(by_default)
}

fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("remove {}", path.display()))
        }
        _ => Ok(()),
    }
}

/// Copies a file unless the same is already there: a new modification time would trigger other builds.
/// Copies, then renames, so that a process that has the old file mapped keeps it.
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
