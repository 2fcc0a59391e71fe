//! Facts about this process and host.

use std::io;

/// Whether the process got privileges from its file (set-user-ID, capabilities), so that its
/// environment may be an attacker's: `AT_SECURE` of getauxval(3), which secure_getenv(3) asks too.
#[must_use]
pub fn is_secure_execution() -> bool {
    // SAFETY: getauxval(3) takes any number and only reads the auxiliary vector.
    unsafe { libc::getauxval(libc::AT_SECURE) != 0 }
}

/// Whether a user may control this process: it was started by one, or it acts as another than its own.
#[must_use]
pub fn is_set_user_id() -> bool {
    let (mut real, mut effective, mut saved) = (0, 0, 0);
    // SAFETY: three valid pointers, getresuid(2).
    let code = unsafe { libc::getresuid(&raw mut real, &raw mut effective, &raw mut saved) };
    code != 0 || real != effective || saved != effective
}

/// The uid that this process acts as, geteuid(2).
#[must_use]
pub fn effective_uid() -> u32 {
    // SAFETY: geteuid(2) has no arguments and can't fail.
    unsafe { libc::geteuid() }
}

/// Whether there is a process with this number, as far as this process's pid namespace goes, kill(2).
#[must_use]
pub fn is_there(pid: u32) -> bool {
    let Ok(pid @ 1..) = i32::try_from(pid) else {
        return false;
    };
    // SAFETY: kill(2) has no pointer arguments; signal 0 is none.
    let code = unsafe { libc::kill(pid, 0) };
    code == 0 || io::Error::last_os_error().raw_os_error() == Some(libc::EPERM)
}

/// Tries to be the only one with a lock on an open file, until that is closed; flock(2).
///
/// # Errors
/// The system's; `WouldBlock` when another has it.
pub fn try_lock(file: &std::fs::File) -> io::Result<()> {
    use std::os::fd::AsRawFd as _;
    // SAFETY: flock(2) has no pointer arguments; the descriptor is open.
    match unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_there() {
        assert!(is_there(std::process::id()) && is_there(1));
        for nobody in [0, u32::MAX, i32::MAX as u32] {
            assert!(!is_there(nobody), "{nobody}");
        }
    }

    #[test]
    fn one_has_the_lock() {
        let open = || std::fs::File::open("/proc/self/status").expect("open");
        let (first, second) = (open(), open());
        try_lock(&first).expect("nobody has it");
        let refused = try_lock(&second).expect_err("the first has it");
        assert_eq!(refused.kind(), io::ErrorKind::WouldBlock);
        drop(first);
        try_lock(&second).expect("nobody has it");
    }
}
