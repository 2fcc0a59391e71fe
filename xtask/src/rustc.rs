//! Which compiler builds for which architecture.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::arch::Arch;
use crate::debian::Debian;
use crate::run;
use crate::workspace::Workspace;

/// A compiler that has the standard library for an architecture.
#[derive(Debug)]
pub enum Rustc {
    /// The toolchain's own.
    Own,
    /// Debian's.
    Debian(PathBuf),
}

impl Rustc {
    /// The toolchain's own where it can, as after `rustup target add`; else Debian's.
    pub fn find(workspace: &Workspace, arch: Arch) -> Result<Self> {
        let mut rustc = Command::new(env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
        rustc.args(["--print=target-libdir", "--target", arch.target()]);
        let dir = run::output(rustc.current_dir(workspace.root()))?;
        if has_std(Path::new(dir.trim_end())) {
            return Ok(Self::Own);
        }
        Debian::install(workspace)
            .map(|it| Self::Debian(it.rustc()))
            .with_context(|| {
                format!(
                    "no standard library for {0}: `rustup target add {0}` would get it, and \
                     Debian's packages could not be had",
                    arch.target()
                )
            })
    }

    /// Has cargo use it.
    pub fn surround(&self, cargo: &mut Command) {
        if let Self::Debian(rustc) = self {
            cargo.env("RUSTC", rustc);
        }
    }
}

fn has_std(dir: &Path) -> bool {
    let is_std = |name: &str| name.starts_with("libstd-") && name.ends_with(".rlib");
    fs::read_dir(dir).is_ok_and(|entries| {
        entries
            .flatten()
            .any(|it| it.file_name().to_str().is_some_and(is_std))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hosts_standard_library_is_found() {
        let rustc = |what: [&str; 1]| run::output(Command::new("rustc").args(what)).expect("rustc");
        let dir = rustc(["--print=target-libdir"]);
        assert!(has_std(Path::new(dir.trim_end())), "{dir}");
        let sysroot = rustc(["--print=sysroot"]);
        assert!(!has_std(Path::new(sysroot.trim_end())), "{sysroot}");
        assert!(!has_std(Path::new("/nonexistent")));
    }
}
