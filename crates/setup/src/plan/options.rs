//! /etc/security/slurm_adopt.conf: the options for all lines.

use std::path::Path;

use adopt::options::{self, Options};
use check::host::OwnLine;
use pamconf::Item;

use crate::plan::lines::Lines;
use crate::plan::{Refusal, SettingRefusal, Wish, Work};

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

/// Plans the options that are asked for. Where no line of ours decides about ssh logins yet, the safe answers and the
/// session line's banner are set too; a line that is there keeps the module's defaults.
pub(super) fn plan(work: &mut Work<'_>, lines: &[OwnLine]) -> Result<(), Refusal> {
    let file = work.host().options_file();
    if !work.wish.strict && lines.iter().any(|it| is_closed_by_strict(&file.text, it)) {
        let title = "by the defaults of the module users get in when they cannot be taken into their job, or slurm.conf \
                     cannot be read";
        work.advise(title, &[&work.again("--strict")]);
    }
    let settings = wanted(work.wish, &file.text, lines.is_empty())?;
    if let Some(own) = lines.iter().find(|it| overrides(work, it)) {
        return Err(SettingRefusal::Overridden(own.line.place.clone()).into());
    }
    if settings.is_empty() {
        return Ok(());
    }
    if let Some(fault) = file.fault {
        return Err(SettingRefusal::Options(fault).into());
    }
    let lines = work
        .draft
        .edit(Path::new(FILE), "options for all lines of the module")?;
    if file.text.is_empty() {
        lines.insert(1, HEAD.as_bytes());
    }
    for it in settings {
        set(lines, &file.text, &it);
    }
    Ok(())
}

/// An option to be set.
struct Setting {
    name: &'static str,
    value: String,
    /// The line above it where it is new.
    comment: &'static str,
}

/// The options that the file lacks. `is_new` says that no line of ours decides about ssh logins yet.
fn wanted(wish: &Wish, text: &str, is_new: bool) -> Result<Vec<Setting>, SettingRefusal> {
    let options = Options::of_text::<&str>(Path::new(FILE), text, &[]).0;
    let mut settings = Vec::new();
    let mut add = |name, value: String, comment| {
        settings.push(Setting {
            name,
            value,
            comment,
        });
    };
    let is_unset = |name: &str| !options::settings(text).any(|it| is_of(&it.argument, name));
    if wish.strict && !options.strict {
        add(
            "strict",
            "1".to_owned(),
            "# Deny where the module cannot decide.",
        );
    }
    if is_new && !wish.strict && !options.strict {
        for (name, value, comment) in SAFE {
            if is_unset(name) {
                add(name, value.to_owned(), comment);
            }
        }
    }
    if is_new && wish.session != Some(false) && is_unset("banner") {
        let comment = "# Tell logins with a terminal their job and the time that is left.";
        add("banner", "1".to_owned(), comment);
    }
    if let Some(group) = &wish.admins {
        let mut groups = options.exempt.groups.clone();
        if !groups.contains(group) {
            let alone = value_of(&[group]);
            alone.ok_or_else(|| SettingRefusal::Group(group.clone()))?;
            groups.push(group.clone());
            let value = value_of(&groups);
            let value = value.ok_or_else(|| SettingRefusal::Groups(group.clone()))?;
            let comment = "# Members of these groups get in without a job.";
            add("exempt_groups", value, comment);
        }
    }
    Ok(settings)
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
        let value = value_of(&[group]).unwrap_or_default();
        text.push_str(&format!("exempt_groups = {value}\n"));
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

/// Sets an option: in its last line, which counts, with the comment behind it, or in a new one at the end.
fn set(lines: &mut Lines, text: &str, wanted: &Setting) {
    let Setting {
        name,
        value,
        comment,
    } = wanted;
    let setting = format!("{name} = {value}");
    match options::settings(text)
        .filter(|it| is_of(&it.argument, name))
        .last()
    {
        Some(last) => {
            let old = String::from_utf8_lossy(lines.line(last.line)).into_owned();
            let new = format!("{setting}{}", behind(&old));
            lines.replace(last.line, new.into_bytes());
        }
        None => {
            let end = lines.count() + 1;
            lines.insert(end, comment.as_bytes());
            lines.insert(end, setting.as_bytes());
        }
    }
}

/// What stands behind a setting in its line: the comment with the blanks before it, and the end of the line.
fn behind(line: &str) -> &str {
    let argument = |text: &str| options::settings(text).next().map(|it| it.argument);
    let whole = argument(line);
    let mut signs = line.match_indices('#').map(|(at, _)| at);
    let is_end = |at: &usize| line.get(..*at).is_some_and(|it| argument(it) == whole);
    let end = signs.find(is_end).unwrap_or(line.len());
    let setting = line.get(..end).unwrap_or(line).trim_end();
    line.get(setting.len()..).unwrap_or_default()
}

/// The value of `exempt_groups` that the module reads as these names, if there is one. A comma ends a name.
fn value_of<T: AsRef<str>>(groups: &[T]) -> Option<String> {
    let names: Vec<&str> = groups.iter().map(AsRef::as_ref).collect();
    let plain = names.join(",");
    let quoted = format!("\"{plain}\"");
    let values = match plain.contains(char::is_whitespace) {
        true => [quoted, plain],
        false => [plain, quoted],
    };
    let is_read = |value: &String| {
        let text = format!("exempt_groups = {value}\n");
        let options = Options::of_text::<&str>(Path::new(FILE), &text, &[]).0;
        options.exempt.groups == names && !names.contains(&"") && !value.contains(char::is_control)
    };
    values.into_iter().find(is_read)
}
