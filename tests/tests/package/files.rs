//! What the package brings, on the node.

use anyhow::{Result, ensure};
use lab::Status;

use crate::node::{OURS, Packages};

/// The tool finds the module, the manual is there, and dpkg finds no damage.
pub fn work(packages: &Packages) -> Result<()> {
    let node = packages.node();
    packages.run(&format!("dpkg -i {OURS}"))?;
    packages.run("dpkg --verify slurm-adopt")?;
    let told = node.run(&["slurm-adopt", "check"])?;
    ensure!(
        told.stdout.contains("module        ok"),
        "check does not find the module: {told}"
    );
    for page in [
        "man8/pam_slurm_adopt.8",
        "man8/slurm-adopt.8",
        "man5/slurm_adopt.conf.5",
    ] {
        let text = node.sh(&format!("zcat /usr/share/man/{page}.gz"))?;
        ensure!(text.starts_with(".TH"), "{page}");
    }
    node.sh("bash -n /usr/share/bash-completion/completions/slurm-adopt")?;
    // The options of the example are real ones.
    node.sh(
        "cp /usr/share/doc/slurm-adopt/examples/slurm_adopt.conf /etc/security/slurm_adopt.conf",
    )?;
    let told = node.run(&["slurm-adopt", "explain", "alice"])?;
    node.remove("/etc/security/slurm_adopt.conf")?;
    ensure!(
        told.status == Status::Exited(1) && told.stdout.contains("mode=audit: would be denied"),
        "{told}"
    );
    packages.run("dpkg -P slurm-adopt")
}

/// Off until an admin turns them on; then the account line comes first and the session line last.
pub fn profiles(packages: &Packages) -> Result<()> {
    let node = packages.node();
    let common = || node.sh("cat /etc/pam.d/common-account /etc/pam.d/common-session");
    let before = common()?;
    packages.run(&format!("dpkg -i {OURS}"))?;
    packages.run("pam-auth-update --package")?;
    ensure!(common()? == before, "on without being asked");
    packages.run("pam-auth-update --enable slurm-adopt-account slurm-adopt-session")?;
    let modules = |file: &str| -> Result<Vec<String>> {
        let lines = format!("grep -v '^#' /etc/pam.d/{file} | grep -o 'pam_[a-z_]*\\.so'");
        Ok(node.sh(&lines)?.lines().map(str::to_owned).collect())
    };
    let account = modules("common-account")?;
    ensure!(
        account.first().is_some_and(|it| it == "pam_slurm_adopt.so"),
        "{account:?}"
    );
    let session = modules("common-session")?;
    ensure!(
        session.last().is_some_and(|it| it == "pam_slurm_adopt.so"),
        "{session:?}"
    );
    let told = packages.try_run("dpkg -P slurm-adopt")?;
    ensure!(
        told.stderr.contains("/etc/pam.d/common-session"),
        "removed while the profile is on: {told}"
    );
    packages.run("pam-auth-update --disable slurm-adopt-account slurm-adopt-session")?;
    ensure!(common()? == before, "off, and not as before");
    packages.run("dpkg -P slurm-adopt")
}
