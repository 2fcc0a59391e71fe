//! A process like the one in which sshd runs PAM, and the user's process after it.

use std::ffi::CString;
use std::io;
use std::os::fd::OwnedFd;

use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::fcntl_dupfd_cloexec;
use rustix::process::{Pid, Signal};

use crate::users::{UserLookupError, ids_of_user};

/// Takes this process's standard input away from what runs in it: returns a copy, and opens /dev/null in its place.
///
/// # Errors
/// The system's error.
pub fn take_standard_input() -> io::Result<OwnedFd> {
    /// Above the numbers that a program may expect to be free.
    const ABOVE: i32 = 10;
    let copy = fcntl_dupfd_cloexec(rustix::stdio::stdin(), ABOVE)?;
    let null = openat(
        CWD,
        c"/dev/null",
        OFlags::RDWR | OFlags::CLOEXEC,
        Mode::empty(),
    )?;
    rustix::stdio::dup2_stdin(&null)?;
    Ok(copy)
}

/// Makes this process the leader of a session of its own, setsid(2).
///
/// # Errors
/// `PermissionDenied` if it leads a process group.
pub fn lead_session() -> io::Result<()> {
    rustix::process::setsid()?;
    Ok(())
}

/// Gives up root for this user, for good: initgroups(3), setgid(2), setuid(2). For a process of one thread.
///
/// # Errors
/// The system's error; `NotFound` if there is no such user.
pub fn become_user(name: &str) -> io::Result<()> {
    let (uid, gid) = ids_of_user(name.as_bytes()).map_err(|error| match error {
        UserLookupError::Unknown => io::Error::from(io::ErrorKind::NotFound),
        UserLookupError::Failed(cause) => cause,
    })?;
    let name = CString::new(name)?;
    let done = |code: i32| match code {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    };
    // SAFETY: initgroups(3) reads the NUL-terminated name.
    done(unsafe { libc::initgroups(name.as_ptr(), gid) })?;
    // SAFETY: setgid(2) takes any number; of root it sets all three gids.
    done(unsafe { libc::setgid(gid) })?;
    // SAFETY: setuid(2) takes any number; of root it sets all three uids.
    done(unsafe { libc::setuid(uid) })
}

/// Ends a process at once, kill(2) with SIGKILL.
///
/// # Errors
/// Those of kill(2).
pub fn end_process(pid: u32) -> io::Result<()> {
    let pid = i32::try_from(pid).ok().filter(|it| *it > 1);
    let pid = pid
        .and_then(Pid::from_raw)
        .ok_or(io::ErrorKind::InvalidInput)?;
    rustix::process::kill_process(pid, Signal::KILL)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_all_nor_init_is_ended() {
        for pid in [0, 1, u32::MAX] {
            assert!(end_process(pid).is_err(), "{pid}");
        }
    }

    #[test]
    fn nobody_becomes_an_unknown_user() {
        let error = become_user("no-such-user-here").expect_err("nobody");
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }
}
