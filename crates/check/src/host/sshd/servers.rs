//! The sshds of a host: those that run, or those that systemd starts, each with its own file and options.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use crate::host::processes::Process;
use crate::host::sshd::config::Place;
use crate::host::tree::Tree;
use crate::host::unit::{self, SSHD_UNITS, Setting, Unit, is_enabled};

/// The file that is read without `-f`.
pub const FILE: &str = "/etc/ssh/sshd_config";
/// The program, unless something names another.
pub const PROGRAM: &str = "/usr/sbin/sshd";

/// An sshd as it is started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// Its program.
    pub program: String,
    /// The name that it is started by.
    pub name: String,
    /// Its configuration (`-f`), unless it is the usual one.
    pub file: Option<String>,
    /// Its options (`-o`), with the line that each stands in.
    pub options: Vec<Place>,
    /// Its pid, if it runs.
    pub pid: Option<i32>,
}

/// A word of a command line, and where it stands.
#[derive(Debug, Clone)]
struct Word {
    text: String,
    file: Arc<str>,
    line: usize,
}

/// The options of sshd(8) that take an argument.
const WITH_ARGUMENT: &str = "CEbcfghkopu";
const QUOTES: [char; 2] = ['"', '\''];

/// Those that listen, of the processes.
pub fn running(processes: &[Process]) -> Vec<Server> {
    let listeners = processes.iter().filter_map(|it| {
        let is_sshd = it.uid == 0 && it.program_name().starts_with("sshd");
        let words = command_line(&it.arguments).filter(|_| is_sshd)?;
        let file: Arc<str> = format!("/proc/{}/cmdline", it.pid).into();
        let word = |text: String| Word {
            text,
            file: Arc::clone(&file),
            line: 1,
        };
        let words: Vec<Word> = words.into_iter().map(word).collect();
        let mut server = of_words(&words)?;
        let program = it.program.as_ref().and_then(|it| it.to_str());
        if let Some(program) = program.filter(|it| !it.ends_with(" (deleted)")) {
            program.clone_into(&mut server.program);
        }
        server.pid = Some(it.pid);
        Some(server)
    });
    listeners.collect()
}

/// The words that a listener was started with; None for sshd's other processes.
///
/// From 8.2 on a listener's title has them: `sshd: /usr/sbin/sshd -D [listener] 0 of 10-100 startups`.
fn command_line(arguments: &[String]) -> Option<Vec<String>> {
    let first = arguments.first()?;
    match first.split_once(": ") {
        Some((_, title)) => {
            let (words, _) = title.split_once(" [listener]")?;
            Some(words.split_whitespace().map(str::to_owned).collect())
        }
        None => Some(
            arguments
                .iter()
                .filter(|it| !it.is_empty())
                .cloned()
                .collect(),
        ),
    }
}

fn of_words(words: &[Word]) -> Option<Server> {
    let (first, rest) = words.split_first()?;
    let program = first.text.trim_start_matches(['@', '-', ':', '+', '!']);
    let name = Path::new(program).file_name()?.to_str()?;
    let is_sshd = name.starts_with("sshd") && !name.contains("keygen");
    let mut server = Server {
        program: match program.starts_with('/') {
            true => program.to_owned(),
            false => PROGRAM.to_owned(),
        },
        name: is_sshd.then(|| name.to_owned())?,
        file: None,
        options: Vec::new(),
        pid: None,
    };
    let mut rest = rest.iter().peekable();
    while let Some(word) = rest.next() {
        let Some(letters) = word.text.strip_prefix('-') else {
            continue;
        };
        let Some(at) = letters.find(|it| WITH_ARGUMENT.contains(it)) else {
            continue;
        };
        let (letter, attached) = letters[at..].split_at(1);
        let mut argument = match attached {
            "" => rest.next().map_or(String::new(), |it| it.text.clone()),
            _ => attached.to_owned(),
        };
        if letter == "f" {
            server.file = Some(argument);
        } else if letter == "o" {
            // A title has lost the quotes of -o "UsePAM no".
            if !argument.contains(['=', ' ']) {
                if let Some(value) = rest.next_if(|it| !it.text.starts_with('-')) {
                    argument = format!("{argument} {}", value.text);
                }
            }
            server.options.push(Place {
                file: Arc::clone(&word.file),
                line: word.line,
                text: argument,
            });
        }
    }
    Some(server)
}

/// Those that systemd starts, without two that are the same: of the units that distributions have, and of others that
/// are enabled.
pub fn of_units(tree: &Tree) -> Vec<Server> {
    let is_started = |name: &String| {
        let is_unit = name.starts_with("ssh") && name.ends_with(".service");
        is_unit && (SSHD_UNITS.contains(&name.as_str()) || is_enabled(tree, name))
    };
    let mut servers: Vec<Server> = Vec::new();
    for name in unit::names(tree).iter().filter(|it| is_started(it)) {
        let unit = Unit::read(tree, &[name]);
        if let Some(server) = of_unit(tree, &unit).filter(|it| !servers.contains(it)) {
            servers.push(server);
        }
    }
    servers
}

/// The sshd that a unit's ExecStart starts, systemd.service(5).
fn of_unit(tree: &Tree, unit: &Unit) -> Option<Server> {
    let mut variables: BTreeMap<String, Word> = BTreeMap::new();
    for setting in &unit.settings {
        let value = setting.value.as_str();
        match setting.key.as_str() {
            "EnvironmentFile" => {
                variables.extend(environment(tree, value.trim_start_matches('-')));
            }
            "Environment" => {
                if let Some((name, value)) = value.trim_matches(QUOTES).split_once('=') {
                    variables.insert(name.to_owned(), Word::of(setting, value));
                }
            }
            _ => {}
        }
    }
    let commands = unit.values("Service", "ExecStart");
    let command = commands.first()?;
    let command = Word::of(command, &command.value);
    of_words(&expanded(&command, &variables))
}

impl Word {
    /// A value of a unit's setting, without quotes around it.
    fn of(setting: &Setting, value: &str) -> Self {
        Self {
            text: value.trim_matches(QUOTES).to_owned(),
            file: setting.spot.file.as_str().into(),
            line: setting.spot.line.unwrap_or_default(),
        }
    }
}

/// The words of a command, with those of its variables.
fn expanded(command: &Word, variables: &BTreeMap<String, Word>) -> Vec<Word> {
    let split = |from: &Word| -> Vec<Word> {
        let words = from.text.split_whitespace();
        let word = |text: &str| Word {
            text: text.trim_matches(QUOTES).to_owned(),
            ..from.clone()
        };
        words.map(word).collect()
    };
    let words = split(command).into_iter();
    let expand = |word: Word| match word.text.strip_prefix('$') {
        None => vec![word],
        Some(name) => {
            let name = name.trim_start_matches('{').trim_end_matches('}');
            variables.get(name).map(split).unwrap_or_default()
        }
    };
    words.flat_map(expand).collect()
}

/// The variables of an EnvironmentFile, such as `OPTIONS` of /etc/sysconfig/sshd.
fn environment(tree: &Tree, file: &str) -> Vec<(String, Word)> {
    let text = tree.text(file).unwrap_or_default();
    let lines = text.lines().enumerate();
    let variable = |(index, line): (usize, &str)| {
        let (name, value) = line.trim().split_once('=')?;
        let word = Word {
            text: value.trim_matches(QUOTES).to_owned(),
            file: file.into(),
            line: index + 1,
        };
        (!name.starts_with('#')).then(|| (name.to_owned(), word))
    };
    lines.filter_map(variable).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(arguments: &[&str]) -> Process {
        Process {
            pid: 7,
            uid: 0,
            name: "sshd".to_owned(),
            program: Some("/usr/sbin/sshd".into()),
            arguments: arguments.iter().map(|it| (*it).to_owned()).collect(),
        }
    }

    #[test]
    fn listeners_are_told_from_sessions() {
        for (arguments, file, options) in [
            (&["/usr/sbin/sshd", "-D"][..], Some(None), &[][..]),
            (
                &[
                    "sshd: /usr/sbin/sshd -D -f /etc/ssh/two -o UsePAM=no [listener] 0 of 10-100 startups",
                ],
                Some(Some("/etc/ssh/two")),
                &["UsePAM=no"],
            ),
            (
                &["/usr/sbin/sshd", "-De", "-f/two", "-oUsePAM no"],
                Some(Some("/two")),
                &["UsePAM no"],
            ),
            (
                &["sshd: /usr/sbin/sshd -D -o UsePAM no -p 22 [listener] 1 of 10-100 startups"],
                Some(None),
                &["UsePAM no"],
            ),
            (&["sshd: alice [priv]"], None, &[]),
            (&["sshd: alice@pts/0"], None, &[]),
            (&["sshd: [accepted]"], None, &[]),
            (&[], None, &[]),
        ] {
            let servers = running(&[process(arguments)]);
            let server = servers.first();
            assert_eq!(server.map(|it| it.file.as_deref()), file, "{arguments:?}");
            let found: Vec<&str> = server
                .iter()
                .flat_map(|it| &it.options)
                .map(|it| it.text.as_str())
                .collect();
            assert_eq!(found, options, "{arguments:?}");
        }
    }

    #[test]
    fn the_name_is_the_one_it_was_started_by() {
        let title = "sshd-compute: /usr/sbin/sshd-compute -D [listener] 0 of 10-100 startups";
        let servers = running(&[process(&[title])]);
        let names: Vec<&str> = servers.iter().map(|it| it.name.as_str()).collect();
        assert_eq!(names, ["sshd-compute"]);
    }
}
