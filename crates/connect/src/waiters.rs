//! The proxies of a user that wait on this host for a job of one name: who leaves last cancels it.
//!
//! Each holds a shared flock(2) on a file that holds the job's number, and is removed once the job runs or nobody waits. It is
//! in the directory of the user's session, or else in ~/.cache, where nobody else can take its name or lock it, as in /tmp.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, OFlags, flock};
use rustix::io::Errno;

use crate::error::Error;

/// One of them.
#[derive(Debug)]
pub(crate) struct Waiters {
    file: File,
    path: PathBuf,
}

impl Waiters {
    /// Joins those for a job of this name.
    pub(crate) fn join(name: &str) -> Result<Self, Error> {
        let uid = rustix::process::getuid().as_raw();
        let session = PathBuf::from(format!("/run/user/{uid}"));
        match is_private(&session, uid) {
            Ok(true) => Self::join_in(&session, uid, &plain(name)),
            _ => {
                let home = std::env::var_os("HOME").unwrap_or_default();
                let host = rustix::system::uname();
                let host = host.nodename().to_string_lossy();
                let cache = cache(Path::new(&home), uid)?;
                Self::join_in(&cache, uid, &format!("{}.{}", plain(&host), plain(name)))
            }
        }
    }

    /// `name` is that of the job, with that of the host where hosts share the directory.
    fn join_in(dir: &Path, uid: u32, name: &str) -> Result<Self, Error> {
        let path = dir.join(format!("slurm-adopt.{name}"));
        let failed = |cause| Error::Waiters {
            path: path.clone(),
            cause,
        };
        loop {
            let file = open(&path, uid).map_err(failed)?;
            lock(&file, FlockOperation::LockShared).map_err(failed)?;
            // Somebody may have removed it meanwhile.
            if is_at(&file, &path) {
                return Ok(Self { file, path });
            }
        }
    }

    /// Tells the others the job's number.
    pub(crate) fn note(&mut self, number: u32) -> Result<(), Error> {
        self.write(number).map_err(|cause| Error::Waiters {
            path: self.path.clone(),
            cause,
        })
    }

    /// Leaves. The last one gets the number of the job that is to be cancelled: the one that is noted, or else `own`.
    pub(crate) fn leave(mut self, own: Option<u32>) -> Result<Option<u32>, Error> {
        // flock(2): the shared lock is given up even if there is no exclusive one, so that of two that leave at once one
        // is the last.
        match lock(&self.file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {
                let noted = self.noted();
                self.forget();
                Ok(own.or(noted))
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                own.map_or(Ok(()), |it| self.note(it))?;
                Ok(None)
            }
            Err(cause) => Err(Error::Waiters {
                path: self.path,
                cause,
            }),
        }
    }

    /// Removes the file; those that have joined still see each other.
    pub(crate) fn forget(&self) {
        if is_at(&self.file, &self.path) {
            let _ = fs::remove_file(&self.path);
        }
    }

    fn write(&mut self, number: u32) -> io::Result<()> {
        self.file.set_len(0)?;
        self.file.rewind()?;
        write!(self.file, "{number}")
    }

    fn noted(&mut self) -> Option<u32> {
        let mut text = String::new();
        self.file.rewind().ok()?;
        self.file.read_to_string(&mut text).ok()?;
        text.trim().parse().ok()
    }
}

/// The user's directory for what programs keep, made if it is missing.
fn cache(home: &Path, uid: u32) -> Result<PathBuf, Error> {
    let path = home.join(".cache");
    let failed = |cause| Error::Waiters {
        path: path.clone(),
        cause,
    };
    match DirBuilder::new().mode(0o700).create(&path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(failed(error)),
        _ => {}
    }
    match is_private(&path, uid).map_err(failed)? {
        true => Ok(path),
        false => Err(failed(io::Error::other(
            "it is not the user's alone to write to",
        ))),
    }
}

/// Whether it is a directory of the user's that is not open to all: a group of one's own may write to it where the umask
/// is 002. Of a home directory ~/.cache may be a link.
fn is_private(path: &Path, uid: u32) -> io::Result<bool> {
    let dir = fs::metadata(path)?;
    Ok(path.is_absolute() && dir.is_dir() && dir.uid() == uid && dir.mode() & 0o002 == 0)
}

/// Opens the user's own file.
fn open(path: &Path, uid: u32) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    options.mode(0o600).custom_flags(flags.bits() as i32);
    let file = options.open(path)?;
    let meta = file.metadata()?;
    match meta.is_file() && meta.uid() == uid {
        true => Ok(file),
        false => Err(io::Error::other("it belongs to another user")),
    }
}

fn lock(file: &File, operation: FlockOperation) -> io::Result<()> {
    loop {
        match flock(file, operation) {
            Err(Errno::INTR) => {}
            result => return result.map_err(io::Error::from),
        }
    }
}

fn is_at(file: &File, path: &Path) -> bool {
    let id = |it: fs::Metadata| (it.dev(), it.ino());
    match (file.metadata(), fs::symlink_metadata(path)) {
        (Ok(here), Ok(there)) => id(here) == id(there),
        _ => false,
    }
}

/// A name for a file that no other name has.
fn plain(name: &str) -> String {
    let sign = |it: u8| match it.is_ascii_alphanumeric() || b"-_".contains(&it) {
        true => char::from(it).to_string(),
        false => format!("%{it:02x}"),
    };
    name.bytes().map(sign).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn join(dir: &Path) -> Waiters {
        let uid = rustix::process::getuid().as_raw();
        Waiters::join_in(dir, uid, &plain("a/b")).expect("a lock")
    }

    #[test]
    fn the_last_one_gets_the_number() {
        let dir = tempfile::tempdir().expect("a directory");
        let (mut one, two, three) = (join(dir.path()), join(dir.path()), join(dir.path()));
        one.note(7).expect("write");
        one.note(8).expect("write");
        assert_eq!(one.leave(Some(8)).expect("leave"), None);
        assert_eq!(two.leave(None).expect("leave"), None);
        assert_eq!(three.leave(None).expect("leave"), Some(8));
        assert_eq!(fs::read_dir(dir.path()).expect("list").count(), 0);
        assert_eq!(join(dir.path()).leave(None).expect("leave"), None);
    }

    #[test]
    fn once_it_runs_there_is_no_file_but_those_that_use_it_count() {
        let dir = tempfile::tempdir().expect("a directory");
        let (mut one, two) = (join(dir.path()), join(dir.path()));
        one.note(7).expect("write");
        one.forget();
        assert_eq!(fs::read_dir(dir.path()).expect("list").count(), 0);
        assert_eq!(two.leave(None).expect("leave"), None);
        let other = join(dir.path());
        assert_eq!(other.leave(None).expect("leave"), None);
        assert_eq!(one.leave(None).expect("leave"), Some(7));
    }

    #[test]
    fn another_users_file_is_not_taken() {
        let dir = tempfile::tempdir().expect("a directory");
        let uid = rustix::process::getuid().as_raw() + 1;
        let error = Waiters::join_in(dir.path(), uid, "x").expect_err("another's");
        assert!(
            error.to_string().contains("belongs to another user"),
            "{error}"
        );
    }

    #[test]
    fn a_place_that_others_write_to_is_not_taken() {
        use std::os::unix::fs::PermissionsExt as _;
        let home = tempfile::tempdir().expect("a directory");
        let uid = rustix::process::getuid().as_raw();
        let path = cache(home.path(), uid).expect("it is made");
        let mode = |mode| fs::set_permissions(&path, fs::Permissions::from_mode(mode));
        assert_eq!(fs::metadata(&path).expect("it").mode() & 0o777, 0o700);
        mode(0o775).expect("chmod");
        assert!(cache(home.path(), uid).is_ok() && cache(home.path(), uid + 1).is_err());
        for open in [0o777, 0o1777, 0o703] {
            mode(open).expect("chmod");
            assert!(cache(home.path(), uid).is_err(), "{open:o}");
        }
        assert!(cache(Path::new(""), uid).is_err(), "no home");
    }
}
