//! README's quick start: from the package to right logins, and back.

use anyhow::{Context, Result, ensure};
use lab::Status;
use tests::job_of_cgroup;

use crate::life::{ETC, SSHD};
use crate::node::{OURS, PLACE, Packages};

/// The commands of the quick start are run as README has them, on sshd's own stack as the distribution ships it.
pub fn quick_start(packages: &Packages) -> Result<()> {
    let node = packages.node();
    let ours = node.read(SSHD)?;
    let suite = packages.cluster.suite();
    let stock = lab::roots::ensure(suite)?.join("etc/pam.d/sshd");
    let stock = std::fs::read(&stock).with_context(|| format!("read {}", stock.display()))?;
    node.write(SSHD, stock, 0o644)?;
    let before = node.sh(ETC)?;
    let done = start_and_go_back(packages);
    ensure!(
        done.is_err() || node.sh(ETC)? == before,
        "/etc is not as before"
    );
    node.write(SSHD, ours, 0o644)?;
    done
}

fn start_and_go_back(packages: &Packages) -> Result<()> {
    let node = packages.node();
    let [install, setup, check, explain] = commands()?;
    // README names the package in the current directory.
    let file = concat!("./slurm-adopt_", env!("CARGO_PKG_VERSION"), "_amd64.deb");
    ensure!(install.ends_with(file), "README: {install}");
    packages.run(&format!("{}{OURS}", install.trim_end_matches(file)))?;
    let job = packages.cluster.submit("alice", &[])?;
    for (command, answers) in [
        (format!("{setup} --yes"), [0, 1]),
        (check, [0, 1]),
        (explain, [0, 0]),
    ] {
        let ended = node.run(&command.split(' ').collect::<Vec<_>>())?;
        let is_good = answers.iter().any(|it| ended.status == Status::Exited(*it));
        ensure!(is_good, "{command}: {ended}");
    }
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
    packages.run("dpkg -P slurm-adopt")?;
    ensure!(packages.served()? == packages.theirs, "{PLACE} is ours");
    Ok(())
}

/// The commands of README's first block below "Install", without comments.
fn commands() -> Result<[String; 4]> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md");
    let text = std::fs::read_to_string(path).context("read README.md")?;
    let (_, install) = text.split_once("\n## Install\n").context("no Install")?;
    let block = install.split("```").nth(1).context("no commands")?;
    let lines = block
        .lines()
        .skip(1)
        .map(|it| it.split('#').next().unwrap_or_default().trim());
    let lines: Vec<String> = lines.map(str::to_owned).collect();
    lines
        .try_into()
        .map_err(|it| anyhow::anyhow!("README's quick start has {it:?}"))
}
