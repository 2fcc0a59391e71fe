//! The findings for people.

use std::io::{self, Write};

use check::{Finding, Report, RoomReport, Severity, Spot};

use crate::output::{safe, write_filled};

/// The width of the column of rooms.
const ROOM: usize = 13;

/// How to print.
pub(super) struct Style {
    /// Without host and times.
    pub is_terse: bool,
    /// With colours.
    pub is_colored: bool,
}

/// This host's name.
pub(super) fn host_name() -> String {
    sys::hostname().unwrap_or_else(|_| "localhost".to_owned())
}

impl Style {
    /// Writes a line for each room, its findings, and the sum.
    pub(super) fn write(&self, out: &mut dyn Write, report: &Report) -> io::Result<()> {
        if !self.is_terse {
            match report.host.tree.root() {
                None => writeln!(out, "host {}\n", host_name())?,
                Some(root) => writeln!(out, "tree {}\n", safe(&root.to_string_lossy()))?,
            }
        }
        for room in &report.rooms {
            self.room(out, room)?;
        }
        let count = |severity| report.count(severity);
        let sum = [
            plural(count(Severity::Failure), "failure"),
            plural(count(Severity::Warning), "warning"),
            plural(count(Severity::Note), "note"),
            format!("{} checked", report.checks),
        ];
        write!(out, "\n{}", sum.join(", "))?;
        match self.is_terse {
            true => writeln!(out),
            false => writeln!(out, " in {:.1} s", report.took.as_secs_f32()),
        }
    }

    fn room(&self, out: &mut dyn Write, room: &RoomReport) -> io::Result<()> {
        let name = room.room.name;
        let measured = room.measured.iter().filter(|_| !self.is_terse);
        let summary: Vec<_> = room.summary.iter().chain(measured).cloned().collect();
        let summary = summary.join("; ");
        let word = match room.worst() {
            None | Some(Severity::Note) if !room.unseen.is_empty() => "?",
            None | Some(Severity::Note) => "ok",
            Some(severity) => word(severity),
        };
        let word = self.colored(room.worst(), word);
        let (first, next) = (format!("{name:ROOM$} {word}  "), " ".repeat(ROOM + 7));
        write_filled(out, &first, &next, &summary)?;
        for finding in &room.findings {
            self.finding(out, finding)?;
        }
        for unseen in &room.unseen {
            let text = format!("{}: {}", unseen.what, unseen.why);
            write_filled(out, "   not looked at: ", "      ", &text)?;
        }
        Ok(())
    }

    fn finding(&self, out: &mut dyn Write, finding: &Finding) -> io::Result<()> {
        let check = finding.check;
        let word = self.colored(Some(finding.severity), word(finding.severity));
        writeln!(out, "   {word}  {} {}", check.id, check.title)?;
        if let Some(spot) = &finding.spot {
            write_spot(out, spot)?;
        }
        write_filled(out, "      ", "      ", &finding.detail)?;
        write_filled(out, "      fix   ", "            ", finding.advice())
    }

    fn colored(&self, severity: Option<Severity>, word: &str) -> String {
        let code = match severity {
            Some(Severity::Failure) => "31",
            Some(Severity::Warning) => "33",
            Some(Severity::Note) => "36",
            None => "32",
        };
        match self.is_colored {
            true => format!("\x1b[{code}m{word:4}\x1b[0m"),
            false => format!("{word:4}"),
        }
    }
}

fn word(severity: Severity) -> &'static str {
    match severity {
        Severity::Failure => "FAIL",
        Severity::Warning => "warn",
        Severity::Note => "note",
    }
}

fn plural(count: usize, word: &str) -> String {
    match count {
        1 => format!("1 {word}"),
        _ => format!("{count} {word}s"),
    }
}

/// FILE:LINE, and the line with a caret under what is at fault.
fn write_spot(out: &mut dyn Write, spot: &Spot) -> io::Result<()> {
    let file = safe(&spot.file);
    match spot.line {
        Some(line) => writeln!(out, "      {file}:{line}")?,
        None => writeln!(out, "      {file}")?,
    }
    let Some(text) = &spot.text else {
        return Ok(());
    };
    writeln!(out, "      {}", safe(text))?;
    let Some((before, marked)) = spot.mark.clone().and_then(|mark| {
        let before = text.get(..mark.start)?;
        Some((before, text.get(mark)?))
    }) else {
        return Ok(());
    };
    let (blank, carets) = (before.chars().count(), marked.chars().count().max(1));
    writeln!(out, "      {:blank$}{:^<carets$}", "", "")
}
