//! Gates on the module's source: which crates it contains, and which Rust they build with.

use std::collections::BTreeSet;
use std::fs;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::arch::Arch;
use crate::report::Report;
use crate::run;
use crate::workspace::Workspace;

/// The committed list of the crates in the module.
const CRATES: &str = "xtask/so-crates.txt";

/// Runs the gates and counts each.
pub fn gates(workspace: &Workspace, report: &mut Report) {
    report.gate("so: crates", || crates(workspace));
    report.gate("so: oldest Rust", || rust_versions(workspace));
}

fn crates(workspace: &Workspace) -> Result<String> {
    let path = workspace.path(CRATES);
    let list = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
    compare_crates(&tree(workspace)?, &list)
}

/// Lists the crates in the module for all architectures, a line `name vVERSION` for each.
fn tree(workspace: &Workspace) -> Result<String> {
    let mut lines = String::new();
    for arch in Arch::ALL {
        lines += &run::output(run::cargo(workspace.root()).args([
            "tree",
            "--package=pam-slurm-adopt",
            "--edges=normal",
            "--target",
            arch.target(),
            "--prefix=none",
            "--format={p}",
        ]))?;
    }
    Ok(lines)
}

/// Checks that each crate in the module declares that it builds with the module's oldest Rust.
fn rust_versions(workspace: &Workspace) -> Result<String> {
    let metadata =
        run::output(run::cargo(workspace.root()).args(["metadata", "--format-version=1"]))?;
    let metadata: Value =
        serde_json::from_str(&metadata).context("parse the answer of cargo metadata")?;
    compare_rust_versions(&tree(workspace)?, &metadata)
}

fn compare_rust_versions(tree: &str, metadata: &Value) -> Result<String> {
    let packages = metadata["packages"]
        .as_array()
        .context("cargo metadata: no packages")?;
    let declared = |name: &str, version: &str| {
        let is_it = |it: &&Value| it["name"] == name && it["version"] == version;
        let package = packages
            .iter()
            .find(is_it)
            .with_context(|| format!("cargo metadata has no {name} {version}"))?;
        let text = package["rust_version"].as_str();
        text.and_then(rust_version)
            .with_context(|| format!("{name} {version} does not say with which Rust it builds"))
    };
    let crates: BTreeSet<(&str, &str)> = tree.lines().filter_map(name_and_version).collect();
    let (_, own) = *crates
        .iter()
        .find(|(name, _)| *name == MODULE)
        .with_context(|| format!("cargo tree did not list {MODULE}"))?;
    let floor = declared(MODULE, own)?;
    for (name, version) in &crates {
        let (major, minor) = declared(name, version)?;
        ensure!(
            (major, minor) <= floor,
            "{name} {version} wants Rust {major}.{minor}, the module is to build with {}.{}",
            floor.0,
            floor.1
        );
    }
    let (major, minor) = floor;
    Ok(format!(
        "{major}.{minor} will do for {} crates",
        crates.len()
    ))
}

/// Name of the module's crate.
const MODULE: &str = "pam-slurm-adopt";

/// Parses `1.85` or `1.85.0`.
fn rust_version(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.split('.').map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

/// Compares the output of cargo tree with the committed list: names and, for foreign crates, the part of
/// the version that may break us if it changes.
fn compare_crates(tree: &str, list: &str) -> Result<String> {
    let found: BTreeSet<String> = tree.lines().filter_map(crate_of_line).collect();
    let allowed: BTreeSet<String> = list
        .lines()
        .map(|line| line.split('#').next().unwrap_or_default().trim().to_owned())
        .filter(|line| !line.is_empty())
        .collect();
    ensure!(!found.is_empty(), "cargo tree listed no crate");
    let more: Vec<_> = found.difference(&allowed).cloned().collect();
    let fewer: Vec<_> = allowed.difference(&found).cloned().collect();
    ensure!(
        more.is_empty() && fewer.is_empty(),
        "the module's crates are not those of {CRATES}: new [{}], gone [{}]",
        more.join(", "),
        fewer.join(", ")
    );
    Ok(found.into_iter().collect::<Vec<_>>().join(", "))
}

/// Turns `libc v0.2.191` into `libc 0.2`, and `pam v0.1.0 (/src/crates/pam)` into `pam`.
fn crate_of_line(line: &str) -> Option<String> {
    let (name, version) = name_and_version(line)?;
    if line.contains("(/") {
        return Some(name.to_owned());
    }
    let mut numbers = version.split('.');
    let (major, minor) = (numbers.next()?, numbers.next()?);
    Some(if major == "0" {
        format!("{name} 0.{minor}")
    } else {
        format!("{name} {major}")
    })
}

/// The first two words of such a line, the second without the v.
fn name_and_version(line: &str) -> Option<(&str, &str)> {
    let mut words = line.split_whitespace();
    Some((words.next()?, words.next()?.strip_prefix('v')?))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn crates_must_be_those_of_the_list() {
        let tree = "pam v0.1.0 (/src/crates/pam)\nlibc v0.2.191\nlibc v0.2.191\nserde v1.0.2\n";
        compare_crates(tree, "# ours\npam\nlibc 0.2 # system calls\nserde 1\n").expect("the same");
        let more = compare_crates(tree, "pam\nlibc 0.2\n")
            .expect_err("one more")
            .to_string();
        assert!(more.contains("new [serde 1], gone []"), "{more}");
        assert!(compare_crates(tree, "pam\nlibc 0.2\nserde 1\nsys\n").is_err());
        assert!(compare_crates(tree, "pam\nlibc 0.3\nserde 1\n").is_err());
        assert!(compare_crates("", "").is_err());
    }

    #[test]
    fn crates_must_build_with_the_modules_rust() {
        let tree = "pam-slurm-adopt v0.1.0 (/src/crates/module)\na v1.0.2\n";
        let judge = |version: Value| {
            let package = |name: &str, number: &str, version: Value| json!({ "name": name, "version": number, "rust_version": version });
            let packages = [
                package("a", "0.9.0", "1.99".into()),
                package("a", "1.0.2", version),
                package(MODULE, "0.1.0", "1.85".into()),
            ];
            compare_rust_versions(tree, &json!({ "packages": packages }))
        };
        for good in ["1.56", "1.56.1", "1.85", "1.85.1"] {
            judge(good.into()).expect(good);
        }
        for bad in ["1.86", "2.0", "new"] {
            assert!(judge(bad.into()).is_err(), "{bad}");
        }
        let error = judge(Value::Null).expect_err("none").to_string();
        assert!(error.starts_with("a 1.0.2 does not say"), "{error}");
        assert!(compare_rust_versions("a v1.0.2\n", &json!({ "packages": [] })).is_err());
    }
}
