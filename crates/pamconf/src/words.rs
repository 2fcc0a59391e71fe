//! The words of a line, and the names in paths.

/// Words between blanks (`_pam_tokenize`, pam_misc.c). A word that begins with `[` extends to the next `]` and
/// excludes both; within it `\]` stands for `]`. The next word may follow the bracket directly.
#[derive(Debug, Clone)]
pub(crate) struct Words<'a>(&'a [u8]);

impl<'a> Words<'a> {
    pub fn of(text: &'a [u8]) -> Self {
        Self(text)
    }

    fn bracketed(&mut self, inner: &'a [u8]) -> Vec<u8> {
        let mut word = Vec::new();
        let mut bytes = inner.iter();
        while let Some(byte) = bytes.next() {
            match byte {
                b']' => break,
                b'\\' if bytes.as_slice().starts_with(b"]") => {
                    word.push(b']');
                    bytes.next();
                }
                byte => word.push(*byte),
            }
        }
        self.0 = bytes.as_slice();
        word
    }
}

impl Iterator for Words<'_> {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        let is_blank = |it: &u8| matches!(it, b' ' | b'\t' | b'\n');
        let start = self.0.iter().position(|it| !is_blank(it))?;
        let rest = self.0.get(start..)?;
        if let Some(inner) = rest.strip_prefix(b"[") {
            return Some(self.bracketed(inner));
        }
        let end = rest.iter().position(is_blank).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        self.0 = after;
        Some(word.to_vec())
    }
}

/// Whether libpam finds a name in a module's path (`extract_modulename`).
pub(crate) fn has_module_name(path: &[u8]) -> bool {
    let base = path.rsplit(|it| *it == b'/').next().unwrap_or_default();
    let end = base.iter().rposition(|it| *it == b'.');
    let name = base.get(..end.unwrap_or(base.len())).unwrap_or_default();
    !name.is_empty() && name != b"?"
}

/// The service's name as pam_start(3) changes it.
pub(crate) fn base_name(service: &str) -> String {
    let base = service.rsplit('/').next().unwrap_or_default();
    base.to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_stand_between_blanks_or_in_brackets() {
        for (text, expected) in [
            ("", &[][..]),
            (" \t\n", &[]),
            ("a  b\tc\n", &["a", "b", "c"]),
            ("[a  b]c d", &["a  b", "c", "d"]),
            ("a[b c]", &["a[b", "c]"]),
            ("[a\\]b [c] d", &["a]b [c", "d"]),
            ("[a\\b\\", &["a\\b\\"]),
            ("[open \n", &["open \n"]),
            ("[] []", &["", ""]),
            ("a\r\n", &["a\r"]),
            ("a\u{b}b \u{c}", &["a\u{b}b", "\u{c}"]),
        ] {
            let words: Vec<Vec<u8>> = Words::of(text.as_bytes()).collect();
            let words: Vec<&str> = words
                .iter()
                .map(|it| std::str::from_utf8(it).expect("text"))
                .collect();
            assert_eq!(words, expected, "{text:?}");
        }
        let words: Vec<Vec<u8>> = Words::of(b"\xff\xfe \xe9").collect();
        assert_eq!(words, [b"\xff\xfe".to_vec(), b"\xe9".to_vec()]);
    }
}
