//! Options as they are written: on a PAM line, or in the options file.

use std::collections::BTreeMap;

use adopt::options::{self, BadArgument, Options};
use pamconf::{Item, Line};

use crate::options::checks;
use crate::{Check, Finding, Spot};

/// A setting as it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// `name=value`, or a word without a value.
    pub argument: String,
    /// Its place.
    pub spot: Spot,
}

impl Written {
    /// The name of the option, in small letters.
    pub fn name(&self) -> String {
        let name = self.argument.split('=').next();
        name.unwrap_or_default().to_ascii_lowercase()
    }

    /// The value; `1` for a word alone, as for `strict`.
    pub fn value(&self) -> &str {
        self.argument
            .split_once('=')
            .map_or("1", |(_, value)| value)
    }

    fn is_taken(&self) -> bool {
        !matches!(
            self.bad(),
            Some(BadArgument::UnknownOption(_) | BadArgument::BadValue { .. })
        )
    }

    fn bad(&self) -> Option<BadArgument> {
        Options::parse(&[&self.argument]).1.into_iter().next()
    }
}

/// The settings of the options file.
pub fn of_file(text: &str) -> Vec<Written> {
    let lines: Vec<&str> = text.lines().collect();
    let line_text = |line: usize| lines.get(line.saturating_sub(1)).copied();
    let settings = options::settings(text).map(|it| {
        let value = it
            .argument
            .split_once('=')
            .map(|(_, value)| value.to_owned());
        let text = line_text(it.line).unwrap_or_default().trim_end();
        let spot = Spot::line(options::FILE, it.line, text);
        let marked = match value {
            Some(value) if !value.is_empty() => spot.mark_after('=', &value),
            _ => spot.mark(&it.argument),
        };
        Written {
            spot: marked,
            argument: it.argument,
        }
    });
    settings.collect()
}

/// The arguments of a PAM line.
pub fn of_line(line: &Line) -> Vec<Written> {
    let Item::Module { arguments, .. } = &line.item else {
        return Vec::new();
    };
    let arguments = arguments.iter().map(|it| String::from_utf8_lossy(it));
    let written = arguments.map(|it| Written {
        spot: Spot::pam(line).mark(&it),
        argument: it.into_owned(),
    });
    written.collect()
}

/// The setting of an option that counts: the last that the option takes, an argument before the file's.
pub fn last<'a>(file: &'a [Written], line: &'a [Written], name: &str) -> Option<&'a Written> {
    let mut all = line.iter().rev().chain(file.iter().rev());
    all.find(|it| it.name() == name && it.is_taken())
}

/// The findings about settings that are not understood, or not as they seem to be meant.
pub fn misunderstood(written: &[Written]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut unknown: Vec<&Written> = Vec::new();
    for setting in written {
        match setting.bad() {
            None => {}
            Some(BadArgument::UnknownOption(_)) => unknown.push(setting),
            Some(bad) => findings.push(of_bad(setting, &bad)),
        }
    }
    // Blanks around an equals sign make three words of one option.
    let is_same_line = |a: &Written, b: &Written| a.spot.line == b.spot.line;
    for words in unknown.chunk_by(|a, b| is_same_line(a, b)) {
        findings.extend(of_unknown(words));
    }
    findings
}

fn of_bad(setting: &Written, bad: &BadArgument) -> Finding {
    let check: &'static Check = match bad {
        BadArgument::UnknownOption(_) => &checks::UNKNOWN_OPTION,
        BadArgument::BadValue { .. } | BadArgument::File { .. } => &checks::BAD_VALUE,
        BadArgument::Glued { .. } => &checks::GLUED,
        BadArgument::Rest { .. } => &checks::PREFIX,
        BadArgument::OddName { .. } => &checks::ODD_NAME,
    };
    // What it keeps depends on the other settings.
    let text = match bad {
        BadArgument::BadValue { name, takes, .. } => {
            let value = setting.value().escape_debug();
            format!("{name}: invalid value \"{value}\" (expected {takes})")
        }
        bad => bad.to_string(),
    };
    Finding::of(check, text).at(setting.spot.clone())
}

fn of_unknown(words: &[&Written]) -> Option<Finding> {
    let first = words.first()?;
    let all: Vec<String> = words
        .iter()
        .map(|it| it.argument.escape_debug().to_string())
        .collect();
    let detail = format!("no option \"{}\"", all.join("\", \""));
    let name = first.argument.split('=').next().unwrap_or_default();
    let spot = match name.is_empty() {
        true => first.spot.clone(),
        false => first.spot.clone().mark(name),
    };
    let finding = Finding::of(&checks::UNKNOWN_OPTION, detail).at(spot);
    let name = first.name();
    let names = options::TABLE.iter().map(|it| it.name);
    let near = names.min_by_key(|it| distance(it, &name));
    let near = near.filter(|it| distance(it, &name) <= it.len() / 4 + 1);
    Some(match near {
        Some(near) if near == name && near != "strict" => {
            finding.fix(format!("Write {near}=VALUE as one word."))
        }
        Some(near) => finding.fix(format!("Write {near}, if that is what is meant.")),
        None => finding,
    })
}

/// The findings about options that are set twice in one place, to different values.
pub fn set_twice(written: &[Written]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut later: BTreeMap<String, &Written> = BTreeMap::new();
    for setting in written.iter().rev().filter(|it| it.is_taken()) {
        let Some(next) = later.insert(setting.name(), setting) else {
            continue;
        };
        if !next.value().eq_ignore_ascii_case(setting.value()) {
            let (lost, counts) = (
                setting.argument.escape_debug(),
                next.argument.escape_debug(),
            );
            let detail = format!("{lost} has no effect: {counts} comes later");
            findings.push(Finding::of(&checks::TWICE, detail).at(setting.spot.clone()));
        }
    }
    findings
}

/// The findings about settings of the file that lines override, given the arguments of each; one for a setting.
pub fn overridden(file: &[Written], lines: &[&[Written]]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for setting in file {
        let wins = |line: &&[Written]| {
            let mut arguments = line.iter().rev();
            let argument = arguments.find(|it| it.name() == setting.name() && it.is_taken())?;
            let differs = !argument.value().eq_ignore_ascii_case(setting.value());
            differs.then(|| argument.clone())
        };
        if let Some(argument) = lines.iter().find_map(wins) {
            let Spot { file, line, .. } = &argument.spot;
            let place = format!("{file}:{}", line.unwrap_or_default());
            let detail = format!("{place} has {}", argument.argument.escape_debug());
            findings.push(Finding::of(&checks::OVERRIDDEN, detail).at(setting.spot.clone()));
        }
    }
    findings
}

/// The number of letters to change, add or remove to get from one word to the other (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().take(64).collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (index, sign) in a.chars().take(64).enumerate() {
        let mut next = vec![index + 1];
        for ((other, above), diagonal) in b.iter().zip(row.iter().skip(1)).zip(&row) {
            let left = next.last().copied().unwrap_or_default();
            let changed = diagonal + usize::from(sign != *other);
            next.push(changed.min(above + 1).min(left + 1));
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_between_words() {
        for (a, b, expected) in [
            ("", "", 0),
            ("deny", "denny", 1),
            ("abc", "", 3),
            ("ab", "ba", 2),
        ] {
            assert_eq!(distance(a, b), expected, "{a} {b}");
        }
    }

    #[test]
    fn findings_of_a_file() {
        for (text, ids) in [
            ("strict\n", &[][..]),
            ("# strict = maybe\n", &[]),
            ("action_nojobs = deny\n", &["SA100"]),
            ("strict = maybe\n", &["SA101"]),
            ("action_no_jobs = deny,strict\n", &["SA102"]),
            ("action_no_jobs = denied\n", &["SA101"]),
            ("action_no_jobs = ignored\n", &["SA103"]),
            ("service = SSHD\n", &["SA104"]),
            ("[options]\nfoo = 1\n", &["SA100", "SA100"]),
        ] {
            let findings = misunderstood(&of_file(text));
            let found: Vec<_> = findings.iter().map(|it| it.check.id).collect();
            assert_eq!(found, ids, "{text}");
        }
    }

    #[test]
    fn the_place_of_a_fault() {
        let finding = misunderstood(&of_file("\ntimeout = soon # soon\n")).remove(0);
        let spot = finding.spot.expect("a place");
        assert_eq!(spot.line, Some(2));
        let marked = spot
            .mark
            .and_then(|it| spot.text?.get(it).map(str::to_owned));
        assert_eq!(marked.as_deref(), Some("soon"));
    }

    #[test]
    fn the_last_setting_counts() {
        let file = of_file("strict\ntimeout = 3\ntimeout = 4\nmode = never\n");
        assert_eq!(last(&file, &[], "timeout").map(Written::value), Some("4"));
        assert_eq!(last(&file, &[], "strict").map(Written::value), Some("1"));
        assert_eq!(last(&file, &[], "mode"), None);
        assert_eq!(set_twice(&file).len(), 1);
        assert!(set_twice(&of_file("timeout = 3\ntimeout = 3\n")).is_empty());
    }
}
