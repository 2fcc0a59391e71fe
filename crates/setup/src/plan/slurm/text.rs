//! The text of a line that sets one key.

use std::ops::Range;

use crate::plan::lines::Lines;

/// A line with one key and its value, as written.
pub(super) struct Pair {
    /// Its physical lines.
    pub numbers: Range<usize>,
    text: Vec<u8>,
    value: Range<usize>,
}

impl Pair {
    /// Finds the value in the line of this number.
    pub fn at(lines: &Lines, number: usize) -> Option<Self> {
        let mut end = number;
        while end < lines.count() && is_continued(lines.line(end)) {
            end += 1;
        }
        let numbers = number..end + 1;
        let text: Vec<u8> = numbers
            .clone()
            .flat_map(|it| lines.line(it).to_vec())
            .collect();
        let last = lines.line(end);
        let behind = text.len() - last.len() + content(last).len();
        let equals = text.iter().position(|it| *it == b'=')?;
        let blanks = text.get(equals + 1..)?;
        let blanks = blanks
            .iter()
            .take_while(|it| matches!(it, b' ' | b'\t'))
            .count();
        let start = equals + 1 + blanks;
        Some(Self {
            value: (start < behind).then_some(start..behind)?,
            numbers,
            text,
        })
    }

    /// The line with another value.
    pub fn with(&self, value: &str) -> Vec<u8> {
        let before = self.text.get(..self.value.start).unwrap_or_default();
        let after = self.text.get(self.value.end..).unwrap_or_default();
        [before, value.as_bytes(), after].concat()
    }
}

/// The part of a line before its comment and the blanks there; `\#` begins none.
fn content(line: &[u8]) -> &[u8] {
    let is_comment = |at: &usize| {
        line.get(*at) == Some(&b'#')
            && at.checked_sub(1).and_then(|it| line.get(it)) != Some(&b'\\')
    };
    let end = (0..line.len()).find(is_comment).unwrap_or(line.len());
    line.get(..end).unwrap_or_default().trim_ascii_end()
}

fn is_continued(line: &[u8]) -> bool {
    content(line).ends_with(b"\\")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_value_is_replaced_and_nothing_else() {
        for (text, expected) in [
            ("A=b\n", "A=x\n"),
            ("  A = \"b,c\"  # d\r\n", "  A = x  # d\r\n"),
            ("A=b", "A=x"),
            ("A=b,\\\n  c # d\n", "A=x # d\n"),
            ("A=b#\\\n", "A=x#\\\n"),
        ] {
            let pair = Pair::at(&Lines::of(text.as_bytes()), 1).expect("a value");
            assert_eq!(String::from_utf8_lossy(&pair.with("x")), expected);
        }
        assert!(Pair::at(&Lines::of(b"A=\n"), 1).is_none());
        assert!(Pair::at(&Lines::of(b"A\n"), 1).is_none());
    }
}
