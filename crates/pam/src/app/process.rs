//! What an application's process does or lacks: syslog, signals, open files, memory.

use std::ffi::{CStr, c_int, c_void};
use std::io;
use std::ptr;

/// Opens this process's connection to syslog now, openlog(3), as sshd does before it starts PAM. Otherwise
/// the first line that a module logs leaves a new descriptor open, which is libc's.
pub fn open_log(ident: &'static CStr) {
    // SAFETY: openlog(3) keeps the pointer; a 'static text outlives every use.
    unsafe {
        libc::openlog(
            ident.as_ptr(),
            libc::LOG_PID | libc::LOG_NDELAY,
            libc::LOG_AUTHPRIV,
        )
    };
}

/// Closes what [`open_log`] opened, closelog(3).
pub fn close_log() {
    // SAFETY: closelog(3) has no arguments, and a later log line opens the log again.
    unsafe { libc::closelog() };
}

/// Lets SIGPIPE end this process. That is the system's default, which Rust's start-up code changes; not
/// every PAM application ignores the signal.
pub fn default_sigpipe() {
    // SAFETY: signal(2) with SIG_DFL installs no code.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
}

/// Interrupts this process every millisecond of wall time from now on: SIGALRM runs a handler without
/// SA_RESTART, so that every blocking call returns with EINTR, signal(7).
pub fn interrupt_every_millisecond() {
    extern "C" fn nothing(_: c_int) {}
    // SAFETY: sigaction is plain data for which all-zero is a valid value: no flags, nothing blocked.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = nothing as extern "C" fn(c_int) as usize;
    // SAFETY: the handler does nothing, which any signal handler may; the pointers are valid.
    unsafe { libc::sigaction(libc::SIGALRM, &raw const action, ptr::null_mut()) };
    let every = libc::timeval {
        tv_sec: 0,
        tv_usec: 1000,
    };
    let timer = libc::itimerval {
        it_interval: every,
        it_value: every,
    };
    // SAFETY: the pointers are valid for the call.
    unsafe { libc::setitimer(libc::ITIMER_REAL, &raw const timer, ptr::null_mut()) };
}

/// Closes standard input, output and error, as a daemon may. Later output to them goes nowhere, or into
/// the files that get their numbers.
///
/// # Errors
/// The system's error.
pub fn close_standard_streams() -> io::Result<()> {
    for fd in 0..=2 {
        // SAFETY: close(2) takes any number. std's handles of these three only hold their numbers,
        // and no OwnedFd is made of them here.
        if unsafe { libc::close(fd) } != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// Takes all memory of this process but a rest, until it is dropped.
#[derive(Debug)]
pub struct NoMemory {
    blocks: *mut c_void,
    limit: libc::rlimit,
}

impl NoMemory {
    /// Stops the address space from growing (RLIMIT_AS) and takes everything that malloc(3) still has, except
    /// a block of `rest` bytes.
    ///
    /// # Errors
    /// The system's error, for example if there is no block of that size.
    pub fn but(rest: usize) -> io::Result<Self> {
        // SAFETY: malloc(3) takes any size; null is checked.
        let kept = unsafe { libc::malloc(rest.max(1)) };
        // Otherwise the compiler may leave out an allocation that nothing reads.
        let kept = std::hint::black_box(kept);
        if kept.is_null() {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: rlimit is plain data for which all-zero is a valid value.
        let mut limit: libc::rlimit = unsafe { std::mem::zeroed() };
        // SAFETY: the pointer is valid for the call.
        if unsafe { libc::getrlimit(libc::RLIMIT_AS, &raw mut limit) } != 0 {
            return Err(io::Error::last_os_error());
        }
        let none = libc::rlimit {
            rlim_cur: 0,
            ..limit
        };
        // SAFETY: the pointer is valid for the call.
        if unsafe { libc::setrlimit(libc::RLIMIT_AS, &raw const none) } != 0 {
            return Err(io::Error::last_os_error());
        }
        // A list linked through the blocks themselves.
        let mut blocks: *mut c_void = ptr::null_mut();
        for power in (4..24).rev() {
            loop {
                // SAFETY: malloc(3) takes any size; null is checked.
                let block = unsafe { libc::malloc(1 << power) };
                if block.is_null() {
                    break;
                }
                // SAFETY: the block is ours, of 16 bytes at least and aligned for any type.
                unsafe { block.cast::<*mut c_void>().write(blocks) };
                blocks = block;
            }
        }
        // SAFETY: it was allocated above and is used no more.
        unsafe { libc::free(kept) };
        Ok(Self { blocks, limit })
    }
}

impl Drop for NoMemory {
    fn drop(&mut self) {
        // SAFETY: the pointer is valid for the call.
        unsafe { libc::setrlimit(libc::RLIMIT_AS, &raw const self.limit) };
        while !self.blocks.is_null() {
            // SAFETY: each block was allocated in NoMemory::but, and begins with a pointer to the next.
            let next = unsafe { self.blocks.cast::<*mut c_void>().read() };
            // SAFETY: as above; it is used no more.
            unsafe { libc::free(self.blocks) };
            self.blocks = next;
        }
    }
}
