//! What logins leave for the next ones: files of root's alone in a directory of root's alone.
//!
//! They are only ever appended to by one write, or replaced as a whole, so that no login waits for
//! another one. What is in them carries a checksum: what is torn or foreign is as if it were not there.

use std::ffi::CStr;
use std::fs::{self, DirBuilder, File};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use sys::Directory;

/// Where they are: a tmpfs, root's.
pub const DIR: &str = "/run/slurm-adopt";

/// Which directory, and whether anything in it may be changed.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// The directory.
    pub dir: &'a Path,
    /// Only to be read.
    pub read_only: bool,
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
}

impl Place<'_> {
    /// The directory, if a login may write there.
    pub(crate) fn to_write(self) -> Option<PathBuf> {
        (!self.read_only).then(|| self.dir.to_owned())
    }

    /// The content of a file of at most `most` bytes.
    ///
    /// # Errors
    /// The system's, or that somebody else than this user, root, can have written it.
    pub(crate) fn read(self, name: &CStr, most: u64) -> io::Result<Content> {
        read(self.dir, name, most).or_else(|error| match error.kind() {
            io::ErrorKind::NotFound => Ok(Content::Missing),
            _ => Err(error),
        })
    }
}

fn read(dir: &Path, name: &CStr, most: u64) -> io::Result<Content> {
    let dir = Directory::open(dir)?;
    own(&dir.metadata()?, true)?;
    let file = dir.file(name)?;
    let found = file.metadata()?;
    own(&found, false)?;
    if found.len() > most {
        return Ok(Content::TooLong);
    }
    // It may have grown meanwhile.
    sys::read_open(file, 2 * most).map(|(_, bytes)| Content::Bytes(bytes))
}

fn own(found: &fs::Metadata, is_dir: bool) -> io::Result<()> {
    let is_kind = found.is_dir() == is_dir && (found.is_dir() || found.is_file());
    let is_ours = found.uid() == sys::effective_uid() && found.mode() & 0o077 == 0;
    match is_kind && is_ours {
        true => Ok(()),
        false => Err(io::Error::other("not root's alone")),
    }
}

/// The directory, made if it isn't there. Not for a process whose files may not grow (RLIMIT_FSIZE):
/// the kernel would end it by a signal.
fn to_write(dir: &Path) -> io::Result<()> {
    if sys::is_file_size_limited() {
        return Err(io::Error::other("RLIMIT_FSIZE is set"));
    }
    match DirBuilder::new().mode(0o700).create(dir) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => own(&fs::symlink_metadata(dir)?, true),
    }
}

/// Adds to the end of a file, in one piece: write(2) of O_APPEND does not mix with others'.
///
/// # Errors
/// The system's, or that the directory is not root's alone.
pub(crate) fn append(dir: &Path, name: &CStr, bytes: &[u8]) -> io::Result<()> {
    to_write(dir)?;
    let mut file = File::options()
        .append(true)
        .create(true)
        .mode(0o600)
        .custom_flags(sys::NO_FOLLOW)
        .open(dir.join(shown(name)))?;
    match file.write(bytes)? {
        count if count == bytes.len() => Ok(()),
        _ => Err(io::ErrorKind::WriteZero.into()),
    }
}

/// Puts a file in the place of the one that is there. Of two who do so at once the last wins, or
/// none: what they knew is asked for again.
///
/// # Errors
/// The system's, or that the directory is not root's alone.
pub(crate) fn replace(dir: &Path, name: &CStr, bytes: &[u8]) -> io::Result<()> {
    to_write(dir)?;
    let name = shown(name);
    let new = dir.join(format!("{name}.new"));
    let _ = fs::remove_file(&new);
    let mut file = File::options()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&new)?;
    file.write_all(bytes)?;
    fs::rename(&new, dir.join(name))
}

/// Of FNV's kind, a word at a time: against accidents, not against root.
pub(crate) fn checksum(seed: u64, bytes: &[u8]) -> u64 {
    bytes.chunks(8).fold(seed, |sum, chunk| {
        let mut word = [0; 8];
        for (place, byte) in word.iter_mut().zip(chunk) {
            *place = *byte;
        }
        let sum = (sum ^ u64::from_ne_bytes(word)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        sum ^ (sum >> 32)
    })
}

/// A file's name as text; ours are ASCII.
pub(crate) fn shown(name: &CStr) -> &str {
    name.to_str().unwrap_or_default()
}
