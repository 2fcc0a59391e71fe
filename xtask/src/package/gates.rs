//! Checks on the packages themselves; tests/tests/package installs them.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::package;
use crate::report::Report;
use crate::run;
use crate::workspace::Workspace;

/// Packs twice and compares, and has lintian look at what came out. Returns whether there are packages to test.
pub fn gates(workspace: &Workspace, report: &mut Report) -> bool {
    let mut written = Vec::new();
    let is_packed = report.gate("package: the same bytes twice", || {
        let first = contents(package::write(workspace, None, None)?)?;
        let second = contents(package::write(workspace, None, None)?)?;
        for ((path, one), (_, two)) in first.iter().zip(&second) {
            ensure!(one == two, "{} differs", path.display());
        }
        written = first.into_iter().map(|(path, _)| path).collect();
        Ok(format!("{} packages", written.len()))
    });
    written.retain(|it| it.extension().is_some_and(|it| it == "deb"));
    report.gate("package: lintian", || lintian(&written));
    is_packed
}

fn contents(packages: Vec<PathBuf>) -> Result<Vec<(PathBuf, Vec<u8>)>> {
    let read = |path: PathBuf| {
        let content = fs::read(&path).with_context(|| format!("read {}", path.display()))?;
        Ok((path, content))
    };
    packages.into_iter().map(read).collect()
}

/// Fails on what lintian calls an error or a warning.
fn lintian(debs: &[PathBuf]) -> Result<String> {
    ensure!(!debs.is_empty(), "no deb to look at");
    let mut lintian = Command::new("lintian");
    run::output(
        lintian
            .args(["--allow-root", "--fail-on=error,warning"])
            .args(debs),
    )?;
    Ok(format!("{} debs", debs.len()))
}
