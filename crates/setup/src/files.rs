//! The files of a host, or of a tree that does not run, to be changed: each is old or new at any moment, never half.
//!
//! No path leads out of a tree, whatever links are in it. A new content is written beside the old one under
//! another name, made durable, and renamed.

mod state;

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::{Component, Path, PathBuf};

use check::host::tree::{Tree, is_absent, open_inside};
use rustix::fs::{self, AtFlags, CWD, Gid, Mode, OFlags, Timespec, Timestamps, Uid};

pub use self::state::{Attribute, State};
use crate::change::{Change, Content};

/// Files that may be changed.
#[derive(Debug)]
pub struct Files {
    tree: Tree,
    root: OwnedFd,
}

impl Files {
    /// Opens those of this host, or of a tree.
    ///
    /// # Errors
    /// Those of open(2).
    pub fn open(root: Option<&Path>) -> io::Result<Self> {
        let tree = root.map_or(Ok(Tree::live()), Tree::at)?;
        let root = root.unwrap_or(Path::new("/"));
        let root = fs::openat(CWD, root, DIRECTORY, Mode::empty())?;
        Ok(Self { tree, root })
    }

    /// Owner and group of what is made here for this program alone: those of this process.
    #[must_use]
    pub fn owner(&self) -> (u32, u32) {
        let gid = rustix::process::getegid().as_raw();
        (sys::effective_uid(), gid)
    }

    /// The same files, to be read.
    #[must_use]
    pub fn tree(&self) -> &Tree {
        &self.tree
    }

    /// The place that a change is about: behind a link, if it is a file's content that changes.
    ///
    /// # Errors
    /// Those of the system; a link that is to be removed as if it were a file.
    pub fn place(&self, change: &Change) -> io::Result<PathBuf> {
        let is_file = |it: &Option<Content>| matches!(it, Some(Content::File { .. }));
        let is_link = self.tree.link_status(&change.path);
        let is_link = is_link.is_ok_and(|it| it.is_symlink());
        match is_link && is_file(&change.before) {
            true if is_file(&change.after) => self.tree.resolve(&change.path),
            true => Err(io::Error::other("it is a link, which was taken for a file")),
            false => Ok(change.path.clone()),
        }
    }

    /// Reads a file or link; None if there is none.
    ///
    /// # Errors
    /// Those of the system; what is no file and no link; a path with a link for its last component stays that link.
    pub fn state(&self, place: &Path) -> io::Result<Option<State>> {
        let (dir, name) = match self.parent(place) {
            Err(error) if is_absent(&error) => return Ok(None),
            other => other?,
        };
        State::read(&dir, name)
    }

    /// Puts a content in its place, with these attributes and, if given, this time of the last change.
    ///
    /// # Errors
    /// Those of the system; then the old content stands.
    pub fn put(&self, place: &Path, new: &State) -> io::Result<()> {
        let (dir, name) = self.parent(place)?;
        let beside = beside(name);
        remove(&dir, &beside)?;
        let written = match &new.content {
            Content::File { .. } => write(&dir, &beside, new),
            Content::Link { target } => Ok(fs::symlinkat(target, &dir, &beside)?),
        };
        let renamed = written.and_then(|()| Ok(fs::renameat(&dir, &beside, &dir, name)?));
        if let Err(error) = renamed {
            // The reason is of more use than what else fails now.
            let _ = remove(&dir, &beside);
            return Err(error);
        }
        sync(&dir)
    }

    /// Puts a content in its place by a hard link to a copy of it, which needs no room on the file system.
    ///
    /// # Errors
    /// Those of link(2) and rename(2); a copy that is not the same in all that belongs to a file.
    pub fn put_copy(&self, copy: &Path, place: &Path, new: &State) -> io::Result<()> {
        let (from, copy) = self.parent(copy)?;
        let (dir, name) = self.parent(place)?;
        if State::read(&from, copy)?.as_ref() != Some(new) {
            return Err(io::Error::other("its copy differs"));
        }
        let beside = beside(name);
        remove(&dir, &beside)?;
        fs::linkat(&from, copy, &dir, &beside, AtFlags::empty())?;
        fs::renameat(&dir, &beside, &dir, name)?;
        sync(&dir)
    }

    /// Makes sure that the file system of a place can be written to.
    ///
    /// # Errors
    /// EROFS, and those of fstatvfs(3).
    pub fn check_writable(&self, place: &Path) -> io::Result<()> {
        let mut above = place.ancestors().skip(1);
        let dir = above.find(|it| self.tree.exists(it)).unwrap_or(place);
        let (dir, _) = self.parent(&dir.join("x"))?;
        let flags = fs::fstatvfs(&dir)?.f_flag;
        match flags.contains(fs::StatVfsMountFlags::RDONLY) {
            true => Err(rustix::io::Errno::ROFS.into()),
            false => Ok(()),
        }
    }

    /// Whether a file cannot be changed, not even by root.
    #[must_use]
    pub fn is_immutable(&self, place: &Path) -> bool {
        self.tree.is_immutable(place)
    }

    /// Removes a file or link; it may be gone already.
    ///
    /// # Errors
    /// Those of unlink(2) and fsync(2).
    pub fn remove(&self, place: &Path) -> io::Result<()> {
        let (dir, name) = match self.parent(place) {
            Err(error) if is_absent(&error) => return Ok(()),
            other => other?,
        };
        remove(&dir, name)?;
        sync(&dir)
    }

    /// Removes what an interrupted [`Files::put`] left beside a place.
    ///
    /// # Errors
    /// Those of unlink(2).
    pub fn tidy(&self, place: &Path) -> io::Result<()> {
        match self.parent(place) {
            Err(error) if is_absent(&error) => Ok(()),
            Err(error) => Err(error),
            Ok((dir, name)) => remove(&dir, &beside(name)),
        }
    }

    /// The directories above a place that are missing, the uppermost first.
    #[must_use]
    pub fn missing_above(&self, place: &Path) -> Vec<PathBuf> {
        let above = place.ancestors().skip(1);
        let missing = above.take_while(|it| !self.tree.exists(it));
        let mut missing: Vec<PathBuf> = missing.map(Path::to_owned).collect();
        missing.reverse();
        missing
    }

    /// Makes a directory, unless it is there.
    ///
    /// # Errors
    /// Those of mkdir(2), fchmod(2) and fsync(2).
    pub fn make_dir(&self, path: &Path, mode: u32) -> io::Result<()> {
        let (dir, name) = self.parent(path)?;
        match fs::mkdirat(&dir, name, Mode::from_raw_mode(mode)) {
            Ok(()) => {}
            Err(error) if error == rustix::io::Errno::EXIST => return Ok(()),
            Err(error) => return Err(error.into()),
        }
        let made = fs::openat(&dir, name, DIRECTORY | OFlags::NOFOLLOW, Mode::empty())?;
        // The umask may have taken bits away.
        fs::fchmod(&made, Mode::from_raw_mode(mode))?;
        sync(&dir)
    }

    /// Removes a directory if it is empty; whether it is gone.
    ///
    /// # Errors
    /// Those of rmdir(2), but for one that is not empty.
    pub fn remove_dir(&self, path: &Path) -> io::Result<bool> {
        use rustix::io::Errno;
        let (dir, name) = match self.parent(path) {
            Err(error) if is_absent(&error) => return Ok(true),
            other => other?,
        };
        match fs::unlinkat(&dir, name, AtFlags::REMOVEDIR) {
            Ok(()) => sync(&dir).map(|()| true),
            Err(Errno::NOENT) => Ok(true),
            Err(Errno::NOTEMPTY | Errno::EXIST | Errno::NOTDIR) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Renames a directory within its own.
    ///
    /// # Errors
    /// Those of rename(2) and fsync(2).
    pub fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let (dir, name) = self.parent(from)?;
        fs::renameat(&dir, name, &dir, to.file_name().unwrap_or_default())?;
        sync(&dir)
    }

    /// Removes a directory with all in it; follows no link.
    ///
    /// # Errors
    /// Those of the system.
    pub fn remove_all(&self, path: &Path) -> io::Result<()> {
        let (dir, name) = self.parent(path)?;
        let within = Path::new("/proc/self/fd").join(dir.as_raw_fd().to_string());
        std::fs::remove_dir_all(within.join(name))?;
        sync(&dir)
    }

    /// Opens a directory, which is no link.
    ///
    /// # Errors
    /// Those of open(2).
    pub fn dir(&self, path: &Path) -> io::Result<File> {
        let (dir, name) = self.parent(path)?;
        let opened = fs::openat(&dir, name, DIRECTORY | OFlags::NOFOLLOW, Mode::empty())?;
        Ok(opened.into())
    }

    /// The directory of a place, links followed within the tree, and the name in it.
    fn parent<'a>(&self, place: &'a Path) -> io::Result<(OwnedFd, &'a OsStr)> {
        let is_plain = |it: Component<'_>| matches!(it, Component::RootDir | Component::Normal(_));
        let name = place.file_name().filter(|_| place.is_absolute());
        let name = name.filter(|_| place.components().all(is_plain));
        let (Some(name), Some(above)) = (name, place.parent()) else {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "not an absolute path of a file",
            ));
        };
        let opened = match self.tree.is_live() {
            true => fs::openat(&self.root, above, DIRECTORY, Mode::empty())?,
            false => open_inside(&self.root, above, DIRECTORY)?,
        };
        Ok((opened, name))
    }
}

/// Writes a file that is not there yet, with its owner, mode, attributes and time, and makes it durable.
fn write(dir: &OwnedFd, name: &OsStr, new: &State) -> io::Result<()> {
    let Content::File {
        bytes,
        mode,
        uid,
        gid,
    } = &new.content
    else {
        return Ok(());
    };
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut file = File::from(fs::openat(dir, name, flags, Mode::from_raw_mode(0o600))?);
    file.write_all(bytes)?;
    state::clear_access_list(&file)?;
    let made = fs::fstat(&file)?;
    if (made.st_uid, made.st_gid) != (*uid, *gid) {
        let (uid, gid) = (Uid::from_raw(*uid), Gid::from_raw(*gid));
        fs::fchown(&file, Some(uid), Some(gid))?;
    }
    fs::fchmod(&file, Mode::from_raw_mode(*mode))?;
    // After the mode, which changes an access control list.
    state::set_attributes(&file, &new.attributes)?;
    if let Some((seconds, nanoseconds)) = new.modified {
        let last_modification = Timespec {
            tv_sec: seconds,
            tv_nsec: nanoseconds as _,
        };
        let times = Timestamps {
            last_access: last_modification,
            last_modification,
        };
        fs::futimens(&file, &times)?;
    }
    file.sync_all()
}

/// The name under which a new content is written: no program reads a hidden file of a directory of configuration.
fn beside(name: &OsStr) -> OsString {
    let mut beside = OsString::from(".");
    beside.push(name);
    beside.push(".slurm-adopt");
    beside
}

fn remove(dir: &OwnedFd, name: &OsStr) -> io::Result<()> {
    match fs::unlinkat(dir, name, AtFlags::empty()) {
        Ok(()) => Ok(()),
        Err(error) if error == rustix::io::Errno::NOENT => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Whether an operation failed for lack of room.
pub(crate) fn is_full(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let errno = Errno::from_io_error(error);
    matches!(errno, Some(Errno::NOSPC | Errno::DQUOT))
}

/// Makes a directory's entries durable.
fn sync(dir: &OwnedFd) -> io::Result<()> {
    Ok(fs::fsync(dir)?)
}

const DIRECTORY: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::CLOEXEC);

#[cfg(test)]
mod tests;
