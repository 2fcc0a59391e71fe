//! A directory's names without a copy of each, and what they stand for without going there anew.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsRawFd as _, IntoRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::ptr::NonNull;

use crate::files::{self, FileStatus};

/// A directory that is being listed.
#[derive(Debug)]
pub struct Listing(NonNull<libc::DIR>);

impl Listing {
    /// Opens it.
    ///
    /// # Errors
    /// The system's; `InvalidInput` for a path that is not absolute.
    pub fn open(path: &Path) -> io::Result<Self> {
        files::absolute(path)?;
        let path = CString::new(path.as_os_str().as_bytes())?;
        loop {
            // SAFETY: the path is NUL-terminated. opendir(3) waits for nothing that is no directory, and
            // closes on exec (glibc, sysdeps/unix/sysv/linux/opendir.c).
            let dir = unsafe { libc::opendir(path.as_ptr()) };
            let error = io::Error::last_os_error();
            match NonNull::new(dir) {
                Some(dir) => return Ok(Self(dir)),
                None if error.kind() == io::ErrorKind::Interrupted => {}
                None => return Err(error),
            }
        }
    }

    /// Lists a directory that is open for reading.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn of(dir: OwnedFd) -> io::Result<Self> {
        // SAFETY: the descriptor is open; fdopendir(3) takes it over unless it fails.
        let stream = unsafe { libc::fdopendir(dir.as_raw_fd()) };
        let stream = NonNull::new(stream).ok_or_else(io::Error::last_os_error)?;
        // closedir(3) closes it.
        let _ = dir.into_raw_fd();
        Ok(Self(stream))
    }

    /// The next name, `.` and `..` among them; none at the end.
    ///
    /// # Errors
    /// The system's.
    #[allow(
        clippy::should_implement_trait,
        reason = "an iterator could not lend what is valid until the next call"
    )]
    pub fn next(&mut self) -> io::Result<Option<&CStr>> {
        // SAFETY: __errno_location(3) is this thread's errno; readdir(3) tells its end from an error
        // by that alone.
        unsafe { *libc::__errno_location() = 0 };
        // SAFETY: the stream is open, and ours alone (&mut).
        let entry = unsafe { libc::readdir64(self.0.as_ptr()) };
        if entry.is_null() {
            let error = io::Error::last_os_error();
            return match error.raw_os_error() {
                Some(0) | None => Ok(None),
                Some(_) => Err(error),
            };
        }
        // SAFETY: readdir(3): d_name is NUL-terminated, and stays until the next call on this stream,
        // which needs the &mut that the answer holds. No reference is made to the entry as a whole,
        // which may be shorter than its type.
        Ok(Some(unsafe {
            CStr::from_ptr((&raw const (*entry).d_name).cast())
        }))
    }

    /// What a file in it is; of a link, what the link is.
    ///
    /// # Errors
    /// The system's.
    pub fn status(&self, name: &CStr) -> io::Result<FileStatus> {
        // SAFETY: the stream is open; dirfd(3) only tells its descriptor.
        let fd = unsafe { libc::dirfd(self.0.as_ptr()) };
        files::status_at(fd, name)
    }
}

impl Drop for Listing {
    fn drop(&mut self) {
        // SAFETY: the stream is open, and used no more.
        unsafe { libc::closedir(self.0.as_ptr()) };
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
