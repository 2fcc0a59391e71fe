//! The Ansible role on a node, from nothing to right logins and back.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use lab::{Node, Output, Status, Suite, roots};
use tests::job_of_cgroup;

use crate::life::{ETC, SSHD};
use crate::node::{OURS, Packages, VERSION};

/// On a node of its own, which is lent Ansible.
pub fn role(suite: Suite) -> Result<()> {
    let packages = Packages::start(suite)?;
    let node = packages.node();
    lend(node, suite)?;
    node.sh(&format!("mkdir /srv/packages; cp {OURS} {}", package()))?;
    let stock = roots::ensure(suite)?.join("etc/pam.d/sshd");
    let stock = std::fs::read(&stock).with_context(|| format!("read {}", stock.display()))?;
    node.write(SSHD, &stock, 0o644)?;
    comes_and_goes(&packages)?;
    // An admin's own file of options, not readable by everybody.
    node.write(OPTIONS, "timeout = 4\nlog_level = verbose\n", 0o600)?;
    let before = node.sh(ETC)?;
    play(node, "present", &[])?.ok()?;
    play(node, "absent", &[])?.ok()?;
    ensure!(node.sh(ETC)? == before, "/etc is not as before");
    rolls_back(&packages)?;
    node.remove(OPTIONS)?;
    rolls_back(&packages)
}

/// In check mode, for real, again, and away.
fn comes_and_goes(packages: &Packages) -> Result<()> {
    let node = packages.node();
    let before = node.sh(ETC)?;
    let dry = play(node, "present", &["--check"])?.ok()?;
    ensure!(dry.contains("failed=0"), "{dry}");
    ensure!(!packages.is_installed()?, "installed in check mode");
    ensure!(node.sh(ETC)? == before, "/etc changed in check mode");

    let first = play(node, "present", &[])?.ok()?;
    ensure!(!first.contains("changed=0"), "{first}");
    let job = packages.cluster.submit("alice", &[])?;
    let login = node.ssh("alice", "node1", &["cat", "/proc/self/cgroup"])?;
    let at = job_of_cgroup(node, &login.ok()?)?;
    ensure!(at == Some(job), "in {at:?}, not in job {job}");
    let denied = node.ssh("bob", "node1", &["true"])?;
    ensure!(denied.stderr.contains("No job of bob"), "{denied}");
    packages.cluster.cancel_all()?;

    for more in [&[][..], &["--check"]] {
        let again = play(node, "present", more)?.ok()?;
        ensure!(again.contains("changed=0"), "{more:?} again: {again}");
    }
    play(node, "absent", &[])?.ok()?;
    ensure!(!packages.is_installed()?, "still installed");
    ensure!(node.sh(ETC)? == before, "/etc is not as before");
    let again = play(node, "absent", &[])?.ok()?;
    ensure!(again.contains("changed=0"), "absent again: {again}");
    node.sh("! ls -d /var/lib/slurm-adopt /var/tmp/slurm-adopt* 2>/dev/null | grep .")
        .map(drop)
}

/// slurm.conf has what check calls a failure and setup does not change.
fn rolls_back(packages: &Packages) -> Result<()> {
    let node = packages.node();
    let slurm_conf = node.read(SLURM_CONF)?;
    node.sh(&format!("sed -i /^PrologFlags=/d {SLURM_CONF}"))?;
    let before = node.sh(ETC)?;
    let failed = play(node, "present", &[])?;
    ensure!(failed.status == Status::Exited(2), "{failed}");
    ensure!(failed.stdout.contains("taken back"), "{failed}");
    ensure!(node.sh(ETC)? == before, "/etc is not as before: {failed}");
    ensure!(packages.is_installed()?, "the package is gone");
    packages.run("dpkg -P slurm-adopt")?;
    node.write(SLURM_CONF, slurm_conf, 0o644)
}

/// Runs the role on the node.
fn play(node: &Node, state: &str, more: &[&str]) -> Result<Output> {
    let variables = serde_json::json!({
        "slurm_adopt_state": state,
        "slurm_adopt_package": package(),
        "slurm_adopt_setup": ["--strict"],
        "slurm_adopt_options": { "message_no_jobs": "No job of {user} on {host}", "disable_x11": true },
    });
    let variables = variables.to_string();
    let argv = [
        "ansible-playbook",
        "-i",
        "localhost,",
        "/srv/play.yml",
        "-e",
        &variables,
    ];
    let command = node.command(&[&argv, more].concat());
    let command = command.env("LC_ALL", "C.UTF-8").env("HOME", "/root");
    command
        .time_limit(std::time::Duration::from_secs(300))
        .output()
}

/// Puts the files of Ansible and Python, of the same release of Debian, and the role on the node.
fn lend(node: &Node, suite: Suite) -> Result<()> {
    let from = roots::build("ansible", suite, &["ansible-core", "python3-apt"])?;
    let to = format!("/proc/{}/root", node.host_pid());
    let role = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../packaging/ansible"));
    for (from, into) in [(from.join("usr/."), "usr"), (role.join("."), "srv")] {
        // What is there stays.
        let mut copy = Command::new("cp");
        copy.args(["-a", "--no-clobber"]).arg(&from);
        let copied = copy.arg(format!("{to}/{into}")).status()?;
        ensure!(copied.success(), "cannot copy {}", from.display());
    }
    node.write("/srv/play.yml", PLAY, 0o644)
}

/// The package, where the one who runs Ansible has it.
fn package() -> String {
    format!("/srv/packages/slurm-adopt_{VERSION}_amd64.deb")
}

const SLURM_CONF: &str = "/etc/slurm/slurm.conf";
const OPTIONS: &str = "/etc/security/slurm_adopt.conf";
const PLAY: &str = "- hosts: all
  connection: local
  vars:
    ansible_python_interpreter: /usr/bin/python3
  roles:
    - slurm_adopt
";
