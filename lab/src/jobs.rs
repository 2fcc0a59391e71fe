//! Jobs on a running cluster.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::cluster::Cluster;
use crate::node::Node;
use crate::poll;

/// The step id of an extern step: SLURM_EXTERN_CONT.
const EXTERN_STEP: u32 = 0xffff_fffc;
/// Slurm 26.05 takes a minute until a node is idle after a job that was cancelled just after its start.
const LIMIT: Duration = Duration::from_secs(180);
/// What a job does that has no script of its own.
const SCRIPT: &str = "sleep 100000";

impl Cluster {
    /// Submits a job as `user` with these sbatch arguments, and waits until it runs and all its extern
    /// steps listen. A job without a script sleeps.
    pub fn submit(&self, user: &str, arguments: &[&str]) -> Result<u32> {
        let job = self.submit_only(user, arguments)?;
        self.wait_running(job)?;
        Ok(job)
    }

    /// Submits a job without waiting for it.
    pub fn submit_only(&self, user: &str, arguments: &[&str]) -> Result<u32> {
        let wrap = format!("--wrap=exec {SCRIPT}");
        let mut argv = vec!["sbatch", "--parsable", "--chdir=/tmp", "-o", "/dev/null"];
        argv.extend(arguments);
        if !arguments
            .iter()
            .any(|argument| argument.starts_with("--wrap"))
        {
            // In place of its shell: a process that outlives its parent by a moment makes the stepds of newer
            // releases wait for whole seconds.
            argv.push(&wrap);
        }
        let id = self.node(1).run_as(user, &argv)?.ok()?;
        id.trim()
            .parse()
            .with_context(|| format!("sbatch said '{}'", id.trim()))
    }

    /// Waits until a job (for an array: every task) runs and all its extern steps listen.
    pub fn wait_running(&self, job: u32) -> Result<()> {
        let mut looks = Sparing::new();
        poll::until_true(&format!("job {job} to run"), LIMIT, || {
            // squeue costs more than looking for sockets of extern steps, which appear just before the job runs.
            if !looks.is_due(&self.all_extern_sockets()?) {
                return Ok(false);
            }
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
                    bail!("squeue said '{line}'")
                };
                let id = id
                    .parse()
                    .with_context(|| format!("squeue said '{line}'"))?;
                let nodes: usize = nodes
                    .parse()
                    .with_context(|| format!("squeue said '{line}'"))?;
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

    /// Waits until the script of a job that sleeps does so: the batch step comes after the extern step, and a job runs
    /// before it has one.
    pub fn wait_script(&self, job: u32) -> Result<()> {
        let of_job = format!("SLURM_JOB_ID={job}");
        let runs_on = |node: &Node| -> Result<bool> {
            let mut all = node.processes(SCRIPT)?;
            all.retain(|(_, line)| line == SCRIPT);
            // It may have ended meanwhile.
            let environ = |pid: u32| node.read_text(&format!("/proc/{pid}/environ"));
            let environs = all.into_iter().filter_map(|(pid, _)| environ(pid).ok());
            Ok(environs
                .flat_map(|it| it.split('\0').map(str::to_owned).collect::<Vec<_>>())
                .any(|it| it == of_job))
        };
        poll::until_true(&format!("the script of job {job}"), LIMIT, || {
            for node in self.nodes() {
                if runs_on(node)? {
                    return Ok(true);
                }
            }
            Ok(false)
        })
        .with_context(|| self.logs())
    }

    /// Counts the nodes on which the job's extern step is ready to adopt.
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

    fn all_extern_sockets(&self) -> Result<Vec<String>> {
        let end = format!(".{EXTERN_STEP}");
        let mut all = Vec::new();
        for node in self.nodes() {
            all.extend(node.unix_sockets()?);
        }
        all.retain(|it| it.ends_with(&end));
        all.sort();
        Ok(all)
    }

    /// Cancels a job and waits until its extern step is gone from all nodes.
    pub fn cancel(&self, job: u32) -> Result<()> {
        self.node(1).run(&["scancel", &job.to_string()])?.ok()?;
        self.wait_gone(job)
    }

    /// Cancels all listed jobs, of any user, and waits until their extern steps are gone.
    pub fn cancel_listed(&self) -> Result<()> {
        let jobs = self.node(1).run(&["squeue", "-h", "--format=%A"])?.ok()?;
        let jobs: Vec<&str> = jobs.split_whitespace().collect();
        if jobs.is_empty() {
            return Ok(());
        }
        let argv = [&["scancel"], &jobs[..]].concat();
        self.node(1).run(&argv)?.ok()?;
        jobs.iter().try_for_each(|job| {
            let id = job.parse().with_context(|| format!("job {job}"))?;
            self.wait_gone(id)
        })
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

    /// Cancels all jobs of the lab's users and root, and waits until every node is idle and has no steps.
    pub fn cancel_all(&self) -> Result<()> {
        let users = crate::users::USERS.map(|user| format!("--user={}", user.name));
        for user in users.iter().map(String::as_str).chain(["--user=root"]) {
            self.node(1).run(&["scancel", user])?.ok()?;
        }
        self.wait_idle()
    }

    /// Waits until every node is idle and has no steps.
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
    /// A stepd that is told to end just after its start leaves its socket behind: at that moment it has the
    /// user's rights, and logs "Unable to unlink domain socket: Permission denied".
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

    /// Waits until sinfo shows `state` for every node of the lab; slurm.conf may name others.
    pub fn wait_state(&self, state: &str) -> Result<()> {
        let names: Vec<&str> = self.nodes().iter().map(Node::name).collect();
        let nodes = format!("--nodes={}", names.join(","));
        let mut looks = Sparing::new();
        poll::until_true(&format!("all nodes to be {state}"), LIMIT, || {
            if !looks.is_due(&()) {
                return Ok(false);
            }
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

/// Limits how often slurmctld is asked: each question runs a program, and tests running beside this one wait.
struct Sparing<T> {
    seen: Option<T>,
    next: Instant,
    pause: Duration,
}

impl<T: Clone + PartialEq> Sparing<T> {
    const SHORTEST: Duration = Duration::from_millis(40);
    const LONGEST: Duration = Duration::from_millis(320);

    fn new() -> Self {
        Self {
            seen: None,
            next: Instant::now(),
            pause: Self::SHORTEST,
        }
    }

    /// Whether to ask now: `now` has changed, or the pause is over, which gets longer each time.
    fn is_due(&mut self, now: &T) -> bool {
        if self.seen.as_ref() != Some(now) {
            self.seen = Some(now.clone());
            self.pause = Self::SHORTEST;
        } else if Instant::now() < self.next {
            return false;
        }
        self.next = Instant::now() + self.pause;
        self.pause = (self.pause * 2).min(Self::LONGEST);
        true
    }
}

/// Spool directory, unless a test's slurm.conf names another one.
const SPOOL_DIR: &str = "/var/spool/slurmd";

impl Node {
    /// Path of the socket of a job's extern step on this node.
    pub fn extern_socket(&self, job: u32) -> String {
        format!("{SPOOL_DIR}/{}_{job}.{EXTERN_STEP}", self.name())
    }

    /// Cgroup of a job's extern step, or the end of its path; adopted processes are in it or below.
    pub fn extern_cgroup(&self, job: u32) -> Result<String> {
        // With v1 the stepd is not in this cgroup. With v2 it is, and since Slurm 26.05 the job's directory
        // is not named after the job's ID.
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
