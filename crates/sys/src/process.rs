//! Facts about this process and host.

use std::io;

/// Whether a user other than root may signal or control this process: its real, effective and saved uid,
/// getresuid(2), are not all root's. Who may signal it is said in kill(2): a sender whose real or
/// effective uid is the real or saved one of this process. `AT_SECURE` is no
/// answer to that: the kernel sets it at a transition between SELinux domains too, getauxval(3), as from
/// sshd to sshd-session, where all three stay root's.
#[must_use]
pub fn is_set_user_id() -> bool {
    let [mut real, mut effective, mut saved] = [u32::MAX; 3];
    // SAFETY: the three pointers are valid for the call.
    let code = unsafe { libc::getresuid(&raw mut real, &raw mut effective, &raw mut saved) };
    code != 0 || [real, effective, saved] != [0; 3]
}

/// The uid that this process acts as, geteuid(2).
#[must_use]
pub fn effective_uid() -> u32 {
    // SAFETY: geteuid(2) has no arguments and can't fail.
    unsafe { libc::geteuid() }
}

/// Whether there is a process with this number in this process's pid namespace, kill(2). Only ESRCH says
/// no: EPERM, and EACCES of SELinux, are about one that is there.
#[must_use]
pub fn is_there(pid: u32) -> bool {
    let Ok(pid @ 1..) = i32::try_from(pid) else {
        return false;
    };
    // SAFETY: kill(2) has no pointer arguments; signal 0 is none.
    let code = unsafe { libc::kill(pid, 0) };
    code == 0 || io::Error::last_os_error().raw_os_error() != Some(libc::ESRCH)
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

    /// Tests run as root or as a user, never as both.
    #[test]
    fn uids_of_this_process() {
        let status = std::fs::read_to_string("/proc/self/status").expect("/proc");
        let uids = status.lines().find_map(|it| it.strip_prefix("Uid:"));
        let uids: Vec<_> = uids.expect("uids").split_whitespace().take(3).collect();
        assert_eq!(is_set_user_id(), uids != ["0"; 3], "{uids:?}");
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
