//! The clusters that jobs run on here, and the two ways into a job.

use anyhow::{Context, Result, anyhow};
use lab::{Cluster, Command, Node, Suite};
use serde_json::Value;
use tests::session::{ASKPASS, Method};
use tests::{Call, Module};

pub use tests::wait_for;

/// What a cluster is like, and what a login into a job of it joins.
#[derive(Debug)]
pub struct Place {
    pub name: &'static str,
    /// Those whose Slurm has it.
    pub suites: &'static [Suite],
    slurm_conf: &'static str,
    files: &'static [(&'static str, &'static str)],
    /// The namespaces that its jobs have of their own, as /proc/PID/ns calls them.
    pub joins: &'static [&'static str],
}

/// Where Slurm keeps a job's namespaces and private directories.
pub const CONTAINERS: &str = "/var/spool/containers";
const TMPFS: &[(&str, &str)] = &[(
    "/etc/slurm/job_container.conf",
    "AutoBasePath=true\nBasePath=/var/spool/containers InitScript=/usr/local/bin/init-job\n",
)];
/// While this file is there a job whose namespaces job_container.conf tells of does not get any.
pub const HOLD: &str = "/run/hold-job";

/// For all nodes.
const SCRIPTS: &[(&str, &str)] = &[
    (
        "/usr/local/bin/init-job",
        "#!/bin/sh\nwhile [ -e /run/hold-job ]; do sleep 0.05; done\n",
    ),
    (
        "/usr/local/bin/epilog",
        "#!/bin/sh\nexec /usr/local/bin/slurm-adopt sweep\n",
    ),
    (FAKE_DISPLAY, include_str!("fake-display.pl")),
    (X_CLIENT, include_str!("x-client.pl")),
    (REFUSE_SETNS, include_str!("refuse-setns.pl")),
    (HAND_OVER, include_str!("hand-over.pl")),
];
pub const FAKE_DISPLAY: &str = "/usr/local/bin/fake-display";
pub const X_CLIENT: &str = "/usr/local/bin/x-client";
pub const HAND_OVER: &str = "/usr/local/bin/hand-over";
pub const REFUSE_SETNS: &str = "/usr/local/bin/refuse-setns";

macro_rules! namespace_yaml {
    ($flags:literal) => {
        &[(
            "/etc/slurm/namespace.yaml",
            concat!(
                "defaults:\n  auto_base_path: true\n  base_path: /var/spool/containers\n",
                "  clone_ns_flags: ",
                $flags,
                "\n"
            ),
        )]
    };
}

/// In the order of the tests.
pub const PLACES: &[Place] = &[
    Place {
        name: "no namespaces",
        suites: &Suite::ALL,
        slurm_conf: "LaunchParameters=ulimit_pam_adopt\nSelectTypeParameters=CR_CPU_Memory\n\
                     Epilog=/usr/local/bin/epilog\n",
        files: &[],
        joins: &[],
    },
    Place {
        name: "job_container/tmpfs",
        suites: &[Suite::Bookworm, Suite::Trixie],
        slurm_conf: "JobContainerType=job_container/tmpfs\n",
        files: TMPFS,
        joins: &["mnt"],
    },
    Place {
        name: "namespace/tmpfs",
        suites: &[Suite::Forky],
        slurm_conf: "NamespaceType=namespace/tmpfs\n",
        files: TMPFS,
        joins: &["mnt"],
    },
    Place {
        name: "namespace/linux with pid",
        suites: &[Suite::Forky],
        slurm_conf: "NamespaceType=namespace/linux\n",
        files: namespace_yaml!("CLONE_NEWNS|CLONE_NEWPID"),
        joins: &["mnt", "pid"],
    },
    Place {
        name: "namespace/linux with pid and user",
        suites: &[Suite::Forky],
        slurm_conf: "NamespaceType=namespace/linux\n",
        files: namespace_yaml!("CLONE_NEWNS|CLONE_NEWPID|CLONE_NEWUSER"),
        joins: &["mnt", "pid", "user"],
    },
];

/// Those of which sshd calls the account phase in different processes.
pub const METHODS: [Method; 2] = [Method::PublicKey, Method::KeyboardInteractive];

/// A test at a place; it starts without jobs.
pub type Test = fn(&Place, &Cluster) -> Result<()>;

/// The clusters of the places that the tests of a suite are at.
pub struct Stage {
    suite: Suite,
    clusters: Vec<Running>,
}

struct Running {
    place: &'static str,
    cluster: Result<Cluster, String>,
    /// Tests still to come.
    left: usize,
}

impl Stage {
    /// Starts nothing yet.
    pub fn new(suite: Suite) -> Self {
        Self {
            suite,
            clusters: Vec::new(),
        }
    }

    /// Runs a test at a place. The first of its `count` tests starts the cluster, and the last one
    /// ends it: they come in about the order of the list.
    pub fn run(&mut self, place: &'static Place, count: usize, test: Test) -> Result<()> {
        let found = self.clusters.iter().position(|it| it.place == place.name);
        let index = found.unwrap_or(self.clusters.len());
        if found.is_none() {
            self.clusters.push(Running {
                place: place.name,
                cluster: place.start(self.suite).map_err(|it| format!("{it:#}")),
                left: count,
            });
        }
        let running = &mut self.clusters[index];
        running.left -= 1;
        let result = match &running.cluster {
            Ok(cluster) => {
                let result = test(place, cluster);
                // A session line would have the account phase of the next test leave the adoption to it.
                let stack = lab::config::SSHD_STACK;
                let stack = inside(cluster).write("/etc/pam.d/sshd", stack, 0o644);
                let idle = cluster.cancel_all();
                result.and(stack).and(idle)
            }
            Err(error) => Err(anyhow!("the cluster did not come up: {error}")),
        };
        if running.left == 0 {
            self.clusters.remove(index);
        } else if result.is_err() {
            // Nobody knows what a failed test leaves behind.
            running.cluster = Err("another one has failed".to_owned());
            running.cluster = place.start(self.suite).map_err(|it| format!("{it:#}"));
        }
        result
    }
}

impl Place {
    /// node1 is where users come from; jobs are on the last node, [`inside`].
    fn start(&self, suite: Suite) -> Result<Cluster> {
        let mut cluster = tests::cluster(suite)?
            .nodes(2)
            .copy(tests::dist("slurm-adopt")?, "/usr/local/bin/slurm-adopt")
            .slurm_conf("PrologFlags=contain,x11")
            .slurm_conf(self.slurm_conf);
        if !self.joins.is_empty() {
            cluster = cluster.one_cpu();
        }
        for (path, content) in SCRIPTS.iter().chain(self.files) {
            cluster = cluster.file(path, content, 0o755);
        }
        let (askpass, text) = ASKPASS;
        let cluster = cluster.file(askpass, text, 0o755).start()?;
        for method in METHODS {
            method.start_sshd(inside(&cluster))?;
        }
        Ok(cluster)
    }
}

/// The node with the jobs.
pub fn inside(cluster: &Cluster) -> &Node {
    cluster.node(2)
}

/// Submits a batch job of alice's to the node with the jobs, and waits until its script runs:
/// before, its extern step may listen already and still be without the job's namespaces.
pub fn submit(cluster: &Cluster, script: &str) -> Result<u32> {
    inside(cluster).remove("/home/alice/began")?;
    let script = format!("touch /home/alice/began; {script}");
    let job = cluster.submit("alice", &["--nodelist=node2", "--wrap", &script])?;
    wait_for_file(cluster, "/home/alice/began")?;
    Ok(job)
}

/// The options under which nobody gets in who was not adopted.
pub const STRICT: &str = "action_adopt_failure=deny action_generic_failure=deny";

/// Has sshd on the node with the jobs use that module, with these options.
pub fn use_module(cluster: &Cluster, module: Module, options: &str) -> Result<()> {
    let path = match module {
        Module::Ours => tests::OURS,
        Module::SchedMd => lab::config::SCHEDMD_MODULE,
    };
    use_lines(cluster, &[&format!("account required {path} {options}")])
}

/// Has sshd on the node with the jobs use these lines: an account line in the place of its own, and
/// session lines at the end.
pub fn use_lines(cluster: &Cluster, lines: &[&str]) -> Result<()> {
    let (account, session): (Vec<&str>, Vec<_>) =
        lines.iter().partition(|line| line.starts_with("account"));
    let stack = lab::config::SSHD_STACK;
    let line = stack
        .lines()
        .find(|line| line.contains("pam_slurm_adopt.so"))
        .context("the lab's stack for sshd lacks the module")?;
    let stack = stack.replace(line, &account.join("\n")) + &session.join("\n") + "\n";
    inside(cluster).write("/etc/pam.d/sshd", stack, 0o644)
}

/// alice's login from node1 to the node with the jobs, as the module in use there lets her.
pub fn ssh(cluster: &Cluster, script: &str) -> Command {
    let script = format!("export LC_ALL=C; {script}");
    cluster.node(1).ssh_command("alice", "node2", &[&script])
}

/// One call of the account phase by itself, with what it left in its process.
#[derive(Debug)]
pub struct Bare {
    pub code: i64,
    pub env: Value,
    pub messages: String,
    /// Descriptors that were not there before the call, and what they lead to.
    pub new_descriptors: Vec<String>,
    /// By the name of its kind: the namespace that the process is in, or its children will be.
    pub namespaces: Value,
}

/// Calls the module for alice on the node with the jobs; `wrapper` runs the call as `"$@"`.
pub fn bare(cluster: &Cluster, module: Module, options: &str, wrapper: &str) -> Result<Bare> {
    let mut call = Call::new("alice", options);
    call.wrapper = Some(wrapper.to_owned());
    let output = call.command(inside(cluster), module)?.output()?;
    let json = output.clone().ok()?;
    let value: Value = serde_json::from_str(&json).with_context(|| format!("{output}"))?;
    let list = |name: &str| -> Result<Vec<String>> {
        let list = value[name].as_array().with_context(|| name.to_owned())?;
        Ok(list
            .iter()
            .map(|one| one.as_str().unwrap_or_default().to_owned())
            .collect())
    };
    let (before, mut after) = (list("fds_before")?, list("fds_after")?);
    after.retain(|one| !before.contains(one));
    Ok(Bare {
        code: value["code"].as_i64().context("pamcall: no code")?,
        env: value["env"].clone(),
        messages: value["messages"].to_string(),
        new_descriptors: after,
        namespaces: value["ns"].clone(),
    })
}

/// Runs the call as it is.
pub const AS_IT_IS: &str = "exec \"$@\"";

/// Waits until a file of the node with the jobs is there, and reads it.
pub fn wait_for_file(cluster: &Cluster, path: &str) -> Result<String> {
    let (dir, name) = path.rsplit_once('/').context("a whole path")?;
    let name = name.to_owned();
    wait_for(path, || Ok(inside(cluster).list(dir)?.contains(&name)))?;
    inside(cluster).read_text(path)
}
