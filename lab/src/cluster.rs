//! A running cluster: how it is held and how it ends.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::SystemTime;

use anyhow::{Context, Result, bail};

use crate::agent;
use crate::builder::ClusterBuilder;
use crate::config::Names;
use crate::keeper::{self, Announcement, Spec};
use crate::node::Node;
use crate::paths;
use crate::suite::Suite;

/// A running cluster. It ends when this is dropped, or when the process that holds it dies.
#[derive(Debug)]
pub struct Cluster {
    suite: Suite,
    nodes: Vec<Node>,
    dir: PathBuf,
    keeper: Child,
    /// Closing this makes the keeper take everything down.
    line: Option<ChildStdin>,
}

impl Cluster {
    /// Describes a cluster of one node, node1; the builder refines it.
    #[expect(
        clippy::new_ret_no_self,
        reason = "reads as what it is: a new cluster, started"
    )]
    pub fn new(suite: Suite) -> ClusterBuilder {
        ClusterBuilder::new(suite)
    }

    /// Starts a keeper that makes the nodes, still without daemons. `oldest` is the oldest suite on them.
    pub(crate) fn hold(
        suite: Suite,
        oldest: Suite,
        root: PathBuf,
        beside: &[(Suite, PathBuf)],
        names: &[Names],
        one_cpu: bool,
    ) -> Result<Self> {
        let spec = Spec {
            id: new_id(),
            oldest,
            root,
            beside: beside.to_vec(),
            hostnames: names.iter().map(|names| names.host.clone()).collect(),
            one_cpu,
            hierarchies: Vec::new(),
        };
        let (dir, lock) = keeper::register(&spec)?;
        let mut keeper = run_keeper(&dir)?;
        let line = keeper.stdin.take();
        let stdout = keeper.stdout.take().context("the keeper has no stdout")?;
        let mut cluster = Self {
            suite,
            nodes: Vec::new(),
            dir,
            keeper,
            line,
        };

        let mut announcement = String::new();
        BufReader::new(stdout)
            .read_line(&mut announcement)
            .context("waiting for the keeper")?;
        drop(lock);
        let pids = match serde_json::from_str(&announcement) {
            Ok(Announcement::Up(pids)) => pids,
            Ok(Announcement::Failed(cause)) => bail!("{cause}"),
            Err(_) => bail!("the keeper ended: {}", cluster.keeper_log()),
        };
        cluster.nodes = (1..)
            .zip(names.iter().zip(pids))
            .map(|(number, (names, pid))| Node {
                name: names.node.clone(),
                number,
                pid,
                socket: agent::socket(&cluster.dir, number),
                slurmd: names.slurmd.clone(),
            })
            .collect();
        Ok(cluster)
    }

    /// Name of its cgroups and of its directory while it runs.
    pub fn id(&self) -> &str {
        self.dir
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default()
    }

    /// The suite whose Slurm it runs.
    pub fn suite(&self) -> Suite {
        self.suite
    }

    /// A node, by its number from 1. slurmctld runs on the first.
    pub fn node(&self, number: usize) -> &Node {
        &self.nodes[number - 1]
    }

    /// All nodes, in the order of their numbers.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// Ends the cluster now and reports errors; dropping it ignores them.
    pub fn stop(mut self) -> Result<()> {
        self.end()
    }

    fn end(&mut self) -> Result<()> {
        if self.line.take().is_none() {
            return Ok(());
        }
        let status = self.keeper.wait().context("waiting for the keeper")?;
        if !status.success() {
            bail!("the keeper ended with {status}: {}", self.keeper_log());
        }
        Ok(())
    }

    fn keeper_log(&self) -> String {
        fs::read_to_string(self.dir.join("log"))
            .unwrap_or_default()
            .trim()
            .to_string()
    }

    /// The last lines of the daemons' logs, to add to an error.
    pub(crate) fn logs(&self) -> String {
        let mut logs = format!("the logs of the cluster of {}:\n", self.suite);
        for node in &self.nodes {
            for name in ["slurmctld", "slurmd"] {
                let log = node
                    .read_text(&format!("/var/log/slurm/{name}.log"))
                    .unwrap_or_default();
                let lines: Vec<&str> = log.lines().collect();
                for line in &lines[lines.len().saturating_sub(15)..] {
                    logs += &format!("{} {name}: {line}\n", node.name());
                }
                if !lines.is_empty() && node.processes(name).is_ok_and(|it| it.is_empty()) {
                    logs += &format!("{} {name}: it does not run\n", node.name());
                }
            }
        }
        logs + &self.keeper_log()
    }
}

/// Runs the keeper of the cluster in this directory.
fn run_keeper(dir: &Path) -> Result<Child> {
    let log = dir.join("log");
    let log = File::create(&log).with_context(|| format!("making {}", log.display()))?;
    let mut command = std::process::Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "--net", "--"]);
    command.arg(paths::program()?).arg("keep").arg(dir);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    command.stderr(log).spawn().context("running unshare")
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let _ = self.end();
    }
}

/// Makes an ID that no other cluster on this host has.
fn new_id() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    format!("{}-{count}-{:x}", std::process::id(), now.as_millis())
}
