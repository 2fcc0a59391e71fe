//! What logins leave for the next ones: files of root's alone in a directory of root's alone.
//!
//! They are only ever appended to by one write, or replaced as a whole, so that no login waits for
//! another one. What is in them carries a checksum: what is torn or foreign is as if it were not there.

use std::ffi::{CStr, OsStr};
use std::fs::{self, DirBuilder, File};
use std::io::{self, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use sys::Directory;

use crate::log::Log;

/// Where they are: a tmpfs, root's.
pub const DIR: &str = "/run/slurm-adopt";

/// The directory, as one login finds it.
#[derive(Debug)]
pub struct RunDir {
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
    /// It is somebody else's, or can't be asked: nothing in it is looked at or changed.
    Bad,
}

/// What a file holds.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Content {
    /// These bytes.
    Bytes(Vec<u8>),
    /// More than anybody would read.
    TooLong,
    /// There is none.
    Missing,
    /// Somebody else than this user, root, can have written it, or it can't be read.
    Bad,
}

impl RunDir {
    /// Opens it, to change something in it or only to read.
    #[must_use]
    #[inline(never)]
    pub fn open(path: &Path, is_to_write: bool, log: Log<'_>) -> Self {
        let opened = Directory::open(path).and_then(|dir| {
            own(&dir.metadata()?, true)?;
            Ok(dir)
        });
        let found = match opened {
            Ok(dir) => Found::Good(dir),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Found::Missing,
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

    /// Whether a login may change it.
    pub(crate) fn is_to_write(&self) -> bool {
        self.is_to_write && !matches!(self.found, Found::Bad)
    }

    /// Whether it can't be older than the boot.
    pub(crate) fn is_in_memory(&self) -> bool {
        let is_in_memory = match (&self.found, self.path.parent()) {
            (Found::Good(dir), _) => dir.is_in_memory(),
            // It will be made there.
            (Found::Missing, Some(above)) => {
                Directory::open(above).and_then(|it| it.is_in_memory())
            }
            _ => return false,
        };
        is_in_memory.unwrap_or(false)
    }

    /// The content of a file of at most `most` bytes.
    pub(crate) fn read(&self, name: &CStr, most: u64, log: Log<'_>) -> Content {
        let dir = match &self.found {
            Found::Good(dir) => dir,
            Found::Missing => return Content::Missing,
            Found::Bad => return Content::Bad,
        };
        let file = dir.file(name).and_then(|file| {
            let found = file.metadata()?;
            own(&found, false)?;
            Ok((file, found))
        });
        // It may have grown since it was asked.
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

    /// Adds to the end of a file, in one piece: write(2) of O_APPEND does not mix with others'. A
    /// failure goes to the log: what is not kept is asked for again.
    #[inline(never)]
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

    /// Puts a file in the place of the one that is there. Of two who do so at once the last wins, or
    /// none.
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

    fn path_of(&self, name: &CStr) -> PathBuf {
        self.path.join(OsStr::from_bytes(name.to_bytes()))
    }
}

fn told(written: io::Result<()>, path: &Path, log: Log<'_>) {
    if let Err(error) = written {
        log.debug(|| format!("write {}: {error}", path.display()));
    }
}

fn own(found: &fs::Metadata, is_dir: bool) -> io::Result<()> {
    let is_kind = found.is_dir() == is_dir && (found.is_dir() || found.is_file());
    let is_ours = found.uid() == sys::effective_uid() && found.mode() & 0o077 == 0;
    match is_kind && is_ours {
        true => Ok(()),
        false => Err(io::Error::other("not root's alone")),
    }
}

/// Makes the directory if it isn't there. Not for a process whose files may not grow (RLIMIT_FSIZE):
/// the kernel would end it by a signal.
pub(crate) fn make(dir: &Path) -> io::Result<()> {
    if sys::is_file_size_limited() {
        return Err(io::Error::other("RLIMIT_FSIZE is set"));
    }
    match DirBuilder::new().mode(0o700).create(dir) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => own(&fs::symlink_metadata(dir)?, true),
    }
}

/// Of FNV's kind, a word at a time: against accidents, not against root.
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

#[cfg(test)]
mod tests {
    use super::*;

    /// An update must not forget whose the stepds are.
    #[test]
    fn a_checksum_is_the_same_in_all_releases() {
        for (bytes, sum) in [
            (&b""[..], 7),
            (b"1234567", 0xDC64_8361_BE45_C50F),
            (b"12345678", 0x7464_8361_1645_C50F),
            (b"123456789", 0x253A_E4C7_4FE1_B1A9),
        ] {
            assert_eq!(checksum(7, bytes), sum, "{bytes:?}");
        }
    }
}
