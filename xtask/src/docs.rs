//! Writes the option tables in the man page and the README from `adopt::options::TABLE`, and checks the
//! links between the Markdown files.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use adopt::options::{OptionSpec, TABLE};
use anyhow::{Context, Result, ensure};

use crate::named;
use crate::report::Report;
use crate::run;
use crate::workspace::Workspace;

const BEGIN: &str = "<!-- options:begin -->";
const END: &str = "<!-- options:end -->";

/// Generates the text between the markers.
type Make = fn(&[OptionSpec]) -> String;

/// Files with a table, and its format in each.
const FILES: [(&str, Make); 2] = [
    ("docs/man/pam_slurm_adopt.8.md", paragraphs),
    ("README.md", table),
];

/// Writes the tables into the files.
pub fn write(workspace: &Workspace) -> Result<()> {
    for (name, make) in FILES {
        let path = workspace.path(name);
        let old = read(&path)?;
        let new = replace(&old, &make(TABLE)).with_context(|| name.to_owned())?;
        if new != old {
            fs::write(&path, new).with_context(|| format!("write {}", path.display()))?;
            println!("{name}: written");
        }
    }
    Ok(())
}

/// Checks that the tables are what `write` would write, that no link is dead, and that the tests named in
/// the docs exist.
pub fn gates(workspace: &Workspace, report: &mut Report) {
    for (name, make) in FILES {
        report.gate(&format!("docs: options in {name}"), || {
            let old = read(&workspace.path(name))?;
            ensure!(
                replace(&old, &make(TABLE))? == old,
                "{name} differs from the source: run `cargo xtask docs`"
            );
            Ok(format!("{} options", TABLE.len()))
        });
    }
    report.gate("docs: links", || links(workspace));
    report.gate("docs: tests named", || named::gate(workspace));
}

/// The long format: one paragraph per option.
fn paragraphs(options: &[OptionSpec]) -> String {
    let mut text = String::new();
    for option in options {
        // SchedMD's `service=*` must not start an emphasis.
        let values = option.values.join("|").replace('*', "\\*");
        let ours = if option.since_us {
            " Not in SchedMD's module."
        } else {
            ""
        };
        let default = value(option.default);
        text.push_str(&format!(
            "**{}=**_{values}_\\\n{} Default: {default}.{ours}\n\n",
            option.name, option.doc
        ));
    }
    text
}

/// The short format: one row per option.
fn table(options: &[OptionSpec]) -> String {
    let mut text = String::from("| option | values | default |\n|---|---|---|\n");
    for option in options {
        let values: Vec<String> = option.values.iter().map(|it| value(it)).collect();
        let ours = if option.since_us { " (new)" } else { "" };
        text.push_str(&format!(
            "| `{}=`{ours} | {} | {} |\n",
            option.name,
            values.join(", "),
            value(option.default)
        ));
    }
    text
}

/// Formats a value: a word to type as code, a placeholder in capitals as emphasis, several words as they are.
fn value(text: &str) -> String {
    if text.contains(' ') {
        text.to_owned()
    } else if text.chars().all(|it| it.is_ascii_uppercase()) {
        format!("*{text}*")
    } else {
        format!("`{text}`")
    }
}

/// Puts `table` between the markers.
fn replace(text: &str, table: &str) -> Result<String> {
    let count = |marker| text.matches(marker).count();
    ensure!(
        count(BEGIN) == 1 && count(END) == 1,
        "{BEGIN} and {END} must be there once each"
    );
    let (before, rest) = text.split_once(BEGIN).context("the first marker")?;
    let (_, after) = rest
        .split_once(END)
        .with_context(|| format!("{END} stands before {BEGIN}"))?;
    Ok(format!(
        "{before}{BEGIN}\n{}\n{END}{after}",
        table.trim_end()
    ))
}

/// Checks each relative link of each Markdown file that git tracks or would add.
fn links(workspace: &Workspace) -> Result<String> {
    let list = run::output(
        Command::new("git")
            .args([
                "ls-files",
                "-z",
                "--cached",
                "--others",
                "--exclude-standard",
                "--",
                "*.md",
            ])
            .current_dir(workspace.root()),
    )?;
    let names = list.split('\0').filter(|it| !it.is_empty());
    let (mut files, mut count, mut dead) = (0, 0, Vec::new());
    for name in names {
        let path = workspace.path(name);
        if !path.is_file() {
            continue;
        }
        files += 1;
        for link in relative_links(&read(&path)?) {
            count += 1;
            if !target(&path, &link).exists() {
                dead.push(format!("{name}: {link}"));
            }
        }
    }
    ensure!(files > 0, "found no Markdown file");
    ensure!(dead.is_empty(), "dead links: {}", dead.join(", "));
    Ok(format!("{count} relative links in {files} files"))
}

fn target(file: &Path, link: &str) -> PathBuf {
    file.parent().unwrap_or(Path::new("")).join(link)
}

/// Targets of `[text](link)`, `![text](link)` and `[name]: link`, without `#...` and except for those that
/// are not files of ours. Skips code.
fn relative_links(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut in_code = false;
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            in_code = !in_code;
        }
        if in_code {
            continue;
        }
        let plain: String = line.split('`').step_by(2).collect::<Vec<_>>().join("`");
        let mut rest = plain.as_str();
        while let Some((_, after)) = rest.split_once("](") {
            let link = after.split([')', ' ']).next().unwrap_or_default();
            found.push(link.to_owned());
            rest = after;
        }
        if let Some((name, link)) = plain.split_once("]: ") {
            if name.starts_with('[') {
                found.push(link.trim().to_owned());
            }
        }
    }
    found
        .iter()
        .filter(|link| !link.contains("://") && !link.starts_with("mailto:"))
        .map(|link| link.split('#').next().unwrap_or_default().to_owned())
        .filter(|link| !link.is_empty())
        .collect()
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("read {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_between_the_markers_is_replaced() {
        let text = format!("a\n{BEGIN}\nold\n{END}\nb\n");
        let new = replace(&text, "new\n\n").expect("both markers");
        assert_eq!(new, format!("a\n{BEGIN}\nnew\n{END}\nb\n"));
        assert_eq!(replace(&new, "new").expect("both markers"), new);
    }

    #[test]
    fn missing_markers_are_an_error() {
        for text in [
            "",
            BEGIN,
            END,
            &format!("{END}{BEGIN}"),
            &format!("{BEGIN}{BEGIN}{END}"),
        ] {
            assert!(replace(text, "x").is_err(), "{text}");
        }
    }

    #[test]
    fn every_option_has_its_paragraph_and_row() {
        let (long, short) = (paragraphs(TABLE), table(TABLE));
        for option in TABLE {
            assert!(
                long.contains(&format!("**{}=**_", option.name)),
                "{}",
                option.name
            );
            assert!(
                short.contains(&format!("| `{}=`", option.name)),
                "{}",
                option.name
            );
        }
        assert_eq!(short.lines().count(), TABLE.len() + 2);
    }

    #[test]
    fn words_are_shown_as_what_they_are() {
        assert_eq!(value("deny"), "`deny`");
        assert_eq!(value("PATH"), "*PATH*");
        assert_eq!(value("as slurmd finds it"), "as slurmd finds it");
    }

    #[test]
    fn relative_links_are_found() {
        let text = "[a](b.md) and [c](d/e.md#f), ![g](h.svg \"i\"), [j](#k), [l](https://m.n)\n\
                    ```\n[no](code.md)\n```\n`[no](code.md)` [o]\n[o]: p.md\n";
        assert_eq!(relative_links(text), ["b.md", "d/e.md", "h.svg", "p.md"]);
    }

    #[test]
    fn links_start_at_the_file() {
        assert_eq!(
            target(Path::new("/r/docs/a.md"), "../b.md"),
            Path::new("/r/docs/../b.md")
        );
    }
}
