//! Packs what `cargo xtask dist` built, into target/packages.

mod date;
mod deb;
mod gates;
mod tree;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;

use crate::arch::Arch;
use crate::dist::Dist;
use crate::man;
use crate::workspace::Workspace;

pub use gates::gates;

/// A kind of package.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// For Debian and Ubuntu
    Deb,
}

/// Packs every kind for every architecture that is built, or only those that are asked for.
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
    let mut written = Vec::new();
    for arch in built {
        for kind in Kind::value_variants() {
            if only.is_none_or(|it| it == *kind) {
                written.push(source.pack(arch, *kind, &dir)?);
            }
        }
    }
    Ok(written)
}

fn is_built(workspace: &Workspace, arch: Arch) -> bool {
    let is_built = Dist::place(workspace, arch).module().exists();
    if !is_built {
        println!("{arch} is not built, so it is not packed");
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
    /// Writes one package into `dir`, and returns its path.
    fn pack(&self, arch: Arch, kind: Kind, dir: &Path) -> Result<PathBuf> {
        match kind {
            Kind::Deb => deb::pack(self, arch, dir),
        }
    }
}

/// The version of all that the packages contain.
const VERSION: &str = env!("CARGO_PKG_VERSION");
