//! Three nodes, logins from one to another, and where they land.

mod judge;

use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
pub use judge::Theirs;
use lab::{Cluster, Command, Node, Suite};
use tests::{CLI, Call, End, Module, job_of_cgroup};

const UNKNOWN: &str = "Access denied by pam_slurm_adopt: unable to determine source job";
/// What a login runs.
const LOOK: &str = "cat /proc/self/cgroup; echo SLURM_JOB_ID=$SLURM_JOB_ID";
/// A client that connects and stays until the other end closes: `$0` the address, `$1` the port.
const CLIENT: &str = "for turn in $(seq 500); do
    if exec 3<>/dev/tcp/$0/$1; then exec cat <&3; fi; sleep 0.02
done 2>/dev/null";

/// Where a login comes out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Landing {
    /// In that job.
    Job(u32),
    /// Let in, into no job.
    NoJob,
    /// Kept out: "unable to determine source job".
    KeptOut,
    /// The module ended the process by this signal.
    Killed(i32),
}

/// What a login is made from.
#[derive(Debug, Clone, Copy)]
pub enum Source {
    /// A process of alice's on that node, in no job.
    Host(usize),
    /// A step of that job of alice's on that node.
    Job(usize, u32),
    /// A step of that job of alice's on the node of that name in slurm.conf, which is that host.
    Slurmd(usize, &'static str, u32),
    /// A step of that job of alice's on that node, where slurmd and srun are of that suite.
    Older(usize, Suite, u32),
    /// A step of that job of bob's on that node; bob has a key that logs in as alice.
    BobsJob(usize, u32),
}

/// One login.
#[derive(Debug)]
pub struct Login {
    /// Where it came out.
    pub landing: Landing,
    /// Our module's line in the log, or what SchedMD's said.
    pub log: String,
    /// From pam_start to pam_end, where the test could measure that.
    pub in_pam: Option<Duration>,
}

/// A cluster of three nodes. The logins go to node2, as alice.
pub struct Site {
    /// The cluster.
    pub cluster: Cluster,
    /// What came out otherwise than expected.
    failures: Vec<String>,
}

impl Site {
    /// Starts one with these lines in slurm.conf.
    pub fn start(suite: Suite, slurm_conf: &str) -> Result<Self> {
        Self::of(tests::cluster(suite)?.nodes(3).slurm_conf(slurm_conf))
    }

    /// Starts that one; bob gets into alice's account with his own key.
    pub fn of(builder: lab::ClusterBuilder) -> Result<Self> {
        let cluster = builder.copy(tests::dist("slurm-adopt")?, CLI).start()?;
        let key = cluster.node(1).read("/home/bob/.ssh/authorized_keys")?;
        let target = cluster.node(2);
        target
            .command(&["tee", "-a", "/home/alice/.ssh/authorized_keys"])
            .stdin(key)
            .output()?
            .ok()?;
        Ok(Self {
            cluster,
            failures: Vec::new(),
        })
    }

    /// The suite whose Slurm it runs.
    pub fn suite(&self) -> Suite {
        self.cluster.suite()
    }

    /// The node that the logins go to.
    pub fn target(&self) -> &Node {
        self.cluster.node(2)
    }

    /// A job of that user's on these nodes.
    pub fn job(&self, user: &str, nodes: &[usize]) -> Result<u32> {
        let names: Vec<_> = nodes.iter().map(|it| format!("node{it}")).collect();
        let (count, list) = (
            format!("--nodes={}", nodes.len()),
            format!("--nodelist={}", names.join(",")),
        );
        self.cluster.submit(user, &[&count, &list])
    }

    /// Runs that at the source.
    pub fn at(&self, source: Source, argv: &[&str]) -> Command {
        let (number, user) = match source {
            Source::Host(number)
            | Source::Job(number, _)
            | Source::Slurmd(number, ..)
            | Source::Older(number, ..) => (number, "alice"),
            Source::BobsJob(number, _) => (number, "bob"),
        };
        let node = self.cluster.node(number);
        let (name, job) = match source {
            Source::Host(_) => return node.command(argv).user(user),
            Source::Job(_, job) | Source::BobsJob(_, job) | Source::Older(_, _, job) => {
                (node.name(), job)
            }
            Source::Slurmd(_, name, job) => (name, job),
        };
        let (job, place) = (format!("--jobid={job}"), format!("--nodelist={name}"));
        let step = ["srun", "--quiet", "--overlap", "-N1", "-n1", &job, &place];
        let argv = [&step[..], argv].concat();
        if let Source::Older(_, suite, _) = source {
            let (root, user) = (Node::beside(suite), ["--reuid=alice", "--regid=alice"]);
            let chroot = ["chroot", &root, "setpriv", "--init-groups"];
            return node.command(&[&chroot[..], &user, &argv].concat());
        }
        node.command(&argv).user(user).dir("/tmp")
    }

    /// Logs in with ssh; node2's stack of sshd has that module with these options.
    pub fn ssh(&self, source: Source, to: &str, module: Module, options: &str) -> Result<Login> {
        self.sshd_stack(module, options)?;
        let mark = self.target().syslog_mark()?;
        let ssh = ["ssh", "-o", "BatchMode=yes", "-o", "ConnectTimeout=30"];
        let output = self
            .at(source, &[&ssh[..], &["-l", "alice", to, LOOK]].concat())
            .output()?;
        let landing = match output.success() {
            true => self.landing_of(&output.stdout)?,
            false if output.stderr.contains(UNKNOWN) => Landing::KeptOut,
            false => bail!("{module:?}, {options}: {output}"),
        };
        let log = match module {
            Module::Ours => self.our_line(mark)?,
            Module::SchedMd => output.stderr,
        };
        Ok(Login {
            landing,
            log,
            in_pam: None,
        })
    }

    /// The stack of node2's sshd.
    pub fn sshd_stack(&self, module: Module, options: &str) -> Result<()> {
        let name = match module {
            Module::Ours => lab::config::MODULE,
            Module::SchedMd => lab::config::SCHEDMD_MODULE,
        };
        let stack = format!(
            "auth required pam_permit.so\naccount required {name} {options}\n\
             session required pam_permit.so\n"
        );
        self.target().write("/etc/pam.d/sshd", stack, 0o644)
    }

    fn landing_of(&self, stdout: &str) -> Result<Landing> {
        let (cgroup, told) = stdout
            .split_once("SLURM_JOB_ID=")
            .with_context(|| format!("a login said {stdout}"))?;
        let inside = job_of_cgroup(self.target(), cgroup)?;
        let told: Option<u32> = match told.trim() {
            "" => None,
            told => Some(
                told.parse()
                    .with_context(|| format!("SLURM_JOB_ID={told}"))?,
            ),
        };
        ensure!(
            inside == told,
            "in the extern step of {inside:?}, SLURM_JOB_ID {told:?}: {stdout}"
        );
        Ok(inside.map_or(Landing::NoJob, Landing::Job))
    }

    fn our_line(&self, mark: usize) -> Result<String> {
        let log = self.target().syslog_since(mark)?;
        let lines: Vec<_> = log.lines().filter(|it| it.contains("decision=")).collect();
        match lines[..] {
            [line] => Ok(line.to_owned()),
            _ => bail!("not one line a login: {log}"),
        }
    }

    /// The same without sshd: a process at the source connects to the address, and a program that
    /// has the other end makes the PAM call.
    pub fn call(
        &self,
        source: Source,
        to: Address,
        module: Module,
        options: &str,
    ) -> Result<Login> {
        self.call_with(source, to, module, Call::new("alice", options))
    }

    /// The same with more to say about the call.
    pub fn call_with(
        &self,
        source: Source,
        to: Address,
        module: Module,
        mut call: Call,
    ) -> Result<Login> {
        static PORT: AtomicU16 = AtomicU16::new(4000);
        let port = PORT.fetch_add(1, Ordering::Relaxed);
        let mark = self.target().syslog_mark()?;
        call.accept = Some(format!("{}:{port}", to.listen));
        let client = ["bash", "-c", CLIENT, to.connect, &port.to_string()];
        let _client = self.at(source, &client).spawn()?;
        let outcome = call.make(self.target(), module)?;
        let landing = match outcome.end {
            End::Code(0) => outcome
                .job(self.target())?
                .map_or(Landing::NoJob, Landing::Job),
            End::Code(6) if outcome.messages.concat().contains(UNKNOWN) => Landing::KeptOut,
            End::Killed(signal) => Landing::Killed(signal),
            _ => bail!("{module:?}, {}: {outcome}", call.options),
        };
        let log = match module {
            Module::Ours => self.our_line(mark)?,
            Module::SchedMd => String::new(),
        };
        Ok(Login {
            landing,
            log,
            in_pam: Some(Duration::from_micros(outcome.micros)),
        })
    }
}

/// Where the one end listens, and what the other connects to.
#[derive(Debug, Clone, Copy)]
pub struct Address {
    /// With brackets if it is of IPv6.
    pub listen: &'static str,
    /// As bash's /dev/tcp has it.
    pub connect: &'static str,
}

/// Node2's IPv4 address.
pub const IPV4: Address = Address {
    listen: "10.88.0.2",
    connect: "10.88.0.2",
};
/// Node2's IPv6 address.
pub const IPV6: Address = Address {
    listen: "[fd88::2]",
    connect: "fd88::2",
};
/// An IPv6 socket that is reached over IPv4: its peer's address is ::ffff:10.88.0.1.
pub const MAPPED: Address = Address {
    listen: "[::]",
    connect: "10.88.0.2",
};
/// The loopback.
pub const LOOPBACK: Address = Address {
    listen: "127.0.0.1",
    connect: "127.0.0.1",
};
