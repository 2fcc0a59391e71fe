//! Shared parts of the black-box tests: a live cluster with both modules on it, and one PAM call.

#![forbid(unsafe_code)]

pub mod cast;
mod lane;
mod long;
mod matrix;
pub mod page;
pub mod root;
pub mod rpc;
pub mod session;
mod shared;
mod strace;
pub mod suspended;
mod watch;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use lab::{Cluster, Command, Node, Status, Suite};
use serde_json::Value;

pub use long::{is_long, left_out, record};
pub use matrix::Matrix;
pub use shared::Shared;
pub use strace::{STRACE, bring, bring_strace};
pub use watch::Watch;

/// Our module under its own name, beside SchedMD's, on every node of [`cluster`].
pub const OURS: &str = "/lib/x86_64-linux-gnu/security/pam_slurm_adopt_ours.so";
/// Path of the admin's program on the nodes that have it.
pub const CLI: &str = "/usr/local/sbin/slurm-adopt";
/// Shell command that has sshd read its files again, where systemd does not run: it writes its pid when it has read them.
pub const RELOAD_SSHD: &str = "pid=$(cat /run/sshd.pid); rm /run/sshd.pid; kill -HUP $pid; \
                               until [ -e /run/sshd.pid ]; do sleep 0.1; done";
/// Path of these tests' PAM application on every node.
pub const PAMCALL: &str = "/usr/local/bin/pamcall";
/// Time limit of a PAM call, after which it counts as hung: four times the module's default timeout.
pub const HANG: Duration = Duration::from_secs(20);

/// Path of a built file (`cargo xtask dist`) that goes to all nodes.
///
/// # Errors
/// Names the file that is missing.
pub fn dist(file: &str) -> Result<PathBuf> {
    let dir = match std::env::var_os("SLURM_ADOPT_DIST") {
        Some(dir) => PathBuf::from(dir),
        None => PathBuf::from(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../target/dist/x86_64-unknown-linux-gnu"
        )),
    };
    let path = dir.join(file);
    path.canonicalize()
        .with_context(|| format!("{}: run `cargo xtask dist`", path.display()))
}

/// Builder of a cluster that has both modules and the PAM application.
///
/// # Errors
/// Our module or the application has not been built.
pub fn cluster(suite: Suite) -> Result<lab::ClusterBuilder> {
    let module = dist("pam_slurm_adopt.so")?;
    Ok(Cluster::new(suite)
        .module(&module)
        .copy(&module, OURS)
        .copy(dist("pamcall")?, PAMCALL)
        // Only the backfill scheduler starts heterogeneous jobs; by default every 30 s.
        .slurm_conf(
            "SchedulerParameters=sched_min_interval=0,batch_sched_delay=0,default_queue_depth=1000,bf_interval=1",
        ))
}

/// The module that is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Module {
    /// Our module.
    Ours,
    /// SchedMD's module, from the suite's own package.
    SchedMd,
}

impl Module {
    /// Path on every node.
    #[must_use]
    pub fn path(self) -> &'static str {
        match self {
            Self::Ours => OURS,
            Self::SchedMd => lab::config::SCHEDMD_MODULE,
        }
    }
}

/// One call of the account phase.
#[derive(Debug, Clone)]
pub struct Call {
    /// Arguments of the module's PAM line.
    pub options: String,
    /// PAM_USER.
    pub user: String,
    /// PAM_SERVICE.
    pub service: String,
    /// Environment of the application.
    pub env: Vec<(String, String)>,
    /// Shell script that runs the call as `"$@"`, for example in namespaces of its own.
    pub wrapper: Option<String>,
    /// PAM_RHOST.
    pub rhost: Option<String>,
    /// Address and port at which the application first accepts a TCP connection, which it keeps.
    pub accept: Option<String>,
    /// More arguments of the application.
    pub arguments: Vec<String>,
}

impl Call {
    /// A call by sshd for this user.
    #[must_use]
    pub fn new(user: &str, options: &str) -> Self {
        Self {
            options: options.into(),
            user: user.into(),
            service: "sshd".into(),
            env: Vec::new(),
            wrapper: None,
            rhost: None,
            accept: None,
            arguments: Vec::new(),
        }
    }

    /// The command that makes the call. The stack contains only the module and returns its code unchanged.
    ///
    /// # Errors
    /// The stack could not be written.
    pub fn command(&self, node: &Node, module: Module) -> Result<Command> {
        let dir = format!("/run/pamcall/{module:?}");
        let stack = format!(
            "account [default=done] {} {}\n",
            module.path(),
            self.options
        );
        node.write(&format!("{dir}/{}", self.service), stack, 0o644)?;
        let mut call = vec![
            PAMCALL,
            "--confdir",
            &dir,
            "--service",
            &self.service,
            "--user",
            &self.user,
        ];
        if let Some(rhost) = &self.rhost {
            call.extend(["--rhost", rhost]);
        }
        if let Some(accept) = &self.accept {
            call.extend(["--accept", accept]);
        }
        call.extend(self.arguments.iter().map(String::as_str));
        let argv: Vec<&str> = match &self.wrapper {
            Some(script) => ["/bin/sh", "-ec", script, "sh"]
                .into_iter()
                .chain(call)
                .collect(),
            None => call,
        };
        let command = node.command(&argv).time_limit(HANG);
        Ok(self
            .env
            .iter()
            .fold(command, |command, (name, value)| command.env(name, value)))
    }

    /// Makes the call.
    ///
    /// # Errors
    /// The call itself could not be made; the module's behaviour is in the [`Outcome`].
    pub fn make(&self, node: &Node, module: Module) -> Result<Outcome> {
        outcome(self.command(node, module)?)
    }
}

/// Runs the command of a [`Call`].
///
/// # Errors
/// The call itself could not be made; the module's behaviour is in the [`Outcome`].
pub fn outcome(command: Command) -> Result<Outcome> {
    let output = command.output()?;
    match output.status {
        Status::TimedOut => Ok(Outcome::of(End::Hung)),
        Status::Exited(0) => parse(&output.stdout),
        // SchedMD's module ends the process if libslurm calls fatal().
        Status::Exited(1) if output.stderr.contains("fatal") => Ok(Outcome::of(End::Died)),
        Status::Signaled(signal) => Ok(Outcome::of(End::Killed(signal))),
        _ => bail!("{output}"),
    }
}

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It returned this PAM code.
    Code(i64),
    /// The module ended the process.
    Died,
    /// This signal ended the process.
    Killed(i32),
    /// It did not end within [`HANG`].
    Hung,
}

/// Effects of one call that are visible from outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// How it ended.
    pub end: End,
    /// Messages to the user.
    pub messages: Vec<String>,
    /// The PAM environment.
    pub env: BTreeMap<String, String>,
    /// The process's cgroups after the call, as in /proc/self/cgroup.
    pub cgroup: String,
    /// Microseconds from pam_start to pam_end.
    pub micros: u64,
    /// Descriptors that were not open before the call, or lead elsewhere now.
    pub left_open: Vec<String>,
}

impl Outcome {
    fn of(end: End) -> Self {
        let (messages, env, cgroup, left_open) = Default::default();
        Self {
            end,
            messages,
            env,
            cgroup,
            micros: 0,
            left_open,
        }
    }

    /// The job whose extern step the process is in, according to both its cgroups and SLURM_JOB_ID.
    ///
    /// # Errors
    /// The two differ, or the hierarchies do.
    pub fn job(&self, node: &Node) -> Result<Option<u32>> {
        let job = job_of_cgroup(node, &self.cgroup)?;
        let told = self
            .env
            .get("SLURM_JOB_ID")
            .map(|id| id.parse::<u32>())
            .transpose()?;
        if job != told {
            bail!("in the extern step of {job:?}, SLURM_JOB_ID {told:?}: {self:?}");
        }
        Ok(job)
    }
}

/// The time that the module has spent on a login, by its only line in this log.
///
/// # Errors
/// There is no such line, or there are several.
pub fn took(log: &str) -> Result<Duration> {
    let times: Vec<&str> = log.split(" ms=").skip(1).collect();
    let [time] = times[..] else {
        bail!("not one login: {log}");
    };
    let time = time.split(' ').next().unwrap_or_default();
    let millis: f64 = time.parse().with_context(|| log.to_owned())?;
    Ok(Duration::from_secs_f64(millis / 1000.0))
}

/// Waits until something is so, up to a minute.
///
/// # Errors
/// It was not, or can't be seen.
pub fn wait_for(what: &str, done: impl FnMut() -> Result<bool>) -> Result<()> {
    lab::poll::until_true(what, Duration::from_secs(60), done)
}

/// The job whose extern step on this node contains a process with this /proc/PID/cgroup.
///
/// # Errors
/// The hierarchies disagree, or no job is known to have such a cgroup.
pub fn job_of_cgroup(node: &Node, cgroup: &str) -> Result<Option<u32>> {
    const END: &str = "/step_extern";
    let mut found = None;
    for line in cgroup.lines() {
        let Some((before, _)) = line.split_once(END) else {
            continue;
        };
        let job = match before.rsplit_once("/job_") {
            Some((_, job)) => job.parse().with_context(|| format!("cgroup {line}"))?,
            // Slurm 26.05 with cgroup v2 gives a job's directory a random name: find out which job it is.
            None => job_by_cgroup(node, &format!("{before}{END}"))?,
        };
        if found.is_some_and(|other| other != job) {
            bail!("in the steps of several jobs: {cgroup}");
        }
        found = Some(job);
    }
    Ok(found)
}

fn job_by_cgroup(node: &Node, line: &str) -> Result<u32> {
    for (_, title) in node.processes("slurmstepd: [")? {
        let Some(job) = title
            .strip_prefix("slurmstepd: [")
            .and_then(|it| it.strip_suffix(".extern]"))
        else {
            continue;
        };
        let job = job
            .parse()
            .with_context(|| format!("a process called {title}"))?;
        if line.ends_with(&node.extern_cgroup(job)?) {
            return Ok(job);
        }
    }
    bail!("no extern step has the cgroup {line}")
}

fn parse(json: &str) -> Result<Outcome> {
    let value: Value = serde_json::from_str(json).with_context(|| format!("pamcall: {json}"))?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let env = value["env"].as_object().context("pamcall: no env")?;
    let descriptors = |name: &str| -> Vec<String> {
        let found = value[name].as_array().into_iter().flatten();
        found.map(text).collect()
    };
    let before = descriptors("fds_before");
    let mut left_open = descriptors("fds_after");
    left_open.retain(|it| !before.contains(it));
    let unchanged = value["signals_changed"] == false && value["threads"] == 1;
    if !unchanged {
        bail!("the module left signal handlers or threads behind: {json}");
    }
    Ok(Outcome {
        end: End::Code(value["code"].as_i64().context("pamcall: no code")?),
        messages: value["messages"]
            .as_array()
            .context("pamcall: no messages")?
            .iter()
            .map(|message| text(&message["text"]))
            .collect(),
        env: env
            .iter()
            .map(|(name, value)| (name.clone(), text(value)))
            .collect(),
        cgroup: text(&value["cgroup"]),
        micros: value["micros"].as_u64().context("pamcall: no micros")?,
        left_open,
    })
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?} {:?} {:?} {}",
            self.end,
            self.messages,
            self.env,
            self.cgroup.trim()
        )
    }
}
