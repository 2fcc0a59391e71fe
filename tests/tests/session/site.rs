//! A node with an sshd for each way in, and logins there.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lab::{Background, Cluster, Command, Node, Status, Suite};
use tests::session::{ASKPASS, Lines, Method, Shell, stack};
use tests::{Module, job_of_cgroup};

pub use tests::wait_for;

/// Options under which nobody gets in who was not adopted.
pub const STRICT: &str = "action_adopt_failure=deny action_generic_failure=deny";
pub const NO_JOBS: &str = "Access denied by pam_slurm_adopt: you have no active jobs on this node";
/// The cluster. Each method has its sshd; all of them have the one PAM stack.
pub struct Site {
    cluster: Cluster,
}

impl Site {
    pub fn start(suite: Suite) -> Result<Self> {
        let (askpass, text) = ASKPASS;
        let cluster = tests::cluster(suite)?.file(askpass, text, 0o755).start()?;
        for method in Method::ALL {
            method.start_sshd(cluster.node(1))?;
        }
        Ok(Self { cluster })
    }

    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    pub fn suite(&self) -> Suite {
        self.cluster.suite()
    }

    pub fn node(&self) -> &Node {
        self.cluster.node(1)
    }

    /// Puts the module into sshd's PAM stack; `before` goes in front of its session line.
    pub fn use_stack(
        &self,
        module: Module,
        lines: Lines,
        options: &str,
        before: &str,
    ) -> Result<()> {
        let stack = stack(module, lines, options, before);
        self.node().write("/etc/pam.d/sshd", stack, 0o644)
    }

    /// ssh, scp or sftp as that user, by that method to the node itself.
    pub fn client(&self, user: &str, method: Method, argv: &[&str]) -> Command {
        method.client(self.node(), user, argv)
    }

    /// A line for a stack: when a session begins, libpam runs that script of sh as root.
    pub fn at_session(&self, script: &str) -> Result<String> {
        let text = format!("#!/bin/sh\n[ \"$PAM_TYPE\" = open_session ] || exit 0\n{script}\n");
        self.node().write("/usr/local/bin/between", text, 0o755)?;
        Ok("session required pam_exec.so quiet /usr/local/bin/between".into())
    }

    /// The same; after the script the session of [`Site::start_held`] waits for [`Site::go_on`].
    pub fn holding(&self, script: &str) -> Result<String> {
        self.at_session(&format!(
            "{script}\ntouch /run/held\nwhile test -e /run/hold; do sleep 0.02; done"
        ))
    }

    /// Starts a client whose session begins and is held.
    pub fn start_held(&self, user: &str, method: Method, argv: &[&str]) -> Result<Background> {
        let node = self.node();
        node.sh("rm -f /run/held; touch /run/hold")?;
        let mut client = self.client(user, method, argv).spawn()?;
        wait_for("the session to begin", || {
            Ok(node.list("/run")?.contains(&"held".to_owned()) || !client.is_running()?)
        })?;
        ensure!(client.is_running()?, "{method}: {}", client.stderr()?);
        Ok(client)
    }

    /// Lets a held session go on.
    pub fn go_on(&self) -> Result<()> {
        self.node().remove("/run/hold")
    }

    /// Opens a shell that tells of itself and stays.
    pub fn log_in(&self, user: &str, method: Method) -> Result<Login> {
        let client = self.client(user, method, &["ssh", "node1", Shell::LOOK_AROUND]);
        let mut client = client.spawn()?;
        let mut status = None;
        wait_for("a login", || {
            status = client.wait(Duration::ZERO)?;
            Ok(status.is_some() || client.stdout()?.ends_with(Shell::END))
        })?;
        let told = client.stdout()?;
        let shell = Shell::parse(&told)?;
        Ok(Login {
            method,
            stderr: client.stderr()?,
            client,
            status,
            told,
            shell,
        })
    }

    /// Has all jobs end.
    pub fn finish(&self) -> Result<()> {
        self.cluster.cancel_listed()
    }
}

/// A login that got in, or was kept out.
pub struct Login {
    pub method: Method,
    pub client: Background,
    /// Of the client, if it has ended.
    pub status: Option<Status>,
    pub stderr: String,
    told: String,
    /// None: kept out.
    pub shell: Option<Shell>,
}

/// Of a shell on a node.
pub trait OnNode {
    /// The job that the shell and both its sshds are in; an error if they are not together.
    fn job(&self, node: &Node) -> Result<Option<u32>>;
    /// What of the three is still there.
    fn alive(&self, node: &Node) -> Result<String>;
}

impl OnNode for Shell {
    fn job(&self, node: &Node) -> Result<Option<u32>> {
        let job = job_of_cgroup(node, &self.cgroup)?;
        for (pid, name) in self.processes() {
            let cgroup = cgroup_of(node, pid).with_context(|| name.to_string())?;
            ensure!(
                job_of_cgroup(node, &cgroup)? == job,
                "the shell is in {job:?}, {name} is not: {cgroup}"
            );
        }
        Ok(job)
    }

    fn alive(&self, node: &Node) -> Result<String> {
        self.those(|pid| Ok(!node.list(&format!("/proc/{pid}"))?.is_empty()))
    }
}

impl Login {
    /// The shell's own words, or why there is none.
    pub fn shell(&self) -> Result<&Shell> {
        self.shell
            .as_ref()
            .with_context(|| format!("kept out: {self}"))
    }

    /// Ends what is left of it: without a terminal the client's end leaves the shell alone.
    pub fn end(mut self, node: &Node) -> Result<()> {
        if let Some(shell) = &self.shell {
            for pid in shell.pids {
                node.run(&["kill", "-s", "KILL", &pid.to_string()])?;
            }
        }
        self.client
            .wait(Duration::from_secs(20))?
            .context("the client does not end")?;
        Ok(())
    }
}

impl std::fmt::Display for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            method,
            status,
            stderr,
            told,
            ..
        } = self;
        write!(f, "{method}: {status:?} '{}' {told}", stderr.trim())
    }
}

/// The cgroups of a process, as it sees them itself.
pub fn cgroup_of(node: &Node, pid: u32) -> Result<String> {
    node.run(&["cat", &format!("/proc/{pid}/cgroup")])?.ok()
}
