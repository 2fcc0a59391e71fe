//! The files of the host, or of a tree that does not run.

use std::ffi::OsStr;
use std::fs::{File, Metadata};
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat2};

/// The largest file that is read, in bytes.
const LARGEST: u64 = 64 << 20;

/// The root directory in which all paths are looked up.
#[derive(Debug)]
pub struct Tree {
    /// None: this host's own.
    root: Option<(PathBuf, OwnedFd)>,
}

impl Tree {
    /// This host.
    #[must_use]
    pub fn live() -> Self {
        Self { root: None }
    }

    /// A directory that has the files of a host.
    ///
    /// # Errors
    /// Those of open(2).
    pub fn at(root: &Path) -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = rustix::fs::openat(CWD, root, flags, Mode::empty())?;
        let root = Some((root.to_owned(), directory));
        Ok(Self { root })
    }

    /// Whether this is the running host.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.root.is_none()
    }

    /// The directory of a tree that does not run.
    #[must_use]
    pub fn root(&self) -> Option<&Path> {
        self.root.as_ref().map(|(path, _)| path.as_path())
    }

    /// Opens a path; links are followed within the tree, openat2(2).
    fn open(&self, path: &Path, flags: OFlags) -> io::Result<File> {
        let flags = flags | OFlags::CLOEXEC;
        let opened = match &self.root {
            None => rustix::fs::openat(CWD, path, flags, Mode::empty()),
            Some((_, root)) => {
                let path = path.strip_prefix("/").unwrap_or(path);
                let path = match path.as_os_str().is_empty() {
                    true => Path::new("."),
                    false => path,
                };
                openat2(root, path, flags, Mode::empty(), ResolveFlags::IN_ROOT)
            }
        };
        Ok(File::from(opened?))
    }

    /// Reads a regular file. Does not wait for a FIFO's writer.
    ///
    /// # Errors
    /// Those of open(2) and read(2); `InvalidInput` for another kind of file; a file of more than 64 MB.
    pub fn read(&self, path: impl AsRef<Path>) -> io::Result<Vec<u8>> {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
        let file = self.open(path.as_ref(), flags)?;
        let status = file.metadata()?;
        sys::read_open(file, &status, LARGEST)
    }

    /// Reads a file as text; what is not UTF-8 is replaced.
    ///
    /// # Errors
    /// As [`Tree::read`].
    pub fn text(&self, path: impl AsRef<Path>) -> io::Result<String> {
        let bytes = self.read(path)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// The status of a file, with links followed.
    ///
    /// # Errors
    /// Those of open(2).
    pub fn status(&self, path: impl AsRef<Path>) -> io::Result<Metadata> {
        self.open(path.as_ref(), OFlags::PATH)?.metadata()
    }

    /// The path with its links resolved, as it is in the tree.
    ///
    /// # Errors
    /// Those of open(2) and readlink(2).
    pub fn real(&self, path: impl AsRef<Path>) -> io::Result<PathBuf> {
        let name = |fd: i32| std::fs::read_link(format!("/proc/self/fd/{fd}"));
        let real = name(self.open(path.as_ref(), OFlags::PATH)?.as_raw_fd())?;
        let Some((_, root)) = &self.root else {
            return Ok(real);
        };
        let inside = real.strip_prefix(name(root.as_raw_fd())?);
        Ok(Path::new("/").join(inside.unwrap_or(&real)))
    }

    /// Whether a file exists.
    pub fn exists(&self, path: impl AsRef<Path>) -> bool {
        self.status(path).is_ok()
    }

    /// The names in a directory, sorted; none if there is no such directory.
    ///
    /// # Errors
    /// Those of open(2) and getdents(2), except for a missing directory.
    pub fn names(&self, path: impl AsRef<Path>) -> io::Result<Vec<String>> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        let directory = match self.open(path.as_ref(), flags) {
            Err(error) if is_absent(&error) => return Ok(Vec::new()),
            other => other?,
        };
        let mut names = Vec::new();
        for entry in rustix::fs::Dir::read_from(&directory)? {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if !matches!(name, b"." | b"..") {
                names.push(String::from_utf8_lossy(name).into_owned());
            }
        }
        names.sort();
        Ok(names)
    }

    /// The paths that match a pattern of glob(7) with `*` and `?` in its last component, sorted.
    pub fn matches(&self, pattern: &str) -> Vec<PathBuf> {
        let path = Path::new(pattern);
        let (Some(dir), Some(last)) = (path.parent(), path.file_name().and_then(OsStr::to_str))
        else {
            return Vec::new();
        };
        if !last.contains(['*', '?', '[']) {
            return self
                .exists(path)
                .then(|| path.to_owned())
                .into_iter()
                .collect();
        }
        let names = self.names(dir).unwrap_or_default();
        let is_hidden = |name: &str| name.starts_with('.') && !last.starts_with('.');
        let matching =
            |name: &&String| !is_hidden(name) && is_match(last.as_bytes(), name.as_bytes());
        names
            .iter()
            .filter(matching)
            .map(|it| dir.join(it))
            .collect()
    }
}

/// Whether the error says that there is no such file.
#[must_use]
pub fn is_absent(error: &io::Error) -> bool {
    let absent = [io::ErrorKind::NotFound, io::ErrorKind::NotADirectory];
    absent.contains(&error.kind())
}

/// Matches `*`, `?` and plain bytes, as fnmatch(3) without sets.
pub(crate) fn is_match(pattern: &[u8], text: &[u8]) -> bool {
    match (pattern.split_first(), text.split_first()) {
        (None, None) => true,
        (Some((b'*', rest)), _) => {
            is_match(rest, text)
                || text
                    .split_first()
                    .is_some_and(|(_, text)| is_match(pattern, text))
        }
        (Some((b'?', rest)), Some((_, text))) => is_match(rest, text),
        (Some((sign, rest)), Some((byte, text))) => sign == byte && is_match(rest, text),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_in_a_shell() {
        for (pattern, text, expected) in [
            ("*.conf", "a.conf", true),
            ("*.conf", "a.conf.bak", false),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("*", "", true),
            ("*a*b", "xaxb", true),
        ] {
            assert_eq!(
                is_match(pattern.as_bytes(), text.as_bytes()),
                expected,
                "{pattern} {text}"
            );
        }
    }
}
