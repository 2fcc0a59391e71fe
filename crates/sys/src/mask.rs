//! Blocks signals for a while.

use std::io;
use std::ptr;

/// The kernel's set of signals: 64 on the architectures that we support.
type SignalSet = u64;

/// Blocks all signals until it is dropped; holds the earlier mask.
pub(crate) struct Blocked(SignalSet);

impl Blocked {
    pub(crate) fn all() -> io::Result<Self> {
        set_mask(&SignalSet::MAX).map(Self)
    }
}

impl Drop for Blocked {
    fn drop(&mut self) {
        let _ = set_mask(&self.0);
    }
}

/// rt_sigprocmask(2) with SIG_SETMASK; returns the earlier mask. Not sigprocmask(3), which leaves out the
/// signals that glibc uses itself: the second process must not run the application's handlers for those either.
fn set_mask(mask: &SignalSet) -> io::Result<SignalSet> {
    let mut before: SignalSet = 0;
    // SAFETY: the kernel reads the mask and writes the one from before, each of the size given in bytes.
    let code = unsafe {
        libc::syscall(
            libc::SYS_rt_sigprocmask,
            libc::SIG_SETMASK,
            ptr::from_ref(mask),
            &raw mut before,
            size_of::<SignalSet>(),
        )
    };
    match code {
        0 => Ok(before),
        _ => Err(io::Error::last_os_error()),
    }
}
