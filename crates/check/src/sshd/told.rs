//! What sshd itself says of its configuration: `sshd -T`.

use std::sync::Arc;

use crate::host::Host;
use crate::host::command::Printed;
use crate::host::sshd::config::{Block, Config};
use crate::host::sshd::daemon::{Effective, Sshd, Told};
use crate::host::sshd::seconds;
use crate::sshd::lines;
use crate::{Finding, Notes, Spot};

/// Keywords that are compared with what was read here.
const COMPARED: [&str; 4] = [
    "usepam",
    "logingracetime",
    "permitrootlogin",
    "pamservicename",
];

/// A fault that another check finds, with its line.
const METHOD_OFF: &str = "in AuthenticationMethods list";

/// sshd -T with a `Match LocalPort` and without `-C` ends so, from 8.4 to 10.6 (`servconf.c`). It passes over blocks with
/// other criteria.
const WANTS_PORT: &str = "'lport' not in connection test specification";
/// A connection to a port that no block is for, and of which nothing else is known.
const OTHER_PORT: &str = "lport=1";

/// Asks sshd for the values that count; None if it does not run or does not tell.
pub(super) fn ask(host: &Host, sshd: &Sshd, config: &Config, notes: &mut Notes) -> Option<Told> {
    if !host.is_live() {
        notes.unseen(
            "running sshds and sshd -T",
            "the tree does not run; its files were read",
        );
        return None;
    }
    if sys::effective_uid() != 0 {
        notes.unseen(
            "sshd -T",
            "only root can run it; the files were read instead",
        );
        return None;
    }
    let run = |connection| host.run(&sshd.server.program, &arguments(sshd, connection));
    let printed = match run(None) {
        Ok(printed) if printed.errors.contains(WANTS_PORT) => run(Some(OTHER_PORT)),
        printed => printed,
    };
    let printed = match printed {
        Ok(printed) => printed,
        Err(error) => {
            notes.unseen(format!("{} -T", sshd.server.program), error.to_string());
            return None;
        }
    };
    if printed.is_success() {
        let told = parse(&printed.out);
        if told.is_empty() {
            notes.unseen(format!("{} -T", sshd.server.program), "it prints nothing");
            return None;
        }
        compare(sshd, config, &told, notes);
        return Some(told);
    }
    let message = message(&printed);
    let is_config = !message.contains("privilege separation") && printed.status.is_some();
    if !is_config {
        notes.unseen(format!("{} -T", sshd.server.program), message);
    } else if config.faults.is_empty() && !message.contains(METHOD_OFF) {
        let spot = place(&message).map_or(Spot::file(&sshd.file), |(file, line)| {
            let text = host.tree.text(file).unwrap_or_default();
            let text = text.lines().nth(line.saturating_sub(1)).unwrap_or_default();
            Spot::line(file, line, text)
        });
        notes.find(Finding::of(&lines::REFUSED, format!("sshd -T: {message}")).at(spot));
    }
    None
}

/// The values for a connection that a Match block is for, if one can be made up from its criteria.
pub(super) fn within(host: &Host, sshd: &Sshd, blocks: &[Arc<Block>]) -> Option<Told> {
    let connection = connection(blocks)?;
    let arguments = arguments(sshd, Some(&connection));
    let printed = host.run(&sshd.server.program, &arguments).ok()?;
    printed.is_success().then(|| parse(&printed.out))
}

fn arguments<'a>(sshd: &'a Sshd, connection: Option<&'a str>) -> Vec<&'a str> {
    let mut arguments = vec!["-T"];
    if let Some(connection) = connection {
        arguments.extend(["-C", connection]);
    }
    if let Some(file) = &sshd.server.file {
        arguments.extend(["-f", file]);
    }
    for option in &sshd.server.options {
        arguments.extend(["-o", &option.text]);
    }
    arguments
}

/// A connection for `-C` that meets all criteria; None if that takes more than the criteria say.
fn connection(blocks: &[Arc<Block>]) -> Option<String> {
    let criteria: Vec<&(String, String)> = blocks.iter().flat_map(|it| &it.criteria).collect();
    let is_known =
        |name: &str| ["user", "host", "address", "localaddress", "localport"].contains(&name);
    if !criteria.iter().all(|(name, _)| is_known(name)) {
        return None;
    }
    let value = |name: &str, usual: &str| -> Option<String> {
        let Some((_, value)) = criteria.iter().find(|(it, _)| it == name) else {
            return Some(usual.to_owned());
        };
        let is_plain = |it: &&str| !it.contains(['*', '?', '!', '/', '@']) && !it.is_empty();
        value.split(',').find(is_plain).map(str::to_owned)
    };
    Some(format!(
        "user={},host={},addr={},laddr={},lport={}",
        value("user", "nobody")?,
        value("host", "localhost")?,
        value("address", "127.0.0.1")?,
        value("localaddress", "127.0.0.1")?,
        value("localport", "22")?,
    ))
}

/// The lines `keyword value ...`; from 10.6 on with capitals.
fn parse(text: &str) -> Told {
    let mut told = Told::new();
    for line in text.lines() {
        let mut words = line.split_whitespace().map(str::to_owned);
        if let Some(keyword) = words.next() {
            told.entry(keyword.to_ascii_lowercase())
                .or_default()
                .extend(words);
        }
    }
    told
}

/// Says where sshd understands the files otherwise.
fn compare(sshd: &Sshd, config: &Config, told: &Told, notes: &mut Notes) {
    let read = Effective::global(config, &sshd.reader, None);
    // Those below Match all are left out by sshd -T of older releases.
    let overriding = |keyword: &&str| read.setting(keyword).is_some_and(|it| it.is_overriding);
    for keyword in COMPARED.into_iter().filter(|it| !overriding(it)) {
        let Some(says) = told.get(keyword).and_then(|it| it.first()) else {
            continue;
        };
        let own = read.value(keyword);
        let is_same = match keyword {
            "logingracetime" => seconds(&own) == seconds(says),
            // without-password is the old name.
            "permitrootlogin" => {
                own.replace("without-", "prohibit-") == says.replace("without-", "prohibit-")
            }
            _ => says.eq_ignore_ascii_case(&own),
        };
        if !is_same {
            let why = format!("sshd -T says {says}, the files read here {own}; sshd's word counts");
            notes.unseen(format!("{keyword} of {}", sshd.file), why);
        }
    }
}

/// The line of standard error that says what is wrong.
fn message(printed: &Printed) -> String {
    let mut lines = printed
        .errors
        .lines()
        .map(str::trim)
        .filter(|it| !it.is_empty());
    let says_where = |it: &&str| place(it).is_some();
    let found = lines.clone().find(says_where).or_else(|| lines.next());
    found.unwrap_or("it failed without a message").to_owned()
}

/// File and line in a message such as `/etc/ssh/sshd_config: line 3: Bad ...` or `... line 3: ...`.
fn place(message: &str) -> Option<(&str, usize)> {
    let (file, rest) = message.split_once(" line ")?;
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    let file = file.trim_end_matches(':');
    let is_path = file.starts_with('/') && !file.contains(' ');
    is_path.then_some((file, rest[..digits].parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::sshd::config::Place;

    #[test]
    fn messages_name_file_and_line() {
        for (message, expected) in [
            (
                "/etc/ssh/sshd_config: line 3: Bad configuration option: X",
                Some(("/etc/ssh/sshd_config", 3)),
            ),
            (
                "/etc/ssh/x line 12: unsupported option \"true\".",
                Some(("/etc/ssh/x", 12)),
            ),
            ("/etc/ssh/x: terminating, 1 bad configuration options", None),
            ("sshd: no hostkeys available -- exiting.", None),
        ] {
            assert_eq!(place(message), expected, "{message}");
        }
    }

    #[test]
    fn values_by_keyword_in_lower_case() {
        let told = parse("UsePAM yes\nacceptenv LANG\nacceptenv LC_*\n");
        assert_eq!(told["usepam"], ["yes"]);
        assert_eq!(told["acceptenv"], ["LANG", "LC_*"]);
    }

    #[test]
    fn a_connection_for_a_match_line() {
        let place = Place {
            file: "/x".into(),
            line: 1,
            text: String::new(),
        };
        for (criteria, expected) in [
            (
                &[("user", "!a,b*,c")][..],
                Some("user=c,host=localhost,addr=127.0.0.1,laddr=127.0.0.1,lport=22"),
            ),
            (&[("user", "*")], None),
            (&[("group", "a")], None),
            (
                &[("localport", "2222")],
                Some("user=nobody,host=localhost,addr=127.0.0.1,laddr=127.0.0.1,lport=2222"),
            ),
        ] {
            let criteria = criteria
                .iter()
                .map(|(a, b)| ((*a).to_owned(), (*b).to_owned()));
            let block = Block {
                place: place.clone(),
                criteria: criteria.collect(),
            };
            assert_eq!(connection(&[Arc::new(block)]).as_deref(), expected);
        }
    }
}
