//! The job of a process, by its cgroups.

use adopt::log::Log;
use adopt::options::LogLevel;
use adopt::survey::{Steps, StepsSeen};
use check::host::Nowhere;

/// Follows the job's directory in the path of a step's cgroup.
const STEP: &str = "/step_";

/// Where a process is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// In a step of this job: `extern`, `batch`, or a number.
    Job {
        /// The job's number.
        job: u32,
        /// The step's name.
        step: String,
    },
    /// In a step of a job whose number nothing tells.
    UnknownJob,
    /// In no job, at this path.
    Outside(String),
}

impl Place {
    /// The number of its job.
    pub fn job(&self) -> Option<u32> {
        match self {
            Self::Job { job, .. } => Some(*job),
            Self::UnknownJob | Self::Outside(_) => None,
        }
    }

    /// Whether it is in an extern step.
    pub fn is_extern(&self) -> bool {
        matches!(self, Self::Job { step, .. } if step == "extern")
    }
}

/// The cgroups of the jobs here.
#[derive(Debug, Default)]
pub(crate) struct Places {
    jobs: Vec<(u32, Steps)>,
    /// Whether proctrack/cgroup tracks the processes.
    is_tracked: bool,
}

impl Places {
    /// The cgroups of these steps' jobs, by those of their slurmstepds.
    pub fn of(seen: &StepsSeen, is_tracked: bool) -> Self {
        let log = Log::new(&Nowhere, LogLevel::Error);
        let steps = seen.steps.iter().chain(&seen.without_extern);
        let jobs = steps.map(|it| {
            let pid = it.pid.and_then(|pid| i32::try_from(pid).ok());
            (it.job, Steps::beside(it.job, pid.unwrap_or_default(), log))
        });
        Self {
            jobs: jobs.collect(),
            is_tracked,
        }
    }

    /// The place of a process with this /proc/PID/cgroup.
    pub fn place(&self, cgroups: &str) -> Place {
        let deciding = match freezer_line(cgroups) {
            // With other controllers alone it does not end with the job.
            Some(line) if self.is_tracked => line,
            _ => cgroups,
        };
        // Most processes are in no step at all.
        if !deciding.contains(STEP) {
            return Place::Outside(main_path(cgroups).to_owned());
        }
        let mut jobs = self.jobs.iter();
        let step = jobs.find_map(|(job, steps)| Some((*job, steps.step_in(deciding)?)));
        match step.or_else(|| by_name(deciding)) {
            Some((job, step)) => Place::Job {
                job,
                step: step.to_owned(),
            },
            None if deciding.contains("slurmstepd.scope/") => Place::UnknownJob,
            None => Place::Outside(main_path(cgroups).to_owned()),
        }
    }
}

/// The line of the freezer, by which proctrack/cgroup tracks processes with cgroup v1.
fn freezer_line(cgroups: &str) -> Option<&str> {
    cgroups.lines().find(|line| {
        let controllers = line.split(':').nth(1).unwrap_or_default();
        controllers.split(',').any(|it| it == "freezer")
    })
}

/// The job and step that a path names, for a job whose slurmstepd is not known.
fn by_name(cgroups: &str) -> Option<(u32, &str)> {
    cgroups.lines().find_map(|line| {
        let (before, after) = line.rsplit_once(STEP)?;
        let (_, job) = before.rsplit_once("/job_")?;
        Some((job.parse().ok()?, after.split('/').next()?))
    })
}

/// The path of cgroup v2, or with v1 that of systemd's own hierarchy.
fn main_path(cgroups: &str) -> &str {
    let of = |controllers: &str| {
        let mut lines = cgroups.lines().map(|line| {
            let mut fields = line.splitn(3, ':').skip(1);
            (
                fields.next().unwrap_or_default(),
                fields.next().unwrap_or_default(),
            )
        });
        lines
            .find(|(it, _)| *it == controllers)
            .map(|(_, path)| path)
    };
    of("name=systemd")
        .or_else(|| of(""))
        .or_else(|| cgroups.lines().next())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCOPE: &str = "/system.slice/node1_slurmstepd.scope";

    /// Jobs 7 and 8, whose slurmstepds have these cgroups.
    fn places(of_7: &str, of_8: &str) -> Places {
        Places {
            jobs: vec![(7, Steps::by(7, of_7)), (8, Steps::by(8, of_8))],
            is_tracked: true,
        }
    }

    fn shown(place: &Place) -> String {
        match place {
            Place::Job { job, step } => format!("{job} {step}"),
            Place::UnknownJob => "?".to_owned(),
            Place::Outside(path) => format!("outside {path}"),
        }
    }

    #[test]
    fn with_cgroup_v2_the_stepd_tells_which_job_a_directory_is() {
        let of = |dir: &str| format!("0::{SCOPE}/{dir}/step_extern/slurm\n");
        let places = places(&of("s0DNM8M1FSF400"), &of("job_8"));
        for (path, place) in [
            (
                format!("{SCOPE}/s0DNM8M1FSF400/step_extern/user/task_0"),
                "7 extern",
            ),
            (
                format!("{SCOPE}/s0DNM8M1FSF400/step_batch/user/task_0"),
                "7 batch",
            ),
            (format!("{SCOPE}/job_8/step_0/user/task_1"), "8 0"),
            (format!("{SCOPE}/job_9/step_0/user/task_1"), "9 0"),
            (format!("{SCOPE}/s0DNM8M1FSF401/step_0/user"), "?"),
            (
                format!("{SCOPE}/s0DNM8M1FSF400"),
                "outside /system.slice/node1_slurmstepd.scope/s0DNM8M1FSF400",
            ),
            (
                "/user.slice/user-2001.slice/session-3.scope".to_owned(),
                "outside /user.slice/user-2001.slice/session-3.scope",
            ),
            ("/x/step_0".to_owned(), "outside /x/step_0"),
            ("/".to_owned(), "outside /"),
        ] {
            assert_eq!(shown(&places.place(&format!("0::{path}\n"))), place);
        }
    }

    #[test]
    fn with_cgroup_v1_the_freezer_decides() {
        let places = places("6:freezer:/slurm_n/uid_2001/job_7\n0::/\n", "6:freezer:/\n");
        let line = |freezer: &str, cpuset: &str| {
            format!("6:freezer:{freezer}\n3:cpuset:{cpuset}\n1:name=systemd:/a\n0::/\n")
        };
        let step = |name: &str| format!("/slurm_n/uid_2001/{name}");
        for (freezer, cpuset, place) in [
            (step("job_7/step_extern"), "/".to_owned(), "7 extern"),
            (step("job_8/step_batch/task_0"), "/".to_owned(), "8 batch"),
            (step("job_70/step_0"), "/".to_owned(), "70 0"),
            // Moved out: it does not end with the job.
            ("/".to_owned(), step("job_7/step_extern"), "outside /a"),
        ] {
            assert_eq!(shown(&places.place(&line(&freezer, &cpuset))), place);
        }
    }

    #[test]
    fn without_a_freezer_or_proctrack_any_controller_decides() {
        let stepd = "3:cpuset:/slurm_n/uid_2001/job_7\n";
        let mut places = places(stepd, "");
        let cpuset = "3:cpuset:/slurm/uid_2001/job_7/step_0\n0::/\n";
        assert_eq!(shown(&places.place(cpuset)), "7 0");
        places.is_tracked = false;
        let both = format!("6:freezer:/\n{cpuset}");
        assert_eq!(shown(&places.place(&both)), "7 0");
    }

    #[test]
    fn broken_lines_are_outside() {
        for text in ["", "x", "::", "0::/job_x/step_", "a/step_\nb"] {
            assert!(
                matches!(Places::default().place(text), Place::Outside(_)),
                "{text}"
            );
        }
    }
}
