//! Who gets in and where: commands, copies and terminals, one login or twenty at once.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lab::{Cluster, Status};
use tests::job_of_cgroup;

use crate::{CGROUP, NO_JOBS};

pub fn without_a_job(cluster: &Cluster) -> Result<()> {
    let node = cluster.node(1);
    for user in ["alice", "bob"] {
        let login = node.ssh(user, "node1", CGROUP)?;
        ensure!(login.status == Status::Exited(255), "{login}");
        ensure!(login.stderr.contains(NO_JOBS), "{login}");
        ensure!(login.stdout.is_empty(), "{login}");
    }
    Ok(())
}

pub fn into_the_job(cluster: &Cluster) -> Result<()> {
    let node = cluster.node(1);
    let job = cluster.submit("alice", &[])?;
    let login = node.ssh("alice", "node1", CGROUP)?.ok()?;
    ensure!(
        job_of_cgroup(node, &login)? == Some(job),
        "not in job {job}: {login}"
    );
    let login = node.ssh("bob", "node1", CGROUP)?;
    ensure!(login.stderr.contains(NO_JOBS), "{login}");
    cluster.cancel(job)?;
    let login = node.ssh("alice", "node1", CGROUP)?;
    ensure!(login.stderr.contains(NO_JOBS), "after the job: {login}");
    Ok(())
}

pub fn root_always(cluster: &Cluster) -> Result<()> {
    let node = cluster.node(1);
    // Root's own key, made for this test alone.
    node.sh("mkdir -p -m 700 /root/.ssh; rm -f /root/.ssh/id; \
         ssh-keygen -q -t ed25519 -N '' -f /root/.ssh/id; \
         cp /root/.ssh/id.pub /root/.ssh/authorized_keys")?;
    let login = || {
        node.run(&[
            "ssh",
            "-i",
            "/root/.ssh/id",
            "-o",
            "BatchMode=yes",
            "root@node1",
            "id",
            "-u",
        ])
    };
    ensure!(login()?.ok()?.trim() == "0");
    node.sh("mv /etc/slurm/slurm.conf /etc/slurm/away")?;
    let broken = login();
    node.sh("mv /etc/slurm/away /etc/slurm/slurm.conf")?;
    ensure!(broken?.ok()?.trim() == "0");
    Ok(())
}

pub fn environment(cluster: &Cluster) -> Result<()> {
    let job = cluster.submit("alice", &[])?;
    let login = cluster.node(1).ssh("alice", "node1", &["env"])?.ok()?;
    let slurm: Vec<_> = login
        .lines()
        .filter(|line| line.starts_with("SLURM"))
        .collect();
    ensure!(slurm == [format!("SLURM_JOB_ID={job}")], "{slurm:?}");
    cluster.cancel(job)
}

pub fn copies(cluster: &Cluster) -> Result<()> {
    let node = cluster.node(1);
    let scp = |user: &str| {
        let paths = ["/etc/hostname", "node1:/tmp/copied"];
        node.run_as(
            user,
            &[&["scp", "-q", "-o", "BatchMode=yes"], &paths[..]].concat(),
        )
    };
    let sftp = |user: &str| {
        let argv = ["sftp", "-q", "-o", "BatchMode=yes", "-b", "-", "node1"];
        node.command(&argv)
            .user(user)
            .stdin("get /etc/hostname /tmp/got\n")
            .output()
    };
    let denied = [scp("alice")?, sftp("alice")?];
    for denied in denied {
        ensure!(!denied.success(), "without a job: {denied}");
    }
    let job = cluster.submit("alice", &[])?;
    scp("alice")?.ok()?;
    sftp("alice")?.ok()?;
    for path in ["/tmp/copied", "/tmp/got"] {
        ensure!(
            node.read(path)? == node.read("/etc/hostname")?,
            "{path} differs"
        );
        node.remove(path)?;
    }
    cluster.cancel(job)
}

pub fn terminal(cluster: &Cluster) -> Result<()> {
    let job = cluster.submit("alice", &[])?;
    let argv = ["ssh", "-tt", "-o", "BatchMode=yes", "node1"];
    let typed = "tty; cat /proc/self/cgroup; exit 7\n";
    let login = cluster
        .node(1)
        .command(&argv)
        .user("alice")
        .stdin(typed)
        .output()?;
    ensure!(login.status == Status::Exited(7), "{login}");
    ensure!(login.stdout.contains("/dev/pts/"), "{login}");
    let cgroup: Vec<_> = login
        .stdout
        .lines()
        .filter(|line| line.contains(":/"))
        .collect();
    ensure!(
        job_of_cgroup(cluster.node(1), &cgroup.join("\n"))? == Some(job),
        "{login}"
    );
    cluster.cancel(job)
}

pub fn twenty_at_once(cluster: &Cluster) -> Result<()> {
    let node = cluster.node(1);
    let jobs = [cluster.submit("alice", &[])?, cluster.submit("bob", &[])?];
    let users = ["alice", "bob", "carol"];
    let mut logins = Vec::new();
    for turn in 0..20 {
        let user = users[turn % users.len()];
        logins.push((user, node.ssh_command(user, "node1", CGROUP).spawn()?));
    }
    for (user, mut login) in logins {
        let status = login
            .wait(Duration::from_secs(60))?
            .context("a login hangs")?;
        let (stdout, stderr) = (login.stdout()?, login.stderr()?);
        match users
            .iter()
            .position(|name| *name == user)
            .and_then(|at| jobs.get(at))
        {
            Some(job) => ensure!(
                job_of_cgroup(node, &stdout)? == Some(*job),
                "{user}: {stdout} {stderr}"
            ),
            None => ensure!(
                status == Status::Exited(255) && stderr.contains(NO_JOBS),
                "{stderr}"
            ),
        }
    }
    cluster.cancel_all()
}
