//! The commands of the pages for admins as they stand there, on a node that comes from SchedMD's module and goes back.

use anyhow::{Context, Result, bail, ensure};
use lab::Status;
use tests::{job_of_cgroup, page};

use crate::life::{ETC, SSHD};
use crate::node::{OURS, Packages, VERSION, built};

/// Each page's commands, one page after the other.
pub fn each(packages: &Packages) -> Result<()> {
    let node = packages.node();
    let before = node.sh(ETC)?;
    packages.cluster.submit("alice", &[])?;
    node.sh(&format!(
        "mkdir {DIR}; cp {OURS} {DIR}/slurm-adopt_{VERSION}_amd64.deb"
    ))?;
    let tarball = format!("slurm-adopt-{VERSION}-x86_64.tar.gz");
    node.copy(&built(&tarball)?, &format!("{DIR}/{tarball}"))?;
    look_first(packages)?;
    by_tarball(packages)?;
    by_package(packages)?;
    no_manager(packages)?;
    on_own_stack(packages)?;
    packages.run("dpkg -P slurm-adopt")?;
    node.sh(&format!("rm -r {DIR} /root/slurm-adopt"))?;
    ensure!(node.sh(ETC)? == before, "/etc is not as before");
    Ok(())
}

/// SchedMD's module is in use, and nothing is installed.
fn look_first(packages: &Packages) -> Result<()> {
    let unpacked = page::commands("docs/migration.md", "1. See what you have")?;
    let told = page::run(packages.node(), DIR, &unpacked, &[&[0], &[0, 1, 2]])?;
    let told = &told.last().context("check")?.stdout;
    ensure!(told.contains("SchedMD"), "whose module? {told}");
    Ok(())
}

fn by_tarball(packages: &Packages) -> Result<()> {
    let install = page::commands("docs/install.md", "Other hosts: the tarball")?;
    page::run(packages.node(), DIR, &install, &[&[0], &[0]])?;
    ensure!(packages.served()? == packages.ours, "tarball: not ours");
    let script = format!("{DIR}/slurm-adopt-{VERSION}-x86_64/install.sh");
    packages.run(&format!("{script} --uninstall"))?;
    ensure!(packages.served()? == packages.theirs, "not theirs again");
    Ok(())
}

fn by_package(packages: &Packages) -> Result<()> {
    let install = page::commands("docs/install.md", "Debian and Ubuntu")?;
    page::run(packages.node(), DIR, &install, &[&[0], &[0, 1]])?;
    ensure!(packages.served()? == packages.ours, "package: not ours");
    let heading = "2. Put it in the place of SchedMD's";
    let look = page::commands("docs/migration.md", heading)?;
    page::run(packages.node(), DIR, &look, &[&[0, 1], &[0]])?;
    // What sentences and tables name.
    packages.node().sh("mkdir -p /var/lib/node_exporter")?;
    let calls = page::calls()?;
    ensure!(calls.len() > 5, "{calls:?}");
    // The commands for images have this one.
    for call in calls.into_iter().filter(|it| !it.contains(" --root ")) {
        let of_this_node = [
            ("FILE", "file"),
            ("GROUP", "alice"),
            ("ID", "SA224"),
            ("USER", "alice"),
        ];
        let argv = of_this_node.iter().fold(call, |call, (name, value)| {
            call.replace(&format!(" {name}"), &format!(" {value}"))
        });
        let more = match argv.split(' ').nth(1).unwrap_or_default() {
            "setup" if !argv.contains("--dry-run") => " --dry-run",
            // The node has no journal.
            "stats" => " --input /dev/null",
            "check" | "explain" | "help" | "setup" | "status" | "support" => "",
            _ => bail!("{argv}: say here how to run it, or show it in a block"),
        };
        page::run(packages.node(), DIR, &[argv + more], &[&[0]])?;
    }
    Ok(())
}

/// What keeps users from having a service manager. systemd does not run here.
fn no_manager(packages: &Packages) -> Result<()> {
    let node = packages.node();
    let su = node.read("/etc/pam.d/su")?;
    let close = page::commands(
        "docs/session.md",
        "pam_systemd and the user's service manager",
    )?;
    node.sh("mkdir -p /etc/systemd/system")?;
    page::run(node, DIR, &close, &[&[0], &[0]])?;
    let by_setup = node.run(&["slurm-adopt", "setup", "--dry-run", "--no-user-manager"])?;
    for file in ["user@.service.d", "user@0.service.d", "/etc/pam.d/su"] {
        ensure!(
            !by_setup.stdout.contains(file),
            "setup would change {file}: {by_setup}"
        );
    }
    let login = node
        .run(&["su", "alice", "-c", "cat /proc/self/cgroup"])?
        .ok()?;
    ensure!(job_of_cgroup(node, &login)?.is_some(), "su: {login}");
    node.sh(
        "rm -r /etc/systemd/system/user@*; rmdir -p --ignore-fail-on-non-empty /etc/systemd/system",
    )?;
    node.write("/etc/pam.d/su", su, 0o644)
}

/// On sshd's stack as the distribution ships it: the scripts for images, and the way back from a rescue system.
fn on_own_stack(packages: &Packages) -> Result<()> {
    let node = packages.node();
    let labs = node.read(SSHD)?;
    let stock = lab::roots::ensure(packages.cluster.suite())?.join("etc/pam.d/sshd");
    let stock = std::fs::read(&stock).with_context(|| format!("read {}", stock.display()))?;
    node.write(SSHD, &stock, 0o644)?;
    let cloud = page::commands("docs/images.md", "AWS ParallelCluster")?;
    page::run(node, DIR, &cloud, &[&[0], &[0], &[0]])?;
    is_closed(packages, true)?;
    packages.run("slurm-adopt undo --yes")?;
    ensure!(node.read(SSHD)? == stock, "undo left another stack");

    let container = page::commands("docs/images.md", "Slinky and other containers")?;
    page::run(node, DIR, &container, &[&[0], &[0]])?;
    is_closed(packages, true)?;
    let rescue = page::commands("docs/setup.md", "By hand, if all else fails")?;
    node.sh("mount --bind / /mnt")?;
    let rescued = page::run(node, DIR, &rescue, &[&[0], &[0], &[0]]);
    node.sh("umount /mnt")?;
    let told = rescued?;
    ensure!(told[0].stdout.lines().eq(["1"]), "setups: {}", told[0]);
    ensure!(node.read(SSHD)? == stock, "not the stack before setup");
    is_closed(packages, false)?;
    packages.run("slurm-adopt undo --yes")?;
    node.write(SSHD, labs, 0o644)
}

/// Checks whether bob, who has no job, is kept out. alice has one.
fn is_closed(packages: &Packages, expected: bool) -> Result<()> {
    let node = packages.node();
    node.ssh("alice", "node1", &["true"])?.ok()?;
    let bob = node.ssh("bob", "node1", &["true"])?;
    ensure!(
        (bob.status == Status::Exited(255)) == expected,
        "bob: {bob}"
    );
    Ok(())
}

/// Where the admin has the files.
const DIR: &str = "/root/pages";
