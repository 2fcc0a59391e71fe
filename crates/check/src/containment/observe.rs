//! Looks at the process of a trial login from without: cgroups, CPUs, memory, namespaces, limits.

use std::collections::VecDeque;
use std::fs;
use std::path::{Path, PathBuf};

use adopt::survey::{self, Cgroup, Place};
use sys::Resource;

use super::cpus::CpuSet;
use super::probe::{Cpus, Memlock, Namespace};
use crate::host::tree::Tree;

/// The largest number of cgroups of a job that are looked into.
const MOST_CGROUPS: usize = 1000;

/// A process that a slurmstepd of the job has started.
#[derive(Debug, Clone)]
pub(super) struct Reference {
    pub pid: u32,
    /// `extern`, `batch`, or a number.
    pub step: String,
}

/// A number in a file of a process or cgroup.
pub(super) fn read(tree: &Tree, path: impl AsRef<Path>) -> Option<String> {
    tree.text(path).ok()
}

/// The processes that the job's slurmstepds have started: the extern step's own and the first of each task. Those
/// that they start themselves may be in containers of their own.
pub(super) fn references(tree: &Tree, place: &Place) -> Vec<Reference> {
    let Place::Held { cgroups, .. } = place else {
        return Vec::new();
    };
    let tracking = cgroups.iter().find(|it| it.has("freezer"));
    let Some(cgroup) = tracking.or(cgroups.first()) else {
        return Vec::new();
    };
    let Some(job_dir) = cgroup.job_dir() else {
        return Vec::new();
    };
    let Ok(Some(procs)) = cgroup.file(job_dir, "cgroup.procs") else {
        return Vec::new();
    };
    let mut found = Vec::new();
    let mut dirs: VecDeque<PathBuf> = Path::new(&procs)
        .parent()
        .map(Path::to_owned)
        .into_iter()
        .collect();
    let mut seen = 0;
    while let Some(dir) = dirs.pop_front().filter(|_| seen < MOST_CGROUPS) {
        seen += 1;
        let pids = read(tree, dir.join("cgroup.procs")).unwrap_or_default();
        let path = dir.to_string_lossy().into_owned();
        let step = path
            .rsplit_once("/step_")
            .and_then(|(_, it)| it.split('/').next());
        for pid in pids.lines().filter_map(|it| it.parse().ok()) {
            if let Some(step) = step.filter(|_| is_started_by_stepd(tree, pid)) {
                let step = step.to_owned();
                found.push(Reference { pid, step });
            }
        }
        for name in tree.names(&dir).unwrap_or_default() {
            let below = dir.join(name);
            if fs::symlink_metadata(&below).is_ok_and(|it| it.is_dir()) {
                dirs.push_back(below);
            }
        }
    }
    found
}

fn is_started_by_stepd(tree: &Tree, pid: u32) -> bool {
    let is_stepd = |pid: &str| {
        let name = read(tree, format!("/proc/{pid}/comm"));
        name.is_some_and(|it| it.trim_end() == "slurmstepd")
    };
    let status = read(tree, format!("/proc/{pid}/status")).unwrap_or_default();
    let parent = status_line(&status, "PPid");
    !is_stepd(&pid.to_string()) && parent.is_some_and(is_stepd)
}

fn status_line<'a>(status: &'a str, key: &str) -> Option<&'a str> {
    let mut lines = status.lines();
    lines.find_map(|it| Some(it.strip_prefix(key)?.strip_prefix(':')?.trim()))
}

/// The controllers of cgroup v1 in whose hierarchies the job has an extern step that the login is not in.
pub(super) fn missing(place: &Place, pid: u32) -> Vec<String> {
    let Place::Held { cgroups, .. } = place else {
        return Vec::new();
    };
    let Some(job_dir) = cgroups.first().and_then(Cgroup::job_dir) else {
        return Vec::new();
    };
    let login = survey::cgroups(pid).ok().flatten().unwrap_or_default();
    let step = format!("{job_dir}/step_extern");
    let has_step = |it: &Cgroup| matches!(it.file(&step, "cgroup.procs"), Ok(Some(_)));
    missing_of(&login, job_dir, &has_step)
}

fn missing_of(login: &[Cgroup], job_dir: &str, has_step: &dyn Fn(&Cgroup) -> bool) -> Vec<String> {
    let v1 = login.iter().filter(|it| !it.controllers.is_empty());
    let outside = v1.filter(|it| it.job_dir() != Some(job_dir) && it.path != job_dir);
    let missing = outside.filter(|it| has_step(it));
    missing.map(|it| it.controllers.clone()).collect()
}

/// The CPUs of the login, of its job, and of the node.
pub(super) fn cpus(tree: &Tree, place: &Place, pid: u32) -> Cpus {
    let status = read(tree, format!("/proc/{pid}/status")).unwrap_or_default();
    let node = read(tree, "/sys/devices/system/cpu/online");
    Cpus {
        login: status_line(&status, "Cpus_allowed_list").and_then(CpuSet::parse),
        job: job_cpus(tree, place),
        node: node.as_deref().and_then(CpuSet::parse),
    }
}

fn job_cpus(tree: &Tree, place: &Place) -> Option<CpuSet> {
    /// Of cgroup v2, of v1 mounted without the prefix's twin, and of v1.
    const FILES: [&str; 3] = [
        "cpuset.cpus.effective",
        "cpuset.effective_cpus",
        "cpuset.cpus",
    ];
    let Place::Held { cgroups, .. } = place else {
        return None;
    };
    let cgroup = cgroups.iter().find(|it| it.has("cpuset"))?;
    let job_dir = cgroup.job_dir()?;
    FILES.iter().find_map(|name| {
        let file = cgroup.file(job_dir, name).ok()??;
        CpuSet::parse(&read(tree, file)?)
    })
}

/// The namespaces of the login beside the job's and the node's, which are those of this process.
pub(super) fn namespaces(references: &[Reference], pid: u32) -> Vec<Namespace> {
    const KINDS: [(&str, &str); 3] = [("mount", "mnt"), ("pid", "pid"), ("user", "user")];
    let of = |pid: &str, name: &str| fs::read_link(format!("/proc/{pid}/ns/{name}")).ok();
    let mut found = Vec::new();
    // The extern step's own process may be outside although all tasks are within.
    let has_tasks = references.iter().any(|it| it.step != "extern");
    for (kind, name) in KINDS {
        let node = of("self", name);
        let jobs: Option<Vec<PathBuf>> = references
            .iter()
            .filter(|it| !has_tasks || it.step != "extern")
            .map(|it| of(&it.pid.to_string(), name))
            .collect();
        let (Some(node), Some(jobs), Some(login)) = (node, jobs, of(&pid.to_string(), name)) else {
            continue;
        };
        found.push(Namespace {
            kind,
            is_jobs_private: !jobs.is_empty() && jobs.iter().all(|it| *it != node),
            is_login_in_nodes: login == node,
        });
    }
    found
}

/// The soft limits for locked memory of the login, and of a task of the job.
pub(super) fn memlock(tree: &Tree, references: &[Reference], pid: u32) -> Memlock {
    let of = |pid: u32| {
        let limits = read(tree, format!("/proc/{pid}/limits"))?;
        sys::limit_in(&limits, Resource::LockedMemory).map(|it| it.soft)
    };
    let task = references.iter().find(|it| it.step != "extern");
    Memlock {
        login: of(pid),
        job: task.and_then(|it| of(it.pid)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cgroup(controllers: &str, path: &str) -> Cgroup {
        Cgroup {
            controllers: controllers.to_owned(),
            path: path.to_owned(),
        }
    }

    #[test]
    fn hierarchies_that_the_login_has_left() {
        let job = "/slurm/uid_1/job_7";
        let missing = |memory: &str, has_step: bool| {
            let login = [
                cgroup("freezer", "/slurm/uid_1/job_7/step_extern"),
                cgroup("memory", memory),
                cgroup("", "/user.slice"),
            ];
            missing_of(&login, job, &|_| has_step)
        };
        assert!(missing("/slurm/uid_1/job_7/step_extern/task_0", true).is_empty());
        assert!(missing("/slurm/uid_1/job_7", true).is_empty());
        assert_eq!(missing("/slurm/uid_1/job_77/step_extern", true), ["memory"]);
        assert_eq!(missing("/user.slice", true), ["memory"]);
        assert!(
            missing("/user.slice", false).is_empty(),
            "not used by Slurm"
        );
    }

    #[test]
    fn lines_of_a_status() {
        let status = "Name:\tx\nPPid:\t12\nCpus_allowed_list:\t0-3\n";
        assert_eq!(status_line(status, "PPid"), Some("12"));
        assert_eq!(status_line(status, "Cpus_allowed_list"), Some("0-3"));
        assert_eq!(status_line(status, "Cpus_allowed"), None);
    }
}
