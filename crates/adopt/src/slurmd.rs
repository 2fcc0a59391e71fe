//! The running slurmd, for one question: which slurm.conf does it read?
//!
//! A process counts as slurmd only if it is called so, its program too (Debian's file is slurmd-wlm),
//! and all its uids are 0: what a user may name or start can't pass for it. (The owner of /proc/PID says less: a process that is
//! not dumpable appears as root's, proc_pid(5).)

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use sys::{Directory, FileStatus, Listing};

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
/// What systemd leaves as long as slurmd.service runs, anew at each start (`unit_export_invocation_id`). Not
/// so the cgroup, which stays while jobs are in it.
const SERVICE_RUN: &str = "/run/systemd/units/invocation:slurmd.service";
/// Processes looked at in the service's cgroup, where old stepds and their tasks may be too.
const MAX_SERVICE_PIDS: usize = 4096;
/// The kernel cuts a process's name to this length, proc_pid_comm(5).
const LONGEST_NAME: usize = 15;
/// The largest of the files under /proc that is read, in bytes.
const MAX_FILE: u64 = 1 << 20;

/// What a running slurmd tells about itself.
#[derive(Debug)]
pub struct Slurmd {
    program: PathBuf,
    args: Vec<OsString>,
    slurm_conf: Option<PathBuf>,
}

/// What the slurmds of a host have left where they started: while none of it changes, the one that was
/// found is still the one, or it has ended and no other came.
#[derive(Debug, Clone)]
pub struct Trace {
    /// The first of the places where there is anything.
    pub first: &'static str,
    /// What is in each: the pid files, links followed, and systemd's mark of its service, which leads
    /// nowhere.
    pub found: [Option<FileStatus>; Trace::PLACES],
    /// When that was looked at.
    pub when: SystemTime,
}

impl Trace {
    /// How many places there are.
    pub const PLACES: usize = PID_FILES.len() + 1;

    /// Looks at all of them; none if there is nothing in any.
    #[must_use]
    #[inline(never)]
    pub fn find() -> Option<Self> {
        let when = SystemTime::now();
        let mut found = [None; Self::PLACES];
        let mut first = None;
        for (path, place) in PID_FILES.into_iter().chain([SERVICE_RUN]).zip(&mut found) {
            let status = match path {
                SERVICE_RUN => fs::symlink_metadata(path),
                path => fs::metadata(path),
            };
            if let Ok(status) = status {
                *place = Some(FileStatus::from(&status));
                first = first.or(Some(path));
            }
        }
        first.map(|first| Self { first, found, when })
    }
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

impl Slurmd {
    /// The slurmd that a pid file or the service's cgroup names, and the path of the [`Trace`] that
    /// stays with it.
    #[must_use]
    #[inline(never)]
    pub fn running() -> Option<(Self, &'static str)> {
        let from_pid_file = |path: &&str| Self::of_pid(pid(&read(Path::new(path))?)?);
        let from_cgroup = |path: &&str| {
            let text = read(&Path::new(path).join("cgroup.procs"))?;
            let pids = text.split(|byte| *byte == b'\n').filter_map(pid);
            pids.take(MAX_SERVICE_PIDS).find_map(Self::of_pid)
        };
        let found = PID_FILES
            .iter()
            .find_map(|path| Some((from_pid_file(path)?, *path)));
        found.or_else(|| {
            SERVICE_CGROUPS
                .iter()
                .find_map(|path| Some((from_cgroup(path)?, SERVICE_RUN)))
        })
    }

    /// Looks through all processes: only for where there is no other trace of a slurm.conf.
    #[must_use]
    #[inline(never)]
    pub fn scan() -> Option<Self> {
        let mut listing = Listing::open(Path::new("/proc")).ok()?;
        loop {
            let name = listing.next().ok()??;
            if let Some(found) = pid(name.to_bytes()).and_then(Self::of_pid) {
                return Some(found);
            }
        }
    }

    fn of_pid(pid: u32) -> Option<Self> {
        // All through one descriptor: it stays with this process, whoever gets its pid later.
        let process = Directory::open(Path::new(&format!("/proc/{pid}"))).ok()?;
        let read = |name| process.read(name, MAX_FILE).ok();
        let program = PathBuf::from(process.read_link(c"exe").ok()?);
        if !is_slurmd(&program, &read(c"status")?) {
            return None;
        }
        Some(Self::started(
            program,
            &read(c"cmdline")?,
            &read(c"environ")?,
        ))
    }

    /// Of what it was started as and with, proc_pid_cmdline(5), proc_pid_environ(5).
    fn started(program: PathBuf, cmdline: &[u8], environ: &[u8]) -> Self {
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

    /// Where it takes its slurm.conf from: `--conf-server` before `-f` before SLURM_CONF before
    /// the rest, `src/slurmd/slurmd/slurmd.c`.
    #[must_use]
    pub fn conf_hint(&self) -> ConfHint {
        let arguments = Arguments::of(&self.args);
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
            let Some(at) = letters
                .iter()
                .position(|letter| WITH_VALUE.contains(letter))
            else {
                continue;
            };
            let value = match (letters[at], &letters[at + 1..]) {
                (b'F', _) => None,
                (_, []) => args.next().cloned(),
                (_, joined) => Some(OsString::from_vec(joined.to_vec())),
            };
            if letters[at] == b'f' {
                found.file = value.map(PathBuf::from).or(found.file);
            }
        }
        found
    }
}

/// `status` is what /proc/PID/status says, proc_pid_status(5).
fn is_slurmd(program: &Path, status: &[u8]) -> bool {
    let field = |name: &[u8]| {
        let mut lines = status.split(|byte| *byte == b'\n');
        lines
            .find_map(|line| line.strip_prefix(name))
            .map(<[u8]>::trim_ascii)
    };
    let file = program.file_name().unwrap_or_default().as_bytes();
    // A program that was upgraded while it runs, proc_pid_exe(5).
    let file = file.strip_suffix(b" (deleted)").unwrap_or(file);
    // A slurmd that started itself anew, at a reconfiguration, is called by its file's name.
    let name = field(b"Name:").unwrap_or_default();
    file.starts_with(b"slurmd")
        && (name == b"slurmd" || name == &file[..file.len().min(LONGEST_NAME)])
        // Real, effective, saved and of the file system.
        && field(b"Uid:") == Some(b"0\t0\t0\t0")
}

fn read(path: &Path) -> Option<Vec<u8>> {
    sys::read_regular(path, MAX_FILE).ok()
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
    is_slurmd(&program, status).then(|| Slurmd::started(program, cmdline, environ).conf_hint())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hint(program: &str, args: &str, slurm_conf: Option<&str>) -> ConfHint {
        let args = args.split(' ').map(OsString::from).collect();
        Slurmd {
            program: program.into(),
            args,
            slurm_conf: slurm_conf.map(PathBuf::from),
        }
        .conf_hint()
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
