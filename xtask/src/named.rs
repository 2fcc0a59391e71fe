//! The tests that docs/threat-model.md, docs/differences.md and docs/session.md name are there.
//!
//! `callerid «liars», «IPv6»` are tests of a program: a text of that name in its source.
//! `` `stepd::tests` `` in a table's last column is a module, `` `retval::root_passes` `` a function.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

use crate::workspace::Workspace;

const FILES: [&str; 3] = [
    "docs/threat-model.md",
    "docs/differences.md",
    "docs/session.md",
];
/// What may stand between a program's tests.
const BETWEEN: [&str; 5] = [",", "and", ", and", ", and by", "to"];

/// Looks up each of them.
pub fn gate(workspace: &Workspace) -> Result<String> {
    let sources = Sources(workspace.path("tests/tests"));
    let (mut programs, mut count) = (sources.programs()?, 0);
    // Their names are not in the source as they are.
    programs.retain(|name| name != "mixed");
    let mut missing = Vec::new();
    for file in FILES {
        let path = workspace.path(file);
        let text = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
        for (program, name) in tests_named(&text, &programs) {
            count += 1;
            if !sources.of(&program)?.contains(&format!("\"{name}\"")) {
                missing.push(format!("{file}: {program} «{name}»"));
            }
        }
        for span in last_columns(&text).flat_map(code_spans) {
            count += 1;
            if !is_in_source(workspace, span) {
                missing.push(format!("{file}: `{span}`"));
            }
        }
    }
    ensure!(missing.is_empty(), "no such tests: {}", missing.join("; "));
    ensure!(count > 50, "found only {count} tests named");
    Ok(format!("{count} named, all there"))
}

/// The test programs' sources.
struct Sources(PathBuf);

impl Sources {
    fn programs(&self) -> Result<Vec<String>> {
        let what = || format!("list {}", self.0.display());
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.0).with_context(what)? {
            let path = entry.with_context(what)?.path();
            let name = path.file_stem().unwrap_or_default();
            names.push(name.to_string_lossy().into_owned());
        }
        Ok(names)
    }

    fn of(&self, program: &str) -> Result<String> {
        let mut text = String::new();
        let dir = self.0.join(program);
        let mut files = vec![self.0.join(format!("{program}.rs"))];
        if dir.is_dir() {
            let entries = fs::read_dir(&dir).with_context(|| format!("list {}", dir.display()))?;
            for entry in entries {
                files.push(entry.context("list a test program's source")?.path());
            }
        }
        let is_source = |it: &&PathBuf| it.is_file() && it.extension().is_some_and(|it| it == "rs");
        for file in files.iter().filter(is_source) {
            let source = fs::read_to_string(file);
            text += &source.with_context(|| format!("read {}", file.display()))?;
        }
        if text.is_empty() {
            bail!("{program} has no source in {}", self.0.display());
        }
        Ok(text)
    }
}

/// Each program's name with the name of a test, as they follow one another in the text.
fn tests_named(text: &str, programs: &[String]) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut program: Option<&String> = None;
    let mut parts = text.split('«');
    let mut before = parts.next().unwrap_or_default();
    for part in parts {
        let Some((name, after)) = part.split_once('»') else {
            continue;
        };
        let word = before.split_whitespace().next_back().unwrap_or_default();
        let word = word.trim_start_matches(['(', '|']);
        let named = programs.iter().find(|it| *it == word);
        let goes_on = BETWEEN.contains(
            &before
                .split_whitespace()
                .collect::<Vec<_>>()
                .join(" ")
                .as_str(),
        );
        program = named.or(program.filter(|_| goes_on));
        if let Some(program) = program {
            let name = name.split_whitespace().collect::<Vec<_>>().join(" ");
            found.push((program.clone(), name));
        }
        before = after;
    }
    found
}

/// The last column of each row of a table that ends with tests.
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

fn code_spans(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// Whether `path` is a crate, a module, a function of a module's, or a fuzz target.
fn is_in_source(workspace: &Workspace, path: &str) -> bool {
    let crates = ["adopt", "proto", "sys", "pam"];
    let parts: Vec<&str> = path.split("::").collect();
    let (in_crate, rest) = match parts.split_first() {
        Some((first, rest)) if crates.contains(first) => (Some(*first), rest),
        _ => (None, &parts[..]),
    };
    let Some((module, rest)) = rest.split_first() else {
        return in_crate.is_some();
    };
    let mut dirs: Vec<PathBuf> = crates
        .iter()
        .filter(|it| in_crate.is_none_or(|only| only == **it))
        .map(|it| workspace.path(&format!("crates/{it}/src")))
        .collect();
    if in_crate.is_none() {
        dirs.extend([
            workspace.path("tests/tests"),
            workspace.path("fuzz/targets"),
        ]);
    }
    for dir in dirs {
        let files = [format!("{module}.rs"), format!("{module}/tests.rs")];
        let source: String = files
            .iter()
            .map(|it| read_if_there(&dir.join(it)))
            .collect();
        if !source.is_empty() && rest.iter().all(|part| declares(&source, part)) {
            return true;
        }
        let root = read_if_there(&dir.join("lib.rs"));
        let mut parts = std::iter::once(module).chain(rest);
        if in_crate.is_some() && parts.all(|part| declares(&root, part)) {
            return true;
        }
    }
    false
}

fn declares(source: &str, name: &str) -> bool {
    source.contains(&format!("mod {name} {{"))
        || source.contains(&format!("mod {name};"))
        || source.contains(&format!("fn {name}("))
}

fn read_if_there(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_go_with_the_program_before_them() {
        let programs = ["callerid", "e2e"].map(str::to_owned);
        let text = "| x | callerid «liars», «IPv6» and «a\nlong one»; the text «no»; e2e «one» (e2e\n«two») |";
        let found = tests_named(text, &programs);
        let found: Vec<_> = found.iter().map(|(a, b)| (&**a, &**b)).collect();
        assert_eq!(
            found,
            [
                ("callerid", "liars"),
                ("callerid", "IPv6"),
                ("callerid", "a long one"),
                ("e2e", "one"),
                ("e2e", "two")
            ]
        );
    }

    #[test]
    fn only_tables_that_end_with_tests_count() {
        let text = "| a | b |\n|---|---|\n| `x` | `y` |\n\n| a | shown by |\n|---|---|\n| `x` | `y`; z `w` |\n";
        let spans: Vec<_> = last_columns(text).flat_map(code_spans).collect();
        assert_eq!(spans, ["y", "w"]);
    }
}
