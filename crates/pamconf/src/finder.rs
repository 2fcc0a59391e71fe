//! Finds and reads files.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::layout::{MOST_FILES, ReadFile};
use crate::problem::ProblemKind;

/// The result of a search for a file.
pub(crate) enum Found {
    File(Arc<Path>, Vec<u8>),
    Missing,
    /// The caller cannot read it, but libpam may.
    Hidden(ProblemKind),
}

/// Reads a bounded number of files.
pub(crate) struct Finder<'a> {
    read_file: ReadFile<'a>,
    /// The number of files that may still be read.
    left: usize,
}

impl<'a> Finder<'a> {
    pub fn new(read_file: ReadFile<'a>) -> Self {
        Self {
            read_file,
            left: MOST_FILES,
        }
    }

    /// Finds the first file with this name in these directories, or the one at an absolute path.
    pub fn find(&mut self, name: &[u8], dirs: &[PathBuf]) -> Found {
        if self.left == 0 {
            let name = name.to_vec();
            return Found::Hidden(ProblemKind::TooManyFiles { name });
        }
        self.left -= 1;
        let name = Path::new(OsStr::from_bytes(name));
        let root = [PathBuf::from("/")];
        let dirs = if name.is_absolute() { &root } else { dirs };
        for dir in dirs {
            let path = dir.join(name);
            let error = match (self.read_file)(&path) {
                Ok(bytes) => return Found::File(Arc::from(path), bytes),
                Err(error) => error,
            };
            let absent = [io::ErrorKind::NotFound, io::ErrorKind::NotADirectory];
            if !absent.contains(&error.kind()) {
                let error = error.to_string();
                return Found::Hidden(ProblemKind::Unreadable { path, error });
            }
        }
        Found::Missing
    }
}
