//! Work in a process of its own that shares this one's memory.

use std::ffi::{c_int, c_long, c_void};
use std::fmt;
use std::io;
use std::panic::{self, AssertUnwindSafe};
use std::ptr;

/// The stack of the other process, and in front of it a page that nobody may touch.
const STACK: usize = 256 << 10;
const GUARD: usize = 64 << 10;
/// All signals, as the kernel has them: 64 on each architecture of ours.
type SignalSet = u64;

type Work<'a> = &'a dyn Fn() -> u8;

/// Has another process do the work, and waits for its end: posix_spawn(3) begins a child this way. That
/// process is not moved, frozen or limited where this one is, from the outside, in the meantime.
///
/// Returns what the work returned. A panic in it is an error.
///
/// The other process shares this one's memory, but has descriptors of its own: what it opens is not open
/// here. So nothing that remembers a descriptor, as syslog(3) does, may be called. The host hears no
/// SIGCHLD, and a wait(2) of its own does not find the process. No signal is taken until the work is
/// done; the caller limits how long that takes.
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

/// Why the work was not done by another process.
#[derive(Debug)]
pub enum ProxyError {
    /// There is no such process: nothing was done.
    NotStarted(io::Error),
    /// How far it came is not known.
    Ended(io::Error),
}

impl fmt::Display for ProxyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotStarted(error) | Self::Ended(error) => write!(f, "{error}"),
        }
    }
}

fn start(stack: &Stack, work: &Work<'_>) -> io::Result<libc::pid_t> {
    // No exit signal: clone(2) calls it a clone child, which only __WALL or __WCLONE wait for.
    let flags = libc::CLONE_VM | libc::CLONE_VFORK;
    let argument = ptr::from_ref(work).cast_mut().cast::<c_void>();
    // SAFETY: the stack is writable, nobody else's, and grows downwards from its aligned top. `run` gets
    // what it expects. With CLONE_VFORK this thread goes on only when the other process has ended, so
    // that stack and work outlive it and that the thread-local data that both have is used by one.
    match unsafe { libc::clone(run, stack.top(), flags, argument) } {
        -1 => Err(io::Error::last_os_error()),
        pid => Ok(pid),
    }
}

/// What the other process does from its first instruction on.
extern "C" fn run(argument: *mut c_void) -> c_int {
    // SAFETY: `start` passes a pointer to a `Work` that lives until this process has ended.
    let work = unsafe { *argument.cast::<Work<'_>>() };
    match panic::catch_unwind(AssertUnwindSafe(work)) {
        Ok(code) => c_int::from(code),
        Err(_) => {
            // Each code may be the work's own. SAFETY: neither call has pointers.
            unsafe { libc::kill(libc::getpid(), libc::SIGKILL) };
            0
        }
    }
}

fn wait(pid: libc::pid_t) -> io::Result<u8> {
    let mut status = 0;
    // SAFETY: the pointer is valid for the call. No signal can interrupt it: all are blocked.
    if unsafe { libc::waitpid(pid, &raw mut status, libc::__WALL) } != pid {
        return Err(io::Error::last_os_error());
    }
    match libc::WIFEXITED(status) {
        true => Ok((libc::WEXITSTATUS(status) & 0xFF) as u8),
        false => Err(io::Error::other(format!(
            "the process that was to ask was ended by signal {}",
            libc::WTERMSIG(status)
        ))),
    }
}

/// A stack, until it is dropped.
struct Stack(*mut c_void);

impl Stack {
    fn new() -> io::Result<Self> {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_STACK;
        // SAFETY: a new mapping where the kernel likes; it takes nothing that is in use.
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
        // SAFETY: the mapping is ours, GUARD + STACK bytes long and not in use yet. GUARD is a multiple of
        // each page size.
        match unsafe { libc::mprotect(stack.0.byte_add(GUARD), STACK, access) } {
            0 => Ok(stack),
            _ => Err(io::Error::last_os_error()),
        }
    }

    fn top(&self) -> *mut c_void {
        // SAFETY: the end of the mapping, which a pointer into it may have.
        unsafe { self.0.byte_add(GUARD + STACK) }
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours, and who used it has ended.
        unsafe { libc::munmap(self.0, GUARD + STACK) };
    }
}

/// All signals wait until this is dropped. The system call itself, because the other process must not
/// run the host's handlers for those either that glibc keeps to itself.
struct Blocked(SignalSet);

impl Blocked {
    fn all() -> io::Result<Self> {
        let mut before = 0;
        // SAFETY: both pointers are valid for the call, and the kernel's set has eight bytes.
        match unsafe { set_mask(&SignalSet::MAX, &raw mut before) } {
            0 => Ok(Self(before)),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

impl Drop for Blocked {
    fn drop(&mut self) {
        // SAFETY: as above; an old set that is not wanted may be null.
        unsafe { set_mask(&self.0, ptr::null_mut()) };
    }
}

/// rt_sigprocmask(2) with SIG_SETMASK.
///
/// # Safety
/// `before` is null or writable.
unsafe fn set_mask(mask: &SignalSet, before: *mut SignalSet) -> c_long {
    let size = size_of::<SignalSet>();
    // SAFETY: the caller's word, and the reference is valid.
    unsafe {
        libc::syscall(
            libc::SYS_rt_sigprocmask,
            libc::SIG_SETMASK,
            ptr::from_ref(mask),
            before,
            size,
        )
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
        // All but SIGKILL and SIGSTOP, which can't be.
        assert_eq!(blocked, "SigBlk:\tfffffffffffbfeff");
    }

    #[test]
    fn it_leaves_nothing_behind() {
        let mask = line("SigBlk");
        let path = std::env::temp_dir().join(format!("sys-{}-proxy", std::process::id()));
        fs::write(&path, "").expect("write");
        let opened = || fs::File::open(&path).map(std::mem::forget).is_ok();
        assert_eq!(by_proxy(&|| u8::from(opened())).expect("a process"), 1);
        // Other tests open and close theirs meanwhile.
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
