//! Checks that the tests named in the docs exist.
//!
//! A code span with a program and a colon names a test: `` `callerid: liars` `` is a string of that name in
//! the source of tests/tests/callerid. In a column "shown by" any other span names a module
//! (`` `stepd::tests` ``), a function (`` `retval::root_passes` ``), a test program or a fuzz target.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

use crate::workspace::Workspace;

const FILES: [&str; 5] = [
    "docs/threat-model.md",
    "docs/differences.md",
    "docs/podman.md",
    "docs/session.md",
    "docs/reliability.md",
];

/// Looks up each named test.
pub fn gate(workspace: &Workspace) -> Result<String> {
    let programs = workspace.path("tests/tests");
    let (mut count, mut missing) = (0, Vec::new());
    for file in FILES {
        let path = workspace.path(file);
        let text = read(&path)?;
        let spans = code_spans(&without_blocks(&text)).with_context(|| file.to_owned())?;
        for (program, name) in spans.iter().filter_map(|span| as_test(span)) {
            count += 1;
            if !source_of(&programs, program)?.contains(&format!("\"{name}\"")) {
                missing.push(format!("{file}: `{program}: {name}`"));
            }
        }
        for column in last_columns(&text) {
            for span in code_spans(column).with_context(|| file.to_owned())? {
                if as_test(&span).is_some() {
                    continue;
                }
                count += 1;
                if !is_in_source(workspace, &span)? {
                    missing.push(format!("{file}: `{span}`"));
                }
            }
        }
    }
    ensure!(missing.is_empty(), "no such tests: {}", missing.join("; "));
    ensure!(count > 50, "found only {count} tests named");
    Ok(format!("{count} named, all there"))
}

/// Splits a span into program and test name, if it names a test.
fn as_test(span: &str) -> Option<(&str, &str)> {
    let (program, name) = span.split_once(": ")?;
    let is_word = |it: char| it.is_ascii_lowercase() || it.is_ascii_digit() || it == '_';
    (!program.is_empty() && program.chars().all(is_word)).then_some((program, name))
}

/// The source of a test program: its file, or all files in its directory.
fn source_of(programs: &Path, program: &str) -> Result<String> {
    let mut text = String::new();
    for path in rust_files(programs)? {
        let inside = path.strip_prefix(programs).unwrap_or(&path);
        let first = inside.components().next().map(|it| it.as_os_str());
        if Path::new(first.unwrap_or_default()).file_stem() == Some(program.as_ref()) {
            text += &read(&path)?;
        }
    }
    ensure!(!text.is_empty(), "no test program is called {program}");
    Ok(text)
}

/// The text without its fenced code blocks.
fn without_blocks(text: &str) -> String {
    let mut is_block = false;
    let lines = text.lines().filter(|line| {
        let is_fence = line.trim_start().starts_with("```");
        is_block ^= is_fence;
        !is_block && !is_fence
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// The code spans, with a single blank for each line break.
fn code_spans(text: &str) -> Result<Vec<String>> {
    let parts: Vec<&str> = text.split('`').collect();
    if parts.len() % 2 == 0 {
        bail!("a code span is not closed");
    }
    let spans = parts.iter().skip(1).step_by(2);
    let joined = spans.map(|it| it.split_whitespace().collect::<Vec<_>>().join(" "));
    Ok(joined.collect())
}

/// The last cell of each row, in tables whose last column is "shown by".
fn last_columns(text: &str) -> impl Iterator<Item = &str> {
    let mut ends_with_tests = false;
    text.lines().filter_map(move |line| {
        let Some(row) = line.strip_prefix('|') else {
            ends_with_tests = false;
            return None;
        };
        let last = row.trim_end_matches('|').rsplit('|').next()?.trim();
        if last == "shown by" {
            ends_with_tests = true;
            return None;
        }
        ends_with_tests.then_some(last)
    })
}

/// Whether `path` is a crate, a module, a function in a module, a test program or a fuzz target.
fn is_in_source(workspace: &Workspace, path: &str) -> Result<bool> {
    let mut parts = path.split("::").peekable();
    let crates = workspace.path("crates");
    let own = parts.peek().map(|it| crates.join(it).join("src"));
    let mut dirs = vec![
        crates,
        workspace.path("tests/tests"),
        workspace.path("tests/pamcall/tests"),
        workspace.path("fuzz/targets"),
    ];
    let mut source = String::new();
    if let Some(own) = own.filter(|it| it.is_dir()) {
        parts.next();
        source = read(&own.join("lib.rs"))?;
        dirs = vec![own];
    }
    for part in parts {
        let mut module = String::new();
        for dir in &dirs {
            for file in rust_files(dir)?.iter().filter(|it| is_module(it, part)) {
                module += &read(file)?;
            }
        }
        if !module.is_empty() {
            source = module;
        } else if !declares(&source, part) {
            return Ok(false);
        }
    }
    Ok(!source.is_empty())
}

/// Whether the file belongs to the module: `stepd.rs`, `stepd/mod.rs`, its tests `stepd/tests.rs`, or a
/// program's `stepd/main.rs`.
fn is_module(file: &Path, name: &str) -> bool {
    let stem = file.file_stem().unwrap_or_default();
    let folder = file.parent().and_then(Path::file_name);
    let is_part = ["mod", "main", "tests"].iter().any(|it| stem == *it);
    stem == name && name != "tests" || is_part && folder == Some(name.as_ref())
}

fn declares(source: &str, name: &str) -> bool {
    source.contains(&format!("mod {name} {{"))
        || source.contains(&format!("mod {name};"))
        || source.contains(&format!("fn {name}("))
}

/// Lists all Rust files below a directory.
fn rust_files(dir: &Path) -> Result<Vec<PathBuf>> {
    let what = || format!("list {}", dir.display());
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).with_context(what)? {
        let path = entry.with_context(what)?.path();
        if path.is_dir() {
            found.extend(rust_files(&path)?);
        } else if path.extension().is_some_and(|it| it == "rs") {
            found.push(path);
        }
    }
    Ok(found)
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("read {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_with_a_program_and_a_colon_is_a_test() {
        let text = "x `callerid: a\nlong one`, `pam_slurm_adopt.so`\n```\n`e2e: in a block`\n```\n`e2e: two`";
        let spans = code_spans(&without_blocks(text)).expect("all are closed");
        let found: Vec<_> = spans.iter().filter_map(|it| as_test(it)).collect();
        assert_eq!(found, [("callerid", "a long one"), ("e2e", "two")]);
        for span in ["Access denied by x: y", "a:b", ": x", "Slurm: x", "x"] {
            assert_eq!(as_test(span), None, "{span}");
        }
    }

    #[test]
    fn a_span_that_is_not_closed_is_an_error() {
        assert!(code_spans("a `b` c `d").is_err());
    }

    #[test]
    fn only_tables_that_end_with_tests_count() {
        let text = "| a | b |\n|---|---|\n| `x` | `y` |\n\n| a | shown by |\n|---|---|\n| `x` | `y`; z `w` |\n";
        let spans: Vec<_> = last_columns(text)
            .map(|it| code_spans(it).expect("all are closed"))
            .collect();
        assert_eq!(spans, [vec![], vec!["y".to_owned(), "w".to_owned()]]);
    }

    #[test]
    fn modules_are_found_in_files_and_folders() {
        for (file, name) in [
            ("src/stepd.rs", "stepd"),
            ("src/stepd/mod.rs", "stepd"),
            ("src/stepd/tests.rs", "stepd"),
            ("src/node/stepd.rs", "stepd"),
            ("tests/faults/main.rs", "faults"),
        ] {
            assert!(is_module(Path::new(file), name), "{file}");
        }
        for (file, name) in [
            ("src/stepd/owners.rs", "stepd"),
            ("src/x/tests.rs", "tests"),
        ] {
            assert!(!is_module(Path::new(file), name), "{file}");
        }
    }
}
