//! However a cluster ends, the host is as before. Needs root.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lab::{Cluster, Suite, cgroup, keeper, paths, poll};
use rustix::process::{Pid, Signal, kill_process};

/// One test at a time, so that none sees another's cluster.
static ALONE: Mutex<()> = Mutex::new(());

/// What a cluster must leave as it was: a line for each thing of the kinds that a cluster makes. What else comes
/// and goes meanwhile (a container that starts, a package that is installed) is not the lab's.
fn host() -> Result<BTreeSet<String>> {
    let mut all = BTreeSet::new();
    for line in fs::read_to_string("/proc/self/mountinfo")?.lines() {
        all.insert(format!("mount {line}"));
    }
    for line in fs::read_to_string("/proc/net/dev")?.lines() {
        let name = line.split(':').next().unwrap_or_default().trim();
        if INTERFACES.contains(&name) {
            all.insert(format!("interface {name}"));
        }
    }
    all.insert(format!(
        "host name {}",
        fs::read_to_string("/proc/sys/kernel/hostname")?
    ));
    for dir in ["/run", "/etc", "/dev", "/tmp", "/var"] {
        tree(Path::new(dir), &mut |path, meta| {
            all.insert(format!(
                "{} {:o} {}",
                path.display(),
                meta.mode(),
                meta.ino()
            ));
        });
    }
    tree(Path::new("/sys/fs/cgroup"), &mut |path, meta| {
        // Its files come and go with controllers, which is what the next lines are about.
        if meta.is_dir() {
            all.insert(format!("cgroup {}", path.display()));
        }
    });
    for file in ["cgroup.subtree_control", "unified/cgroup.subtree_control"] {
        let path = Path::new("/sys/fs/cgroup").join(file);
        all.insert(format!(
            "{file} {}",
            fs::read_to_string(path).unwrap_or_default()
        ));
    }
    let lab = paths::lab_dir()?.display().to_string();
    all.retain(|line| {
        // Clusters of other programs are their own affair.
        let others = line.contains(cgroup::PREFIX) && !line.contains(&own_prefix());
        let is_temporary = line.starts_with("/tmp/") || line.starts_with("/var/tmp/");
        let is_of_a_cluster = line.contains(&lab) || NAMES.iter().any(|it| line.contains(it));
        let is_one_of_its_kind = WHOLE.iter().any(|it| line.starts_with(it));
        !others && !is_temporary && (is_of_a_cluster || is_one_of_its_kind)
    });
    Ok(all)
}

/// What network interfaces of a cluster's are called, in namespaces of their own.
const INTERFACES: [&str; 4] = ["br0", "eth0", "veth1", "veth2"];
/// A part of the names of the cgroups, mounts and files that a cluster makes, wherever they are.
const NAMES: [&str; 5] = ["slurm", "munge", "sshd", "/dev/log", "/pamcall"];
/// The host has one of each.
const WHOLE: [&str; 4] = [
    "interface ",
    "host name ",
    "cgroup.subtree_control ",
    "unified/cgroup.subtree_control ",
];

fn own_prefix() -> String {
    format!("{}{}-", cgroup::PREFIX, std::process::id())
}

fn tree(dir: &Path, visit: &mut dyn FnMut(&Path, &fs::Metadata)) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let Ok(meta) = entry.metadata() else { continue };
        visit(&entry.path(), &meta);
        if meta.is_dir() {
            tree(&entry.path(), visit);
        }
    }
}

/// Who runs in the mount or network namespace of that process: their ids and start times.
fn processes_with(pid: u32) -> Result<Vec<(u32, String)>> {
    let namespace = |pid: u32, kind: &str| fs::read_link(format!("/proc/{pid}/ns/{kind}"));
    let wanted = [namespace(pid, "mnt")?, namespace(pid, "net")?];
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")?.flatten() {
        let Some(pid) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok())
        else {
            continue;
        };
        let has = |kind: &str| namespace(pid, kind).is_ok_and(|one| wanted.contains(&one));
        if has("mnt") || has("net") {
            found.extend(start_time(pid).map(|time| (pid, time)));
        }
    }
    Ok(found)
}

fn start_time(pid: u32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit(')')
        .next()?
        .split(' ')
        .nth(20)
        .map(str::to_string)
}

fn gone(processes: &[(u32, String)]) -> bool {
    processes
        .iter()
        .all(|(pid, time)| start_time(*pid).as_ref() != Some(time))
}

fn compare(before: &BTreeSet<String>) -> Result<()> {
    let after = host()?;
    let new: Vec<_> = after.difference(before).collect();
    let lost: Vec<_> = before.difference(&after).collect();
    ensure!(
        new.is_empty() && lost.is_empty(),
        "new on the host: {new:#?}\ngone: {lost:#?}"
    );
    Ok(())
}

/// A cluster held by another process, which is to be killed.
struct Held {
    starter: Child,
    id: String,
    processes: Vec<(u32, String)>,
}

fn hold() -> Result<Held> {
    let mut command = Command::new(paths::program()?);
    command.args(["hold", "--suite", "trixie", "--nodes", "2"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut starter = command.spawn().context("starting a starter")?;
    let mut line = String::new();
    let stdout = starter.stdout.take().context("no stdout")?;
    BufReader::new(stdout).read_line(&mut line)?;
    let id = line
        .trim()
        .strip_prefix("up ")
        .context("the starter failed")?
        .to_string();
    // The keeper's child processes hold the nodes' namespaces.
    let spec = keeper::read_spec(&keeper::run_dir()?.join(&id))?;
    let mut processes = Vec::new();
    for number in 1..=2 {
        let procs = spec.hierarchies[0].node(&spec.id, number);
        tree(&procs, &mut |path, _| {
            if path.ends_with("cgroup.procs") {
                let text = fs::read_to_string(path).unwrap_or_default();
                for pid in text.lines().filter_map(|pid| pid.parse().ok()) {
                    processes.extend(processes_with(pid).unwrap_or_default());
                }
            }
        });
    }
    processes.sort();
    processes.dedup();
    ensure!(
        processes.len() >= 10,
        "slurmctld, two each of slurmd, sshd ...: {processes:?}"
    );
    Ok(Held {
        starter,
        id,
        processes,
    })
}

fn keeper_of(held: &Held) -> Result<u32> {
    let id = &held.id;
    let found = fs::read_dir("/proc")?.flatten().find_map(|entry| {
        let line = fs::read(entry.path().join("cmdline")).ok()?;
        let line = String::from_utf8_lossy(&line).into_owned();
        (line.contains("\0keep\0") && line.contains(id.as_str()))
            .then(|| entry.file_name().to_str()?.parse().ok())?
    });
    found.context("no keeper")
}

fn wait_taken_down(held: &Held) -> Result<()> {
    let dir = keeper::run_dir()?.join(&held.id);
    poll::until_true(
        "the cluster to be taken down",
        Duration::from_secs(20),
        || Ok(!dir.exists()),
    )?;
    ensure!(gone(&held.processes), "processes of the cluster are left");
    ensure!(
        !cgroup::ids()?.contains(&held.id),
        "cgroups of the cluster are left"
    );
    Ok(())
}

fn starter_dies_of(signal: Signal) -> Result<()> {
    let _alone = ALONE.lock();
    let before = host()?;
    let mut held = hold()?;
    kill_process(Pid::from_child(&held.starter), signal)?;
    held.starter.wait()?;
    wait_taken_down(&held)?;
    compare(&before)
}

#[test]
fn a_dropped_cluster_leaves_nothing() -> Result<()> {
    let _alone = ALONE.lock();
    lab::roots::ensure(Suite::Trixie)?;
    let before = host()?;
    let cluster = Cluster::new(Suite::Trixie).nodes(2).start()?;
    let job = cluster.submit("alice", &["--nodes=2"])?;
    let stepd = cluster.node(2).pid_of_stepd(job)?;
    cluster.node(2).signal(stepd, "STOP")?;
    let processes = processes_with(cluster.node(1).host_pid())?;
    ensure!(host()? != before, "nothing to see here");
    let frozen = cluster
        .node(1)
        .sh("f=/sys/fs/cgroup/freezer; test ! -d $f || ls $f/slurm*/uid_*")?;
    if frozen.contains("job_") {
        cluster
            .node(1)
            .sh("echo FROZEN > $(echo /sys/fs/cgroup/freezer/slurm*/uid_*)/freezer.state")?;
    }
    drop(cluster);
    ensure!(gone(&processes), "processes of the cluster are left");
    compare(&before)
}

#[test]
fn a_killed_starter_leaves_nothing() -> Result<()> {
    starter_dies_of(Signal::KILL)
}

#[test]
fn an_interrupted_starter_leaves_nothing() -> Result<()> {
    starter_dies_of(Signal::INT)
}

#[test]
fn after_a_killed_keeper_the_next_start_cleans_up() -> Result<()> {
    let _alone = ALONE.lock();
    let before = host()?;
    let mut held = hold()?;
    let keeper = i32::try_from(keeper_of(&held)?)?;
    kill_process(Pid::from_raw(keeper).context("a pid")?, Signal::KILL)?;
    poll::until_true("the nodes to die", Duration::from_secs(20), || {
        Ok(gone(&held.processes))
    })?;
    held.starter.kill()?;
    held.starter.wait()?;
    Cluster::new(Suite::Trixie).start()?.stop()?;
    wait_taken_down(&held)?;
    compare(&before)
}
