//! The lines of a file, and edits to them; every other byte stays.

use std::ops::Range;

/// The lines of a file with edits, which count by the numbers of the lines as they were, from 1.
#[derive(Debug, Clone, Default)]
pub(super) struct Lines {
    slots: Vec<Slot>,
    /// New text after the last line.
    end: Vec<u8>,
}

/// A line, with its newline if it has one.
#[derive(Debug, Clone, Default)]
struct Slot {
    /// New text before it.
    before: Vec<u8>,
    /// None if it is to go.
    text: Option<Vec<u8>>,
}

impl Lines {
    pub fn of(bytes: &[u8]) -> Self {
        let lines = bytes.split_inclusive(|it| *it == b'\n');
        let slot = |it: &[u8]| Slot {
            before: Vec::new(),
            text: Some(it.to_vec()),
        };
        Self {
            slots: lines.map(slot).collect(),
            end: Vec::new(),
        }
    }

    /// The number of lines as they were.
    pub fn count(&self) -> usize {
        self.slots.len()
    }

    /// A line as it is now, with its newline; empty if it is to go.
    pub fn line(&self, number: usize) -> &[u8] {
        let slot = number.checked_sub(1).and_then(|it| self.slots.get(it));
        slot.and_then(|it| it.text.as_deref()).unwrap_or_default()
    }

    /// Adds a line before another, or at the end if there is no such line; after what was added there before.
    pub fn insert(&mut self, before: usize, text: &[u8]) {
        let slot = before.checked_sub(1).and_then(|it| self.slots.get_mut(it));
        let place = slot.map_or(&mut self.end, |it| &mut it.before);
        place.extend_from_slice(text);
        place.push(b'\n');
    }

    /// Replaces a line. A new text without a newline joins the next line.
    pub fn replace(&mut self, number: usize, text: Vec<u8>) {
        if let Some(slot) = number.checked_sub(1).and_then(|it| self.slots.get_mut(it)) {
            slot.text = Some(text);
        }
    }

    /// Takes lines out.
    pub fn remove(&mut self, numbers: Range<usize>) {
        for number in numbers {
            if let Some(slot) = number.checked_sub(1).and_then(|it| self.slots.get_mut(it)) {
                slot.text = None;
            }
        }
    }

    /// The text with all edits. A last line without a newline gets one if something follows it now.
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes: Vec<u8> = Vec::new();
        let mut add = |text: &[u8]| {
            if !text.is_empty() && bytes.last().is_some_and(|it| *it != b'\n') {
                bytes.push(b'\n');
            }
            bytes.extend_from_slice(text);
        };
        for slot in &self.slots {
            add(&slot.before);
            add(slot.text.as_deref().unwrap_or_default());
        }
        add(&self.end);
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edited(text: &str, edit: fn(&mut Lines)) -> String {
        let mut lines = Lines::of(text.as_bytes());
        edit(&mut lines);
        String::from_utf8(lines.bytes()).expect("text")
    }

    #[test]
    fn edits_count_by_the_numbers_of_the_lines_as_they_were() {
        let edit = |it: &mut Lines| {
            it.insert(1, b"first");
            it.insert(3, b"new");
            it.insert(3, b"newer");
            it.remove(2..3);
            it.replace(3, b"C\n".to_vec());
        };
        assert_eq!(edited("a\nb\nc\nd\n", edit), "first\na\nnew\nnewer\nC\nd\n");
    }

    #[test]
    fn what_is_not_edited_stays_byte_for_byte() {
        for text in ["", "a", "a\r\n\r\n\tb  \n\n", "\n\n", "\u{fe}\0x"] {
            assert_eq!(edited(text, |_| {}), text);
        }
    }

    #[test]
    fn a_last_line_without_a_newline_gets_one_if_a_line_follows() {
        assert_eq!(edited("a\nb", |it| it.insert(9, b"c")), "a\nb\nc\n");
        assert_eq!(edited("a\nb", |it| it.insert(2, b"c")), "a\nc\nb");
        assert_eq!(edited("", |it| it.insert(1, b"c")), "c\n");
    }
}
