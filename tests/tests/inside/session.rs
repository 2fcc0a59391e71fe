//! The session phase: in the job's namespaces with its limits, whether or not the account phase was there.

use anyhow::{Context, Result, ensure};
use lab::Cluster;
use tests::{OURS, job_of_cgroup};

use crate::namespaces::SHOW;
use crate::place::{Place, STRICT, Test, inside, ssh, submit, use_lines, wait_for, wait_for_file};

/// At each place whose jobs have namespaces of their own.
pub const TESTS: &[(&str, Test)] = &[
    ("a session line keeps the login there", keeps),
    (
        "runtime_dir=create in the job's namespaces",
        runtime_dir_inside,
    ),
];

/// Where they have none.
pub const TESTS_WITHOUT: &[(&str, Test)] = &[
    ("a session line keeps the login there", keeps),
    ("limits=job gives the job's limits", limits),
    ("limits=job without a batch step", limits_of_an_allocation),
    ("runtime_dir=create lasts as long as sessions", runtime_dir),
    ("runtime_dir=create and the job's end", runtime_dir_and_job),
    ("runtime_dir=create follows no link", runtime_dir_elsewhere),
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
        "({SHOW}) > /home/alice/.show && mv /home/alice/.show /home/alice/show; exec sleep 100000"
    );
    let job = submit(cluster, &script)?;
    let of_job = wait_for_file(cluster, "/home/alice/show")?;
    let (account, session) = (account(), session(""));
    // It is reached, but the account phase can't know that, and has entered the namespaces itself.
    let maybe = "session [success=ignore default=1] pam_permit.so";
    for (lines, said) in [
        (&[&*account, maybe, &*session][..], "already there"),
        (&[&*account, &*session], "already there"),
        (&[&*session], "moved there from"),
        // As where common-session has it too.
        (&[&*session, &*session], "already there"),
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
    cluster.wait_running(job)?;
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

const RUNTIME_DIR: &str = "/run/user/2001";
const SHOW_DIR: &str = "echo $XDG_RUNTIME_DIR; stat -f -c %T $XDG_RUNTIME_DIR; \
                        stat -c '%a %u %g' $XDG_RUNTIME_DIR";
const GOOD_DIR: &str = "/run/user/2001\ntmpfs\n700 2001 2001\n";

fn is_there(cluster: &Cluster) -> Result<bool> {
    Ok(inside(cluster)
        .list("/run/user")?
        .contains(&"2001".to_owned()))
}

/// Nor are notes or mounts left.
fn is_gone(cluster: &Cluster) -> Result<bool> {
    let look = "ls /run/slurm-adopt/sessions; grep /run/user /proc/mounts || :";
    Ok(!is_there(cluster)? && inside(cluster).sh(look)?.is_empty())
}

fn use_runtime_dir(cluster: &Cluster) -> Result<()> {
    use_lines(cluster, &[&account(), &session("runtime_dir=create")])
}

/// A login that stays until it is ended.
fn stay(cluster: &Cluster, script: &str) -> Result<lab::Background> {
    let script = format!("{script}; echo in; exec sleep 100000");
    let login = ssh(cluster, &script).spawn()?;
    wait_for("the login", || Ok(login.stdout()?.contains("in\n")))?;
    Ok(login)
}

fn runtime_dir(_: &Place, cluster: &Cluster) -> Result<()> {
    let job = submit(cluster, "exec sleep 100000")?;
    use_runtime_dir(cluster)?;
    let first = stay(cluster, "echo kept > $XDG_RUNTIME_DIR/file")?;
    let second = ssh(cluster, &format!("{SHOW_DIR}; cat $XDG_RUNTIME_DIR/file")).output()?;
    ensure!(second.stdout == format!("{GOOD_DIR}kept\n"), "{second}");
    ensure!(is_there(cluster)?, "the first session still uses it");
    drop(first);
    cluster.cancel(job)?;
    wait_for("the end of the directory", || is_gone(cluster))?;
    // Somebody else has set it, as pam_systemd does.
    submit(cluster, "exec sleep 100000")?;
    let stack = inside(cluster).read_text("/etc/pam.d/sshd")?;
    let other = "session required pam_env.so readenv=0 conffile=/etc/other-env";
    inside(cluster).write("/etc/other-env", "XDG_RUNTIME_DIR DEFAULT=/other\n", 0o644)?;
    let (before, ours) = stack
        .trim_end()
        .rsplit_once('\n')
        .context("several lines")?;
    let stack = format!("{before}\n{other}\n{ours}\n");
    inside(cluster).write("/etc/pam.d/sshd", stack, 0o644)?;
    let login = ssh(cluster, "echo $XDG_RUNTIME_DIR").output()?;
    ensure!(login.stdout == "/other\n", "{login}");
    ensure!(!is_there(cluster)?, "made where another was there");
    Ok(())
}

/// slurmd's Epilog takes down what a killed session could not.
fn runtime_dir_and_job(_: &Place, cluster: &Cluster) -> Result<()> {
    let job = submit(cluster, "exec sleep 100000")?;
    use_runtime_dir(cluster)?;
    let mut login = stay(cluster, SHOW_DIR)?;
    ensure!(login.stdout()?.starts_with(GOOD_DIR), "{}", login.stdout()?);
    cluster.cancel(job)?;
    let end = login.wait(std::time::Duration::from_secs(30))?;
    ensure!(end.is_some(), "the login outlives its job");
    wait_for("the Epilog", || is_gone(cluster))
}

fn runtime_dir_elsewhere(_: &Place, cluster: &Cluster) -> Result<()> {
    let node = inside(cluster);
    submit(cluster, "exec sleep 100000")?;
    use_runtime_dir(cluster)?;
    node.sh(&format!(
        "mkdir -p /run/user /root/secret; ln -s /root/secret {RUNTIME_DIR}"
    ))?;
    let mark = node.syslog_mark()?;
    let login = ssh(cluster, "echo x$XDG_RUNTIME_DIR").output()?;
    let secret = node.sh("stat -c '%a %u' /root/secret; ls /root/secret");
    node.sh(&format!("rm -r {RUNTIME_DIR} /root/secret"))?;
    ensure!(login.stdout == "x\n", "{login}");
    ensure!(secret? == "755 0\n", "the link was followed");
    let log = node.syslog_since(mark)?;
    ensure!(log.contains("is not the user's alone"), "{log}");
    Ok(())
}

/// The mount is the job's then, and goes with it.
fn runtime_dir_inside(_: &Place, cluster: &Cluster) -> Result<()> {
    let node = inside(cluster);
    let job = submit(cluster, "exec sleep 100000")?;
    use_runtime_dir(cluster)?;
    let mark = node.syslog_mark()?;
    let first = stay(
        cluster,
        &format!("{SHOW_DIR}; echo kept > $XDG_RUNTIME_DIR/file"),
    )?;
    let shown = first.stdout()?;
    ensure!(
        shown.starts_with(GOOD_DIR),
        "{shown}\n{}",
        node.syslog_since(mark)?
    );
    let second = ssh(cluster, "cat $XDG_RUNTIME_DIR/file").output()?;
    ensure!(second.stdout == "kept\n", "{second}");
    let second = ssh(cluster, "cat $XDG_RUNTIME_DIR/file").output()?;
    ensure!(second.stdout == "kept\n", "after one has ended: {second}");
    drop(first);
    cluster.cancel(job)?;
    // There is no Epilog here.
    wait_for("the end of the directory", || {
        node.sh("/usr/local/bin/slurm-adopt sweep root")?;
        is_gone(cluster)
    })
}
