//! The bill of materials, and the sums beside the packages.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tests::{dist, page};

use crate::node::Site;
use crate::rpms;

/// What the schema of CycloneDX 1.5 requires, and that each part has its origin, licence and sum.
pub fn is_complete(site: &Site) -> Result<()> {
    let path = rpms::package("slurm-adopt", "-x86_64.cdx.json")?;
    let text = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
    let bill: Value = serde_json::from_str(&text).context("parse the bill")?;
    for (field, expected) in [("bomFormat", "CycloneDX"), ("specVersion", "1.5")] {
        ensure!(bill[field] == expected, "{field}: {}", bill[field]);
    }
    let components = bill["components"].as_array().context("no components")?;
    let mut references = BTreeSet::from([text_of(&bill["metadata"]["component"], "bom-ref")?]);
    for component in components {
        for field in ["type", "name", "version", "purl"] {
            text_of(component, field)?;
        }
        text_of(&component["licenses"][0], "expression")?;
        let reference = text_of(component, "bom-ref")?;
        // What the compiler adds has no sum of its own.
        if !reference.contains("rust-std") && !reference.contains("libgcc") {
            let sum = text_of(&component["hashes"][0], "content")?;
            ensure!(sum.len() == 64, "{reference}: {sum}");
        }
        ensure!(references.insert(reference), "{reference} twice");
    }
    for dependency in bill["dependencies"].as_array().context("no dependencies")? {
        let named = dependency["dependsOn"].as_array().context("no list")?;
        for name in named.iter().chain([&dependency["ref"]]) {
            let name = name.as_str().context("a name that is no text")?;
            ensure!(references.contains(name), "{name} is no component");
        }
    }
    let module = components
        .iter()
        .find(|it| it["name"] == "pam_slurm_adopt.so");
    let module = module.context("the module is not in it")?;
    let told = rpms::run(Command::new("sha256sum").arg(dist("pam_slurm_adopt.so")?))?;
    ensure!(
        told.starts_with(text_of(&module["hashes"][0], "content")?),
        "{told}"
    );
    sums_are_right(site)
}

/// What docs/install.md says to run.
fn sums_are_right(site: &Site) -> Result<()> {
    let dir = site.rpms.ours.parent().context("a directory of packages")?;
    let mut check = Command::new("/bin/sh");
    let commands = page::commands("docs/install.md", "What you have got")?;
    check.args(["-ec", &commands.join("\n")]);
    let told = rpms::run(check.current_dir(dir))?;
    for kind in [".rpm", ".tar.gz", ".cdx.json", ".deb"] {
        ensure!(told.contains(&format!("{kind}: OK")), "{told}");
    }
    Ok(())
}

fn text_of<'a>(value: &'a Value, field: &str) -> Result<&'a str> {
    let text = value[field].as_str().filter(|it| !it.is_empty());
    text.with_context(|| format!("no {field}: {value}"))
}
