//! Work that is done even if this process is killed before it can do it.

use std::io;
use std::os::fd::OwnedFd;

use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, Signal, kill_process, setpgid};

use crate::copy::{copy, end_copy, reap};
use crate::mask::Blocked;

/// A copy of this process that does some work if this process ends before it has dropped the guard.
#[derive(Debug)]
pub struct Guard {
    copy: Pid,
    /// Open as long as this process lives, or a copy that it has made since.
    _alive: OwnedFd,
}

impl Guard {
    /// Starts the copy, in a process group of its own: whoever kills that of this process, as slurmd does with an Epilog
    /// that takes too long, does not kill the guard.
    ///
    /// # Errors
    /// Those of pipe(2), clone(2) and setpgid(2).
    pub fn new(work: &dyn Fn()) -> io::Result<Self> {
        let (ended, alive) = pipe_with(PipeFlags::CLOEXEC)?;
        let blocked = Blocked::all()?;
        let Some(copy) = copy()? else {
            drop(alive);
            // Nothing is written: this returns at the end.
            let read = rustix::io::retry_on_intr(|| rustix::io::read(&ended, &mut [0_u8]));
            end_copy(|| read.map_or_else(|_| (), |_| work()));
        };
        drop(blocked);
        let guard = Self {
            copy,
            _alive: alive,
        };
        setpgid(Some(copy), Some(copy))?;
        Ok(guard)
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let _ = kill_process(self.copy, Signal::KILL);
        reap(self.copy);
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::Duration;

    use rustix::process::getpid;

    use super::*;
    use crate::{Deadline, by_copy};

    #[test]
    fn it_works_if_its_process_is_killed_and_not_if_it_is_dropped() {
        let path = std::env::temp_dir().join(format!("sys-{}-guard", std::process::id()));
        let work = || fs::write(&path, "").expect("write");
        let soon = Deadline::after(Duration::from_secs(20));
        let dropped = by_copy(&soon, &|| {
            drop(Guard::new(&work).expect("a copy"));
            7
        });
        assert_eq!(dropped.expect("an answer"), 7);
        assert!(!path.exists());
        let killed = by_copy(&soon, &|| {
            let _guard = Guard::new(&work).expect("a copy");
            kill_process(getpid(), Signal::KILL).expect("signal");
            0
        });
        killed.expect_err("it was killed");
        while !path.exists() {
            assert!(!soon.has_passed(), "nothing was done");
        }
        fs::remove_file(&path).expect("clean up");
    }
}
