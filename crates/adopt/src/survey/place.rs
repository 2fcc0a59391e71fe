//! The job that holds a process, as the session phase finds it.

use std::io;

use crate::adoption::cgroup::{self, Membership};
use crate::adoption::hierarchy;
use crate::adoption::steps::{EXTERN, Line, Steps, cgroups_of, lines};
use crate::log::Log;
use crate::node::Node;
use crate::stepd::spool;

/// Where a process is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// In a job's extern step.
    Held {
        /// The job.
        job: u32,
        /// Its cgroups there.
        cgroups: Vec<Cgroup>,
    },
    /// In another step of a job.
    OtherStep {
        /// The job.
        job: u32,
        /// `batch`, or a number.
        step: String,
    },
    /// In no step of this node's jobs, but in this cgroup, with the program that puts processes there, if known.
    Outside(String),
}

/// A cgroup of a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cgroup {
    /// Its hierarchy: the controllers of v1; empty for v2.
    pub controllers: String,
    /// Its path there.
    pub path: String,
}

impl Cgroup {
    /// Whether a controller acts on its processes; with v2 all may.
    #[must_use]
    pub fn has(&self, controller: &str) -> bool {
        self.controllers.is_empty() || self.controllers.split(',').any(|it| it == controller)
    }

    /// The path of its job's directory, if it is in a step's.
    #[must_use]
    pub fn job_dir(&self) -> Option<&str> {
        self.path.rsplit_once("/step_").map(|(job, _)| job)
    }

    /// The file of a directory at or above this cgroup, where it is mounted; None if it does not exist.
    ///
    /// # Errors
    /// The system's error, with the path.
    pub fn file(&self, dir: &str, name: &str) -> io::Result<Option<String>> {
        hierarchy::find(&self.controllers, &format!("{dir}/{name}"))
    }
}

/// The cgroups of a process that Slurm may use; None if the process has ended.
///
/// # Errors
/// The system's error, with the path.
pub fn cgroups(pid: u32) -> io::Result<Option<Vec<Cgroup>>> {
    let text = cgroups_of(&pid.to_string())?;
    let slurms = |it: &Line<'_>| it.is_v2() || it.is_slurms();
    let cgroup = |it: Line<'_>| Cgroup {
        controllers: it.controllers.to_owned(),
        path: it.path.to_owned(),
    };
    Ok(text.map(|it| lines(&it).filter(slurms).map(cgroup).collect()))
}

/// Finds a process among the jobs of this node, as the session phase does after an adoption; None if it has ended.
///
/// # Errors
/// The system's error, with the path.
pub fn place(node: &Node, pid: u32) -> io::Result<Option<Place>> {
    let Some(text) = cgroups_of(&pid.to_string())? else {
        return Ok(None);
    };
    let mut elsewhere = None;
    for socket in spool::find_sockets(node, Log::silent()).sockets {
        let job = socket.job.job;
        // A job that has just ended has no process.
        let Ok(stepd) = sys::connect_unix(&socket.path).and_then(|it| sys::peer_credentials(&it))
        else {
            continue;
        };
        let steps = Steps::beside(job, stepd.pid, Log::silent());
        match steps.holds(&text, true) {
            Membership::Inside(held) => {
                let cgroup = |(controllers, path): (String, String)| Cgroup { controllers, path };
                let cgroups = held.into_places().map(cgroup).collect();
                return Ok(Some(Place::Held { job, cgroups }));
            }
            Membership::Outside(path) => elsewhere = Some(path),
            Membership::Unclear(path) => elsewhere = elsewhere.or(path),
        }
        if let Some(step) = steps.step_in(&text).filter(|it| *it != EXTERN) {
            let step = step.to_owned();
            return Ok(Some(Place::OtherStep { job, step }));
        }
    }
    let first = || lines(&text).next().map(|it| it.path.to_owned());
    let path = elsewhere.or_else(first).unwrap_or_default();
    Ok(Some(Place::Outside(cgroup::described(&path))))
}
