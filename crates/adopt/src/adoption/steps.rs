//! The cgroups of a job's steps.
//!
//! Slurm names a step's directory `step_NAME` (`cgroup_v1.c`, `cgroup_v2.c`). With cgroup v1 it is below
//! `job_N`, and the stepd itself is not in it. With v2 the extern step's stepd is in it (`step_extern/slurm`),
//! and since 26.05 the job's directory is not named after the job: the beginning of the stepd's own cgroup
//! tells which one it is.

use std::io;

use crate::access;
use crate::adoption::hierarchy::UNIFIED;
use crate::log::Log;

/// The cgroups of a job's steps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Steps {
    /// With v1: the part of the directory's path before a step's name.
    v1: String,
    v2: V2,
    /// The file with the freezer's state of the extern step: its hierarchy and its path there.
    pub(crate) freezer: Option<(&'static str, String)>,
}

/// The place of the steps with cgroup v2.
#[derive(Debug, Clone, PartialEq, Eq)]
enum V2 {
    /// Slurm does not use it.
    Unused,
    /// In the job's directory.
    In(String),
    /// Anywhere: only processes of this job are visible.
    Anywhere,
}

/// The step that takes logins.
pub(crate) const EXTERN: &str = "extern";
/// Follows the job's path in the path of a step's cgroup.
pub(crate) const STEP: &str = "/step_";

impl Steps {
    /// The steps of a job whose extern step's stepd has this pid (0: invisible from here). If its cgroups
    /// cannot be read, logs that and looks for the steps as with cgroup v1.
    #[must_use]
    pub fn beside(job: u32, stepd: i32, log: Log<'_>) -> Self {
        let cgroups = cgroups_of(&stepd.to_string()).unwrap_or_else(|error| {
            log.error(|| format!("find the cgroup of job {job}: {error}"));
            None
        });
        Self::by(job, &cgroups.unwrap_or_default())
    }

    /// The steps, by the text of the stepd's /proc/PID/cgroup.
    #[must_use]
    pub fn by(job: u32, stepd: &str) -> Self {
        let path = lines(stepd).find(Line::is_v2).map(|it| it.path);
        let job_dir = path.and_then(|path| {
            // slurmd may itself run in a step.
            let (before, after) = path.rsplit_once("/step_extern")?;
            (after.is_empty() || after.starts_with('/')).then_some(before)
        });
        // With v1 the stepd is in the job's directory, job_N.
        let v1_job = format!("/job_{job}");
        let of_v1 = || {
            let path = lines(stepd).find(Line::is_freezers)?.path;
            let is_jobs = path.ends_with(&v1_job);
            is_jobs.then(|| ("freezer", format!("{path}/step_extern/freezer.state")))
        };
        Self {
            freezer: match job_dir {
                Some(dir) => Some((UNIFIED, format!("{dir}/step_extern/user/cgroup.freeze"))),
                None => of_v1(),
            },
            v1: format!("{v1_job}/step_"),
            v2: job_dir.map_or(V2::Unused, |it| V2::In(it.to_owned())),
        }
    }

    /// The steps as seen from within the job's pid namespace, where the stepd is invisible.
    pub(crate) fn seen_from_within(job: u32) -> Self {
        Self {
            v1: format!("/job_{job}/step_"),
            v2: V2::Anywhere,
            freezer: None,
        }
    }

    /// The job's directory, if its stepd shows it: the hierarchy's controllers (none with v2) and the path there.
    pub(crate) fn job_dir(&self) -> Option<(&'static str, &str)> {
        let (hierarchy, file) = self.freezer.as_ref()?;
        let (dir, _) = file.rsplit_once("/step_extern/")?;
        Some((*hierarchy, dir))
    }

    /// Whether the stepd shows the job's directory.
    pub(crate) fn is_known(&self) -> bool {
        self.freezer.is_some()
    }

    /// Whether cgroup v2 shows the place of a process.
    pub(crate) fn uses_v2(&self) -> bool {
        self.v2 != V2::Unused
    }

    /// The step of a process with this line: `extern`, `batch`, or a number.
    pub(crate) fn step_of<'a>(&self, line: &Line<'a>) -> Option<&'a str> {
        let path = line.path;
        let after = match (&self.v2, line.is_v2()) {
            (V2::In(job), true) => path.strip_prefix(job.as_str())?.strip_prefix("/step_")?,
            (V2::Anywhere, true) => path.rsplit_once("/step_")?.1,
            (V2::Unused, true) | (V2::In(_), false) => return None,
            (V2::Unused | V2::Anywhere, false) => {
                let (_, after) = path.rsplit_once(&self.v1).filter(|_| line.is_slurms())?;
                after
            }
        };
        after.split('/').next()
    }

    /// The step that the first matching line names.
    #[must_use]
    pub fn step_in<'a>(&self, cgroups: &'a str) -> Option<&'a str> {
        lines(cgroups).find_map(|line| self.step_of(&line))
    }
}

/// The text of /proc/PROCESS/cgroup. None if there is no such process.
///
/// # Errors
/// The system's error, with the path.
pub fn cgroups_of(process: &str) -> io::Result<Option<String>> {
    access::read_unless_gone(&format!("/proc/{process}/cgroup"))
}

/// A line of /proc/PID/cgroup, cgroups(7).
pub(crate) struct Line<'a> {
    pub(crate) controllers: &'a str,
    pub(crate) path: &'a str,
}

impl<'a> Line<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let (_, rest) = line.split_once(':')?;
        let (controllers, path) = rest.split_once(':')?;
        Some(Self { controllers, path })
    }

    pub(crate) fn is_v2(&self) -> bool {
        self.controllers == UNIFIED
    }

    pub(crate) fn is_freezers(&self) -> bool {
        self.controllers.split(',').any(|it| it == "freezer")
    }

    /// Whether the line is of a cgroup v1 controller that Slurm uses (`cgroup_v1.c`).
    pub(crate) fn is_slurms(&self) -> bool {
        const THEIRS: [&str; 6] = ["freezer", "memory", "cpuset", "cpu", "cpuacct", "devices"];
        let mut controllers = self.controllers.split(',');
        controllers.any(|it| THEIRS.contains(&it))
    }
}

pub(crate) fn lines(cgroups: &str) -> impl Iterator<Item = Line<'_>> {
    cgroups.lines().filter_map(Line::parse)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCOPE: &str = "/system.slice/n_slurmstepd.scope";

    #[test]
    fn the_step_of_a_process_with_cgroup_v1() {
        let steps = Steps::by(7, "4:freezer:/system.slice/slurmd.service\n0::/\n");
        assert!(!steps.uses_v2());
        for (path, step) in [
            ("/slurm_node1/uid_2001/job_7/step_batch", Some("batch")),
            ("/slurm/uid_2001/job_7/step_batch/task_0", Some("batch")),
            ("/slurm/uid_2001/job_7/step_0", Some("0")),
            ("/slurm/uid_2001/job_7/step_extern/task_0", Some("extern")),
            ("/slurm/uid_2001/job_7/step_external", Some("external")),
            ("/slurm/uid_2001/job_77/step_batch", None),
            ("/slurm/uid_2001/xjob_7/step_batch", None),
            ("/slurm/uid_2001/job_7", None),
            ("/", None),
        ] {
            for cgroups in [
                format!("4:freezer:{path}\n0::/\n"),
                format!("0::/x/step_0\n5:pids:/\n3:cpu,cpuacct:{path}\n"),
            ] {
                assert_eq!(steps.step_in(&cgroups), step, "{cgroups}");
            }
            for others in [format!("0::{path}\n"), format!("5:pids:{path}\n")] {
                assert_eq!(steps.step_in(&others), None, "{others}");
            }
        }
    }

    #[test]
    fn the_step_of_a_process_with_cgroup_v2() {
        for job in ["job_7", "sKJH3N2"] {
            let job = format!("{SCOPE}/{job}");
            let steps = Steps::by(7, &format!("0::{job}/step_extern/slurm\n"));
            assert!(steps.uses_v2());
            for (path, step) in [
                (format!("{job}/step_batch/user/task_0"), Some("batch")),
                (format!("{job}/step_3/user/task_0"), Some("3")),
                (format!("{job}/step_extern/user/task_0"), Some("extern")),
                (format!("{job}x/step_batch/user"), None),
                (format!("/x{job}/step_batch/user"), None),
                (job.clone(), None),
            ] {
                assert_eq!(steps.step_in(&format!("0::{path}\n")), step, "{path}");
                assert_eq!(steps.step_in(&format!("4:freezer:{path}\n")), None);
            }
        }
    }

    #[test]
    fn the_step_of_a_process_where_only_the_job_is_seen() {
        let steps = Steps::seen_from_within(7);
        for (cgroups, step) in [
            ("0::/scope/sKJH3N2/step_batch/user/task_0\n", Some("batch")),
            ("0::/../../step_1/user/task_0\n", Some("1")),
            (
                "0::/outer/step_0/scope/sKJH3N2/step_extern/user\n",
                Some("extern"),
            ),
            ("4:freezer:/slurm/uid_2001/job_7/step_0\n0::/\n", Some("0")),
            ("4:freezer:/slurm/uid_2001/job_8/step_0\n", None),
            ("", None),
        ] {
            assert_eq!(steps.step_in(cgroups), step, "{cgroups}");
        }
    }

    /// A slurmd that itself runs in a login of another Slurm.
    #[test]
    fn the_innermost_step_is_the_stepds() {
        let outer = "/outer/job_1/step_extern/user/task_0";
        let steps = Steps::by(7, &format!("0::{outer}/scope/job_7/step_extern/slurm\n"));
        let within = format!("0::{outer}/scope/job_7/step_extern/user\n");
        assert_eq!(steps.step_in(&within), Some("extern"));
        assert_eq!(steps.step_in(&format!("0::{outer}\n")), None);
    }

    #[test]
    fn a_stepd_that_tells_no_place() {
        for stepd in ["", "0::/\n", "0::/a/step_external/slurm\n", "x", "::\n"] {
            assert!(!Steps::by(7, stepd).uses_v2(), "{stepd}");
        }
    }

    #[test]
    fn where_the_freezers_state_is() {
        for (stepd, found) in [
            (
                "6:freezer:/slurm_node1/uid_2001/job_7\n0::/init.scope\n".to_owned(),
                Some((
                    "freezer",
                    "/slurm_node1/uid_2001/job_7/step_extern/freezer.state".to_owned(),
                )),
            ),
            (
                format!("0::{SCOPE}/s8FSM8/step_extern/slurm\n"),
                Some(("", format!("{SCOPE}/s8FSM8/step_extern/user/cgroup.freeze"))),
            ),
            ("6:freezer:/slurm/uid_2001/job_77\n".to_owned(), None),
            ("6:freezer:/\n0::/\n".to_owned(), None),
            ("5:cpu:/slurm/uid_2001/job_7\n".to_owned(), None),
            (String::new(), None),
        ] {
            let steps = Steps::by(7, &stepd);
            let dir = |(hierarchy, file): &(_, String)| {
                let (dir, _) = file.split_once("/step_extern").expect("a step");
                (*hierarchy, dir.to_owned())
            };
            let dirs = steps.job_dir().map(|(it, dir)| (it, dir.to_owned()));
            assert_eq!(dirs, found.as_ref().map(dir), "{stepd}");
            assert_eq!(steps.freezer, found, "{stepd}");
        }
    }
}
