//! The running slurmds, for two questions: which slurm.conf do they read, and which node are they told to be?
//!
//! A process counts as slurmd only if it is called so, its program too (Debian's file is slurmd-wlm),
//! and all its uids are 0: what a user may name or start can't pass for it. (The owner of /proc/PID says less: a process that is
//! not dumpable appears as root's, proc_pid(5).)

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use sys::{Deadline, Directory};

use crate::access::Unseen;

/// Where a slurmd of the usual builds leaves its pid, SlurmdPidFile of slurm.conf(5).
const PID_FILES: [&str; 3] = [
    "/run/slurmd.pid",
    "/run/slurm/slurmd.pid",
    "/run/slurmd/slurmd.pid",
];
/// The cgroup of slurmd.service, v2 and v1: started by systemd it may have no pid file.
const SERVICE_CGROUPS: [&str; 2] = [
    "/sys/fs/cgroup/system.slice/slurmd.service",
    "/sys/fs/cgroup/systemd/system.slice/slurmd.service",
];
/// Processes looked at in the service's cgroup, where old stepds and their tasks may be too.
const MAX_SERVICE_PIDS: usize = 4096;
/// The kernel cuts a process's name to this length, proc_pid_comm(5).
const LONGEST_NAME: usize = 15;
/// The largest of the files under /proc that is read, in bytes.
const MAX_FILE: u64 = 1 << 20;

/// How a slurmd was started.
#[derive(Debug)]
struct Invocation {
    program: PathBuf,
    args: Vec<OsString>,
    slurm_conf: Option<PathBuf>,
}

/// Where a slurmd takes its slurm.conf from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConfHint {
    /// `-f`, or SLURM_CONF in its environment.
    File(PathBuf),
    /// `--conf-server`: its cache.
    Configless,
    /// Its compiled-in place; the prefix if it is installed outside /usr.
    Default {
        /// Such as /opt/slurm for /opt/slurm/sbin/slurmd.
        prefix: Option<PathBuf>,
    },
}

/// A running slurmd: what it was told when it was started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slurmd {
    /// Where its slurm.conf is.
    pub conf: ConfHint,
    /// The name that it was given, `-N`.
    pub node_name: Option<String>,
}

/// The running slurmds, and why there may be more.
#[derive(Debug, Default, Clone)]
pub struct Slurmds {
    /// Each once.
    pub found: Vec<Slurmd>,
    /// The first thing that could not be looked at.
    pub unseen: Option<String>,
}

impl Slurmd {
    /// The slurmd that a pid file or the service's cgroup names.
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

    /// Looks through all processes: all slurmds that have our root directory. One in a container, whose
    /// files are others, is none of this host's. After the deadline no more are looked at.
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
            // One that forks is there twice for a moment.
            found.extend(slurmd.filter(|it| !found.contains(it)));
        }
        found
    }

    fn of_pid(pid: u32, unseen: &mut Unseen) -> Option<Self> {
        // All through one descriptor: it stays with this process, whoever gets its pid later.
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
    /// Of what it was started as and with, proc_pid_cmdline(5), proc_pid_environ(5).
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

    /// The slurmd, unless it only tells something and ends.
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

    /// Where it takes its slurm.conf from: `--conf-server` before `-f` before SLURM_CONF before
    /// the rest, `src/slurmd/slurmd/slurmd.c`.
    fn conf_hint(&self, arguments: Arguments) -> ConfHint {
        if arguments.conf_server {
            return ConfHint::Configless;
        }
        let named = arguments.file.or_else(|| self.slurm_conf.clone());
        // A relative path was relative to where slurmd was started, which nobody knows any more.
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

/// The arguments of a slurmd that matter here, taken apart as getopt_long(3) does it.
#[derive(Debug, Default)]
struct Arguments {
    /// `-f`
    file: Option<PathBuf>,
    /// `--conf-server`
    conf_server: bool,
    /// `-N`
    node_name: Option<OsString>,
    /// `-C`, `-G`, `-h` or `-V`: it tells something and ends.
    only_tells: bool,
}

impl Arguments {
    fn of(args: &[OsString]) -> Self {
        /// slurmd(8): short options with a value; `F` has one only if joined.
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

/// By its name in /proc/PID/comm, which takes the kernel less than the rest.
fn may_be_slurmd(pid: u32, unseen: &mut Unseen) -> bool {
    let path = PathBuf::from(format!("/proc/{pid}/comm"));
    read(&path, unseen).is_some_and(|name| name.starts_with(b"slurmd"))
}

/// Whether what it calls `/` is what we call so.
fn has_our_root(pid: u32, unseen: &mut Unseen) -> bool {
    let path = PathBuf::from(format!("/proc/{pid}/root"));
    let mut root = |path: &Path| {
        let found = unseen.some("stat", path, fs::metadata(path))?;
        Some((found.dev(), found.ino()))
    };
    let (theirs, ours) = (root(&path), root(Path::new("/")));
    theirs.is_some() && theirs == ours
}

/// A line of /proc/PID/status, proc_pid_status(5).
fn field<'a>(status: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let mut lines = status.split(|byte| *byte == b'\n');
    lines
        .find_map(|line| line.strip_prefix(name))
        .map(<[u8]>::trim_ascii)
}

/// What can be said before its program is known: whoever is root may look at that, if a policy lets them.
fn is_called_slurmd(status: &[u8]) -> bool {
    field(status, b"Name:").is_some_and(|name| name.starts_with(b"slurmd"))
        // Real, effective, saved and of the file system.
        && field(status, b"Uid:") == Some(b"0\t0\t0\t0")
}

/// `status` is what /proc/PID/status says, proc_pid_status(5).
fn is_slurmd(program: &Path, status: &[u8]) -> bool {
    let file = program.file_name().unwrap_or_default().as_bytes();
    // A program that was upgraded while it runs, proc_pid_exe(5).
    let file = file.strip_suffix(b" (deleted)").unwrap_or(file);
    // A slurmd that started itself anew, at a reconfiguration, is called by its file's name.
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

/// What the files of a process say, for the fuzz targets.
#[cfg(fuzzing)]
pub fn of_files(exe: &[u8], status: &[u8], cmdline: &[u8], environ: &[u8]) -> Option<ConfHint> {
    let program = PathBuf::from(OsStr::from_bytes(exe));
    let started =
        is_slurmd(&program, status).then(|| Invocation::new(program, cmdline, environ))?;
    started.slurmd().map(|it| it.conf)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn hint(program: &str, args: &str, slurm_conf: Option<&str>) -> ConfHint {
        let args = args.split(' ').map(OsString::from).collect();
        let started = Invocation {
            program: program.into(),
            args,
            slurm_conf: slurm_conf.map(PathBuf::from),
        };
        started.slurmd().expect("it stays").conf
    }

    #[test]
    fn no_process_is_looked_at_after_the_deadline() {
        let scan = |limit| {
            let mut unseen = Unseen::default();
            let found = Slurmd::scan(&Deadline::after(limit), &mut unseen);
            (found, unseen.first())
        };
        let (found, unseen) = scan(Duration::ZERO);
        let unseen = unseen.expect("not all are looked at");
        assert_eq!(unseen, "look through /proc: no time is left");
        assert!(found.is_empty(), "{found:?}");
        let (_, unseen) = scan(Duration::from_secs(60));
        assert!(unseen.is_none_or(|it| !it.contains("no time")));
    }

    #[test]
    fn hints() {
        let file = |path: &str| ConfHint::File(path.into());
        let default = |prefix: Option<&str>| ConfHint::Default {
            prefix: prefix.map(Into::into),
        };
        let usr = "/usr/sbin/slurmd";
        for (program, args, environment, expected) in [
            (usr, "slurmd", None, default(None)),
            (usr, "slurmd -D -s", None, default(None)),
            (usr, "slurmd -f /a/b", None, file("/a/b")),
            (usr, "slurmd -f/a/b", None, file("/a/b")),
            (usr, "slurmd -Dsf /a/b -c", None, file("/a/b")),
            (usr, "slurmd -N -f -f /c", None, file("/c")),
            (usr, "slurmd -f", None, default(None)),
            (usr, "slurmd -f rel", None, default(None)),
            (usr, "slurmd -L /log -f /c", Some("/env"), file("/c")),
            (usr, "slurmd", Some("/env"), file("/env")),
            (
                usr,
                "slurmd --conf-server ctl:6817",
                None,
                ConfHint::Configless,
            ),
            (
                usr,
                "slurmd --conf-server=ctl -Z",
                None,
                ConfHint::Configless,
            ),
            (
                usr,
                "slurmd --conf-server=ctl -f /a",
                None,
                ConfHint::Configless,
            ),
            (usr, "slurmd --conf -f", None, default(None)),
            (usr, "slurmd --extra -f/a/b", None, default(None)),
            (usr, "slurmd --extra=x -f/a/b", None, file("/a/b")),
            (usr, "slurmd -Fgold -f /a", None, file("/a")),
            (usr, "slurmd -Ff/evil", None, default(None)),
            (usr, "slurmd -F -f /a", None, file("/a")),
            (usr, "slurmd  -f /a", None, file("/a")),
            (
                "/opt/slurm/sbin/slurmd",
                "slurmd",
                None,
                default(Some("/opt/slurm")),
            ),
            ("/sbin/slurmd", "slurmd", None, default(None)),
        ] {
            assert_eq!(
                hint(program, args, environment),
                expected,
                "{program} {args}"
            );
        }
    }

    #[test]
    fn the_name_that_it_was_given() {
        for (args, expected) in [
            ("slurmd", None),
            ("slurmd -N n1", Some("n1")),
            ("slurmd -Nn1 -D", Some("n1")),
            ("slurmd -DZN n1 --conf Feature=x", Some("n1")),
            ("slurmd -N n1 -N n2", Some("n2")),
            ("slurmd -f -N", None),
            ("slurmd --extra -Nn1", None),
            ("slurmd -FN n1", None),
            ("slurmd -N", None),
        ] {
            let started = Invocation {
                program: "/usr/sbin/slurmd".into(),
                args: args.split(' ').map(OsString::from).collect(),
                slurm_conf: None,
            };
            let slurmd = started.slurmd().expect("it stays");
            assert_eq!(slurmd.node_name.as_deref(), expected, "{args}");
        }
    }

    #[test]
    fn who_is_slurmd() {
        let root = "Name:\tslurmd\nUmask:\t0022\nUid:\t0\t0\t0\t0\nGid:\t0\t0\t0\t0\n";
        for (program, status, expected) in [
            ("/usr/sbin/slurmd", root, true),
            ("/usr/sbin/slurmd-wlm", root, true),
            ("/usr/sbin/slurmd (deleted)", root, true),
            (
                "/usr/sbin/slurmd-wlm",
                "Name:\tslurmd-wlm\nUid:\t0\t0\t0\t0\n",
                true,
            ),
            (
                "/usr/sbin/slurmd-wlm",
                "Name:\tslurmd-wl\nUid:\t0\t0\t0\t0\n",
                false,
            ),
            ("/usr/sbin/slurmstepd", root, false),
            ("/usr/sbin/slurmdbd", root, false),
            (
                "/usr/sbin/slurmdbd",
                "Name:\tslurmdbd\nUid:\t0\t0\t0\t0\n",
                false,
            ),
            ("/tmp/slurmd/evil", root, false),
            (
                "/usr/sbin/slurmd",
                "Name:\tslurmstepd\nUid:\t0\t0\t0\t0\n",
                false,
            ),
            (
                "/usr/sbin/slurmd",
                "Name:\tslurmd\nUid:\t2001\t0\t0\t0\n",
                false,
            ),
            ("/usr/sbin/slurmd", "Name:\tslurmd\nUid:\t0\t0\t0\n", false),
            ("/usr/sbin/slurmd", "", false),
        ] {
            let is = is_slurmd(Path::new(program), status.as_bytes());
            assert_eq!(is, expected, "{program} {status}");
        }
    }
}
