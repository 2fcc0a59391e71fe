//! Facts about this process and host.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// For opening a file by its name: not where that is a link, open(2).
pub const NO_FOLLOW: i32 = libc::O_NOFOLLOW;

/// Whether the process got privileges from its file (set-user-ID, capabilities), so that its
/// environment may be an attacker's: `AT_SECURE` of getauxval(3), which secure_getenv(3) asks too.
#[must_use]
pub fn is_secure_execution() -> bool {
    // SAFETY: getauxval(3) takes any number and only reads the auxiliary vector.
    unsafe { libc::getauxval(libc::AT_SECURE) != 0 }
}

/// The uid that this process acts as, geteuid(2).
#[must_use]
pub fn effective_uid() -> u32 {
    // SAFETY: geteuid(2) has no arguments and can't fail.
    unsafe { libc::geteuid() }
}

/// Whether files that this process writes may not grow beyond some size (RLIMIT_FSIZE): the kernel
/// sends SIGXFSZ to who tries, getrlimit(2).
#[must_use]
pub fn is_file_size_limited() -> bool {
    // SAFETY: rlimit is plain data for which all-zero is a valid value.
    let mut found: libc::rlimit = unsafe { std::mem::zeroed() };
    // SAFETY: the pointer is valid for the call.
    let code = unsafe { libc::getrlimit(libc::RLIMIT_FSIZE, &raw mut found) };
    code != 0 || found.rlim_cur != libc::RLIM_INFINITY
}

/// The host's name as the kernel has it, gethostname(2).
///
/// # Errors
/// The system's error, or one that says the name is no UTF-8.
pub fn hostname() -> io::Result<String> {
    // HOST_NAME_MAX is 64 on Linux; one more for the NUL.
    let mut buffer = [0u8; 65];
    // SAFETY: the buffer is writable for the length given; gethostname(2) stays within it.
    if unsafe { libc::gethostname(buffer.as_mut_ptr().cast(), buffer.len()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    let name = buffer.split(|byte| *byte == 0).next().unwrap_or_default();
    String::from_utf8(name.to_vec()).map_err(|_| io::Error::other("the host name is not UTF-8"))
}

/// Reads a regular file of at most `limit` bytes. Never waits for one that is something else
/// (a FIFO, a device) to be opened.
///
/// # Errors
/// The system's, or one that says what the file is instead.
pub fn read_regular(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let file = File::options()
        .read(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(path)?;
    let found = file.metadata()?;
    if !found.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    // One more byte than it should have tells a growing file; those of /proc have no size.
    let mut bytes = Vec::with_capacity(usize::try_from(found.len().min(limit)).unwrap_or(0) + 1);
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    match bytes.len() as u64 > limit {
        true => Err(io::Error::other(format!("larger than {limit} bytes"))),
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
}
