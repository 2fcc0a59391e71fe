//! Text for the log: escaped foreign strings, and errors as strings.

use std::fmt::Display;

/// Makes foreign text safe for a log line: escapes control characters, keeps at most 200 characters.
pub(crate) fn shown(text: &str) -> String {
    const LONGEST: usize = 200;
    let mut shown: String = text
        .chars()
        .take(LONGEST)
        .flat_map(char::escape_default)
        .collect();
    if text.chars().nth(LONGEST).is_some() {
        shown.push_str("...");
    }
    shown
}

/// Cuts foreign text where it is escaped by other means: keeps at most 256 characters, LOGIN_NAME_MAX of Linux.
pub(crate) fn cut(text: &str) -> String {
    const LONGEST: usize = 256;
    text.chars().take(LONGEST).collect()
}

/// An error as a string.
pub(crate) fn said(cause: impl Display) -> String {
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_is_escaped_and_cut() {
        assert_eq!(shown("a b"), "a b");
        assert_eq!(shown("a\n\u{1b}[2J"), "a\\n\\u{1b}[2J");
        let long = shown(&"x".repeat(201));
        assert_eq!(long, format!("{}...", "x".repeat(200)));
    }
}
