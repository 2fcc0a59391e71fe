//! What an installation leaves behind, and when a removal is refused.

use anyhow::{Result, ensure};

use crate::node::{NEWER, OURS, PLACE, Packages, SCHEDMDS, THEIRS};

/// With Debian's package there.
pub fn leaves_nothing(packages: &Packages) -> Result<()> {
    come_and_go(packages)
}

/// With SchedMD's own package there.
pub fn leaves_nothing_beside_schedmds(packages: &Packages) -> Result<()> {
    packages.run("dpkg -P libpam-slurm-adopt")?;
    packages.run(&format!("dpkg -i {SCHEDMDS}"))?;
    come_and_go(packages)?;
    packages.run("dpkg -P slurm-smd-libpam-slurm-adopt")?;
    packages.run(&format!("dpkg -i {THEIRS}"))
}

/// With no other module there, and so no line that names it.
pub fn leaves_nothing_alone(packages: &Packages) -> Result<()> {
    let node = packages.node();
    let stack = node.read(SSHD)?;
    packages.run("dpkg -P libpam-slurm-adopt")?;
    node.sh(&format!("sed -i /pam_slurm_adopt/d {SSHD}"))?;
    come_and_go(packages)?;
    node.write(SSHD, stack, 0o644)?;
    packages.run(&format!("dpkg -i {THEIRS}"))
}

fn come_and_go(packages: &Packages) -> Result<()> {
    let node = packages.node();
    let (etc, usr) = (node.sh(ETC)?, node.sh(USR)?);
    packages.run(&format!("dpkg -i {OURS}"))?;
    packages.run(&format!("dpkg -i {NEWER}"))?;
    ensure!(node.sh(ETC)? == etc, "installing changes /etc");
    packages.run("dpkg -r slurm-adopt")?;
    packages.run("dpkg -P slurm-adopt")?;
    for (look, before) in [(ETC, etc), (USR, usr)] {
        let after = node.sh(look)?;
        let differs = |it: &&str| !before.contains(*it);
        let changed: Vec<_> = after.lines().filter(differs).collect();
        ensure!(after == before, "not as before: {changed:?}");
    }
    let left = "! grep -s slurm_adopt /var/lib/dpkg/diversions && ! ls -d /run/slurm-adopt /var/lib/slurm-adopt 2>/dev/null | grep .";
    node.sh(left).map(drop)
}

/// Refused without SchedMD's module, or with a session line, which that does not serve; and while there is something
/// to undo.
pub fn refused(packages: &Packages) -> Result<()> {
    let node = packages.node();
    let stack = node.read(SSHD)?;
    packages.run(&format!("dpkg -i {OURS}"))?;
    let session = "session required pam_slurm_adopt.so\n";
    node.write(SSHD, [&stack[..], session.as_bytes()].concat(), 0o644)?;
    stays(packages, "dpkg -r slurm-adopt", SSHD)?;
    node.write(SSHD, &stack, 0o644)?;
    node.sh("mkdir -p -m 700 /var/lib/slurm-adopt/1")?;
    stays(packages, "dpkg -r slurm-adopt", "is set up")?;
    node.sh("rmdir /var/lib/slurm-adopt/1")?;
    packages.run("dpkg -P libpam-slurm-adopt")?;
    stays(packages, "dpkg -P slurm-adopt", SSHD)?;
    stays(packages, "apt-get remove -y slurm-adopt", SSHD)?;
    // A comment is no line.
    node.sh(&format!("sed -i 's/.*pam_slurm_adopt/#&/' {SSHD}"))?;
    packages.run("dpkg -P slurm-adopt")?;
    ensure!(node.read(PLACE).is_err(), "the module is still there");
    node.write(SSHD, &stack, 0o644)?;
    packages.run(&format!("dpkg -i {THEIRS}"))
}

/// Runs a removal that must be refused with the reason and leave all as it is.
fn stays(packages: &Packages, removal: &str, reason: &str) -> Result<()> {
    let told = packages.try_run(removal)?;
    ensure!(!told.success(), "not refused: {told}");
    let text = format!("{}{}", told.stdout, told.stderr);
    for part in [reason, "slurm-adopt undo"] {
        ensure!(text.contains(part), "no {part}: {told}");
    }
    ensure!(packages.is_installed()?, "after {removal}: not installed");
    ensure!(packages.served()? == packages.ours, "after {removal}");
    Ok(())
}

/// sshd's PAM stack.
pub const SSHD: &str = "/etc/pam.d/sshd";
/// Every file with its type, permissions, owner, target and content.
pub const ETC: &str = "cd /etc; find . -xdev -printf '%p %y %m %U:%G %l\n' | sort; \
                   find . -xdev -type f -print0 | sort -z | xargs -0 sha256sum";
/// The same, with the content of what could be ours or SchedMD's.
const USR: &str = "cd /usr; find . -xdev -printf '%p %y %m %U:%G %l\n' | sort; \
                   find . -xdev -type f -path '*adopt*' -print0 | sort -z | xargs -0 sha256sum";
