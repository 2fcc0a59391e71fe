//! Suspended jobs: a process that enters the extern step of one stops there until the job is resumed.
//!
//! Slurm suspends a job (`scontrol suspend`, preemption, gang scheduling) by SIGTSTP to the processes of
//! each step, and two seconds later by the freezer of each step: `freezer.state` of `step_extern` with
//! cgroup v1, `cgroup.freeze` of `step_extern/user` with v2. Seen with 20.11, 22.05, 24.11 and 26.05. The
//! slurmstepd itself, in the directory above or beside, goes on and takes processes in as ever; its STATE
//! stays "running". Where a directory above is frozen, the slurmstepd is too, and does not answer.

use std::fs;
use std::io::{self, Write as _};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use sys::{Deadline, Interest};

use crate::adoption::AdoptError;
use crate::exchange::{self, Broken};
use crate::log::{Log, said};
use crate::place::{self, Step};
use crate::stepd::Census;

/// What tells whether an extern step is suspended.
#[derive(Debug)]
pub struct Freezer {
    /// The file that is not "0" or "THAWED" where the step is frozen or about to be.
    state: Option<PathBuf>,
    stepd: i32,
}

impl Freezer {
    /// That of a job whose slurmstepd is this process (0: not visible from here).
    #[must_use]
    #[inline(never)]
    pub fn of(job: u32, stepd: i32) -> Self {
        let cgroups = place::cgroups_of(&format!("/proc/{stepd}/cgroup")).unwrap_or_default();
        let usual = |root: &str, below: &str| Some(Path::new(root).join(below.strip_prefix('/')?));
        let state = state_file(job, &cgroups).and_then(|(hierarchy, below)| {
            let root = match hierarchy {
                UNIFIED => "/sys/fs/cgroup",
                _ => "/sys/fs/cgroup/freezer",
            };
            let state = usual(root, &below).filter(|it| it.exists());
            state.or_else(|| Mounts::read().ok()?.find(hierarchy, &below))
        });
        Self { state, stepd }
    }

    /// Whether it is suspended, or will be within two seconds.
    #[must_use]
    pub fn is_suspended(&self) -> bool {
        self.is_frozen() || self.is_stopped()
    }

    fn is_frozen(&self) -> bool {
        let state = self.state.as_deref();
        let text = state.and_then(|it| sys::read_regular(it, 4096).ok());
        text.is_some_and(|it| is_frozen(&it))
    }

    /// Whether the process that the slurmstepd has put into the step to hold it is stopped, as all of the
    /// step are before it is frozen. It is root's: no user can stop it. There is none from 25.05 on.
    fn is_stopped(&self) -> bool {
        let stepd = self.stepd;
        let children = format!("/proc/{stepd}/task/{stepd}/children");
        let Some(children) = place::cgroups_of(&children) else {
            return false;
        };
        let mut children = children.split_whitespace();
        children.any(|child| {
            let stat = place::cgroups_of(&format!("/proc/{child}/stat"));
            stat.is_some_and(|it| is_stopped(&it))
        })
    }
}

/// The hierarchy of cgroup v2 among [`place::Line::controllers`].
const UNIFIED: &str = "";

/// The hierarchy and the path in it of the file that has the state of a job's extern step, by the text of
/// its slurmstepd's /proc/PID/cgroup.
fn state_file(job: u32, stepd: &str) -> Option<(&'static str, String)> {
    if let Some(step) = Step::beside(job, stepd).v2 {
        return Some((UNIFIED, format!("{step}/user/cgroup.freeze")));
    }
    let has = |it: &place::Line<'_>| it.controllers.split(',').any(|it| it == "freezer");
    let path = place::lines(stepd).find(has)?.path;
    // The slurmstepd is in the job's directory, job_N.
    let end = format!("/job_{job}");
    path.ends_with(&end)
        .then(|| ("freezer", format!("{path}/step_extern/freezer.state")))
}

/// By the text of freezer.state (FREEZING counts) or cgroup.freeze.
fn is_frozen(state: &[u8]) -> bool {
    !matches!(state.trim_ascii(), b"THAWED" | b"0" | b"")
}

/// By the text of /proc/PID/stat: the state comes after the name, which may have anything in it.
fn is_stopped(stat: &str) -> bool {
    let after = stat.rsplit_once(") ");
    after.is_some_and(|(_, after)| after.starts_with('T'))
}

/// Says whether a job that is to be adopted into later is suspended now.
///
/// # Errors
/// [`AdoptError::Suspended`], and what comes of asking the slurmstepd whose job it is.
#[inline(never)]
pub fn look(
    census: &mut Census,
    job: u32,
    deadline: &Deadline,
    log: Log<'_>,
) -> Result<(), AdoptError> {
    let conversation = census.converse(job, deadline, log)?;
    match Freezer::of(job, conversation.pid).is_suspended() {
        true => Err(AdoptError::Suspended),
        false => Ok(()),
    }
}

/// Asks the slurmstepd to take a process, the calling one, into its step. The answer is left to be read.
///
/// Who is taken into a frozen step stops at once, and can't help itself. So another process asks, which is
/// not moved, waits for the answer, and puts the login back where it was if the step is suspended by then.
///
/// # Errors
/// [`AdoptError::Suspended`]: the process is where it was.
#[inline(never)]
pub fn ask(
    freezer: &Freezer,
    socket: &OwnedFd,
    question: &[u8],
    pid: u32,
    deadline: &Deadline,
    log: Log<'_>,
) -> Result<(), AdoptError> {
    const THROUGH: u8 = 0;
    const PUT_BACK: u8 = 1;
    const NOT_PUT_BACK: u8 = 2;
    if freezer.is_suspended() {
        return Err(AdoptError::Suspended);
    }
    if freezer.state.is_none() {
        log.debug(|| "it is not to be seen whether the job is suspended".to_owned());
        return send(socket, question);
    }
    // No line to the log from in there: see `by_proxy`.
    let done = sys::by_proxy(&|| {
        if sys::send(socket, question).is_ok() {
            let _ = exchange::wait(Interest::readable(socket), deadline);
        }
        match freezer.is_suspended().then(|| put_back(pid)) {
            None => THROUGH,
            Some(Ok(())) => PUT_BACK,
            Some(Err(_)) => NOT_PUT_BACK,
        }
    });
    match done {
        Ok(PUT_BACK) => Err(AdoptError::Suspended),
        Ok(NOT_PUT_BACK) => {
            log.error(|| "the job was suspended, and the login could not leave it".to_owned());
            Ok(())
        }
        // What became of the question will be seen by the answer.
        Ok(_) => Ok(()),
        Err(error) => {
            log.error(|| format!("start a process that asks: {error}"));
            send(socket, question)
        }
    }
}

fn send(socket: &OwnedFd, question: &[u8]) -> Result<(), AdoptError> {
    sys::send(socket, question).map_err(|error| Broken::from(error).into())
}

/// Puts a process where the calling one is, in each hierarchy of control groups.
fn put_back(pid: u32) -> io::Result<()> {
    let cgroups = |process: &str| sys::read_regular(Path::new(process), 1 << 20);
    let here = cgroups("/proc/self/cgroup")?;
    let there = cgroups(&format!("/proc/{pid}/cgroup"))?;
    let (here, there) = (
        String::from_utf8_lossy(&here),
        String::from_utf8_lossy(&there),
    );
    let mounts = Mounts::read()?;
    for line in place::lines(&here) {
        let same = |it: &place::Line<'_>| it.controllers == line.controllers;
        let is_there = place::lines(&there).find(same);
        if is_there.is_none_or(|it| it.path == line.path) {
            continue;
        }
        let procs = format!("{}/cgroup.procs", line.path.trim_end_matches('/'));
        let procs = mounts.find(line.controllers, &procs);
        let procs = procs.ok_or_else(|| io::Error::other(said("not mounted")))?;
        let mut file = fs::OpenOptions::new().write(true).open(procs)?;
        file.write_all(pid.to_string().as_bytes())?;
    }
    Ok(())
}

/// Where hierarchies of control groups are mounted, proc_pid_mountinfo(5).
struct Mounts(String);

impl Mounts {
    fn read() -> io::Result<Self> {
        let text = sys::read_regular(Path::new("/proc/self/mountinfo"), 1 << 22)?;
        Ok(Self(String::from_utf8_lossy(&text).into_owned()))
    }

    /// The path of a file, by its hierarchy's controllers as /proc/PID/cgroup has them and its path there.
    fn find(&self, controllers: &str, file: &str) -> Option<PathBuf> {
        let mut mounts = self.0.lines().filter_map(|line| {
            let (of_mount, of_system) = line.split_once(" - ")?;
            let mut words = of_mount.split(' ').skip(3);
            let (root, at) = (words.next()?, words.next()?);
            let mut words = of_system.split(' ');
            let (kind, options) = (words.next()?, words.nth(1)?);
            let has = |it: &str| options.split(',').any(|option| option == it);
            let is_it = match controllers {
                UNIFIED => kind == "cgroup2",
                _ => kind == "cgroup" && controllers.split(',').all(has),
            };
            // Of the hierarchy only what is below its root is mounted there.
            let below = file
                .strip_prefix(root.trim_end_matches('/'))
                .filter(|_| is_it)?;
            below
                .starts_with('/')
                .then(|| PathBuf::from(format!("{at}{below}")))
        });
        mounts.next()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_the_state_is() {
        for (job, stepd, found) in [
            (
                7,
                "6:freezer:/slurm_node1/uid_2001/job_7\n0::/init.scope\n",
                Some((
                    "freezer",
                    "/slurm_node1/uid_2001/job_7/step_extern/freezer.state",
                )),
            ),
            (
                7,
                "0::/system.slice/n_slurmstepd.scope/s8FSM8/step_extern/slurm\n",
                Some((
                    "",
                    "/system.slice/n_slurmstepd.scope/s8FSM8/step_extern/user/cgroup.freeze",
                )),
            ),
            (7, "6:freezer:/slurm/uid_2001/job_77\n", None),
            (7, "6:freezer:/\n0::/\n", None),
            (7, "5:cpu:/slurm/uid_2001/job_7\n", None),
            (7, "", None),
        ] {
            let found = found.map(|(hierarchy, path)| (hierarchy, path.to_owned()));
            assert_eq!(state_file(job, stepd), found, "{stepd}");
        }
    }

    #[test]
    fn what_is_frozen() {
        for (state, is) in [
            (&b"THAWED\n"[..], false),
            (b"0\n", false),
            (b"", false),
            (b"FREEZING\n", true),
            (b"FROZEN\n", true),
            (b"1\n", true),
        ] {
            assert_eq!(is_frozen(state), is);
        }
    }

    #[test]
    fn what_is_stopped() {
        for (stat, is) in [
            ("310 (sleep) T 296 310", true),
            ("310 (sleep) S 296 310", false),
            ("310 (a) T (b) S 296", false),
            ("310 (a) S (b) T 296", true),
            ("", false),
        ] {
            assert_eq!(is_stopped(stat), is, "{stat}");
        }
    }

    #[test]
    fn where_it_is_mounted() {
        let mounts = Mounts(
            "30 24 0:26 / /sys/fs/cgroup ro,nosuid - tmpfs tmpfs ro,mode=755\n\
             31 30 0:27 / /sys/fs/cgroup/unified rw shared:9 - cgroup2 cgroup2 rw,nsdelegate\n\
             32 30 0:28 / /sys/fs/cgroup/systemd rw shared:10 - cgroup cgroup rw,xattr,name=systemd\n\
             33 30 0:29 /box /cg/freezer rw shared:11 - cgroup cgroup rw,freezer\n\
             34 30 0:30 / /cg/cpu rw shared:12 - cgroup cgroup rw,cpu,cpuacct\n"
                .to_owned(),
        );
        for (controllers, file, found) in [
            (
                "",
                "/a/cgroup.procs",
                Some("/sys/fs/cgroup/unified/a/cgroup.procs"),
            ),
            (
                "name=systemd",
                "/cgroup.procs",
                Some("/sys/fs/cgroup/systemd/cgroup.procs"),
            ),
            ("freezer", "/box/a/x", Some("/cg/freezer/a/x")),
            ("freezer", "/boxes/a", None),
            ("cpu,cpuacct", "/x", Some("/cg/cpu/x")),
            ("memory", "/x", None),
        ] {
            assert_eq!(
                mounts.find(controllers, file),
                found.map(PathBuf::from),
                "{file}"
            );
        }
    }
}
