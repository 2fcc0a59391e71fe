//! What tests rely on, in every suite. Needs root.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use lab::{Cluster, Node, Status, Suite};

fn one_node(suite: Suite) -> Result<()> {
    let cluster = Cluster::new(suite).start()?;
    let node = cluster.node(1);
    let job = cluster.submit("alice", &[])?;
    let login = node.ssh(
        "alice",
        "node1",
        &["cat /proc/self/cgroup; echo $SLURM_JOB_ID"],
    )?;
    ensure!(login.stdout.contains(&node.extern_cgroup(job)?), "{login}");
    ensure!(login.stdout.ends_with(&format!("\n{job}\n")), "{login}");
    let mark = node.syslog_mark()?;
    let refused = node.ssh("bob", "node1", &["id"])?;
    ensure!(refused.status == Status::Exited(255), "{refused}");
    ensure!(
        refused.stderr.contains("Access denied by pam_slurm_adopt"),
        "{refused}"
    );
    ensure!(
        node.syslog_since(mark)?
            .contains("Access denied for user bob")
    );
    ensure!(
        !node.syslog_since(mark)?.contains("Server listening"),
        "older than the mark"
    );

    let stepd = node.pid_of_stepd(job)?;
    node.signal(stepd, "STOP")?;
    // A thread that runs on another processor notices a little later.
    lab::poll::until_true("the stepd to stop", Duration::from_secs(10), || {
        let state = node.read_text(&format!("/proc/{stepd}/stat"))?;
        Ok(state.contains(") T "))
    })?;
    node.signal(stepd, "CONT")?;
    cluster.cancel(job)?;
    ensure!(node.ssh("alice", "node1", &["id"])?.status == Status::Exited(255));
    cluster.wait_idle()?;
    cluster.stop()
}

#[test]
fn bullseye() -> Result<()> {
    one_node(Suite::Bullseye)
}

#[test]
fn bookworm() -> Result<()> {
    one_node(Suite::Bookworm)
}

#[test]
fn trixie() -> Result<()> {
    one_node(Suite::Trixie)
}

#[test]
fn forky() -> Result<()> {
    one_node(Suite::Forky)
}

#[test]
fn several_nodes_reach_each_other() -> Result<()> {
    let cluster = Cluster::new(Suite::Trixie)
        .node_names(&["cn1", "cn2", "cn3"])
        .hostname("head.example")
        .start()?;
    let job = cluster.submit("alice", &["--nodes=2", "--nodelist=cn1,cn2"])?;
    for (from, to) in [("cn1", "cn2"), ("cn3", "fd88::2"), ("cn3", "10.88.0.1")] {
        let from = cluster
            .nodes()
            .iter()
            .find(|node| node.name() == from)
            .expect("is there");
        let login = from.ssh("alice", to, &["cat", "/proc/self/cgroup"])?;
        ensure!(
            login.stdout.contains(&format!("job_{job}/step_extern")),
            "{to}: {login}"
        );
    }
    ensure!(!cluster.node(1).ssh("alice", "cn3", &["id"])?.success());
    ensure!(
        cluster
            .node(1)
            .ssh("root", "cn3", &["hostname"])?
            .ok()?
            .trim()
            == "cn3"
    );
    ensure!(cluster.node(1).run(&["hostname"])?.ok()?.trim() == "head.example");
    Ok(())
}

#[test]
fn programs_files_and_time_limits() -> Result<()> {
    let cluster = Cluster::new(Suite::Trixie)
        .file("/etc/made", "by the test", 0o640)
        .copy("/proc/self/exe", "/opt/copied")
        .pam(
            "made",
            "auth required pam_permit.so\naccount required pam_deny.so\n",
        )
        .slurm_conf("KillWait=7")
        .sshd_config("Banner /etc/made")
        .start()?;
    let node = cluster.node(1);
    has_what_the_builder_gave_it(node)?;
    files(node)?;
    a_time_limit(node)?;
    a_users_program(node)?;
    a_dropped_program(node)?;
    a_program_starts_quickly(node)?;
    node.restart_slurmd()?;
    // Who it is that answers says so at once.
    node.run(&["scontrol", "show", "slurmd"])?.ok()?;
    cluster.wait_idle()
}

fn has_what_the_builder_gave_it(node: &Node) -> Result<()> {
    ensure!(node.run(&["stat", "-c", "%a", "/etc/made"])?.ok()? == "640\n");
    ensure!(node.read("/opt/copied")? == std::fs::read("/proc/self/exe")?);
    let made = node.run(&["pamtester", "made", "alice", "acct_mgmt"])?;
    ensure!(!made.success(), "{made}");
    let conf = node.sh("scontrol show config")?;
    ensure!(conf.contains("KillWait                = 7 sec"), "{conf}");
    Ok(())
}

fn files(node: &Node) -> Result<()> {
    node.write("/opt/deep/er", [0, 1], 0o600)?;
    ensure!(node.read("/opt/deep/er")? == [0, 1]);
    node.remove("/opt/deep")?;
    ensure!(node.read("/opt/deep/er").is_err());
    Ok(())
}

fn a_time_limit(node: &Node) -> Result<()> {
    let began = Instant::now();
    let hang = node.command(&["sh", "-c", "echo before; exec sleep 1000"]);
    let hang = hang.time_limit(Duration::from_secs(2)).output()?;
    ensure!(
        hang.status == Status::TimedOut && hang.stdout == "before\n",
        "{hang}"
    );
    ensure!(began.elapsed() < Duration::from_secs(60));
    ensure!(node.processes("sleep 1000")?.is_empty());
    Ok(())
}

fn a_users_program(node: &Node) -> Result<()> {
    let asked = node.command(&["sh", "-c", "id -un; id -Gn; pwd; echo $X; cat; exit 3"]);
    let asked = asked.user("bob").env("X", "y").stdin("input").output()?;
    ensure!(asked.stdout == "bob\nbob\n/home/bob\ny\ninput", "{asked}");
    ensure!(asked.status == Status::Exited(3), "{asked}");
    ensure!(node.run(&["no-such-program"]).is_err());
    Ok(())
}

fn a_dropped_program(node: &Node) -> Result<()> {
    let background = node.command(&["sleep", "2000"]).spawn()?;
    ensure!(node.processes("sleep 2000")?.len() == 1);
    drop(background);
    lab::poll::until_true(
        "the dropped program to end",
        Duration::from_secs(30),
        || Ok(node.processes("sleep 2000")?.is_empty()),
    )
}

fn a_program_starts_quickly(node: &Node) -> Result<()> {
    let mut quickest = Duration::MAX;
    for _ in 0..20 {
        let began = Instant::now();
        node.run(&["true"])?.ok()?;
        quickest = quickest.min(began.elapsed());
    }
    ensure!(
        quickest < Duration::from_millis(30),
        "running a program takes {quickest:?}"
    );
    Ok(())
}

#[test]
fn a_hundred_jobs_run_at_once() -> Result<()> {
    let cluster = Cluster::new(Suite::Trixie).start()?;
    let jobs = (0..100)
        .map(|_| cluster.submit_only("alice", &[]))
        .collect::<Result<Vec<_>>>()?;
    for job in &jobs {
        cluster.wait_running(*job)?;
    }
    cluster.cancel_all()
}

#[test]
fn a_start_that_fails_says_why() {
    let error = Cluster::new(Suite::Trixie)
        .slurm_conf("NoSuchKey=1")
        .start()
        .expect_err("fails");
    assert!(format!("{error:#}").contains("NoSuchKey"), "{error:#}");
}
