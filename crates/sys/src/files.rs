//! Files and directories, opened without following links or blocking, and reached through an open directory.

use std::ffi::{CStr, OsString};
use std::fs::{File, Metadata};
use std::io::{self, Read as _};
use std::os::fd::{AsFd, AsRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use rustix::fs::{self, AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;

/// For opening a file: fail if its name is a symbolic link, open(2).
pub const NO_FOLLOW: i32 = libc::O_NOFOLLOW;
/// The error number of such a failure.
pub const IS_LINK: i32 = libc::ELOOP;
/// First buffer for a file that reports no size, as those in /proc.
const PIECE: usize = 4096;

/// An open directory: it stays the same one even if its name is moved or reused.
#[derive(Debug)]
pub struct Directory(File);

/// The identity and state of a file, stat(2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileStatus {
    /// The owner.
    pub uid: u32,
    /// Whether it is a socket.
    pub is_socket: bool,
    /// Size in bytes.
    pub size: u64,
    /// Device number of its file system.
    pub device: u64,
    /// Inode number in that file system.
    pub inode: u64,
    /// Time of the last status change (ctime): seconds since 1970, and nanoseconds.
    pub changed: (i64, i64),
}

impl From<&Metadata> for FileStatus {
    fn from(found: &Metadata) -> Self {
        Self {
            uid: found.uid(),
            is_socket: found.file_type().is_socket(),
            size: found.len(),
            device: found.dev(),
            inode: found.ino(),
            changed: (found.ctime(), found.ctime_nsec()),
        }
    }
}

impl Directory {
    /// Opens a directory to reach the files in it (O_PATH): needs no permission to list it, and cannot. Fails
    /// if the path names a symbolic link.
    ///
    /// # Errors
    /// Those of open(2); `InvalidInput` for a relative path.
    pub fn open(path: &Path) -> io::Result<Self> {
        absolute(path)?;
        File::options()
            .read(true)
            .custom_flags(libc::O_PATH | libc::O_DIRECTORY | NO_FOLLOW)
            .open(path)
            .map(Self)
    }

    /// The descriptor's number, a name in /proc/self/fd.
    pub(crate) fn number(&self) -> String {
        self.0.as_raw_fd().to_string()
    }

    /// Metadata of the directory itself.
    ///
    /// # Errors
    /// Those of fstat(2).
    pub fn metadata(&self) -> io::Result<Metadata> {
        self.0.metadata()
    }

    /// Whether it is on tmpfs or ramfs, so that nothing in it is older than the last boot.
    ///
    /// # Errors
    /// Those of fstatfs(2).
    pub fn is_in_memory(&self) -> io::Result<bool> {
        /// `linux/magic.h`.
        const TMPFS_MAGIC: fs::FsWord = 0x0102_1994;
        const RAMFS_MAGIC: fs::FsWord = 0x8584_58F6;
        Ok([TMPFS_MAGIC, RAMFS_MAGIC].contains(&fs::fstatfs(&self.0)?.f_type))
    }

    /// Opens a file in the directory for reading. Does not follow a link, nor wait for a FIFO's writer.
    ///
    /// # Errors
    /// Those of openat(2).
    pub fn file(&self, name: &CStr) -> io::Result<File> {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        Ok(fs::openat(&self.0, name, flags, Mode::empty())?.into())
    }

    /// Reads a regular file in the directory as [`read_regular`] does, but does not follow a link.
    ///
    /// # Errors
    /// Those of [`read_regular`].
    pub fn read(&self, name: &CStr, limit: u64) -> io::Result<Vec<u8>> {
        let file = self.file(name)?;
        let found = file.metadata()?;
        read_open(file, &found, limit)
    }

    /// The target of a symbolic link in the directory, readlinkat(2).
    ///
    /// # Errors
    /// Those of readlinkat(2).
    pub fn read_link(&self, name: &CStr) -> io::Result<OsString> {
        let target = fs::readlinkat(&self.0, name, Vec::new())?;
        Ok(OsString::from_vec(target.into_bytes()))
    }
}

/// Whether two descriptors refer to the same file; for namespaces, whether they are the same namespace,
/// namespaces(7).
///
/// # Errors
/// Those of fstat(2).
pub fn is_same_file(one: &OwnedFd, other: &OwnedFd) -> io::Result<bool> {
    let (one, other) = (fs::fstat(one)?, fs::fstat(other)?);
    Ok((one.st_dev, one.st_ino) == (other.st_dev, other.st_ino))
}

/// Status of a file in an open directory; for a symbolic link, of the link itself.
pub(crate) fn status_at(dir: impl AsFd, name: &CStr) -> io::Result<FileStatus> {
    let found = fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW)?;
    Ok(FileStatus {
        uid: found.st_uid,
        is_socket: FileType::from_raw_mode(found.st_mode).is_socket(),
        size: found.st_size as u64,
        device: found.st_dev,
        inode: found.st_ino,
        changed: (found.st_ctime, found.st_ctime_nsec as i64),
    })
}

/// Creates a directory with these permission bits, less the umask, unless something is there already.
///
/// # Errors
/// Those of mkdir(2) but EEXIST; `InvalidInput` for a relative path.
pub fn make_dir(path: &Path, mode: u32) -> io::Result<()> {
    absolute(path)?;
    match fs::mkdir(path, Mode::from_bits_truncate(mode)) {
        Err(error) if error != Errno::EXIST => Err(error.into()),
        _ => Ok(()),
    }
}

/// Reads a regular file of at most `limit` bytes. Never blocks on opening something else (a FIFO, a
/// device).
///
/// # Errors
/// Those of the system; `Other` if the file is not regular or too large; `InvalidInput` for a relative path.
pub fn read_regular(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    read_identified(path, limit).map(|(_, bytes)| bytes)
}

/// As [`read_regular`], with the file's status from before the read: if the file changes meanwhile, a
/// later status differs.
///
/// # Errors
/// Those of [`read_regular`].
pub fn read_identified(path: &Path, limit: u64) -> io::Result<(FileStatus, Vec<u8>)> {
    let (found, bytes) = read_with_metadata(path, limit)?;
    Ok((FileStatus::from(&found), bytes))
}

/// As [`read_identified`], with all of the metadata.
///
/// # Errors
/// Those of [`read_regular`].
pub fn read_with_metadata(path: &Path, limit: u64) -> io::Result<(Metadata, Vec<u8>)> {
    let file = open(path)?;
    let found = file.metadata()?;
    let bytes = read_open(file, &found, limit)?;
    Ok((found, bytes))
}

/// Status of a readable file. Opens the file: on a network file system that asks the server, where
/// stat(2) may answer from a cache.
///
/// # Errors
/// Those of the system; `InvalidInput` for a relative path.
pub fn identify(path: &Path) -> io::Result<FileStatus> {
    Ok(FileStatus::from(&open(path)?.metadata()?))
}

/// Refuses a relative path: it depends on the current directory, which a user may have chosen.
pub(crate) fn absolute(path: &Path) -> io::Result<()> {
    match path.is_absolute() {
        true => Ok(()),
        false => Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "not an absolute path",
        )),
    }
}

fn open(path: &Path) -> io::Result<File> {
    absolute(path)?;
    File::options()
        .read(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(path)
}

/// As [`read_regular`], for an open file with its metadata.
///
/// # Errors
/// Those of [`read_regular`].
pub fn read_open(file: File, found: &Metadata, limit: u64) -> io::Result<Vec<u8>> {
    if !found.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    let too_large = || io::Error::other(format!("larger than {limit} bytes"));
    if found.len() > limit {
        return Err(too_large());
    }
    // One byte more than reported, to notice a file that grows.
    let size = match usize::try_from(found.len().min(limit)) {
        Ok(0) | Err(_) => PIECE,
        Ok(size) => size + 1,
    };
    let mut bytes = Vec::new();
    // Without memory for a long file, an error: a failed allocation would abort the process.
    let reserved = bytes.try_reserve_exact(size);
    reserved.map_err(|_| io::ErrorKind::OutOfMemory)?;
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    match bytes.len() as u64 > limit {
        true => Err(too_large()),
        false => Ok(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_regular_files_only() {
        assert!(
            read_regular(Path::new("/proc/self/status"), 1 << 20).is_ok_and(|it| !it.is_empty())
        );
        assert!(read_regular(Path::new("/dev/zero"), 10).is_err());
        assert!(read_regular(Path::new("/proc"), 10).is_err());
        assert!(read_regular(Path::new("/proc/self/status"), 10).is_err());
    }

    #[test]
    fn no_relative_path_is_opened() {
        // Cargo runs tests in the crate's directory.
        assert!(Path::new("Cargo.toml").exists() && Path::new("src").exists());
        let relative = Path::new("Cargo.toml");
        let src = Path::new("src");
        let kinds = [
            read_regular(relative, 1 << 20).err(),
            read_identified(relative, 1 << 20).err(),
            identify(relative).err(),
            identify(Path::new("")).err(),
            Directory::open(src).err(),
            crate::connect_unix(relative).err(),
            crate::mount_tmpfs(src, "").err(),
            crate::unmount(src).err(),
        ];
        for (index, error) in kinds.into_iter().enumerate() {
            let error = error.expect("it is refused");
            assert_eq!(error.to_string(), "not an absolute path", "{index}");
        }
    }

    #[test]
    fn a_directory_stays_the_one_that_was_opened() {
        let scratch = std::env::temp_dir().join(format!("sys-{}-directory", std::process::id()));
        let (old, new) = (scratch.join("old"), scratch.join("new"));
        std::fs::create_dir_all(&old).expect("make it");
        let dir = Directory::open(&old).expect("open it");
        std::fs::rename(&old, &new).expect("rename it");
        std::fs::create_dir(&old).expect("make another");
        let long = vec![b'x'; 3 * PIECE];
        std::fs::write(new.join("file"), &long).expect("write");
        std::os::unix::fs::symlink("file", new.join("link")).expect("link");

        assert_eq!(dir.read(c"file", 1 << 20).expect("read"), long);
        assert!(dir.read(c"file", 10).is_err());
        assert_eq!(dir.read_link(c"link").expect("read the link"), "file");
        assert!(dir.read_link(c"file").is_err());
        let missing = dir.file(c"nothing").expect_err("nothing there");
        assert_eq!(missing.kind(), io::ErrorKind::NotFound);
        assert!(dir.read(c"link", 1 << 20).is_err());
        assert!(Directory::open(&new.join("file")).is_err());
        std::os::unix::fs::symlink("new", scratch.join("other")).expect("link");
        assert!(Directory::open(&scratch.join("other")).is_err());
        assert!(dir.metadata().expect("of itself").is_dir());
        std::fs::remove_dir_all(&scratch).expect("clean up");
    }

    #[test]
    fn knows_what_only_memory_holds() {
        let is_in_memory = |path| Directory::open(Path::new(path)).and_then(|it| it.is_in_memory());
        assert!(is_in_memory("/dev/shm").expect("ask"));
        assert!(!is_in_memory("/proc").expect("ask"));
    }

    #[test]
    fn a_file_has_the_status_that_std_gives_it() {
        let dir = File::open("/etc").expect("open");
        let ours = status_at(&dir, c"passwd");
        let std = std::fs::metadata("/etc/passwd");
        let (ours, std) = (ours.expect("ask"), std.expect("ask std"));
        assert_eq!(ours, FileStatus::from(&std));
        let passwd = Path::new("/etc/passwd");
        let (read, bytes) = read_identified(passwd, 1 << 20).expect("read");
        assert_eq!((read, read.size), (ours, bytes.len() as u64));
        assert_eq!(identify(passwd).expect("open"), ours);
    }
}
