//! The commands of the pages for admins as they stand there.

use anyhow::{Result, ensure};
use tests::{dist, page};

use crate::node::{RPM, SSHD, Site, on_node};

/// On a server with the tree of an image, then on a node.
pub fn each(site: &Site) -> Result<()> {
    let node = site.node();
    let rpm = format!("#!/bin/sh\nexec {} \"$@\"\n", RPM.join(" "));
    node.write("/usr/local/bin/rpm", rpm, 0o755)?;
    image(site)?;
    let heading = "RHEL and its kin, Amazon Linux, openSUSE";
    let install = page::commands("docs/install.md", heading)?;
    // 2: the node has no distribution's rpm of Slurm, and more of what check looks at.
    page::run(node, "/root", &install, &[&[0], &[0, 1, 2]])?;
    ensure!(site.served()? == site.modules.ours, "not ours");
    node.write(SSHD, "account required pam_permit.so\n", 0o644)?;
    site.rpm(&["-e", "slurm-adopt"], &[])?;
    site.restore_stack()?;
    node.remove("/usr/local/bin/rpm")
}

/// The tree is the node's own as it is now, and changes beside it.
fn image(site: &Site) -> Result<()> {
    const SERVERS: &str = "/usr/local/sbin/slurm-adopt";
    let node = site.node();
    ensure!(
        on_node(&site.rpms.ours).starts_with("/root/"),
        "another directory"
    );
    node.sh(
        "mkdir /image /run/image; mount -t tmpfs image /run/image; mkdir /run/image/upper /run/image/work
         mount -t overlay image -o lowerdir=/,upperdir=/run/image/upper,workdir=/run/image/work /image",
    )?;
    node.copy(&dist("slurm-adopt")?, SERVERS)?;
    let commands = page::commands("docs/images.md", "Warewulf, OpenHPC")?;
    let commands: Vec<String> = commands
        .iter()
        .map(|it| it.replace(" DIR ", " /image ").replace(" DIR", " /image"))
        .collect();
    let before = node.read(SSHD)?;
    page::run(node, "/root", &commands, &[&[0], &[0, 1], &[0, 1]])?;
    let stack = node.read_text(&format!("/image{SSHD}"))?;
    ensure!(stack.contains("session"), "no session line: {stack}");
    ensure!(node.read(SSHD)? == before, "the server's stack changed");
    node.remove(SERVERS)?;
    node.sh("umount /image /run/image; rmdir /image /run/image")
        .map(drop)
}
