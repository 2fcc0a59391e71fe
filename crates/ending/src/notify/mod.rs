//! Tells the terminals of a job's logins when the job ends: ten minutes, one minute, and five seconds before.
//!
//! A timer runs it once a minute, outside all jobs: the end of a job signals every process in it (`req.c`, SIGTERM, then
//! SIGKILL after KillWait), so that nothing in the job could say the last line, and an Epilog is too late. A run looks
//! after one minute and ends before the next one (see [`Window`]).

mod limits;
mod schedule;
mod terminal;

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::thread;
use std::time::Duration;

use check::host::Host;
use check::host::tree::Tree;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use status::{End, Job, Login, NothingSeen};
use sys::Deadline;

pub use schedule::{Due, Window};

/// The kernel's directory of pseudoterminals.
const TERMINALS: &str = "/dev/pts";
/// The time for looking.
const LOOKING: Duration = Duration::from_secs(9);

/// A line for a terminal.
#[derive(Debug, Clone)]
pub struct Line {
    /// When, and what about.
    pub due: Due,
    /// The job.
    pub job: u32,
    /// The login.
    pub login: Login,
    /// Its terminal.
    pub tty: String,
    /// The text.
    pub text: String,
}

/// Finds the lines that are due within the present minute, by their times.
///
/// # Errors
/// [`NothingSeen`].
pub fn lines() -> Result<Vec<Line>, NothingSeen> {
    let jobs = status::jobs(LOOKING)?;
    let host = Host::new(Tree::live(), Deadline::after(LOOKING));
    let with_terminal = |it: &&Job| it.logins.iter().any(|it| terminal_of(it).is_some());
    let jobs: Vec<&Job> = jobs.iter().filter(with_terminal).collect();
    let numbers: Vec<u32> = jobs.iter().map(|it| it.job).collect();
    // Nobody to tell, nothing to ask.
    let told = match numbers.is_empty() {
        true => BTreeMap::new(),
        false => limits::ends(&numbers, &host),
    };
    let now = Timestamp::now().as_second();
    let mut lines = Vec::new();
    for job in jobs {
        if let Some(end) = end(job, told.get(&job.job)) {
            lines.extend(lines_of(job, &Window::at(now).due(end)));
        }
    }
    lines.sort_by_key(|it| it.due.at);
    Ok(lines)
}

/// The end that slurmctld tells of, else the one that the job was started with.
fn end(job: &Job, told: Option<&limits::End>) -> Option<i64> {
    match (told, job.end) {
        (Some(limits::End::At(end)), _) => Some(*end),
        (None, Some(End::At(end))) => Some(end.as_second()),
        (Some(limits::End::Never), _) | (None, Some(End::Never) | None) => None,
    }
}

fn terminal_of(login: &Login) -> Option<&String> {
    login.tty.as_ref().filter(|it| it.starts_with("pts/"))
}

fn lines_of(job: &Job, due: &[Due]) -> Vec<Line> {
    let host = sys::hostname().unwrap_or_else(|_| "this node".to_owned());
    let zone = TimeZone::system();
    let mut lines = Vec::new();
    for login in &job.logins {
        let Some(tty) = terminal_of(login) else {
            continue;
        };
        lines.extend(due.iter().map(|due| Line {
            due: *due,
            job: job.job,
            login: login.clone(),
            tty: tty.clone(),
            text: due.text(job.job, &host, &zone),
        }));
    }
    lines
}

/// Waits until a line is due and writes it. The last lines of a minute come up to two seconds early.
///
/// # Errors
/// Those of writing to a terminal: see `terminal::write_line`.
pub fn write(line: &Line) -> io::Result<()> {
    let now = Timestamp::now();
    let at = line.due.at.min(Window::at(line.due.at).last());
    let wait = Timestamp::from_second(at)
        .unwrap_or(now)
        .duration_since(now);
    // Never longer than the minute that the line belongs to.
    let wait = Duration::try_from(wait).unwrap_or_default();
    thread::sleep(wait.min(Duration::from_secs(60)));
    terminal::write_line(
        Path::new(TERMINALS),
        &line.tty,
        line.login.user.uid,
        &line.text,
    )
}
