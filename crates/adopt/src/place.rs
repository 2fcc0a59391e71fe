//! Where a process is among the control groups, and whether that is a job's extern step.
//!
//! Slurm names an extern step's directory `step_extern` (`cgroup_v1.c`, `cgroup_v2.c`). With cgroup v1
//! it is below `job_N`, and the stepd itself is not in it. With v2 the stepd is (`step_extern/slurm`),
//! and from 26.05 on the job's directory is not named after the job: what the stepd's own cgroup
//! begins with tells which one it is.

use std::fs;

use crate::options::shown;

/// Where processes of one job's extern step are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// With v1: the end of the directory's path.
    v1: String,
    /// With v2: the directory's path.
    v2: Option<String>,
}

/// What a look at a process's cgroups says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Look {
    /// It is in the extern step.
    Inside,
    /// It is elsewhere: there.
    Outside(String),
    /// The cgroups do not tell: the stepd must be asked. Where it is, if that can be seen.
    Unclear(Option<String>),
}

const EXTERN: &str = "/step_extern";

impl Step {
    /// That of a job whose stepd is this process (0: not visible from here).
    #[must_use]
    pub fn of(job: u32, stepd: i32) -> Self {
        let cgroups = fs::read_to_string(format!("/proc/{stepd}/cgroup")).unwrap_or_default();
        Self::beside(job, &cgroups)
    }

    /// The same, by the text of the stepd's /proc/PID/cgroup.
    fn beside(job: u32, stepd: &str) -> Self {
        let path = lines(stepd).find(|it| it.is_v2()).map(|it| it.path);
        let v2 = path.and_then(|path| {
            let (before, after) = path.split_once(EXTERN)?;
            let whole = after.is_empty() || after.starts_with('/');
            whole.then(|| format!("{before}{EXTERN}"))
        });
        Self {
            v1: format!("/job_{job}{EXTERN}"),
            v2,
        }
    }

    /// Whether this process is in it. With `wholly` also whether no controller of cgroup v1 has been
    /// taken over by systemd since: Slurm uses only some of them, so that this holds before an
    /// adoption, not after it.
    #[must_use]
    pub fn look(&self, wholly: bool) -> Look {
        match fs::read_to_string("/proc/self/cgroup") {
            Ok(cgroups) => self.holds(&cgroups, wholly),
            // In the job's mount namespace /proc may be that of its pid namespace.
            Err(_) => Look::Unclear(None),
        }
    }

    fn holds(&self, cgroups: &str, wholly: bool) -> Look {
        if let Some(prefix) = &self.v2 {
            let unified = lines(cgroups).find(|it| it.is_v2());
            return match unified.map(|it| it.path) {
                Some(path) if is_below(path, prefix) => Look::Inside,
                Some(path) => Look::Outside(path.to_owned()),
                None => Look::Unclear(None),
            };
        }
        let controllers = || lines(cgroups).filter(|it| it.is_controller());
        let taken_over = controllers().find(|it| wholly && mover(it.path).is_some());
        if let Some(line) = taken_over {
            return Look::Outside(line.path.to_owned());
        }
        let is_inside = |line: &Line<'_>| {
            let step = line.path.split_once(self.v1.as_str());
            step.is_some_and(|(_, after)| after.is_empty() || after.starts_with('/'))
        };
        match controllers().any(|line| is_inside(&line)) {
            true => Look::Inside,
            false => Look::Unclear(lines(cgroups).next().map(|it| it.path.to_owned())),
        }
    }
}

/// A line of /proc/PID/cgroup, cgroups(7).
struct Line<'a> {
    controllers: &'a str,
    path: &'a str,
}

impl Line<'_> {
    fn is_v2(&self) -> bool {
        self.controllers.is_empty()
    }

    /// Of cgroup v1, and more than a name.
    fn is_controller(&self) -> bool {
        !self.controllers.is_empty() && !self.controllers.starts_with("name=")
    }
}

fn lines(cgroups: &str) -> impl Iterator<Item = Line<'_>> {
    cgroups.lines().filter_map(|line| {
        let (_, rest) = line.split_once(':')?;
        let (controllers, path) = rest.split_once(':')?;
        Some(Line { controllers, path })
    })
}

fn is_below(path: &str, prefix: &str) -> bool {
    let rest = path.strip_prefix(prefix);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Who puts processes into that cgroup, if that is known.
#[must_use]
pub fn mover(path: &str) -> Option<&'static str> {
    let has = |start: &str, end: &str| {
        let mut parts = path.split('/');
        parts.any(|part| part.starts_with(start) && part.ends_with(end))
    };
    if has("session-", ".scope") {
        Some("pam_systemd")
    } else if has("user@", ".service") {
        Some("the user's service manager")
    } else if has("user-", ".slice") {
        Some("systemd")
    } else {
        None
    }
}

/// The place and who puts processes there, for a log line.
#[must_use]
pub fn described(path: &str) -> String {
    match mover(path) {
        Some(mover) => format!("{} ({mover})", shown(path)),
        None => shown(path),
    }
}

/// Where systemd has this process, if it has it in a user's session.
#[must_use]
pub fn session_scope() -> Option<String> {
    let cgroups = fs::read_to_string("/proc/self/cgroup").ok()?;
    let mut paths = lines(&cgroups)
        .filter(|it| it.is_v2() || it.is_controller())
        .map(|it| it.path);
    let scope = paths.find(|path| mover(path) == Some("pam_systemd"));
    scope.map(described)
}

#[cfg(test)]
mod tests {
    use super::*;

    const V1: &str = "\
12:freezer:/slurm_node1/uid_2001/job_7/step_extern
11:memory:/slurm_node1/uid_2001/job_7/step_extern/task_0
10:pids:/system.slice/ssh.service
1:name=systemd:/user.slice/user-2001.slice/session-3.scope
0::/system.slice/ssh.service
";
    const STEPD_V1: &str = "12:freezer:/system.slice/slurmd.service\n0::/\n";
    const SCOPE: &str = "/system.slice/node1_slurmstepd.scope";

    fn outside(path: &str) -> Look {
        Look::Outside(path.into())
    }

    #[test]
    fn cgroup_v1_by_the_jobs_number() {
        let step = Step::beside(7, STEPD_V1);
        for wholly in [true, false] {
            assert_eq!(step.holds(V1, wholly), Look::Inside);
        }
        let moved = V1.replace(
            "11:memory:/slurm_node1/uid_2001/job_7/step_extern/task_0",
            "11:memory:/user.slice/user-2001.slice/session-3.scope",
        );
        let scope = "/user.slice/user-2001.slice/session-3.scope";
        assert_eq!(step.holds(&moved, true), outside(scope));
        assert_eq!(step.holds(&moved, false), Look::Inside);
        for (from, to) in [
            ("job_7/", "job_77/"),
            ("job_7/", "job_/"),
            ("step_extern", "step_0"),
            ("step_extern", "step_external"),
            ("/job_7", "/xjob_7"),
        ] {
            let other = V1.replace(from, to);
            let freezer = other.lines().next().and_then(|it| it.rsplit(':').next());
            let unclear = Look::Unclear(freezer.map(str::to_owned));
            assert_eq!(step.holds(&other, true), unclear, "{from} {to}");
        }
        assert_eq!(step.holds("", true), Look::Unclear(None));
    }

    #[test]
    fn a_named_hierarchy_is_no_place() {
        let step = Step::beside(7, STEPD_V1);
        let named = "1:name=x:/job_7/step_extern\n";
        assert!(matches!(step.holds(named, true), Look::Unclear(_)));
    }

    #[test]
    fn cgroup_v2_by_where_the_stepd_is() {
        for job in ["job_7", "sKJH3N2"] {
            let step = Step::beside(7, &format!("0::{SCOPE}/{job}/step_extern/slurm\n"));
            for (path, inside) in [
                (format!("{SCOPE}/{job}/step_extern/user/task_0"), true),
                (format!("{SCOPE}/{job}/step_extern"), true),
                (format!("{SCOPE}/{job}/step_extern2/user"), false),
                (format!("{SCOPE}/{job}/step_0/user/task_0"), false),
                (format!("{SCOPE}/job_8/step_extern/user/task_0"), false),
                (format!("/x{SCOPE}/{job}/step_extern/user"), false),
                ("/user.slice/user-2001.slice/session-3.scope".into(), false),
                ("/".into(), false),
            ] {
                let look = match inside {
                    true => Look::Inside,
                    false => outside(&path),
                };
                assert_eq!(step.holds(&format!("0::{path}\n"), true), look, "{path}");
            }
            assert_eq!(step.holds("garbage\n\n", true), Look::Unclear(None));
        }
    }

    #[test]
    fn a_stepd_that_tells_no_place() {
        for stepd in ["", "0::/\n", "0::/a/step_external/slurm\n", "x", "::\n"] {
            let step = Step::beside(7, stepd);
            assert_eq!(step.v2, None, "{stepd}");
        }
    }

    #[test]
    fn who_moves() {
        for (path, who) in [
            (
                "/user.slice/user-2001.slice/session-c3.scope",
                Some("pam_systemd"),
            ),
            (
                "/user.slice/user-2001.slice/user@2001.service/app.slice/x.service",
                Some("the user's service manager"),
            ),
            ("/user.slice/user-2001.slice", Some("systemd")),
            ("/user.slice", None),
            ("/system.slice/ssh.service", None),
            ("/x/session-3", None),
        ] {
            assert_eq!(mover(path), who, "{path}");
        }
        assert_eq!(
            described("/user.slice/user-1.slice/session-3.scope"),
            "/user.slice/user-1.slice/session-3.scope (pam_systemd)"
        );
        assert_eq!(described("/a\nb"), "/a\\nb");
    }
}
