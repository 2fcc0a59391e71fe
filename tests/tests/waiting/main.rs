//! Which job a login gets into if several are there, or none yet (`action_unknown=`, `wait_for_job=`): on two nodes
//! whose prolog lasts as long as a file is there.

#![forbid(unsafe_code)]

mod ends;
mod who;

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lab::{Background, Cluster, Node, Status, Suite};
use tests::{CLI, Call, Matrix, Module, Shared, job_of_cgroup};

/// While it is there, the prolog goes on.
const SLOW: &str = "/run/slow";
const PROLOG: &str = "#!/bin/sh\nwhile [ -e /run/slow ]; do sleep 0.05; done\n";
const NO_JOB: &str = "Access denied by pam_slurm_adopt: you have no active jobs on this node";
const CGROUP: &[&str] = &["cat", "/proc/self/cgroup"];
const LIMIT: Duration = Duration::from_secs(30);

type Test = fn(&Cluster) -> Result<()>;

fn main() {
    let mut matrix = Matrix::new(|suite| Shared::new(suite, |suite| start(suite, "contain")));
    let long = [Suite::Bullseye, Suite::Bookworm, Suite::Trixie];
    let run = |test: Test| {
        move |_: Suite, stage: &mut Shared<Cluster>| {
            stage.run(|cluster| test(cluster), |cluster| cluster.cancel_all())
        }
    };
    let name = "action_unknown chooses among several jobs";
    let several = [(name, several as Test)];
    for (name, test) in [who::TESTS, ends::TESTS, &several].concat() {
        matrix.add_on(&[Suite::Forky], name, run(test));
        matrix.add_long(&long, name, run(test));
    }
    for (name, test) in ends::OWN_CLUSTER {
        matrix.add_on(&[Suite::Forky], name, |suite, _| test(suite));
        matrix.add_long(&[Suite::Trixie], name, |suite, _| test(suite));
    }
    matrix.run();
}

fn start(suite: Suite, flags: &str) -> Result<Cluster> {
    start_with(suite, &format!("PrologFlags={flags}\n"))
}

fn start_with(suite: Suite, lines: &str) -> Result<Cluster> {
    let conf = format!("{lines}Prolog=/etc/slurm/prolog\n");
    let cluster = tests::cluster(suite)?.nodes(2).slurm_conf(&conf);
    let cluster = cluster.copy(tests::dist("slurm-adopt")?, CLI);
    cluster.file("/etc/slurm/prolog", PROLOG, 0o755).start()
}

/// Gives sshd of node 2 a line of the module with these options.
fn with_options(cluster: &Cluster, options: &str) -> Result<()> {
    let stack = format!(
        "auth required pam_permit.so\naccount required pam_slurm_adopt.so {options}\n\
         session required pam_permit.so\n"
    );
    cluster.node(2).write("/etc/pam.d/sshd", stack, 0o644)
}

/// Starts a login from node 1 to node 2 that shows its cgroup.
fn login(cluster: &Cluster, user: &str) -> Result<Background> {
    let login = cluster.node(1).ssh_command(user, "node2", CGROUP);
    login.spawn()
}

/// Starts a login of alice's, which then waits.
fn waiting_login(cluster: &Cluster) -> Result<Background> {
    let node = cluster.node(2);
    let mark = node.syslog_mark()?;
    let login = login(cluster, "alice")?;
    logged(node, mark, "alice waits for a job to start here")?;
    Ok(login)
}

/// Checks that a login gets into that job.
fn lands_in(node: &Node, mut login: Background, job: u32) -> Result<()> {
    ensure!(login.wait(LIMIT)? == Some(Status::Exited(0)), "the login");
    let cgroup = login.stdout()?;
    ensure!(job_of_cgroup(node, &cgroup)? == Some(job), "{cgroup}");
    Ok(())
}

/// Waits until node 2 has logged that.
fn logged(node: &Node, mark: usize, text: &str) -> Result<()> {
    let has = || Ok(node.syslog_since(mark)?.contains(text));
    lab::poll::until_true(text, LIMIT, has).with_context(|| node.syslog().unwrap_or_default())
}

/// Each of the four jobs is the best in another way.
fn several(cluster: &Cluster) -> Result<()> {
    let node = cluster.node(2);
    let submit = |more: [&str; 2]| {
        let arguments = [&["--nodelist=node2"][..], &more].concat();
        cluster.submit("alice", &arguments)
    };
    let oldest = submit(["--time=20", "--cpus-per-task=1"])?;
    let longest = submit(["--time=60", "--cpus-per-task=1"])?;
    let largest = submit(["--time=10", "--cpus-per-task=2"])?;
    let newest = submit(["--time=30", "--cpus-per-task=1"])?;
    // Their environment has their ends.
    for job in [oldest, longest, largest, newest] {
        cluster.wait_script(job)?;
    }
    let knows_end = cluster.suite() >= Suite::Trixie;
    for (by, job) in [
        ("newest", newest),
        ("oldest", oldest),
        ("longest", if knows_end { longest } else { newest }),
        ("largest", largest),
    ] {
        let mark = node.syslog_mark()?;
        let outcome =
            Call::new("alice", &format!("action_unknown={by}")).make(node, Module::Ours)?;
        ensure!(
            outcome.job(node)? == Some(job),
            "{by}, not {job}: {outcome}"
        );
        let log = node.syslog_since(mark)?;
        let is_unknown = log.contains("action_unknown: the end is not known of job");
        ensure!(is_unknown == (by == "longest" && !knows_end), "{by}: {log}");
    }
    // The best one is ending: the next best takes the login.
    cluster.cancel(largest)?;
    let outcome = Call::new("alice", "action_unknown=largest").make(node, Module::Ours)?;
    ensure!(
        outcome.job(node)? == Some(newest),
        "of equal ones the newest: {outcome}"
    );
    Ok(())
}
