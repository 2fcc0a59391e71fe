//! `runtime_dir=create`: makes /run/user/UID for a login if no systemd does.
//!
//! As logind's user-runtime-dir does, it mounts a tmpfs of a tenth of the memory, private to the user. Each
//! session leaves a note. The directory is removed when its user has neither a session nor a process here: a
//! server that a session left in the job (tmux, VS Code's, a container) keeps its sockets. Any process counts,
//! not only one in a job's cgroup: a directory removed too soon breaks something, one kept too long costs some
//! memory until the job ends. A job that ends kills its sessions without closing them, so the next login, and
//! `slurm-adopt sweep` in slurmd's Epilog, removes directories that are no longer used.

use std::fmt;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sys::Deadline;

use crate::session::notes::{Judge, Notes, Process};

/// The parent of the users' directories.
const USERS: &str = "/run/user";
/// Where logind has a file for each user with a session of its own (systemd, logind-user.c).
const LOGINDS: &str = "/run/systemd/users";
/// The default of logind.conf(5), RuntimeDirectorySize=.
const SIZE: &str = "size=10%";

/// The users' directories, locked: nobody else makes or removes any.
#[derive(Debug)]
pub struct Users {
    notes: Notes,
    path: PathBuf,
    loginds: PathBuf,
}

impl Users {
    /// The directories of this host.
    #[must_use]
    pub fn new(notes: Notes) -> Self {
        let [path, loginds] = [USERS, LOGINDS].map(PathBuf::from);
        Self {
            notes,
            path,
            loginds,
        }
    }

    /// Returns the user's directory, made if it is missing, and notes that this process uses it.
    ///
    /// # Errors
    /// The system's error, or one that describes what is in its place.
    pub fn begin(self, uid: u32, gid: u32) -> io::Result<PathBuf> {
        let path = self.path.join(uid.to_string());
        match is_good(&path, uid)? {
            // It may be systemd's: then it is not ours to remove.
            true => {}
            false => self.make(&path, uid, gid)?,
        }
        self.note_session(uid)?;
        // This user need not care what cannot be removed; the next process with the lock tidies up.
        let _ = self.tidy(&Deadline::after(Duration::ZERO));
        Ok(path)
    }

    /// Notes that this process uses the directory.
    fn note_session(&self, uid: u32) -> io::Result<()> {
        let name = uid.to_string();
        match self.notes.read(&name).map(|text| Made::parse(&text)) {
            Ok(Some(Made { namespace, count })) => {
                let count = count.wrapping_add(1);
                self.notes
                    .write(&name, &Made { namespace, count }.to_string())?;
            }
            // Made by another release, or by nobody.
            Ok(None) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        let session = format!("{uid}.{}", Process::this().name());
        self.notes.write(&session, "")
    }

    /// Ends the session of this process.
    ///
    /// # Errors
    /// The system's error.
    pub fn end(self, uid: u32, deadline: &Deadline) -> io::Result<()> {
        let this = Process::this();
        let is_own = |name: &str| {
            let process = name.strip_prefix(&format!("{uid}."))?;
            Some(Process::named(process)?.may_be(&this))
        };
        let mut names = self.notes.names()?;
        names.retain(|name| is_own(name) == Some(true));
        for name in &names {
            self.notes.remove(name)?;
        }
        match names.is_empty() {
            true => Ok(()),
            false => self.tidy(deadline),
        }
    }

    /// Whether this is the name of the user's directory, even if nobody has made it.
    #[must_use]
    pub fn is_named(name: &str, uid: u32) -> bool {
        Path::new(name) == Path::new(USERS).join(uid.to_string())
    }

    /// Removes the directories of users with neither a session nor a process, and the notes of ended
    /// sessions. Leaves those of other pid namespaces.
    ///
    /// # Errors
    /// The system's error, after all have been tried; `TimedOut` if another process has the lock.
    pub fn tidy(self, deadline: &Deadline) -> io::Result<()> {
        let here = Judge::here();
        self.tidy_by(&here, deadline, |uids| here.in_use(uids))
    }

    /// `in_use` looks at every process. Nobody should wait for that, least of all if the job of this process is
    /// suspended meanwhile, so the lock is released.
    fn tidy_by(
        self,
        here: &Judge,
        deadline: &Deadline,
        in_use: impl FnOnce(&[u32]) -> io::Result<Vec<u32>>,
    ) -> io::Result<()> {
        let mut unused = self.unused(here)?;
        if unused.is_empty() {
            return Ok(());
        }
        let Self {
            notes,
            path,
            loginds,
        } = self;
        let released = notes.release();
        let uids: Vec<_> = unused.iter().map(|it| it.0).collect();
        let in_use = in_use(&uids)?;
        unused.retain(|(uid, _)| !in_use.contains(uid));
        let users = Self {
            notes: released.open(deadline)?,
            path,
            loginds,
        };
        let now = users.unused(here)?;
        let mut result = Ok(());
        // A session that began since then may have left a process, even if it has ended too.
        for (uid, made) in unused.into_iter().filter(|it| now.contains(it)) {
            result = users.take_down(uid, made, here).and(result);
        }
        result
    }

    /// Users with a directory that we made and without a session, and the text of its note. Removes the notes of
    /// ended sessions.
    fn unused(&self, here: &Judge) -> io::Result<Vec<(u32, Made)>> {
        let names = self.notes.names()?;
        let mut with_session = Vec::new();
        for (name, whose, process) in names.iter().filter_map(|name| {
            let (whose, process) = name.split_once('.')?;
            Some((name, whose, Process::named(process)))
        }) {
            match process {
                Some(process) if here.is_gone(&process) => self.notes.remove(name)?,
                // Includes a note that another release wrote.
                _ => with_session.push(whose),
            }
        }
        let mut unused = Vec::new();
        for uid in names.iter().filter_map(|it| it.parse().ok()) {
            let name = u32::to_string(&uid);
            if !with_session.contains(&&*name) {
                // Leave alone what cannot be read.
                let text = self.notes.read(&name).unwrap_or_default();
                unused.extend(Made::parse(&text).map(|made| (uid, made)));
            }
        }
        Ok(unused)
    }

    fn make(&self, path: &Path, uid: u32, gid: u32) -> io::Result<()> {
        sys::make_dir(&self.path, 0o755)?;
        let found = fs::symlink_metadata(&self.path)?;
        let is_safe = found.is_dir() && found.mode() & 0o022 == 0;
        if !is_safe || found.uid() != sys::effective_uid() {
            let users = self.path.display();
            return Err(io::Error::other(format!("{users} is not root's alone")));
        }
        let made = Made {
            namespace: Judge::here().namespace(),
            count: 0,
        };
        self.notes.write(&uid.to_string(), &made.to_string())?;
        sys::make_dir(path, 0o700)?;
        sys::mount_tmpfs(path, &format!("mode=0700,uid={uid},gid={gid},{SIZE}"))
    }

    fn take_down(&self, uid: u32, made: Made, here: &Judge) -> io::Result<()> {
        let name = &uid.to_string();
        // From outside its maker's pid namespace the directory's users are invisible.
        if here.namespace() == 0 || made.namespace != here.namespace() {
            return Ok(());
        }
        // A logind session, for example on the console, uses it now: logind removes it.
        if self.loginds.join(name).try_exists()? {
            return self.notes.remove(name);
        }
        let path = self.path.join(name);
        // Unmounts it where a session of this mount namespace mounted it; those of jobs go with their last process.
        while sys::unmount(&path).is_ok() {}
        match fs::remove_dir(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => self.notes.remove(name),
        }
    }
}

/// The text of a directory's note.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Made {
    /// The pid namespace of its maker.
    namespace: u64,
    /// The number of sessions that have used it since.
    count: u64,
}

impl Made {
    /// Parses the text. None: another release wrote it.
    fn parse(text: &str) -> Option<Self> {
        let (namespace, count) = text.split_once(' ').unwrap_or((text, "0"));
        Some(Self {
            namespace: namespace.parse().ok()?,
            count: count.parse().ok()?,
        })
    }
}

impl fmt::Display for Made {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.namespace, self.count)
    }
}

/// Whether the user's directory exists and can be used as it is.
fn is_good(path: &Path, uid: u32) -> io::Result<bool> {
    let found = match fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    let is_alone = found.is_dir() && found.mode() & 0o077 == 0;
    match found.uid() {
        owner if is_alone && owner == uid => Ok(true),
        // The mount point of a tmpfs, here or in the mount namespace of a job.
        owner if is_alone && owner == sys::effective_uid() => Ok(false),
        owner => {
            let (mode, path) = (found.mode(), path.display());
            let cause = format!("{path} is not the user's alone: owner uid {owner}, mode {mode:o}");
            Err(io::Error::other(cause))
        }
    }
}

#[cfg(test)]
mod tests;
