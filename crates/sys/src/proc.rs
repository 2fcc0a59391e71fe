//! Processes as procfs shows them, proc(5): by descriptors, so that a number that is used again is noticed.

use std::ffi::{CStr, CString, c_int};
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::os::unix::fs::MetadataExt as _;

use crate::files;
use crate::listing::Listing;

const MOUNTED: &str = "/proc";
/// The longest of the files that are read here; that of a process in many cgroups and groups.
const MOST: u64 = 1 << 20;

/// A procfs.
#[derive(Debug)]
pub struct Proc {
    dir: OwnedFd,
    is_own: bool,
}

/// The directory of one process. After its end all of its files are missing, whoever has its number then.
#[derive(Debug)]
pub struct ProcessDir(OwnedFd);

/// What stat tells of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProcessStat {
    /// Only its parent has not noticed yet that it has ended.
    pub is_zombie: bool,
    /// Its start in clock ticks after the boot.
    pub start: u64,
}

impl Proc {
    /// Opens one that shows the pid namespace of this process: the mounted one, else a new one, which
    /// needs Linux 5.2 and CAP_SYS_ADMIN. In a job's mount namespace the mounted one may be the job's.
    ///
    /// # Errors
    /// The system's: there is neither.
    pub fn own() -> io::Result<Self> {
        let mounted = Self::mounted();
        match mounted {
            Ok(proc) if proc.is_own => Ok(proc),
            _ => Self::detached(),
        }
    }

    /// Opens the mounted one, of whatever pid namespace it is.
    ///
    /// # Errors
    /// The system's.
    pub fn mounted() -> io::Result<Self> {
        let dir = OwnedFd::from(File::open(MOUNTED)?);
        let is_own = shows_this_process(&dir)?;
        Ok(Self { dir, is_own })
    }

    /// Whether numbers in it are those that this process knows the others by.
    #[must_use]
    pub fn is_own(&self) -> bool {
        self.is_own
    }

    /// fsopen(2), fsconfig(2) and fsmount(2); mounted nowhere, and gone with its descriptor.
    fn detached() -> io::Result<Self> {
        /// `linux/mount.h`.
        const FSOPEN_CLOEXEC: c_int = 1;
        const FSCONFIG_CMD_CREATE: c_int = 6;
        const FSMOUNT_CLOEXEC: c_int = 1;
        const NOSUID_NODEV_NOEXEC: c_int = 2 | 4 | 8;
        // SAFETY: a NUL-terminated name and flags.
        let fd = unsafe { libc::syscall(libc::SYS_fsopen, c"proc".as_ptr(), FSOPEN_CLOEXEC) };
        let context = owned(fd)?;
        let (none, number) = (std::ptr::null::<libc::c_char>(), context.as_raw_fd());
        // SAFETY: the descriptor is open; this command takes neither key nor value.
        let code = unsafe {
            libc::syscall(
                libc::SYS_fsconfig,
                number,
                FSCONFIG_CMD_CREATE,
                none,
                none,
                0,
            )
        };
        if code != 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the descriptor is open; flags and attributes.
        let fd = unsafe {
            libc::syscall(
                libc::SYS_fsmount,
                number,
                FSMOUNT_CLOEXEC,
                NOSUID_NODEV_NOEXEC,
            )
        };
        let mount = owned(fd)?;
        let dir = open_at(&mount, c".", libc::O_DIRECTORY)?;
        let is_own = shows_this_process(&dir)?;
        match is_own {
            true => Ok(Self { dir, is_own }),
            false => Err(io::Error::other("a new procfs does not show this process")),
        }
    }

    /// The pid namespace of this process, as its link says: `pid:[4026531836]`.
    ///
    /// # Errors
    /// The system's, or one that says the link is none of a namespace.
    pub fn pid_namespace(&self) -> io::Result<u64> {
        let link = read_link_at(&self.dir, c"self/ns/pid")?;
        let number = link
            .strip_prefix("pid:[")
            .and_then(|it| it.strip_suffix(']'));
        let number = number.and_then(|it| it.parse().ok());
        number.ok_or_else(|| io::Error::other(format!("a pid namespace is called {link}")))
    }

    /// The numbers of all processes.
    ///
    /// # Errors
    /// The system's.
    pub fn pids(&self) -> io::Result<Vec<u32>> {
        let again = open_at(&self.dir, c".", libc::O_DIRECTORY)?;
        let mut listing = Listing::of(again)?;
        let mut pids = Vec::new();
        while let Some(name) = listing.next()? {
            pids.extend(name.to_str().ok().and_then(|it| it.parse::<u32>().ok()));
        }
        Ok(pids)
    }

    /// The effective uid of a process: the owner of its directory, also where PR_SET_DUMPABLE hides what is
    /// in it (Linux, fs/proc/base.c, `task_dump_owner`). None: it has ended.
    ///
    /// # Errors
    /// The system's.
    pub fn owner(&self, pid: u32) -> io::Result<Option<u32>> {
        let found = files::status_at(self.dir.as_raw_fd(), &name_of(pid));
        unless_gone(found.map(|it| it.uid))
    }

    /// Opens a process's directory. None: it has ended.
    ///
    /// # Errors
    /// The system's.
    pub fn process(&self, pid: u32) -> io::Result<Option<ProcessDir>> {
        let dir = open_at(&self.dir, &name_of(pid), libc::O_DIRECTORY | libc::O_PATH);
        unless_gone(dir.map(ProcessDir))
    }
}

/// The pid namespace of this process without procfs: needs Linux 6.11. As [`Proc::pid_namespace`].
///
/// # Errors
/// The system's.
pub fn pid_namespace() -> io::Result<u64> {
    /// `linux/pidfd.h`: `PIDFD_GET_PID_NAMESPACE`, `_IO(0xff, 5)`.
    const GET_PID_NAMESPACE: c_int = 0xFF05;
    // The number is a pid_t.
    let this = std::process::id() as libc::pid_t;
    // SAFETY: a number and flags, pidfd_open(2).
    let process = owned(unsafe { libc::syscall(libc::SYS_pidfd_open, this, 0) })?;
    // SAFETY: the descriptor is open; this request takes no third argument.
    let namespace = unsafe { libc::ioctl(process.as_raw_fd(), GET_PID_NAMESPACE as _, 0) };
    let namespace = owned(namespace.into())?;
    Ok(File::from(namespace).metadata()?.ino())
}

/// The descriptor that a system call has just returned, or its error.
fn owned(fd: libc::c_long) -> io::Result<OwnedFd> {
    match c_int::try_from(fd) {
        // SAFETY: the call has returned this descriptor; nobody else owns it.
        Ok(fd @ 0..) => Ok(unsafe { OwnedFd::from_raw_fd(fd) }),
        _ => Err(io::Error::last_os_error()),
    }
}

impl ProcessDir {
    /// As [`Proc::owner`].
    ///
    /// # Errors
    /// The system's.
    pub fn owner(&self) -> io::Result<Option<u32>> {
        // Of the directory by its name within itself: the kernel brings its owner up to date then.
        let found = files::status_at(self.0.as_raw_fd(), c".");
        unless_gone(found.map(|it| it.uid))
    }

    /// The content of one of its files. None: it has ended.
    ///
    /// # Errors
    /// The system's.
    pub fn read(&self, name: &CStr) -> io::Result<Option<String>> {
        let read = open_at(&self.0, name, libc::O_NONBLOCK).and_then(|fd| {
            let file = File::from(fd);
            let found = file.metadata()?;
            files::read_open(file, &found, MOST)
        });
        let text = unless_gone(read)?;
        Ok(text.map(|it| String::from_utf8_lossy(&it).into_owned()))
    }

    /// What stat tells. None: it has ended, or the kernel tells something else.
    ///
    /// # Errors
    /// The system's.
    pub fn stat(&self) -> io::Result<Option<ProcessStat>> {
        Ok(self.read(c"stat")?.and_then(|it| stat_in(&it)))
    }
}

/// From the text of /proc/PID/stat.
fn stat_in(stat: &str) -> Option<ProcessStat> {
    // The name, in brackets, is the second field and may hold anything.
    let (_, rest) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    let number = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
    // The first thread of a process may end before the others.
    let is_zombie = matches!(fields.first(), Some(&("Z" | "X"))) && number(20)? <= 1;
    let start = number(22)?;
    Some(ProcessStat { is_zombie, start })
}

/// Whether this process is in it by the number that it knows itself by, and no other: a procfs of a pid
/// namespace above has it by another one, which may be the same by chance.
fn shows_this_process(dir: &OwnedFd) -> io::Result<bool> {
    let link = match read_link_at(dir, c"self") {
        Ok(link) => link,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    if link.parse() != Ok(std::process::id()) {
        return Ok(false);
    }
    let this = open_at(dir, c"self", libc::O_DIRECTORY | libc::O_PATH)?;
    let status = ProcessDir(this).read(c"status")?.unwrap_or_default();
    // Its numbers from that procfs's namespace down to its own; from Linux 4.1 on.
    let numbers = status.lines().find_map(|it| it.strip_prefix("NSpid:"));
    Ok(numbers.is_none_or(|it| it.split_ascii_whitespace().count() == 1))
}

/// What can't be found there has ended: ENOENT of the directory, ESRCH of a file in it.
fn unless_gone<T>(found: io::Result<T>) -> io::Result<Option<T>> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(error) if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ESRCH)) => Ok(None),
        Err(error) => Err(error),
    }
}

fn name_of(pid: u32) -> CString {
    // Digits hold no NUL.
    CString::new(pid.to_string()).unwrap_or_default()
}

fn open_at(dir: &OwnedFd, name: &CStr, flags: c_int) -> io::Result<OwnedFd> {
    let flags = libc::O_RDONLY | libc::O_CLOEXEC | flags;
    // SAFETY: the directory is open, the name NUL-terminated; openat(2) needs no mode here.
    match unsafe { libc::openat(dir.as_raw_fd(), name.as_ptr(), flags) } {
        // SAFETY: openat(2) just returned this descriptor; nobody else owns it.
        fd @ 0.. => Ok(unsafe { OwnedFd::from_raw_fd(fd) }),
        _ => Err(io::Error::last_os_error()),
    }
}

fn read_link_at(dir: &OwnedFd, name: &CStr) -> io::Result<String> {
    let mut target = [0u8; 64];
    // SAFETY: the directory is open, the name NUL-terminated, the buffer writable for its length.
    let count = unsafe {
        libc::readlinkat(
            dir.as_raw_fd(),
            name.as_ptr(),
            target.as_mut_ptr().cast(),
            target.len(),
        )
    };
    let count = usize::try_from(count).map_err(|_| io::Error::last_os_error())?;
    let target = target.get(..count).unwrap_or_default();
    Ok(String::from_utf8_lossy(target).into_owned())
}

#[cfg(test)]
mod tests {
    use std::process::{Command, id};

    use super::*;

    #[test]
    fn this_process_in_its_own_procfs() {
        let proc = Proc::own().expect("/proc");
        assert!(proc.is_own());
        assert!(proc.pids().expect("list").contains(&id()));
        let this = proc.process(id()).expect("open").expect("it lives");
        let stat = this.stat().expect("read").expect("it lives");
        assert!(stat.start > 0 && !stat.is_zombie);
        let uid = crate::effective_uid();
        assert_eq!(this.owner().expect("ask"), Some(uid));
        assert_eq!(proc.owner(id()).expect("ask"), Some(uid));
        let status = this.read(c"status").expect("read").expect("it lives");
        assert!(status.starts_with("Name:"), "{status}");
        assert!(this.read(c"no such file").expect("look").is_none());
        let namespace = proc.pid_namespace().expect("a link");
        let link = std::fs::read_link("/proc/self/ns/pid").expect("a link");
        assert_eq!(link.to_str(), Some(&*format!("pid:[{namespace}]")));
        // Not every kernel has it.
        assert!(pid_namespace().is_err() || pid_namespace().expect("it does") == namespace);
        assert!(proc.process(i32::MAX as u32).expect("look").is_none());
        assert!(proc.owner(i32::MAX as u32).expect("look").is_none());
    }

    /// As root, and from Linux 5.2 on.
    #[test]
    fn a_procfs_that_is_mounted_nowhere() {
        let Ok(proc) = Proc::detached() else { return };
        let mounted = Proc::own().expect("/proc");
        assert!(proc.is_own() && proc.pids().expect("list").contains(&id()));
        let namespaces = [proc, mounted].map(|it| it.pid_namespace().expect("a link"));
        assert_eq!(namespaces[0], namespaces[1]);
    }

    #[test]
    fn a_process_that_ends() {
        let proc = Proc::own().expect("/proc");
        let mut child = Command::new("/bin/cat")
            .stdin(std::process::Stdio::piped())
            .spawn()
            .expect("start");
        let dir = proc.process(child.id()).expect("open").expect("it lives");
        child.kill().expect("kill");
        let is_zombie = || dir.stat().expect("read").expect("not reaped").is_zombie;
        while !is_zombie() {
            std::thread::yield_now();
        }
        child.wait().expect("reap");
        assert_eq!(dir.stat().expect("read"), None);
        assert_eq!(dir.owner().expect("read"), None);
    }

    #[test]
    fn what_stat_says() {
        let stat = |state: &str, threads: u32| {
            stat_in(&format!(
                "7 (a) b) {state} 1 7 7 0 -1 0 1 2 3 4 5 6 7 8 20 0 {threads} 0 77 1"
            ))
        };
        let [lives, zombie, threads] = [("S", 1), ("Z", 1), ("Z", 2)].map(|it| stat(it.0, it.1));
        let start = 77;
        for (found, is_zombie) in [(lives, false), (zombie, true), (threads, false)] {
            assert_eq!(found, Some(ProcessStat { is_zombie, start }));
        }
        for text in [
            "",
            "7 (a) S",
            "7 (a",
            "7 (a) S 1 7 7 0 -1 0 1 2 3 4 5 6 7 8 20 0 x 0 y",
        ] {
            assert_eq!(stat_in(text), None, "{text}");
        }
    }
}
