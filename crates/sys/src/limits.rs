//! Resource limits of processes.

use std::fmt;
use std::io;
use std::mem;
use std::ptr;

/// A resource that a process may use up to a limit, getrlimit(2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resource {
    /// RLIMIT_MEMLOCK, in bytes.
    LockedMemory,
    /// RLIMIT_NOFILE, a number.
    OpenFiles,
    /// RLIMIT_STACK, in bytes.
    Stack,
    /// RLIMIT_NPROC, a number.
    Processes,
    /// RLIMIT_CORE, in bytes.
    Core,
}

impl Resource {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::LockedMemory,
        Self::OpenFiles,
        Self::Stack,
        Self::Processes,
        Self::Core,
    ];

    fn number(self) -> libc::__rlimit_resource_t {
        match self {
            Self::LockedMemory => libc::RLIMIT_MEMLOCK,
            Self::OpenFiles => libc::RLIMIT_NOFILE,
            Self::Stack => libc::RLIMIT_STACK,
            Self::Processes => libc::RLIMIT_NPROC,
            Self::Core => libc::RLIMIT_CORE,
        }
    }
}

impl fmt::Display for Resource {
    /// As in limits.conf(5).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::LockedMemory => "memlock",
            Self::OpenFiles => "nofile",
            Self::Stack => "stack",
            Self::Processes => "nproc",
            Self::Core => "core",
        })
    }
}

/// A soft and a hard limit; `u64::MAX` is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// What holds.
    pub soft: u64,
    /// Up to which the process may raise it.
    pub hard: u64,
}

/// The limit of a process in the text of its /proc/PID/limits, proc(5). prlimit(2) would take the process's
/// number, which may be another's by then.
#[must_use]
pub fn limit_in(limits: &str, resource: Resource) -> Option<Limit> {
    let start = match resource {
        Resource::LockedMemory => "Max locked memory ",
        Resource::OpenFiles => "Max open files ",
        Resource::Stack => "Max stack size ",
        Resource::Processes => "Max processes ",
        Resource::Core => "Max core file size ",
    };
    let line = limits.lines().find_map(|line| line.strip_prefix(start))?;
    let mut numbers = line.split_whitespace().map(|word| match word {
        "unlimited" => Some(u64::MAX),
        number => number.parse().ok(),
    });
    let (soft, hard) = (numbers.next()??, numbers.next()??);
    Some(Limit { soft, hard })
}

/// A limit of this process, getrlimit(2).
///
/// # Errors
/// The system's.
pub fn limit(resource: Resource) -> io::Result<Limit> {
    // SAFETY: rlimit64 is plain data for which all-zero is a valid value.
    let mut found: libc::rlimit64 = unsafe { mem::zeroed() };
    // SAFETY: the pointer is valid for the call.
    match unsafe { libc::getrlimit64(resource.number(), &raw mut found) } {
        0 => Ok(Limit {
            soft: found.rlim_cur,
            hard: found.rlim_max,
        }),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Sets a limit of this process, setrlimit(2).
///
/// # Errors
/// The system's.
pub fn set_limit(resource: Resource, limit: Limit) -> io::Result<()> {
    let new = libc::rlimit64 {
        rlim_cur: limit.soft,
        rlim_max: limit.hard,
    };
    // SAFETY: the pointer to the new limit is valid for the call, and no old one is asked for.
    match unsafe { libc::prlimit64(0, resource.number(), &raw const new, ptr::null_mut()) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_as_proc_has_them() {
        let text = std::fs::read_to_string("/proc/self/limits").expect("/proc");
        for resource in Resource::ALL {
            let asked = limit(resource).expect("ask");
            assert_eq!(limit_in(&text, resource), Some(asked), "{resource}");
            assert_eq!(limit_in("", resource), None);
            assert_eq!(limit_in("Max open files x", resource), None);
        }
        // Threads of this process share the limit: one that nothing here depends on.
        let old = limit(Resource::Core).expect("ask");
        set_limit(Resource::Core, Limit { soft: 0, ..old }).expect("lower it");
        let new = limit(Resource::Core).expect("ask");
        assert_eq!(new, Limit { soft: 0, ..old });
        set_limit(Resource::Core, old).expect("put it back");
        let wrong = Limit { soft: 2, hard: 1 };
        assert!(set_limit(Resource::Core, wrong).is_err());
    }
}
