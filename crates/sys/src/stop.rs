//! Stops all that a user has at once: what forks faster than it can be looked at stands still then.

use std::io;

use crate::copy::by_copy;
use crate::deadline::Deadline;

/// The real uid of the process that signals. No process has it, so that neither its rights nor anyone's over it come
/// of it.
const NOBODYS: u32 = 4_294_967_280;
/// The answers of that process.
const STOPPED: u8 = 0;
const NOTHING_THERE: u8 = 1;
const HAS_RIGHTS: u8 = 2;
const FAILED: u8 = 3;

/// Sends SIGSTOP to each process whose real or saved uid is this user's, kill(2) with pid -1: the kernel lets no
/// process fork until all have it (Linux, `kernel/signal.c`, `kill_something_info`, and `kernel/fork.c`). For root.
///
/// # Errors
/// Those of [`by_copy`]; `PermissionDenied` if the user's rights would reach others' processes, or for root's own.
pub fn stop_all_of(uid: u32, deadline: &Deadline) -> io::Result<()> {
    if uid == 0 || uid == u32::MAX || uid == NOBODYS {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    match by_copy(deadline, &|| stop_as(uid))? {
        STOPPED | NOTHING_THERE => Ok(()),
        HAS_RIGHTS => Err(io::ErrorKind::PermissionDenied.into()),
        _ => Err(io::Error::other("kill(2) as the user failed")),
    }
}

/// Runs in a process of its own, with the user's effective uid alone: kill(2) compares the sender's real and effective
/// uid with the receiver's real and saved one. The user may not signal it, because its own are others'.
fn stop_as(uid: u32) -> u8 {
    // SAFETY: setresuid(2) takes any numbers. The call itself and not glibc's, which waits for other threads; this
    // process is a copy of one thread.
    let code = unsafe { libc::syscall(libc::SYS_setresuid, NOBODYS, uid, 0) };
    if code != 0 {
        return FAILED;
    }
    // SAFETY: kill(2) with signal 0 sends nothing. Process 1 is root's.
    if unsafe { libc::kill(1, 0) } == 0 {
        return HAS_RIGHTS;
    }
    // SAFETY: kill(2) accesses no memory; -1 leaves out the caller and what it may not signal.
    match unsafe { libc::kill(-1, libc::SIGSTOP) } {
        0 => STOPPED,
        _ if io::Error::last_os_error().raw_os_error() == Some(libc::ESRCH) => NOTHING_THERE,
        _ => FAILED,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::CommandExt as _;
    use std::process::{Child, Command};
    use std::time::Duration;

    use super::*;
    use crate::Proc;

    struct Sleep(Child);

    impl Sleep {
        fn of(uid: u32) -> Self {
            let mut sleep = Command::new("sleep");
            Self(sleep.arg("1000").uid(uid).spawn().expect("root's rights"))
        }

        fn is_stopped(&self) -> bool {
            let proc = Proc::own().expect("/proc");
            let dir = proc.process(self.0.id()).expect("open").expect("it lives");
            dir.status().expect("read").expect("it lives").is_stopped
        }
    }

    impl Drop for Sleep {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    /// Needs root.
    #[test]
    fn all_of_a_user_is_stopped_and_nothing_else() {
        // Uids of nobody.
        let (uid, other) = (4_294_960_001, 4_294_960_002);
        let children = [uid, uid, other].map(Sleep::of);
        let soon = Deadline::after(Duration::from_secs(10));
        stop_all_of(uid, &soon).expect("stop");
        // One that runs on another processor stops at its next moment.
        while !(children[0].is_stopped() && children[1].is_stopped()) {
            assert!(!soon.has_passed(), "not stopped");
        }
        assert!(!children[2].is_stopped());
        drop(children);
        stop_all_of(uid, &soon).expect("nobody is there");
        assert!(stop_all_of(0, &soon).is_err() && stop_all_of(u32::MAX, &soon).is_err());
    }
}
