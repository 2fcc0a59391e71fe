//! Installations and removals that fail half-way: a module stays in its place, and the next installation puts
//! everything right.

use anyhow::{Result, ensure};

use crate::node::{NEWER, OURS, Packages};

/// A package that fails, by the script that makes it from ours.
const FAILING: &[(&str, &str)] = &[
    (
        "a file of another package: abort-install, abort-upgrade",
        "mkdir -p usr/bin; echo >usr/bin/ssh",
    ),
    (
        "its preinst: abort-install, abort-upgrade",
        "printf '#!/bin/sh\\nexit 1\\n' >DEBIAN/preinst; chmod 755 DEBIAN/preinst",
    ),
    (
        "its postinst: unpacked and not configured",
        "printf '#!/bin/sh\\nexit 1\\n' >DEBIAN/postinst",
    ),
];

/// Fails in each way, as the first installation and as an upgrade.
pub fn each(packages: &Packages) -> Result<()> {
    for (what, script) in FAILING {
        let failing = packages.variant(script)?;
        first(packages, what, failing)?;
        upgrade(packages, what, failing)?;
    }
    removed_unconfigured(packages)?;
    failed_upgrade(packages)?;
    disappears(packages)
}

fn first(packages: &Packages, what: &str, failing: &str) -> Result<()> {
    fails(packages, failing)?;
    ensure!(packages.served()? == packages.theirs, "{what}");
    packages.run("dpkg -P slurm-adopt")?;
    ensure!(packages.served()? == packages.theirs, "{what}, purged");
    Ok(())
}

fn upgrade(packages: &Packages, what: &str, failing: &str) -> Result<()> {
    packages.run(&format!("dpkg -i {OURS}"))?;
    fails(packages, failing)?;
    ensure!(packages.served()? == packages.ours, "{what}, upgrade");
    packages.run(&format!("dpkg -i {OURS}"))?;
    ensure!(packages.is_installed()?, "{what}, installed again");
    packages.run("dpkg -P slurm-adopt")?;
    ensure!(packages.served()? == packages.theirs, "{what}, purged");
    Ok(())
}

fn fails(packages: &Packages, failing: &str) -> Result<()> {
    let told = packages.try_run(&format!("dpkg -i {failing}"))?;
    ensure!(!told.success(), "{told}");
    Ok(())
}

/// dpkg calls no prerm then.
fn removed_unconfigured(packages: &Packages) -> Result<()> {
    packages.run(&format!("dpkg -i {OURS}"))?;
    packages.run(&format!("dpkg --unpack {NEWER}"))?;
    ensure!(packages.served()? == packages.ours, "unpacked");
    packages.run("dpkg -P slurm-adopt")?;
    ensure!(packages.served()? == packages.theirs, "unpacked, purged");
    Ok(())
}

/// The prerm of an installed version fails, so that dpkg asks the new one's.
fn failed_upgrade(packages: &Packages) -> Result<()> {
    let script = "printf '#!/bin/sh\\n[ \"$1\" != upgrade ]\\n' >DEBIAN/prerm";
    let old = packages.variant(script)?;
    packages.run(&format!("dpkg -i {old}"))?;
    packages.run(&format!("dpkg -i {OURS}"))?;
    ensure!(packages.served()? == packages.ours, "failed-upgrade");
    packages.run("dpkg -P slurm-adopt")
}

/// Another package takes all of our files over.
fn disappears(packages: &Packages) -> Result<()> {
    packages.run(&format!("dpkg -i {OURS}"))?;
    let script = "sed -i 's/^Package: .*/Package: slurm-adopt-other\\nReplaces: slurm-adopt/' DEBIAN/control; \
                  rm DEBIAN/postinst DEBIAN/prerm DEBIAN/postrm";
    let other = packages.variant(script)?;
    packages.run(&format!("dpkg -i {other}"))?;
    ensure!(!packages.is_installed()?, "did not disappear");
    ensure!(packages.served()? == packages.ours, "disappeared");
    packages.run("dpkg -P slurm-adopt-other")?;
    packages.run(&format!("dpkg -i {OURS}"))?;
    packages.run("dpkg -P slurm-adopt")
}
