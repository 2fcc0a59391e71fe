//! Jobs on a running cluster.

use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::cluster::Cluster;
use crate::node::Node;
use crate::poll;

/// The step id of an extern step: SLURM_EXTERN_CONT.
const EXTERN_STEP: u32 = 0xffff_fffc;
const LIMIT: Duration = Duration::from_secs(60);

impl Cluster {
    /// Submits a job as that user with these arguments of sbatch, and waits until it runs and all
    /// its extern steps listen. A job without a script sleeps.
    pub fn submit(&self, user: &str, arguments: &[&str]) -> Result<u32> {
        let job = self.submit_only(user, arguments)?;
        self.wait_running(job)?;
        Ok(job)
    }

    /// Submits a job and doesn't wait for it.
    pub fn submit_only(&self, user: &str, arguments: &[&str]) -> Result<u32> {
        let mut argv = vec!["sbatch", "--parsable", "--chdir=/tmp", "-o", "/dev/null"];
        argv.extend(arguments);
        if !arguments
            .iter()
            .any(|argument| argument.starts_with("--wrap"))
        {
            argv.extend(["--wrap", "sleep 100000"]);
        }
        let id = self.node(1).run_as(user, &argv)?.ok()?;
        id.trim()
            .parse()
            .with_context(|| format!("sbatch said «{}»", id.trim()))
    }

    /// Waits until a job (of an array: every task) runs and all its extern steps listen.
    pub fn wait_running(&self, job: u32) -> Result<()> {
        poll::until_true(&format!("job {job} to run"), LIMIT, || {
            let format = "--format=%A %T %D";
            let list = self
                .node(1)
                .run(&["squeue", "-h", "-r", "-j", &job.to_string(), format])?;
            let list = list.ok()?;
            if list.trim().is_empty() {
                bail!("job {job} has ended");
            }
            for line in list.lines() {
                let fields: Vec<&str> = line.split_whitespace().collect();
                let [id, state, nodes] = fields[..] else {
                    bail!("squeue said «{line}»")
                };
                let id = id
                    .parse()
                    .with_context(|| format!("squeue said «{line}»"))?;
                let nodes: usize = nodes
                    .parse()
                    .with_context(|| format!("squeue said «{line}»"))?;
                match state {
                    "PENDING" | "CONFIGURING" => return Ok(false),
                    "RUNNING" => {}
                    _ => bail!("job {id} is {state}"),
                }
                if self.extern_steps(id)? < nodes {
                    return Ok(false);
                }
            }
            Ok(true)
        })
        .with_context(|| self.logs())
    }

    /// The number of nodes on which the job's extern step is ready to adopt.
    fn extern_steps(&self, job: u32) -> Result<usize> {
        let mut ready = 0;
        for node in self.nodes() {
            let socket = node.extern_socket(job);
            if node.unix_sockets()?.contains(&socket) {
                ready += 1;
            }
        }
        Ok(ready)
    }

    /// Cancels a job and waits until its extern step is gone from all nodes.
    pub fn cancel(&self, job: u32) -> Result<()> {
        self.node(1).run(&["scancel", &job.to_string()])?.ok()?;
        self.wait_gone(job)
    }

    /// Waits until the job's extern step is gone from all nodes.
    pub fn wait_gone(&self, job: u32) -> Result<()> {
        let title = format!("slurmstepd: [{job}.");
        poll::until_true(&format!("job {job} to end"), LIMIT, || {
            self.no_process(&title)
        })
        .with_context(|| self.logs())?;
        self.remove_stale(&format!("_{job}."))
    }

    /// Cancels all jobs and waits until every node is idle and without extern steps.
    pub fn cancel_all(&self) -> Result<()> {
        let users = crate::users::USERS.map(|user| format!("--user={}", user.name));
        for user in users.iter().map(String::as_str).chain(["--user=root"]) {
            self.node(1).run(&["scancel", user])?.ok()?;
        }
        self.wait_idle()
    }

    /// Waits until every node is idle and without steps.
    pub fn wait_idle(&self) -> Result<()> {
        self.wait_state("idle")?;
        poll::until_true("the steps to end", LIMIT, || {
            self.no_process("slurmstepd: [")
        })
        .with_context(|| self.logs())?;
        self.remove_stale("_")
    }

    fn no_process(&self, text: &str) -> Result<bool> {
        for node in self.nodes() {
            if !node.processes(text)?.is_empty() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Removes the sockets of steps that have ended.
    ///
    /// A stepd told to end just after its start leaves its own: it has the user's rights at that
    /// moment and «Unable to unlink domain socket: Permission denied» in its log.
    fn remove_stale(&self, text: &str) -> Result<()> {
        for node in self.nodes() {
            let start = format!("{}_", node.name());
            for name in node.list(SPOOL_DIR)? {
                if name.starts_with(&start) && name.contains(text) {
                    node.remove(&format!("{SPOOL_DIR}/{name}"))?;
                }
            }
        }
        Ok(())
    }

    /// Waits until sinfo shows that state for every node of the lab; slurm.conf may name others.
    pub fn wait_state(&self, state: &str) -> Result<()> {
        let names: Vec<&str> = self.nodes().iter().map(Node::name).collect();
        let nodes = format!("--nodes={}", names.join(","));
        poll::until_true(&format!("all nodes to be {state}"), LIMIT, || {
            let list = self
                .node(1)
                .run(&["sinfo", "-h", "-N", "--format=%T", &nodes])?;
            Ok(list.success()
                && list.stdout.lines().count() >= self.nodes().len()
                && list.stdout.lines().all(|line| line.trim() == state))
        })
        .with_context(|| self.logs())
    }
}

/// The spool directory, unless a test's slurm.conf names another one.
const SPOOL_DIR: &str = "/var/spool/slurmd";

impl Node {
    /// The path of the socket of a job's extern step here.
    pub fn extern_socket(&self, job: u32) -> String {
        format!("{SPOOL_DIR}/{}_{job}.{EXTERN_STEP}", self.name())
    }

    /// The cgroup of a job's extern step, or its end; what was adopted is in it or below.
    pub fn extern_cgroup(&self, job: u32) -> Result<String> {
        // With v1 the stepd is not inside. With v2 it is, and since Slurm 26.05 the job's
        // directory is not named after the job's id.
        let stepd = self.pid_of_stepd(job)?;
        let cgroups = self.run(&["cat", &format!("/proc/{stepd}/cgroup")])?.ok()?;
        const END: &str = "/step_extern";
        Ok(
            match cgroups
                .lines()
                .filter_map(|line| line.strip_prefix("0::"))
                .next()
            {
                Some(path) if path.contains(END) => {
                    path[..path.find(END).unwrap_or_default() + END.len()].to_string()
                }
                _ => format!("/job_{job}{END}"),
            },
        )
    }
}
