//! Lines of the log as JSON objects in ASCII.

use pam::Severity;
use proto::json::write_string;

use crate::log::event::VERSION;
use crate::log::level_word;

/// A line that is not about a decision, docs/log.schema.json.
pub(super) fn plain(severity: Severity, message: &str) -> String {
    let mut object = Object::new();
    object.number("version", VERSION);
    object.text("level", level_word(severity));
    object.text("message", message);
    object.end()
}

/// An object that is being written.
pub(super) struct Object(String);

impl Object {
    pub fn new() -> Self {
        Self("{".to_owned())
    }

    /// Adds a value that is JSON already.
    pub fn raw(&mut self, name: &str, value: &str) {
        if self.0.len() > 1 {
            self.0.push(',');
        }
        write_ascii(&mut self.0, name);
        self.0.push(':');
        self.0.push_str(value);
    }

    pub fn number(&mut self, name: &str, value: u64) {
        self.raw(name, &value.to_string());
    }

    pub fn number_or_null(&mut self, name: &str, value: Option<u32>) {
        match value {
            Some(value) => self.number(name, value.into()),
            None => self.raw(name, "null"),
        }
    }

    pub fn text(&mut self, name: &str, value: &str) {
        let mut string = String::new();
        write_ascii(&mut string, value);
        self.raw(name, &string);
    }

    pub fn text_or_null(&mut self, name: &str, value: Option<&str>) {
        match value {
            Some(value) => self.text(name, value),
            None => self.raw(name, "null"),
        }
    }

    pub fn end(mut self) -> String {
        self.0.push('}');
        self.0
    }
}

/// Writes a string with `\u` for all but printable ASCII: what collects lines may take another character set.
fn write_ascii(to: &mut String, text: &str) {
    let mut string = String::new();
    write_string(&mut string, text);
    for sign in string.chars() {
        match sign {
            ' '..='~' => to.push(sign),
            _ => {
                for unit in sign.encode_utf16(&mut [0; 2]) {
                    to.push_str(&format!("\\u{unit:04x}"));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_about_no_decision() {
        for (severity, message, expected) in [
            (
                Severity::Error,
                "a \"b\" c\\d",
                r#"{"version":1,"level":"error","message":"a \"b\" c\\d"}"#,
            ),
            (
                Severity::Debug,
                "\0\u{1f}\u{20ac}",
                r#"{"version":1,"level":"debug","message":"\u0000\u001f\u20ac"}"#,
            ),
        ] {
            assert_eq!(plain(severity, message), expected);
        }
    }
}
