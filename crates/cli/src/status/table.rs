//! The status as a table of 80 columns.

use std::collections::BTreeMap;
use std::io::{self, Write};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use status::{End, Job, Kind, Login, Outsider, Refusal, Status, StepState};
use unicode_width::UnicodeWidthStr as _;

use super::span;

/// The width of a line.
const WIDTH: usize = 80;
/// The widest column of users; a longer name is cut.
const LONGEST_USER: usize = 16;
/// The number of users or programs that one entry names at most.
const NAMED: usize = 4;

/// How to print.
#[derive(Debug, Clone, Copy)]
pub(super) struct Style {
    /// With colours.
    pub is_colored: bool,
    /// With host and time above, for a screen that changes.
    pub has_time: bool,
}

const BOLD: &str = "1";
const RED: &str = "31";
const YELLOW: &str = "33";

/// A row of the table, without its logins.
struct Row {
    cells: [String; 6],
    /// What is wrong with the job, in words.
    trouble: Vec<String>,
    logins: Vec<String>,
}

impl Style {
    /// Writes jobs with their logins, what is outside any job, and refused logins.
    pub fn write(self, out: &mut dyn Write, status: &Status) -> io::Result<()> {
        if self.has_time {
            let zone = TimeZone::system();
            let time = zone.to_datetime(status.taken).strftime("%Y-%m-%d %H:%M:%S");
            writeln!(out, "{}  {time}\n", plain(&status.host))?;
        }
        match status.jobs.is_empty() {
            true if status.is_all => writeln!(out, "no jobs on this node")?,
            true => writeln!(out, "no jobs of yours on this node")?,
            false => self.jobs(out, status)?,
        }
        self.outside(out, status)?;
        self.refused(out, status)?;
        if !status.is_all {
            writeln!(out, "other users are not shown")?;
        }
        for note in &status.notes {
            fill(out, "note: ", "      ", &words(note))?;
        }
        Ok(())
    }

    fn jobs(self, out: &mut dyn Write, status: &Status) -> io::Result<()> {
        let head = ["JOB", "USER", "LEFT", "CPUS", "MEM", "LOGINS"].map(str::to_owned);
        let rows: Vec<Row> = status.jobs.iter().map(|it| row(it, status.taken)).collect();
        let least = [4, 4, 4, 4, 4, 6];
        let mut widths = least;
        for (column, width) in widths.iter_mut().enumerate() {
            let cells = rows.iter().map(|it| it.cells[column].width());
            *width = cells.chain([*width]).max().unwrap_or_default();
        }
        writeln!(
            out,
            "{}",
            self.colored(BOLD, line(&head, &widths, false).trim_end())
        )?;
        for row in &rows {
            self.row(out, row, &line(&row.cells, &widths, true))?;
        }
        Ok(())
    }

    /// Writes a row: its cells, what is wrong with the job, and its logins.
    fn row(self, out: &mut dyn Write, row: &Row, cells: &str) -> io::Result<()> {
        let indent = " ".repeat(cells.width() + 2);
        let mut first = match row.trouble.is_empty() {
            true => cells.to_owned(),
            false => self.colored(RED, cells),
        };
        let mut width = cells.width();
        if !row.trouble.is_empty() {
            fill_from(
                out,
                (&(first + "  "), width + 2),
                &indent,
                " ",
                &row.trouble,
            )?;
            (first, width) = (String::new(), 0);
        }
        if row.logins.is_empty() {
            return match first.is_empty() {
                true => Ok(()),
                false => writeln!(out, "{first}"),
            };
        }
        // A long address may need the whole line.
        let widest = row.logins.iter().map(|it| it.width()).max();
        let indent = match widest.unwrap_or_default() + indent.len() <= WIDTH {
            true => indent,
            false => {
                if !first.is_empty() {
                    writeln!(out, "{first}")?;
                }
                (first, width) = (String::new(), 0);
                " ".repeat(6)
            }
        };
        first += &" ".repeat(indent.len().saturating_sub(width));
        fill_from(out, (&first, indent.len()), &indent, "   ", &row.logins)
    }

    fn outside(self, out: &mut dyn Write, status: &Status) -> io::Result<()> {
        let describe = |it: &Outsider| {
            let user = cut(&it.user.name);
            let shown = match it.exempt {
                Some(_) => user.clone(),
                None => self.colored(YELLOW, &user),
            };
            (shown, user.width(), parts(it, status.taken))
        };
        let users: Vec<_> = status.outside.iter().map(describe).collect();
        match &users[..] {
            [] => writeln!(out, "outside any job: nothing"),
            [(user, width, parts)] => {
                const HEAD: &str = "outside any job: ";
                let first = format!("{HEAD}{user} ");
                let start = (first.as_str(), HEAD.len() + width + 1);
                fill_from(out, start, "   ", ", ", parts)
            }
            _ => {
                writeln!(out, "outside any job:")?;
                let widest = users.iter().map(|(_, width, _)| *width).max();
                let widest = widest.unwrap_or_default();
                for (user, width, parts) in &users {
                    let first = format!("  {user}{}  ", " ".repeat(widest - width));
                    let indent = " ".repeat(widest + 4);
                    fill_from(out, (&first, indent.len()), &indent, ", ", parts)?;
                }
                Ok(())
            }
        }
    }

    fn refused(self, out: &mut dyn Write, status: &Status) -> io::Result<()> {
        const HEAD: &str = "refused in the last hour: ";
        match &status.refused {
            // That is said of all other users at once.
            Err(_) | Ok(_) if !status.is_all => Ok(()),
            Err(cause) => fill(out, HEAD, "   ", &words(&format!("not known ({cause})"))),
            Ok(refused) if refused.is_empty() => writeln!(out, "{HEAD}nobody"),
            Ok(refused) => fill_from(out, (HEAD, HEAD.len()), "   ", ", ", &sums(refused)),
        }
    }

    fn colored(self, code: &str, text: &str) -> String {
        match self.is_colored {
            true => format!("\x1b[{code}m{text}\x1b[0m"),
            false => text.to_owned(),
        }
    }
}

fn row(job: &Job, now: Timestamp) -> Row {
    let dash = || "-".to_owned();
    let left = match (job.state, job.end) {
        (Some(StepState::Ending), _) => "ends".to_owned(),
        (Some(StepState::Suspended), _) => "susp".to_owned(),
        (_, Some(End::At(time))) if time > now => span::left(time.as_second() - now.as_second()),
        // Past its end it still runs: its limit was changed.
        (_, Some(End::At(_)) | None) => dash(),
        (_, Some(End::Never)) => "unlim".to_owned(),
    };
    let trouble = match (&job.trouble, job.has_extern_step) {
        (Some(cause), _) => format!("slurmstepd: {cause}"),
        (None, false) => "no extern step: takes no logins".to_owned(),
        (None, true) => String::new(),
    };
    let logins = job.logins.iter().map(|it| {
        let is_owners = job
            .user
            .as_ref()
            .is_some_and(|user| user.uid == it.user.uid);
        match is_owners {
            true => login(it, now),
            false => format!("{}: {}", cut(&it.user.name), login(it, now)),
        }
    });
    Row {
        cells: [
            job.job.to_string(),
            job.user.as_ref().map_or("?".to_owned(), |it| cut(&it.name)),
            left,
            job.cpus.map_or_else(dash, |it| it.to_string()),
            job.memory.map_or_else(dash, span::size),
            job.logins.len().to_string(),
        ],
        trouble: words(&trouble),
        logins: logins.collect(),
    }
}

/// Joins the cells: names to the left, numbers to the right.
fn line(cells: &[String; 6], widths: &[usize; 6], are_values: bool) -> String {
    let cells = cells.iter().zip(widths).enumerate();
    let cells = cells.map(|(column, (cell, width))| {
        let blank = " ".repeat(width.saturating_sub(cell.width()));
        match are_values && column >= 2 {
            true => format!("{blank}{cell}"),
            false => format!("{cell}{blank}"),
        }
    });
    cells.collect::<Vec<_>>().join("  ")
}

/// A login: `pts/0 10.0.0.5 41m`, `sftp 10.0.0.5 2m`, `su pts/1 3h`.
fn login(login: &Login, now: Timestamp) -> String {
    let kind = match (login.kind, &login.tty) {
        (Kind::Program(name), _) => Some(name),
        (_, Some(_)) => None,
        (kind, None) => Some(kind.name()),
    };
    let from = login.from.map(|it| it.to_string());
    let since = span::since(now.as_second() - login.since.as_second());
    let parts = [kind, login.tty.as_deref(), from.as_deref(), Some(&since)];
    parts.into_iter().flatten().collect::<Vec<_>>().join(" ")
}

/// What a user has outside any job.
fn parts(outsider: &Outsider, now: Timestamp) -> Vec<String> {
    let mut parts: Vec<String> = outsider.logins.iter().map(|it| login(it, now)).collect();
    if outsider.has_manager {
        parts.push("user manager".to_owned());
    }
    let count: usize = outsider.programs.iter().map(|(_, count)| count).sum();
    if count > 0 {
        let names = outsider.programs.iter().map(|(name, _)| plain(name));
        let since = outsider.since.map_or(0, Timestamp::as_second);
        let processes = if count == 1 { "process" } else { "processes" };
        parts.push(format!(
            "{count} {processes} since {} ({})",
            span::since(now.as_second() - since),
            some(names.collect())
        ));
    }
    if let (Some(by), Some(last)) = (&outsider.exempt, parts.last_mut()) {
        *last += &format!(" (exempt: {})", plain(by));
    }
    parts
}

/// The number of refused logins for each reason, the most frequent first, and the users.
fn sums(refused: &[Refusal]) -> Vec<String> {
    let mut kinds: BTreeMap<&str, BTreeMap<&str, usize>> = BTreeMap::new();
    for refusal in refused {
        let users = kinds.entry(&refusal.kind).or_default();
        *users.entry(&refusal.user).or_default() += 1;
    }
    let mut sums: Vec<(usize, &str, Vec<String>)> = kinds
        .into_iter()
        .map(|(kind, users)| {
            let count = users.values().sum();
            let mut users: Vec<_> = users.into_iter().collect();
            users.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
            (
                count,
                kind,
                users.into_iter().map(|(user, _)| cut(user)).collect(),
            )
        })
        .collect();
    sums.sort_by_key(|(count, ..)| std::cmp::Reverse(*count));
    let sums = sums.into_iter();
    sums.map(|(count, kind, users)| {
        format!(
            "{count} {} ({})",
            plain(kind).replace('-', " "),
            some(users)
        )
    })
    .collect()
}

/// The first names of a list.
fn some(names: Vec<String>) -> String {
    let more = if names.len() > NAMED { ", ..." } else { "" };
    let names: Vec<_> = names.into_iter().take(NAMED).collect();
    names.join(", ") + more
}

/// A text of others' on one line, without what a terminal would act on.
fn plain(text: &str) -> String {
    let safe = |it: char| if it.is_control() { '?' } else { it };
    text.chars().map(safe).collect()
}

/// A user's name, cut at [`LONGEST_USER`] columns.
fn cut(name: &str) -> String {
    let name = plain(name);
    if name.width() <= LONGEST_USER {
        return name;
    }
    let mut short = String::new();
    for sign in name.chars() {
        short.push(sign);
        if short.width() >= LONGEST_USER {
            short.pop();
            break;
        }
    }
    short + "+"
}

fn words(text: &str) -> Vec<String> {
    plain(text).split_whitespace().map(str::to_owned).collect()
}

fn fill(out: &mut dyn Write, first: &str, next: &str, parts: &[String]) -> io::Result<()> {
    fill_from(out, (first, first.width()), next, " ", parts)
}

/// Writes parts after `start`, a text and its width on the screen, in lines of at most 80 columns that begin with
/// `next`. A part is not broken.
fn fill_from(
    out: &mut dyn Write,
    start: (&str, usize),
    next: &str,
    between: &str,
    parts: &[String],
) -> io::Result<()> {
    let (mut line, mut width) = (start.0.to_owned(), start.1);
    let mut is_begun = false;
    for part in parts {
        if is_begun && width + between.len() + part.width() > WIDTH {
            writeln!(out, "{}{}", line.trim_end(), between.trim_end())?;
            (line, width) = (next.to_owned(), next.len());
            is_begun = false;
        }
        if is_begun {
            line += between;
            width += between.len();
        }
        line += part;
        width += part.width();
        is_begun = true;
    }
    writeln!(out, "{}", line.trim_end())
}

#[cfg(test)]
mod tests;
