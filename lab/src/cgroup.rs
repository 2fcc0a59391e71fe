//! The cgroups of a cluster: one for the cluster and, below it, one for each node, in every hierarchy.
//!
//! A node enters its cgroup and then a cgroup namespace, so it sees its own cgroup as the root.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::mount::{MountFlags, mount};
use serde::{Deserialize, Serialize};

use crate::poll;
use crate::suite::Suite;

/// Mount point of cgroups, on the host and in nodes.
const MOUNT_POINT: &str = "/sys/fs/cgroup";
/// Prefix of the names of all clusters' cgroups.
pub const PREFIX: &str = "slurm-adopt-lab-";
/// Controllers of cgroup v2 that Slurm needs.
const CONTROLLERS: [&str; 4] = ["cpuset", "cpu", "memory", "pids"];
/// Leaf cgroup for the node's own processes: cgroup v2 allows processes only in leaves.
pub const INIT_SCOPE: &str = "init.scope";

/// Version of the cgroup interface that the nodes use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Version {
    /// One hierarchy per controller, possibly beside a v2 hierarchy without controllers.
    V1,
    /// The unified hierarchy only.
    V2,
}

/// One cgroup hierarchy.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Hierarchy {
    /// Mount point on the host or, failing that, in the keeper's mount namespace.
    pub mount: PathBuf,
    /// Directory below the node's /sys/fs/cgroup; empty if the hierarchy is mounted there itself.
    pub name: String,
    /// Mount options that name a v1 hierarchy; none for v2.
    pub v1_options: Option<String>,
}

/// Cgroup version that a cluster of this suite gets on this host.
pub fn version(suite: Suite) -> Result<Version> {
    match host()?.as_slice() {
        [only] if only.v1_options.is_none() && suite != Suite::Bullseye => Ok(Version::V2),
        _ => Ok(Version::V1),
    }
}

/// Hierarchies that a cluster of this suite gets on this host; mounts one if necessary.
///
/// Slurm 20.11 knows only v1. On a host without v1 it gets a v1 freezer, mounted at `keeper_dir`, a
/// directory in the keeper's own mount namespace.
pub fn hierarchies(suite: Suite, keeper_dir: &Path) -> Result<Vec<Hierarchy>> {
    let mut found = host()?;
    if found.is_empty() {
        bail!("no cgroups are mounted under {MOUNT_POINT}");
    }
    if suite == Suite::Bullseye && found.iter().all(|one| one.v1_options.is_none()) {
        fs::create_dir_all(keeper_dir).with_context(|| format!("{}", keeper_dir.display()))?;
        mount(
            "cgroup",
            keeper_dir,
            "cgroup",
            MountFlags::empty(),
            c"freezer",
        )
        .context(
            "mounting a cgroup v1 freezer for Slurm 20.11, which doesn't know v2: \
             this kernel seems to have none",
        )?;
        found[0].name = "unified".into();
        found.push(Hierarchy {
            mount: keeper_dir.into(),
            name: "freezer".into(),
            v1_options: Some("freezer".into()),
        });
    }
    Ok(found)
}

/// The hierarchies mounted on the host.
fn host() -> Result<Vec<Hierarchy>> {
    let text = fs::read_to_string("/proc/self/mountinfo").context("reading the mounts")?;
    Ok(parse_mounts(&text))
}

fn parse_mounts(mountinfo: &str) -> Vec<Hierarchy> {
    let mut found: Vec<Hierarchy> = Vec::new();
    for line in mountinfo.lines() {
        let fields: Vec<&str> = line.split(' ').collect();
        let Some(dash) = fields.iter().position(|field| *field == "-") else {
            continue;
        };
        let (Some(mount), Some(kind)) = (fields.get(4), fields.get(dash + 1)) else {
            continue;
        };
        let v1_options = match *kind {
            "cgroup" => Some(v1_options(fields.get(dash + 3).unwrap_or(&""))),
            "cgroup2" => None,
            _ => continue,
        };
        let Ok(name) = Path::new(mount).strip_prefix(MOUNT_POINT) else {
            continue;
        };
        let name = name.to_string_lossy().into_owned();
        found.retain(|one| one.name != name);
        found.push(Hierarchy {
            mount: mount.into(),
            name,
            v1_options,
        });
    }
    found
}

/// Selects the mount options that identify the hierarchy.
fn v1_options(all: &str) -> String {
    let is_flag = |option: &str| {
        [
            "rw",
            "ro",
            "xattr",
            "clone_children",
            "noprefix",
            "cpuset_v2_mode",
        ]
        .contains(&option)
            || option.starts_with("release_agent=")
    };
    let wanted: Vec<&str> = all.split(',').filter(|option| !is_flag(option)).collect();
    match wanted.iter().find(|option| option.starts_with("name=")) {
        Some(name) => format!("none,{name}"),
        None => wanted.join(","),
    }
}

impl Hierarchy {
    /// The cluster's cgroup.
    pub fn cluster(&self, id: &str) -> PathBuf {
        self.mount.join(format!("{PREFIX}{id}"))
    }

    /// The cgroup of one node, numbered from 1.
    pub fn node(&self, id: &str, number: usize) -> PathBuf {
        self.cluster(id).join(format!("node{number}"))
    }

    fn is_v2(&self) -> bool {
        self.v1_options.is_none()
    }
}

/// Makes the cgroups of a cluster and its nodes. The v2 controllers must already be enabled.
pub fn make(hierarchies: &[Hierarchy], id: &str, nodes: usize) -> Result<()> {
    for hierarchy in hierarchies {
        make_one(&hierarchy.cluster(id))?;
        if hierarchy.is_v2() {
            enable_controllers(&hierarchy.cluster(id))?;
        }
        for number in 1..=nodes {
            make_one(&hierarchy.node(id, number))?;
        }
    }
    Ok(())
}

fn make_one(dir: &Path) -> Result<()> {
    fs::create_dir(dir).with_context(|| format!("making the cgroup {}", dir.display()))?;
    // A process can enter a cpuset only after these two are set.
    for file in ["cpuset.cpus", "cpuset.mems"] {
        let above = dir.parent().unwrap_or(dir).join(file);
        match fs::read_to_string(&above) {
            Ok(value) => write(&dir.join(file), &value)?,
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => {
                return Err(error).with_context(|| format!("reading {}", above.display()));
            }
        }
    }
    Ok(())
}

/// Enables Slurm's controllers for the children of a v2 cgroup; returns the newly enabled ones.
pub fn enable_controllers(dir: &Path) -> Result<Vec<&'static str>> {
    let read = |file| {
        let path = dir.join(file);
        fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))
    };
    let (here, enabled) = (read("cgroup.controllers")?, read("cgroup.subtree_control")?);
    let names = |list: &str, name: &str| list.split_whitespace().any(|one| one == name);
    let new: Vec<&str> = CONTROLLERS
        .into_iter()
        .filter(|controller| names(&here, controller) && !names(&enabled, controller))
        .collect();
    for controller in &new {
        write(
            &dir.join("cgroup.subtree_control"),
            &format!("+{controller}"),
        )?;
    }
    Ok(new)
}

/// Puts this process into a node's cgroups.
pub fn enter(hierarchies: &[Hierarchy], id: &str, number: usize) -> Result<()> {
    hierarchies
        .iter()
        .try_for_each(|one| write(&one.node(id, number).join("cgroup.procs"), "0"))
}

/// On v2, moves the processes in the node's cgroup to a leaf, and enables the controllers beside it.
///
/// `holder` holds the namespaces from outside. It leaves the cgroup, because slurmd accepts only processes
/// there that it can see.
pub fn settle(hierarchies: &[Hierarchy], id: &str, number: usize, holder: u32) -> Result<()> {
    for hierarchy in hierarchies.iter().filter(|hierarchy| hierarchy.is_v2()) {
        let node = hierarchy.node(id, number);
        let [inside, outside] = [node.join(INIT_SCOPE), hierarchy.cluster(id).join("holders")];
        for leaf in [&inside, &outside] {
            fs::create_dir_all(leaf)
                .with_context(|| format!("making the cgroup {}", leaf.display()))?;
        }
        write(&outside.join("cgroup.procs"), &holder.to_string())?;
        let processes = node.join("cgroup.procs");
        let processes = fs::read_to_string(&processes)
            .with_context(|| format!("reading {}", processes.display()))?;
        for pid in processes.lines() {
            write(&inside.join("cgroup.procs"), pid)?;
        }
        enable_controllers(&node)?;
        // Without systemd nothing else makes it, and Slurm 22.05 relies on it.
        make_one(&node.join("system.slice"))?;
        enable_controllers(&node.join("system.slice"))?;
    }
    Ok(())
}

/// Thaws everything in a cluster's cgroups: a frozen process cannot even die.
pub fn thaw(hierarchies: &[Hierarchy], id: &str) {
    for hierarchy in hierarchies {
        walk(&hierarchy.cluster(id), &mut |dir| {
            // Each file exists in one version only.
            for (file, value) in [("freezer.state", "THAWED"), ("cgroup.freeze", "0")] {
                if dir.join(file).exists() {
                    let _ = fs::write(dir.join(file), value);
                }
            }
        });
    }
}

/// Removes a cluster's cgroups, once the processes in them are gone.
pub fn remove(hierarchies: &[Hierarchy], id: &str) -> Result<()> {
    for hierarchy in hierarchies {
        let cluster = hierarchy.cluster(id);
        let what = format!("the cgroup {} to be empty", cluster.display());
        poll::until_true(&what, Duration::from_secs(10), || {
            walk(&cluster, &mut |dir| {
                let _ = fs::remove_dir(dir);
            });
            Ok(!cluster.exists())
        })?;
    }
    Ok(())
}

/// IDs of the clusters that have cgroups on this host.
pub fn ids() -> Result<Vec<String>> {
    let mut ids = Vec::new();
    for hierarchy in host()? {
        for entry in fs::read_dir(&hierarchy.mount)
            .into_iter()
            .flatten()
            .flatten()
        {
            let name = entry.file_name().to_string_lossy().into_owned();
            ids.extend(name.strip_prefix(PREFIX).map(str::to_string));
        }
    }
    ids.sort();
    ids.dedup();
    Ok(ids)
}

/// The v2 hierarchy among these, if a cluster uses its controllers.
pub fn unified(hierarchies: &[Hierarchy]) -> Option<&Hierarchy> {
    hierarchies
        .iter()
        .find(|one| one.is_v2() && one.name.is_empty())
}

/// Visits a directory and everything below it, deepest first.
fn walk(dir: &Path, visit: &mut dyn FnMut(&Path)) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            walk(&entry.path(), visit);
        }
    }
    visit(dir);
}

fn write(path: &Path, value: &str) -> Result<()> {
    let value = value.trim();
    fs::write(path, value).with_context(|| format!("writing '{value}' to {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_of_both_kinds_are_found() {
        let hybrid = "31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755\n\
            32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n\
            40 31 0:37 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd\n\
            41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n";
        let found: Vec<_> = parse_mounts(hybrid)
            .into_iter()
            .map(|one| (one.name, one.v1_options))
            .collect();
        let expected = [
            ("cpu,cpuacct", Some("cpu,cpuacct")),
            ("systemd", Some("none,name=systemd")),
            ("unified", None),
        ];
        assert_eq!(
            found,
            expected.map(|(name, v1)| (name.into(), v1.map(Into::into)))
        );

        let v2 = "29 22 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate";
        let found = parse_mounts(v2);
        assert_eq!(
            (found.len(), found[0].name.as_str(), found[0].is_v2()),
            (1, "", true)
        );
    }
}
