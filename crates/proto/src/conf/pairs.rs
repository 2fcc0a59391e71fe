//! Logical lines as `src/common/parse_config.c` reads them: `key=value` pairs, and Include.

use super::error::Problem;
use super::lines::{is_space, trim_start};

/// The value of a key among the pairs in `rest`; the last of several counts.
pub(super) fn value_of<'a>(key: &[u8], mut rest: &'a [u8]) -> Result<Option<&'a str>, Problem> {
    let mut found = None;
    while let Some((pair, tail)) = next_pair(rest)? {
        if pair.is(key) {
            found = Some(text(pair.value)?);
        }
        rest = tail;
    }
    Ok(found)
}

/// `key=value`.
pub(super) struct Pair<'a> {
    pub(super) key: &'a [u8],
    pub(super) value: &'a [u8],
}

impl Pair<'_> {
    /// Whether the pair has this key, case-insensitively.
    pub(super) fn is(&self, key: &[u8]) -> bool {
        self.key.eq_ignore_ascii_case(key)
    }
}

/// Takes a pair off the front. There may be blanks around `=`, an operator before it, and quotes around
/// the value; an empty value is an error.
pub(super) fn next_pair(line: &[u8]) -> Result<Option<(Pair<'_>, &[u8])>, Problem> {
    let line = trim_start(line);
    if line.is_empty() {
        return Ok(None);
    }
    let is_key = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.');
    let (key, rest) = split_while(line, is_key);
    let mut rest = trim_start(rest);
    if let [b'-' | b'*' | b'+' | b'/', tail @ ..] = rest {
        rest = tail;
    }
    let Some(rest) = rest.strip_prefix(b"=").filter(|_| !key.is_empty()) else {
        return Err(Problem::Syntax);
    };
    let rest = trim_start(rest);
    if let Some(quoted) = rest.strip_prefix(b"\"") {
        let (value, tail) = split_while(quoted, |byte| *byte != b'"');
        if let Some(tail @ ([] | [b' ' | b'\t' | b'\r' | b'\x0B' | b'\x0C', ..])) =
            tail.strip_prefix(b"\"")
        {
            return Ok(Some((Pair { key, value }, tail)));
        }
        // Slurm's regular expression takes a badly quoted value for a plain one.
    }
    let (value, tail) = split_while(rest, |byte| !is_space(byte));
    match value {
        [] => Err(Problem::Syntax),
        value => Ok(Some((Pair { key, value }, tail))),
    }
}

fn split_while(bytes: &[u8], keep: impl Fn(&u8) -> bool) -> (&[u8], &[u8]) {
    bytes.split_at(
        bytes
            .iter()
            .position(|byte| !keep(byte))
            .unwrap_or(bytes.len()),
    )
}

/// The file that an `Include` line names; the word must begin in the first column.
pub(super) fn include_name(line: &[u8]) -> Result<Option<&str>, Problem> {
    const WORD: &[u8] = b"include";
    let Some((word, rest)) = line.split_at_checked(WORD.len()) else {
        return Ok(None);
    };
    if !word.eq_ignore_ascii_case(WORD) || !rest.first().is_some_and(is_space) {
        return Ok(None);
    }
    let (name, tail) = split_while(trim_start(rest), |byte| !is_space(byte));
    match (name, trim_start(tail)) {
        // `include = x` is an unknown key and is ignored.
        ([b'=', ..], _) => Ok(None),
        ([], _) => Err(Problem::Syntax),
        (name, []) => Ok(Some(text(name)?)),
        _ => Err(Problem::Syntax),
    }
}

/// The value as UTF-8.
pub(super) fn text(value: &[u8]) -> Result<&str, Problem> {
    std::str::from_utf8(value).map_err(|_| Problem::NotText)
}
