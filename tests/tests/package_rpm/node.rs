//! A node with rpm, which the host lends it.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use lab::{Cluster, Node, Output, Suite};
use tests::{PAMCALL, dist};

use crate::rpms::{Modules, Rpms};

/// Where libpam of an rpm-based distribution looks for the module. The stack of the node names this path.
pub const MODULE: &str = "/usr/lib64/security/pam_slurm_adopt.so";
/// The stack of sshd.
pub const SSHD: &str = "/etc/pam.d/sshd";

/// A cluster of one node, and the packages.
pub struct Site {
    /// The cluster.
    pub cluster: Cluster,
    /// The packages on the host.
    pub rpms: Rpms,
    /// What the packages have.
    pub modules: Modules,
}

impl Site {
    /// Starts the node, with nothing installed but what stands for the distribution.
    pub fn start(suite: Suite) -> Result<Self> {
        let modules = Modules::read()?;
        let rpms = Rpms::build(&modules)?;
        let stack = lab::config::SSHD_STACK.replace("pam_slurm_adopt.so", MODULE);
        let lent = rpms.lend()?;
        let cluster = Cluster::new(suite).pam("sshd", &stack).copy(lent, LENT);
        let cluster = cluster.copy(dist("pamcall")?, PAMCALL);
        let cluster = rpms
            .all()
            .into_iter()
            .fold(cluster, |cluster, it| cluster.copy(it, &on_node(it)));
        let cluster = cluster.start()?;
        let site = Self {
            cluster,
            rpms,
            modules,
        };
        site.node().sh(AS_ON_RHEL)?;
        site.rpm(&["-i"], &[&site.rpms.base])?;
        Ok(site)
    }

    /// The node.
    pub fn node(&self) -> &Node {
        self.cluster.node(1)
    }

    /// The node's root directory, as the host sees it.
    pub fn root(&self) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root", self.node().host_pid()))
    }

    /// Runs rpm on the node; it must succeed.
    pub fn rpm(&self, arguments: &[&str], packages: &[&Path]) -> Result<String> {
        self.try_rpm(arguments, packages)?.ok()
    }

    /// Runs rpm on the node.
    pub fn try_rpm(&self, arguments: &[&str], packages: &[&Path]) -> Result<Output> {
        let packages: Vec<String> = packages.iter().map(|it| on_node(it)).collect();
        let packages = packages.iter().map(String::as_str);
        let argv: Vec<&str> = RPM
            .into_iter()
            .chain(arguments.iter().copied())
            .chain(packages)
            .collect();
        self.node().run(&argv)
    }

    /// The module that libpam loads.
    pub fn served(&self) -> Result<Vec<u8>> {
        let path = self.root().join(MODULE.trim_start_matches('/'));
        fs::read(&path).with_context(|| format!("read {}", path.display()))
    }

    /// Writes sshd's stack again after a test changed it.
    pub fn restore_stack(&self) -> Result<()> {
        let stack = lab::config::SSHD_STACK.replace("pam_slurm_adopt.so", MODULE);
        self.node().write(SSHD, stack, 0o644)
    }

    /// The names of the packages that a test may leave, and the files that it may leave in libpam's directory.
    pub fn installed(&self) -> Result<String> {
        let packages = self.rpm(&["-qa", "--qf", "%{NAME}\n"], &[])?;
        let mut left: Vec<&str> = packages.lines().filter(|it| *it != "base").collect();
        let files = self.node().sh("ls /usr/lib64/security")?;
        left.extend(files.lines().filter(|it| it.contains("slurm")));
        Ok(left.join(" "))
    }
}

/// The path of a package on the node.
pub fn on_node(package: &Path) -> String {
    let name = package.file_name().unwrap_or_default();
    format!("/root/{}", name.to_string_lossy())
}

/// The host's rpm with its libraries.
const LENT: &str = "/root/rpm.tar";
/// The host's rpm on the node, where its libraries and its loader have a directory of their own.
pub const RPM: [&str; 6] = [
    "/opt/rpm/ld.so",
    "--library-path",
    "/opt/rpm",
    "/opt/rpm/rpm",
    "--dbpath",
    "/var/lib/rpm",
];
/// Libpam's own modules as RHEL has them, and none of SchedMD's in Debian's place.
const AS_ON_RHEL: &str = "
tar -xf /root/rpm.tar -C /
mkdir -p /usr/lib64/security
cp /usr/lib/x86_64-linux-gnu/security/pam_permit.so /usr/lib/x86_64-linux-gnu/security/pam_unix.so /usr/lib64/security/
rm -f /usr/lib/x86_64-linux-gnu/security/pam_slurm*";
