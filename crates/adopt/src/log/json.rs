//! Lines of the log as JSON objects in ASCII.

use pam::Severity;
use proto::json::write_string;

use crate::log::event::Value;
use crate::log::level_word;

/// The version of the schema in docs/log.schema.json, as each object has it first.
const START: &str = "{\"version\":1";

/// A line that is not about a decision, docs/log.schema.json.
pub(super) fn plain(severity: Severity, message: &str) -> String {
    Object::new(severity).end(message)
}

/// An object that is being written.
pub(super) struct Object(String);

impl Object {
    pub fn new(severity: Severity) -> Self {
        let mut object = Self(START.to_owned());
        object.add("level", Value::Text(level_word(severity)));
        object
    }

    pub fn add(&mut self, name: &str, value: Value<'_>) {
        self.0.push(',');
        write_ascii(&mut self.0, name);
        self.0.push(':');
        match value {
            Value::Text(text) => write_ascii(&mut self.0, text),
            Value::Number(number) => self.0.push_str(&number),
            Value::Unknown => self.0.push_str("null"),
        }
    }

    pub fn end(mut self, message: &str) -> String {
        self.add("message", Value::Text(message));
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
