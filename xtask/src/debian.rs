//! Tools from Debian's packages that build the shipped files: a compiler with its standard library, and
//! what it takes to build and run programs for aarch64. The packages are unpacked under target/tools;
//! nothing is installed.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use crate::arch::Arch;
use crate::run;
use crate::workspace::Workspace;

/// Debian release of the packages. Its rustc is 1.85, the oldest that we build with, and the only compiler
/// of the shipped files.
const SUITE: &str = "trixie";

const PACKAGES: [&str; 5] = [
    // Includes the standard library for x86_64.
    "rustc",
    "libstd-rust-dev:arm64",
    "libc6:arm64",
    "libpam0g:arm64",
    "libpam-modules:arm64",
];

/// Debian release with the last gcc (11) whose unwinder needs nothing beyond glibc 2.17. Later ones call
/// `_dl_find_object`, of glibc 2.35.
const UNWINDER_SUITE: &str = "bookworm";

const UNWINDER_PACKAGES: [&str; 2] = ["libgcc-11-dev", "libgcc-11-dev:arm64"];

/// Parts of the packages that are of no use here: two thirds of the total.
const UNUSED: [&str; 14] = [
    "./dev",
    "./etc",
    "./var",
    "./usr/include",
    "./usr/lib/gcc",
    "./usr/libexec",
    "./usr/share",
    "./usr/src",
    "./usr/lib/*/gconv",
    "./usr/lib/x86_64-linux-gnu/*.a",
    "./usr/lib/x86_64-linux-gnu/lib*san.so*",
    // The arm64 compiler, of which only the library is needed.
    "./usr/lib/aarch64-linux-gnu/libLLVM*",
    "./usr/lib/aarch64-linux-gnu/librustc_driver*",
    "./usr/lib/aarch64-linux-gnu/libz3*",
];

/// Version of the recipe. Increase it when packages that are already unpacked no longer work.
const RECIPE: u32 = 3;

/// The unpacked packages, and two scripts beside them.
#[derive(Debug)]
pub struct Debian(PathBuf);

impl Debian {
    /// Locates the packages; they may not be unpacked yet.
    pub fn place(workspace: &Workspace) -> Self {
        Self(workspace.target("tools/debian"))
    }

    /// Fetches and unpacks the packages unless they are there; this takes a minute.
    pub fn install(workspace: &Workspace) -> Result<Self> {
        let debian = Self::place(workspace);
        let stamp = debian.0.join("recipe");
        let recipe = format!(
            "{RECIPE} {SUITE} {} {UNWINDER_SUITE} {}\n",
            PACKAGES.join(" "),
            UNWINDER_PACKAGES.join(" ")
        );
        if fs::read_to_string(&stamp).is_ok_and(|made| made == recipe) {
            return Ok(debian);
        }
        println!(
            "Unpacking Debian's rustc and libraries into {} ...",
            debian.0.display()
        );
        if debian.0.exists() {
            fs::remove_dir_all(&debian.0)
                .with_context(|| format!("remove {}", debian.0.display()))?;
        }
        let root = debian.root();
        fs::create_dir_all(&root).with_context(|| format!("make {}", root.display()))?;
        let unused = UNUSED.map(|it| format!("--exclude={it}"));
        unpack(SUITE, &PACKAGES, &root, &unused)?;
        let unwinders = Arch::ALL.map(|arch| format!("./{}", unwinder_path(arch)));
        unpack(UNWINDER_SUITE, &UNWINDER_PACKAGES, &root, &unwinders)?;
        // As on any Debian: programs name their loader /lib/ld-linux-aarch64.so.1.
        symlink("usr/lib", root.join("lib")).context("link lib to usr/lib")?;
        debian.write_script(&debian.rustc(), &debian.rustc_command())?;
        debian.write_script(&debian.runner(), "exec qemu-aarch64 -L \"$root\" \"$@\"")?;
        fs::write(&stamp, recipe).with_context(|| format!("write {}", stamp.display()))?;
        Ok(debian)
    }

    /// Script that runs Debian's rustc, for the host and for aarch64.
    pub fn rustc(&self) -> PathBuf {
        self.0.join("rustc")
    }

    /// libgcc's unwinder, to link with.
    pub fn unwinder(&self, arch: Arch) -> PathBuf {
        self.root().join(unwinder_path(arch))
    }

    /// Script that runs a program for aarch64 with its arguments, under qemu.
    pub fn runner(&self) -> PathBuf {
        self.0.join("run-aarch64")
    }

    /// The real libpam for aarch64.
    pub fn libpam(&self) -> PathBuf {
        self.lib(Arch::Aarch64).join("libpam.so.0")
    }

    fn root(&self) -> PathBuf {
        self.0.join("root")
    }

    fn lib(&self, arch: Arch) -> PathBuf {
        self.root().join("usr/lib").join(arch.debian_dir())
    }

    /// Command that runs rustc with Debian's own loader and libc, because the host's may be older. The
    /// programs that rustc starts, above all the linker, are the host's and use the host's.
    fn rustc_command(&self) -> String {
        format!(
            "lib=$root/usr/lib/{}\n\
             exec \"$lib/{}\" --library-path \"$lib\" \"$root/usr/bin/rustc\" \"$@\"",
            Arch::X86_64.debian_dir(),
            Arch::X86_64.loader()
        )
    }

    fn write_script(&self, path: &Path, command: &str) -> Result<()> {
        let text = format!("#!/bin/sh\nroot=${{0%/*}}/root\n{command}\n");
        fs::write(path, text)
            .and_then(|()| fs::set_permissions(path, fs::Permissions::from_mode(0o755)))
            .with_context(|| format!("write {}", path.display()))
    }
}

fn unwinder_path(arch: Arch) -> String {
    format!("usr/lib/gcc/{}/11/libgcc_eh.a", arch.debian_dir())
}

/// Unpacks the files of the packages that these tar arguments select. The packages arrive as a stream,
/// because apt cannot handle a blank in a path.
fn unpack(suite: &str, packages: &[&str], root: &Path, selection: &[String]) -> Result<()> {
    let mut fetch = Command::new("mmdebstrap");
    fetch
        .args(["--variant=extract", "--format=tar", "--quiet"])
        .arg("--architectures=amd64,arm64")
        // The host's keyring package may be older than the suite's newest key.
        .arg("--keyring=/usr/share/keyrings/")
        .arg("--aptopt=Acquire::Languages \"none\"")
        .arg(format!("--include={}", packages.join(",")))
        .args([suite, "-"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .env_remove("TMPDIR");
    let described = run::describe(&fetch);
    let mut fetching = fetch.spawn().with_context(|| {
        format!("start {described}: sudo apt-get install mmdebstrap debian-archive-keyring")
    })?;
    let stream = fetching.stdout.take().context("its stdout is a pipe")?;
    let mut tar = Command::new("tar");
    tar.args(["--extract", "--no-same-owner", "--no-wildcards-match-slash"])
        .arg("--directory")
        .arg(root)
        .args(selection)
        .stdin(stream);
    let unpacked = tar
        .status()
        .with_context(|| format!("start {}", run::describe(&tar)))?;
    let fetched = fetching
        .wait()
        .with_context(|| format!("wait for {described}"))?;
    ensure!(fetched.success(), "{described}: {fetched}");
    ensure!(unpacked.success(), "{}: {unpacked}", run::describe(&tar));
    Ok(())
}
