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
mod tests;
