//! /etc/security/slurm_adopt.conf: the options for all lines.

use std::path::Path;

use adopt::options::{self, Options};
use check::host::OwnLine;
use pamconf::Item;

use crate::plan::Work;
use crate::plan::lines::Lines;

const FILE: &str = options::FILE;

/// The first lines of a new file.
const HEAD: &str = "# Options of pam_slurm_adopt.so, slurm_adopt.conf(5). An argument of a PAM line overrides them.";

/// What a new set-up denies. Without a job nobody gets in anyway.
const SAFE: [(&str, &str, &str); 2] = [
    (
        "action_adopt_failure",
        "deny",
        "# Deny a login that cannot be taken into its job.",
    ),
    (
        "action_generic_failure",
        "deny",
        "# Deny logins while slurm.conf cannot be read.",
    ),
];

/// Plans the options that are asked for. Where no line of ours decides about ssh logins yet, the safe answers are set
/// too; a line that is there keeps the module's defaults.
pub(super) fn plan(work: &mut Work<'_>, lines: &[OwnLine]) -> Result<(), String> {
    let is_new = lines.is_empty();
    let file = work.host().options_file();
    let options = Options::of_text::<&str>(Path::new(FILE), &file.text, &[]).0;
    let mut settings = Vec::new();
    if work.wish.strict && !options.strict {
        settings.push((
            "strict",
            "1".to_owned(),
            "# Deny where the module cannot decide.",
        ));
    }
    if is_new && !work.wish.strict && !options.strict {
        let is_unset =
            |name: &str| !options::settings(&file.text).any(|it| is_of(&it.argument, name));
        for (name, value, comment) in SAFE {
            if is_unset(name) {
                settings.push((name, value.to_owned(), comment));
            }
        }
    }
    if !work.wish.strict && lines.iter().any(|it| is_closed_by_strict(&file.text, it)) {
        let title = "by the defaults of the module users get in when they cannot be taken into their job, or slurm.conf \
                     cannot be read";
        work.advise(title, &["slurm-adopt setup --strict"]);
    }
    if let Some(group) = &work.wish.admins {
        let mut groups = options.exempt.groups.clone();
        if !groups.contains(group) {
            groups.push(named(group)?);
            let comment = "# Members of these groups get in without a job.";
            settings.push(("exempt_groups", groups.join(","), comment));
        }
    }
    if let Some(own) = lines.iter().find(|it| overrides(work, it)) {
        return Err(format!(
            "{}: an argument of this line overrides what --strict or --admins would write to {FILE}; change it there \
             first, or remove it",
            own.line.place
        ));
    }
    if settings.is_empty() {
        return Ok(());
    }
    if let Some(fault) = &file.fault {
        return Err(format!("{FILE}: {fault}; correct that first"));
    }
    let lines = work
        .draft
        .edit(Path::new(FILE), "options for all lines of the module")?;
    if file.text.is_empty() {
        lines.insert(1, HEAD.as_bytes());
    }
    for (name, value, comment) in settings {
        set(lines, &file.text, name, &value, comment);
    }
    Ok(())
}

/// Whether what is asked for would have no effect on a line, because of its arguments.
fn overrides(work: &Work<'_>, own: &OwnLine) -> bool {
    let arguments = match &own.line.item {
        Item::Module { arguments, .. } => arguments.as_slice(),
        _ => &[],
    };
    let mut text = String::new();
    if work.wish.strict {
        text.push_str("strict\n");
    }
    if let Some(group) = &work.wish.admins {
        text.push_str(&format!("exempt_groups = {group}\n"));
    }
    let plain = Options::of_text::<&str>(Path::new(FILE), &text, &[]).0;
    let options = Options::of_text(Path::new(FILE), &text, arguments).0;
    let is_open = options.adopt_failure != plain.adopt_failure
        || options.generic_failure != plain.generic_failure;
    let has_group = |group: &String| options.exempt.groups.contains(group);
    let lacks_group = !work.wish.admins.iter().all(has_group);
    work.wish.strict && is_open || lacks_group
}

/// Whether `strict` in the file would deny what a line lets in.
fn is_closed_by_strict(file: &str, own: &OwnLine) -> bool {
    let arguments = match &own.line.item {
        Item::Module { arguments, .. } => arguments.as_slice(),
        _ => &[],
    };
    let strict = Options::of_text(Path::new(FILE), &format!("{file}\nstrict\n"), arguments).0;
    strict.adopt_failure != own.options.adopt_failure
        || strict.generic_failure != own.options.generic_failure
}

/// Whether an argument is a setting of this option.
fn is_of(argument: &str, name: &str) -> bool {
    let written = argument.split('=').next().unwrap_or_default();
    written.eq_ignore_ascii_case(name)
}

/// Sets an option: in its last line, which counts, or in a new one at the end.
fn set(lines: &mut Lines, text: &str, name: &str, value: &str, comment: &str) {
    let setting = format!("{name} = {value}");
    match options::settings(text)
        .filter(|it| is_of(&it.argument, name))
        .last()
    {
        Some(last) => lines.replace(last.line, format!("{setting}\n").into_bytes()),
        None => {
            let end = lines.count() + 1;
            lines.insert(end, comment.as_bytes());
            lines.insert(end, setting.as_bytes());
        }
    }
}

/// A group's name, if the file can hold it.
fn named(group: &str) -> Result<String, String> {
    let is_sign = |it: char| it.is_ascii_alphanumeric() || "-_.@\\$".contains(it);
    let is_name = !group.is_empty() && group.chars().all(is_sign);
    match is_name {
        true => Ok(group.to_owned()),
        false => Err(format!(
            "\"{}\" is no name of a group",
            group.escape_default()
        )),
    }
}
