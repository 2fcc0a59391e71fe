//! Describes a cluster and starts it.

use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::cgroup;
use crate::cluster::Cluster;
use crate::config::{self, Names};
use crate::node::Node;
use crate::poll;
use crate::roots;
use crate::suite::Suite;
use crate::users::USERS;

/// Description of a cluster. [`Cluster::new`] makes one, [`ClusterBuilder::start`] runs it.
#[derive(Clone, Debug)]
pub struct ClusterBuilder {
    suite: Suite,
    names: Vec<String>,
    hostname: Option<String>,
    slurmd: Option<Vec<String>>,
    node_lines: Option<String>,
    beside: Vec<Suite>,
    slurm_conf: String,
    whole_slurm_conf: Option<String>,
    cgroup_conf: String,
    sshd_config: String,
    module: Option<PathBuf>,
    files: Vec<(String, Vec<u8>, u32)>,
    copies: Vec<(PathBuf, String)>,
    one_cpu: bool,
}

impl ClusterBuilder {
    pub(crate) fn new(suite: Suite) -> Self {
        Self {
            suite,
            names: vec!["node1".into()],
            hostname: None,
            slurmd: None,
            node_lines: None,
            beside: Vec::new(),
            slurm_conf: String::new(),
            whole_slurm_conf: None,
            cgroup_conf: String::new(),
            sshd_config: String::new(),
            module: None,
            files: Vec::new(),
            copies: Vec::new(),
            one_cpu: false,
        }
    }

    /// Sets the number of nodes, named node1, node2 ...; each has its own network namespace.
    pub fn nodes(mut self, count: usize) -> Self {
        self.names = (1..=count).map(|number| format!("node{number}")).collect();
        self
    }

    /// Sets the nodes by name.
    pub fn node_names(mut self, names: &[&str]) -> Self {
        self.names = names.iter().map(|name| name.to_string()).collect();
        self
    }

    /// Sets the first node's host name, if it differs from the node name.
    pub fn hostname(mut self, name: &str) -> Self {
        self.hostname = Some(name.into());
        self
    }

    /// Sets slurmd's arguments on every node. Default: `-N` and the node's name.
    pub fn slurmd(mut self, arguments: &[&str]) -> Self {
        self.slurmd = Some(arguments.iter().map(|word| word.to_string()).collect());
        self
    }

    /// Replaces the generated NodeName lines with these lines, NodeName or others.
    pub fn node_lines(mut self, lines: &str) -> Self {
        self.node_lines = Some(lines.into());
        self
    }

    /// Adds the root of another suite to every node at [`Node::beside`], to chroot into another release's
    /// Slurm. It has the same users, munge key, /var/spool and configuration, but no daemons.
    pub fn beside(mut self, suite: Suite) -> Self {
        self.beside.push(suite);
        self
    }

    /// Adds lines to slurm.conf; they replace generated lines with the same key.
    pub fn slurm_conf(mut self, extra: &str) -> Self {
        push_lines(&mut self.slurm_conf, extra);
        self
    }

    /// Sets the whole slurm.conf, instead of the generated one.
    pub fn slurm_conf_file(mut self, whole: &str) -> Self {
        self.whole_slurm_conf = Some(whole.into());
        self
    }

    /// Adds lines to cgroup.conf; they replace generated lines with the same key.
    pub fn cgroup_conf(mut self, extra: &str) -> Self {
        push_lines(&mut self.cgroup_conf, extra);
        self
    }

    /// Adds lines to sshd_config; they replace generated lines with the same key.
    pub fn sshd_config(mut self, extra: &str) -> Self {
        push_lines(&mut self.sshd_config, extra);
        self
    }

    /// Uses the module under test, a file of the host, instead of SchedMD's.
    pub fn module(mut self, path: impl Into<PathBuf>) -> Self {
        self.module = Some(path.into());
        self
    }

    /// Sets the PAM stack of a service. For `sshd` it replaces the lab's.
    pub fn pam(self, service: &str, stack: &str) -> Self {
        let path = format!("/etc/pam.d/{service}");
        self.file(&path, stack, 0o644)
    }

    /// Adds a file to every node.
    pub fn file(mut self, path: &str, content: impl AsRef<[u8]>, mode: u32) -> Self {
        self.files
            .push((path.into(), content.as_ref().into(), mode));
        self
    }

    /// Copies a file of the host to every node.
    pub fn copy(mut self, from: impl Into<PathBuf>, path: &str) -> Self {
        self.copies.push((from.into(), path.into()));
        self
    }

    /// Makes the nodes, and runs everything in them, on one CPU of the host.
    ///
    /// Slurm may keep a job's mount namespace by binding it to a file (job_container/tmpfs, namespace/*).
    /// Linux 6.18 and later may refuse that with EINVAL: to prevent loops it accepts only namespaces with a
    /// higher number than its own, and each CPU has its own stock of numbers.
    pub fn one_cpu(mut self) -> Self {
        self.one_cpu = true;
        self
    }

    /// Starts the cluster and waits until all nodes are idle and sshd listens.
    pub fn start(self) -> Result<Cluster> {
        self.up()
            .with_context(|| format!("starting a cluster of {}", self.suite))
    }

    fn up(&self) -> Result<Cluster> {
        ensure!(
            rustix::process::geteuid().is_root(),
            "only root can make namespaces and cgroups"
        );
        ensure!(!self.names.is_empty(), "a cluster needs a node");
        let mut names: Vec<Names> = self
            .names
            .iter()
            .map(|name| Names {
                node: name.clone(),
                host: name.clone(),
                slurmd: match &self.slurmd {
                    Some(arguments) => arguments.clone(),
                    None => vec!["-N".into(), name.clone()],
                },
            })
            .collect();
        if let Some(host) = &self.hostname {
            names[0].host = host.clone();
        }
        let root = roots::ensure(self.suite)?;
        let beside: Result<Vec<_>> = self
            .beside
            .iter()
            .map(|suite| Ok((*suite, roots::ensure(*suite)?)))
            .collect();
        let beside = beside?;
        let cluster = Cluster::hold(
            self.suite,
            self.oldest(),
            root.clone(),
            &beside,
            &names,
            self.one_cpu,
        )?;
        self.furnish(&cluster, &root, &names)
            .and_then(|()| self.furnish_beside(&cluster, &beside))
            .and_then(|()| self.run_daemons(&cluster))
            .with_context(|| cluster.logs())?;
        Ok(cluster)
    }

    /// The oldest suite, which decides the cgroups of all suites.
    fn oldest(&self) -> Suite {
        let beside = self.beside.iter().copied();
        beside.fold(self.suite, std::cmp::min)
    }

    /// Writes all files to the nodes.
    fn furnish(&self, cluster: &Cluster, root: &Path, names: &[Names]) -> Result<()> {
        let version = cgroup::version(self.oldest())?;
        let slurm_conf = match &self.whole_slurm_conf {
            Some(whole) => whole.clone(),
            None => config::slurm_conf(names, self.node_lines.as_deref(), &self.slurm_conf),
        };
        let mut files = vec![
            ("/etc/slurm/slurm.conf", slurm_conf, 0o644),
            (
                "/etc/slurm/cgroup.conf",
                config::cgroup_conf(self.suite, version, &self.cgroup_conf),
                0o644,
            ),
            (
                "/etc/ssh/sshd_config",
                config::sshd_config(self.suite, &self.sshd_config),
                0o644,
            ),
            ("/etc/pam.d/sshd", config::SSHD_STACK.into(), 0o644),
            ("/etc/hosts", config::hosts(names), 0o644),
            ("/etc/resolv.conf", String::new(), 0o644),
        ];
        files.extend(config::accounts(root)?);
        let keys = make_keys(cluster.node(1))?;
        let host_key = read_text(&root.join("etc/ssh/ssh_host_ed25519_key.pub"))?;
        files.push(("/etc/ssh/ssh_known_hosts", format!("* {host_key}"), 0o644));

        let original = root.join(self.suite.original_module().trim_start_matches('/'));
        let module = self.module.as_deref().unwrap_or(&original);
        for node in cluster.nodes() {
            for (path, text, mode) in &files {
                node.write(path, text, *mode)?;
            }
            node.copy(&original, config::SCHEDMD_MODULE)?;
            node.copy(module, config::MODULE)?;
            for (user, uid, home, secret, public) in &keys {
                let ssh = format!("{home}/.ssh");
                let owner = (*uid, *uid);
                node.write_owned(&format!("{ssh}/id_ed25519"), secret, 0o600, owner)?;
                node.write_owned(&format!("{ssh}/authorized_keys"), public, 0o600, owner)?;
                node.sh(&format!(
                    "chown {user}: {home} {ssh} && chmod 755 {home}; chmod 700 {ssh}"
                ))?;
            }
            for (path, content, mode) in &self.files {
                node.write(path, content, *mode)?;
            }
            for (from, path) in &self.copies {
                node.copy(from, path)?;
            }
        }
        Ok(())
    }

    /// Writes to the roots of other suites what makes them part of this cluster.
    fn furnish_beside(&self, cluster: &Cluster, beside: &[(Suite, PathBuf)]) -> Result<()> {
        for (suite, root) in beside {
            let version = cgroup::version(self.oldest())?;
            let cgroup_conf = config::cgroup_conf(*suite, version, &self.cgroup_conf);
            let accounts = config::accounts(root)?;
            for node in cluster.nodes() {
                let place = Node::beside(*suite);
                for (path, text, mode) in &accounts {
                    node.write(&format!("{place}{path}"), text, *mode)?;
                }
                node.write(
                    &format!("{place}/etc/slurm/cgroup.conf"),
                    &cgroup_conf,
                    0o644,
                )?;
                node.sh(&format!(
                    "cp /etc/slurm/slurm.conf {place}/etc/slurm/; cp /etc/hosts {place}/etc/; \
                     cat /etc/munge/munge.key >{place}/etc/munge/munge.key"
                ))?;
            }
        }
        Ok(())
    }

    fn run_daemons(&self, cluster: &Cluster) -> Result<()> {
        thread::scope(|scope| {
            let start = |node: &Node| -> Result<()> {
                node.sh(FOR_SLURM)?;
                node.sh("/usr/sbin/sshd")?;
                if node.number == 1 {
                    node.run(&["slurmctld", "-c", "-i"])?.ok()?;
                }
                node.start_slurmd()
            };
            let starting: Vec<_> = cluster
                .nodes()
                .iter()
                .map(|node| scope.spawn(move || start(node)))
                .collect();
            starting
                .into_iter()
                .try_for_each(|thread| match thread.join() {
                    Ok(result) => result,
                    Err(_) => bail!("a thread panicked"),
                })
        })?;
        poll::until_true("slurmctld to listen", Duration::from_secs(60), || {
            Ok(cluster.node(1).listens_on(6817))
        })?;
        cluster.wait_state("idle")?;
        ensure!(
            cluster.nodes().iter().all(|node| node.listens_on(22)),
            "no sshd"
        );
        Ok(())
    }
}

/// Shell script that prepares the root it runs in for Slurm's daemons, and starts munged.
pub const FOR_SLURM: &str = "
install -d -o munge -g munge /run/munge /var/log/munge /var/lib/munge
chmod 700 /var/log/munge
install -d -o slurm -g slurm /var/spool/slurmctld /var/log/slurm
install -d /var/spool/slurmd
setpriv --reuid=munge --regid=munge --clear-groups munged --num-threads=2
";

type Key = (&'static str, u32, String, Vec<u8>, Vec<u8>);

/// Makes key pairs for root and the users: (name, uid, home, secret key, public key).
fn make_keys(node: &Node) -> Result<Vec<Key>> {
    let root = ("root", 0, "/root".to_string());
    let users = USERS.iter().map(|user| (user.name, user.uid, user.home()));
    let mut script = String::from("mkdir -m 700 /run/lab-keys; cd /run/lab-keys\n");
    let mut keys = Vec::new();
    let all: Vec<_> = [root].into_iter().chain(users).collect();
    for (name, _, _) in &all {
        script += &format!("ssh-keygen -q -t ed25519 -N '' -C {name} -f {name}\n");
    }
    node.sh(&script)?;
    for (name, uid, home) in all {
        let secret = node.read(&format!("/run/lab-keys/{name}"))?;
        let public = node.read(&format!("/run/lab-keys/{name}.pub"))?;
        keys.push((name, uid, home, secret, public));
    }
    node.remove("/run/lab-keys")?;
    Ok(keys)
}

fn read_text(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))
}

fn push_lines(all: &mut String, extra: &str) {
    *all += extra;
    if !all.is_empty() && !all.ends_with('\n') {
        all.push('\n');
    }
}
