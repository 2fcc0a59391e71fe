//! The logical lines of a file: without comments, and with continued lines joined.
//!
//! Follows `pam_line.c` of Linux-PAM 1.6 and later. Earlier releases (`_pam_assemble_line`, pam_handlers.c)
//! read into a buffer of 1024 bytes, and skip blank lines and comments within a continued line.

use crate::problem::ProblemKind;

/// A line as libpam assembles it, with the blanks and the newline at its end.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Logical {
    pub text: Vec<u8>,
    /// The number of its first physical line, from 1.
    pub number: usize,
    /// The problems in it.
    pub problems: Vec<ProblemKind>,
}

/// The number of bytes that fit into the buffer of older releases.
const OLD_BUFFER: usize = 1023;

/// Iterates over the lines of a file. If the last one is continued past the end, libpam refuses the file there:
/// then the last item is an error with that line's number.
pub(crate) struct Lines<'a> {
    rest: &'a [u8],
    /// The number of physical lines read so far.
    number: usize,
}

/// The file ends within a continued line, which begins at this number.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Unfinished(pub usize);

impl<'a> Lines<'a> {
    pub fn of(bytes: &'a [u8]) -> Self {
        Self {
            rest: bytes,
            number: 0,
        }
    }

    /// Takes a physical line with its newline.
    fn physical(&mut self) -> Option<&'a [u8]> {
        if self.rest.is_empty() {
            return None;
        }
        let newline = self.rest.iter().position(|it| *it == b'\n');
        let (line, rest) = self
            .rest
            .split_at(newline.map_or(self.rest.len(), |it| it + 1));
        self.rest = rest;
        self.number += 1;
        Some(line)
    }
}

impl Iterator for Lines<'_> {
    type Item = Result<Logical, Unfinished>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut open: Option<Logical> = None;
        let mut length = 0;
        while let Some(line) = self.physical() {
            let was_open = open.is_some();
            let mut logical = open.take().unwrap_or_else(|| Logical {
                text: Vec::new(),
                number: self.number,
                problems: Vec::new(),
            });
            length += line.len();
            if line.ends_with(b"\r\n") {
                logical.problems.push(ProblemKind::CarriageReturn);
            }
            let piece = Piece::of(line);
            if was_open && piece.is_blank() {
                logical.problems.push(ProblemKind::ContinuationEnds);
            }
            logical.text.extend_from_slice(piece.text);
            if piece.is_continued {
                if !piece.text.is_empty() {
                    logical.text.push(b' ');
                }
                open = Some(logical);
                continue;
            }
            if length > OLD_BUFFER {
                logical.problems.push(ProblemKind::LongLine);
            }
            if let Some(end) = logical.text.iter().position(|it| *it == 0) {
                logical.problems.push(ProblemKind::Nul);
                logical.text.truncate(end);
            }
            let has_words = logical.text.iter().any(|it| !is_blank(it));
            if has_words || !logical.problems.is_empty() {
                return Some(Ok(logical));
            }
            length = 0;
        }
        open.map(|it| Err(Unfinished(it.number)))
    }
}

/// The part of a physical line that counts.
struct Piece<'a> {
    text: &'a [u8],
    is_continued: bool,
}

impl<'a> Piece<'a> {
    fn of(line: &'a [u8]) -> Self {
        let end = line.iter().rposition(|it| !is_blank(it));
        let trimmed = line.get(..end.map_or(0, |it| it + 1)).unwrap_or_default();
        let (text, is_continued) = match trimmed.strip_suffix(b"\\") {
            Some(start) => (start, true),
            None => (line, false),
        };
        // Nothing quotes a #, and in C the text ends at a NUL.
        let hash = text.iter().position(|it| matches!(it, b'#' | 0));
        let is_commented = hash.is_some_and(|it| text.get(it) == Some(&b'#'));
        let text = match (hash, is_commented) {
            (Some(hash), true) => text.get(..hash).unwrap_or_default(),
            _ => text,
        };
        let start = text.iter().position(|it| !matches!(it, b' ' | b'\t'));
        Self {
            text: start.and_then(|it| text.get(it..)).unwrap_or_default(),
            is_continued: is_continued && !is_commented,
        }
    }

    fn is_blank(&self) -> bool {
        !self.is_continued && self.text.iter().all(is_blank)
    }
}

fn is_blank(byte: &u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n')
}

#[cfg(test)]
mod tests {
    use super::*;

    /// NUMBER TEXT of each line, trimmed, or the fault in the file.
    fn lines(text: &str) -> Vec<String> {
        let shown = |it: Result<Logical, Unfinished>| match it {
            Ok(line) => {
                let text = String::from_utf8(line.text).expect("text");
                let problems = line.problems.iter().map(|it| format!(" {it:?}"));
                format!(
                    "{} {}{}",
                    line.number,
                    text.trim_end(),
                    problems.collect::<String>()
                )
            }
            Err(Unfinished(number)) => format!("{number} unfinished"),
        };
        Lines::of(text.as_bytes()).map(shown).collect()
    }

    #[test]
    fn comments_and_blank_lines_are_left_out() {
        assert_eq!(lines(""), [""; 0]);
        assert_eq!(lines("\n \t\n# a\n\ta # b\nb#c\n d"), ["4 a", "5 b", "6 d"]);
        // A bracket does not quote a #.
        assert_eq!(lines("a [b # c] d\n"), ["1 a [b"]);
    }

    #[test]
    fn a_backslash_continues_a_line() {
        assert_eq!(lines("a \\\n  b\\ \t\nc\nd"), ["1 a  b c", "4 d"]);
        assert_eq!(lines("\\\na\n"), ["1 a"]);
        // A comment ends the line, and so does anything but blanks after the backslash.
        assert_eq!(lines("a # \\\nb\n"), ["1 a", "2 b"]);
        assert_eq!(lines("a \\ # b\nc\n"), ["1 a \\", "2 c"]);
        assert_eq!(lines("a \\\r\nb\n"), ["1 a \\ CarriageReturn", "2 b"]);
    }

    #[test]
    fn a_blank_line_or_comment_ends_a_continued_line_with_a_problem() {
        assert_eq!(
            lines("a \\\n\nb\n"),
            ["1 a ContinuationEnds", "3 b"].map(str::to_owned)
        );
        assert_eq!(lines("a \\\n # c\nb\n"), ["1 a ContinuationEnds", "3 b"]);
    }

    #[test]
    fn a_file_that_ends_within_a_line_is_refused() {
        assert_eq!(lines("a\nb \\\n"), ["1 a", "2 unfinished"]);
        assert_eq!(lines("b \\\nc\\"), ["1 unfinished"]);
        assert_eq!(lines("\\"), ["1 unfinished"]);
    }

    #[test]
    fn what_other_releases_or_eyes_read_otherwise_is_a_problem() {
        let long = "a".repeat(OLD_BUFFER);
        assert_eq!(lines(&long).len(), 1);
        assert!(!lines(&long)[0].ends_with("LongLine"));
        assert_eq!(lines(&format!("{long}\n")), [format!("1 {long} LongLine")]);
        assert_eq!(lines(&format!("# {long}\n")), ["1  LongLine"]);
        assert_eq!(
            lines(&format!("a\\\n{long}\n")),
            [format!("1 a {long} LongLine")]
        );
        assert_eq!(lines("a\r\n"), ["1 a CarriageReturn"]);
        assert_eq!(lines("a\0b\\\nc\n"), ["1 a Nul"]);
    }
}
