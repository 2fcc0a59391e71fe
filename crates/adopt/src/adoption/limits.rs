//! The resource limits of a job's step, taken over into a login (`limits=job`).
//!
//! Slurm gives the processes of a step those that the user had where they submitted, as far as
//! PropagateResourceLimits says so, and else its daemons' (`slurmstepd/ulimits.c`); sshd's own come from
//! its service and pam_limits.
//!
//! A process of the job is found by its cgroup. What a stepd lists (LIST_PIDS) are numbers of the job's own
//! pid namespace where it has one, and with cgroup v2 begin with the stepd itself.

use std::io;
use std::path::Path;

use sys::{Deadline, Limit, Proc, ProcessDir, Resource};

use crate::log::Log;
use crate::stepd::Census;
use crate::text::said;

/// Less than that, and a login would not come about: sshd's monitor, which is root's, has these limits
/// too, and the user's sshd has to start a shell.
fn floor(resource: Resource) -> u64 {
    match resource {
        Resource::OpenFiles => 256,
        Resource::Stack => 1 << 20,
        Resource::Processes => 64,
        Resource::LockedMemory | Resource::Core => 0,
    }
}

/// The job's limit but for the floor, which never gives a login more than sshd has.
fn bounded(job: Limit, sshd: Limit, floor: u64) -> Limit {
    Limit {
        soft: job.soft.max(floor.min(sshd.soft)),
        hard: job.hard.max(floor.min(sshd.hard)),
    }
}

/// The limits of a job's own process, or none.
#[derive(Debug, Default)]
pub struct JobLimits(Vec<(Resource, Limit)>);

impl JobLimits {
    /// Those of a process of the job, or if there is none here of its slurmstepd. What is not available
    /// is logged, and keeps nobody out.
    #[inline(never)]
    pub fn ask(census: &Census, job: u32, deadline: &Deadline, log: Log<'_>) -> Self {
        let Some(socket) = census.socket_of(job) else {
            return Self::default();
        };
        match find(census, &socket, job, deadline) {
            Ok(limits) => Self(limits),
            Err(cause) => {
                log.error(|| format!("the limits of job {job}: {cause}"));
                Self::default()
            }
        }
    }

    /// Gives them to this process.
    #[inline(never)]
    pub fn set(self, log: Log<'_>) {
        for (resource, job) in self.0 {
            let set = sys::limit(resource).and_then(|sshd| {
                let limit = bounded(job, sshd, floor(resource));
                sys::set_limit(resource, limit)?;
                Ok(limit)
            });
            match set {
                Ok(Limit { soft, hard }) => {
                    log.debug(|| format!("{resource}: {soft}, at most {hard}"));
                }
                Err(error) => log.error(|| format!("the limit {resource} of the job: {error}")),
            }
        }
    }
}

type Limits = Vec<(Resource, Limit)>;

fn find(
    census: &Census,
    extern_socket: &Path,
    job: u32,
    deadline: &Deadline,
) -> Result<Limits, String> {
    let failed = |what: &str, error: io::Error| format!("{what}: {error}");
    // Open until the end: as long as it is, that slurmstepd is there.
    let connection = sys::connect_unix(extern_socket).map_err(|it| failed("slurmstepd", it))?;
    let stepd = sys::peer_credentials(&connection).map_err(|it| failed("slurmstepd", it))?;
    if !census.trusts(stepd.uid) {
        return Err(format!("uid {} listens at its socket", stepd.uid));
    }
    // In the job's namespaces only those of the job may be seen.
    let proc = Proc::own().or_else(|_| Proc::mounted());
    let proc = proc.map_err(|it| failed("/proc", it))?;
    let own = u32::try_from(stepd.pid)
        .ok()
        .filter(|pid| *pid > 0 && proc.is_own());
    let stepd_dir = match own.map(|pid| proc.process(pid)) {
        Some(Ok(Some(dir))) if is_of(&dir, stepd.uid) => Some(dir),
        Some(Err(error)) => return Err(failed("slurmstepd's process", error)),
        _ => None,
    };
    let steps = match &stepd_dir {
        Some(dir) => Steps::of(job, &text(dir, c"cgroup")?.unwrap_or_default()),
        None if !proc.is_own() => Steps::seen_from_within(job),
        None => return Err("its slurmstepd is in another pid namespace".to_owned()),
    };
    let found = oldest_of_first_step(&proc, census.uid(), &steps, deadline)?;
    match (found, stepd_dir) {
        (Some(limits), _) => Ok(limits),
        (None, Some(dir)) => limits_of(&dir)?.ok_or_else(|| "its slurmstepd has ended".to_owned()),
        (None, None) => Err("no process of it can be seen".to_owned()),
    }
}

/// The limits of the process that the job began with: the script, or the first step's command.
fn oldest_of_first_step(
    proc: &Proc,
    uid: u32,
    steps: &Steps,
    deadline: &Deadline,
) -> Result<Option<Limits>, String> {
    let mut best: Option<((u64, u64), Limits)> = None;
    let mut unseen = None;
    for pid in proc
        .pids()
        .map_err(|error| format!("list /proc: {error}"))?
    {
        if deadline.has_passed() {
            return Err("no time is left to look for its processes".to_owned());
        }
        match candidate(proc, pid, uid, steps) {
            Ok(Some(Candidate { rank, process }))
                if best.as_ref().is_none_or(|(best, _)| rank < *best) =>
            {
                best = limits_of(&process)?.map(|it| (rank, it)).or(best);
            }
            Ok(_) => {}
            // A rule of SELinux may hide processes that are none of the job's.
            Err(cause) => unseen = Some(format!("look at process {pid}: {cause}")),
        }
    }
    match (best, unseen) {
        (Some((_, limits)), _) => Ok(Some(limits)),
        (None, Some(cause)) => Err(cause),
        (None, None) => Ok(None),
    }
}

/// A process of one of the job's steps: of the step and by its start, the first one counts.
struct Candidate {
    rank: (u64, u64),
    process: ProcessDir,
}

/// The process, if it is the user's and in a step of the job: the lower its rank the better.
fn candidate(proc: &Proc, pid: u32, uid: u32, steps: &Steps) -> Result<Option<Candidate>, String> {
    if proc.owner(pid).map_err(said)? != Some(uid) {
        return Ok(None);
    }
    // From here on by one descriptor: the number may be another's by now.
    let Some(process) = proc.process(pid).map_err(said)? else {
        return Ok(None);
    };
    let step = text(&process, c"cgroup")?.and_then(|it| steps.rank(&it));
    let stat = process.stat().map_err(said)?.filter(|it| !it.is_zombie);
    let (Some(step), Some(stat), true) = (step, stat, is_of(&process, uid)) else {
        return Ok(None);
    };
    let rank = (step, stat.start);
    Ok(Some(Candidate { rank, process }))
}

fn is_of(process: &ProcessDir, uid: u32) -> bool {
    matches!(process.owner(), Ok(Some(owner)) if owner == uid)
}

fn text(process: &ProcessDir, name: &std::ffi::CStr) -> Result<Option<String>, String> {
    let text = process.read(name);
    text.map_err(|error| format!("read {} of a process: {error}", name.to_string_lossy()))
}

/// None: it has ended.
fn limits_of(process: &ProcessDir) -> Result<Option<Limits>, String> {
    let Some(text) = text(process, c"limits")? else {
        return Ok(None);
    };
    let limit = |resource| {
        let limit = sys::limit_in(&text, resource);
        let limit = limit.ok_or_else(|| format!("/proc/PID/limits names no {resource}"))?;
        Ok((resource, limit))
    };
    Resource::ALL
        .into_iter()
        .map(limit)
        .collect::<Result<_, _>>()
        .map(Some)
}

/// Where the processes of a job's steps are among the cgroups (as place.rs has it).
#[derive(Debug, PartialEq, Eq)]
enum Steps {
    /// With v2: below the job's directory.
    V2(String),
    /// With v1: below a directory that is named after the job.
    V1(String),
    /// As V1; but with v2 whatever is in a step, where only processes of that job are seen.
    Within(String),
}

const EXTERN: &str = "/step_extern";

impl Steps {
    /// By the text of the /proc/PID/cgroup of the extern step's slurmstepd.
    fn of(job: u32, stepd: &str) -> Self {
        let v2 = stepd.lines().find_map(|it| it.strip_prefix("0::"));
        match v2.and_then(|it| it.rsplit_once(EXTERN)) {
            Some((job, rest)) if rest.is_empty() || rest.starts_with('/') => {
                Self::V2(job.to_owned())
            }
            _ => Self::V1(format!("/job_{job}/")),
        }
    }

    fn seen_from_within(job: u32) -> Self {
        Self::Within(format!("/job_{job}/"))
    }

    /// Which of the job's steps a process is in: the lower the likelier it has the job's limits. None: in
    /// no step of the job, or in the extern one, where logins are.
    fn rank(&self, cgroups: &str) -> Option<u64> {
        let mut paths = cgroups.lines().filter_map(|line| {
            let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
            let is_v2 = controllers.is_empty();
            let after = match self {
                Self::V2(job) => path.strip_prefix(job.as_str()).filter(|_| is_v2)?,
                Self::Within(_) if is_v2 => &path[path.rfind("/step_")?..],
                Self::V1(_) if is_v2 => return None,
                Self::V1(job) | Self::Within(job) => path.split_once(job.as_str())?.1,
            };
            let step = after.trim_start_matches('/').strip_prefix("step_")?;
            Some(step.split('/').next().unwrap_or_default())
        });
        match paths.next()? {
            "extern" => None,
            "batch" => Some(0),
            "interactive" => Some(1),
            step => Some(step.parse().map_or(u64::MAX, |it: u32| u64::from(it) + 2)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: u64 = u64::MAX;

    #[test]
    fn the_floor_holds_and_gives_no_more_than_sshd_has() {
        for (job, sshd, bound) in [
            ((4, 4), (1024, 4096), (256, 256)),
            ((4, 1000), (1024, 4096), (256, 1000)),
            ((777, 888), (1024, 4096), (777, 888)),
            ((NONE, NONE), (1024, 4096), (NONE, NONE)),
            ((4, 4), (100, 200), (100, 200)),
            ((4, 4), (2, 200), (4, 200)),
        ] {
            let [job, sshd, bound] = [job, sshd, bound].map(|(soft, hard)| Limit { soft, hard });
            assert_eq!(bounded(job, sshd, 256), bound, "{job:?} {sshd:?}");
            assert!(bound.soft <= bound.hard);
        }
    }

    #[test]
    fn steps_of_a_job_with_cgroup_v1() {
        let steps = Steps::of(7, "4:freezer:/system.slice/slurmd.service\n0::/\n");
        for (path, rank) in [
            ("/slurm_node1/uid_2001/job_7/step_batch", Some(0)),
            ("/slurm/uid_2001/job_7/step_batch/task_0", Some(0)),
            ("/slurm/uid_2001/job_7/step_interactive", Some(1)),
            ("/slurm/uid_2001/job_7/step_0", Some(2)),
            ("/slurm/uid_2001/job_7/step_4294967294", Some(0x1_0000_0000)),
            ("/slurm/uid_2001/job_7/step_x", Some(u64::MAX)),
            ("/slurm/uid_2001/job_7/step_extern/task_0", None),
            ("/slurm/uid_2001/job_77/step_batch", None),
            ("/slurm/uid_2001/job_7", None),
            ("/", None),
        ] {
            for cgroups in [
                format!("4:freezer:{path}\n0::/\n"),
                format!("0::/x/step_0\n5:pids:/\n3:cpu,cpuacct:{path}\n"),
            ] {
                assert_eq!(steps.rank(&cgroups), rank, "{cgroups}");
            }
            assert_eq!(steps.rank(&format!("0::{path}\n")), None, "v2: {path}");
        }
    }

    #[test]
    fn steps_of_a_job_with_cgroup_v2() {
        for job in ["job_7", "sKJH3N2"] {
            let scope = format!("/system.slice/node1_slurmstepd.scope/{job}");
            let steps = Steps::of(7, &format!("0::{scope}/step_extern/slurm\n"));
            for (path, rank) in [
                (format!("{scope}/step_batch/user/task_0"), Some(0)),
                (format!("{scope}/step_3/user/task_0"), Some(5)),
                (format!("{scope}/step_extern/user/task_0"), None),
                (format!("{scope}x/step_batch/user"), None),
                (format!("/x{scope}/step_batch/user"), None),
                (scope.clone(), None),
            ] {
                assert_eq!(steps.rank(&format!("0::{path}\n")), rank, "{path}");
                assert_eq!(steps.rank(&format!("4:freezer:{path}\n")), None, "{path}");
            }
        }
    }

    #[test]
    fn steps_where_only_the_job_is_seen() {
        let steps = Steps::seen_from_within(7);
        for (cgroups, rank) in [
            ("0::/scope/sKJH3N2/step_batch/user/task_0\n", Some(0)),
            ("0::/../../step_1/user/task_0\n", Some(3)),
            ("0::/outer/step_0/scope/sKJH3N2/step_extern/user\n", None),
            ("4:freezer:/slurm/uid_2001/job_7/step_0\n0::/\n", Some(2)),
            ("4:freezer:/slurm/uid_2001/job_8/step_0\n", None),
            ("", None),
        ] {
            assert_eq!(steps.rank(cgroups), rank, "{cgroups}");
        }
    }
}
