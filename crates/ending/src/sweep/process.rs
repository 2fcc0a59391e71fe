//! The processes of users, and how one of them is ended.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::OwnedFd;

use adopt::survey::JobsSeen;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use sys::{Proc, ProcessStatus};

use crate::sweep::ancestry::Ancestry;
use crate::sweep::whose::Whose;

/// Follows the job's directory in the path of a step's cgroup.
const STEP: &str = "/step_";

/// A process of a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Its pid.
    pub pid: i32,
    /// Its start in clock ticks after the boot: with the pid it tells the process from any other.
    pub start: u64,
    /// The user whose it is, by uid or by user namespace.
    pub uid: u32,
    /// Its real uid: in a container of the user's another than the user's own.
    pub real_uid: u32,
    /// Its name, cut to 15 bytes by the kernel; its user chose it.
    pub name: String,
    /// Its /proc/PID/cgroup.
    pub cgroups: String,
}

/// The processes of users, at one look.
#[derive(Debug)]
pub struct Seen {
    /// Those that no slurmd has started, by pid.
    pub processes: Vec<Process>,
    /// Whether one ended before it could be looked at. What forks and ends all the time is never seen otherwise.
    pub has_missed: bool,
    /// The users of those that slurmd or a slurmstepd has started.
    pub served: BTreeSet<u32>,
}

/// Where a process stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// In the cgroup of this job.
    Job(u32),
    /// In the cgroup of a step of which no slurmstepd tells; the job's number, if the path has it.
    UnknownJob(Option<u32>),
    /// In no job.
    Outside,
}

/// Looks at all processes. Leaves out the dead, and what slurmd or a slurmstepd has started and still waits for: a Prolog
/// may become the user of a job that has no step yet.
///
/// # Errors
/// Those of proc(5).
pub fn look(whose: &Whose) -> io::Result<Seen> {
    let proc = Proc::mounted()?;
    let (mut processes, mut has_missed) = (Vec::new(), false);
    let mut ancestry = Ancestry::default();
    for pid in proc.pids()? {
        let Some((status, process)) = read(&proc, pid, whose)? else {
            has_missed = true;
            continue;
        };
        ancestry.add(pid, &status, whose);
        processes.extend(process);
    }
    let mut served = BTreeSet::new();
    processes.retain(|it: &Process| {
        let is_slurms = ancestry.leads_to_slurm(it.pid);
        if is_slurms {
            served.insert(it.uid);
        }
        !is_slurms
    });
    Ok(Seen {
        processes,
        has_missed,
        served,
    })
}

/// Reads a process; none if it has ended, and none of a user's if it is nobody's.
fn read(
    proc: &Proc,
    pid: u32,
    whose: &Whose,
) -> io::Result<Option<(ProcessStatus, Option<Process>)>> {
    let Some(dir) = proc.process(pid)? else {
        return Ok(None);
    };
    let Some(status) = dir.status()? else {
        return Ok(None);
    };
    // Root's daemons and kernel threads in their thousands.
    if !whose.may_be_users(status.uids) {
        return Ok(Some((status, None)));
    }
    let (Some(stat), Some(cgroups)) = (dir.stat()?, dir.read(c"cgroup")?) else {
        return Ok(None);
    };
    // Without CAP_SYS_PTRACE, as in a container, subuid(5) alone tells.
    let maker = match dir.namespace_owner() {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => None,
        maker => maker?,
    };
    if stat.is_zombie {
        return Ok(None);
    }
    let uid = whose.user(status.uids, maker);
    let process = uid.map(|uid| Process {
        pid: pid as i32,
        start: stat.start,
        uid,
        real_uid: status.uids[0],
        name: status.name.clone(),
        cgroups,
    });
    Ok(Some((status, process)))
}

impl Process {
    /// Where it stands.
    ///
    /// Any line of a step counts, of any hierarchy. A path that names a step of no known job counts too, unless it is
    /// below the user's own service manager, who may name cgroups at will.
    #[must_use]
    pub fn standing(&self, jobs: &JobsSeen) -> Standing {
        if let Some(job) = jobs.holding(&self.cgroups) {
            return Standing::Job(job);
        }
        let delegated = format!("/user@{}.service/", self.uid);
        let mut steps = self.cgroups.lines().filter_map(|line| {
            let step = line.split_once(STEP).map(|(before, _)| before);
            let before = step.or_else(|| is_bare_job(line).then_some(line))?;
            let job = before.rsplit_once("/job_").map(|(_, job)| job.parse().ok());
            let is_slurms = job.is_some() || before.contains("slurmstepd.scope");
            (is_slurms && !before.contains(&delegated)).then_some(job.flatten())
        });
        steps.next().map_or(Standing::Outside, Standing::UnknownJob)
    }

    /// What it is, by the part of systemd that has it.
    #[must_use]
    pub fn place(&self) -> &'static str {
        let has = |text: &str| self.cgroups.contains(text);
        match () {
            () if has(&format!("/user@{}.service", self.uid)) => "user service manager",
            () if has("/session-") => "session",
            () => "no session",
        }
    }

    /// Whether it is the user's service manager, systemd.special(7). The user may have put others beside it.
    #[must_use]
    pub fn is_manager(&self) -> bool {
        let scope = format!("/user@{}.service/init.scope", self.uid);
        self.cgroups.lines().any(|it| it.ends_with(&scope))
    }

    /// Opens a descriptor of this very process; None if it has ended. Returns the process as it is now: it may have
    /// entered a job.
    ///
    /// # Errors
    /// Those of pidfd_open(2), which Linux has from 5.3 on, and of proc(5).
    pub fn hold(&self, whose: &Whose) -> io::Result<Option<Held>> {
        let Some(pid) = Pid::from_raw(self.pid).filter(|_| self.pid > 1) else {
            return Ok(None);
        };
        let fd = match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(fd) => fd,
            Err(rustix::io::Errno::SRCH) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        // If the pid had been used again before the descriptor was opened, another start would be read here.
        let now = read(&Proc::mounted()?, self.pid as u32, whose)?;
        let now = now.and_then(|(_, process)| process);
        let same = now.filter(|now| (now.start, now.uid) == (self.start, self.uid));
        Ok(same.map(|process| Held { process, fd }))
    }
}

/// Whether the path of a line of cgroup v1 is a job's directory, with no step: where a slurmstepd starts its steps.
fn is_bare_job(line: &str) -> bool {
    let job = line
        .rsplit_once("/job_")
        .filter(|(it, _)| it.contains("/uid_"));
    job.is_some_and(|(_, job)| job.parse::<u32>().is_ok())
}

/// A process that no other can take the place of.
#[derive(Debug)]
pub struct Held {
    /// The process as it was when the descriptor was opened.
    pub process: Process,
    fd: OwnedFd,
}

impl Held {
    /// Sends a signal; a process that has ended needs none.
    ///
    /// # Errors
    /// Those of pidfd_send_signal(2).
    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        match pidfd_send_signal(&self.fd, signal) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;
    use std::process::Command;

    use adopt::survey::{JobSeen, JobsSeen, Life, Steps};
    use check::host::tree::Tree;
    use check::host::users::Ordinary;

    use super::*;

    /// Everyone counts, even root as the tests' user.
    fn whose() -> Whose {
        Whose::read(&Tree::live(), Ordinary { first: 0 }, 0)
    }

    const SCOPE: &str = "/system.slice/n_slurmstepd.scope";

    /// Job 7 runs.
    fn jobs(stepd: &str) -> JobsSeen {
        let job = JobSeen {
            owner: Some(2001),
            life: Life::Runs,
            steps: Some(Steps::by(7, stepd)),
        };
        JobsSeen::of([(7, job)].into())
    }

    fn standing(stepd: &str, cgroups: &str) -> Standing {
        let process = Process {
            pid: 2,
            start: 1,
            uid: 2001,
            real_uid: 2001,
            name: "x".into(),
            cgroups: cgroups.into(),
        };
        process.standing(&jobs(stepd))
    }

    #[test]
    fn where_a_process_stands() {
        use Standing::{Job, Outside, UnknownJob};
        let v2 = format!("0::{SCOPE}/s0DNM8/step_extern/slurm\n");
        let manager = "/user.slice/user-2001.slice/user@2001.service";
        for (cgroups, expected) in [
            (format!("0::{SCOPE}/s0DNM8/step_extern/user/task_0"), Job(7)),
            (format!("0::{SCOPE}/s0DNM8/step_0/user/x/y"), Job(7)),
            // A job whose slurmstepd does not tell, or of another slurmd.
            (format!("0::{SCOPE}/s1XXXX/step_0/user"), UnknownJob(None)),
            (format!("0::{SCOPE}/job_8/step_0"), UnknownJob(Some(8))),
            ("0::/".into(), Outside),
            (
                "0::/user.slice/user-2001.slice/session-3.scope".into(),
                Outside,
            ),
            (format!("0::{manager}/app.slice/x"), Outside),
            // The user may have made these.
            (format!("0::{manager}/job_8/step_0"), Outside),
            (format!("0::{manager}/slurmstepd.scope/step_0"), Outside),
            // Another user's manager is not theirs to name cgroups in.
            (
                "0::/x/user@9.service/job_8/step_0".into(),
                UnknownJob(Some(8)),
            ),
            ("0::/user.slice/step_7".into(), Outside),
            (String::new(), Outside),
        ] {
            assert_eq!(standing(&v2, &cgroups), expected, "{cgroups}");
        }
        let v1 = "4:freezer:/slurm/uid_2001/job_7\n";
        for (cgroups, expected) in [
            ("4:freezer:/slurm/uid_2001/job_7/step_extern\n0::/", Job(7)),
            // Only its memory is the job's.
            ("4:freezer:/\n3:memory:/slurm/uid_2001/job_7/step_0", Job(7)),
            ("4:freezer:/slurm/uid_1/job_9/step_0", UnknownJob(Some(9))),
            ("4:freezer:/\n3:memory:/\n0::/", Outside),
            // Not in its step yet.
            ("4:freezer:/slurm/uid_1/job_9\n0::/", UnknownJob(Some(9))),
            ("4:freezer:/job_9\n0::/", Outside),
        ] {
            assert_eq!(standing(v1, cgroups), expected, "{cgroups}");
        }
    }

    #[test]
    fn the_service_manager_of_a_user() {
        let unit = "0::/user.slice/user-2001.slice/user@2001.service";
        for (cgroups, is_manager) in [
            (format!("{unit}/init.scope\n"), true),
            (
                format!("1:name=systemd:{}/init.scope\n0::/\n", &unit[3..]),
                true,
            ),
            (format!("{unit}/app.slice/x.service\n"), false),
            (format!("{}/init.scope\n", unit.replace('@', "@1")), false),
            ("0::/init.scope\n".to_owned(), false),
        ] {
            let process = Process {
                pid: 2,
                start: 1,
                uid: 2001,
                real_uid: 2001,
                name: "systemd".into(),
                cgroups,
            };
            assert_eq!(process.is_manager(), is_manager, "{}", process.cgroups);
        }
    }

    #[test]
    fn only_the_process_that_was_seen_is_ended() {
        let mut child = Command::new("sleep").arg("1000").spawn().expect("sleep");
        let pid = child.id() as i32;
        let whose = whose();
        let all = look(&whose).expect("processes").processes;
        let seen = all.iter().find(|it| it.pid == pid).expect("the child");
        // The pid as it would be after another process has got it.
        let earlier = Process {
            start: seen.start - 1,
            ..seen.clone()
        };
        assert!(earlier.hold(&whose).expect("hold").is_none());
        let held = seen.hold(&whose).expect("hold").expect("it runs");
        held.signal(Signal::TERM).expect("signal");
        let status = child.wait().expect("wait");
        assert_eq!(status.signal(), Some(15));
        held.signal(Signal::KILL).expect("it has ended");
        assert!(seen.hold(&whose).expect("hold").is_none());
        let init = Process {
            pid: 1,
            ..seen.clone()
        };
        assert!(init.hold(&whose).expect("hold").is_none());
    }

    /// Its user may give a process any name.
    #[test]
    fn a_name_that_is_no_text_hides_nothing() {
        use std::ffi::OsStr;
        use std::os::unix::ffi::OsStrExt as _;
        let dir = std::env::temp_dir().join(format!("sweep-{}", std::process::id()));
        std::fs::create_dir_all(&dir).expect("make it");
        let program = dir.join(OsStr::from_bytes(b"\xff:\n9"));
        std::fs::copy("/bin/sleep", &program).expect("copy");
        let mut child = Command::new(&program).arg("1000").spawn().expect("sleep");
        let pid = child.id() as i32;
        let named = |it: &Process| it.pid == pid && it.name.contains(":\\n9");
        let is_seen = || {
            look(&whose())
                .expect("processes")
                .processes
                .iter()
                .any(named)
        };
        // It is a copy of this process until exec(2).
        let seen = (0..1000).any(|_| is_seen());
        child.kill().expect("kill");
        child.wait().expect("reap");
        std::fs::remove_dir_all(&dir).expect("clean up");
        assert!(seen);
    }
}
