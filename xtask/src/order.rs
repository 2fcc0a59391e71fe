//! Lays the module's functions out by what logins run: tests/tests/order.rs has why, and finds it.

use std::collections::{BTreeSet, HashSet};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use crate::dist;
use crate::elf::{self, Function};
use crate::run;
use crate::workspace::Workspace;

/// The linker's script; crates/module/build.rs hands it over.
const SCRIPT: &str = "crates/module/order.ld";

/// Writes it by the logins that are made now.
pub fn write(workspace: &Workspace) -> Result<()> {
    let dir = workspace.target("order");
    // What an earlier run has left is not this one's.
    if dir.exists() {
        fs::remove_dir_all(&dir).with_context(|| format!("remove {}", dir.display()))?;
    }
    let module = dist::with_symbols(workspace, &dir)?;
    let lab = ["build", "--quiet", "--package=lab", "--bins"];
    run::check(run::cargo(workspace.root()).args(lab))?;
    let mut logins = run::cargo(workspace.root());
    logins
        .args(["test", "--package=tests", "--test=order"])
        .env("SLURM_ADOPT_DIST", &dir)
        .env("SLURM_ADOPT_ORDER", &dir)
        .env(
            "SLURM_ADOPT_LAB_BIN",
            workspace.target("debug/slurm-adopt-lab"),
        );
    // It fails where functions lie too far apart as yet, but only after all logins.
    let failed = run::check(&mut logins).err();
    let functions = elf::functions(&module)?;
    let run_by = |login: &str| {
        let patterns = patterns(&functions, &dir.join(login));
        patterns.with_context(|| format!("the logins failed: {failed:?}"))
    };
    let (first, denied, adopted) = (run_by("first")?, run_by("denied")?, run_by("adopted")?);
    ensure!(
        denied.len() > 100,
        "a denial runs {} functions",
        denied.len()
    );
    let text = script(&[
        ("Each login.", &(&denied & &adopted)),
        ("Who has no job.", &denied),
        ("Who has one.", &adopted),
        ("The first login after a change.", &first),
    ]);
    let path = workspace.path(SCRIPT);
    fs::write(&path, text).with_context(|| format!("write {}", path.display()))
}

/// The functions in which one of the addresses lies that the file names, as patterns of symbols.
fn patterns(functions: &[Function], file: &Path) -> Result<BTreeSet<String>> {
    let text = fs::read_to_string(file).with_context(|| format!("read {}", file.display()))?;
    let addresses: Result<BTreeSet<u64>, _> = text.lines().map(str::parse).collect();
    let addresses = addresses.with_context(|| format!("{}: no address", file.display()))?;
    let runs = |it: &&Function| {
        let range = it.start..it.start + it.size;
        addresses.range(range).next().is_some()
    };
    let run = functions.iter().filter(runs);
    Ok(run.map(|it| pattern(&it.name)).collect())
}

/// A script that puts these functions first, in this order.
fn script(groups: &[(&str, &BTreeSet<String>)]) -> String {
    let mut text = String::from(
        "/* In what order the module's functions are laid out. Made by `cargo xtask order`. */\n\
         SECTIONS {\n  .plt : { *(.plt) }\n  .text : {\n",
    );
    let mut placed = HashSet::new();
    for (what, patterns) in groups {
        // Writing to a String does not fail.
        let _ = writeln!(text, "    /* {what} */");
        for it in patterns.iter().filter(|it| placed.insert(it.as_str())) {
            let _ = writeln!(text, "    *(.text*.{it})");
        }
    }
    text + "    *(.text .text.*)\n  }\n} INSERT AFTER .eh_frame;\n"
}

/// A symbol without the hash near its end, which is another one with each compiler.
fn pattern(symbol: &str) -> String {
    let hash = symbol.rfind("17h").filter(|at| {
        let hash = symbol.get(at + 3..at + 20).unwrap_or_default();
        let digits = hash.strip_suffix('E').unwrap_or_default();
        !digits.is_empty() && digits.bytes().all(|it| it.is_ascii_hexdigit())
    });
    match hash.and_then(|at| symbol.get(..at)) {
        Some(name) => format!("{name}17h*"),
        None => symbol.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_symbol_loses_its_hash() {
        for (symbol, expected) in [
            ("_ZN5adopt3run17h0123456789abcdefE", "_ZN5adopt3run17h*"),
            ("_ZN5adopt3run17h0123456789abcdefE.228", "_ZN5adopt3run17h*"),
            ("pam_sm_acct_mgmt", "pam_sm_acct_mgmt"),
            ("_ZN5adopt3run17hE", "_ZN5adopt3run17hE"),
            (
                "_ZN5adopt3run17h0123456789abcdef_",
                "_ZN5adopt3run17h0123456789abcdef_",
            ),
        ] {
            assert_eq!(pattern(symbol), expected);
        }
    }

    #[test]
    fn a_function_is_placed_once() {
        let [both, one] = [&["a"][..], &["a", "b"]]
            .map(|names| names.iter().map(|it| (*it).to_owned()).collect());
        let text = script(&[("Both.", &both), ("One.", &one)]);
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        let placed = ["/* Both. */", "*(.text*.a)", "/* One. */", "*(.text*.b)"];
        assert_eq!(lines.get(4..8), Some(&placed[..]), "{text}");
    }
}
