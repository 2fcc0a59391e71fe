//! Checks that directories and sockets have a trusted owner and that nobody else can change them.
//!
//! Sockets, and the processes that listen on them, must belong to root or SlurmdUser. The directory
//! and all above it must belong to them or to SlurmUser, and be writable by nobody else: slurmd keeps
//! the owner of an existing directory, and packages make it SlurmUser's. SlurmUser, whom stepds obey
//! anyway, can therefore rename or remove sockets but cannot make one that passes for root's.

use std::fmt;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use sys::UserLookupError;

use crate::access;
use crate::log::Log;
use crate::text::shown;

/// The users trusted besides root.
#[derive(Debug, Clone, Default)]
pub struct Trusted {
    /// SlurmdUser, as which stepds listen.
    pub slurmd_uid: Option<u32>,
    /// SlurmUser, a name or number, for directories alone. Looked up only if a directory is not root's:
    /// at many sites another host has the user database.
    pub slurm_user: Option<String>,
}

impl Trusted {
    /// Whether this uid may own a socket or listen on it.
    #[must_use]
    pub fn serves(&self, uid: u32) -> bool {
        uid == 0 || Some(uid) == self.slurmd_uid
    }

    /// Logs that SlurmUser could not be looked up, if that may be why a directory is not trusted.
    pub(crate) fn warn_of(&self, problem: &DirectoryError, log: Log<'_>) {
        let DirectoryError::Untrusted { .. } = problem else {
            return;
        };
        if let Some((user, Err(error))) = self.slurm_user.as_ref().map(|it| (it, uid_of(it))) {
            log.error(|| format!("SlurmUser \"{}\": {error}; not trusted", shown(user)));
        }
    }

    /// Whether this uid may own a directory that holds sockets.
    #[must_use]
    pub fn owns(&self, uid: u32) -> bool {
        self.serves(uid)
            || self
                .slurm_user
                .as_deref()
                .is_some_and(|user| uid_of(user).ok() == Some(uid))
    }
}

/// The reason why a directory cannot be used.
#[derive(Debug)]
pub enum DirectoryError {
    /// A system call failed.
    System {
        /// The operation.
        operation: &'static str,
        /// Its path.
        path: PathBuf,
        /// The system's error.
        cause: io::Error,
    },
    /// Somebody else may put sockets there.
    Untrusted {
        /// The unsafe directory: the spool directory or one above it.
        path: PathBuf,
        /// Its owner.
        uid: u32,
        /// Its permissions.
        mode: u32,
        /// Whether that owner is trusted.
        is_owner_trusted: bool,
        /// Whether anyone but the owner may write to it.
        is_writable: bool,
    },
}

impl DirectoryError {
    /// The directory or file.
    #[must_use]
    pub fn path(&self) -> &Path {
        match self {
            Self::System { path, .. } | Self::Untrusted { path, .. } => path,
        }
    }

    /// Whether there is no such directory at all, as before slurmd's first start.
    #[must_use]
    pub fn means_no_slurm(&self) -> bool {
        matches!(self, Self::System { cause, .. } if access::is_absent(cause))
    }

    /// Whether access was denied, by a file's mode or by a security policy.
    #[must_use]
    pub fn means_denied(&self) -> bool {
        matches!(self, Self::System { cause, .. } if access::is_denied(cause))
    }
}

impl fmt::Display for DirectoryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System {
                operation,
                path,
                cause,
            } => write!(f, "{operation} {}: {cause}", shown(&path.to_string_lossy())),
            Self::Untrusted {
                path,
                uid,
                mode,
                is_owner_trusted,
                is_writable,
            } => {
                let name = shown(&path.to_string_lossy());
                let mode = mode & 0o7777;
                write!(f, "{name} is not safe: owner uid {uid}, mode {mode:o}")?;
                if !is_plain_word(&name) {
                    return Ok(());
                }
                f.write_str("; run: ")?;
                match (is_owner_trusted, is_writable) {
                    (true, _) => write!(f, "chmod go-w {name}"),
                    (false, false) => write!(f, "chown root {name}"),
                    (false, true) => write!(f, "chown root {name} && chmod go-w {name}"),
                }
            }
        }
    }
}

/// Whether a path can be pasted into a shell as it is.
fn is_plain_word(path: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-+@%:,".contains(&byte);
    path.bytes().all(is_plain)
}

/// The uid of a user that slurm.conf gives by name or number.
pub(crate) fn uid_of(user: &str) -> Result<u32, UserLookupError> {
    match (user, user.parse()) {
        ("root", _) => Ok(0),
        (_, Ok(uid)) => Ok(uid),
        (name, Err(_)) => sys::uid_of_user(name.as_bytes()),
    }
}

/// Returns the directory with its links resolved. It and all above it must have a trusted owner and be
/// writable by nobody else; a sticky directory above (such as /tmp) does no harm to root's entries
/// in it.
///
/// # Errors
/// [`DirectoryError`].
pub fn safe_directory(
    dir: &Path,
    trusted: &dyn Fn(u32) -> bool,
) -> Result<PathBuf, DirectoryError> {
    if !dir.is_absolute() {
        // The process's current directory may be a user's.
        return Err(system("find", dir)(io::Error::new(
            io::ErrorKind::InvalidInput,
            "not an absolute path",
        )));
    }
    // The path usually has no links: then there is nothing to resolve.
    if is_plain(dir) {
        if let Some(real) = all_safe(dir, trusted)? {
            return Ok(real);
        }
    }
    let real = fs::canonicalize(dir).map_err(system("find", dir))?;
    all_safe(&real, trusted)?.ok_or_else(|| {
        // Somebody has put a link there since.
        system("find", dir)(io::ErrorKind::NotADirectory.into())
    })
}

/// Whether an absolute path consists of plain names. With a slash or a dot at the end the system would follow
/// a link there, and `..` steps back behind one.
fn is_plain(path: &Path) -> bool {
    let names = path.as_os_str().as_bytes().strip_prefix(b"/");
    let is_name = |part: &[u8]| !matches!(part, b"" | b"." | b"..");
    names.is_some_and(|names| names.split(|byte| *byte == b'/').all(is_name))
}

/// Turns a system error into a directory's error.
pub(crate) fn system<'a>(
    operation: &'static str,
    path: &'a Path,
) -> impl FnOnce(io::Error) -> DirectoryError + 'a {
    move |cause| DirectoryError::System {
        operation,
        path: path.to_owned(),
        cause: access::named(cause),
    }
}

/// Returns the directory; None if it or one above it is a link. No part of its absolute path may be empty.
fn all_safe(dir: &Path, trusted: &dyn Fn(u32) -> bool) -> Result<Option<PathBuf>, DirectoryError> {
    if !dir.is_absolute() {
        // A relative path's ancestors end before the root.
        return Err(system("find", dir)(io::ErrorKind::InvalidInput.into()));
    }
    let mut unsafe_one = None;
    for (steps, path) in dir.ancestors().enumerate() {
        let found = fs::symlink_metadata(path).map_err(system("find", path))?;
        if found.is_symlink() {
            return Ok(None);
        }
        if steps == 0 && !found.is_dir() {
            return Err(system("read", path)(io::ErrorKind::NotADirectory.into()));
        }
        let (uid, mode) = (found.uid(), found.mode());
        let sticky = steps != 0 && mode & 0o1000 != 0;
        let group_writes = mode & 0o020 != 0 && found.gid() != 0;
        let others_write = mode & 0o002 != 0 || group_writes;
        if !trusted(uid) || (others_write && !sticky) {
            unsafe_one.get_or_insert_with(|| DirectoryError::Untrusted {
                path: path.to_owned(),
                uid,
                mode,
                is_owner_trusted: trusted(uid),
                is_writable: others_write && !sticky,
            });
        }
    }
    match unsafe_one {
        Some(problem) => Err(problem),
        None => Ok(Some(dir.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    #[test]
    fn only_names_make_a_plain_path() {
        for path in ["/a", "/a/b.c/..d", "/..a/. /..."] {
            assert!(is_plain(Path::new(path)), "{path}");
        }
        for path in [
            "", "/", "a/b", "//a", "/a/", "/a//b", "/./a", "/a/.", "/../a", "/a/..", "/a/../b",
        ] {
            assert!(!is_plain(Path::new(path)), "{path}");
        }
    }

    /// The directories a, b and links, of which b is open to all.
    fn with_links(name: &str) -> PathBuf {
        let scratch = std::env::temp_dir().join(format!("spool-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&scratch);
        for dir in ["a/spool", "b/spool", "links"] {
            fs::create_dir_all(scratch.join(dir)).expect("make it");
        }
        let open = fs::Permissions::from_mode(0o777);
        fs::set_permissions(scratch.join("b"), open).expect("let all write there");
        let links = scratch.join("links");
        for (name, target) in [
            ("a", "../a"),
            ("b", "../b"),
            ("spool", "../a/spool"),
            ("open", "../b/spool"),
        ] {
            symlink(target, links.join(name)).expect("link");
        }
        scratch
    }

    fn look(path: &Path) -> Result<PathBuf, DirectoryError> {
        let me = sys::effective_uid();
        safe_directory(path, &|uid| uid == 0 || uid == me)
    }

    fn safe(path: PathBuf) -> PathBuf {
        look(&path).expect("it is safe")
    }

    #[test]
    fn what_a_link_leads_to_is_looked_at_and_the_way_there() {
        let scratch = with_links("links");
        let real = scratch.join("a/spool");
        for path in [
            "a/spool",
            "a/spool/",
            "links/a/spool",
            "links/spool",
            "links/spool/",
            "links/spool/.",
            "b/../a//spool/.",
        ] {
            assert_eq!(safe(scratch.join(path)), real, "{path}");
        }
        for path in [
            "b/spool",
            "links/b/spool",
            "links/b/spool/",
            "links/open",
            "links/open/",
            "links/open/.",
            "a/../b/spool",
        ] {
            match look(&scratch.join(path)) {
                Err(DirectoryError::Untrusted { path: at, .. }) => {
                    assert_eq!(at, scratch.join("b"))
                }
                other => panic!("{path}: {other:?}"),
            }
        }
        fs::remove_dir_all(&scratch).expect("clean up");
    }

    #[test]
    fn what_is_no_directory_means_that_slurm_is_not_there() {
        let scratch = with_links("none");
        symlink("nowhere", scratch.join("links/dead")).expect("link");
        fs::write(scratch.join("a/file"), "").expect("write");
        for path in [
            "links/dead",
            "links/dead/",
            "a/none/",
            "a/file",
            "a/file/",
            "a/file/.",
        ] {
            let gone = look(&scratch.join(path)).expect_err(path);
            assert!(gone.means_no_slurm(), "{gone}");
        }
        let strange = scratch.join(OsStr::from_bytes(b"a/\xff"));
        fs::create_dir(&strange).expect("make it");
        assert_eq!(safe(strange.join(".")), strange);
        assert_eq!(safe(strange.clone()), strange);
        assert_eq!(safe("/".into()), Path::new("/"));
        assert!(look(Path::new("spool")).is_err(), "a relative path");
        let cut = all_safe(Path::new("src"), &|_| true);
        assert!(cut.is_err(), "what is above was not looked at: {cut:?}");
        fs::remove_dir_all(&scratch).expect("clean up");
    }
}
