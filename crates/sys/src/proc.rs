//! Processes in procfs, proc(5), through descriptors: a pid that is reused meanwhile is noticed.

use std::ffi::{CStr, CString};
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;

use rustix::fs::{Dir, Mode, OFlags, openat, readlinkat};
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsmount, fsopen};

use crate::files;
use crate::namespace;
use crate::status::ProcessStatus;

const MOUNTED: &str = "/proc";
/// Limit for a file of a process; one in many cgroups and groups has long ones.
const MOST: u64 = 1 << 20;

/// A procfs.
#[derive(Debug)]
pub struct Proc {
    dir: OwnedFd,
    is_own: bool,
}

/// The directory of one process. After the process has ended all of its files are missing, even if another
/// process has its pid by then.
#[derive(Debug)]
pub struct ProcessDir(OwnedFd);

/// Facts from /proc/PID/stat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProcessStat {
    /// It has ended, and its parent has not waited for it yet.
    pub is_zombie: bool,
    /// Start time in clock ticks after the boot.
    pub start: u64,
}

impl Proc {
    /// Opens a procfs of this process's pid namespace: the mounted one, else a new one, which needs Linux
    /// 5.2 and CAP_SYS_ADMIN. In a container's mount namespace the mounted one may be the container's.
    ///
    /// # Errors
    /// Those of the system, if neither can be opened.
    pub fn own() -> io::Result<Self> {
        let mounted = Self::mounted();
        match mounted {
            Ok(proc) if proc.is_own => Ok(proc),
            _ => Self::detached(),
        }
    }

    /// Opens the mounted one, whichever pid namespace it shows.
    ///
    /// # Errors
    /// Those of the system.
    pub fn mounted() -> io::Result<Self> {
        let dir = OwnedFd::from(File::open(MOUNTED)?);
        let is_own = shows_this_process(&dir)?;
        Ok(Self { dir, is_own })
    }

    /// Whether its pids are those of this process's own pid namespace.
    #[must_use]
    pub fn is_own(&self) -> bool {
        self.is_own
    }

    /// Makes a procfs that is mounted nowhere and ends with its descriptor: fsopen(2), fsconfig(2) and
    /// fsmount(2).
    fn detached() -> io::Result<Self> {
        let context = fsopen(c"proc", FsOpenFlags::FSOPEN_CLOEXEC)?;
        fsconfig_create(&context)?;
        let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID
            | MountAttrFlags::MOUNT_ATTR_NODEV
            | MountAttrFlags::MOUNT_ATTR_NOEXEC;
        let mount = fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes)?;
        let dir = open_at(&mount, c".", OFlags::DIRECTORY)?;
        let is_own = shows_this_process(&dir)?;
        match is_own {
            true => Ok(Self { dir, is_own }),
            false => Err(io::Error::other("a new procfs does not show this process")),
        }
    }

    /// The inode number of this process's pid namespace, from the link self/ns/pid: `pid:[4026531836]`.
    ///
    /// # Errors
    /// Those of the system; `Other` if the link does not name a pid namespace.
    pub fn pid_namespace(&self) -> io::Result<u64> {
        let link = read_link_at(&self.dir, c"self/ns/pid")?;
        let number = link
            .strip_prefix("pid:[")
            .and_then(|it| it.strip_suffix(']'));
        let number = number.and_then(|it| it.parse().ok());
        number.ok_or_else(|| io::Error::other(format!("a pid namespace is called {link}")))
    }

    /// The pids of all processes.
    ///
    /// # Errors
    /// Those of the system.
    pub fn pids(&self) -> io::Result<Vec<u32>> {
        let again = open_at(&self.dir, c".", OFlags::DIRECTORY)?;
        let mut pids = Vec::new();
        // Not std's read_dir, which takes a path: a procfs that is mounted nowhere has none.
        for entry in Dir::new(again)? {
            let entry = entry?;
            let name = entry.file_name().to_str().ok();
            pids.extend(name.and_then(|it| it.parse::<u32>().ok()));
        }
        Ok(pids)
    }

    /// The effective uid of a process; `None` if it has ended. It is the owner of the process's directory,
    /// even if PR_SET_DUMPABLE hides the files in it (Linux, fs/proc/base.c, `task_dump_owner`).
    ///
    /// # Errors
    /// Those of the system.
    pub fn owner(&self, pid: u32) -> io::Result<Option<u32>> {
        let found = files::status_at(&self.dir, &name_of(pid));
        unless_gone(found.map(|it| it.uid))
    }

    /// Opens a process's directory; `None` if the process has ended.
    ///
    /// # Errors
    /// Those of the system.
    pub fn process(&self, pid: u32) -> io::Result<Option<ProcessDir>> {
        let dir = open_at(&self.dir, &name_of(pid), OFlags::DIRECTORY | OFlags::PATH);
        unless_gone(dir.map(ProcessDir))
    }
}

impl ProcessDir {
    /// As [`Proc::owner`].
    ///
    /// # Errors
    /// Those of the system.
    pub fn owner(&self) -> io::Result<Option<u32>> {
        // By the name "." within it: the look-up makes the kernel update the owner.
        let found = files::status_at(&self.0, c".");
        unless_gone(found.map(|it| it.uid))
    }

    /// Reads one of its files; `None` if the process has ended.
    ///
    /// # Errors
    /// Those of the system.
    pub fn read(&self, name: &CStr) -> io::Result<Option<String>> {
        let text = self.read_bytes(name, MOST)?;
        Ok(text.map(|it| String::from_utf8_lossy(&it).into_owned()))
    }

    /// Reads one of its files of at most `limit` bytes; `None` if the process has ended.
    ///
    /// # Errors
    /// Those of the system; `Other` if the file is larger.
    pub fn read_bytes(&self, name: &CStr, limit: u64) -> io::Result<Option<Vec<u8>>> {
        let read = open_at(&self.0, name, OFlags::NONBLOCK).and_then(|fd| {
            let file = File::from(fd);
            let found = file.metadata()?;
            files::read_open(file, &found, limit)
        });
        unless_gone(read)
    }

    /// Reads its status file; `None` if the process has ended, or if the file cannot be parsed.
    ///
    /// # Errors
    /// Those of the system.
    pub fn status(&self) -> io::Result<Option<ProcessStatus>> {
        Ok(self
            .read(c"status")?
            .and_then(|it| ProcessStatus::parse(&it)))
    }

    /// The user who made its user namespace, of nested ones the outermost; `None` if it is in that of this process, or
    /// has ended, or if the kernel has none.
    ///
    /// # Errors
    /// Those of the system.
    pub fn namespace_owner(&self) -> io::Result<Option<u32>> {
        match unless_gone(open_at(&self.0, c"ns/user", OFlags::NONBLOCK))? {
            Some(namespace) => namespace::owner(namespace),
            None => Ok(None),
        }
    }

    /// Reads its stat file; `None` if the process has ended, or if the file cannot be parsed.
    ///
    /// # Errors
    /// Those of the system.
    pub fn stat(&self) -> io::Result<Option<ProcessStat>> {
        Ok(self.read(c"stat")?.and_then(|it| stat_in(&it)))
    }
}

/// Parses the text of /proc/PID/stat.
fn stat_in(stat: &str) -> Option<ProcessStat> {
    // The second field is the name, in brackets; it may contain anything.
    let (_, rest) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    let number = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
    // A process's first thread may end before the others: such a process is no zombie.
    let is_zombie = matches!(fields.first(), Some(&("Z" | "X"))) && number(20)? <= 1;
    let start = number(22)?;
    Some(ProcessStat { is_zombie, start })
}

/// Whether a procfs shows this process's own pid namespace: under its own pid, and under no other. In the
/// procfs of a parent pid namespace this process has another pid, which may be the same by chance.
fn shows_this_process(dir: &OwnedFd) -> io::Result<bool> {
    let link = match read_link_at(dir, c"self") {
        Ok(link) => link,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    if link.parse() != Ok(std::process::id()) {
        return Ok(false);
    }
    let this = open_at(dir, c"self", OFlags::DIRECTORY | OFlags::PATH)?;
    let status = ProcessDir(this).read(c"status")?.unwrap_or_default();
    // Linux 4.1 and later: its pids, from the procfs's namespace down to its own.
    let numbers = status.lines().find_map(|it| it.strip_prefix("NSpid:"));
    Ok(numbers.is_none_or(|it| it.split_ascii_whitespace().count() == 1))
}

/// `None` if the process has ended: ENOENT from its directory, ESRCH from a file in it.
fn unless_gone<T>(found: io::Result<T>) -> io::Result<Option<T>> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(error) if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ESRCH)) => Ok(None),
        Err(error) => Err(error),
    }
}

fn name_of(pid: u32) -> CString {
    // Digits contain no NUL.
    CString::new(pid.to_string()).unwrap_or_default()
}

fn open_at(dir: &OwnedFd, name: &CStr, flags: OFlags) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | flags;
    Ok(openat(dir, name, flags, Mode::empty())?)
}

fn read_link_at(dir: &OwnedFd, name: &CStr) -> io::Result<String> {
    let target = readlinkat(dir, name, Vec::new())?;
    Ok(target.to_string_lossy().into_owned())
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
        // Needs Linux 6.11.
        assert!(crate::pid_namespace().map_or(true, |it| it == namespace));
        assert!(proc.process(i32::MAX as u32).expect("look").is_none());
        assert!(proc.owner(i32::MAX as u32).expect("look").is_none());
    }

    /// Needs root and Linux 5.2.
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
