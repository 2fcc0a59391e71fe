//! What sessions have left is taken away only when nobody uses it any more.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lab::{Background, Cluster};
use tests::session::Method;
use tests::{OURS, STRACE, bring_strace, job_of_cgroup};

use crate::place::{Place, STRICT, Test, inside, ssh, submit, use_lines, wait_for};

/// Where jobs have no namespaces of their own.
pub const TESTS: &[(&str, Test)] = &[
    ("a process that kill(2) may not see still lives", forbidden),
    (
        "sweep from another pid namespace removes nothing",
        elsewhere,
    ),
    ("an Epilog that finds the lock taken does not fail", locked),
    (
        "a runtime directory outlives the session of a server",
        server,
    ),
    (
        "a runtime directory that another module names is made",
        named,
    ),
    (
        "a run directory that is not root's is replaced",
        foreign_run_dir,
    ),
    (
        "a run directory that can't be replaced is described",
        fixed_run_dir,
    ),
];

/// Where they have.
pub const TESTS_INSIDE: &[(&str, Test)] = &[
    (
        "a killed session in the job's namespaces leaves nothing",
        killed_inside,
    ),
    (
        "a server in the job's namespaces keeps its directory",
        server_inside,
    ),
];

const DIR: &str = "/run/user/2001";
const NOTES: &str = "/run/slurm-adopt/sessions";

fn use_session(cluster: &Cluster, options: &str) -> Result<()> {
    let account = format!("account required {OURS} {STRICT}");
    let session = format!("session required {OURS} {STRICT} {options}");
    use_lines(cluster, &[&account, &session])
}

/// A login that stays until it is ended, after it ran the script.
fn stay(cluster: &Cluster, script: &str) -> Result<Background> {
    let script = format!("{script}; echo in; exec sleep 100000");
    let mut login = ssh(cluster, &script).spawn()?;
    wait_for("the login", || {
        ensure!(login.is_running()?, "kept out: {}", login.stderr()?);
        Ok(login.stdout()?.contains("in\n"))
    })?;
    Ok(login)
}

/// What there is, sorted.
fn left(cluster: &Cluster) -> Result<Vec<String>> {
    let node = inside(cluster);
    let mut names = node.list("/run/user")?;
    names.extend(node.list(NOTES)?);
    names.sort();
    Ok(names)
}

fn is_kept(cluster: &Cluster) -> Result<bool> {
    Ok(inside(cluster)
        .list("/run/user")?
        .contains(&"2001".to_owned()))
}

fn tidy(cluster: &Cluster) -> Result<()> {
    inside(cluster)
        .sh("/usr/local/bin/slurm-adopt sweep root")
        .map(drop)
}

/// SELinux answers EACCES where another rule answers EPERM.
fn forbidden(_: &Place, cluster: &Cluster) -> Result<()> {
    let node = inside(cluster);
    bring_strace(node)?;
    submit(cluster, "exec sleep 100000")?;
    use_session(cluster, "runtime_dir=create")?;
    let _login = stay(cluster, "true")?;
    let before = left(cluster)?;
    ensure!(before.len() == 3, "a directory and two notes: {before:?}");
    for error in ["EACCES", "EPERM"] {
        let trace = node.sh(&format!(
            "{STRACE} -f -e trace=kill -e inject=kill:error={error} /usr/local/bin/slurm-adopt sweep root 2>&1"
        ))?;
        ensure!(trace.contains(error), "kill(2) was not refused: {trace}");
        let after = left(cluster)?;
        ensure!(after == before, "{error}: {before:?} became {after:?}");
    }
    Ok(())
}

/// slurmd takes a node out of service whose Epilog fails.
fn locked(_: &Place, cluster: &Cluster) -> Result<()> {
    let node = inside(cluster);
    tidy(cluster)?;
    let argv = [
        "flock",
        NOTES,
        "/usr/local/bin/slurm-adopt",
        "sweep",
        "root",
    ];
    let output = node.run(&argv)?;
    ensure!(output.success(), "{output}");
    let told = "another process has the lock; no runtime directory is removed";
    ensure!(output.stderr.contains(told), "{output}");
    Ok(())
}

fn elsewhere(_: &Place, cluster: &Cluster) -> Result<()> {
    let node = inside(cluster);
    submit(cluster, "exec sleep 100000")?;
    use_session(cluster, "runtime_dir=create")?;
    let login = stay(cluster, "true")?;
    let before = left(cluster)?;
    ensure!(before.len() == 3, "a directory and two notes: {before:?}");
    for unshare in [
        "unshare --pid --fork --kill-child",
        "unshare --pid --fork --kill-child --mount-proc",
    ] {
        node.sh(&format!(
            "{unshare} sh -c '/usr/local/bin/slurm-adopt sweep root; :'"
        ))?;
        let after = left(cluster)?;
        ensure!(after == before, "{unshare}: {before:?} became {after:?}");
    }
    // Nobody uses it, but that can't be seen from there.
    drop(login);
    node.sh("pkill -KILL -u alice; :")?;
    wait_for("the end of the directory", || {
        tidy(cluster)?;
        Ok(left(cluster)?.is_empty())
    })
}

const SERVER: &str = "cd /; setsid nohup perl -MIO::Socket::UNIX -e \
    'IO::Socket::UNIX->new(Local => \"$ENV{XDG_RUNTIME_DIR}/socket\", Listen => 1) or die; sleep 100000' \
    >/dev/null 2>&1 & until test -S $XDG_RUNTIME_DIR/socket; do sleep 0.05; done";
const LOOK: &str = "ls $XDG_RUNTIME_DIR";

fn server(_: &Place, cluster: &Cluster) -> Result<()> {
    let node = inside(cluster);
    let job = submit(cluster, "exec sleep 100000")?;
    use_session(cluster, "runtime_dir=create")?;
    ssh(cluster, SERVER).output()?.ok()?;
    wait_for("the end of the session", || {
        Ok(!node.list(NOTES)?.iter().any(|it| it.contains('.')))
    })?;
    for by in ["true", "/usr/local/bin/slurm-adopt sweep root"] {
        node.sh(by)?;
        let login = ssh(cluster, LOOK).output()?;
        ensure!(login.stdout == "socket\n", "after {by}: {login}");
    }
    cluster.cancel(job)?;
    wait_for("the Epilog", || Ok(left(cluster)?.is_empty()))
        .with_context(|| format!("left: {:?}", left(cluster)))
}

/// pam_env and its like name a directory that nobody makes.
fn named(_: &Place, cluster: &Cluster) -> Result<()> {
    let node = inside(cluster);
    submit(cluster, "exec sleep 100000")?;
    let account = format!("account required {OURS} {STRICT}");
    let session = format!("session required {OURS} {STRICT} runtime_dir=create");
    let other = "session required pam_env.so readenv=0 conffile=/etc/other-env";
    use_lines(cluster, &[&account, other, &session])?;
    for (name, shown) in [
        (DIR, "/run/user/2001 700 2001\n"),
        ("/run/user/2001/", "/run/user/2001 700 2001\n"),
        ("/run/user/2002", "/run/user/2002\n"),
        ("/other", "/other\n"),
    ] {
        node.write(
            "/etc/other-env",
            format!("XDG_RUNTIME_DIR DEFAULT={name}\n"),
            0o644,
        )?;
        let look = "echo $XDG_RUNTIME_DIR $(stat -c '%a %u' $XDG_RUNTIME_DIR)";
        // Not only the first one finds it.
        for _ in 0..2 {
            let login = ssh(cluster, look).output()?;
            ensure!(login.stdout == shown, "{name}: {login}");
        }
        let is_ours = shown.contains("700");
        ensure!(is_kept(cluster)? == is_ours, "{name}: {:?}", left(cluster)?);
        node.sh(&format!("umount {DIR} || :; rm -rf {DIR} {NOTES}"))?;
    }
    Ok(())
}

fn log_in_with_password(cluster: &Cluster) -> Result<lab::Output> {
    let node = cluster.node(1);
    let method = Method::KeyboardInteractive;
    method
        .client(node, "alice", &["ssh", "node2", "cat /proc/self/cgroup"])
        .output()
}

/// Bad ones are replaced, and what was in them counts for nothing.
fn foreign_run_dir(_: &Place, cluster: &Cluster) -> Result<()> {
    let node = inside(cluster);
    let job = submit(cluster, "exec sleep 100000")?;
    use_session(cluster, "")?;
    for spoil in [
        "chown -R alice /run/slurm-adopt",
        "chmod 777 /run/slurm-adopt",
        "chmod 755 /run/slurm-adopt",
        "chown alice /run/slurm-adopt/sessions",
        "rm -r /run/slurm-adopt; ln -s /tmp /run/slurm-adopt",
        "rm -r /run/slurm-adopt; touch /run/slurm-adopt",
    ] {
        node.sh(&format!("mkdir -p -m 700 {NOTES}; {spoil}"))?;
        let mark = node.syslog_mark()?;
        let login = log_in_with_password(cluster)?;
        let log = node.syslog_since(mark)?;
        let cgroup = login
            .clone()
            .ok()
            .with_context(|| format!("{spoil}: {log}"))?;
        ensure!(
            job_of_cgroup(node, &cgroup)? == Some(job),
            "{spoil}: {login}"
        );
        let found = node.sh(&format!("stat -c '%F %a %u' /run/slurm-adopt {NOTES}"))?;
        ensure!(
            found == "directory 700 0\ndirectory 700 0\n",
            "{spoil}: {found}"
        );
        node.sh("rm -rf /run/slurm-adopt*")?;
    }
    Ok(())
}

fn fixed_run_dir(_: &Place, cluster: &Cluster) -> Result<()> {
    let node = inside(cluster);
    submit(cluster, "exec sleep 100000")?;
    use_session(cluster, "")?;
    // A mount point can't be renamed.
    node.sh(
        "mkdir -p /run/slurm-adopt; mount -t tmpfs -o mode=0750,uid=2001 tmpfs /run/slurm-adopt",
    )?;
    let mark = node.syslog_mark()?;
    let login = log_in_with_password(cluster);
    node.sh("umount /run/slurm-adopt; rm -r /run/slurm-adopt")?;
    let (login, log) = (login?, node.syslog_since(mark)?);
    for word in [
        "/run/slurm-adopt",
        "owner uid 2001",
        "mode 0750",
        "run umount /run/slurm-adopt ",
    ] {
        ensure!(log.contains(word), "no {word:?} in {log}{login}");
    }
    Ok(())
}

fn killed_inside(_: &Place, cluster: &Cluster) -> Result<()> {
    let job = submit(cluster, "exec sleep 100000")?;
    use_session(cluster, "runtime_dir=create")?;
    let mut login = stay(cluster, "true")?;
    cluster.cancel(job)?;
    login
        .wait(Duration::from_secs(30))?
        .context("the login outlives its job")?;
    wait_for("tidy", || {
        tidy(cluster)?;
        Ok(left(cluster)?.is_empty())
    })
    .with_context(|| format!("left: {:?}", left(cluster)))
}

fn server_inside(_: &Place, cluster: &Cluster) -> Result<()> {
    let job = submit(cluster, "exec sleep 100000")?;
    use_session(cluster, "runtime_dir=create")?;
    ssh(cluster, SERVER).output()?.ok()?;
    for _ in 0..2 {
        let login = ssh(cluster, LOOK).output()?;
        ensure!(login.stdout == "socket\n", "{login}");
        tidy(cluster)?;
    }
    cluster.cancel(job)?;
    wait_for("tidy", || {
        tidy(cluster)?;
        Ok(left(cluster)?.is_empty())
    })
    .with_context(|| format!("left: {:?}", left(cluster)))
}
