//! Checks which code is in the builds and under which licence: the part of deny.toml that needs no cargo-deny.

use std::collections::BTreeSet;
use std::fs;

use anyhow::{Context, Result, anyhow, ensure};
use serde_json::Value;
use spdx::{Expression, ParseMode};

use crate::report::Report;
use crate::run;
use crate::workspace::Workspace;

/// Cargo's name for crates.io.
const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// Runs one gate for each of the two workspaces.
pub fn gates(workspace: &Workspace, report: &mut Report) {
    for (name, dir) in [("licences", ""), ("licences: fuzz", "fuzz")] {
        report.gate(name, || {
            let mut cargo = run::cargo(&workspace.path(dir));
            let metadata = run::output(cargo.args(["metadata", "--format-version=1"]))?;
            let metadata: Value =
                serde_json::from_str(&metadata).context("parse the answer of cargo metadata")?;
            let path = workspace.path("deny.toml");
            let rules =
                fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
            check(&metadata, &allowed(&rules)?)
        });
    }
}

fn allowed(rules: &str) -> Result<BTreeSet<String>> {
    let rules: toml::Table = toml::from_str(rules).context("parse deny.toml")?;
    let list = rules
        .get("licenses")
        .and_then(|it| it.get("allow"))
        .and_then(|it| it.as_array());
    let names = list.context("deny.toml has no licenses.allow")?.iter();
    names
        .map(|it| {
            it.as_str()
                .map(str::to_owned)
                .context("deny.toml: licenses.allow has no text")
        })
        .collect()
}

fn check(metadata: &Value, allowed: &BTreeSet<String>) -> Result<String> {
    let mut foreign = 0;
    for package in metadata["packages"]
        .as_array()
        .context("cargo metadata: no packages")?
    {
        let name = format!(
            "{} {}",
            package["name"].as_str().unwrap_or_default(),
            package["version"].as_str().unwrap_or_default()
        );
        // A package without a source is ours.
        if let Some(source) = package["source"].as_str() {
            ensure!(source == REGISTRY, "{name} comes from {source}");
            foreign += 1;
        }
        let licence = package["license"]
            .as_str()
            .with_context(|| format!("{name}: no licence"))?;
        let terms = Expression::parse_mode(licence, ParseMode::LAX)
            .map_err(|error| anyhow!("{name}: licence {licence}: {error}"))?;
        ensure!(
            terms.evaluate(|term| allowed.contains(&term.to_string())),
            "{name}: its licence {licence} is not among those of deny.toml"
        );
    }
    ensure!(foreign > 0, "cargo metadata listed no foreign crate");
    Ok(format!("{foreign} foreign crates"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn judge(source: &str, licence: Value) -> Result<String> {
        let package = json!({
            "name": "a", "version": "1.0.0", "source": source, "license": licence,
        });
        let rules = "[licenses]\nallow = [\"MIT\", \"Unicode-3.0\"]\n";
        check(&json!({ "packages": [package] }), &allowed(rules)?)
    }

    #[test]
    fn allowed_licences_pass() {
        for licence in [
            "MIT",
            "MIT/Apache-2.0",
            "Unlicense OR MIT",
            "MIT AND Unicode-3.0",
        ] {
            judge(REGISTRY, licence.into()).expect(licence);
        }
    }

    #[test]
    fn others_fail() {
        for licence in [
            "GPL-2.0-only",
            "MIT AND GPL-3.0-or-later",
            "Unlicense",
            "my own",
            "",
        ] {
            assert!(judge(REGISTRY, licence.into()).is_err(), "{licence}");
        }
        assert!(judge(REGISTRY, Value::Null).is_err());
    }

    #[test]
    fn other_sources_fail() {
        assert!(judge("git+https://example.org/a", "MIT".into()).is_err());
    }

    #[test]
    fn an_empty_list_of_crates_fails() {
        assert!(check(&json!({ "packages": [] }), &BTreeSet::new()).is_err());
        assert!(allowed("[licenses]\n").is_err());
    }
}
