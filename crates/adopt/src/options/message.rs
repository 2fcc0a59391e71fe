//! The site's own messages for denied users.

use std::fmt;

/// The names that a template may contain.
pub const NAMES: [&str; 4] = ["user", "host", "jobs", "url"];

/// A text with names in braces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template(String);

/// The site's messages; None means SchedMD's text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Messages {
    /// `message_no_jobs=`
    pub no_jobs: Option<Template>,
    /// `message_unknown=`
    pub unknown: Option<Template>,
    /// `message_adopt_failure=`
    pub adopt_failure: Option<Template>,
    /// `message_url=`
    pub url: String,
}

impl Template {
    /// Parses a text without control characters whose names in braces are all known. An empty text means silence.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text.contains(char::is_control) {
            return None;
        }
        let mut pieces = text.split('{').skip(1);
        let is_known = |piece: &str| {
            piece
                .split_once('}')
                .is_some_and(|(name, _)| NAMES.contains(&name))
        };
        pieces.all(is_known).then(|| Self(text.to_owned()))
    }

    /// Replaces the names with these values; None if the text is empty.
    #[must_use]
    pub fn expand(&self, value: &dyn Fn(&str) -> String) -> Option<String> {
        if self.0.is_empty() {
            return None;
        }
        let mut pieces = self.0.split('{');
        let mut text = pieces.next().unwrap_or_default().to_owned();
        for piece in pieces {
            let (name, rest) = piece.split_once('}').unwrap_or_default();
            text += &value(name);
            text += rest;
        }
        Some(text)
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_braces_are_replaced() {
        let value = |name: &str| format!("<{name}>");
        for (text, expanded) in [
            ("", None),
            ("No job.", Some("No job.")),
            (
                "{user} on {host}: {jobs}{url}",
                Some("<user> on <host>: <jobs><url>"),
            ),
            ("a } b", Some("a } b")),
        ] {
            let template = Template::parse(text).expect(text);
            assert_eq!(template.expand(&value).as_deref(), expanded, "{text}");
        }
    }

    #[test]
    fn what_no_user_should_read_is_no_template() {
        for text in [
            "{",
            "{user",
            "{name}",
            "{}",
            "a\nb",
            "\u{1b}[31m",
            "{{user}}",
        ] {
            assert_eq!(Template::parse(text), None, "{text:?}");
        }
    }
}
