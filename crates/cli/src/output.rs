//! Writes to standard output, and lays out text.

use std::io::{self, Write};
use std::process::ExitCode;

use crate::COULD_NOT_LOOK;

/// The width of what is printed.
const WIDTH: usize = 80;

/// Lets `write` print, and returns `status`; says on standard error if that fails. A reader who reads no further, as
/// head(1) does, is no failure.
pub fn print(
    command: &str,
    status: u8,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> ExitCode {
    let mut out = io::stdout().lock();
    match write(&mut out).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            eprintln!("slurm-adopt {command}: write to standard output: {error}");
            ExitCode::from(COULD_NOT_LOOK)
        }
        _ => ExitCode::from(status),
    }
}

/// Breaks a text into lines of at most 80 columns.
///
/// # Errors
/// Those of the writer.
pub fn write_filled(out: &mut dyn Write, first: &str, next: &str, text: &str) -> io::Result<()> {
    let mut line = first.to_owned();
    let mut has_word = false;
    for word in text.split_whitespace() {
        if has_word && line.chars().count() + 1 + word.chars().count() > WIDTH {
            writeln!(out, "{line}")?;
            line = next.to_owned();
            has_word = false;
        }
        if has_word {
            line.push(' ');
        }
        line.extend(word.chars().map(printable));
        has_word = true;
    }
    writeln!(out, "{}", line.trim_end())
}

/// The character, unless a terminal would act on it.
pub fn printable(character: char) -> char {
    match character.is_control() {
        true => '?',
        false => character,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_broken_at_80_columns_and_acts_on_no_terminal() {
        let mut out = Vec::new();
        let text = format!("{}\x1b[31m end", "word ".repeat(20));
        write_filled(&mut out, "> ", "  ", &text).expect("memory");
        let text = String::from_utf8(out).expect("text");
        assert!(text.lines().all(|it| it.len() <= WIDTH), "{text}");
        assert_eq!(text.lines().count(), 2);
        assert!(
            text.starts_with("> word") && text.ends_with(" ?[31m end\n"),
            "{text}"
        );
    }
}
