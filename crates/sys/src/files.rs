//! Files and directories, with fewer steps than std takes and relative to a directory that is open.

use std::ffi::{CStr, OsString, c_int};
use std::fs::{File, Metadata};
use std::io::{self, Read as _};
use std::mem;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd, RawFd};
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

/// For opening a file by its name: not where that is a link, open(2).
pub const NO_FOLLOW: i32 = libc::O_NOFOLLOW;
/// The error of one that may not be a link, and is.
pub const IS_LINK: i32 = libc::ELOOP;
/// Bytes that are asked for at once of a file that does not know its size, as those of /proc.
const PIECE: usize = 4096;

/// A directory that is open: it stays the one it is, whatever becomes of its name.
#[derive(Debug)]
pub struct Directory(File);

/// What a file is, stat(2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileStatus {
    /// Its owner.
    pub uid: u32,
    /// Whether it is a socket.
    pub is_socket: bool,
    /// Its length, in bytes.
    pub size: u64,
    /// The device that it is on.
    pub device: u64,
    /// Its number there.
    pub inode: u64,
    /// When it was last changed: seconds since 1970, and nanoseconds.
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
    /// Opens it only to reach what is in it: needs no right to list it, and can't. Not where its name
    /// is a link.
    ///
    /// # Errors
    /// The system's; `InvalidInput` for a path that is not absolute.
    pub fn open(path: &Path) -> io::Result<Self> {
        absolute(path)?;
        File::options()
            .read(true)
            .custom_flags(libc::O_PATH | libc::O_DIRECTORY | NO_FOLLOW)
            .open(path)
            .map(Self)
    }

    /// Its descriptor's number, as /proc/self/fd has it.
    pub(crate) fn number(&self) -> String {
        self.0.as_raw_fd().to_string()
    }

    /// What it is itself.
    ///
    /// # Errors
    /// The system's.
    pub fn metadata(&self) -> io::Result<Metadata> {
        self.0.metadata()
    }

    /// Whether it is on a file system that only memory holds: nothing there is older than the boot.
    ///
    /// # Errors
    /// The system's.
    pub fn is_in_memory(&self) -> io::Result<bool> {
        /// `linux/magic.h`.
        const TMPFS_MAGIC: i128 = 0x0102_1994;
        const RAMFS_MAGIC: i128 = 0x8584_58F6;
        // SAFETY: statfs is plain data for which all-zero is a valid value.
        let mut found: libc::statfs = unsafe { mem::zeroed() };
        // SAFETY: the descriptor is open, the pointer valid for the call.
        if unsafe { libc::fstatfs(self.0.as_raw_fd(), &raw mut found) } != 0 {
            return Err(io::Error::last_os_error());
        }
        Ok([TMPFS_MAGIC, RAMFS_MAGIC].contains(&i128::from(found.f_type)))
    }

    /// Opens a file in it to be read; of a FIFO without waiting, and no link.
    ///
    /// # Errors
    /// The system's.
    pub fn file(&self, name: &CStr) -> io::Result<File> {
        let flags = libc::O_RDONLY | libc::O_NONBLOCK | libc::O_CLOEXEC | NO_FOLLOW;
        // SAFETY: the directory is open, the name NUL-terminated; openat(2) needs no mode here.
        let fd = unsafe { libc::openat(self.0.as_raw_fd(), name.as_ptr(), flags) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: openat(2) just returned this descriptor; nobody else owns it.
        Ok(unsafe { File::from_raw_fd(fd) })
    }

    /// Reads a regular file in it, as [`read_regular`] does, but no link.
    ///
    /// # Errors
    /// As there.
    pub fn read(&self, name: &CStr, limit: u64) -> io::Result<Vec<u8>> {
        let file = self.file(name)?;
        let found = file.metadata()?;
        read_open(file, &found, limit)
    }

    /// Where a link in it leads, readlink(2).
    ///
    /// # Errors
    /// The system's.
    pub fn read_link(&self, name: &CStr) -> io::Result<OsString> {
        let mut target = vec![0; libc::PATH_MAX as usize];
        // SAFETY: the directory is open, the name NUL-terminated, the buffer writable for its length.
        let count = unsafe {
            libc::readlinkat(
                self.0.as_raw_fd(),
                name.as_ptr(),
                target.as_mut_ptr().cast(),
                target.len(),
            )
        };
        // One that fills the buffer may have been cut.
        match usize::try_from(count) {
            Ok(count) if count < target.len() => target.truncate(count),
            Ok(_) => return Err(io::Error::other("the link is too long")),
            Err(_) => return Err(io::Error::last_os_error()),
        }
        Ok(OsString::from_vec(target))
    }
}

/// Whether both are open on one file: of namespaces, whether they are one, namespaces(7).
///
/// # Errors
/// The system's.
pub fn is_same_file(one: &OwnedFd, other: &OwnedFd) -> io::Result<bool> {
    let identity = |fd: &OwnedFd| -> io::Result<(u64, u64)> {
        // SAFETY: stat is plain data for which all-zero is a valid value.
        let mut found: libc::stat64 = unsafe { mem::zeroed() };
        // SAFETY: the descriptor is open, the pointer valid for the call.
        match unsafe { libc::fstat64(fd.as_raw_fd(), &raw mut found) } {
            0 => Ok((found.st_dev, found.st_ino)),
            _ => Err(io::Error::last_os_error()),
        }
    };
    Ok(identity(one)? == identity(other)?)
}

/// What a file in an open directory is; of a link, what the link is.
pub(crate) fn status_at(dir: RawFd, name: &CStr) -> io::Result<FileStatus> {
    // SAFETY: stat is plain data for which all-zero is a valid value.
    let mut found: libc::stat64 = unsafe { mem::zeroed() };
    let flags: c_int = libc::AT_SYMLINK_NOFOLLOW;
    // SAFETY: the name is NUL-terminated, the pointer valid for the call; a descriptor that is none is
    // an error.
    if unsafe { libc::fstatat64(dir, name.as_ptr(), &raw mut found, flags) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(FileStatus {
        uid: found.st_uid,
        is_socket: found.st_mode & libc::S_IFMT == libc::S_IFSOCK,
        size: found.st_size as u64,
        device: found.st_dev,
        inode: found.st_ino,
        changed: (found.st_ctime, found.st_ctime_nsec),
    })
}

/// Reads a regular file of at most `limit` bytes. Never waits for one that is something else
/// (a FIFO, a device) to be opened.
///
/// # Errors
/// The system's, or one that says what the file is instead; `InvalidInput` for a path that is not absolute.
pub fn read_regular(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    read_identified(path, limit).map(|(_, bytes)| bytes)
}

/// The same, with what the file was before it was read: one that is changed meanwhile is another
/// one afterwards.
///
/// # Errors
/// As there.
pub fn read_identified(path: &Path, limit: u64) -> io::Result<(FileStatus, Vec<u8>)> {
    let file = open(path)?;
    let found = file.metadata()?;
    let bytes = read_open(file, &found, limit)?;
    Ok((FileStatus::from(&found), bytes))
}

/// What a file is that can be read. It is opened for that: on a network file system that asks the
/// server, which stat(2) may not.
///
/// # Errors
/// The system's; `InvalidInput` for a path that is not absolute.
pub fn identify(path: &Path) -> io::Result<FileStatus> {
    Ok(FileStatus::from(&open(path)?.metadata()?))
}

/// Refuses a relative path: it leads to wherever the host's current directory is, and with su that is the
/// user's choice.
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

/// [`read_regular`] of a file that is open, and was found to be that.
///
/// # Errors
/// As there.
pub fn read_open(file: File, found: &Metadata, limit: u64) -> io::Result<Vec<u8>> {
    if !found.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    let too_large = || io::Error::other(format!("larger than {limit} bytes"));
    if found.len() > limit {
        return Err(too_large());
    }
    // One more byte than it should have tells a growing file.
    let size = match usize::try_from(found.len().min(limit)) {
        Ok(0) | Err(_) => PIECE,
        Ok(size) => size + 1,
    };
    let mut bytes = Vec::new();
    // Not to end the process where there is no memory for a long file.
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
            crate::Listing::open(src).err(),
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
        let ours = status_at(dir.as_raw_fd(), c"passwd");
        let std = std::fs::metadata("/etc/passwd");
        let (ours, std) = (ours.expect("ask"), std.expect("ask std"));
        assert_eq!(ours, FileStatus::from(&std));
        let passwd = Path::new("/etc/passwd");
        let (read, bytes) = read_identified(passwd, 1 << 20).expect("read");
        assert_eq!((read, read.size), (ours, bytes.len() as u64));
        assert_eq!(identify(passwd).expect("open"), ours);
    }
}
