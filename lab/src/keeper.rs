//! The process that holds a cluster and outlives the one that started it.
//!
//! Its standard input is a pipe from the starter. When the pipe closes, for whatever reason, the keeper
//! ends the nodes and removes what was made for them. If the keeper itself is killed, the nodes die with
//! it, and the next cluster to start removes the rest.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, WaitOptions, set_child_subreaper, setsid, wait};
use serde::{Deserialize, Serialize};

use crate::cgroup::{self, Hierarchy};
use crate::paths::{Lock, lab_dir};
use crate::poll;
use crate::suite::Suite;

/// Description of a cluster for the keeper and the nodes' first processes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Spec {
    /// Names the cluster's cgroups and its run directory.
    pub id: String,
    /// The oldest suite whose Slurm runs; it decides the cgroups.
    pub oldest: Suite,
    /// Root directory that all nodes share, read-only.
    pub root: PathBuf,
    /// Root directories of other suites on the nodes.
    pub beside: Vec<(Suite, PathBuf)>,
    /// The host name of each node.
    pub hostnames: Vec<String>,
    /// Whether the nodes are made and run on one CPU.
    #[serde(default)]
    pub one_cpu: bool,
    /// Cgroup hierarchies of the nodes; the keeper fills this in.
    pub hierarchies: Vec<Hierarchy>,
}

/// Message from the keeper to its starter, sent once.
#[derive(Debug, Serialize, Deserialize)]
pub enum Announcement {
    /// The nodes are up; for each, the host's PID of a process that holds its namespaces.
    Up(Vec<u32>),
    /// The nodes could not be started, for this reason.
    Failed(String),
}

/// Directory of running clusters, with one subdirectory each.
pub fn run_dir() -> Result<PathBuf> {
    let dir = lab_dir()?.join("run");
    fs::create_dir_all(&dir).with_context(|| format!("making {}", dir.display()))?;
    Ok(dir)
}

/// Takes the lock that is held while clusters start, end or are swept.
fn registry(run_dir: &Path) -> Result<Lock> {
    Lock::exclusive(&run_dir.join(".lock"))
}

/// Makes a run directory, which sweeps spare while its lock is held.
pub fn claim(name: &str) -> Result<(PathBuf, Lock)> {
    let all = run_dir()?;
    let _registry = registry(&all)?;
    sweep(&all)?;
    let dir = all.join(name);
    fs::create_dir(&dir).with_context(|| format!("making {}", dir.display()))?;
    let lock = Lock::shared(&dir.join("lock"))?;
    Ok((dir, lock))
}

/// Makes the run directory of a new cluster.
pub fn register(spec: &Spec) -> Result<(PathBuf, Lock)> {
    let (dir, lock) = claim(&spec.id)?;
    write_spec(&dir, spec)?;
    Ok((dir, lock))
}

fn write_spec(dir: &Path, spec: &Spec) -> Result<()> {
    let path = dir.join("cluster.json");
    let json = serde_json::to_vec_pretty(spec).context("encoding the cluster")?;
    fs::write(&path, json).with_context(|| format!("writing {}", path.display()))
}

/// Reads the description that [`register`] wrote.
pub fn read_spec(dir: &Path) -> Result<Spec> {
    let path = dir.join("cluster.json");
    let json = fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
    serde_json::from_slice(&json).with_context(|| format!("decoding {}", path.display()))
}

/// Removes what is left of clusters whose keeper was killed.
fn sweep(all: &Path) -> Result<()> {
    for entry in fs::read_dir(all).with_context(|| format!("reading {}", all.display()))? {
        let dir = entry
            .with_context(|| format!("reading {}", all.display()))?
            .path();
        if dir.is_dir() && Lock::is_free(&dir.join("lock")) {
            // A cluster that failed before it wrote cluster.json has no cgroups.
            if let Ok(spec) = read_spec(&dir) {
                cgroup::thaw(&spec.hierarchies, &spec.id);
                cgroup::remove(&spec.hierarchies, &spec.id)?;
            }
            fs::remove_dir_all(&dir).with_context(|| format!("removing {}", dir.display()))?;
        }
    }
    put_controllers_back(all)
}

/// Runs the keeper: starts the nodes, waits for the starter to end, takes the nodes down.
pub fn run(dir: &Path) -> Result<()> {
    // Ctrl-C in the starter's terminal is for the starter.
    setsid().context("leaving the starter's session")?;
    set_child_subreaper(Some(Pid::INIT)).context("becoming a subreaper")?;
    let _lock = Lock::shared(&dir.join("lock"))?;
    let mut spec = read_spec(dir)?;

    let mut nodes = Vec::new();
    let announcement = match bring_up(dir, &mut spec, &mut nodes) {
        Ok(()) => Announcement::Up(nodes.iter().map(Child::id).collect()),
        Err(error) => Announcement::Failed(format!("{error:#}")),
    };
    let line = serde_json::to_string(&announcement).context("encoding")?;
    // If the starter is already gone, reading its pipe returns at once.
    let _ = writeln!(std::io::stdout(), "{line}");
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
    take_down(dir, &spec, &mut nodes)
}

fn bring_up(dir: &Path, spec: &mut Spec, nodes: &mut Vec<Child>) -> Result<()> {
    spec.hierarchies = cgroup::hierarchies(spec.oldest, &dir.join("freezer"))?;
    write_spec(dir, spec)?;
    if let Some(unified) = cgroup::unified(&spec.hierarchies) {
        enable_controllers(dir, &unified.mount)?;
    }
    cgroup::make(&spec.hierarchies, &spec.id, spec.hostnames.len())?;
    ip(
        None,
        "link set lo up\nlink add br0 type bridge\nlink set br0 up\n",
    )?;

    let program = std::env::current_exe().context("finding the path of this program")?;
    for number in 1..=spec.hostnames.len() {
        let mut command = Command::new(&program);
        command.arg("node").arg(dir).arg(number.to_string());
        command
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        nodes.push(
            command
                .spawn()
                .with_context(|| format!("starting node {number}"))?,
        );
    }
    for (number, node) in (1..).zip(nodes) {
        let stdout = node.stdout.take().context("the node has no stdout")?;
        let mut line = String::new();
        BufReader::new(stdout)
            .read_line(&mut line)
            .context("waiting for a node")?;
        if line.trim() != "ready" {
            let log = fs::read_to_string(dir.join("log")).unwrap_or_default();
            bail!("starting node {number}: {}", log.trim());
        }
        cgroup::settle(&spec.hierarchies, &spec.id, number, node.id())?;
        connect(number, node.id())?;
    }
    Ok(())
}

/// Connects a node to the bridge in the keeper's network namespace.
fn connect(number: usize, pid: u32) -> Result<()> {
    ip(
        None,
        &format!(
            "link add veth{number} type veth peer name eth0 netns {pid}\n\
             link set veth{number} master br0 up\n"
        ),
    )?;
    let (v4, v6) = (ipv4(number), ipv6(number));
    ip(
        Some(pid),
        &format!(
            "link set lo up\nlink set eth0 up\n\
             addr add {v4}/24 dev eth0\naddr add {v6}/64 dev eth0 nodad\n"
        ),
    )
}

/// The IPv4 address of a node.
pub fn ipv4(number: usize) -> String {
    format!("10.88.0.{number}")
}

/// The IPv6 address of a node.
pub fn ipv6(number: usize) -> String {
    format!("fd88::{number:x}")
}

/// Runs `ip` commands, here or in the network namespace of a process.
fn ip(namespace_of: Option<u32>, commands: &str) -> Result<()> {
    let mut command = match namespace_of {
        Some(pid) => {
            let mut command = Command::new("nsenter");
            command.arg(format!("--net=/proc/{pid}/ns/net")).arg("ip");
            command
        }
        None => Command::new("ip"),
    };
    command.args(["-batch", "-"]);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let mut child = command.spawn().context("running ip")?;
    let mut stdin = child.stdin.take().context("ip has no stdin")?;
    stdin
        .write_all(commands.as_bytes())
        .context("writing to ip")?;
    drop(stdin);
    let output = child.wait_with_output().context("running ip")?;
    if !output.status.success() {
        bail!(
            "ip: {}: {}",
            commands.trim(),
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(())
}

fn take_down(dir: &Path, spec: &Spec, nodes: &mut [Child]) -> Result<()> {
    cgroup::thaw(&spec.hierarchies, &spec.id);
    for node in nodes {
        // This is `unshare`; the node's first process dies with it and takes all others along.
        let _ = node.kill();
    }
    // The first process becomes this one's child, and ends when its namespace is empty.
    poll::until_true(
        "the nodes' processes to end",
        Duration::from_secs(20),
        || {
            loop {
                match wait(WaitOptions::NOHANG) {
                    Ok(Some(_)) => {}
                    Ok(None) => return Ok(false),
                    Err(_) => return Ok(true),
                }
            }
        },
    )?;
    cgroup::remove(&spec.hierarchies, &spec.id)?;
    let all = run_dir_of(dir);
    let _registry = registry(&all)?;
    let freezer = dir.join("freezer");
    if freezer.exists() {
        let _ = rustix::mount::unmount(&freezer, rustix::mount::UnmountFlags::DETACH);
    }
    fs::remove_dir_all(dir).with_context(|| format!("removing {}", dir.display()))?;
    put_controllers_back(&all)
}

fn run_dir_of(dir: &Path) -> PathBuf {
    dir.parent().unwrap_or(dir).to_path_buf()
}

/// File that records which controllers of the host's root cgroup the lab has enabled.
const ENABLED: &str = "enabled-controllers";

fn enable_controllers(dir: &Path, root: &Path) -> Result<()> {
    let all = run_dir_of(dir);
    let _registry = registry(&all)?;
    let new = cgroup::enable_controllers(root)?;
    if new.is_empty() {
        return Ok(());
    }
    let path = all.join(ENABLED);
    let open = File::options().append(true).create(true).open(&path);
    let mut file = open.with_context(|| format!("opening {}", path.display()))?;
    new.iter().try_for_each(|controller| {
        writeln!(file, "{} {controller}", root.display())
            .with_context(|| format!("writing {}", path.display()))
    })
}

/// Disables the recorded controllers when no cluster is left.
fn put_controllers_back(all: &Path) -> Result<()> {
    let path = all.join(ENABLED);
    let Ok(enabled) = fs::read_to_string(&path) else {
        return Ok(());
    };
    if !cgroup::ids()?.is_empty() {
        return Ok(());
    }
    for (root, controller) in enabled.lines().filter_map(|line| line.rsplit_once(' ')) {
        // A controller stays enabled if someone else uses it by now.
        let _ = fs::write(
            Path::new(root).join("cgroup.subtree_control"),
            format!("-{controller}"),
        );
    }
    fs::remove_file(&path).with_context(|| format!("removing {}", path.display()))
}
