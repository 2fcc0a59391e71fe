//! Removals that would leave PAM's stacks without their module.

use anyhow::{Result, ensure};

use crate::node::{SSHD, Site};

/// With theirs there, its account lines stay served; without, no line does.
pub fn refused(site: &Site) -> Result<()> {
    let node = site.node();
    site.rpm(&["-i"], &[&site.rpms.ours])?;
    refuses(site, "there is no other module of that name")?;
    site.rpm(&["-i"], &[&site.rpms.theirs])?;
    node.sh(&format!(
        "echo 'session required pam_slurm_adopt.so' >>{SSHD}"
    ))?;
    refuses(site, "serves account lines alone")?;
    node.sh("mkdir -p /var/lib/slurm-adopt/1")?;
    refuses(site, "is set up with it")?;
    node.sh("rm -r /var/lib/slurm-adopt")?;
    // A comment, and what a package manager kept of an old file, keep nothing.
    node.sh(&format!(
        "cp {SSHD} {SSHD}.rpmsave; sed -i 's/^session required pam_slurm_adopt/#&/' {SSHD}"
    ))?;
    site.rpm(&["-e", "slurm-adopt"], &[])?;
    ensure!(site.served()? == site.modules.theirs, "not theirs");
    site.rpm(&["-e", "slurm-pam_slurm"], &[])?;
    node.remove(&format!("{SSHD}.rpmsave"))?;
    site.restore_stack()
}

fn refuses(site: &Site, reason: &str) -> Result<()> {
    let told = site.try_rpm(&["-e", "slurm-adopt"], &[])?;
    let errors = &told.stderr;
    ensure!(!told.success(), "removed");
    for part in [reason, "slurm-adopt undo"] {
        ensure!(errors.contains(part), "no \"{part}\" in: {errors}");
    }
    ensure!(site.served()? == site.modules.ours, "the module is gone");
    site.rpm(&["-q", "slurm-adopt"], &[]).map(drop)
}
