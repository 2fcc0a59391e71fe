//! Notes from sessions to other processes: files of root alone in [`state_dir::DIR`]`/sessions`.
//!
//! `UID.PROCESS` is a session that uses a runtime directory. `UID` is a directory that we made; its text is
//! the pid namespace of its maker and the number of sessions since. `login.PROCESS` is the record that sshd's
//! helper process leaves for its monitor (record.rs). PROCESS is `PID.START.NAMESPACE`: only a process in that
//! pid namespace can tell whether PROCESS still runs; all others leave the note alone.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sys::{Deadline, Proc};

use crate::access;
use crate::state_dir;

/// The directory's name below [`state_dir::DIR`].
const NAME: &str = "sessions";

/// The notes, locked: no other process that locks them is using them.
#[derive(Debug)]
pub struct Notes {
    state_dir: PathBuf,
    dir: PathBuf,
    _lock: File,
}

/// The notes without the lock: others may change them.
#[derive(Debug)]
pub struct Released {
    state_dir: PathBuf,
}

/// A process: its pid, its start, and the namespace of its pid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Process {
    /// Its pid.
    pub pid: u32,
    /// Its start in clock ticks after boot; 0 if unknown.
    pub start: u64,
    /// The inode of the pid namespace in which it has that pid; 0 if unknown.
    pub namespace: u64,
}

/// Tells whether processes of this pid namespace have ended.
#[derive(Debug)]
pub struct Judge {
    proc: Option<Proc>,
    namespace: u64,
}

impl Notes {
    /// Opens the notes; waits for the lock.
    ///
    /// # Errors
    /// The system's error; `TimedOut` at the deadline.
    pub fn open(deadline: &Deadline) -> io::Result<Self> {
        refuse_users()?;
        Self::open_at(Path::new(state_dir::DIR), deadline)
    }

    /// Opens the notes if nobody has the lock.
    ///
    /// # Errors
    /// The system's error.
    pub fn try_open() -> io::Result<Option<Self>> {
        refuse_users()?;
        Self::try_open_at(Path::new(state_dir::DIR))
    }

    pub(crate) fn open_at(state_dir: &Path, deadline: &Deadline) -> io::Result<Self> {
        const AGAIN: Duration = Duration::from_millis(5);
        loop {
            if let Some(notes) = Self::try_open_at(state_dir)? {
                return Ok(notes);
            }
            if deadline.has_passed() {
                return Err(io::ErrorKind::TimedOut.into());
            }
            sys::poll(&mut [], AGAIN.min(deadline.remaining()))?;
        }
    }

    fn try_open_at(state_dir: &Path) -> io::Result<Option<Self>> {
        let dir = dir_in(state_dir)?;
        let lock = File::open(&dir).map_err(access::at("open", &dir))?;
        match sys::try_lock(&lock) {
            Ok(()) => Ok(Some(Self {
                state_dir: state_dir.to_owned(),
                dir,
                _lock: lock,
            })),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Releases the lock.
    #[must_use]
    pub fn release(self) -> Released {
        Released {
            state_dir: self.state_dir,
        }
    }

    /// Writes a note, or replaces it.
    ///
    /// # Errors
    /// The system's error.
    pub fn write(&self, name: &str, text: &str) -> io::Result<()> {
        write_at(&self.dir.join(name), text)
    }

    /// Reads a note.
    ///
    /// # Errors
    /// The system's error.
    pub fn read(&self, name: &str) -> io::Result<String> {
        let text = sys::read_regular(&self.dir.join(name), 64)?;
        String::from_utf8(text).map_err(io::Error::other)
    }

    /// Removes a note.
    ///
    /// # Errors
    /// The system's error.
    pub fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.dir.join(name))
    }

    /// The names of all notes.
    ///
    /// # Errors
    /// The system's error.
    pub fn names(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.dir)? {
            // A name that is not UTF-8 is not a note's.
            names.extend(entry?.file_name().into_string());
        }
        Ok(names)
    }
}

impl Released {
    /// Waits for the lock again.
    ///
    /// # Errors
    /// As [`Notes::open`].
    pub fn open(&self, deadline: &Deadline) -> io::Result<Notes> {
        Notes::open_at(&self.state_dir, deadline)
    }
}

/// Refuses set-user-ID programs: their user could stop them while they have the lock.
fn refuse_users() -> io::Result<()> {
    match sys::is_set_user_id() {
        true => Err(io::Error::other("this process is not root's alone")),
        false => Ok(()),
    }
}

fn dir_in(state_dir: &Path) -> io::Result<PathBuf> {
    state_dir::make(state_dir)?;
    let dir = state_dir.join(NAME);
    state_dir::make(&dir)?;
    Ok(dir)
}

fn write_at(path: &Path, text: &str) -> io::Result<()> {
    let mut options = File::options();
    options.write(true).create(true).truncate(true).mode(0o600);
    let opened = options.custom_flags(sys::NO_FOLLOW).open(path);
    let written = opened.and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(access::at("write", path))
}

/// Writes a note without the lock. No other process may use its name.
///
/// # Errors
/// The system's error.
pub fn write(name: &str, text: &str) -> io::Result<()> {
    write_at(&dir_in(Path::new(state_dir::DIR))?.join(name), text)
}

/// Reads a note without the lock. Only this process and its helper may know the note. None if it does
/// not exist.
///
/// # Errors
/// The system's error; the note may exist.
pub fn find(name: &str) -> io::Result<Option<String>> {
    let path = Path::new(state_dir::DIR).join(NAME).join(name);
    match sys::read_regular(&path, 64) {
        Ok(text) => String::from_utf8(text).map(Some).map_err(io::Error::other),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(access::at("read", &path)(error)),
    }
}

/// Removes a note without the lock. Only this process and its helper may know the note.
///
/// # Errors
/// The system's error.
pub fn remove(name: &str) -> io::Result<()> {
    fs::remove_file(Path::new(state_dir::DIR).join(NAME).join(name))
}

impl Process {
    /// This process.
    #[must_use]
    pub fn this() -> Self {
        Judge::here().process(std::process::id())
    }

    /// The parent of this process.
    #[must_use]
    pub fn parent() -> Self {
        Judge::here().process(std::os::unix::process::parent_id())
    }

    /// Parses the three numbers at the end of a note's name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let mut parts = name.split('.');
        let mut next = || parts.next()?.parse::<u64>().ok();
        let (pid, start, namespace) = (next()?, next()?, next()?);
        let pid = u32::try_from(pid).ok()?;
        parts.next().is_none().then_some(Self {
            pid,
            start,
            namespace,
        })
    }

    /// Formats the process for a note's name.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}.{}.{}", self.pid, self.start, self.namespace)
    }

    /// Whether both may be the same process, as far as is known.
    #[must_use]
    pub fn may_be(&self, other: &Self) -> bool {
        let agree = |one, other| one == other || one == 0 || other == 0;
        self.pid == other.pid
            && agree(self.start, other.start)
            && agree(self.namespace, other.namespace)
    }
}

impl Judge {
    /// Makes a judge for the pid namespace of this process.
    #[must_use]
    pub fn here() -> Self {
        let proc = Proc::own().ok();
        let namespace = proc.as_ref().and_then(|it| it.pid_namespace().ok());
        let namespace = namespace.or_else(|| sys::pid_namespace().ok());
        Self {
            namespace: namespace.unwrap_or(0),
            proc,
        }
    }

    /// The pid namespace; 0 if unknown.
    #[must_use]
    pub fn namespace(&self) -> u64 {
        self.namespace
    }

    fn process(&self, pid: u32) -> Process {
        let stat = self.stat(pid).ok().flatten();
        Process {
            pid,
            start: stat.map_or(0, |it| it.start),
            namespace: self.namespace,
        }
    }

    fn stat(&self, pid: u32) -> io::Result<Option<sys::ProcessStat>> {
        let proc = self.proc.as_ref().ok_or(io::ErrorKind::Unsupported)?;
        match proc.process(pid)? {
            Some(process) => process.stat(),
            None => Ok(None),
        }
    }

    /// Whether a process has certainly ended: its pid is unused, a zombie's or another process's. False for a
    /// process of another pid namespace.
    #[must_use]
    pub fn is_gone(&self, process: &Process) -> bool {
        if process.namespace == 0 || process.namespace != self.namespace {
            return false;
        }
        let is_another = |now: sys::ProcessStat| {
            now.is_zombie || process.start != 0 && now.start != process.start
        };
        let stat = || self.stat(process.pid).ok().flatten();
        !sys::is_there(process.pid) || stat().is_some_and(is_another)
    }

    /// Returns those of the uids that have a running process here.
    ///
    /// # Errors
    /// The system's error, also if only processes of another pid namespace are visible.
    pub fn in_use(&self, uids: &[u32]) -> io::Result<Vec<u32>> {
        let proc = self.proc.as_ref().ok_or(io::ErrorKind::Unsupported)?;
        let mut found = Vec::new();
        for pid in proc.pids()? {
            let owner = proc.owner(pid).map_err(|error| {
                // The process may be one of theirs.
                io::Error::new(error.kind(), format!("whose process {pid} is: {error}"))
            });
            let Some(uid) = owner? else { continue };
            if !uids.contains(&uid) || found.contains(&uid) {
                continue;
            }
            if self.stat(pid)?.is_some_and(|it| !it.is_zombie) {
                found.push(uid);
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests;
