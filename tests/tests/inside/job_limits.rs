//! `limits=job` where a job's limits are hard to get, and where they would end the login.

use anyhow::{Context, Result, ensure};
use lab::Cluster;
use tests::OURS;
use tests::session::Method;

use crate::place::{Place, STRICT, Test, inside, ssh, use_lines, wait_for, wait_for_file};

/// Where jobs have namespaces of their own.
pub const TESTS: &[(&str, Test)] = &[("limits=job gives the limits of a job in namespaces", same)];

/// Where they have none.
pub const TESTS_WITHOUT: &[(&str, Test)] = &[
    ("limits=job takes no limits of an earlier login", same),
    ("limits=job leaves sshd what it needs", low),
];

const LIMITS: &str = "for x in n l s u c; do ulimit -S$x; ulimit -H$x; done";
/// Those that a login needs some of.
const NEEDED: &str = "for x in n s u; do ulimit -S$x; ulimit -H$x; done";

fn session(options: &str) -> String {
    format!("session required {OURS} {STRICT} {options}")
}

/// Submits a user's job that lowers its limits, shows them, and stays; returns what it shows.
fn submit(
    cluster: &Cluster,
    user: &str,
    prlimit: &[&str],
    lower: &str,
    show: &str,
) -> Result<String> {
    let limits = format!("/home/{user}/limits");
    inside(cluster).remove(&limits)?;
    let script = format!(
        "(exec bash -c '{lower} {show}') > .limits; mv .limits limits; exec bash -c '{lower} exec sleep 100000'"
    );
    let sbatch = [
        "sbatch",
        "--parsable",
        "--nodelist=node2",
        "-o",
        "/dev/null",
    ];
    let argv = [prlimit, &sbatch, &["--wrap", &script]].concat();
    let job = cluster.node(1).run_as(user, &argv)?.ok()?;
    cluster.wait_running(job.trim().parse().with_context(|| job.clone())?)?;
    wait_for_file(cluster, &limits)
}

fn same(_: &Place, cluster: &Cluster) -> Result<()> {
    let node = inside(cluster);
    let account = format!("account required {OURS} {STRICT}");
    let prlimit = [
        "prlimit",
        "--nofile=777:888",
        "--memlock=65536:131072",
        "--stack=4194304",
    ];
    let of_job = submit(cluster, "alice", &prlimit, "", LIMITS)?;
    ensure!(of_job.starts_with("777\n"), "of the job: {of_job}");
    // One that is in the job too, with the limits of sshd.
    use_lines(cluster, &[&account, &session("")])?;
    let earlier = ssh(cluster, "echo in; exec sleep 100000").spawn()?;
    wait_for("the earlier login", || Ok(earlier.stdout()? == "in\n"))?;
    for lines in [
        &[&*account, &*session("limits=job")][..],
        &[&*session("limits=job")],
        // The second one begins in the job's namespaces.
        &[&*account, &*session(""), &*session("limits=job")],
    ] {
        use_lines(cluster, lines)?;
        let mark = node.syslog_mark()?;
        let login = ssh(cluster, LIMITS).output()?.ok()?;
        let log = node.syslog_since(mark)?;
        ensure!(
            login == of_job,
            "{lines:?}: {login}, the job's are {of_job}\n{log}"
        );
    }
    Ok(())
}

/// Root's sshd has these limits too, and what the user's forks.
fn low(_: &Place, cluster: &Cluster) -> Result<()> {
    let account = format!("account required {OURS} {STRICT}");
    let lower = "ulimit -u 1; ulimit -s 64; ulimit -n 4; ulimit -l 0; ulimit -c 0;";
    // The kernel counts the user's threads on all clusters of this host, and alice has many.
    let of_job = submit(cluster, "carol", &[], lower, NEEDED)?;
    ensure!(of_job == "4\n4\n64\n64\n1\n1\n", "{of_job}");
    use_lines(cluster, &[&account, &session("limits=job")])?;
    let node = inside(cluster);
    for method in [Method::PublicKey, Method::KeyboardInteractive] {
        let mark = node.syslog_mark()?;
        let login = method.client(cluster.node(1), "carol", &["ssh", "node2", NEEDED]);
        let login = login.output()?;
        ensure!(
            login.stdout == "256\n256\n1024\n1024\n64\n64\n",
            "{method}: {login}\n{}",
            node.syslog_since(mark)?
        );
    }
    Ok(())
}
