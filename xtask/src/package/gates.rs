//! Checks on the packages themselves; tests/tests/package installs them.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::arch::Arch;
use crate::package;
use crate::report::Report;
use crate::run;
use crate::workspace::Workspace;

/// Packs twice and compares, and has lintian and rpmlint look at what came out. Returns whether there are packages to test.
pub fn gates(workspace: &Workspace, report: &mut Report) -> bool {
    let mut written = Vec::new();
    let is_packed = report.gate("package: the same bytes twice", || {
        let first = contents(package::write(workspace, None, None)?)?;
        // What one architecture shows holds for the other.
        let second = package::write(workspace, Some(Arch::X86_64), None)?;
        ensure!(!second.is_empty(), "nothing was packed");
        for again in contents(second)? {
            ensure!(first.contains(&again), "{} differs", again.0.display());
        }
        written = first.into_iter().map(|(path, _)| path).collect();
        Ok(format!("{} packages", written.len()))
    });
    let of_kind = |kind: &str| -> Vec<&PathBuf> {
        let is_it = |it: &&PathBuf| it.extension().is_some_and(|it| it == kind);
        written.iter().filter(is_it).collect()
    };
    report.gate("package: lintian", || lintian(&of_kind("deb")));
    report.gate("package: rpmlint", || rpmlint(workspace, &of_kind("rpm")));
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
fn lintian(debs: &[&PathBuf]) -> Result<String> {
    ensure!(!debs.is_empty(), "no deb to look at");
    let mut lintian = Command::new("lintian");
    run::output(
        lintian
            .args(["--allow-root", "--fail-on=error,warning"])
            .args(debs),
    )?;
    Ok(format!("{} debs", debs.len()))
}

/// Fails on what rpmlint calls an error or a warning, but for those that packaging/rpm/rpmlint.toml explains.
fn rpmlint(workspace: &Workspace, rpms: &[&PathBuf]) -> Result<String> {
    ensure!(!rpms.is_empty(), "no rpm to look at");
    let config = workspace.path("packaging/rpm/rpmlint.toml");
    let mut rpmlint = Command::new("rpmlint");
    let told = run::output(rpmlint.arg("--config").arg(config).args(rpms))?;
    ensure!(told.contains(" 0 errors, 0 warnings"), "{told}");
    Ok(format!("{} rpms", rpms.len()))
}
