//! Finds the running slurmds, to learn which slurm.conf they read and which node name they were given.
//!
//! A process counts as slurmd only if its name and its program are slurmd's (Debian's file is slurmd-wlm)
//! and all its uids are 0: nothing that a user names or starts can pass for it. (The owner of /proc/PID says
//! less: a process that is not dumpable appears as root's, proc_pid(5).)

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use sys::{Deadline, Directory};

use crate::access::Unseen;

/// Pid files of the usual builds, SlurmdPidFile in slurm.conf(5).
const PID_FILES: [&str; 3] = [
    "/run/slurmd.pid",
    "/run/slurm/slurmd.pid",
    "/run/slurmd/slurmd.pid",
];
/// The cgroup of slurmd.service, v2 and v1: systemd may start slurmd without a pid file.
const SERVICE_CGROUPS: [&str; 2] = [
    "/sys/fs/cgroup/system.slice/slurmd.service",
    "/sys/fs/cgroup/systemd/system.slice/slurmd.service",
];
/// Limit on processes checked in the service's cgroup, which may also hold old stepds and their tasks.
const MAX_SERVICE_PIDS: usize = 4096;
/// The kernel cuts a process's name to this length, proc_pid_comm(5).
const LONGEST_NAME: usize = 15;
/// The largest file under /proc that is read, in bytes.
const MAX_FILE: u64 = 1 << 20;

/// The program, arguments and environment of a slurmd.
#[derive(Debug)]
struct Invocation {
    program: PathBuf,
    args: Vec<OsString>,
    slurm_conf: Option<PathBuf>,
}

/// The place from which a slurmd takes its slurm.conf.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConfHint {
    /// `-f`, or SLURM_CONF in its environment.
    File(PathBuf),
    /// `--conf-server`: slurmd's cache.
    Configless,
    /// The compiled-in place; the prefix if slurmd is installed outside /usr.
    Default {
        /// For example /opt/slurm for /opt/slurm/sbin/slurmd.
        prefix: Option<PathBuf>,
    },
}

/// A running slurmd, by its arguments and environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slurmd {
    /// The place of its slurm.conf.
    pub conf: ConfHint,
    /// The name given with `-N`.
    pub node_name: Option<String>,
}

/// The running slurmds, and the reason why there may be more.
#[derive(Debug, Default, Clone)]
pub struct Slurmds {
    /// The slurmds, without duplicates.
    pub found: Vec<Slurmd>,
    /// The first thing that could not be read.
    pub unseen: Option<String>,
}

impl Slurmd {
    /// The slurmd named by a pid file or by the service's cgroup.
    #[must_use]
    pub fn running(unseen: &mut Unseen) -> Option<Self> {
        for path in PID_FILES {
            let text = read(Path::new(path), unseen);
            let found = text.and_then(|text| Self::of_pid(pid(&text)?, unseen));
            if found.is_some() {
                return found;
            }
        }
        for path in SERVICE_CGROUPS {
            let Some(text) = read(&Path::new(path).join("cgroup.procs"), unseen) else {
                continue;
            };
            let pids = text.split(|byte| *byte == b'\n').filter_map(pid);
            let mut pids = pids.take(MAX_SERVICE_PIDS);
            let found = pids.find_map(|pid| Self::of_pid(pid, unseen));
            if found.is_some() {
                return found;
            }
        }
        None
    }

    /// Scans all processes for slurmds with our root directory. A slurmd in a container has other files
    /// and does not belong to this host. Stops at the deadline.
    #[must_use]
    pub fn scan(deadline: &Deadline, unseen: &mut Unseen) -> Vec<Self> {
        let mut found: Vec<Self> = Vec::new();
        let proc = Path::new("/proc");
        let entries = match fs::read_dir(proc) {
            Ok(entries) => entries,
            Err(error) => {
                unseen.note("read", proc, error);
                return found;
            }
        };
        for entry in entries {
            let Some(entry) = unseen.some("read", proc, entry) else {
                break;
            };
            if deadline.has_passed() {
                let cause = io::Error::new(io::ErrorKind::TimedOut, "no time is left");
                unseen.note("look through", proc, cause);
                break;
            }
            let pid = pid(entry.file_name().as_bytes());
            let Some(pid) = pid.filter(|pid| may_be_slurmd(*pid, unseen)) else {
                continue;
            };
            let slurmd = Self::of_pid(pid, unseen).filter(|_| has_our_root(pid, unseen));
            // A forking slurmd briefly appears twice.
            found.extend(slurmd.filter(|it| !found.contains(it)));
        }
        found
    }

    fn of_pid(pid: u32, unseen: &mut Unseen) -> Option<Self> {
        // One descriptor for all reads: it stays with this process, even if the pid is used again.
        let path = PathBuf::from(format!("/proc/{pid}"));
        let process = unseen.some("open", &path, Directory::open(&path))?;
        let mut read = |name, file| {
            let read = process.read(name, MAX_FILE);
            unseen.some("read", &path.join(file), read)
        };
        let status = read(c"status", "status")?;
        if !is_called_slurmd(&status) {
            return None;
        }
        let (cmdline, environ) = (read(c"cmdline", "cmdline")?, read(c"environ", "environ")?);
        let program = process.read_link(c"exe");
        let program = PathBuf::from(unseen.some("readlink", &path.join("exe"), program)?);
        let started =
            is_slurmd(&program, &status).then(|| Invocation::new(program, &cmdline, &environ));
        started.and_then(|it| it.slurmd())
    }
}

impl Invocation {
    /// Parses the arguments, proc_pid_cmdline(5), and the environment, proc_pid_environ(5).
    fn new(program: PathBuf, cmdline: &[u8], environ: &[u8]) -> Self {
        let slurm_conf = words(environ).iter().find_map(|pair| {
            pair.as_bytes()
                .strip_prefix(b"SLURM_CONF=")
                .map(|path| OsStr::from_bytes(path).into())
        });
        Self {
            program,
            args: words(cmdline),
            slurm_conf,
        }
    }

    /// The slurmd, unless it only prints something and exits.
    fn slurmd(&self) -> Option<Slurmd> {
        let arguments = Arguments::of(&self.args);
        if arguments.only_tells {
            return None;
        }
        let name = arguments.node_name.clone();
        let name = name.and_then(|name| name.into_string().ok());
        Some(Slurmd {
            conf: self.conf_hint(arguments),
            node_name: name.filter(|name| !name.is_empty()),
        })
    }

    /// The place of slurm.conf: `--conf-server` before `-f` before SLURM_CONF before
    /// the rest, `src/slurmd/slurmd/slurmd.c`.
    fn conf_hint(&self, arguments: Arguments) -> ConfHint {
        if arguments.conf_server {
            return ConfHint::Configless;
        }
        let named = arguments.file.or_else(|| self.slurm_conf.clone());
        // A relative path depended on slurmd's working directory at its start, which is unknown now.
        if let Some(path) = named.filter(|path| path.is_absolute()) {
            return ConfHint::File(path);
        }
        let prefix = self.program.parent().and_then(Path::parent);
        let prefix = prefix.filter(|prefix| !matches!(prefix.to_str(), Some("/usr" | "/")));
        ConfHint::Default {
            prefix: prefix.map(Path::to_owned),
        }
    }
}

/// The arguments of a slurmd that matter here, parsed as getopt_long(3) does.
#[derive(Debug, Default)]
struct Arguments {
    /// `-f`
    file: Option<PathBuf>,
    /// `--conf-server`
    conf_server: bool,
    /// `-N`
    node_name: Option<OsString>,
    /// `-C`, `-G`, `-h` or `-V`: slurmd prints something and exits.
    only_tells: bool,
}

impl Arguments {
    fn of(args: &[OsString]) -> Self {
        /// slurmd(8): short options with a value; `F` takes one only if joined.
        const WITH_VALUE: &[u8] = b"dfLnNF";
        /// Long options with a value.
        const LONG: [&[u8]; 8] = [
            b"--authinfo",
            b"--ca-cert-file",
            b"--conf",
            b"--conf-server",
            b"--extra",
            b"--instance-id",
            b"--instance-type",
            b"--parameters",
        ];
        let mut found = Self::default();
        let mut args = args.iter().skip(1);
        while let Some(arg) = args.next().map(|arg| arg.as_bytes()) {
            if arg.starts_with(b"--") {
                let name = arg.split(|byte| *byte == b'=').next().unwrap_or_default();
                found.conf_server |= name == b"--conf-server";
                if LONG.contains(&arg) {
                    args.next();
                }
                continue;
            }
            let letters = arg.strip_prefix(b"-").unwrap_or_default();
            let at = letters
                .iter()
                .position(|letter| WITH_VALUE.contains(letter));
            let flags = &letters[..at.unwrap_or(letters.len())];
            found.only_tells |= flags.iter().any(|letter| b"CGhV".contains(letter));
            let Some(at) = at else { continue };
            let value = match (letters[at], &letters[at + 1..]) {
                (b'F', _) => None,
                (_, []) => args.next().cloned(),
                (_, joined) => Some(OsString::from_vec(joined.to_vec())),
            };
            match letters[at] {
                b'f' => found.file = value.map(PathBuf::from).or(found.file),
                b'N' => found.node_name = value.or(found.node_name),
                _ => {}
            }
        }
        found
    }
}

/// Checks the name in /proc/PID/comm, which costs the kernel less than the other files.
fn may_be_slurmd(pid: u32, unseen: &mut Unseen) -> bool {
    let path = PathBuf::from(format!("/proc/{pid}/comm"));
    read(&path, unseen).is_some_and(|name| name.starts_with(b"slurmd"))
}

/// Whether the process has the same root directory as this one.
fn has_our_root(pid: u32, unseen: &mut Unseen) -> bool {
    let path = PathBuf::from(format!("/proc/{pid}/root"));
    let mut root = |path: &Path| {
        let found = unseen.some("stat", path, fs::metadata(path))?;
        Some((found.dev(), found.ino()))
    };
    let (theirs, ours) = (root(&path), root(Path::new("/")));
    theirs.is_some() && theirs == ours
}

/// Returns the value of a line in /proc/PID/status, proc_pid_status(5).
fn field<'a>(status: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let mut lines = status.split(|byte| *byte == b'\n');
    lines
        .find_map(|line| line.strip_prefix(name))
        .map(<[u8]>::trim_ascii)
}

/// Checks what is known before the program: only root may read that, and only if a policy allows it.
fn is_called_slurmd(status: &[u8]) -> bool {
    field(status, b"Name:").is_some_and(|name| name.starts_with(b"slurmd"))
        // Real, effective, saved and of the file system.
        && field(status, b"Uid:") == Some(b"0\t0\t0\t0")
}

/// Whether the process is a slurmd; `status` is the text of /proc/PID/status, proc_pid_status(5).
fn is_slurmd(program: &Path, status: &[u8]) -> bool {
    let file = program.file_name().unwrap_or_default().as_bytes();
    // A program that was upgraded while it runs, proc_pid_exe(5).
    let file = file.strip_suffix(b" (deleted)").unwrap_or(file);
    // A slurmd that executed itself again to reconfigure has its file's name.
    let name = field(status, b"Name:").unwrap_or_default();
    // Not slurmdbd.
    let is_slurmds = file == b"slurmd" || file.starts_with(b"slurmd-");
    is_called_slurmd(status)
        && is_slurmds
        && (name == b"slurmd" || name == &file[..file.len().min(LONGEST_NAME)])
}

fn read(path: &Path, unseen: &mut Unseen) -> Option<Vec<u8>> {
    unseen.some("read", path, sys::read_regular(path, MAX_FILE))
}

pub(crate) fn pid(text: &[u8]) -> Option<u32> {
    std::str::from_utf8(text.trim_ascii()).ok()?.parse().ok()
}

fn words(text: &[u8]) -> Vec<OsString> {
    let text = text.strip_suffix(b"\0").unwrap_or(text);
    text.split(|byte| *byte == 0)
        .map(|word| OsString::from_vec(word.to_vec()))
        .collect()
}

/// Parses the files of a process, for the fuzz targets.
#[cfg(fuzzing)]
pub fn of_files(exe: &[u8], status: &[u8], cmdline: &[u8], environ: &[u8]) -> Option<ConfHint> {
    let program = PathBuf::from(OsStr::from_bytes(exe));
    let started =
        is_slurmd(&program, status).then(|| Invocation::new(program, cmdline, environ))?;
    started.slurmd().map(|it| it.conf)
}

#[cfg(test)]
mod tests;
