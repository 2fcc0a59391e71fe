//! The bill of materials: what the module and the program contain, as CycloneDX 1.5
//! (<https://cyclonedx.org/docs/1.5/json/>).

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::arch::Arch;
use crate::dist::Dist;
use crate::package::{Source, VERSION, sums};
use crate::run;
use crate::workspace::Workspace;

/// Writes slurm-adopt-VERSION-ARCH.cdx.json into `dir`, and returns its path.
///
/// # Errors
/// Those of cargo and of the file system; a crate that Cargo.lock has no sum of.
pub fn write(source: &Source<'_>, arch: Arch, dir: &Path) -> Result<PathBuf> {
    let bill = bill(source, arch)?;
    let mut text = serde_json::to_string_pretty(&bill).context("format the bill of materials")?;
    text.push('\n');
    let path = dir.join(format!("slurm-adopt-{VERSION}-{arch}.cdx.json"));
    fs::write(&path, text).with_context(|| format!("write {}", path.display()))?;
    Ok(path)
}

fn bill(source: &Source<'_>, arch: Arch) -> Result<Value> {
    let dist = Dist::place(source.workspace, arch);
    let crates = Crates::read(source.workspace)?;
    let mut components = Vec::new();
    let mut dependencies = Vec::new();
    let mut linked = BTreeSet::new();
    for (path, package, kind) in [
        (dist.module(), "pam-slurm-adopt", "library"),
        (dist.cli(), "slurm-adopt", "application"),
    ] {
        let content = fs::read(&path).with_context(|| format!("read {}", path.display()))?;
        let contents = crates.linked(source.workspace, package, arch)?;
        let toolchain = toolchain(&content).with_context(|| path.display().to_string())?;
        let reference = format!("file:{package}");
        components.push(shipped(&path, kind, &reference, &content)?);
        let of_crates = contents.iter().map(|it| it.purl());
        let of_toolchain = toolchain.iter().filter_map(|it| it["bom-ref"].as_str());
        let all: BTreeSet<String> = of_crates.chain(of_toolchain.map(str::to_owned)).collect();
        dependencies.push(json!({ "ref": reference, "dependsOn": all }));
        if linked.is_empty() {
            components.extend(toolchain);
        }
        linked.extend(contents);
    }
    for it in &linked {
        components.push(crates.component(it)?);
    }
    components.sort_by_key(|it| it["bom-ref"].to_string());
    let files: Vec<Value> = dependencies.iter().map(|it| it["ref"].clone()).collect();
    dependencies.insert(0, json!({ "ref": OWN, "dependsOn": files }));
    let serial = serial(&json!([components, dependencies]));
    Ok(json!({
        "$schema": "http://cyclonedx.org/schema/bom-1.5.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "serialNumber": serial,
        "version": 1,
        "metadata": {
            "timestamp": Timestamp::from_second(source.date)?.to_string(),
            "component": {
                "type": "application",
                "bom-ref": OWN,
                "name": "slurm-adopt",
                "version": VERSION,
                "purl": format!("pkg:generic/slurm-adopt@{VERSION}?arch={arch}"),
                "licenses": [{ "expression": LICENCE }],
            },
        },
        "components": components,
        "dependencies": dependencies,
    }))
}

/// Describes a file that is shipped.
fn shipped(path: &Path, kind: &str, reference: &str, content: &[u8]) -> Result<Value> {
    let name = path.file_name().context("a file with a name")?;
    let name = name.to_string_lossy();
    Ok(json!({
        "type": kind,
        "bom-ref": reference,
        "name": name,
        "version": VERSION,
        "purl": format!("pkg:generic/slurm-adopt@{VERSION}#{name}"),
        "licenses": [{ "expression": LICENCE }],
        "hashes": [{ "alg": "SHA-256", "content": sums::hex(content) }],
    }))
}

/// Describes what the compiler links in: Rust's standard library, whose version the messages of panics in the file
/// tell, and the unwinder of gcc.
fn toolchain(content: &[u8]) -> Result<[Value; 2]> {
    let at = content
        .windows(STD.len())
        .position(|it| it == STD.as_bytes())
        .context("no version of Rust's standard library in it")?;
    let version = content[at + STD.len()..].split(|it| *it == b'/').next();
    let version = std::str::from_utf8(version.unwrap_or_default()).unwrap_or_default();
    ensure!(
        version.starts_with("1.") && version.len() < 16,
        "\"{version}\" is no version of Rust"
    );
    let component = |name: &str, purl: String, version: &str, licence: &str| {
        json!({
            "type": "library",
            "bom-ref": purl,
            "name": name,
            "version": version,
            "purl": purl,
            "licenses": [{ "expression": licence }],
        })
    };
    Ok([
        component(
            "rust-std",
            format!("pkg:generic/rust-std@{version}"),
            version,
            LICENCE,
        ),
        component(
            "libgcc_eh",
            "pkg:deb/debian/libgcc-11-dev@11".to_owned(),
            "11",
            "GPL-3.0-or-later WITH GCC-exception-3.1",
        ),
    ])
}

/// Makes a serial number from the content: a UUID of version 8, RFC 9562.
fn serial(content: &Value) -> String {
    let hex = sums::hex(content.to_string().as_bytes());
    format!(
        "urn:uuid:{}-{}-8{}-8{}-{}",
        &hex[..8],
        &hex[8..12],
        &hex[12..15],
        &hex[15..18],
        &hex[18..30]
    )
}

/// Name and version of a foreign crate.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Crate {
    name: String,
    version: String,
}

impl Crate {
    /// Parses a line of cargo tree, `NAME vVERSION`. None for this project's own crates, which have a path.
    fn of_line(line: &str) -> Option<Self> {
        let mut words = line.split_whitespace();
        let (name, version) = (words.next()?, words.next()?.strip_prefix('v')?);
        let is_own = words.any(|it| it.starts_with("(/"));
        (!is_own).then(|| Self {
            name: name.to_owned(),
            version: version.to_owned(),
        })
    }

    fn purl(&self) -> String {
        format!("pkg:cargo/{}@{}", self.name, self.version)
    }
}

/// What cargo knows of the crates.
struct Crates {
    licences: BTreeMap<Crate, String>,
    sums: BTreeMap<Crate, String>,
}

impl Crates {
    fn read(workspace: &Workspace) -> Result<Self> {
        let mut cargo = run::cargo(workspace.root());
        let metadata = run::output(cargo.args(["metadata", "--locked", "--format-version=1"]))?;
        let path = workspace.path("Cargo.lock");
        let lock = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
        Self::parse(&metadata, &lock)
    }

    fn parse(metadata: &str, lock: &str) -> Result<Self> {
        let metadata: Value =
            serde_json::from_str(metadata).context("parse the answer of cargo metadata")?;
        let lock: toml::Table = toml::from_str(lock).context("parse Cargo.lock")?;
        let text = |it: Option<&str>| it.unwrap_or_default().to_owned();
        let of_metadata = metadata["packages"].as_array();
        let licences = of_metadata.into_iter().flatten().map(|it| {
            let (name, version) = (text(it["name"].as_str()), text(it["version"].as_str()));
            (Crate { name, version }, text(it["license"].as_str()))
        });
        let of_lock = lock.get("package").and_then(|it| it.as_array());
        let sums = of_lock.into_iter().flatten().filter_map(|it| {
            let field = |name: &str| it.get(name)?.as_str().map(str::to_owned);
            let (name, version) = (field("name")?, field("version")?);
            Some((Crate { name, version }, field("checksum")?))
        });
        Ok(Self {
            licences: licences.collect(),
            sums: sums.collect(),
        })
    }

    /// Lists the foreign crates that are linked into a package for an architecture.
    fn linked(&self, workspace: &Workspace, package: &str, arch: Arch) -> Result<BTreeSet<Crate>> {
        let tree = run::output(run::cargo(workspace.root()).args([
            "tree",
            "--locked",
            "--package",
            package,
            "--edges=normal,no-proc-macro",
            "--target",
            arch.target(),
            "--prefix=none",
            "--format={p}",
        ]))?;
        let crates: BTreeSet<Crate> = tree.lines().filter_map(Crate::of_line).collect();
        ensure!(
            !crates.is_empty(),
            "cargo tree listed no crate of {package}"
        );
        Ok(crates)
    }

    fn component(&self, it: &Crate) -> Result<Value> {
        let purl = it.purl();
        let licence = self.licences.get(it).filter(|it| !it.is_empty());
        let licence = licence.with_context(|| format!("{purl}: no licence"))?;
        let sum = self.sums.get(it);
        let sum = sum.with_context(|| format!("Cargo.lock has no checksum of {purl}"))?;
        Ok(json!({
            "type": "library",
            "bom-ref": purl,
            "name": it.name,
            "version": it.version,
            "purl": purl,
            // Before SPDX had an operator for it, crates wrote a slash.
            "licenses": [{ "expression": licence.replace('/', " OR ") }],
            "hashes": [{ "alg": "SHA-256", "content": sum }],
        }))
    }
}

/// The project as a component.
const OWN: &str = "slurm-adopt";
/// The licence of this project, and of Rust's standard library.
const LICENCE: &str = "MIT OR Apache-2.0";
/// The directory in which Debian builds Rust; a version follows.
const STD: &str = "/usr/src/rustc-";

#[cfg(test)]
mod tests {
    use super::*;

    const LOCK: &str = "[[package]]\nname = \"a\"\nversion = \"1.2.3\"\nchecksum = \"00ff\"\n";

    fn crates() -> Crates {
        let metadata =
            r#"{"packages": [{"name": "a", "version": "1.2.3", "license": "MIT/Apache-2.0"}]}"#;
        Crates::parse(metadata, LOCK).expect("crates")
    }

    #[test]
    fn a_crate_has_its_purl_licence_and_sum() {
        let a = Crate::of_line("a v1.2.3 (*)").expect("a crate");
        let component = crates().component(&a).expect("a component");
        assert_eq!(
            component,
            json!({
                "type": "library",
                "bom-ref": "pkg:cargo/a@1.2.3",
                "name": "a",
                "version": "1.2.3",
                "purl": "pkg:cargo/a@1.2.3",
                "licenses": [{ "expression": "MIT OR Apache-2.0" }],
                "hashes": [{ "alg": "SHA-256", "content": "00ff" }],
            })
        );
    }

    #[test]
    fn a_crate_without_sum_or_licence_fails() {
        let other = Crate::of_line("a v1.2.4").expect("a crate");
        assert!(crates().component(&other).is_err());
    }

    #[test]
    fn own_crates_are_no_foreign_ones() {
        assert_eq!(Crate::of_line("adopt v0.1.0 (/src/crates/adopt)"), None);
        assert_eq!(Crate::of_line(""), None);
    }

    #[test]
    fn the_standard_library_is_what_the_file_names() {
        let [std, _] =
            toolchain(b"\0x/usr/src/rustc-1.85.1/library/core/src/a.rs").expect("a version");
        assert_eq!(std["version"], "1.85.1");
        for none in [
            &b"/rustc/abc/library"[..],
            b"/usr/src/rustc-x/y",
            b"/usr/src/rustc-",
        ] {
            assert!(toolchain(none).is_err(), "{none:?}");
        }
    }

    #[test]
    fn the_same_content_has_the_same_serial_number() {
        let number = serial(&json!(["a"]));
        assert_eq!(number, serial(&json!(["a"])));
        assert_ne!(number, serial(&json!(["b"])));
        assert_eq!(number.len(), "urn:uuid:".len() + 36);
    }
}
