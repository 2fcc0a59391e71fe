//! File systems in memory.

use std::ffi::CString;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

/// Mounts a tmpfs on a directory: no device files, no set-user-ID programs. `options` are those of
/// tmpfs(5).
///
/// # Errors
/// The system's, mount(2).
pub fn mount_tmpfs(dir: &Path, options: &str) -> io::Result<()> {
    let dir = path_of(dir)?;
    let options = CString::new(options).map_err(io::Error::other)?;
    // SAFETY: four NUL-terminated strings; tmpfs takes its options as one, mount(2).
    let code = unsafe {
        libc::mount(
            c"tmpfs".as_ptr(),
            dir.as_ptr(),
            c"tmpfs".as_ptr(),
            libc::MS_NOSUID | libc::MS_NODEV,
            options.as_ptr().cast(),
        )
    };
    result(code)
}

/// Takes away what is mounted on a directory, whoever still uses it; not where the name is a link.
///
/// # Errors
/// The system's, umount2(2): `InvalidInput` where nothing is mounted.
pub fn unmount(dir: &Path) -> io::Result<()> {
    let dir = path_of(dir)?;
    // SAFETY: a NUL-terminated string.
    result(unsafe { libc::umount2(dir.as_ptr(), libc::MNT_DETACH | libc::UMOUNT_NOFOLLOW) })
}

fn path_of(path: &Path) -> io::Result<CString> {
    crate::files::absolute(path)?;
    CString::new(path.as_os_str().as_bytes()).map_err(io::Error::other)
}

fn result(code: i32) -> io::Result<()> {
    match code {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_there_is_an_error() {
        let missing = Path::new("/nonexistent/dir");
        for result in [mount_tmpfs(missing, "mode=0700"), unmount(missing)] {
            let kind = result.expect_err("no such directory").kind();
            // Whoever is not root is told before the path is looked at.
            let kinds = [io::ErrorKind::NotFound, io::ErrorKind::PermissionDenied];
            assert!(kinds.contains(&kind), "{kind}");
        }
        assert!(mount_tmpfs(Path::new("/a\0b"), "").is_err());
        assert!(mount_tmpfs(missing, "a\0b").is_err());
    }
}
