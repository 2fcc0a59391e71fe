//! Facts about this process and host.

use std::ffi::{CStr, c_char};
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd as _;

use rustix::fs::FlockOperation;
use rustix::io::Errno;
use rustix::process::{Pid, Resource};

/// Whether a user other than root may signal or control this process: its real, effective and saved uid,
/// getresuid(2), are not all root's. A process may signal this one if its real or effective uid is this
/// one's real or saved uid, kill(2). `AT_SECURE` does not answer that: the kernel sets it at a transition
/// between SELinux domains too, getauxval(3), as from sshd to sshd-session, where all three stay root's.
#[must_use]
pub fn is_set_user_id() -> bool {
    let [mut real, mut effective, mut saved] = [u32::MAX; 3];
    // SAFETY: getresuid(2) stores a uid_t through each of its three pointers; each is a local variable's.
    let code = unsafe { libc::getresuid(&raw mut real, &raw mut effective, &raw mut saved) };
    code != 0 || [real, effective, saved] != [0; 3]
}

/// Effective uid of this process, geteuid(2).
#[must_use]
pub fn effective_uid() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// Whether this pid exists in this process's pid namespace, kill(2). Only ESRCH means no: EPERM, and EACCES
/// of SELinux, are about a process that exists.
#[must_use]
pub fn is_there(pid: u32) -> bool {
    let Ok(pid @ 1..) = i32::try_from(pid) else {
        return false;
    };
    Pid::from_raw(pid)
        .is_some_and(|pid| rustix::process::test_kill_process(pid) != Err(Errno::SRCH))
}

/// Tries to take the exclusive lock on an open file, flock(2). It is held until the file is closed.
///
/// # Errors
/// Those of flock(2); `WouldBlock` if another holds it.
pub fn try_lock(file: &File) -> io::Result<()> {
    rustix::fs::flock(file, FlockOperation::NonBlockingLockExclusive)?;
    Ok(())
}

/// Tries to take the exclusive lock on one byte of a file that is open for writing, which need not have that byte; an open
/// file description lock, fcntl(2). It is held until the file is closed.
///
/// # Errors
/// Those of `F_OFD_SETLK`; `WouldBlock` if another holds it, `InvalidInput` beyond 2^63.
pub fn try_lock_byte(file: &File, byte: u64) -> io::Result<()> {
    let start = i64::try_from(byte).map_err(|_| io::ErrorKind::InvalidInput)?;
    let lock = libc::flock {
        l_type: libc::F_WRLCK as _,
        l_whence: libc::SEEK_SET as _,
        l_start: start,
        l_len: 1,
        // Open file descriptions are not a process's.
        l_pid: 0,
    };
    // SAFETY: the descriptor is open as long as `file`, and the kernel only reads the lock during the call.
    match unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_SETLK, &raw const lock) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Whether the size of files that this process writes is limited (RLIMIT_FSIZE): a write beyond the limit
/// raises SIGXFSZ, getrlimit(2).
#[must_use]
pub fn is_file_size_limited() -> bool {
    rustix::process::getrlimit(Resource::Fsize)
        .current
        .is_some()
}

/// The name under which syslog(3) logs what this process says, unless openlog(3) has set another one: the last part
/// of the first argument as it was at the start, "sshd".
#[must_use]
pub fn program_name() -> String {
    unsafe extern "C" {
        static program_invocation_short_name: *const c_char;
    }
    // SAFETY: program_invocation_name(3): a pointer that libc has set before main, and that a program may set to
    // a string of its own. syslog(3) reads it as we do; sshd sets it before any other thread or module is there.
    let name = unsafe { program_invocation_short_name };
    if name.is_null() {
        return String::new();
    }
    // SAFETY: as above: a NUL-terminated string that stays.
    let name = unsafe { CStr::from_ptr(name) };
    name.to_string_lossy().into_owned()
}

/// The host's name, gethostname(2).
///
/// # Errors
/// `Other` if the name is not UTF-8.
pub fn hostname() -> io::Result<String> {
    let host = rustix::system::uname();
    let name = host.nodename().to_str();
    name.map(str::to_owned)
        .map_err(|_| io::Error::other("the host name is not UTF-8"))
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
        let open = || File::open("/proc/self/status").expect("open");
        let (first, second) = (open(), open());
        try_lock(&first).expect("nobody has it");
        let refused = try_lock(&second).expect_err("the first has it");
        assert_eq!(refused.kind(), io::ErrorKind::WouldBlock);
        drop(first);
        try_lock(&second).expect("nobody has it");
    }

    #[test]
    fn one_has_the_lock_of_a_byte() {
        let path = std::env::temp_dir().join(format!("sys-lock-{}", std::process::id()));
        let mut options = File::options();
        options.append(true).create(true);
        let open = || options.open(&path).expect("open");
        let (first, second) = (open(), open());
        try_lock_byte(&first, 1 << 40).expect("nobody has it");
        try_lock_byte(&second, 0).expect("another byte");
        let refused = try_lock_byte(&second, 1 << 40).expect_err("the first has it");
        assert_eq!(refused.kind(), io::ErrorKind::WouldBlock);
        drop(first);
        try_lock_byte(&second, 1 << 40).expect("nobody has it");
        let beyond = try_lock_byte(&second, u64::MAX).expect_err("no such byte");
        assert_eq!(beyond.kind(), io::ErrorKind::InvalidInput);
        std::fs::remove_file(&path).expect("removal");
    }
}
