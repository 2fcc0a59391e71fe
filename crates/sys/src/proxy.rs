//! Runs work in a second process that shares this one's memory.

use std::ffi::{c_int, c_void};
use std::fmt;
use std::io;
use std::panic::{self, AssertUnwindSafe};
use std::ptr;

use rustix::process::{Pid, Signal, WaitOptions, getpid, kill_process, waitpid};

use crate::mask::Blocked;

/// Stack of the second process, and in front of it memory that nothing may access.
const STACK: usize = 256 << 10;
const GUARD: usize = 64 << 10;
type Work<'a> = &'a dyn Fn() -> u8;

/// Does the work in a second process, started as posix_spawn(3) starts a child, and waits for its end. If
/// something moves, freezes or limits this process meanwhile, the second one is not affected.
///
/// Returns the result of the work. A panic in it is an error.
///
/// The second process shares this one's memory but has its own descriptors: a file that it opens is not open
/// here. So the work must not call functions that remember a descriptor, such as syslog(3). The application gets
/// no SIGCHLD, and its own wait(2) does not find the process. Signals are blocked until the work is done; the
/// caller limits how long that takes.
///
/// # Errors
/// [`ProxyError`].
pub fn by_proxy(work: Work<'_>) -> Result<u8, ProxyError> {
    let stack = Stack::new().map_err(ProxyError::NotStarted)?;
    let blocked = Blocked::all().map_err(ProxyError::NotStarted)?;
    let started = start(&stack, &work).map_err(ProxyError::NotStarted);
    let done = started.and_then(|pid| wait(pid).map_err(ProxyError::Ended));
    drop(blocked);
    done
}

/// Reason why the second process did not do the work.
#[derive(Debug)]
pub enum ProxyError {
    /// There is no second process: nothing was done.
    NotStarted(io::Error),
    /// It ended early: the work may be partly done.
    Ended(io::Error),
}

impl fmt::Display for ProxyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotStarted(error) | Self::Ended(error) => write!(f, "{error}"),
        }
    }
}

fn start(stack: &Stack, work: &Work<'_>) -> io::Result<Pid> {
    // Without an exit signal it is a "clone child", clone(2), which only __WALL or __WCLONE wait for.
    let flags = libc::CLONE_VM | libc::CLONE_VFORK;
    let argument = ptr::from_ref(work).cast_mut().cast::<c_void>();
    // SAFETY: clone(2): the stack points "to the topmost address of the memory space set up for the child
    // stack"; this one is writable, aligned and used by nothing else. `run` gets the argument it expects.
    // CLONE_VFORK: "the execution of the calling process is suspended until the child releases its virtual
    // memory resources", so stack and work outlive the child, and only one of both uses the memory and the
    // thread-local data that they share.
    let pid = unsafe { libc::clone(run, stack.top(), flags, argument) };
    let pid = Some(pid).filter(|it| *it > 0).and_then(Pid::from_raw);
    pid.ok_or_else(io::Error::last_os_error)
}

/// Entry point of the second process.
extern "C" fn run(argument: *mut c_void) -> c_int {
    // SAFETY: `start` passes a pointer to a `Work` that lives until this process has ended.
    let work = unsafe { *argument.cast::<Work<'_>>() };
    match panic::catch_unwind(AssertUnwindSafe(work)) {
        Ok(code) => c_int::from(code),
        Err(_) => {
            // By a signal, since any exit code may be a result of the work.
            let _ = kill_process(getpid(), Signal::KILL);
            0
        }
    }
}

fn wait(pid: Pid) -> io::Result<u8> {
    // No EINTR: all signals are blocked.
    let ended = waitpid(
        Some(pid),
        WaitOptions::from_bits_retain(libc::__WALL as u32),
    )?;
    let status = ended.map(|(_, status)| status);
    match status.and_then(|it| it.exit_status()) {
        Some(code) => Ok((code & 0xFF) as u8),
        None => {
            let signal = status.and_then(|it| it.terminating_signal());
            Err(io::Error::other(format!(
                "the second process was ended by signal {}",
                signal.unwrap_or_default()
            )))
        }
    }
}

/// Memory for a stack; unmapped when dropped.
struct Stack(*mut c_void);

impl Stack {
    fn new() -> io::Result<Self> {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_STACK;
        // SAFETY: mmap(2): without an address "the kernel chooses the (page-aligned) address at which to
        // create the mapping", and without MAP_FIXED it replaces no other mapping.
        let found = unsafe {
            libc::mmap(
                ptr::null_mut(),
                GUARD + STACK,
                libc::PROT_NONE,
                flags,
                -1,
                0,
            )
        };
        if found == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let stack = Self(found);
        let access = libc::PROT_READ | libc::PROT_WRITE;
        let usable = stack.0.wrapping_byte_add(GUARD);
        // SAFETY: mprotect(2) changes the access to these pages alone: they are within the new mapping, which
        // nothing uses yet. GUARD is a multiple of every page size.
        match unsafe { libc::mprotect(usable, STACK, access) } {
            0 => Ok(stack),
            _ => Err(io::Error::last_os_error()),
        }
    }

    fn top(&self) -> *mut c_void {
        self.0.wrapping_byte_add(GUARD + STACK)
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        // SAFETY: munmap(2) deletes this mapping alone, and the process that used it has ended.
        unsafe { libc::munmap(self.0, GUARD + STACK) };
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::fs;

    use super::*;

    fn line(name: &str) -> String {
        let status = fs::read_to_string("/proc/thread-self/status").expect("/proc");
        let line = status.lines().find(|it| it.starts_with(name));
        line.expect("a line").to_owned()
    }

    #[test]
    fn another_process_does_it_in_the_same_memory() {
        let seen = Cell::new((0, String::new()));
        let code = by_proxy(&|| {
            seen.set((std::process::id(), line("SigBlk")));
            42
        });
        assert_eq!(code.expect("a process"), 42);
        let (pid, blocked) = seen.take();
        assert!(pid != 0 && pid != std::process::id());
        // All but SIGKILL and SIGSTOP, which cannot be blocked.
        assert_eq!(blocked, "SigBlk:\tfffffffffffbfeff");
    }

    #[test]
    fn it_leaves_nothing_behind() {
        let mask = line("SigBlk");
        let path = std::env::temp_dir().join(format!("sys-{}-proxy", std::process::id()));
        fs::write(&path, "").expect("write");
        let opened = || fs::File::open(&path).map(std::mem::forget).is_ok();
        assert_eq!(by_proxy(&|| u8::from(opened())).expect("a process"), 1);
        // Other tests open and close descriptors meanwhile.
        let mut fds = fs::read_dir("/proc/thread-self/fd").expect("/proc");
        let is_it = |fd: &std::path::Path| fs::read_link(fd).is_ok_and(|it| it == path);
        assert!(!fds.any(|fd| fd.is_ok_and(|fd| is_it(&fd.path()))));
        fs::remove_file(&path).expect("clean up");
        assert_eq!(line("SigBlk"), mask);
    }

    #[test]
    fn a_panic_is_an_error() {
        let hook = panic::take_hook();
        panic::set_hook(Box::new(|_| ()));
        let done = by_proxy(&|| panic!("here"));
        panic::set_hook(hook);
        let error = done.expect_err("it panicked").to_string();
        assert!(error.ends_with("by signal 9"), "{error}");
    }
}
