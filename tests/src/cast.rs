//! Recorded terminal sessions: asciicast v2, <https://docs.asciinema.org/manual/asciicast/v2/>.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

/// Columns and rows of the terminal.
const WIDTH: usize = 110;
const HEIGHT: usize = 24;

/// Something that appears on the terminal.
#[derive(Debug)]
pub struct Event {
    /// Seconds since the beginning.
    pub at: f64,
    /// The text, with line feeds alone.
    pub text: String,
}

/// Writes a recording.
#[must_use]
pub fn write(title: &str, events: &[Event]) -> String {
    let header = json!({"version": 2, "width": WIDTH, "height": HEIGHT, "title": title});
    let event = |it: &Event| {
        let at = (it.at * 1000.0).round() / 1000.0;
        json!([at, "o", it.text.replace('\n', "\r\n")])
    };
    let lines = [header].into_iter().chain(events.iter().map(event));
    lines.map(|it| format!("{it}\n")).collect()
}

/// Reads a recording: what stands on the terminal at its end.
///
/// # Errors
/// It is no asciicast, its events are not in order, or a line does not fit.
pub fn text(cast: &str) -> Result<String> {
    let mut lines = cast.lines();
    let header: Value = serde_json::from_str(lines.next().context("no header")?)?;
    ensure!(header["version"] == 2, "no version 2: {header}");
    let size = ["width", "height"].map(|it| header[it].as_u64());
    ensure!(size.iter().all(Option::is_some), "no size: {header}");
    let (mut text, mut last) = (String::new(), 0.0);
    for line in lines {
        let (at, code, data): (f64, String, String) =
            serde_json::from_str(line).with_context(|| format!("event {line}"))?;
        ensure!(at >= last, "out of order: {line}");
        ensure!(code == "o", "no output: {line}");
        text += &data;
        last = at;
    }
    ensure!(
        !text.replace("\r\n", "").contains(['\r', '\n']),
        "a line's end is not CR LF"
    );
    let text = text.replace("\r\n", "\n");
    let longest = text.lines().map(|it| it.chars().count() as u64).max();
    ensure!(longest <= size[0], "a line of {longest:?} columns");
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let event = |at, text: &str| Event {
            at,
            text: text.to_owned(),
        };
        let events = [
            event(0.0, "$ "),
            event(0.5004, "ls\n"),
            event(0.6, "a\nb\n"),
        ];
        let cast = write("it", &events);
        assert_eq!(text(&cast).expect("a recording"), "$ ls\na\nb\n");
        assert!(cast.contains("\n[0.5,\"o\",\"ls\\r\\n\"]\n"), "{cast}");
    }

    #[test]
    fn what_is_no_recording_is_told() {
        let header = r#"{"version":2,"width":5,"height":2}"#;
        for (bad, why) in [
            (String::new(), "no header"),
            (r#"{"version":1}"#.to_owned(), "no version 2"),
            (r#"{"version":2}"#.to_owned(), "no size"),
            (format!("{header}\n[1]"), "event [1]"),
            (
                format!("{header}\n[2,\"o\",\"a\"]\n[1,\"o\",\"b\"]"),
                "out of order",
            ),
            (format!("{header}\n[1,\"i\",\"a\"]"), "no output"),
            (format!("{header}\n[1,\"o\",\"a\\nb\"]"), "a line's end"),
            (format!("{header}\n[1,\"o\",\"abcdef\"]"), "a line of"),
        ] {
            let error = text(&bad).expect_err(why).to_string();
            assert!(error.contains(why), "{why}: {error}");
        }
    }

    #[test]
    fn the_recording_of_the_docs_says_what_its_text_says() {
        let cast = include_str!("../../docs/connect.cast");
        let kept = include_str!("../../docs/connect.txt");
        assert_eq!(text(cast).expect("a recording"), kept);
    }
}
