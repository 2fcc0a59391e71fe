//! What is done on a node, and what ssh then does.

use anyhow::{Context, Result, ensure};
use lab::{Cluster, Node, Output, Status, Suite};
use tests::{CLI, RELOAD_SSHD, job_of_cgroup};

/// A test.
pub type Test = fn(&Cluster) -> Result<()>;

const NO_JOBS: &str = "Access denied by pam_slurm_adopt: you have no active jobs on this node";
const CGROUP: &[&str] = &["cat", "/proc/self/cgroup"];
/// All of /etc: kinds, modes, owners, targets, contents and the times of files.
const ETC: &str = "find /etc -printf '%p %y %m %U:%G %l\\n' | sort
find /etc -type f -printf '%p %T@\\n' | sort
find /etc -type f -exec sha256sum {} + | sort";
/// Directory of the records.
const RECORDS: &str = "/var/lib/slurm-adopt";

/// The distribution's own PAM stack of sshd.
pub fn stack_of(suite: Suite) -> Result<String> {
    let path = lab::roots::ensure(suite)?.join("etc/pam.d/sshd");
    std::fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))
}

fn tool(node: &Node, arguments: &[&str]) -> Result<Output> {
    node.run(&[&[CLI], arguments].concat())
}

/// Runs the tool and compares its exit status.
fn ends(node: &Node, arguments: &[&str], status: i32) -> Result<Output> {
    let ended = tool(node, arguments)?;
    ensure!(
        ended.status == Status::Exited(status),
        "{arguments:?}, expected {status}: {ended}"
    );
    Ok(ended)
}

fn root_gets_in(node: &Node) -> Result<()> {
    // Root's own key, made for these tests alone.
    node.sh("[ -e /root/.ssh/id ] || { mkdir -p -m 700 /root/.ssh; \
         ssh-keygen -q -t ed25519 -N '' -f /root/.ssh/id; \
         cp /root/.ssh/id.pub /root/.ssh/authorized_keys; }")?;
    let argv = [
        "ssh",
        "-i",
        "/root/.ssh/id",
        "-o",
        "BatchMode=yes",
        "root@node1",
        "id -u",
    ];
    let uid = node.run(&argv)?.ok()?;
    ensure!(uid.trim() == "0", "{uid}");
    Ok(())
}

/// Anybody gets in, and into no job.
fn is_open(node: &Node) -> Result<()> {
    for user in ["alice", "bob"] {
        let login = node.ssh(user, "node1", CGROUP)?.ok()?;
        ensure!(job_of_cgroup(node, &login)?.is_none(), "{user}: {login}");
    }
    root_gets_in(node)
}

/// alice gets into her job, bob stays out, root gets in.
fn is_set_up(node: &Node, job: u32) -> Result<()> {
    let login = node.ssh("alice", "node1", CGROUP)?.ok()?;
    ensure!(
        job_of_cgroup(node, &login)? == Some(job),
        "not in job {job}: {login}"
    );
    let login = node.ssh("bob", "node1", CGROUP)?;
    ensure!(
        !login.success() && login.stderr.contains(NO_JOBS),
        "{login}"
    );
    root_gets_in(node)
}

pub fn there_and_back(cluster: &Cluster) -> Result<()> {
    let node = cluster.node(1);
    let job = cluster.submit("alice", &[])?;
    is_open(node)?;
    let before = node.sh(ETC)?;

    let shown = ends(node, &["setup", "--dry-run"], 0)?;
    ensure!(
        shown
            .stdout
            .contains("+account    required     pam_slurm_adopt.so"),
        "{shown}"
    );
    ensure!(node.sh(ETC)? == before, "changed by --dry-run");

    let done = ends(node, &["setup", "--yes"], 0)?;
    ensure!(
        done.stdout
            .contains("\ndone; slurm-adopt undo takes it back\n"),
        "{done}"
    );
    is_set_up(node, job)?;
    let copy = format!("{RECORDS}/1/before/etc/pam.d/sshd");
    ensure!(
        node.read_text(&copy)? == stack_of(cluster.suite())?,
        "{copy}"
    );

    let again = ends(node, &["setup", "--yes"], 0)?;
    ensure!(again.stdout.ends_with("nothing to change\n"), "{again}");
    // Others go on with their files.
    node.sh("echo 'session optional pam_echo.so' >>/etc/pam.d/sshd")?;
    let undone = ends(node, &["undo", "--yes"], 0)?;
    let kept = "/etc/pam.d/sshd: changed since by others, whose changes stay\n";
    ensure!(undone.stdout.contains(kept), "{undone}");
    is_open(node)?;

    // The file is theirs now, and has another time.
    node.write("/etc/pam.d/sshd", stack_of(cluster.suite())?, 0o644)?;
    let before = node.sh(ETC)?;
    tool(node, &["setup", "--yes"])?;
    is_set_up(node, job)?;
    let undone = ends(node, &["undo", "--yes"], 0)?;
    ensure!(
        undone.stdout.ends_with("all is as before setup\n"),
        "{undone}"
    );
    let after = node.sh(ETC)?;
    ensure!(after == before, "{before}\nis now\n{after}");
    node.sh(&format!("! test -e {RECORDS}"))?;
    is_open(node)?;
    let nothing = ends(node, &["undo", "--yes"], 0)?;
    ensure!(nothing.stdout.starts_with("nothing to undo"), "{nothing}");
    Ok(())
}

/// A module that denies root, and passes for ours: its file does not tell.
pub fn root_kept_out(cluster: &Cluster) -> Result<()> {
    let node = cluster.node(1);
    let before = node.sh(ETC)?;
    let module = lab::config::MODULE;
    node.sh(&format!(
        "cp {module} /run/kept.so; cp $(dirname {module})/pam_deny.so {module}; \
         printf /etc/security/slurm_adopt.conf >>{module}"
    ))?;
    let setup = ends(node, &["setup", "--yes"], 2);
    node.sh(&format!("cp /run/kept.so {module}"))?;
    let setup = setup?;
    let why = "error: root would not get in: a trial login ends with: ";
    ensure!(setup.stdout.contains(why), "{setup}");
    ensure!(
        setup.stdout.ends_with("everything is taken back\n"),
        "{setup}"
    );
    ensure!(node.sh(ETC)? == before, "not as before");
    node.sh(&format!("! test -e {RECORDS}"))?;
    is_open(node)
}

pub fn consent(cluster: &Cluster) -> Result<()> {
    let node = cluster.node(1);
    let before = node.sh(ETC)?;
    let refused = ends(node, &["setup"], 3)?;
    ensure!(refused.stderr.contains("pass --yes"), "{refused}");
    let user = node.run_as("alice", &[CLI, "setup", "--yes"])?;
    ensure!(user.status == Status::Exited(3), "{user}");
    let asked = |answer: &str| {
        let argv = ["script", "-qec", "slurm-adopt setup", "/dev/null"];
        node.command(&argv).stdin(answer).output()
    };
    let no = asked("n\n")?;
    ensure!(no.status == Status::Exited(2), "{no}");
    ensure!(no.stdout.contains("Make these changes? [y/N]"), "{no}");
    ensure!(node.sh(ETC)? == before, "changed without consent");
    let yes = asked("y\n")?;
    ensure!(yes.status == Status::Exited(0), "{yes}");
    ends(node, &["undo", "--yes"], 0)?;
    ensure!(node.sh(ETC)? == before, "not as before");
    Ok(())
}

/// The moments are not exact, and need not be: what holds, holds at each.
pub fn killed(cluster: &Cluster) -> Result<()> {
    let node = cluster.node(1);
    let before = node.sh(ETC)?;
    for delay in ["0.2", "0.5", "0.8", "1.1", "1.4"] {
        node.sh(&format!(
            "{CLI} setup --yes >/dev/null & pid=$!; sleep {delay}; kill -KILL $pid 2>/dev/null || :; wait"
        ))?;
        root_gets_in(node).context(delay)?;
        ends(node, &["undo", "--yes"], 0)?;
        ensure!(
            node.sh(ETC)? == before,
            "killed after {delay} s: not as before"
        );
        node.sh(&format!("! test -e {RECORDS}"))?;
    }
    is_open(node)
}

/// /run/sshd, which sshd -t wants, is there only while sshd runs: systemd starts it for the first connection.
pub fn idle_sshd(cluster: &Cluster) -> Result<()> {
    let node = cluster.node(1);
    let config = node.read("/etc/ssh/sshd_config")?;
    node.sh(
        "sed -i /^PerSourcePenalties/d /etc/ssh/sshd_config; kill $(cat /run/sshd.pid)
        while [ -e /run/sshd.pid ]; do sleep 0.1; done; mv /run/sshd /run/kept; ! /usr/sbin/sshd -t",
    )?;
    let before = node.sh(ETC)?;
    let done = ends(node, &["setup", "--yes"], 0)?;
    let judged = "\n- run /usr/sbin/sshd -G\n";
    ensure!(done.stdout.contains(judged), "{done}");
    ends(node, &["undo", "--yes"], 0)?;
    ensure!(node.sh(ETC)? == before, "not as before");
    node.write("/etc/ssh/sshd_config", config, 0o644)?;
    node.sh(
        "mv /run/kept /run/sshd; /usr/sbin/sshd; until [ -e /run/sshd.pid ]; do sleep 0.1; done",
    )?;
    is_open(node)
}

/// With sshd_config as the distribution ships it, sshd counts refused logins against the address that they come from.
pub fn stock_sshd(cluster: &Cluster) -> Result<()> {
    const CONFIG: &str = "/etc/ssh/sshd_config";
    const LINE: &str = "\n+PerSourcePenalties authfail:0\n";
    // Where systemd runs, setup reloads sshd itself.
    let node = cluster.node(1);
    let job = cluster.submit("alice", &[])?;
    let labs = node.read(CONFIG)?;
    let stock = lab::roots::ensure(cluster.suite())?.join("etc/ssh/sshd_config");
    let stock = std::fs::read(&stock).with_context(|| format!("read {}", stock.display()))?;
    node.write(CONFIG, stock, 0o644)?;
    node.sh(RELOAD_SSHD)?;
    let before = node.sh(ETC)?;
    let kept = ends(node, &["setup", "--dry-run", "--keep-penalties"], 0)?;
    ensure!(!kept.stdout.contains(LINE), "{kept}");

    let done = tool(node, &["setup", "--yes"])?;
    ensure!(done.stdout.contains(LINE), "{done}");
    // That sshd has not read its files yet.
    let mut warnings = done.stdout.lines().filter(|it| it.starts_with("warning: "));
    ensure!(warnings.all(|it| it.contains("SA308")), "{done}");
    node.sh(RELOAD_SSHD)?;
    ends(node, &["check"], 0)?;
    for _ in 0..8 {
        is_set_up(node, job)?;
    }

    ends(node, &["undo", "--yes"], 0)?;
    ensure!(node.sh(ETC)? == before, "not as before");
    node.write(CONFIG, labs, 0o644)?;
    node.sh(RELOAD_SSHD)?;
    is_open(node)
}
