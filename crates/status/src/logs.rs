//! Where the module's lines are: the journal, or where there is none a file of syslog.

use std::fmt;
use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::Path;
use std::time::Duration;

use check::host::{Host, command};
use jiff::{SignedDuration, Timestamp};
use rustix::fs::{CWD, Mode, OFlags, openat};

use crate::model::Refusal;
use crate::refused;

/// The socket that is there while journald runs.
const JOURNALD: &str = "/run/systemd/journal/stdout";
/// The files of syslog: Debian's and Red Hat's for authpriv, and those for everything.
const FILES: [&str; 4] = [
    "/var/log/auth.log",
    "/var/log/secure",
    "/var/log/syslog",
    "/var/log/messages",
];
/// How much of a file's end is read.
const TAIL: u64 = 4 << 20;
/// The time that journalctl gets at most.
const PATIENCE: Duration = Duration::from_secs(3);
/// How far back to look.
const HOUR: SignedDuration = SignedDuration::from_hours(1);

/// The reason why the denied logins are not known.
#[derive(Debug)]
pub enum NotKnown {
    /// They are root's to see.
    ForRoot,
    /// journalctl cannot be run, or does not end.
    Journalctl(io::Error),
    /// What journalctl says of its failure.
    Journal(String),
    /// A file of syslog cannot be read.
    File {
        /// The file.
        path: &'static str,
        /// The system's error.
        cause: io::Error,
    },
    /// There is neither a journal nor a file of syslog.
    NoLog,
}

impl fmt::Display for NotKnown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ForRoot => f.write_str("they are shown to root alone, without --mine"),
            Self::Journalctl(cause) => write!(f, "journalctl: {cause}"),
            Self::Journal(said) => write!(f, "journalctl: {said}"),
            Self::File { path, cause } => write!(f, "read {path}: {cause}"),
            Self::NoLog => write!(f, "no journald, and none of {}", FILES.join(", ")),
        }
    }
}

/// The denied logins of the last hour, newest first.
///
/// # Errors
/// [`NotKnown`].
pub(crate) fn refusals(host: &Host) -> Result<Vec<Refusal>, NotKnown> {
    match host.tree.exists(JOURNALD) {
        true => of_journal(host),
        false => of_files(),
    }
}

fn of_journal(host: &Host) -> Result<Vec<Refusal>, NotKnown> {
    // The newest first: of too much output the beginning is kept. 10 is LOG_AUTHPRIV, syslog(3).
    let arguments = [
        "--quiet",
        "--no-pager",
        "--reverse",
        "--output=json",
        "--since=-1h",
        "SYSLOG_FACILITY=10",
        "+",
        "SLURM_ADOPT_DECISION=denied",
    ];
    let deadline = host.deadline.within(PATIENCE);
    let printed =
        command::run("journalctl", &arguments, &deadline).map_err(NotKnown::Journalctl)?;
    if !printed.is_success() && printed.out.is_empty() {
        let said = printed.errors.lines().next().unwrap_or("failed");
        return Err(NotKnown::Journal(said.to_owned()));
    }
    Ok(printed
        .out
        .lines()
        .filter_map(refused::in_journal)
        .collect())
}

fn of_files() -> Result<Vec<Refusal>, NotKnown> {
    let now = Timestamp::now();
    let since = now - HOUR;
    for path in FILES {
        match tail(Path::new(path)) {
            Ok(text) => {
                let lines = text.lines().rev();
                let found = lines.filter_map(|it| refused::in_line(it, now, since));
                return Ok(found.collect());
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(cause) => return Err(NotKnown::File { path, cause }),
        }
    }
    Err(NotKnown::NoLog)
}

/// The end of a regular file.
fn tail(path: &Path) -> io::Result<String> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let mut file = File::from(openat(CWD, path, flags, Mode::empty())?);
    let status = file.metadata()?;
    if !status.is_file() {
        let kind = io::ErrorKind::InvalidInput;
        return Err(io::Error::new(kind, "not a regular file"));
    }
    file.seek(SeekFrom::Start(status.len().saturating_sub(TAIL)))?;
    let mut bytes = Vec::new();
    file.take(TAIL).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
