//! The session phase: in the job's namespaces with its limits, whether or not the account phase was there.

use anyhow::{Context, Result, ensure};
use lab::Cluster;
use tests::{OURS, job_of_cgroup};

use crate::namespaces::SHOW;
use crate::place::{Place, STRICT, Test, inside, ssh, submit, use_lines, wait_for, wait_for_file};

/// At each place whose jobs have namespaces of their own.
pub const TESTS: &[(&str, Test)] = &[("a session line keeps the login there", keeps)];

/// Where they have none.
pub const TESTS_WITHOUT: &[(&str, Test)] = &[
    ("a session line keeps the login there", keeps),
    ("limits=job gives the job's limits", limits),
    ("limits=job without a batch step", limits_of_an_allocation),
];

fn account() -> String {
    format!("account required {OURS} {STRICT}")
}

fn session(options: &str) -> String {
    format!("session required {OURS} {STRICT} {options}")
}

fn keeps(_: &Place, cluster: &Cluster) -> Result<()> {
    let node = inside(cluster);
    node.sh("rm -f /home/alice/show")?;
    let script = format!(
        "({SHOW}) > /home/alice/.show && mv /home/alice/.show /home/alice/show; sleep 100000"
    );
    let job = submit(cluster, &script)?;
    let of_job = wait_for_file(cluster, "/home/alice/show")?;
    let (account, session) = (account(), session(""));
    for (lines, said) in [
        (&[&*account, &*session][..], "it is there already"),
        (&[&*session], "taken there from"),
        // As where common-session has it too.
        (&[&*session, &*session], "it is there already"),
    ] {
        use_lines(cluster, lines)?;
        let mark = node.syslog_mark()?;
        let login = ssh(cluster, SHOW).output()?;
        ensure!(
            login.stdout == of_job,
            "{lines:?}: not the job's, which are\n{of_job}{login}"
        );
        let cgroup = ssh(cluster, "cat /proc/self/cgroup").output()?.ok()?;
        ensure!(
            job_of_cgroup(node, &cgroup)? == Some(job),
            "{lines:?}: not in job {job}: {cgroup}"
        );
        let env = ssh(cluster, "echo $SLURM_JOB_ID").output()?.ok()?;
        ensure!(env.trim() == job.to_string(), "{lines:?}: {env}");
        wait_for("the line of the session", || {
            let log = node.syslog_since(mark)?;
            let adopted = format!("decision=adopted job={job}");
            let mut lines = log.lines();
            Ok(lines.any(|it| {
                it.contains("(sshd:session)") && it.contains(&adopted) && it.contains(said)
            }))
        })
        .with_context(|| node.syslog_since(mark).unwrap_or_default())?;
    }
    Ok(())
}

const LIMITS: &str = "for x in n l s u c; do ulimit -S$x; ulimit -H$x; done";

fn limits(_: &Place, cluster: &Cluster) -> Result<()> {
    let node = inside(cluster);
    let script =
        format!("(exec bash -c '{LIMITS}') > .limits; mv .limits limits; exec sleep 100000");
    let argv = [
        "prlimit",
        "--nofile=777:888",
        "--memlock=65536:131072",
        "--stack=4194304",
        "--core=0:4096",
        "sbatch",
        "--parsable",
        "--nodelist=node2",
        "-o",
        "/dev/null",
        "--wrap",
        &script,
    ];
    node.sh("rm -f /home/alice/limits")?;
    let job = cluster.node(1).run_as("alice", &argv)?.ok()?;
    cluster.wait_running(job.trim().parse().with_context(|| job.clone())?)?;
    let of_job = wait_for_file(cluster, "/home/alice/limits")?;
    ensure!(of_job.starts_with("777\n"), "of the job: {of_job}");
    let (sshds, jobs) = (session(""), session("limits=job"));
    use_lines(cluster, &[&account(), &sshds])?;
    let without = ssh(cluster, LIMITS).output()?.ok()?;
    ensure!(without != of_job, "there is nothing to take over: {of_job}");
    for lines in [&[&*account(), &*jobs][..], &[&*jobs]] {
        use_lines(cluster, lines)?;
        let mark = node.syslog_mark()?;
        let login = ssh(cluster, LIMITS).output()?.ok()?;
        ensure!(
            login == of_job,
            "{lines:?}: {login}, the job's are {of_job}, without {without}\n{}",
            node.syslog_since(mark)?
        );
    }
    Ok(())
}

/// What slurmd gives to the steps that it starts.
fn limits_of_an_allocation(_: &Place, cluster: &Cluster) -> Result<()> {
    let node = inside(cluster);
    let argv = ["salloc", "--no-shell", "--nodelist=node2"];
    cluster.node(1).run_as("alice", &argv)?.ok()?;
    let jobs = cluster.node(1).run(&["squeue", "-h", "-o", "%i"])?.ok()?;
    let job: u32 = jobs.trim().parse().with_context(|| jobs.clone())?;
    let stepd = node.pid_of_stepd(job)?;
    let of_stepd = node.read_text(&format!("/proc/{stepd}/limits"))?;
    use_lines(cluster, &[&account(), &session("limits=job")])?;
    let login = ssh(cluster, "cat /proc/self/limits").output()?.ok()?;
    for name in [
        "Max stack size",
        "Max core file size",
        "Max processes",
        "Max open files",
        "Max locked memory",
    ] {
        let line = |text: &str| {
            text.lines()
                .find(|it| it.starts_with(name))
                .map(str::to_owned)
        };
        let (ours, theirs) = (line(&login), line(&of_stepd));
        ensure!(
            ours.is_some() && ours == theirs,
            "{ours:?}, slurmstepd's {theirs:?}"
        );
    }
    Ok(())
}
