//! README's quick start: from the package to right logins, and back.

use anyhow::{Context, Result, ensure};
use lab::Status;
use tests::{RELOAD_SSHD, job_of_cgroup, page};

use crate::life::{ETC, SSHD};
use crate::node::{OURS, PLACE, Packages, VERSION};

/// Files of sshd that are the distribution's here, and not the lab's.
const STOCK: [&str; 2] = [SSHD, "/etc/ssh/sshd_config"];

/// The commands of the quick start are run as README has them, on sshd's own files as the distribution ships them.
pub fn quick_start(packages: &Packages) -> Result<()> {
    let node = packages.node();
    let labs = STOCK.map(|it| node.read(it));
    let root = lab::roots::ensure(packages.cluster.suite())?;
    for path in STOCK {
        let stock = root.join(path.trim_start_matches('/'));
        let stock = std::fs::read(&stock).with_context(|| format!("read {}", stock.display()))?;
        node.write(path, stock, 0o644)?;
    }
    node.sh(RELOAD_SSHD)?;
    let before = node.sh(ETC)?;
    let done = start_and_go_back(packages);
    ensure!(
        done.is_err() || node.sh(ETC)? == before,
        "/etc is not as before"
    );
    for (path, labs) in STOCK.into_iter().zip(labs) {
        node.write(path, labs?, 0o644)?;
    }
    node.sh(RELOAD_SSHD)?;
    done
}

fn start_and_go_back(packages: &Packages) -> Result<()> {
    let node = packages.node();
    let commands = page::commands("README.md", "Install")?;
    ensure!(commands.len() == 4, "README: {commands:?}");
    // README names the package in the current directory.
    node.sh(&format!("cp {OURS} /root/slurm-adopt_{VERSION}_amd64.deb"))?;
    page::run(node, "/root", &commands[..1], &[&[0]])?;
    let job = packages.cluster.submit("alice", &[])?;
    let typed = ["script", "-qec", &commands[1], "/dev/null"];
    let setup = node.command(&typed).stdin("y\n").output()?;
    let is_done = matches!(setup.status, Status::Exited(0 | 1));
    ensure!(is_done && setup.stdout.contains("[y/N]"), "{setup}");
    // Where systemd runs, setup reloads sshd itself; here it says what is to be done, and warns until then.
    let mut warnings = setup
        .stdout
        .lines()
        .filter(|it| it.starts_with("warning: "));
    ensure!(warnings.all(|it| it.contains("SA308")), "{setup}");
    let lines = setup.stdout.lines().map(str::trim);
    for reload in lines.filter(|it| it.starts_with("kill -HUP ")) {
        node.sh(&format!("{reload}; sleep 1"))?;
    }
    page::run(node, "/root", &commands[2..], &[&[0], &[0]])?;
    let login = node
        .ssh("alice", "node1", &["cat", "/proc/self/cgroup"])?
        .ok()?;
    ensure!(
        job_of_cgroup(node, &login)? == Some(job),
        "not in job {job}: {login}"
    );
    let login = node.ssh("bob", "node1", &["true"])?;
    ensure!(login.status == Status::Exited(255), "{login}");
    let told = packages.try_run("dpkg -P slurm-adopt")?;
    ensure!(
        !told.success() && told.stderr.contains("slurm-adopt undo"),
        "removed before undo: {told}"
    );
    packages.run("slurm-adopt undo --yes")?;
    packages.run("apt-get purge -y slurm-adopt")?;
    ensure!(packages.served()? == packages.theirs, "{PLACE} is ours");
    Ok(())
}
