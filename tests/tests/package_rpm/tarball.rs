//! The tarball and its script.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use lab::{Output, Status};
use tests::Watch;

use crate::node::{MODULE, SSHD, Site};
use crate::rpms;

/// Over SchedMD's module and without it, while a user logs in; afterwards all is as it was.
pub fn comes_and_goes(site: &Site) -> Result<()> {
    let node = site.node();
    unpack(site)?;
    node.write(MODULE, &site.modules.theirs, 0o755)?;
    let before = content(site)?;
    site.cluster.submit("alice", &[])?;
    let watch = Watch::begin(site.node(), &[MODULE])?;
    watch.wait()?;
    for _ in 0..2 {
        script(site, "")?.ok()?;
        ensure!(site.served()? == site.modules.ours, "not ours");
        watch.wait()?;
    }
    let told = node.run(&["/usr/local/sbin/slurm-adopt", "explain", "alice"])?;
    ensure!(told.status == Status::Exited(0), "{told}");
    script(site, "--uninstall")?.ok()?;
    watch.wait()?;
    watch
        .end()?
        .check(&[&site.modules.ours, &site.modules.theirs])?;
    let after = content(site)?;
    let (before, after): (BTreeSet<&str>, BTreeSet<&str>) =
        (before.lines().collect(), after.lines().collect());
    let changed: Vec<_> = before.symmetric_difference(&after).collect();
    ensure!(changed.is_empty(), "not as before: {changed:#?}");
    node.remove(MODULE)?;
    node.sh("rm -r /root/tarball").map(drop)
}

/// It finds Debian's directory in a tree of its own, and refuses what would lock people out.
pub fn refuses(site: &Site) -> Result<()> {
    let node = site.node();
    unpack(site)?;
    let stack = node.read(SSHD)?;
    script(site, "")?.ok()?;
    ensure!(node.read(SSHD)? == stack, "a stack was changed");
    let told = script(site, "--uninstall")?;
    ensure!(told.status == Status::Exited(1), "{told}");
    ensure!(
        told.stderr.contains(SSHD) && told.stderr.contains("slurm-adopt undo"),
        "{told}"
    );
    ensure!(site.served()? == site.modules.ours, "the module is gone");
    node.write(SSHD, "account required pam_permit.so\n", 0o644)?;
    script(site, "--uninstall")?.ok()?;
    site.restore_stack()?;
    // Another system's tree, with Debian's directory; its stacks count, and not the node's.
    let dir = "/root/tree/usr/lib/x86_64-linux-gnu/security";
    node.sh(&format!("mkdir -p {dir}; touch {dir}/pam_unix.so"))?;
    script(site, "--destdir /root/tree --prefix /usr")?.ok()?;
    node.sh(&format!(
        "cmp {dir}/pam_slurm_adopt.so /root/tarball/*/pam_slurm_adopt.so"
    ))?;
    node.sh("test -x /root/tree/usr/sbin/slurm-adopt")?;
    script(site, "--uninstall --destdir /root/tree --prefix /usr")?.ok()?;
    let left = node.sh("cd /root/tree; find . -type f")?;
    ensure!(
        left == "./usr/lib/x86_64-linux-gnu/security/pam_unix.so\n",
        "{left}"
    );
    // A package has its own way.
    site.rpm(&["-i"], &[&site.rpms.ours])?;
    let told = script(site, "")?;
    ensure!(told.stderr.contains("as a package"), "{told}");
    node.write(SSHD, "account required pam_permit.so\n", 0o644)?;
    site.rpm(&["-e", "slurm-adopt"], &[])?;
    site.restore_stack()?;
    node.sh("rm -r /root/tarball /root/tree").map(drop)
}

fn unpack(site: &Site) -> Result<()> {
    let node = site.node();
    let tarball = rpms::package("slurm-adopt", "-x86_64.tar.gz")?;
    node.copy(&tarball, "/root/slurm-adopt.tar.gz")?;
    node.sh("mkdir /root/tarball && tar -xzf /root/slurm-adopt.tar.gz -C /root/tarball")
        .context("unpack the tarball")
        .map(drop)
}

fn script(site: &Site, arguments: &str) -> Result<Output> {
    let script = format!("exec /root/tarball/*/install.sh {arguments}");
    // Debian's directory of modules is there as well, and comes first.
    let script = match arguments.contains("--destdir") {
        true => script,
        false => format!("{script} --moduledir=/usr/lib64/security"),
    };
    site.node().run(&["/bin/sh", "-c", &script])
}

/// All that the script may change: names, modes and contents.
fn content(site: &Site) -> Result<String> {
    site.node().sh(
        "find /usr /etc -xdev -printf '%M %p %l\\n'; sha256sum /etc/pam.d/* /usr/lib64/security/*",
    )
}
