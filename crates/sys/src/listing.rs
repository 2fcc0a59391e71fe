//! A directory's names, and the status of each relative to the open directory.

use std::ffi::CStr;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use rustix::fs::{Dir, DirEntry};

use crate::files::{self, FileStatus};

/// A directory that is being listed.
#[derive(Debug)]
pub struct Listing {
    dir: Dir,
    /// The last one read: it holds the name that is lent out.
    entry: Option<DirEntry>,
}

impl Listing {
    /// Opens a directory for listing.
    ///
    /// # Errors
    /// Those of open(2); `InvalidInput` for a relative path.
    pub fn open(path: &Path) -> io::Result<Self> {
        files::absolute(path)?;
        let dir = File::options()
            .read(true)
            .custom_flags(libc::O_DIRECTORY | libc::O_NONBLOCK)
            .open(path)?;
        Self::of(dir.into())
    }

    /// Lists a directory that is open for reading.
    ///
    /// # Errors
    /// Those of the system.
    pub(crate) fn of(dir: OwnedFd) -> io::Result<Self> {
        let dir = Dir::new(dir)?;
        Ok(Self { dir, entry: None })
    }

    /// The next name, including `.` and `..`; `None` at the end.
    ///
    /// # Errors
    /// Those of getdents(2).
    #[allow(
        clippy::should_implement_trait,
        reason = "an iterator could not lend a name until the next call"
    )]
    pub fn next(&mut self) -> io::Result<Option<&CStr>> {
        self.entry = self.dir.read().transpose()?;
        Ok(self.entry.as_ref().map(DirEntry::file_name))
    }

    /// Status of a file in the directory; for a symbolic link, of the link itself.
    ///
    /// # Errors
    /// Those of fstatat(2).
    pub fn status(&self, name: &CStr) -> io::Result<FileStatus> {
        files::status_at(self.dir.fd()?, name)
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::CString;
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn names_and_what_they_stand_for() {
        let scratch = std::env::temp_dir().join(format!("sys-{}-listing", std::process::id()));
        let _ = std::fs::remove_dir_all(&scratch);
        std::fs::create_dir(&scratch).expect("make it");
        let long = "x".repeat(255);
        std::fs::write(scratch.join(&long), "12345").expect("write");
        let _listener = UnixListener::bind(scratch.join("socket")).expect("listen");
        std::os::unix::fs::symlink("socket", scratch.join("link")).expect("link");
        let mut listing = Listing::open(&scratch).expect("open");
        let mut names: Vec<CString> = Vec::new();
        while let Some(name) = listing.next().expect("read") {
            names.push(name.to_owned());
        }
        assert!(
            listing.next().expect("read").is_none(),
            "it stays at the end"
        );
        names.sort();
        let long = CString::new(long).expect("a name");
        let expected = [c".", c"..", c"link", c"socket", &long].map(CStr::to_owned);
        assert_eq!(names, expected);
        let kinds = [c"socket", c"link"].map(|it| listing.status(it).expect("ask").is_socket);
        assert_eq!(kinds, [true, false]);
        assert_eq!(listing.status(&long).expect("ask").size, 5);
        assert!(listing.status(c"nothing").is_err());
        drop(listing);
        for wrong in [scratch.join("link"), scratch.join("nothing")] {
            assert!(Listing::open(&wrong).is_err());
        }
        std::fs::remove_dir_all(&scratch).expect("clean up");
    }

    #[test]
    fn leaves_no_descriptor_behind() {
        let count = || std::fs::read_dir("/proc/self/fd").map(Iterator::count);
        let before = count().expect("count");
        for _ in 0..100 {
            Listing::open(Path::new("/"))
                .expect("open")
                .next()
                .expect("read");
        }
        // Other tests run beside this one.
        assert!(count().expect("count") < before + 50);
    }
}
