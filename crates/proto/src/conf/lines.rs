//! Splits bytes into logical lines, as `src/common/parse_config.c` does.

use std::borrow::Cow;
use std::io::BufRead as _;

/// One logical line.
pub(super) struct Line<'a> {
    /// The text without comment, continuation and backslashes.
    pub(super) text: Cow<'a, [u8]>,
    /// Whether it contains `NodeHostname`.
    pub(super) may_name_host: bool,
}

/// Iterates over logical lines: comments cut, continuations joined, backslashes removed.
pub(super) struct Lines<'a> {
    whole: &'a [u8],
    /// Where the next physical line starts.
    start: usize,
    /// The number of the last physical line that was taken, from 1.
    pub(super) number: usize,
    special: Next,
    host_key: Next,
}

impl<'a> Lines<'a> {
    /// Reads from the start of `whole`.
    pub(super) fn new(whole: &'a [u8]) -> Self {
        let next = |find| Next { find, at: None };
        Self {
            whole,
            start: 0,
            number: 0,
            special: next(find_special),
            host_key: next(find_host_key),
        }
    }

    /// The next logical line; None at the end.
    pub(super) fn next_logical(&mut self) -> Option<Line<'a>> {
        let start = self.start;
        let line = self.next_physical()?;
        let end = start + line.len();
        if !self.special.is_in(self.whole, start, end) {
            return Some(Line {
                text: Cow::Borrowed(line),
                may_name_host: self.host_key.is_in(self.whole, start, end),
            });
        }
        let mut logical = cut_comment(line).to_vec();
        while continues(&logical) {
            logical.truncate(trim_end(&logical).len() - 1);
            match self.next_physical() {
                Some(next) => logical.extend_from_slice(cut_comment(next)),
                None => break,
            }
        }
        let text = unescape(&logical);
        Some(Line {
            may_name_host: find_host_key(&text) < text.len(),
            text: Cow::Owned(text),
        })
    }

    fn next_physical(&mut self) -> Option<&'a [u8]> {
        let rest = &self.whole[self.start..];
        if rest.is_empty() {
            return None;
        }
        self.number += 1;
        let length = find(rest, b'\n');
        self.start += (length + 1).min(rest.len());
        Some(&rest[..length])
    }
}

/// The next place of something that few lines have: one search finds it for many lines.
struct Next {
    /// Returns its place in the bytes, or their length.
    find: fn(&[u8]) -> usize,
    at: Option<usize>,
}

impl Next {
    fn is_in(&mut self, whole: &[u8], start: usize, end: usize) -> bool {
        let at = match self.at {
            Some(at) if at >= start => at,
            _ => start + (self.find)(&whole[start..]),
        };
        self.at = Some(at);
        at < end
    }
}

/// The place of the first `#` or backslash, or the length.
fn find_special(bytes: &[u8]) -> usize {
    let start = 8 * words(bytes)
        .take_while(|word| (zeros(word ^ each(b'#')) | zeros(word ^ each(b'\\'))) == 0)
        .count();
    let rest = &bytes[start..];
    let place = rest.iter().position(|byte| matches!(byte, b'#' | b'\\'));
    start + place.unwrap_or(rest.len())
}

/// The place of the key NodeHostname, or the length. Searches for `ho`, which is rare otherwise.
fn find_host_key(bytes: &[u8]) -> usize {
    const KEY: &[u8] = b"nodehostname";
    const BEFORE: usize = 4;
    let mut start = BEFORE;
    while let Some(rest) = bytes.get(start..).filter(|rest| !rest.is_empty()) {
        let found = start + find_ho(rest);
        let around = bytes.get(found - BEFORE..found - BEFORE + KEY.len());
        if around.is_some_and(|it| it.eq_ignore_ascii_case(KEY)) {
            return found - BEFORE;
        }
        start = found + 1;
    }
    bytes.len()
}

/// The place of `ho` in any case, or the length.
fn find_ho(bytes: &[u8]) -> usize {
    let small = each(0x20);
    let next = words(bytes.get(1..).unwrap_or_default());
    let start = 8 * words(bytes)
        .zip(next)
        .take_while(|(h, o)| zeros(((h | small) ^ each(b'h')) | ((o | small) ^ each(b'o'))) == 0)
        .count();
    let rest = &bytes[start..];
    let place = rest
        .windows(2)
        .position(|it| it.eq_ignore_ascii_case(b"ho"));
    start + place.unwrap_or(rest.len())
}

/// The bytes eight at a time, without a shorter rest.
fn words(bytes: &[u8]) -> impl Iterator<Item = u64> {
    let of_eight = |it: &[u8]| it.first_chunk().map_or(0, |it| u64::from_ne_bytes(*it));
    bytes.chunks_exact(8).map(of_eight)
}

/// A word of eight copies of the byte.
const fn each(byte: u8) -> u64 {
    u64::MAX / 0xFF * byte as u64
}

/// 0 if no byte of the word is 0: the subtraction borrows only from a byte that is 0 or that has such a
/// byte below it.
const fn zeros(word: u64) -> u64 {
    word.wrapping_sub(each(1)) & !word & each(0x80)
}

/// The place of the byte, or the length. `skip_until` searches a word at a time.
fn find(bytes: &[u8], byte: u8) -> usize {
    let length = { bytes }.skip_until(byte).unwrap_or(0);
    match bytes[..length].last() {
        Some(last) if *last == byte => length - 1,
        _ => length,
    }
}

/// Cuts at the first `#` without an odd number of backslashes before it; quotes do not protect it.
fn cut_comment(line: &[u8]) -> &[u8] {
    let mut odd = false;
    for (at, byte) in line.iter().enumerate() {
        match byte {
            b'#' if !odd => return &line[..at],
            b'\\' => odd = !odd,
            _ => odd = false,
        }
    }
    line
}

/// Whether the line ends in an odd number of backslashes.
fn continues(line: &[u8]) -> bool {
    trim_end(line)
        .iter()
        .rev()
        .take_while(|byte| **byte == b'\\')
        .count()
        % 2
        == 1
}

fn unescape(line: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(line.len());
    let mut escaped = false;
    for byte in line {
        escaped = *byte == b'\\' && !escaped;
        if !escaped {
            plain.push(*byte);
        }
    }
    plain
}

/// Like isspace(3); std's `is_ascii_whitespace` lacks the vertical tab.
pub(super) fn is_space(byte: &u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

/// Removes white space at the front.
pub(super) fn trim_start(bytes: &[u8]) -> &[u8] {
    let start = bytes
        .iter()
        .position(|byte| !is_space(byte))
        .unwrap_or(bytes.len());
    &bytes[start..]
}

fn trim_end(bytes: &[u8]) -> &[u8] {
    let length = bytes
        .iter()
        .rposition(|byte| !is_space(byte))
        .map_or(0, |last| last + 1);
    &bytes[..length]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rare_things_are_found_anywhere() {
        for length in 0..300 {
            let bytes = vec![b'x'; length];
            assert_eq!(find_special(&bytes), length);
            assert_eq!(find_host_key(&bytes), length);
            for at in 0..length {
                let mut special = bytes.clone();
                special[at] = if at % 2 == 0 { b'#' } else { b'\\' };
                assert_eq!(find_special(&special), at, "of {length}");
            }
            for at in 0..length.saturating_sub(11) {
                let mut named = bytes.clone();
                named[at..at + 12].copy_from_slice(b"NodeHOSTName");
                assert_eq!(find_host_key(&named), at, "of {length}");
                // First without the key, then with it.
                named[at] = b'X';
                assert_eq!(find_host_key(&named), length);
                named.extend_from_slice(b"hoshos nodehostname=");
                assert_eq!(find_host_key(&named), length + 7);
            }
        }
    }
}
