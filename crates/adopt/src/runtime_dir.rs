//! `runtime_dir=create`: /run/user/UID for a login, where no systemd makes it.
//!
//! As logind's user-runtime-dir does it: a tmpfs of a tenth of the memory, the user's alone. Each session
//! leaves a file `UID.PID.START` in [`SESSIONS`]; the directory goes when the last session of its user
//! that still runs ends. A job that ends kills its sessions without a word, so that whoever comes next,
//! and `slurm-adopt tidy` in slurmd's Epilog, takes down what nobody uses any more.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use sys::Deadline;

use crate::run_dir;

/// Where sessions and directories are noted, below [`run_dir::DIR`].
const SESSIONS: &str = "sessions";
/// Where users' directories are.
const USERS: &str = "/run/user";
/// As logind.conf(5), RuntimeDirectorySize=.
const SIZE: &str = "size=10%";

/// The notes, locked: nobody else makes or takes down a directory meanwhile.
pub struct Notes {
    dir: PathBuf,
    users: PathBuf,
    _lock: File,
}

/// A session's note by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Session {
    uid: u32,
    pid: u32,
    /// Its process's start in clock ticks after the boot; 0: not known.
    start: u64,
}

impl Notes {
    /// Waits for the lock.
    ///
    /// # Errors
    /// The system's; `TimedOut` at the deadline.
    pub fn open(deadline: &Deadline) -> io::Result<Self> {
        Self::open_at(Path::new(run_dir::DIR), Path::new(USERS), deadline)
    }

    fn open_at(run_dir: &Path, users: &Path, deadline: &Deadline) -> io::Result<Self> {
        const AGAIN: Duration = Duration::from_millis(5);
        run_dir::make(run_dir)?;
        let dir = run_dir.join(SESSIONS);
        run_dir::make(&dir)?;
        let lock = File::open(&dir)?;
        loop {
            match sys::try_lock(&lock) {
                Ok(()) => break,
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error),
                Err(_) if deadline.has_passed() => return Err(io::ErrorKind::TimedOut.into()),
                Err(_) => sys::poll(&mut [], AGAIN.min(deadline.remaining()))?,
            }
        }
        Ok(Self {
            dir,
            users: users.to_owned(),
            _lock: lock,
        })
    }

    /// The user's directory, made if it is not there; this process is one of those that use it.
    ///
    /// # Errors
    /// The system's, or one that says what is at its place instead.
    pub fn begin(&self, uid: u32, gid: u32) -> io::Result<PathBuf> {
        self.tidy()?;
        let path = self.users.join(uid.to_string());
        match is_good(&path, uid)? {
            // It may be systemd's: then it is not ours to take down.
            true => {}
            false => self.make(&path, uid, gid)?,
        }
        self.note(&Session::this(uid).name())?;
        Ok(path)
    }

    /// The session of this process has ended.
    ///
    /// # Errors
    /// The system's.
    pub fn end(&self, uid: u32) -> io::Result<()> {
        let this = Session::this(uid);
        for session in self.sessions()? {
            if (session.uid, session.pid) == (uid, this.pid) {
                fs::remove_file(self.dir.join(session.name()))?;
            }
        }
        self.tidy()
    }

    /// Takes down what no session uses any more.
    ///
    /// # Errors
    /// The system's, after all have been tried.
    pub fn tidy(&self) -> io::Result<()> {
        let mut living = Vec::new();
        for session in self.sessions()? {
            match session.lives() {
                true => living.push(session.uid),
                false => fs::remove_file(self.dir.join(session.name()))?,
            }
        }
        let mut result = Ok(());
        for uid in self.made()? {
            if !living.contains(&uid) {
                result = self.take_down(uid).and(result);
            }
        }
        result
    }

    fn make(&self, path: &Path, uid: u32, gid: u32) -> io::Result<()> {
        match DirBuilder::new().mode(0o755).create(&self.users) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        let found = fs::symlink_metadata(&self.users)?;
        let is_safe = found.is_dir() && found.mode() & 0o022 == 0;
        if !is_safe || found.uid() != sys::effective_uid() {
            let users = self.users.display();
            return Err(io::Error::other(format!("{users} is not root's alone")));
        }
        self.note(&uid.to_string())?;
        match DirBuilder::new().mode(0o700).create(path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        sys::mount_tmpfs(path, &format!("mode=0700,uid={uid},gid={gid},{SIZE}"))
    }

    fn take_down(&self, uid: u32) -> io::Result<()> {
        let path = self.users.join(uid.to_string());
        // In each mount namespace that a session made it in: those of jobs go with their last process.
        while sys::unmount(&path).is_ok() {}
        match fs::remove_dir(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => fs::remove_file(self.dir.join(uid.to_string())),
        }
    }

    fn note(&self, name: &str) -> io::Result<()> {
        let mut options = File::options();
        options.write(true).create(true).mode(0o600);
        let file = options
            .custom_flags(sys::NO_FOLLOW)
            .open(self.dir.join(name));
        file.map(drop)
    }

    fn names(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.dir)? {
            // What is no text is no note.
            names.extend(entry?.file_name().into_string());
        }
        Ok(names)
    }

    fn sessions(&self) -> io::Result<Vec<Session>> {
        let names = self.names()?;
        Ok(names.iter().filter_map(|it| Session::of(it)).collect())
    }

    fn made(&self) -> io::Result<Vec<u32>> {
        let names = self.names()?;
        Ok(names.iter().filter_map(|it| it.parse().ok()).collect())
    }
}

/// Whether the user's directory is there, to be used as it is.
fn is_good(path: &Path, uid: u32) -> io::Result<bool> {
    let found = match fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    let is_alone = found.is_dir() && found.mode() & 0o077 == 0;
    match found.uid() {
        owner if is_alone && owner == uid => Ok(true),
        // What a tmpfs is mounted on, here or in the mount namespace of a job.
        owner if is_alone && owner == sys::effective_uid() => Ok(false),
        owner => {
            let (mode, path) = (found.mode(), path.display());
            let cause = format!("{path} is not the user's alone: owner uid {owner}, mode {mode:o}");
            Err(io::Error::other(cause))
        }
    }
}

impl Session {
    /// Of this process.
    fn this(uid: u32) -> Self {
        Self {
            uid,
            pid: std::process::id(),
            start: start_of("self").unwrap_or(0),
        }
    }

    fn of(name: &str) -> Option<Self> {
        let mut parts = name.split('.');
        let session = Self {
            uid: parts.next()?.parse().ok()?,
            pid: parts.next()?.parse().ok()?,
            start: parts.next()?.parse().ok()?,
        };
        parts.next().is_none().then_some(session)
    }

    fn name(&self) -> String {
        format!("{}.{}.{}", self.uid, self.pid, self.start)
    }

    /// Whether its process is still there, and not another one with its number.
    fn lives(&self) -> bool {
        let is_another = || {
            let now = start_of(&self.pid.to_string());
            self.start != 0 && now.is_some_and(|now| now != self.start)
        };
        sys::is_there(self.pid) && !is_another()
    }
}

/// When a process started, proc(5); nothing where /proc is that of another pid namespace, as in some
/// jobs.
fn start_of(process: &str) -> Option<u64> {
    let this = fs::read_link("/proc/self").ok()?;
    if this.to_str()? != std::process::id().to_string() {
        return None;
    }
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The name, in brackets, is the second field and may hold anything; the start is the 22nd.
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_whitespace().nth(22 - 3)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str) -> Self {
            let name = format!("runtime-{}-{name}", std::process::id());
            let dir = std::env::temp_dir().join(name);
            let _ = fs::remove_dir_all(&dir);
            fs::create_dir(&dir).expect("make it");
            Self(dir)
        }

        fn notes(&self) -> io::Result<Notes> {
            let deadline = Deadline::after(Duration::from_millis(50));
            Notes::open_at(&self.0.join("run"), &self.0.join("user"), &deadline)
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn sessions_by_their_names() {
        let this = Session::this(2001);
        assert!(this.lives() && this.start > 0);
        assert_eq!(Session::of(&this.name()), Some(this));
        let earlier = Session { start: 1, ..this };
        assert!(!earlier.lives(), "another process had that number");
        let unknown = Session { start: 0, ..this };
        assert!(unknown.lives());
        let pid = i32::MAX as u32;
        assert!(!Session { pid, ..unknown }.lives());
        for name in ["", "2001", "1.2", "1.2.3.4", "a.2.3", "1.-2.3", "1.2."] {
            assert_eq!(Session::of(name), None, "{name}");
        }
    }

    #[test]
    fn one_at_a_time() {
        let scratch = Scratch::new("lock");
        let first = scratch.notes().expect("open");
        let second = scratch.notes().err().expect("the first has the lock");
        assert_eq!(second.kind(), io::ErrorKind::TimedOut);
        drop(first);
        scratch.notes().expect("open");
    }

    /// Who uses a directory that is there already leaves it there.
    #[test]
    fn a_directory_of_somebody_elses_making_stays() {
        let scratch = Scratch::new("there");
        let uid = sys::effective_uid();
        let users = scratch.0.join("user");
        let dir = users.join(uid.to_string());
        let notes = scratch.notes().expect("open");
        fs::create_dir(&users).expect("make it");
        fs::create_dir(&dir).expect("make it");
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o700)).expect("mode");
        assert_eq!(notes.begin(uid, 0).expect("begin"), dir);
        let names = notes.names().expect("list");
        assert_eq!(names, [Session::this(uid).name()]);
        notes.end(uid).expect("end");
        assert!(dir.is_dir() && notes.names().expect("list").is_empty());
    }

    #[test]
    fn what_is_not_the_users_alone_is_not_used() {
        let scratch = Scratch::new("foreign");
        let uid = sys::effective_uid();
        let users = scratch.0.join("user");
        let dir = users.join(uid.to_string());
        let notes = scratch.notes().expect("open");
        fs::create_dir(&users).expect("make it");
        symlink("/tmp", &dir).expect("link");
        assert!(notes.begin(uid, 0).is_err(), "a link");
        fs::remove_file(&dir).expect("remove");
        fs::write(&dir, "").expect("write");
        assert!(notes.begin(uid, 0).is_err(), "a file");
        fs::remove_file(&dir).expect("remove");
        fs::create_dir(&dir).expect("make it");
        for mode in [0o755, 0o770, 0o701] {
            fs::set_permissions(&dir, fs::Permissions::from_mode(mode)).expect("mode");
            assert!(notes.begin(uid, 0).is_err(), "{mode:o}");
        }
        fs::remove_dir(&dir).expect("remove");
        fs::set_permissions(&users, fs::Permissions::from_mode(0o777)).expect("mode");
        assert!(notes.begin(uid, 0).is_err(), "anybody may put one there");
        assert!(!dir.exists());
        assert!(notes.names().expect("list").is_empty(), "no note is left");
    }

    #[test]
    fn what_nobody_uses_is_taken_down() {
        let scratch = Scratch::new("tidy");
        let notes = scratch.notes().expect("open");
        let dir = scratch.0.join("user/7");
        fs::create_dir_all(&dir).expect("make it");
        let dead = format!("7.{}.5", i32::MAX);
        for name in ["7", &dead, "no note"] {
            notes.note(name).expect("note");
        }
        notes.tidy().expect("tidy");
        assert!(!dir.exists());
        assert_eq!(notes.names().expect("list"), ["no note"]);
        // As long as somebody does it stays.
        fs::create_dir_all(&dir).expect("make it");
        for name in ["7", &Session::this(7).name()] {
            notes.note(name).expect("note");
        }
        notes.tidy().expect("tidy");
        assert!(dir.exists());
        notes.end(7).expect("end");
        assert!(!dir.exists());
    }
}
