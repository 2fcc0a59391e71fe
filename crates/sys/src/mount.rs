//! File systems in memory.

use std::ffi::CString;
use std::io;
use std::path::Path;

use rustix::mount::{MountFlags, UnmountFlags};

/// Mounts a tmpfs on a directory, without device files and set-user-ID programs. `options` are those of
/// tmpfs(5).
///
/// # Errors
/// Those of mount(2); `InvalidInput` for a relative path.
pub fn mount_tmpfs(dir: &Path, options: &str) -> io::Result<()> {
    crate::files::absolute(dir)?;
    let options = CString::new(options).map_err(io::Error::other)?;
    let flags = MountFlags::NOSUID | MountFlags::NODEV;
    rustix::mount::mount(c"tmpfs", dir, c"tmpfs", flags, options.as_c_str())?;
    Ok(())
}

/// Unmounts what is mounted on a directory, even while it is in use (MNT_DETACH). Fails if the path names
/// a symbolic link.
///
/// # Errors
/// Those of umount2(2): `InvalidInput` if nothing is mounted there, or for a relative path.
pub fn unmount(dir: &Path) -> io::Result<()> {
    crate::files::absolute(dir)?;
    rustix::mount::unmount(dir, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_there_is_an_error() {
        let missing = Path::new("/nonexistent/dir");
        for result in [mount_tmpfs(missing, "mode=0700"), unmount(missing)] {
            let kind = result.expect_err("no such directory").kind();
            // Without root's rights the call fails before the path is checked.
            let kinds = [io::ErrorKind::NotFound, io::ErrorKind::PermissionDenied];
            assert!(kinds.contains(&kind), "{kind}");
        }
        assert!(mount_tmpfs(Path::new("/a\0b"), "").is_err());
        assert!(mount_tmpfs(missing, "a\0b").is_err());
    }
}
