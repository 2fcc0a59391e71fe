//! Finds a process's cgroups, and checks whether they are those of a job's extern step.

use std::fmt;
use std::fs;
use std::io;
use std::os::unix::process::parent_id;

use crate::access;
use crate::adoption::hierarchy;
use crate::adoption::steps::{EXTERN, Line, STEP, Steps, cgroups_of, lines};
use crate::stepd::OwnStepd;
use crate::text::shown;

/// The place of an adopted process in the cgroups of its extern step: lines of /proc/PID/cgroup.
/// Empty if they do not show it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Held(Vec<(String, String)>);

/// The place of a process according to its cgroups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Membership {
    /// In the extern step, at this place.
    Inside(Held),
    /// Elsewhere, at this place.
    Outside(String),
    /// Unknown: the stepd must be asked. The place, if it is visible.
    Unclear(Option<String>),
}

impl Steps {
    /// Checks whether this process is in the extern step. With `strict` it is outside if systemd has taken over a
    /// controller of cgroup v1 since. Slurm uses only some controllers, so be strict before an
    /// adoption, not after it.
    #[must_use]
    pub fn membership(&self, strict: bool) -> Membership {
        match cgroups_of("self") {
            Ok(Some(cgroups)) => self.holds(&cgroups, strict),
            // In the job's mount namespace /proc may be that of the job's pid namespace.
            Ok(None) | Err(_) => Membership::Unclear(None),
        }
    }

    pub(crate) fn holds(&self, cgroups: &str, strict: bool) -> Membership {
        if self.uses_v2() {
            return match lines(cgroups).find(Line::is_v2) {
                Some(line) if self.is_extern(&line) => Membership::Inside(self.held_in(cgroups)),
                Some(line) => Membership::Outside(line.path.to_owned()),
                None => Membership::Unclear(None),
            };
        }
        if let Some(line) = taken_over(cgroups).filter(|_| strict) {
            return Membership::Outside(line.path.to_owned());
        }
        // proctrack/cgroup tracks processes with the freezer (`proctrack_cgroup.c`). With task/cgroup alone a login
        // is only in other hierarchies, and does not end with the job.
        let is_in_step = match lines(cgroups).find(Line::is_freezers) {
            Some(line) => self.is_extern(&line),
            None => lines(cgroups).any(|line| self.is_extern(&line)),
        };
        match is_in_step {
            true => Membership::Inside(self.held_in(cgroups)),
            false => Membership::Unclear(lines(cgroups).next().map(|it| it.path.to_owned())),
        }
    }

    fn is_extern(&self, line: &Line<'_>) -> bool {
        self.step_of(line) == Some(EXTERN)
    }

    /// Whether this process is in another step of the job than the extern one, as with `strict`.
    #[must_use]
    pub fn is_in_other_step(&self) -> bool {
        let cgroups = cgroups_of("self").ok().flatten();
        cgroups.is_some_and(|it| self.other_step_holds(&it))
    }

    fn other_step_holds(&self, cgroups: &str) -> bool {
        let step = self.step_in(cgroups);
        step.is_some_and(|step| step != EXTERN) && taken_over(cgroups).is_none()
    }

    /// The place in the extern step of a process with these cgroups.
    fn held_in(&self, cgroups: &str) -> Held {
        let inside = lines(cgroups).filter(|line| self.is_extern(line));
        let inside = inside.map(|it| (it.controllers.to_owned(), it.path.to_owned()));
        Held(inside.collect())
    }
}

impl Held {
    /// Parses the lines that `Display` writes.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let lines = lines(text).map(|it| (it.controllers.to_owned(), it.path.to_owned()));
        Self(lines.collect())
    }

    /// The hierarchies' controllers, and the paths in them.
    pub fn into_places(self) -> impl Iterator<Item = (String, String)> {
        self.0.into_iter()
    }

    /// Whether this process is still there.
    #[must_use]
    pub fn is_unchanged(&self) -> bool {
        let cgroups = own_cgroups();
        cgroups.is_some_and(|cgroups| self.moved_from(&cgroups).is_some_and(|it| it.is_empty()))
    }

    /// Moves a process back to this place without its slurmstepd, which would count it a second time
    /// (`jobacct_gather_add_task`).
    ///
    /// # Errors
    /// The system's error; `NotFound` also if the earlier place is unknown.
    pub fn put_back(&self, pid: u32) -> io::Result<()> {
        let cgroups = cgroups_of(&pid.to_string())?.ok_or(io::ErrorKind::NotFound)?;
        let moved = self.moved_from(&cgroups).ok_or(io::ErrorKind::NotFound)?;
        for (controllers, path) in moved {
            hierarchy::put(pid, controllers, path)?;
        }
        Ok(())
    }

    /// The places that a process with these cgroups has left. None if nothing is known.
    fn moved_from(&self, cgroups: &str) -> Option<Vec<&(String, String)>> {
        let is_there = |(controllers, path): &(String, String)| {
            let mut now = lines(cgroups).filter(|it| it.controllers == controllers);
            now.any(|it| it.path == path)
        };
        let moved = self.0.iter().filter(|it| !is_there(it));
        (!self.0.is_empty()).then(|| moved.collect())
    }
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (controllers, path) in &self.0 {
            writeln!(f, "0:{controllers}:{path}")?;
        }
        Ok(())
    }
}

/// Where to look for the job that a process comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// Nowhere: this process is not the login.
    Nowhere,
    /// In this process's cgroups.
    Process,
    /// In this process's cgroups or its parent's: pam_systemd may have moved su, but not the shell
    /// that runs su.
    ProcessOrParent,
}

/// Whether the process comes from a step of any job, as far as its cgroup shows.
#[must_use]
pub fn comes_from_job(origin: Origin) -> bool {
    let in_step = |process: &str| match cgroups_of(process) {
        Ok(cgroups) => cgroups.is_some_and(|it| it.contains(STEP)),
        // A job cannot be ruled out.
        Err(_) => true,
    };
    match origin {
        Origin::Nowhere => false,
        Origin::Process => in_step("self"),
        Origin::ProcessOrParent => in_step("self") || in_step(&parent_id().to_string()),
    }
}

/// The one of these jobs that this process comes from.
#[must_use]
pub fn holder(own: &[OwnStepd], origin: Origin) -> Option<u32> {
    let of = |process: &str| cgroups_of(process).ok().flatten();
    let this = || of("self");
    let parent = || of(&parent_id().to_string());
    let holds = |cgroups: String| {
        // Most logins come from no job: then no slurmstepd's cgroup is read.
        let mut own = own.iter().filter(|_| cgroups.contains(STEP));
        let is_in = |it: &&OwnStepd| {
            let stepd = of(&it.pid.to_string()).unwrap_or_default();
            Steps::by(it.job, &stepd).step_in(&cgroups).is_some()
        };
        own.find(is_in).map(|it| it.job)
    };
    match origin {
        Origin::Nowhere => None,
        Origin::Process => this().and_then(holds),
        Origin::ProcessOrParent => this().and_then(holds).or_else(|| parent().and_then(holds)),
    }
}

/// This process's cgroups, even if /proc is missing or shows another pid namespace, as in a jail.
fn own_cgroups() -> Option<String> {
    let own = || {
        let process = sys::Proc::own().ok()?.process(std::process::id()).ok()??;
        process.read(c"cgroup").ok()?
    };
    cgroups_of("self").ok().flatten().or_else(own)
}

/// The first controller of cgroup v1 that Slurm uses and systemd has taken over.
fn taken_over(cgroups: &str) -> Option<Line<'_>> {
    let mut controllers = lines(cgroups).filter(Line::is_slurms);
    controllers.find(|it| mover(it.path).is_some())
}

/// The program that puts processes into this cgroup, if known.
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
    } else if has("user", ".slice") {
        Some("systemd")
    } else {
        None
    }
}

/// The place, and the program that puts processes there, for a log line.
#[must_use]
pub fn described(path: &str) -> String {
    match mover(path) {
        Some(mover) => format!("{} ({mover})", shown(path)),
        None => shown(path),
    }
}

/// This process's place in a systemd user session, if it is in one.
#[must_use]
pub fn session_scope() -> Option<String> {
    let cgroups = cgroups_of("self").ok()??;
    scope_in(&cgroups).map(described)
}

fn scope_in(cgroups: &str) -> Option<&str> {
    let of_slurm = || lines(cgroups).filter(Line::is_slurms);
    // With v1 there may be a unified hierarchy too, but Slurm does not use it.
    let of_v2 = lines(cgroups).filter(|it| it.is_v2() && of_slurm().next().is_none());
    let mut paths = of_slurm().chain(of_v2).map(|it| it.path);
    paths.find(|path| mover(path) == Some("pam_systemd"))
}

/// Whether /proc shows another pid namespace, as in a job's mount namespace.
#[must_use]
pub fn is_proc_foreign() -> bool {
    let this = fs::read_link("/proc/self");
    this.is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
        && fs::symlink_metadata("/proc/self").is_ok()
}

/// Whether a process is known to be in another pid namespace than this one.
///
/// # Errors
/// The system's error, with the path: the process may be in another one. If it has ended or there is no /proc, the
/// result is false.
pub fn is_elsewhere(pid: i32) -> io::Result<bool> {
    let namespace = |process: &str| {
        let path = format!("/proc/{process}/ns/pid");
        access::unless_gone("readlink", &path, fs::read_link(&path))
    };
    let here = namespace("self")?;
    let there = match namespace(&pid.to_string()) {
        // Without CAP_SYS_PTRACE the link may be denied; everyone may read the status.
        Err(error) if access::is_denied(&error) => {
            let status = access::read_unless_gone(&format!("/proc/{pid}/status"))?;
            return match status {
                None => Ok(false),
                Some(status) => is_in_inner_namespace(&status).ok_or(error),
            };
        }
        there => there?,
    };
    Ok(here.is_some() && there.is_some() && here != there)
}

/// Whether a process is in a pid namespace inside /proc's, by its /proc/PID/status: then it has a pid in each.
/// None if the kernel does not say (before 4.1).
fn is_in_inner_namespace(status: &str) -> Option<bool> {
    let mut lines = status.lines();
    let numbers = lines.find_map(|it| it.strip_prefix("NSpid:"))?;
    Some(numbers.split_whitespace().count() != 1)
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

    fn outside(path: &str) -> Membership {
        Membership::Outside(path.into())
    }

    /// Inside, with these cgroups.
    fn inside(cgroups: &[&str]) -> Membership {
        Membership::Inside(Held::parse(&cgroups.join("\n")))
    }

    #[test]
    fn a_pid_namespace_by_the_status() {
        for (status, is_inner) in [
            ("Name:\tslurmstepd\nNSpid:\t310\nThreads:\t1\n", Some(false)),
            ("NSpid:\t310\t7\n", Some(true)),
            ("NSpid:\n", Some(true)),
            ("Name:\tx\n", None),
        ] {
            assert_eq!(is_in_inner_namespace(status), is_inner, "{status}");
        }
        assert!(!is_elsewhere(std::process::id() as i32).expect("it is visible"));
    }

    #[test]
    fn cgroup_v1_by_the_jobs_number() {
        let steps = Steps::by(7, STEPD_V1);
        for strict in [true, false] {
            let both: Vec<_> = V1.lines().take(2).collect();
            assert_eq!(steps.holds(V1, strict), inside(&both));
        }
        let moved = V1.replace(
            "11:memory:/slurm_node1/uid_2001/job_7/step_extern/task_0",
            "11:memory:/user.slice/user-2001.slice/session-3.scope",
        );
        let scope = "/user.slice/user-2001.slice/session-3.scope";
        assert_eq!(steps.holds(&moved, true), outside(scope));
        let freezer = V1.lines().next().expect("a line");
        assert_eq!(steps.holds(&moved, false), inside(&[freezer]));
        for (from, to) in [
            ("job_7/", "job_77/"),
            ("job_7/", "job_/"),
            ("step_extern", "step_0"),
            ("step_extern", "step_external"),
            ("/job_7", "/xjob_7"),
        ] {
            let other = V1.replace(from, to);
            let freezer = other.lines().next().and_then(|it| it.rsplit(':').next());
            let unclear = Membership::Unclear(freezer.map(str::to_owned));
            assert_eq!(steps.holds(&other, true), unclear, "{from} {to}");
        }
        assert_eq!(steps.holds("", true), Membership::Unclear(None));
    }

    #[test]
    fn any_step_of_the_job_holds_it() {
        let steps = Steps::by(7, STEPD_V1);
        for (path, holds) in [
            ("/slurm_node1/uid_2001/job_7/step_extern", true),
            ("/slurm/uid_2001/job_7/step_batch/task_0", true),
            ("/slurm/uid_2001/job_7/step_0", true),
            ("/slurm/uid_2001/job_7", false),
            ("/slurm/uid_2001/job_77/step_0", false),
            ("/", false),
        ] {
            let cgroups = format!("9:pids:/\n4:freezer:{path}\n0::/\n");
            assert_eq!(steps.step_in(&cgroups).is_some(), holds, "{path}");
            let others = format!("9:pids:{path}\n0::{path}\n");
            assert!(steps.step_in(&others).is_none(), "{path}");
        }
        let steps = Steps::by(7, &format!("0::{SCOPE}/s0DNM/step_extern/slurm\n"));
        for (path, holds) in [
            (format!("{SCOPE}/s0DNM/step_extern/user/task_0"), true),
            (format!("{SCOPE}/s0DNM/step_batch/user/task_0"), true),
            (format!("{SCOPE}/s0DNM"), false),
            (format!("{SCOPE}/s0DNMX/step_batch"), false),
            (format!("{SCOPE}/job_7/step_batch"), false),
            ("/user.slice/user-2001.slice/session-3.scope".into(), false),
        ] {
            let cgroups = format!("0::{path}\n");
            assert_eq!(steps.step_in(&cgroups).is_some(), holds, "{path}");
        }
    }

    /// With task/cgroup alone a login is in some hierarchies of the extern step, and does not end with the job.
    #[test]
    fn not_tracked_by_cgroups() {
        let steps = Steps::by(7, STEPD_V1);
        for (step, other) in [("extern", false), ("batch", true), ("0", true)] {
            let place = format!("/slurm/uid_2001/job_7/step_{step}");
            let cgroups = format!("12:freezer:/sshd\n11:memory:{place}\n10:cpuset:{place}\n");
            assert!(matches!(
                steps.holds(&cgroups, true),
                Membership::Unclear(_)
            ));
            assert_eq!(steps.other_step_holds(&cgroups), other, "{step}");
        }
    }

    #[test]
    fn where_a_process_is_held_and_what_moves_it() {
        let steps = Steps::by(7, STEPD_V1);
        let held = steps.held_in(V1);
        assert_eq!(Held::parse(&held.to_string()), held);
        assert_eq!(
            held.to_string(),
            "0:freezer:/slurm_node1/uid_2001/job_7/step_extern\n\
             0:memory:/slurm_node1/uid_2001/job_7/step_extern/task_0\n"
        );
        let moved = |cgroups: &str| {
            let moved = held.moved_from(cgroups).expect("it is known");
            let names = moved.iter().map(|it| it.0.clone());
            names.collect::<Vec<_>>().join(" ")
        };
        assert_eq!(moved(V1), "");
        assert_eq!(moved(&V1.replace("task_0", "task_1")), "memory");
        assert_eq!(moved(""), "freezer memory");
        let v2 = format!("0::{SCOPE}/job_7/step_extern/user/task_0\n");
        let steps = Steps::by(7, &format!("0::{SCOPE}/job_7/step_extern/slurm\n"));
        let held = steps.held_in(&v2);
        assert_eq!(held.to_string(), v2);
        assert!(held.moved_from(&v2).expect("known").is_empty());
        let scope = "0::/user.slice/user-2001.slice/session-3.scope\n";
        assert_eq!(held.moved_from(scope).expect("known").len(), 1);
        // An unknown place is not an unchanged one.
        let nothing = steps.held_in(scope);
        assert!(nothing.moved_from(scope).is_none() && !nothing.is_unchanged());
    }

    /// Slurm does not use pids and blkio: systemd may do there what it likes.
    #[test]
    fn only_controllers_that_slurm_uses() {
        let steps = Steps::by(7, STEPD_V1);
        const FREEZER: &str = "2:freezer:/a/job_7/step_extern";
        let scope = "/user.slice/user-2001.slice/session-3.scope";
        for (controllers, look) in [
            ("pids", inside(&[FREEZER])),
            ("blkio", inside(&[FREEZER])),
            ("net_cls,net_prio", inside(&[FREEZER])),
            ("devices", outside(scope)),
            ("cpu,cpuacct", outside(scope)),
        ] {
            let cgroups = format!("3:{controllers}:{scope}\n{FREEZER}\n");
            assert_eq!(steps.holds(&cgroups, true), look, "{controllers}");
            assert_eq!(
                steps.holds(&cgroups, false),
                inside(&[FREEZER]),
                "{controllers}"
            );
        }
        let whole = "3:devices:/user.slice\n2:freezer:/a/job_7/step_extern\n";
        assert_eq!(steps.holds(whole, true), outside("/user.slice"));
    }

    /// A slurmd that itself runs in a login of another Slurm.
    #[test]
    fn the_innermost_step_is_the_stepds() {
        let within = "/outer/job_1/step_extern/user/task_0/scope/job_7/step_extern";
        let steps = Steps::by(7, &format!("0::{within}/slurm\n"));
        let inner = format!("0::{within}/user\n");
        assert_eq!(steps.holds(&inner, true), inside(&[&inner]));
        let outer = "0::/outer/job_1/step_extern/user/task_0\n";
        assert!(matches!(steps.holds(outer, true), Membership::Outside(_)));
    }

    #[test]
    fn a_named_hierarchy_is_no_place() {
        let steps = Steps::by(7, STEPD_V1);
        let named = "1:name=x:/job_7/step_extern\n";
        assert!(matches!(steps.holds(named, true), Membership::Unclear(_)));
    }

    #[test]
    fn cgroup_v2_by_where_the_stepd_is() {
        for job in ["job_7", "sKJH3N2"] {
            let steps = Steps::by(7, &format!("0::{SCOPE}/{job}/step_extern/slurm\n"));
            for (path, is_inside) in [
                (format!("{SCOPE}/{job}/step_extern/user/task_0"), true),
                (format!("{SCOPE}/{job}/step_extern"), true),
                (format!("{SCOPE}/{job}/step_extern2/user"), false),
                (format!("{SCOPE}/{job}/step_0/user/task_0"), false),
                (format!("{SCOPE}/job_8/step_extern/user/task_0"), false),
                (format!("/x{SCOPE}/{job}/step_extern/user"), false),
                ("/user.slice/user-2001.slice/session-3.scope".into(), false),
                ("/".into(), false),
            ] {
                let cgroups = format!("0::{path}\n");
                let look = match is_inside {
                    true => inside(&[&cgroups]),
                    false => outside(&path),
                };
                assert_eq!(steps.holds(&cgroups, true), look, "{path}");
            }
            assert_eq!(steps.holds("garbage\n\n", true), Membership::Unclear(None));
        }
    }

    #[test]
    fn a_scope_that_counts() {
        let scope = "/user.slice/user-2001.slice/session-3.scope";
        for (cgroups, found) in [
            (format!("0::{scope}\n"), Some(scope)),
            (format!("9:cpu,cpuacct:{scope}\n0::/\n"), Some(scope)),
            (format!("9:memory:/\n0::{scope}\n"), None),
            (
                format!("9:pids:{scope}\n8:freezer:/\n1:name=systemd:{scope}\n"),
                None,
            ),
            ("0::/system.slice/ssh.service\n".into(), None),
        ] {
            assert_eq!(scope_in(&cgroups), found, "{cgroups}");
        }
    }

    #[test]
    fn this_process_is_where_it_is() {
        assert!(!is_proc_foreign());
        let this = i32::try_from(std::process::id()).expect("a pid");
        assert!(!is_elsewhere(this).expect("/proc"));
        assert!(!is_elsewhere(i32::MAX).expect("nobody is nowhere else"));
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
            ("/user.slice", Some("systemd")),
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
