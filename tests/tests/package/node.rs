//! A node with the packages on it: ours as it is built, and SchedMD's put together again from the installed files,
//! so that no test needs a mirror.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use lab::{Cluster, Node, Output, Suite};
use tests::{PAMCALL, dist};

/// Where the module must be for libpam, which looks there first.
pub const PLACE: &str = "/usr/lib/x86_64-linux-gnu/security/pam_slurm_adopt.so";
/// Where Debian 12's package has it, and libpam looks next.
pub const OLDER: &str = "/usr/lib/security/pam_slurm_adopt.so";
/// The version of the packages.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
/// Our package.
pub const OURS: &str = "/root/ours.deb";
/// Our package with another version and another module.
pub const NEWER: &str = "/root/newer.deb";
/// Debian's package of SchedMD's module.
pub const THEIRS: &str = "/root/theirs.deb";
/// SchedMD's own package of it.
pub const SCHEDMDS: &str = "/root/schedmds.deb";

/// A cluster of one node, with SchedMD's package installed.
pub struct Packages {
    /// The cluster.
    pub cluster: Cluster,
    /// Our module.
    pub ours: Vec<u8>,
    /// SchedMD's.
    pub theirs: Vec<u8>,
}

impl Packages {
    /// Starts the node and puts the packages there.
    pub fn start(suite: Suite) -> Result<Self> {
        let package = built(&format!("slurm-adopt_{VERSION}_amd64.deb"))?;
        let cluster = Cluster::new(suite)
            // Sound, so that check is green once the node is set up.
            .cgroup_conf("ConstrainCores=yes")
            .copy(dist("pamcall")?, PAMCALL)
            .copy(&package, OURS)
            .start()?;
        let node = cluster.node(1);
        // The lab puts a copy of SchedMD's module there for suites whose package has it elsewhere.
        if suite.original_module() != PLACE {
            node.remove(PLACE)?;
        }
        // The roots are made without documents; the package is to be whole.
        node.sh("rm -f /etc/dpkg/dpkg.cfg.d/99mmdebstrap")?;
        node.sh(&format!("{THEIRS_AGAIN}\n{SCHEDMDS_OWN}\n{NEWER_ONE}"))?;
        let packages = Self {
            ours: fs::read(dist("pam_slurm_adopt.so")?)?,
            theirs: node.read(suite.original_module())?,
            cluster,
        };
        let packed = packages
            .node()
            .sh(&format!("dpkg-deb --fsys-tarfile {OURS} | tar -xO ./usr/lib/slurm-adopt/pam_slurm_adopt.so | sha256sum"))?;
        let built = packages
            .cluster
            .node(1)
            .command(&["sha256sum"])
            .stdin(packages.ours.clone())
            .output()?
            .ok()?;
        ensure!(
            packed == built,
            "{}: not of the module in target/dist: run `cargo xtask package`",
            package.display()
        );
        Ok(packages)
    }

    /// The node.
    pub fn node(&self) -> &Node {
        self.cluster.node(1)
    }

    /// Runs a command of dpkg or apt that must succeed.
    pub fn run(&self, command: &str) -> Result<()> {
        self.try_run(command)?.ok().map(drop)
    }

    /// Runs a command of dpkg or apt.
    pub fn try_run(&self, command: &str) -> Result<Output> {
        let argv: Vec<&str> = command.split(' ').collect();
        let command = self.node().command(&argv);
        command.env("DEBIAN_FRONTEND", "noninteractive").output()
    }

    /// The module that libpam loads.
    pub fn served(&self) -> Result<Vec<u8>> {
        let node = self.node();
        node.read(PLACE).or_else(|_| node.read(OLDER))
    }

    /// Whether our package is installed and configured.
    pub fn is_installed(&self) -> Result<bool> {
        let status = [
            "dpkg-query",
            "-W",
            "-f",
            "${db:Status-Status}",
            "slurm-adopt",
        ];
        Ok(self.node().run(&status)?.stdout == "installed")
    }

    /// Makes a package from ours by a script that runs in its unpacked directory.
    pub fn variant(&self, script: &str) -> Result<&'static str> {
        const VARIANT: &str = "/root/variant.deb";
        self.node().sh(&format!(
            "dir=$(mktemp -d); dpkg-deb -R {OURS} $dir/x; cd $dir/x\n{script}\n\
             dpkg-deb -Zgzip -z1 -b . {VARIANT}; rm -rf $dir"
        ))?;
        Ok(VARIANT)
    }
}

/// A package of this version, which `cargo xtask package` makes from what dist built.
pub fn built(name: &str) -> Result<PathBuf> {
    let path = Path::new(&dist("../../packages")?).join(name);
    path.canonicalize()
        .with_context(|| format!("{}: run `cargo xtask package`", path.display()))
}

/// Debian's package from what is installed of it, with its scripts.
const THEIRS_AGAIN: &str = r#"
dir=$(mktemp -d)
mkdir -p $dir/x/DEBIAN
dpkg-query -s libpam-slurm-adopt | grep -v ^Status: >$dir/x/DEBIAN/control
for script in postinst prerm; do
    [ ! -e /var/lib/dpkg/info/libpam-slurm-adopt.$script ] ||
        cp -p /var/lib/dpkg/info/libpam-slurm-adopt.$script $dir/x/DEBIAN/$script
done
for file in $(dpkg-query -L libpam-slurm-adopt | grep -v '^/\.$'); do
    # Roots without documents lack some.
    if [ -d $file ]; then mkdir -p $dir/x$file; elif [ -e $file ]; then cp -a $file $dir/x$file; fi
done
dpkg-deb --root-owner-group -Zgzip -b $dir/x /root/theirs.deb
rm -rf $dir"#;

/// SchedMD's own package, whose name, conflict and path are those of debian/ in Slurm's sources.
const SCHEDMDS_OWN: &str = r#"
dir=$(mktemp -d)
mkdir -p $dir/x/DEBIAN $dir/x/usr/lib/x86_64-linux-gnu/security
cat $(dpkg-query -L libpam-slurm-adopt | grep '\.so$') >$dir/x/usr/lib/x86_64-linux-gnu/security/pam_slurm_adopt.so
cat >$dir/x/DEBIAN/control <<END
Package: slurm-smd-libpam-slurm-adopt
Version: 26.05.3-1
Architecture: amd64
Maintainer: nobody <nobody@localhost>
Conflicts: libpam-slurm-adopt
Description: SchedMD's module, in the place that its package gives it
END
dpkg-deb --root-owner-group -Zgzip -b $dir/x /root/schedmds.deb
rm -rf $dir"#;

/// The next version of ours. Bytes after the end of an ELF file change nothing but its size.
const NEWER_ONE: &str = r#"
dir=$(mktemp -d)
dpkg-deb -R /root/ours.deb $dir/x
sed -i 's/^Version: .*/&+1/' $dir/x/DEBIAN/control
echo newer >>$dir/x/usr/lib/slurm-adopt/pam_slurm_adopt.so
dpkg-deb -Zgzip -z1 -b $dir/x /root/newer.deb
rm -rf $dir"#;
