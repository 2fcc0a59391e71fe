//! Packs what `cargo xtask dist` built, into target/packages.

mod date;
mod deb;
mod gates;
mod rpm;
mod sbom;
mod script;
mod staging;
mod sums;
mod tarball;
mod tree;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::{self, ScopedJoinHandle};

use anyhow::{Context, Result, bail, ensure};
use clap::ValueEnum;

use crate::arch::{Arch, GLIBC};
use crate::dist::Dist;
use crate::man;
use crate::run;
use crate::workspace::Workspace;

pub use gates::gates;

/// A kind of package.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// For Debian and Ubuntu
    Deb,
    /// For RHEL and its kin, Amazon Linux and openSUSE
    Rpm,
    /// With an install script, for other hosts
    Tarball,
    /// The bill of materials, CycloneDX
    Sbom,
}

/// Packs every kind for every architecture that is built, or only those that are asked for. SHA256SUMS is
/// written if nothing else is asked for.
///
/// # Errors
/// An architecture that is asked for and not built; no architecture is built; those of the file system
/// and of the tools that pack.
pub fn write(
    workspace: &Workspace,
    arch: Option<Arch>,
    only: Option<Kind>,
) -> Result<Vec<PathBuf>> {
    let built: Vec<Arch> = Arch::ALL
        .into_iter()
        .filter(|it| arch.is_none_or(|arch| *it == arch) && is_built(workspace, *it))
        .collect();
    let wanted = arch.map_or_else(|| "any architecture".into(), |it| it.to_string());
    ensure!(
        !built.is_empty(),
        "target/dist has no build for {wanted}: run cargo xtask dist"
    );
    man::write(workspace)?;
    let dir = workspace.target("packages");
    fs::create_dir_all(&dir).with_context(|| format!("make {}", dir.display()))?;
    let source = Source {
        workspace,
        date: date::of(workspace)?,
    };
    let mut written = source.pack_all(&built, only, &dir)?;
    if arch.is_none() && only.is_none() {
        written.push(sums::write(&dir, &written)?);
    }
    Ok(written)
}

/// Packs what `cargo build --profile demo` made for Debian and Ubuntu hosts like this one, into target/packages/host.
///
/// # Errors
/// They are not built; those of the file system and of dpkg-deb.
pub fn write_for_host(workspace: &Workspace) -> Result<PathBuf> {
    let build = Build::of_host(workspace)?;
    man::write(workspace)?;
    let dir = workspace.target("packages/host");
    if dir.exists() {
        fs::remove_dir_all(&dir).with_context(|| format!("remove {}", dir.display()))?;
    }
    fs::create_dir_all(&dir).with_context(|| format!("make {}", dir.display()))?;
    let date = date::of(workspace)?;
    deb::pack(&Source { workspace, date }, &build, &dir)
}

/// Built files to be packed.
struct Build {
    arch: Arch,
    dist: Dist,
    /// The oldest glibc that they run with.
    glibc: String,
}

impl Build {
    fn shipped(workspace: &Workspace, arch: Arch) -> Self {
        let (major, minor) = GLIBC;
        Self {
            arch,
            dist: Dist::place(workspace, arch),
            glibc: format!("{major}.{minor}"),
        }
    }

    fn of_host(workspace: &Workspace) -> Result<Self> {
        let name = std::env::consts::ARCH;
        let arch = Arch::ALL.into_iter().find(|it| it.to_string() == name);
        let glibc = run::output(Command::new("getconf").arg("GNU_LIBC_VERSION"))?;
        let (_, glibc) = glibc.trim().rsplit_once(' ').context("glibc's version")?;
        Ok(Self {
            arch: arch.with_context(|| format!("there is no package for {name}"))?,
            dist: Dist::of_host(workspace)?,
            glibc: glibc.to_owned(),
        })
    }
}

fn is_built(workspace: &Workspace, arch: Arch) -> bool {
    let dist = Dist::place(workspace, arch);
    let is_built = dist.module().exists() && dist.cli().exists();
    if !is_built {
        println!("{arch} is not built in full, so it is not packed");
    }
    is_built
}

/// The sources, and the date that stands in the packages instead of the time of packing.
#[derive(Debug, Clone, Copy)]
struct Source<'a> {
    workspace: &'a Workspace,
    /// Seconds since 1970.
    date: i64,
}

impl Source<'_> {
    /// Writes all packages into `dir`, the architectures in parallel: compressing uses one processor.
    fn pack_all(&self, arches: &[Arch], only: Option<Kind>, dir: &Path) -> Result<Vec<PathBuf>> {
        let of_arch = |arch: Arch| -> Result<Vec<PathBuf>> {
            let kinds = Kind::value_variants().iter();
            let kinds = kinds.filter(|it| only.is_none_or(|only| only == **it));
            kinds.map(|it| self.pack(arch, *it, dir)).collect()
        };
        let written: Result<Vec<Vec<PathBuf>>> = thread::scope(|scope| {
            let packing: Vec<_> = arches
                .iter()
                .map(|arch| scope.spawn(|| of_arch(*arch)))
                .collect();
            let end = |it: ScopedJoinHandle<'_, Result<Vec<PathBuf>>>| {
                it.join().unwrap_or_else(|_| bail!("packing panicked"))
            };
            packing.into_iter().map(end).collect()
        });
        Ok(written?.concat())
    }

    /// Writes one package into `dir`, and returns its path.
    fn pack(&self, arch: Arch, kind: Kind, dir: &Path) -> Result<PathBuf> {
        match kind {
            Kind::Deb => deb::pack(self, &Build::shipped(self.workspace, arch), dir),
            Kind::Rpm => rpm::pack(self, arch, dir),
            Kind::Tarball => tarball::pack(self, arch, dir),
            Kind::Sbom => sbom::write(self, arch, dir),
        }
    }
}

/// The version of all that the packages contain.
const VERSION: &str = env!("CARGO_PKG_VERSION");
/// Who answers for the packages: `authors` in Cargo.toml.
const MAINTAINER: &str = env!("CARGO_PKG_AUTHORS");
