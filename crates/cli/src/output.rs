//! Writes to standard output, and lays out text.

use std::fs::Permissions;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::ExitCode;

use serde::Serialize;
use serde_json::ser::{Formatter, Serializer};

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

/// Puts a file with this text and mode in the place of the one that is there.
///
/// # Errors
/// Those of the file system; then nothing is left behind.
pub fn replace(path: &Path, mode: u32, text: &str) -> io::Result<()> {
    let path = std::path::absolute(path)?;
    let dir = path.parent().unwrap_or(Path::new("/"));
    // The textfile collector reads what ends in .prom. Dropped without having got its name, the file is removed.
    let mut file = tempfile::Builder::new()
        .prefix(".slurm-adopt.")
        .tempfile_in(dir)?;
    file.write_all(text.as_bytes())?;
    file.as_file()
        .set_permissions(Permissions::from_mode(mode))?;
    file.persist(&path)?;
    Ok(())
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

/// Writes an object and a line's end, in ASCII: what users may have named reaches no terminal as it is.
///
/// # Errors
/// Those of the writer.
pub fn write_json(out: &mut dyn Write, object: &impl Serialize) -> io::Result<()> {
    let mut serializer = Serializer::with_formatter(&mut *out, Ascii);
    object.serialize(&mut serializer)?;
    writeln!(out)
}

/// JSON on one line, with escapes for all but ASCII.
struct Ascii;

impl Formatter for Ascii {
    fn write_string_fragment<W: ?Sized + Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        for character in fragment.chars() {
            match character {
                ' '..='~' => write!(writer, "{character}")?,
                _ => {
                    for unit in character.encode_utf16(&mut [0; 2]) {
                        write!(writer, "\\u{unit:04x}")?;
                    }
                }
            }
        }
        Ok(())
    }
}

/// A text of a file, a log or a user: on one line, and without what a terminal would act on. A tab is one column.
pub fn safe(text: &str) -> String {
    let shown = |it| if it == '\t' { ' ' } else { printable(it) };
    text.chars().map(shown).collect()
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

    #[test]
    fn json_is_ascii() {
        let mut out = Vec::new();
        let text = "a \u{9b}2J \u{1b} \u{7f} \u{1f600} \"\n";
        write_json(&mut out, &text).expect("memory");
        assert!(out.is_ascii() && !out.contains(&0x7f));
        let read: String = serde_json::from_slice(&out).expect("JSON");
        assert_eq!(read, text);
    }

    #[test]
    fn a_link_is_replaced_and_not_followed() {
        let dir = tempfile::tempdir().expect("a directory");
        let (target, link) = (dir.path().join("shadow"), dir.path().join("a.prom"));
        std::fs::write(&target, "as it was").expect("write");
        std::os::unix::fs::symlink(&target, &link).expect("link");
        replace(&link, 0o644, "new").expect("write");
        assert_eq!(std::fs::read_to_string(&target).expect("read"), "as it was");
        assert!(std::fs::symlink_metadata(&link).expect("stat").is_file());
    }

    #[test]
    fn a_file_is_replaced_whole_and_nothing_is_left_behind() {
        let dir = tempfile::tempdir().expect("a directory");
        let names = || {
            let entries = std::fs::read_dir(dir.path()).expect("list");
            let mut names: Vec<_> = entries.map(|it| it.expect("entry").file_name()).collect();
            names.sort();
            names
        };
        let path = dir.path().join("a.prom");
        for text in ["one\n", "two\n"] {
            replace(&path, 0o644, text).expect("write");
            assert_eq!(std::fs::read_to_string(&path).expect("read"), text);
            let mode = std::fs::metadata(&path).expect("stat").permissions().mode();
            assert_eq!(mode & 0o777, 0o644);
            assert_eq!(names(), ["a.prom"]);
        }
        std::fs::create_dir(dir.path().join("b.prom")).expect("make it");
        replace(&dir.path().join("b.prom"), 0o644, "x").expect_err("a directory");
        assert_eq!(names(), ["a.prom", "b.prom"]);
        replace(&dir.path().join("none/c.prom"), 0o644, "x").expect_err("no such directory");
    }
}
