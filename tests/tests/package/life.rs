//! What an installation leaves behind, and when a removal is refused.

use anyhow::{Result, ensure};

use crate::node::{NEWER, OURS, PLACE, Packages, SCHEDMDS, THEIRS};

/// With Debian's package there, with SchedMD's own, and with neither.
pub fn leaves_nothing(packages: &Packages) -> Result<()> {
    come_and_go(packages)?;
    let stack = packages.node().read(SSHD)?;
    packages.run("dpkg -P libpam-slurm-adopt")?;
    packages.run(&format!("dpkg -i {SCHEDMDS}"))?;
    come_and_go(packages)?;
    packages.run("dpkg -P slurm-smd-libpam-slurm-adopt")?;
    // Nothing serves the line now, so it would keep our package from going.
    packages
        .node()
        .sh(&format!("sed -i /pam_slurm_adopt/d {SSHD}"))?;
    come_and_go(packages)?;
    packages.node().write(SSHD, stack, 0o644)?;
    packages.run(&format!("dpkg -i {THEIRS}"))
}

fn come_and_go(packages: &Packages) -> Result<()> {
    let (etc, usr) = (content(packages, "/etc")?, content(packages, "/usr")?);
    packages.run(&format!("dpkg -i {OURS}"))?;
    ensure!(content(packages, "/etc")? == etc, "installing changes /etc");
    packages.run(&format!("dpkg -i {NEWER}"))?;
    ensure!(content(packages, "/etc")? == etc, "upgrading changes /etc");
    packages.run("dpkg -r slurm-adopt")?;
    packages.run("dpkg -P slurm-adopt")?;
    for (dir, before) in [("/etc", etc), ("/usr", usr)] {
        let after = content(packages, dir)?;
        let changed: Vec<_> = after.lines().filter(|it| !before.contains(it)).collect();
        ensure!(after == before, "{dir} is not as before: {changed:?}");
    }
    let left = "! grep -s slurm_adopt /var/lib/dpkg/diversions && ! ls -d /run/slurm-adopt 2>&1";
    packages.node().sh(left).map(drop)
}

/// Refused without SchedMD's module, or with a session line, which that does not serve.
pub fn refused(packages: &Packages) -> Result<()> {
    let node = packages.node();
    let stack = node.read(SSHD)?;
    packages.run(&format!("dpkg -i {OURS}"))?;
    let session = "session required pam_slurm_adopt.so\n";
    node.write(SSHD, [&stack[..], session.as_bytes()].concat(), 0o644)?;
    stays(packages, "dpkg -r slurm-adopt")?;
    node.write(SSHD, &stack, 0o644)?;
    packages.run("dpkg -P libpam-slurm-adopt")?;
    stays(packages, "dpkg -P slurm-adopt")?;
    stays(packages, "apt-get remove -y slurm-adopt")?;
    // A comment is no line.
    node.sh(&format!("sed -i 's/.*pam_slurm_adopt/#&/' {SSHD}"))?;
    packages.run("dpkg -P slurm-adopt")?;
    ensure!(node.read(PLACE).is_err(), "the module is still there");
    node.write(SSHD, &stack, 0o644)?;
    packages.run(&format!("dpkg -i {THEIRS}"))
}

/// Runs a removal that must be refused with the reason and leave all as it is.
fn stays(packages: &Packages, removal: &str) -> Result<()> {
    let told = packages.try_run(removal)?;
    ensure!(!told.success(), "not refused: {told}");
    let text = format!("{}{}", told.stdout, told.stderr);
    for part in [SSHD, "slurm-adopt undo"] {
        ensure!(text.contains(part), "no {part}: {told}");
    }
    ensure!(packages.is_installed()?, "after {removal}: not installed");
    ensure!(packages.served()? == packages.ours, "after {removal}");
    Ok(())
}

/// Every file below a directory, with its type, permissions, owner and content.
fn content(packages: &Packages, dir: &str) -> Result<String> {
    packages.node().sh(&format!(
        "find {dir} -xdev -printf '%p %y %m %U:%G %l\n' | sort; \
         find {dir} -xdev -type f -path '*slurm*' -exec sha256sum {{}} + | sort; \
         find /etc -xdev -type f -exec sha256sum {{}} + | sort"
    ))
}

const SSHD: &str = "/etc/pam.d/sshd";
