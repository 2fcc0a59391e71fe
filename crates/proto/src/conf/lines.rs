//! From bytes to logical lines, as `src/common/parse_config.c` reads them.

use std::borrow::Cow;
use std::io::BufRead as _;

/// Logical lines: comments cut, continuations joined, backslashes taken out.
pub(super) struct Lines<'a> {
    whole: &'a [u8],
    /// Where the next physical line starts.
    start: usize,
    /// Of the last physical line taken, from 1.
    pub(super) number: usize,
    comment: Next,
    backslash: Next,
}

impl<'a> Lines<'a> {
    /// Reads from the start of `whole`.
    pub(super) fn new(whole: &'a [u8]) -> Self {
        let next = |byte| Next { byte, at: None };
        Self {
            whole,
            start: 0,
            number: 0,
            comment: next(b'#'),
            backslash: next(b'\\'),
        }
    }

    /// The next logical line; none at the end.
    pub(super) fn next_logical(&mut self) -> Option<Cow<'a, [u8]>> {
        let start = self.start;
        let line = self.next_physical()?;
        let end = start + line.len();
        if !self.comment.is_in(self.whole, start, end)
            && !self.backslash.is_in(self.whole, start, end)
        {
            return Some(Cow::Borrowed(line));
        }
        let mut logical = cut_comment(line).to_vec();
        while continues(&logical) {
            logical.truncate(trim_end(&logical).len() - 1);
            match self.next_physical() {
                Some(next) => logical.extend_from_slice(cut_comment(next)),
                None => break,
            }
        }
        Some(Cow::Owned(unescape(&logical)))
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

/// The next place of a byte that is on few lines: looked for once, not on every line.
struct Next {
    byte: u8,
    at: Option<usize>,
}

impl Next {
    fn is_in(&mut self, whole: &[u8], start: usize, end: usize) -> bool {
        let at = match self.at {
            Some(at) if at >= start => at,
            _ => start + find(&whole[start..], self.byte),
        };
        self.at = Some(at);
        at < end
    }
}

/// Where the byte is, or the length. `skip_until` searches a word at a time.
fn find(bytes: &[u8], byte: u8) -> usize {
    let length = { bytes }.skip_until(byte).unwrap_or(0);
    match bytes[..length].last() {
        Some(last) if *last == byte => length - 1,
        _ => length,
    }
}

/// Cuts at the first `#` that no odd number of backslashes stands before; quotes don't protect it.
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

/// As isspace(3); std's has no vertical tab.
pub(super) fn is_space(byte: &u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

/// Without the white space at the front.
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
