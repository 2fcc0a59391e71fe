//! Runs work that may never return in a copy of this process.

use std::io;
use std::os::fd::OwnedFd;
use std::panic::{self, AssertUnwindSafe};
use std::time::Duration;

use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{
    Pid, Signal, WaitOptions, kill_process, set_parent_process_death_signal, waitpid,
};

use crate::deadline::Deadline;
use crate::mask::Blocked;
use crate::socket::{Interest, poll};

/// Does the work in a copy of this process and returns its result. Kills the copy at the deadline.
///
/// Changes that the work makes in memory are lost. The application gets no SIGCHLD, and its own wait(2) does not find
/// the copy. In an application with threads, a lock that another thread holds stays locked in the copy: the deadline
/// ends that.
///
/// # Errors
/// `TimedOut` at the deadline; `Other` if the copy ended without a result; otherwise the system's error.
pub fn by_copy(deadline: &Deadline, work: &dyn Fn() -> u8) -> io::Result<u8> {
    let bytes = bytes_by_copy(deadline, 1, &|| vec![work()])?;
    Ok(bytes[0])
}

/// As [`by_copy`], for a result of at least one byte and at most `most`; the rest is cut off.
///
/// # Errors
/// Those of [`by_copy`].
pub fn bytes_by_copy(
    deadline: &Deadline,
    most: usize,
    work: &dyn Fn() -> Vec<u8>,
) -> io::Result<Vec<u8>> {
    let (answer, result) = pipe_with(PipeFlags::CLOEXEC)?;
    let blocked = Blocked::all()?;
    let Some(pid) = copy()? else {
        let _ = set_parent_process_death_signal(Some(Signal::KILL));
        end_copy(|| write(&result, &work()));
    };
    drop(blocked);
    drop(result);
    let read = read_bytes(&answer, most, deadline);
    if read.is_err() {
        let _ = kill_process(pid, Signal::KILL);
    }
    reap(pid);
    read
}

/// Copies this process. Returns the copy's pid; None in the copy. There signals must stay blocked: the handlers are the
/// application's.
pub(crate) fn copy() -> io::Result<Option<Pid>> {
    // Not fork(2): without an exit signal it is a "clone child", clone(2), that nobody else waits for.
    // SAFETY: clone(2) without flags copies this process with its memory and stack. All arguments but the flags are
    // 0, so that their order, which differs by architecture, does not matter.
    let pid = unsafe { libc::syscall(libc::SYS_clone, 0, 0, 0, 0, 0) };
    match i32::try_from(pid) {
        Ok(0) => Ok(None),
        Ok(pid) if pid > 0 => Ok(Pid::from_raw(pid)),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Ends the copy after its last work.
pub(crate) fn end_copy(work: impl FnOnce()) -> ! {
    let _ = panic::catch_unwind(AssertUnwindSafe(work));
    // SAFETY: _exit(2) ends the process and runs no handlers of the application's.
    unsafe { libc::_exit(0) }
}

fn write(result: &OwnedFd, bytes: &[u8]) {
    let mut rest = bytes;
    while let Ok(count @ 1..) = rustix::io::retry_on_intr(|| rustix::io::write(result, rest)) {
        rest = rest.get(count..).unwrap_or_default();
    }
}

fn read_bytes(answer: &OwnedFd, most: usize, deadline: &Deadline) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; most];
    let mut length = 0;
    // Not to the end at any rate: what the work has started may keep the pipe open.
    while length < most {
        let mut interests = [Interest::readable(answer)];
        poll(&mut interests, deadline.remaining())?;
        if !interests[0].is_ready() {
            match deadline.has_passed() {
                true => return Err(io::ErrorKind::TimedOut.into()),
                false => continue,
            }
        }
        let rest = &mut bytes[length..];
        match rustix::io::retry_on_intr(|| rustix::io::read(answer, &mut *rest))? {
            0 if length == 0 => {
                return Err(io::Error::other("the process ended without an answer"));
            }
            0 => break,
            count => length += count,
        }
    }
    bytes.truncate(length);
    Ok(bytes)
}

/// Waits briefly for the end of the copy. One that cannot be killed now (a dead NFS server) is left to init.
pub(crate) fn reap(pid: Pid) {
    const TRIES: usize = 20;
    let options = WaitOptions::from_bits_retain(libc::__WALL as u32) | WaitOptions::NOHANG;
    for _ in 0..TRIES {
        match waitpid(Some(pid), options) {
            Ok(None) | Err(Errno::INTR) => {
                let _ = poll(&mut [], Duration::from_millis(1));
            }
            Ok(Some(_)) | Err(_) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::fs;
    use std::path::Path;
    use std::thread;

    use super::*;

    #[test]
    fn a_copy_does_it() {
        let seen = Cell::new(0);
        let parent = std::process::id();
        let work = || {
            seen.set(std::process::id());
            u8::from(std::process::id() != parent)
        };
        let deadline = Deadline::after(Duration::from_secs(10));
        assert_eq!(by_copy(&deadline, &work).expect("it answers"), 1);
        assert_eq!(seen.get(), 0, "its memory is its own");
    }

    #[test]
    fn what_never_returns_ends_at_the_deadline() {
        let deadline = Deadline::after(Duration::from_millis(500));
        let path = std::env::temp_dir().join(format!("sys-{}-copy", std::process::id()));
        let forever = || -> u8 {
            fs::write(&path, std::process::id().to_string()).expect("write");
            loop {
                thread::sleep(Duration::from_secs(60));
            }
        };
        let error = by_copy(&deadline, &forever).expect_err("nobody answers");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        let pid = fs::read_to_string(&path).expect("its number");
        assert!(!Path::new("/proc").join(&pid).exists(), "{pid} is left");
        fs::remove_file(&path).expect("clean up");
    }

    #[test]
    fn long_results_come_whole_or_cut() {
        let deadline = Deadline::after(Duration::from_secs(10));
        let long: Vec<u8> = (0..300_000_u32).map(|it| it as u8).collect();
        for most in [1, 65_536, 299_999, 300_000, 400_000] {
            let bytes = bytes_by_copy(&deadline, most, &|| long.clone()).expect("it answers");
            assert!(bytes == long[..most.min(long.len())], "{most}");
        }
        let nothing = bytes_by_copy(&deadline, 10, &Vec::new).expect_err("no answer");
        assert!(nothing.to_string().ends_with("without an answer"));
    }

    #[test]
    fn a_panic_is_an_error() {
        let deadline = Deadline::after(Duration::from_secs(10));
        let quiet = || {
            panic::set_hook(Box::new(|_| ()));
            panic!("here")
        };
        let error = by_copy(&deadline, &quiet).expect_err("it panicked");
        assert!(error.to_string().ends_with("without an answer"), "{error}");
    }
}
