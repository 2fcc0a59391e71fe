//! `runtime_dir=create`: /run/user/UID for a login, where no systemd makes it.
//!
//! As logind's user-runtime-dir does it: a tmpfs of a tenth of the memory, the user's alone. Each session
//! leaves a note. The directory goes when its user has neither a session nor a process here: a server that
//! a session has left in the job (tmux, VS Code's, a container) keeps its sockets. Any process counts, not
//! only one in a job's cgroup: what is missing then is noticed, and one too many costs some memory until
//! the job ends. A job that ends kills its sessions without a word, so that the next login, and
//! `slurm-adopt tidy` in slurmd's Epilog, takes down what nobody uses any more.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use crate::session::notes::{Judge, Notes, Process};

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
            false => self.tidy(),
        }
    }

    /// The user's directory if the name is that, though nobody may have made it.
    #[must_use]
    pub fn is_named(name: &str, uid: u32) -> bool {
        Path::new(name) == Path::new(USERS).join(uid.to_string())
    }

    /// Takes down the directories of users with neither a session nor a process, and removes the notes of
    /// sessions that have ended. What is another pid namespace's stays.
    ///
    /// # Errors
    /// The system's, after all have been tried.
    pub fn tidy(&self) -> io::Result<()> {
        let names = self.notes.names()?;
        let here = Judge::here();
        let mut with_session = Vec::new();
        for (name, whose, process) in names.iter().filter_map(|name| {
            let (whose, process) = name.split_once('.')?;
            Some((name, whose, Process::named(process)))
        }) {
            match process {
                Some(process) if here.is_gone(&process) => self.notes.remove(name)?,
                // Also one that another release has written.
                _ => with_session.push(whose),
            }
        }
        let mut unused: Vec<u32> = names.iter().filter_map(|it| it.parse().ok()).collect();
        unused.retain(|uid| !with_session.contains(&&*uid.to_string()));
        if unused.is_empty() {
            return Ok(());
        }
        let in_use = here.in_use(&unused)?;
        unused.retain(|uid| !in_use.contains(uid));
        let mut result = Ok(());
        for uid in unused {
            result = self.take_down(uid, &here).and(result);
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
        let namespace = Judge::here().namespace().to_string();
        self.notes.write(&uid.to_string(), &namespace)?;
        match DirBuilder::new().mode(0o700).create(path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        sys::mount_tmpfs(path, &format!("mode=0700,uid={uid},gid={gid},{SIZE}"))
    }

    fn take_down(&self, uid: u32, here: &Judge) -> io::Result<()> {
        let name = &uid.to_string();
        // From another pid namespace than that of who made it its users can't be seen.
        let namespace = self.notes.read(name)?.parse();
        if here.namespace() == 0 || namespace != Ok(here.namespace()) {
            return Ok(());
        }
        // A session of logind's, on the console for example, has come to use it: logind takes it down.
        if self.loginds.join(name).try_exists()? {
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

    /// Of no process.
    const NOBODYS: &str = "4294960007";
    const OTHERS: &str = "4294960008";

    fn here() -> String {
        Judge::here().namespace().to_string()
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
        let dirs = [NOBODYS, OTHERS].map(|it| scratch.0.join("user").join(it));
        for (dir, name) in dirs.iter().zip([NOBODYS, OTHERS]) {
            fs::create_dir_all(dir).expect("make it");
            notes.notes.write(name, &here()).expect("note");
        }
        fs::create_dir(&notes.loginds).expect("make it");
        fs::write(notes.loginds.join(NOBODYS), "").expect("write");
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
        let dir = scratch.0.join("user").join(NOBODYS);
        fs::create_dir_all(&dir).expect("make it");
        let gone = Process {
            pid: i32::MAX as u32,
            ..Process::this()
        };
        let dead = [NOBODYS, "login"].map(|it| format!("{it}.{}", gone.name()));
        for name in [NOBODYS, &dead[0], &dead[1], "no note"] {
            notes.notes.write(name, &here()).expect("note");
        }
        notes.tidy().expect("tidy");
        assert!(!dir.exists());
        assert_eq!(names(&notes), ["no note"]);
        // As long as somebody does it stays.
        fs::create_dir_all(&dir).expect("make it");
        let this = format!("{NOBODYS}.{}", Process::this().name());
        for name in [NOBODYS, &this] {
            notes.notes.write(name, &here()).expect("note");
        }
        notes.tidy().expect("tidy");
        assert!(dir.exists());
        notes.end(NOBODYS.parse().expect("a uid")).expect("end");
        assert!(!dir.exists());
    }

    #[test]
    fn what_can_be_in_use_stays() {
        let scratch = Scratch::new("use");
        let notes = scratch.users();
        let uid = sys::effective_uid().to_string();
        let dirs = [&uid, NOBODYS].map(|it| scratch.0.join("user").join(it));
        for dir in &dirs {
            fs::create_dir_all(dir).expect("make it");
        }
        let elsewhere = (Judge::here().namespace() + 1).to_string();
        // This process is one of that user's.
        notes.notes.write(&uid, &here()).expect("note");
        for namespace in ["", "0", &elsewhere] {
            notes.notes.write(NOBODYS, namespace).expect("note");
            notes.tidy().expect("tidy");
            assert!(dirs.iter().all(|it| it.is_dir()), "made in {namespace:?}");
        }
        // Sessions of another namespace, and of another release.
        notes.notes.write(NOBODYS, &here()).expect("note");
        let pid = i32::MAX;
        for process in [
            format!("{pid}.5.{elsewhere}"),
            format!("{pid}.5"),
            "x".into(),
        ] {
            let name = format!("{NOBODYS}.{process}");
            notes.notes.write(&name, "").expect("note");
            notes.tidy().expect("tidy");
            assert!(dirs[1].is_dir() && names(&notes).contains(&name), "{name}");
            notes.notes.remove(&name).expect("it is there");
        }
        notes.tidy().expect("tidy");
        assert_eq!(dirs.map(|it| it.is_dir()), [true, false]);
    }

    #[test]
    fn a_name_of_the_users_directory() {
        for (name, is) in [
            ("/run/user/7", true),
            ("/run/user/7/", true),
            ("/run//user/./7", true),
            ("/run/user/70", false),
            ("/run/user/7/x", false),
            ("/run/user/../user/7", false),
            ("run/user/7", false),
            ("", false),
        ] {
            assert_eq!(Users::is_named(name, 7), is, "{name}");
        }
    }
}
