//! SELinux in a machine: Debian's policy in enforcing mode, with policy modules of one's own.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::qemu;
use crate::suite::Suite;

/// The suite whose machine has the packages. They do nothing unless the kernel is told to use SELinux.
pub const SUITE: Suite = Suite::Trixie;

pub(crate) const PACKAGES: &[&str] =
    &["selinux-policy-default", "selinux-utils", "policycoreutils"];

/// Arguments of the kernel. A policy that is only logged hides rules: the kernel asks for the next permission
/// only where the one before was given.
pub(crate) const KERNEL: &str = "security=selinux selinux=1 enforcing=1";

/// Policy modules that are loaded beside Debian's.
#[derive(Debug, Clone)]
pub struct Policy {
    /// Files that semodule(8) takes, of the host.
    pub modules: Vec<PathBuf>,
}

impl Policy {
    /// Shell script that takes the modules away in the machine, or brings them back. semodule(8) would compile
    /// the policy again, which takes an emulated machine more than a minute.
    pub const SWITCH: &str = "
for dir in /etc/selinux/default /var/lib/selinux/default; do
    mv $dir $dir.now; mv $dir.other $dir; mv $dir.now $dir.other
done
load_policy
";

    /// Writes the modules where [`INSTALL`] takes them from.
    pub(crate) fn write(&self, upper: &Path) -> Result<()> {
        for file in &self.modules {
            let name = file.file_name().context("a policy module without a name")?;
            qemu::copy(file, &upper.join(MODULES).join(name))?;
        }
        Ok(())
    }
}

/// Directory of the modules on the machine's disk.
const MODULES: &str = "usr/share/selinux/packages/slurm-adopt";

/// Shell script that runs in the machine's root when its disk is made: builds the policy and labels all files.
/// Debian's own policy, without the modules, is kept beside it.
pub(crate) const INSTALL: &str = "
sed -i s/^SELINUX=.*/SELINUX=enforcing/ /etc/selinux/config
for dir in /etc/selinux/default /var/lib/selinux/default; do cp -a $dir $dir.other; done
semodule --noreload --install /usr/share/selinux/packages/slurm-adopt/*
setfiles -F -q /etc/selinux/default/contexts/files/file_contexts /
";
