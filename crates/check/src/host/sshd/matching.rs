//! Match lines and their criteria.

use std::sync::Arc;

use crate::host::sshd::config::{Block, Fault, FaultKind, Reader, Setting};
use crate::host::tree::is_match;

/// Criteria with a value.
const CRITERIA: [&str; 8] = [
    "user",
    "group",
    "host",
    "address",
    "localaddress",
    "localport",
    "rdomain",
    "version",
];

/// The block that a Match line begins; None if it matches every connection.
pub fn block(reader: &Reader, line: &Setting) -> Result<Option<Arc<Block>>, Fault> {
    let refused = |word: &str, why: &str| Fault {
        place: line.place.clone(),
        word: word.to_owned(),
        kind: FaultKind::Refused(why.to_owned()),
    };
    let mut criteria = Vec::new();
    let mut words = line.arguments.iter();
    while let Some(word) = words.next() {
        let (name, value) = match word.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (word.as_str(), None),
        };
        let name = name.to_ascii_lowercase();
        if name == "all" && line.arguments.len() > 1 {
            return Err(refused(word, "all must stand alone in a Match line"));
        }
        let takes_value = CRITERIA.contains(&name.as_str());
        if !takes_value && name != "all" && name != "invalid-user" {
            return Err(refused(word, "Match does not know this criterion"));
        }
        let value = match value {
            Some(value) => value,
            None if takes_value => words.next().map_or("", String::as_str),
            None => "",
        };
        if takes_value && value.is_empty() {
            return Err(refused(word, "the criterion has no value"));
        }
        criteria.push((name, value.to_owned()));
    }
    let is_met = |(name, value): &(String, String)| match name.as_str() {
        "all" => true,
        "version" => reader.is(value),
        _ => false,
    };
    let is_everything = criteria.iter().all(is_met);
    let block = Block {
        place: line.place.clone(),
        criteria,
    };
    Ok((!is_everything).then(|| Arc::new(block)))
}

/// Whether a list of patterns matches, as `match_pattern_list` of match.c: one with `!` excludes.
pub fn matches_list(patterns: &str, text: &str) -> bool {
    let mut found = false;
    for pattern in patterns.split(',') {
        match pattern.strip_prefix('!') {
            Some(excluded) if is_match(excluded.as_bytes(), text.as_bytes()) => return false,
            Some(_) => {}
            None => found |= is_match(pattern.as_bytes(), text.as_bytes()),
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_with_an_exclamation_mark_excludes() {
        for (patterns, expected) in [
            ("OpenSSH_9*,OpenSSH_10*", true),
            ("*,!OpenSSH_10.0*", false),
            ("!OpenSSH_9*", false),
            ("OpenSSH_10", false),
        ] {
            assert_eq!(
                matches_list(patterns, "OpenSSH_10.0p2"),
                expected,
                "{patterns}"
            );
        }
    }
}
