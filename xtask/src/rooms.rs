//! `unsafe` stays in its two rooms.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Context, Result, anyhow, bail, ensure};
use proc_macro2::{TokenStream, TokenTree};

use crate::report::Report;
use crate::run;
use crate::workspace::Workspace;

/// The crates that may have it.
const ROOMS: [&str; 2] = ["crates/pam/", "crates/sys/"];

/// The entry points are `#[unsafe(no_mangle)]`: the attribute is allowed here, code is not.
const ENTRIES: [&str; 2] = [
    "crates/module/src/lib.rs",
    "crates/module/examples/forced_panic.rs",
];

/// Reads every Rust file of the repository.
pub fn gate(workspace: &Workspace, report: &mut Report) {
    report.gate("unsafe in its two rooms only", || {
        let mut files = 0;
        for path in sources(workspace)? {
            let name = path.to_string_lossy();
            if ROOMS.iter().any(|room| name.starts_with(room)) {
                continue;
            }
            let whole = workspace.root().join(&path);
            let text =
                fs::read_to_string(&whole).with_context(|| format!("read {}", whole.display()))?;
            check(&name, &text)?;
            files += 1;
        }
        ensure!(files > 0, "found no Rust file");
        Ok(format!("{files} other files have none"))
    });
}

/// Files that git has or would take.
fn sources(workspace: &Workspace) -> Result<BTreeSet<PathBuf>> {
    let list = run::output(
        std::process::Command::new("git")
            .args([
                "ls-files",
                "-z",
                "--cached",
                "--others",
                "--exclude-standard",
                "--",
                "*.rs",
            ])
            .current_dir(workspace.root()),
    )?;
    let names = list
        .split('\0')
        .filter(|it| !it.is_empty())
        .map(PathBuf::from);
    // A file removed and not yet committed is listed too.
    Ok(names.filter(|it| exists(workspace.root(), it)).collect())
}

fn exists(root: &Path, name: &Path) -> bool {
    root.join(name).is_file()
}

fn check(name: &str, text: &str) -> Result<()> {
    let tokens =
        TokenStream::from_str(text).map_err(|error| anyhow!("{name}: no Rust tokens: {error}"))?;
    let found = lines_with_unsafe(tokens, ENTRIES.contains(&name));
    if let Some(line) = found.first() {
        bail!("{name}:{line}: unsafe outside {}", ROOMS.join(" and "));
    }
    Ok(())
}

/// The lines with the keyword, not counting comments and strings, and not counting
/// `#[unsafe(no_mangle)]` where that is allowed.
fn lines_with_unsafe(tokens: TokenStream, allow_no_mangle: bool) -> Vec<usize> {
    let mut found = Vec::new();
    let mut tokens = tokens.into_iter().peekable();
    while let Some(token) = tokens.next() {
        match token {
            TokenTree::Ident(ident) if ident == "unsafe" => {
                let attribute = tokens.peek().map(ToString::to_string);
                if !(allow_no_mangle && attribute.as_deref() == Some("(no_mangle)")) {
                    found.push(ident.span().start().line);
                }
            }
            TokenTree::Group(group) => {
                found.extend(lines_with_unsafe(group.stream(), allow_no_mangle));
            }
            _ => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_is_found_wherever_it_is() {
        for text in [
            "fn f() { unsafe { g() } }",
            "unsafe fn f() {}",
            "unsafe impl Send for X {}",
            "macro_rules! m { () => { unsafe {} } }",
            "#[unsafe(no_mangle)] pub fn f() {}",
        ] {
            assert!(check("crates/adopt/src/lib.rs", text).is_err(), "{text}");
        }
        let error = check("tests/a.rs", "\n\nunsafe fn f() {}")
            .expect_err("line 3")
            .to_string();
        assert!(error.starts_with("tests/a.rs:3: "), "{error}");
    }

    #[test]
    fn words_are_not_code() {
        let text = "// unsafe\n/* unsafe */ #![forbid(unsafe_code)] const A: &str = \"unsafe\";";
        check("crates/adopt/src/lib.rs", text).expect("no code");
    }

    #[test]
    fn the_entry_points_have_the_attribute_alone() {
        check(
            ENTRIES[0],
            "#[unsafe(no_mangle)] pub extern \"C\" fn f() {}",
        )
        .expect("the attribute");
        assert!(check(ENTRIES[0], "#[unsafe(no_mangle)] fn f() { unsafe { g() } }").is_err());
        assert!(check(ENTRIES[0], "#[unsafe(export_name = \"x\")] fn f() {}").is_err());
    }

    #[test]
    fn what_is_no_rust_is_an_error() {
        assert!(check("a.rs", "fn f() { \"").is_err());
    }
}
