//! State that logins keep for later logins: files of root alone in a directory of root alone.
//!
//! A file is only ever appended to with one write, or replaced as a whole, so that no login waits for
//! another one. Content carries a checksum; torn or foreign content counts as absent.

use std::ffi::{CStr, OsStr};
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use sys::Directory;

use crate::access;
use crate::log::Log;

/// The directory: on a tmpfs, root's.
pub const DIR: &str = "/run/slurm-adopt";

/// The state directory, as one login finds it.
#[derive(Debug)]
pub struct StateDir {
    path: PathBuf,
    is_to_write: bool,
    found: Found,
}

#[derive(Debug)]
enum Found {
    /// It is root's alone.
    Good(Directory),
    /// It is not there yet.
    Missing,
    /// It belongs to somebody else or cannot be read: nothing in it is used or changed.
    Bad,
}

/// The content of a file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Content {
    /// These bytes.
    Bytes(Vec<u8>),
    /// More than any reader accepts.
    TooLong,
    /// There is no such file.
    Missing,
    /// Somebody other than root may have written it, or it cannot be read.
    Bad,
}

impl StateDir {
    /// Opens the directory, for writing or only for reading.
    #[must_use]
    pub fn open(path: &Path, is_to_write: bool, log: Log<'_>) -> Self {
        let open = || {
            let dir = Directory::open(path)?;
            own(path, &dir.metadata()?, true)?;
            Ok(dir)
        };
        let opened = open().or_else(|error: io::Error| match is_to_write {
            true if is_fault(&error) => {
                let fault = replace(path)?;
                log.error(|| format!("{fault}; replacing it"));
                open()
            }
            _ => Err(error),
        });
        let found = match opened {
            Ok(dir) => Found::Good(dir),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Found::Missing,
            Err(error) if is_fault(&error) => {
                log.error(|| format!("{error}; not used"));
                Found::Bad
            }
            Err(error) => {
                log.debug(|| format!("{}: {error}; not used", path.display()));
                Found::Bad
            }
        };
        Self {
            path: path.to_owned(),
            is_to_write,
            found,
        }
    }

    /// Whether a login may change the directory.
    pub(crate) fn is_to_write(&self) -> bool {
        self.is_to_write && !matches!(self.found, Found::Bad)
    }

    /// Whether its content cannot be older than the boot.
    pub(crate) fn is_in_memory(&self) -> bool {
        let is_in_memory = match (&self.found, self.path.parent()) {
            (Found::Good(dir), _) => dir.is_in_memory(),
            // It will be created there.
            (Found::Missing, Some(above)) => {
                Directory::open(above).and_then(|it| it.is_in_memory())
            }
            _ => return false,
        };
        is_in_memory.unwrap_or(false)
    }

    /// Reads a file of at most `most` bytes.
    pub(crate) fn read(&self, name: &CStr, most: u64, log: Log<'_>) -> Content {
        let dir = match &self.found {
            Found::Good(dir) => dir,
            Found::Missing => return Content::Missing,
            Found::Bad => return Content::Bad,
        };
        let file = dir.file(name).and_then(|file| {
            let found = file.metadata()?;
            own(&self.path_of(name), &found, false)?;
            Ok((file, found))
        });
        // The file may have grown since the stat.
        let read = file.and_then(|(file, found)| match found.len() > most {
            true => Ok(Content::TooLong),
            false => sys::read_open(file, &found, 2 * most).map(Content::Bytes),
        });
        read.unwrap_or_else(|error| match error.kind() {
            io::ErrorKind::NotFound => Content::Missing,
            _ => {
                let path = self.path_of(name);
                log.debug(|| format!("{}: {error}; not used", path.display()));
                Content::Bad
            }
        })
    }

    /// Appends to a file with one write: write(2) with O_APPEND does not mix with other writers'. Only
    /// logs a failure: what is not kept is asked again.
    pub(crate) fn append(&self, name: &CStr, bytes: &[u8], log: Log<'_>) {
        let path = self.path_of(name);
        let append = || {
            make(&self.path)?;
            let mut file = File::options()
                .append(true)
                .create(true)
                .mode(0o600)
                .custom_flags(sys::NO_FOLLOW)
                .open(&path)?;
            match file.write(bytes)? {
                count if count == bytes.len() => Ok(()),
                _ => Err(io::ErrorKind::WriteZero.into()),
            }
        };
        told(append(), &path, log);
    }

    /// Replaces a file. If two logins do so at once, the last one wins, or neither.
    pub(crate) fn replace(&self, name: &CStr, bytes: &[u8], log: Log<'_>) {
        let path = self.path_of(name);
        let new = path.with_extension("new");
        let replace = || {
            make(&self.path)?;
            let _ = fs::remove_file(&new);
            let mut file = File::options()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&new)?;
            file.write_all(bytes)?;
            fs::rename(&new, &path)
        };
        told(replace(), &path, log);
    }

    /// Opens the file of that name, whose bytes are to be locked; makes it.
    ///
    /// # Errors
    /// The system's error.
    pub(crate) fn open_locks(&self, name: &CStr) -> io::Result<File> {
        make(&self.path)?;
        File::options()
            .append(true)
            .create(true)
            .mode(0o600)
            .custom_flags(sys::NO_FOLLOW)
            .open(self.path_of(name))
    }

    fn path_of(&self, name: &CStr) -> PathBuf {
        self.path.join(OsStr::from_bytes(name.to_bytes()))
    }
}

fn told(written: io::Result<()>, path: &Path, log: Log<'_>) {
    if let Err(error) = written {
        log.debug(|| format!("write {}: {error}", path.display()));
    }
}

/// Whether root can fix this: something is there, but it is not root's alone.
fn is_fault(error: &io::Error) -> bool {
    let kinds = [io::ErrorKind::Other, io::ErrorKind::NotADirectory];
    // ELOOP: it is a link.
    kinds.contains(&error.kind()) || error.raw_os_error() == Some(sys::IS_LINK)
}

fn own(path: &Path, found: &fs::Metadata, is_dir: bool) -> io::Result<()> {
    let is_kind = found.is_dir() == is_dir && (found.is_dir() || found.is_file());
    let is_ours = found.uid() == sys::effective_uid() && found.mode() & 0o077 == 0;
    if is_kind && is_ours {
        return Ok(());
    }
    let (path, uid, mode) = (path.display(), found.uid(), found.mode() & 0o7777);
    let (kind, wanted) = match is_dir {
        true => ("a directory", "0700"),
        false => ("a file", "0600"),
    };
    Err(io::Error::other(format!(
        "{path} must be {kind} of root with mode {wanted}, but has owner uid {uid}, mode {mode:04o}"
    )))
}

/// Creates the directory if it is missing, and replaces anything there that is not root's alone. Fails
/// if RLIMIT_FSIZE is set: the kernel would end the process with a signal.
pub(crate) fn make(dir: &Path) -> io::Result<()> {
    if sys::is_file_size_limited() {
        return Err(io::Error::other("RLIMIT_FSIZE is set"));
    }
    sys::make_dir(dir, OWN).map_err(access::at("make", dir))?;
    let found = fs::symlink_metadata(dir).map_err(access::at("look at", dir))?;
    match own(dir, &found, true) {
        Err(error) if is_fault(&error) => replace(dir).map(drop),
        result => result,
    }
}

/// Creates a directory of root's alone in place of what is there, and moves that aside: to remove what
/// a user may be writing to could take for ever. Works only below a directory in which only root can
/// rename, and under a lock, so that no process moves away what another one has created. Returns the
/// fault of the old one.
fn replace(dir: &Path) -> io::Result<String> {
    let found = fs::symlink_metadata(dir)?;
    let fault = match own(dir, &found, true) {
        Ok(()) => return Ok("another login was at it".to_owned()),
        Err(fault) => fault.to_string(),
    };
    let above = dir.parent().unwrap_or(Path::new("/"));
    let failed = |cause: io::Error| {
        let path = dir.display();
        let command = match cause.kind() {
            io::ErrorKind::ResourceBusy => format!("umount {path}"),
            _ => format!("mv {path} {path}.old"),
        };
        io::Error::other(format!("{fault}: run {command} ({cause})"))
    };
    let around = fs::symlink_metadata(above)?;
    if around.uid() != sys::effective_uid() || around.mode() & 0o022 != 0 {
        let cause = format!("others than root may rename in {}", above.display());
        return Err(failed(io::Error::other(cause)));
    }
    let _lock = lock_beside(dir).map_err(failed)?;
    // Another process may have replaced it before this one got the lock.
    let found = fs::symlink_metadata(dir)?;
    if own(dir, &found, true).is_ok() {
        return Ok(fault);
    }
    let is_unchanged = found.is_dir() && found.uid() == sys::effective_uid();
    if is_unchanged && found.mode() & 0o022 == 0 {
        // Others could read it but change nothing.
        fs::set_permissions(dir, fs::Permissions::from_mode(OWN)).map_err(failed)?;
        return Ok(fault);
    }
    let aside = unused_name(dir).map_err(failed)?;
    fs::rename(dir, aside).map_err(failed)?;
    sys::make_dir(dir, OWN).map_err(failed)?;
    Ok(fault)
}

/// Waits briefly for the lock on a file that only root can open: any user could lock the directory itself.
fn lock_beside(dir: &Path) -> io::Result<File> {
    const TRIES: usize = 20;
    let mut name = dir.as_os_str().to_owned();
    name.push(".lock");
    let lock = File::options()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(sys::NO_FOLLOW)
        .open(PathBuf::from(name))?;
    for _ in 1..TRIES {
        match sys::try_lock(&lock) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                sys::poll(&mut [], Duration::from_millis(5))?;
            }
            result => return result.map(|()| lock),
        }
    }
    sys::try_lock(&lock).map(|()| lock)
}

/// Finds an unused name. Under the lock nobody else takes it.
fn unused_name(dir: &Path) -> io::Result<PathBuf> {
    for number in 1..1000 {
        let mut name = dir.as_os_str().to_owned();
        name.push(format!(".old.{number}"));
        match fs::symlink_metadata(&name) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(name.into()),
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::other("too many old ones are beside it"))
}

/// A checksum like FNV, one word at a time: it protects against accidents, not against root.
pub(crate) fn checksum(seed: u64, bytes: &[u8]) -> u64 {
    let add = |sum: u64, word| {
        let sum = (sum ^ u64::from_ne_bytes(word)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        sum ^ (sum >> 32)
    };
    let (mut sum, mut bytes) = (seed, bytes);
    while let Some((word, rest)) = bytes.split_first_chunk() {
        (sum, bytes) = (add(sum, *word), rest);
    }
    if bytes.is_empty() {
        return sum;
    }
    let mut word = [0; 8];
    for (place, byte) in word.iter_mut().zip(bytes) {
        *place = *byte;
    }
    add(sum, word)
}

/// Permissions of a directory of root's alone.
const OWN: u32 = 0o700;

#[cfg(test)]
mod tests;
