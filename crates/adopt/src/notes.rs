//! What sessions leave for others than themselves: files of root's alone in [`run_dir::DIR`]`/sessions`.
//!
//! `UID.PID.START` is a session that uses a runtime directory, `UID` one that we made, `login.PID.START` the
//! word of sshd's helper process to its monitor (session.rs).

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sys::{Deadline, Listing};

use crate::run_dir;

/// Below [`run_dir::DIR`].
const NAME: &str = "sessions";

/// The notes, locked: nobody else who has opened them is at work.
#[derive(Debug)]
pub struct Notes {
    dir: PathBuf,
    _lock: File,
}

/// A process: its number, and when it started in clock ticks after the boot (0: not known).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Process {
    /// Its number.
    pub pid: u32,
    /// Its start.
    pub start: u64,
}

impl Notes {
    /// Waits for the lock.
    ///
    /// # Errors
    /// The system's; `TimedOut` at the deadline.
    pub fn open(deadline: &Deadline) -> io::Result<Self> {
        Self::open_at(Path::new(run_dir::DIR), deadline)
    }

    /// The same, if nobody has the lock.
    ///
    /// # Errors
    /// The system's.
    pub fn try_open() -> io::Result<Option<Self>> {
        Self::try_open_at(Path::new(run_dir::DIR))
    }

    pub(crate) fn open_at(run_dir: &Path, deadline: &Deadline) -> io::Result<Self> {
        const AGAIN: Duration = Duration::from_millis(5);
        loop {
            if let Some(notes) = Self::try_open_at(run_dir)? {
                return Ok(notes);
            }
            if deadline.has_passed() {
                return Err(io::ErrorKind::TimedOut.into());
            }
            sys::poll(&mut [], AGAIN.min(deadline.remaining()))?;
        }
    }

    /// Not for a program that has more rights than its user: the user could stop it, with the lock.
    fn try_open_at(run_dir: &Path) -> io::Result<Option<Self>> {
        if sys::is_secure_execution() {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        let dir = dir_in(run_dir)?;
        let lock = File::open(&dir)?;
        match sys::try_lock(&lock) {
            Ok(()) => Ok(Some(Self { dir, _lock: lock })),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Writes a note, in the place of one that is there.
    ///
    /// # Errors
    /// The system's.
    pub fn write(&self, name: &str, text: &str) -> io::Result<()> {
        write_at(&self.dir.join(name), text)
    }

    /// Takes a note away.
    ///
    /// # Errors
    /// The system's.
    pub fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.dir.join(name))
    }

    /// The names of all.
    ///
    /// # Errors
    /// The system's.
    pub fn names(&self) -> io::Result<Vec<String>> {
        let mut listing = Listing::open(&self.dir)?;
        let mut names = Vec::new();
        while let Some(name) = listing.next()? {
            // What is no text is no note.
            names.extend(name.to_str().map(str::to_owned));
        }
        Ok(names)
    }
}

fn dir_in(run_dir: &Path) -> io::Result<PathBuf> {
    run_dir::make(run_dir)?;
    let dir = run_dir.join(NAME);
    run_dir::make(&dir)?;
    Ok(dir)
}

fn write_at(path: &Path, text: &str) -> io::Result<()> {
    let mut options = File::options();
    options.write(true).create(true).truncate(true).mode(0o600);
    let mut file = options.custom_flags(sys::NO_FOLLOW).open(path)?;
    file.write_all(text.as_bytes())
}

/// Writes a note without the lock: one whose name no other process uses.
///
/// # Errors
/// The system's.
pub fn write(name: &str, text: &str) -> io::Result<()> {
    write_at(&dir_in(Path::new(run_dir::DIR))?.join(name), text)
}

/// Reads a note without the lock: one that only this process and its own helper know of.
#[must_use]
pub fn read(name: &str) -> Option<String> {
    let path = Path::new(run_dir::DIR).join(NAME).join(name);
    let text = sys::read_regular(&path, 64).ok()?;
    String::from_utf8(text).ok()
}

/// Takes a note away without the lock: one that only this process and its own helper know of.
///
/// # Errors
/// The system's.
pub fn remove(name: &str) -> io::Result<()> {
    fs::remove_file(Path::new(run_dir::DIR).join(NAME).join(name))
}

impl Process {
    /// This one.
    #[must_use]
    pub fn this() -> Self {
        Self::of(std::process::id())
    }

    /// The one that started this one.
    #[must_use]
    pub fn parent() -> Self {
        Self::of(std::os::unix::process::parent_id())
    }

    fn of(pid: u32) -> Self {
        let start = start_of(pid).unwrap_or(0);
        Self { pid, start }
    }

    /// From the two numbers at the end of a note's name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let (pid, start) = name.split_once('.')?;
        Some(Self {
            pid: pid.parse().ok()?,
            start: start.parse().ok()?,
        })
    }

    /// For a note's name.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}.{}", self.pid, self.start)
    }

    /// Whether it is still there, and not another one with its number.
    #[must_use]
    pub fn lives(&self) -> bool {
        let is_another =
            || self.start != 0 && start_of(self.pid).is_some_and(|now| now != self.start);
        sys::is_there(self.pid) && !is_another()
    }
}

/// When a process started, proc(5); nothing where /proc is that of another pid namespace, as in some
/// jobs.
fn start_of(pid: u32) -> Option<u64> {
    let this = fs::read_link("/proc/self").ok()?;
    if this.to_str()?.parse() != Ok(std::process::id()) {
        return None;
    }
    let stat = sys::read_regular(Path::new(&format!("/proc/{pid}/stat")), 4096).ok()?;
    // The name, in brackets, is the second field and may hold anything; the start is the 22nd.
    let end = stat.iter().rposition(|sign| *sign == b')')?;
    let rest = std::str::from_utf8(&stat[end + 1..]).ok()?;
    rest.split_ascii_whitespace().nth(22 - 3)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processes_by_their_names() {
        let this = Process::this();
        assert!(this.lives() && this.start > 0);
        assert!(Process::parent().lives());
        assert_eq!(Process::named(&this.name()), Some(this));
        let earlier = Process { start: 1, ..this };
        assert!(!earlier.lives(), "another process had that number");
        let unknown = Process { start: 0, ..this };
        assert!(unknown.lives());
        let pid = i32::MAX as u32;
        assert!(!Process { pid, ..unknown }.lives());
        for name in ["", "1", "1.2.3", "a.2", "1.-2", "1.", ".1"] {
            assert_eq!(Process::named(name), None, "{name}");
        }
    }

    #[test]
    fn one_at_a_time() {
        let name = format!("notes-{}", std::process::id());
        let dir = std::env::temp_dir().join(name);
        let open = || Notes::open_at(&dir, &Deadline::after(Duration::from_millis(50)));
        let first = open().expect("open");
        let second = open().expect_err("the first has the lock");
        assert_eq!(second.kind(), io::ErrorKind::TimedOut);
        drop(first);
        let notes = open().expect("open");
        notes.write("a", "long text").expect("write");
        notes.write("a", "text").expect("write");
        let read = fs::read_to_string(dir.join(NAME).join("a"));
        assert_eq!(read.expect("read"), "text");
        let names = notes.names().expect("list");
        assert!(names.contains(&"a".to_owned()), "{names:?}");
        notes.remove("a").expect("remove");
        assert!(notes.remove("a").is_err());
        fs::remove_dir_all(&dir).expect("clean up");
    }
}
