//! Resource limits of processes.

use std::fmt;
use std::io;

use rustix::process::{self, Rlimit};

/// A limited resource, getrlimit(2).
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

    fn kind(self) -> process::Resource {
        match self {
            Self::LockedMemory => process::Resource::Memlock,
            Self::OpenFiles => process::Resource::Nofile,
            Self::Stack => process::Resource::Stack,
            Self::Processes => process::Resource::Nproc,
            Self::Core => process::Resource::Core,
        }
    }
}

impl fmt::Display for Resource {
    /// Name in limits.conf(5).
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

/// A soft and a hard limit; `u64::MAX` means unlimited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// The limit that applies.
    pub soft: u64,
    /// The limit up to which the process may raise the soft one.
    pub hard: u64,
}

/// Finds a limit in the text of /proc/PID/limits, proc(5). Unlike prlimit(2) that needs no pid, which could
/// be another process's by then.
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
#[must_use]
pub fn limit(resource: Resource) -> Limit {
    let found = process::getrlimit(resource.kind());
    Limit {
        soft: found.current.unwrap_or(u64::MAX),
        hard: found.maximum.unwrap_or(u64::MAX),
    }
}

/// Sets a limit of this process, setrlimit(2).
///
/// # Errors
/// Those of setrlimit(2).
pub fn set_limit(resource: Resource, limit: Limit) -> io::Result<()> {
    let finite = |value| Some(value).filter(|it| *it != u64::MAX);
    let new = Rlimit {
        current: finite(limit.soft),
        maximum: finite(limit.hard),
    };
    process::setrlimit(resource.kind(), new)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_as_proc_has_them() {
        let text = std::fs::read_to_string("/proc/self/limits").expect("/proc");
        for resource in Resource::ALL {
            let asked = limit(resource);
            assert_eq!(limit_in(&text, resource), Some(asked), "{resource}");
            assert_eq!(limit_in("", resource), None);
            assert_eq!(limit_in("Max open files x", resource), None);
        }
        // Threads of this process share the limit: one that nothing here depends on.
        let old = limit(Resource::Core);
        set_limit(Resource::Core, Limit { soft: 0, ..old }).expect("lower it");
        let new = limit(Resource::Core);
        assert_eq!(new, Limit { soft: 0, ..old });
        set_limit(Resource::Core, old).expect("put it back");
        let wrong = Limit { soft: 2, hard: 1 };
        assert!(set_limit(Resource::Core, wrong).is_err());
    }
}
