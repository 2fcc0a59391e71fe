//! Checks that `unsafe` stays in its two rooms, that no room of crates/adopt uses one above it, and that the crates
//! depend on each other in one direction.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Context, Result, anyhow, bail, ensure};
use proc_macro2::{Delimiter, TokenStream, TokenTree};

use crate::report::Report;
use crate::run;
use crate::workspace::Workspace;

/// The crates that may contain `unsafe`.
const ROOMS: [&str; 2] = ["crates/pam/", "crates/sys/"];

/// Entry points with `#[unsafe(no_mangle)]`: only the attribute is allowed there, not `unsafe` code.
const ENTRIES: [&str; 2] = [
    "crates/module/src/lib.rs",
    "crates/module/examples/forced_panic.rs",
];

/// The rooms of crates/adopt from the top down: each uses only those below it.
const ORDER: &[&str] = &[
    "run",
    "explain",
    "survey",
    "fuzzing",
    "apply",
    "extras",
    "waiting",
    "gather",
    "report",
    "session",
    "measure",
    "job_env",
    "adoption",
    "prepare",
    "decide",
    "callerid",
    "stepd",
    "facts",
    "exempt",
    "node",
    "state_dir",
    "trust",
    "log",
    "options",
    "exchange",
    "access",
    "login",
    "text",
];
const ADOPT: &str = "crates/adopt/src/";

/// The crates in crates/, and those of them that each may depend on.
const ARROWS: [(&str, &[&str]); 12] = [
    ("pam", &[]),
    ("pamconf", &[]),
    ("proto", &[]),
    ("sys", &[]),
    ("adopt", &["pam", "pamconf", "proto", "sys"]),
    ("check", &["adopt", "pam", "pamconf", "proto", "sys"]),
    (
        "status",
        &["adopt", "check", "pam", "pamconf", "proto", "sys"],
    ),
    (
        "setup",
        &["adopt", "check", "pam", "pamconf", "proto", "sys"],
    ),
    (
        "ending",
        &["adopt", "check", "pam", "pamconf", "proto", "status", "sys"],
    ),
    ("connect", &["proto"]),
    ("module", &["adopt", "pam", "pamconf", "proto", "sys"]),
    (
        "cli",
        &[
            "adopt", "check", "connect", "ending", "pam", "pamconf", "proto", "setup", "status",
            "sys",
        ],
    ),
];

const STATUS: &str = "crates/status/src/";
/// All that crates/status may use of crates/check: the host's files, processes and programs, no judgement.
const OF_CHECK: &str = "host";

/// Checks the crates, and the rooms of crates/adopt, for dependencies that point up.
pub fn order_gate(workspace: &Workspace, report: &mut Report) {
    report.gate("crates, and rooms of crates/adopt, in order", || {
        let mut uses = 0;
        for path in sources(workspace)? {
            let name = path.to_string_lossy();
            let room = room_of(&name);
            if room.is_none() && !name.starts_with(STATUS) {
                continue;
            }
            let text = fs::read_to_string(workspace.root().join(&path))
                .with_context(|| format!("read {name}"))?;
            match room {
                Some(room) => uses += check_order(&name, room, &text)?,
                None => check_status(&name, &text)?,
            }
        }
        ensure!(uses > 0, "found no use of a room");
        for (name, allowed) in ARROWS {
            let manifest = workspace.path(&format!("crates/{name}/Cargo.toml"));
            let text = fs::read_to_string(&manifest)
                .with_context(|| format!("read {}", manifest.display()))?;
            check_arrows(name, allowed, &text)?;
        }
        Ok(format!("{uses} uses, none points up"))
    });
}

/// The room of a file of crates/adopt; none for the crate's root and tests.
fn room_of(name: &str) -> Option<&str> {
    let file = name.strip_prefix(ADOPT)?;
    let is_test = file.ends_with("tests.rs") || file.contains("/tests/");
    let room = file.split(['/', '.']).next()?;
    (!is_test && room != "lib").then_some(room)
}

/// Checks that a file uses only rooms below its own, and counts the rooms that it names.
fn check_order(name: &str, room: &str, text: &str) -> Result<usize> {
    let used = names_after("crate", name, text)?;
    let place = |room: &str| ORDER.iter().position(|it| *it == room);
    let Some(own) = place(room) else {
        bail!("{name}: room {room} has no place in the order of xtask/src/rooms.rs");
    };
    for other in &used {
        match place(other) {
            Some(other_place) => ensure!(
                other_place >= own,
                "{name}: {room} uses {other}, which is above it"
            ),
            None => bail!("{name}: uses crate::{other}, which is no room"),
        }
    }
    Ok(used.len())
}

/// Checks that a file of crates/status uses of crates/check only what it may.
fn check_status(name: &str, text: &str) -> Result<()> {
    let used = names_after("check", name, text)?;
    match used.iter().find(|it| *it != OF_CHECK) {
        Some(other) => bail!("{name}: uses check::{other}, and may use check::{OF_CHECK} alone"),
        None => Ok(()),
    }
}

/// The names in a file after `root::`, except in its tests.
fn names_after(root: &str, name: &str, text: &str) -> Result<BTreeSet<String>> {
    let tokens =
        TokenStream::from_str(text).map_err(|error| anyhow!("{name}: no Rust tokens: {error}"))?;
    let mut used = BTreeSet::new();
    collect_names(root, tokens, &mut used);
    Ok(used)
}

fn collect_names(root: &str, tokens: TokenStream, used: &mut BTreeSet<String>) {
    let tokens: Vec<_> = tokens.into_iter().collect();
    let mut index = 0;
    while index < tokens.len() {
        match &tokens[index] {
            TokenTree::Group(group) if group.to_string() == "[cfg (test)]" => {
                // Skip the item that follows, up to its braces or a semicolon.
                while tokens.get(index).is_some_and(|it| !ends_item(it)) {
                    index += 1;
                }
            }
            TokenTree::Group(group) => collect_names(root, group.stream(), used),
            TokenTree::Ident(ident) if ident == root => {
                if let Some(after) = tokens.get(index + 3) {
                    names_at(after, used);
                }
            }
            _ => {}
        }
        index += 1;
    }
}

fn ends_item(token: &TokenTree) -> bool {
    match token {
        TokenTree::Group(group) => group.delimiter() == Delimiter::Brace,
        TokenTree::Punct(punct) => punct.as_char() == ';',
        _ => false,
    }
}

/// Collects the first names of a path or of a list of paths.
fn names_at(token: &TokenTree, used: &mut BTreeSet<String>) {
    match token {
        TokenTree::Ident(ident) => {
            used.insert(ident.to_string());
        }
        TokenTree::Group(group) => {
            let mut is_first = true;
            for token in group.stream() {
                if let (true, TokenTree::Ident(ident)) = (is_first, &token) {
                    used.insert(ident.to_string());
                }
                is_first = matches!(&token, TokenTree::Punct(it) if it.as_char() == ',');
            }
        }
        _ => {}
    }
}

fn check_arrows(name: &str, allowed: &[&str], manifest: &str) -> Result<()> {
    let others = ARROWS.iter().map(|(other, _)| *other);
    for other in others.filter(|it| *it != name && !allowed.contains(it)) {
        let mut lines = manifest.lines().map(str::trim_start);
        let needs = lines.any(|line| {
            let rest = line.strip_prefix(other);
            rest.is_some_and(|rest| rest.starts_with(['.', ' ', '=']))
        });
        ensure!(!needs, "crates/{name} depends on {other}");
    }
    Ok(())
}

/// Checks every other Rust file of the repository for `unsafe`.
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

/// Rust files that git tracks or would add.
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
    // git also lists files that are removed but not yet committed.
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

/// The lines with the keyword, without comments and strings, and without `#[unsafe(no_mangle)]` where that
/// is allowed.
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
    fn an_arrow_that_points_up_is_an_error() {
        let uses = |text: &str| {
            let name = "crates/adopt/src/stepd/spool.rs";
            check_order(name, room_of(name).expect("a room"), text)
        };
        assert_eq!(
            uses("use crate::{text::shown, node::{self, Node}}; fn f() { crate::log::g() }")
                .expect("all are below"),
            3
        );
        for text in [
            "use crate::apply;",
            "use crate::{text, apply::Live};",
            "fn f() { crate::decide::g() }",
            "use crate::nothing;",
        ] {
            assert!(uses(text).is_err(), "{text}");
        }
        let in_tests = "#[cfg(test)] mod tests { use crate::run; } use crate::text;";
        assert_eq!(uses(in_tests).expect("tests may"), 1);
        assert!(check_order("crates/adopt/src/new.rs", "new", "").is_err());
        assert_eq!(room_of("crates/adopt/src/stepd/tests/requests.rs"), None);
        assert_eq!(room_of("crates/adopt/src/lib.rs"), None);
        assert_eq!(room_of("crates/adopt/src/node/mod.rs"), Some("node"));
    }

    #[test]
    fn crates_depend_in_one_direction() {
        check_arrows("sys", &[], "[dependencies]\nlibc.workspace = true\n").expect("none");
        assert!(check_arrows("sys", &[], "proto.workspace = true").is_err());
        assert!(check_arrows("proto", &[], "adopt = { path = \"../adopt\" }").is_err());
        check_arrows("status", &["check"], "check.workspace = true").expect("it may");
        assert!(check_arrows("check", &["adopt"], "status.workspace = true").is_err());
        assert!(check_arrows("module", &["adopt"], "check.workspace = true").is_err());
    }

    #[test]
    fn status_judges_nothing() {
        check_status("a.rs", "use check::host::{Host, tree::Tree};").expect("it may");
        for text in ["use check::run;", "use check::{host::Host, Finding};"] {
            assert!(check_status("a.rs", text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_no_rust_is_an_error() {
        assert!(check("a.rs", "fn f() { \"").is_err());
    }
}
