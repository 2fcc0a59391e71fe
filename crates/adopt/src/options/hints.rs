//! Warnings about values with separators, quotes or names that do not do what they seem to.

use crate::options::error::BadArgument;
use crate::options::setters::starts_with;
use crate::options::{OptionSpec, Options, STRICT, TABLE};
use crate::text::shown;

/// The warning about a value that the option has taken.
pub(super) fn of_taken(spec: &OptionSpec, value: &str) -> Option<BadArgument> {
    if let Some(line) = separated(spec.name, value) {
        return Some(BadArgument::Glued {
            value: value.to_owned(),
            taken: word(spec, value).map(|(word, _)| word),
            name: spec.name,
            line,
        });
    }
    let (taken, rest) = match (spec.name, word(spec, value)) {
        ("service", _) => return odd_service(value),
        ("nodename", _) => return odd_node(value),
        ("log_level", Some(("debug", "2" | "3" | "4" | "5"))) => return None,
        (_, found) => found?,
    };
    (!rest.is_empty()).then(|| BadArgument::Rest {
        name: spec.name,
        taken,
        value: value.to_owned(),
    })
}

/// The line with a blank before each further option, if the value contains any.
pub(super) fn separated(name: &str, value: &str) -> Option<String> {
    // A message may contain any text.
    if name.starts_with("message_") {
        return None;
    }
    let is_separator =
        |it: char| !it.is_ascii_alphanumeric() && !['_', '.', '-', '/'].contains(&it);
    let is_option = |text: &str| {
        let named = text.split_once('=').map(|(name, _)| name);
        let is_named = |it: &str| TABLE.iter().any(|spec| spec.name.eq_ignore_ascii_case(it));
        named.is_some_and(is_named) || text.eq_ignore_ascii_case(STRICT)
    };
    let is_end = |(index, sign): (usize, char)| {
        is_separator(sign) && value.get(index + sign.len_utf8()..).is_some_and(is_option)
    };
    // Usually there is none: allocate nothing, because root must pass even when memory is short.
    value.char_indices().find(|it| is_end(*it))?;
    let line = value.char_indices().map(|it| match is_end(it) {
        true => ' ',
        false => it.1,
    });
    Some(format!("{name}={}", line.collect::<String>()))
}

/// Splits the value after the word, of those that the option takes, that it starts with.
fn word<'a>(spec: &OptionSpec, value: &'a str) -> Option<(&'static str, &'a str)> {
    let is_word = |it: &str| {
        it.bytes()
            .all(|it| it.is_ascii_lowercase() || it.is_ascii_digit() || it == b'-')
    };
    let mut words = spec.values.iter().filter(|it| is_word(it));
    let word = words.find(|it| starts_with(value, it))?;
    Some((word, value.get(word.len()..)?))
}

/// pam_start(3) turns a service name into lower case and strips its path.
fn odd_service(value: &str) -> Option<BadArgument> {
    let odd = |name: &str| {
        let is_odd = |it: char| it.is_ascii_uppercase() || ['/', '"', '\''].contains(&it);
        match name {
            "" => Some("is empty: put no blank after a comma"),
            "*" => None,
            name if name.contains(is_odd) => {
                Some("matches no service: names are in small letters, without quotes and path")
            }
            name if name.contains(char::is_whitespace) => {
                Some("matches no service: put a comma between names")
            }
            _ => None,
        }
    };
    let (name, why) = value.split(',').find_map(|it| Some((it, odd(it)?)))?;
    Some(BadArgument::OddName {
        option: "service",
        name: name.to_owned(),
        why,
    })
}

fn odd_node(value: &str) -> Option<BadArgument> {
    let is_odd =
        |it: char| it.is_whitespace() || [',', ';', '"', '\'', '[', ']', '='].contains(&it);
    value.contains(is_odd).then(|| BadArgument::OddName {
        option: "nodename",
        name: value.to_owned(),
        why: "is no NodeName: it takes one name, without quotes and brackets",
    })
}

impl Options {
    /// Warns if the module does not act for this service although a name in `service=` looks meant for it.
    #[must_use]
    pub fn missed_service(&self, service: &str) -> Option<String> {
        let names = || self.service.split(',');
        if names().any(|it| it == "*" || it == service) {
            return None;
        }
        let is_meant = |name: &&str| {
            let sign = |it: char| it.is_whitespace() || ['"', '\''].contains(&it);
            let name = name.trim_matches(sign).to_ascii_lowercase();
            let name = name.rsplit('/').next().unwrap_or_default();
            // sshd-compute may be another sshd's service, sshd_config(5), PAMServiceName.
            let is_ssh = ["ssh", "openssh"].iter().any(|it| name.starts_with(it))
                && !name.starts_with("sshd-");
            name == service || is_ssh && service == "sshd"
        };
        let name = shown(names().find(is_meant)?);
        let service = shown(service);
        Some(format!(
            "service: \"{name}\" is not this service, so the line does nothing here and keeps nobody out: \
             write service={service}"
        ))
    }
}
