//! The files of the host, or of a tree that does not run.

mod inside;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{File, Metadata};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags};

pub use self::inside::open_inside;

/// The largest file that is read, in bytes.
const LARGEST: u64 = 64 << 20;

/// The root directory in which all paths are looked up.
#[derive(Debug)]
pub struct Tree {
    /// None: this host's own.
    root: Option<(PathBuf, OwnedFd)>,
    /// Files as they are to be, by their paths: what is read instead of what is there.
    changes: BTreeMap<PathBuf, Vec<u8>>,
}

impl Tree {
    /// This host.
    #[must_use]
    pub fn live() -> Self {
        Self {
            root: None,
            changes: BTreeMap::new(),
        }
    }

    /// A directory that has the files of a host.
    ///
    /// # Errors
    /// Those of open(2).
    pub fn at(root: &Path) -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = rustix::fs::openat(CWD, root, flags, Mode::empty())?;
        let root = Some((root.to_owned(), directory));
        Ok(Self {
            root,
            changes: BTreeMap::new(),
        })
    }

    /// The same tree with other contents of some files, which are read and exist here alone.
    ///
    /// # Errors
    /// Those of dup(2).
    pub fn with_changes(&self, changes: BTreeMap<PathBuf, Vec<u8>>) -> io::Result<Self> {
        let same = |(path, directory): &(PathBuf, OwnedFd)| -> io::Result<_> {
            Ok((path.clone(), directory.try_clone()?))
        };
        Ok(Self {
            root: self.root.as_ref().map(same).transpose()?,
            changes,
        })
    }

    /// The content that a file is to have, if it is to have another one.
    pub fn change(&self, path: impl AsRef<Path>) -> Option<&Vec<u8>> {
        let path = path.as_ref();
        let real = match self.changes.is_empty() {
            true => return None,
            false => self.resolve(path).ok(),
        };
        let changes = |it: &Path| self.changes.get(it);
        changes(path).or_else(|| changes(real.as_deref()?))
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

    /// The place of a path of the tree on this host, to be shown in a command.
    pub fn on_host(&self, path: impl AsRef<Path>) -> PathBuf {
        let path = path.as_ref();
        match self.root() {
            Some(root) => root.join(path.strip_prefix("/").unwrap_or(path)),
            None => path.to_owned(),
        }
    }

    /// Opens a path; links are followed within the tree.
    fn open(&self, path: &Path, flags: OFlags) -> io::Result<File> {
        let flags = flags | OFlags::CLOEXEC;
        let opened = match &self.root {
            None => rustix::fs::openat(CWD, path, flags, Mode::empty()),
            Some((_, root)) => return Ok(open_inside(root, path, flags)?.into()),
        };
        Ok(File::from(opened?))
    }

    /// Opens a regular file to read it.
    fn open_file(&self, path: &Path) -> io::Result<(File, Metadata)> {
        self.open_to_read(path, Metadata::is_file)
    }

    /// Opens a file to read it, once its kind is known: in a tree of others it may be a device, and to open that may
    /// do something.
    fn open_to_read(
        &self,
        path: &Path,
        is_wanted: impl FnOnce(&Metadata) -> bool,
    ) -> io::Result<(File, Metadata)> {
        let found = self.open(path, OFlags::PATH)?;
        let status = found.metadata()?;
        if !is_wanted(&status) {
            let kind = io::ErrorKind::InvalidInput;
            return Err(io::Error::new(kind, "not a regular file"));
        }
        // The same file, whatever its name is by now, proc_pid_fd(5).
        let name = format!("/proc/self/fd/{}", found.as_raw_fd());
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        match rustix::fs::openat(CWD, name, flags, Mode::empty()).map_err(io::Error::from) {
            // The file is there.
            Err(error) if is_absent(&error) => Err(io::Error::other("/proc is not mounted")),
            opened => Ok((File::from(opened?), status)),
        }
    }

    /// Reads a regular file. Does not wait for a FIFO's writer.
    ///
    /// # Errors
    /// Those of open(2) and read(2); `InvalidInput` for another kind of file; a file of more than 64 MB.
    pub fn read(&self, path: impl AsRef<Path>) -> io::Result<Vec<u8>> {
        if let Some(bytes) = self.change(&path) {
            return Ok(bytes.clone());
        }
        let (file, status) = self.open_file(path.as_ref())?;
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

    /// The status of a file itself, also of a link.
    ///
    /// # Errors
    /// Those of open(2).
    pub fn link_status(&self, path: impl AsRef<Path>) -> io::Result<Metadata> {
        self.open(path.as_ref(), OFlags::PATH | OFlags::NOFOLLOW)?
            .metadata()
    }

    /// The path of a file within the tree, with all links resolved.
    ///
    /// # Errors
    /// Those of open(2) and readlink(2).
    pub fn resolve(&self, path: impl AsRef<Path>) -> io::Result<PathBuf> {
        let real = path_of(&self.open(path.as_ref(), OFlags::PATH)?)?;
        let Some((_, root)) = &self.root else {
            return Ok(real);
        };
        let within = real.strip_prefix(path_of(root)?).map(Path::to_owned);
        let within = within.map_err(|_| io::Error::from(io::ErrorKind::NotFound))?;
        Ok(Path::new("/").join(within))
    }

    /// The target of a symbolic link, as written.
    ///
    /// # Errors
    /// Those of open(2) and readlink(2); `NotFound` if it is no link.
    pub fn link_target(&self, path: impl AsRef<Path>) -> io::Result<PathBuf> {
        let link = self.open(path.as_ref(), OFlags::PATH | OFlags::NOFOLLOW)?;
        let target = rustix::fs::readlinkat(&link, "", Vec::new())?;
        Ok(PathBuf::from(OsStr::from_bytes(target.as_bytes())))
    }

    /// The last bytes of a regular file, at most this many.
    ///
    /// # Errors
    /// Those of open(2) and read(2).
    pub fn tail(&self, path: impl AsRef<Path>, most: u64) -> io::Result<Vec<u8>> {
        let (mut file, status) = self.open_file(path.as_ref())?;
        file.seek(SeekFrom::Start(status.len().saturating_sub(most)))?;
        let mut bytes = Vec::new();
        file.take(most).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// An extended attribute of a file, such as `security.selinux`; None if it has none.
    pub fn attribute(&self, path: impl AsRef<Path>, name: &str) -> Option<Vec<u8>> {
        let file = self.open_to_read(path.as_ref(), |it| it.is_file() || it.is_dir());
        let (file, _) = file.ok()?;
        let mut bytes = vec![0; 4096];
        let length = rustix::fs::fgetxattr(&file, name, bytes.as_mut_slice()).ok()?;
        bytes.truncate(length);
        Some(bytes)
    }

    /// Whether the file system of a file forbids to run what is in it (mount option noexec).
    pub fn is_noexec(&self, path: impl AsRef<Path>) -> bool {
        let status = self
            .open(path.as_ref(), OFlags::PATH)
            .and_then(|it| Ok(rustix::fs::fstatvfs(&it)?));
        status.is_ok_and(|it| it.f_flag.contains(rustix::fs::StatVfsMountFlags::NOEXEC))
    }

    /// Whether a file cannot be changed, not even by root (chattr +i, statx(2)).
    pub fn is_immutable(&self, path: impl AsRef<Path>) -> bool {
        use rustix::fs::{AtFlags, StatxAttributes, StatxFlags};
        let status = self.open(path.as_ref(), OFlags::PATH).and_then(|it| {
            let flags = StatxFlags::BASIC_STATS;
            Ok(rustix::fs::statx(&it, "", AtFlags::EMPTY_PATH, flags)?)
        });
        status.is_ok_and(|it| it.stx_attributes.contains(StatxAttributes::IMMUTABLE))
    }

    /// Whether a file exists.
    pub fn exists(&self, path: impl AsRef<Path>) -> bool {
        self.change(&path).is_some() || self.status(path).is_ok()
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

    /// The paths that match an absolute pattern of glob(7), in its order; each component may have `*` and `?`.
    pub fn matches(&self, pattern: &str) -> Vec<PathBuf> {
        /// Limit on the paths: nobody means more.
        const MOST: usize = 10_000;
        let is_plain = |part: &str| !part.contains(['*', '?', '[']);
        let mut paths = vec![PathBuf::from("/")];
        for part in pattern.split('/').filter(|it| !it.is_empty()) {
            let expand = |dir: &PathBuf| match is_plain(part) {
                true => vec![dir.join(part)],
                false => self.matches_in(dir, part),
            };
            paths = paths.iter().flat_map(expand).take(MOST).collect();
        }
        if is_plain(pattern.rsplit('/').next().unwrap_or_default()) {
            paths.retain(|it| self.exists(it));
        }
        paths
    }

    fn matches_in(&self, dir: &Path, part: &str) -> Vec<PathBuf> {
        let names = self.names(dir).unwrap_or_default();
        let is_shown = |it: &&String| part.starts_with('.') || !it.starts_with('.');
        let matching = |it: &&String| is_match(part.as_bytes(), it.as_bytes());
        let names = names.iter().filter(is_shown).filter(matching);
        names.map(|it| dir.join(it)).collect()
    }
}

/// The path of an open file, proc_pid_fd(5).
fn path_of(file: &impl AsRawFd) -> io::Result<PathBuf> {
    std::fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd()))
}

/// Whether the error says that there is no such file.
#[must_use]
pub fn is_absent(error: &io::Error) -> bool {
    let absent = [io::ErrorKind::NotFound, io::ErrorKind::NotADirectory];
    absent.contains(&error.kind())
}

/// Matches `*`, `?` and plain bytes, as fnmatch(3) without sets.
pub(crate) fn is_match(pattern: &[u8], text: &[u8]) -> bool {
    let (mut at, mut place) = (0, 0);
    // Behind the last star, and the place in the text up to which it matches: earlier stars need no second try.
    let mut star = None;
    while let Some(byte) = text.get(place) {
        match (pattern.get(at), star) {
            (Some(b'*'), _) => {
                at += 1;
                star = Some((at, place));
            }
            (Some(sign), _) if *sign == b'?' || sign == byte => {
                at += 1;
                place += 1;
            }
            (_, Some((behind, end))) => {
                at = behind;
                place = end + 1;
                star = Some((behind, place));
            }
            (_, None) => return false,
        }
    }
    let rest = pattern.get(at..).unwrap_or_default();
    rest.iter().all(|sign| *sign == b'*')
}

#[cfg(test)]
mod tests;
