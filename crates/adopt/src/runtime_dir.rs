//! `runtime_dir=create`: /run/user/UID for a login, where no systemd makes it.
//!
//! As logind's user-runtime-dir does it: a tmpfs of a tenth of the memory, the user's alone. Each session
//! leaves a note; the directory goes when the last session of its user that still runs ends. A job that
//! ends kills its sessions without a word, so that whoever comes next, and `slurm-adopt tidy` in
//! slurmd's Epilog, takes down what nobody uses any more.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use crate::notes::{Notes, Process};

/// Where users' directories are.
const USERS: &str = "/run/user";
/// Where logind has a file for each user with a session of its own (systemd, logind-user.c).
const LOGINDS: &str = "/run/systemd/users";
/// As logind.conf(5), RuntimeDirectorySize=.
const SIZE: &str = "size=10%";

/// Users' directories, while nobody else makes or takes down any.
#[derive(Debug)]
pub struct Users {
    notes: Notes,
    path: PathBuf,
    loginds: PathBuf,
}

impl Users {
    /// Those of this host.
    #[must_use]
    pub fn new(notes: Notes) -> Self {
        let [path, loginds] = [USERS, LOGINDS].map(PathBuf::from);
        Self {
            notes,
            path,
            loginds,
        }
    }

    /// The user's directory, made if it is not there; this process is one of those that use it.
    ///
    /// # Errors
    /// The system's, or one that says what is at its place instead.
    pub fn begin(&self, uid: u32, gid: u32) -> io::Result<PathBuf> {
        // What can't be taken down is no trouble of this user's.
        let _ = self.tidy();
        let path = self.path.join(uid.to_string());
        match is_good(&path, uid)? {
            // It may be systemd's: then it is not ours to take down.
            true => {}
            false => self.make(&path, uid, gid)?,
        }
        let name = format!("{uid}.{}", Process::this().name());
        self.notes.write(&name, "")?;
        Ok(path)
    }

    /// The session of this process has ended.
    ///
    /// # Errors
    /// The system's.
    pub fn end(&self, uid: u32) -> io::Result<()> {
        let this = format!("{uid}.{}.", Process::this().pid);
        let mut names = self.notes.names()?;
        names.retain(|name| name.starts_with(&this));
        for name in &names {
            self.notes.remove(name)?;
        }
        // Who has left none may be in another pid namespace, where nobody seems to live.
        match names.is_empty() {
            true => Ok(()),
            false => self.tidy(),
        }
    }

    /// Takes down what no session uses any more, and notes of processes that are gone.
    ///
    /// # Errors
    /// The system's, after all have been tried.
    pub fn tidy(&self) -> io::Result<()> {
        let names = self.notes.names()?;
        let mut living = Vec::new();
        for (name, whose, process) in names.iter().filter_map(|name| {
            let (whose, process) = name.split_once('.')?;
            Some((name, whose, Process::named(process)?))
        }) {
            match process.lives() {
                true => living.push(whose),
                false => self.notes.remove(name)?,
            }
        }
        let mut result = Ok(());
        for name in &names {
            if name.parse::<u32>().is_ok() && !living.contains(&name.as_str()) {
                result = self.take_down(name).and(result);
            }
        }
        result
    }

    fn make(&self, path: &Path, uid: u32, gid: u32) -> io::Result<()> {
        match DirBuilder::new().mode(0o755).create(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        let found = fs::symlink_metadata(&self.path)?;
        let is_safe = found.is_dir() && found.mode() & 0o022 == 0;
        if !is_safe || found.uid() != sys::effective_uid() {
            let users = self.path.display();
            return Err(io::Error::other(format!("{users} is not root's alone")));
        }
        self.notes.write(&uid.to_string(), "")?;
        match DirBuilder::new().mode(0o700).create(path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        sys::mount_tmpfs(path, &format!("mode=0700,uid={uid},gid={gid},{SIZE}"))
    }

    fn take_down(&self, name: &str) -> io::Result<()> {
        // A session of logind's, on the console for example, has come to use it: logind takes it down.
        if self.loginds.join(name).exists() {
            return self.notes.remove(name);
        }
        let path = self.path.join(name);
        // In each mount namespace that a session made it in: those of jobs go with their last process.
        while sys::unmount(&path).is_ok() {}
        match fs::remove_dir(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => self.notes.remove(name),
        }
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

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    use std::time::Duration;

    use sys::Deadline;

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

        fn users(&self) -> Users {
            let deadline = Deadline::after(Duration::from_secs(5));
            let notes = Notes::open_at(&self.0.join("run"), &deadline).expect("open");
            let [path, loginds] = ["user", "logind"].map(|it| self.0.join(it));
            Users {
                notes,
                path,
                loginds,
            }
        }
    }

    fn names(users: &Users) -> Vec<String> {
        let mut names = users.notes.names().expect("list");
        names.retain(|name| !name.starts_with('.'));
        names
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    /// Who uses a directory that is there already leaves it there.
    #[test]
    fn a_directory_of_somebody_elses_making_stays() {
        let scratch = Scratch::new("there");
        let uid = sys::effective_uid();
        let users = scratch.0.join("user");
        let dir = users.join(uid.to_string());
        let notes = scratch.users();
        fs::create_dir(&users).expect("make it");
        fs::create_dir(&dir).expect("make it");
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o700)).expect("mode");
        assert_eq!(notes.begin(uid, 0).expect("begin"), dir);
        assert_eq!(names(&notes), [format!("{uid}.{}", Process::this().name())]);
        notes.end(uid).expect("end");
        assert!(dir.is_dir() && names(&notes).is_empty());
    }

    #[test]
    fn what_logind_has_come_to_use_stays() {
        let scratch = Scratch::new("logind");
        let notes = scratch.users();
        let dirs = ["7", "8"].map(|it| scratch.0.join("user").join(it));
        for (dir, name) in dirs.iter().zip(["7", "8"]) {
            fs::create_dir_all(dir).expect("make it");
            notes.notes.write(name, "").expect("note");
        }
        fs::create_dir(&notes.loginds).expect("make it");
        fs::write(notes.loginds.join("7"), "").expect("write");
        notes.tidy().expect("tidy");
        assert_eq!(dirs.map(|it| it.exists()), [true, false]);
        assert!(names(&notes).is_empty(), "{:?}", names(&notes));
    }

    #[test]
    fn what_is_not_the_users_alone_is_not_used() {
        let scratch = Scratch::new("foreign");
        let uid = sys::effective_uid();
        let users = scratch.0.join("user");
        let dir = users.join(uid.to_string());
        let notes = scratch.users();
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
        assert!(names(&notes).is_empty(), "no note is left");
    }

    #[test]
    fn what_nobody_uses_is_taken_down() {
        let scratch = Scratch::new("tidy");
        let notes = scratch.users();
        let dir = scratch.0.join("user/7");
        fs::create_dir_all(&dir).expect("make it");
        let dead = ["7", "login"].map(|it| format!("{it}.{}.5", i32::MAX));
        for name in ["7", &dead[0], &dead[1], "no note"] {
            notes.notes.write(name, "").expect("note");
        }
        notes.tidy().expect("tidy");
        assert!(!dir.exists());
        assert_eq!(names(&notes), ["no note"]);
        // As long as somebody does it stays.
        fs::create_dir_all(&dir).expect("make it");
        for name in ["7", &format!("7.{}", Process::this().name())] {
            notes.notes.write(name, "").expect("note");
        }
        notes.tidy().expect("tidy");
        assert!(dir.exists());
        notes.end(7).expect("end");
        assert!(!dir.exists());
    }
}
