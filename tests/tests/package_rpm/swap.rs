//! The swap from SchedMD's package to ours and back, while a user logs in all the time.

use std::path::Path;

use anyhow::{Result, ensure};
use tests::Watch;

use crate::node::{MODULE, Site};

/// Arguments of rpm, and the module that serves logins afterwards.
type Step<'a> = (&'a [&'a str], &'a [&'a Path], &'a [u8]);

/// Theirs is there, ours comes, each is upgraded, theirs goes and comes again, ours goes.
pub fn back_and_forth(site: &Site) -> Result<()> {
    let (rpms, modules) = (&site.rpms, &site.modules);
    site.rpm(&["-i"], &[&rpms.theirs])?;
    let steps: [Step<'_>; 9] = [
        (&["-i"], &[&rpms.ours], &modules.ours),
        (&["-U"], &[&rpms.theirs_newer], &modules.ours),
        (&["-e", "slurm-adopt"], &[], &modules.theirs_newer),
        (&["-i"], &[&rpms.ours], &modules.ours),
        (&["-e", "slurm-pam_slurm"], &[], &modules.ours),
        (&["-U"], &[&rpms.newer], &modules.newer),
        (&["-i"], &[&rpms.theirs], &modules.newer),
        (
            &["-U", "--oldpackage"],
            &[&rpms.ours, &rpms.theirs_newer],
            &modules.ours,
        ),
        (&["-e", "slurm-adopt"], &[], &modules.theirs_newer),
    ];
    while_a_user_logs_in(site, &steps)?;
    // What is put back is as it came.
    site.rpm(&["-V", "slurm-pam_slurm"], &[])?;
    watch_sees_a_gap(site)?;
    ensure!(
        site.served().is_err(),
        "the node has a module that nobody owns"
    );
    Ok(())
}

/// Ours is there first, without any module of theirs.
pub fn theirs_last(site: &Site) -> Result<()> {
    let (rpms, modules) = (&site.rpms, &site.modules);
    site.rpm(&["-i"], &[&rpms.ours])?;
    site.node().run(&["slurm-adopt", "--version"])?.ok()?;
    let steps: [Step<'_>; 3] = [
        (&["-i"], &[&rpms.theirs], &modules.ours),
        (&["-i", "--force"], &[&rpms.theirs], &modules.ours),
        (&["-e", "slurm-adopt"], &[], &modules.theirs),
    ];
    while_a_user_logs_in(site, &steps)?;
    // Both packages in one transaction.
    site.rpm(&["-e", "slurm-pam_slurm"], &[])?;
    site.rpm(&["-i"], &[&rpms.ours, &rpms.theirs])?;
    ensure!(site.served()? == modules.ours, "both at once");
    let owners = site.rpm(&["-qf", MODULE], &[])?;
    for owner in ["slurm-adopt-", "slurm-pam_slurm-"] {
        ensure!(owners.contains(owner), "{owners}");
    }
    let changed = site.try_rpm(&["-V", "slurm-pam_slurm"], &[])?;
    let changed = changed.stdout;
    ensure!(
        changed.lines().all(|it| it.ends_with(MODULE)) && !changed.is_empty(),
        "rpm -V: {changed}"
    );
    // No line of the stacks may be left over for this.
    site.node()
        .write(crate::node::SSHD, "account required pam_permit.so\n", 0o644)?;
    site.rpm(&["-e", "slurm-adopt", "slurm-pam_slurm"], &[])?;
    site.restore_stack()
}

/// No package has it, as after "make install" of Slurm.
pub fn by_hand(site: &Site) -> Result<()> {
    let node = site.node();
    node.write(MODULE, &site.modules.theirs, 0o755)?;
    let before = node.sh(&format!("stat -c '%i %a %Y' {MODULE}"))?;
    site.rpm(&["-i"], &[&site.rpms.ours])?;
    site.rpm(&["-U"], &[&site.rpms.newer])?;
    ensure!(site.served()? == site.modules.newer, "not ours");
    let told = site.try_rpm(&["-e", "slurm-adopt"], &[])?;
    ensure!(!told.success(), "removed while a line names the module");
    node.write(crate::node::SSHD, "account required pam_permit.so\n", 0o644)?;
    site.rpm(&["-e", "slurm-adopt"], &[])?;
    site.restore_stack()?;
    let after = node.sh(&format!("stat -c '%i %a %Y' {MODULE}"))?;
    ensure!(after == before, "another file: {after}, was {before}");
    node.sh(&format!(
        "rm {MODULE}; ! ls /usr/lib64/security | grep slurm"
    ))
    .map(drop)
}

fn while_a_user_logs_in(site: &Site, steps: &[Step<'_>]) -> Result<()> {
    site.cluster.submit("alice", &[])?;
    let watch = Watch::begin(site.node(), &[MODULE])?;
    for (arguments, packages, module) in steps {
        watch.wait()?;
        site.rpm(arguments, packages)?;
        ensure!(
            site.served()? == *module,
            "rpm {arguments:?} {packages:?}: another module"
        );
        let kept = site.root().join("usr/lib64/security/pam_slurm.so");
        let is_there = site.rpm(&["-qa"], &[])?.contains("slurm-pam_slurm");
        ensure!(kept.exists() == is_there, "{arguments:?}: pam_slurm.so");
    }
    watch.wait()?;
    let mut seen: Vec<&[u8]> = vec![&site.modules.theirs, &site.modules.ours];
    seen.extend(steps.iter().map(|it| it.2));
    watch.end()?.check(&seen)
}

/// The same watch notices what a package that conflicts with theirs would do: one goes before the other comes.
fn watch_sees_a_gap(site: &Site) -> Result<()> {
    let watch = Watch::begin(site.node(), &[MODULE])?;
    watch.wait()?;
    site.rpm(&["-e", "slurm-pam_slurm"], &[])?;
    site.rpm(&["-i"], &[&site.rpms.theirs])?;
    site.rpm(&["-e", "slurm-pam_slurm"], &[])?;
    let seen = watch.end()?;
    ensure!(seen.missing > 0, "{} looks saw no gap", seen.looks);
    Ok(())
}
