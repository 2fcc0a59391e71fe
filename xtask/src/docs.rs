//! Writes the options, commands and checks in the manual from the code that they describe,
//! and checks the links between the Markdown files.

use std::fs;
use std::path::{Path, PathBuf};

use adopt::options::{OptionSpec, TABLE};
use anyhow::{Context, Result, ensure};
use check::Check;
use clap::Command;

use crate::named;
use crate::report::Report;
use crate::run;
use crate::workspace::Workspace;

/// A text that is generated between two markers of a file.
struct Part {
    file: &'static str,
    /// The word in the markers.
    name: &'static str,
    make: fn() -> String,
}

const PARTS: [Part; 4] = [
    Part {
        file: "docs/man/pam_slurm_adopt.8.md",
        name: "options",
        make: || paragraphs(TABLE),
    },
    Part {
        file: "docs/man/slurm_adopt.conf.5.md",
        name: "options",
        make: || forms(TABLE),
    },
    Part {
        file: "docs/man/slurm-adopt.8.md",
        name: "commands",
        make: || commands(&slurm_adopt::command()),
    },
    Part {
        file: "docs/man/slurm-adopt.8.md",
        name: "checks",
        make: || checks(check::checks()),
    },
];

/// Writes the parts into the files.
pub fn write(workspace: &Workspace) -> Result<()> {
    for part in PARTS {
        let path = workspace.path(part.file);
        let old = read(&path)?;
        let new = part.replace(&old)?;
        if new != old {
            fs::write(&path, new).with_context(|| format!("write {}", path.display()))?;
            println!("{}: {} written", part.file, part.name);
        }
    }
    Ok(())
}

/// Checks that the parts are what `write` would write, that no link is dead, and that the tests named in
/// the docs exist.
pub fn gates(workspace: &Workspace, report: &mut Report) {
    for part in PARTS {
        let Part { file, name, .. } = part;
        report.gate(&format!("docs: {name} in {file}"), || {
            let old = read(&workspace.path(file))?;
            ensure!(
                part.replace(&old)? == old,
                "{file} differs from the source: run `cargo xtask docs`"
            );
            Ok(String::new())
        });
    }
    report.gate("docs: links", || links(workspace));
    report.gate("docs: tests named", || named::gate(workspace));
}

impl Part {
    fn replace(&self, text: &str) -> Result<String> {
        replace(text, self.name, &(self.make)()).with_context(|| self.file.to_owned())
    }
}

/// The commands of slurm-adopt(8), from the program's own definition, without those that it runs itself.
fn commands(command: &Command) -> String {
    let mut text = String::new();
    let is_for_people = |it: &&Command| !it.get_name().starts_with("__");
    for command in command.get_subcommands().filter(is_for_people) {
        let mut usage = format!("**slurm-adopt {}**", command.get_name());
        let arguments = || command.get_arguments().filter(|it| it.get_id() != "help");
        for argument in arguments().filter(|it| !it.is_hide_set()) {
            usage += &format!(" {}", usage_of(argument));
        }
        let about = command.get_long_about().or(command.get_about());
        let about = about.map_or(String::new(), ToString::to_string);
        text += &format!("### {}\n\n{usage}\n\n{about}\n\n", command.get_name());
        for argument in arguments().filter(|it| !it.is_hide_set()) {
            let help = argument.get_long_help().or(argument.get_help());
            let help = help.map_or(String::new(), ToString::to_string);
            let help = help.trim_end_matches('.').replace("\n\n", ". ");
            text += &format!("{}\\\n{help}.\n\n", form_of(argument));
        }
    }
    text
}

/// An argument as a synopsis has it: `[**--from** _ADDRESS_]`.
fn usage_of(argument: &clap::Arg) -> String {
    let form = form_of(argument);
    match argument.is_required_set() {
        true => form,
        false => format!("[{form}]"),
    }
}

/// An argument with its value: `**--from** _ADDRESS_`.
fn form_of(argument: &clap::Arg) -> String {
    let values = argument.get_value_names().unwrap_or_default();
    let values: Vec<_> = values.iter().map(|it| format!("_{it}_")).collect();
    let takes_value = argument.get_action().takes_values();
    let value = if takes_value {
        values.join(" ")
    } else {
        String::new()
    };
    match argument.get_long() {
        Some(long) => format!("**--{long}** {value}").trim_end().to_owned(),
        None => value,
    }
}

/// One paragraph per check.
fn checks(checks: impl Iterator<Item = &'static Check>) -> String {
    let mut text = String::new();
    for check in checks {
        let Check {
            id,
            title,
            why,
            fix,
            ..
        } = check;
        let severity = check.severity.name();
        // What looks like markup in a text is meant as it stands.
        let plain = |it: &str| it.replace('*', "\\*").replace('_', "\\_");
        text += &format!(
            "**{id}** ({severity}) {}\\\n{} *Fix:* {}\n\n",
            plain(title),
            plain(why),
            plain(fix)
        );
    }
    text
}

/// The long format: one paragraph per option.
fn paragraphs(options: &[OptionSpec]) -> String {
    let mut text = String::new();
    for option in options {
        let (form, default) = (form_of_option(option), default_of(option));
        text.push_str(&format!("{form}\\\n{} {default}\n\n", option.doc));
    }
    text
}

/// The same without what each does.
fn forms(options: &[OptionSpec]) -> String {
    let mut text = String::new();
    for option in options {
        let (form, default) = (form_of_option(option), default_of(option));
        text.push_str(&format!("{form}\\\n{default}\n\n"));
    }
    text
}

/// An option with its values: `**timeout=**_SECONDS_`.
fn form_of_option(option: &OptionSpec) -> String {
    // SchedMD's `service=*` must not start an emphasis.
    let values = option.values.join("|").replace('*', "\\*");
    format!("**{}=**_{values}_", option.name)
}

fn default_of(option: &OptionSpec) -> String {
    let ours = if option.since_us {
        " Not in SchedMD's module."
    } else {
        ""
    };
    format!("Default: {}.{ours}", value(option.default))
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

/// Puts `new` between the markers of that name.
fn replace(text: &str, name: &str, new: &str) -> Result<String> {
    let [begin, end] = ["begin", "end"].map(|it| format!("<!-- {name}:{it} -->"));
    let count = |marker: &str| text.matches(marker).count();
    ensure!(
        count(&begin) == 1 && count(&end) == 1,
        "{begin} and {end} must be there once each"
    );
    let (before, rest) = text.split_once(&begin).context("the first marker")?;
    let (_, after) = rest
        .split_once(&end)
        .with_context(|| format!("{end} stands before {begin}"))?;
    Ok(format!("{before}{begin}\n{}\n{end}{after}", new.trim_end()))
}

/// Checks each relative link of each Markdown file that git tracks or would add.
fn links(workspace: &Workspace) -> Result<String> {
    let list = run::output(
        std::process::Command::new("git")
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

    const BEGIN: &str = "<!-- x:begin -->";
    const END: &str = "<!-- x:end -->";

    #[test]
    fn the_text_between_the_markers_is_replaced() {
        let text = format!("a\n{BEGIN}\nold\n{END}\nb\n");
        let new = replace(&text, "x", "new\n\n").expect("both markers");
        assert_eq!(new, format!("a\n{BEGIN}\nnew\n{END}\nb\n"));
        assert_eq!(replace(&new, "x", "new").expect("both markers"), new);
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
            assert!(replace(text, "x", "y").is_err(), "{text}");
        }
    }

    #[test]
    fn every_command_for_people_and_every_check_is_in_the_manual() {
        let manual = commands(&slurm_adopt::command()) + &checks(check::checks());
        for command in slurm_adopt::command().get_subcommands() {
            let name = command.get_name();
            let is_there = manual.contains(&format!("**slurm-adopt {name}**"));
            assert_eq!(is_there, !name.starts_with("__"), "{name}");
        }
        for check in check::checks() {
            assert!(
                manual.contains(&format!("**{}**", check.id)),
                "{}",
                check.id
            );
        }
    }

    #[test]
    fn every_option_has_its_paragraphs() {
        let (long, short) = (paragraphs(TABLE), forms(TABLE));
        for option in TABLE {
            let form = format!("**{}=**_", option.name);
            let is_in_both = long.contains(&form) && short.contains(&form);
            assert!(is_in_both, "{}", option.name);
        }
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
