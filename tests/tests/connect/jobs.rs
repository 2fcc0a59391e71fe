//! Which job is meant, and what is told of one that cannot be reached.

use std::time::Duration;

use anyhow::{Result, ensure};
use lab::{Cluster, Status};

use crate::site::{LOOK, is_in, job_on, lands, ssh};

/// With two jobs on the node, the newest or not.
pub fn named(cluster: &Cluster) -> Result<()> {
    let alone = job_on(cluster, 2, &["--job-name=a name|x"])?;
    lands(cluster, &format!("job-{alone}"), 2, alone)?;
    let both = cluster.submit("alice", &["--nodes=2", "--job-name=Both"])?;
    for (host, number, job) in [
        (format!("job-{alone}"), 2, alone),
        (format!("job-{both}"), 1, both),
        (format!("job-{both}.1"), 2, both),
        ("job-Both".to_owned(), 1, both),
        ("job-latest".to_owned(), 1, both),
    ] {
        lands(cluster, &host, number, job)?;
    }
    Ok(())
}

/// Each is refused with a line that says why.
pub fn absent(cluster: &Cluster) -> Result<()> {
    let told = |host: &str, text: &str| -> Result<()> {
        let login = ssh(cluster, host, &["true"])?;
        ensure!(login.status == Status::Exited(255), "{host}: {login}");
        let line = format!("slurm-adopt proxy: {text}");
        ensure!(login.stderr.contains(&line), "{host}: {login}");
        Ok(())
    };
    told("job-latest", "you have no job that runs or waits")?;
    told("job-999999", "job 999999 is unknown to Slurm")?;
    let job = job_on(cluster, 2, &["--job-name=x"])?;
    told(
        "job-y",
        &format!("you have no job named \"y\" that runs or waits (yours: {job} x)"),
    )?;
    told(
        &format!("job-{job}.1"),
        &format!("job {job} has no node 1: it has 1, counted from 0"),
    )?;
    told(
        &format!("job-{job}_1"),
        &format!("job {job}_1 is not there, or is over"),
    )?;
    let bobs = cluster.submit("bob", &[])?;
    told(
        &format!("job-{bobs}"),
        &format!("job {bobs} is not yours: it belongs to bob"),
    )?;
    cluster.cancel(job)?;
    lab::poll::until_true("the job's end", Duration::from_secs(60), || {
        let argv = ["squeue", "-h", "--format=%T", "--jobs", &job.to_string()];
        Ok(!cluster.node(1).run(&argv)?.stdout.contains("COMPLETING"))
    })?;
    told(
        &format!("job-{job}"),
        &format!("job {job} is over (CANCELLED, "),
    )
}

/// A job that is held, and one that is cancelled while ssh waits for it.
pub fn waiting(cluster: &Cluster) -> Result<()> {
    let node = cluster.node(1);
    for is_cancelled in [false, true] {
        let job = cluster.submit_only("alice", &["--hold", "--nodelist=node2"])?;
        let host = format!("job-{job}");
        let argv = ["ssh", "-o", "BatchMode=yes", &host, LOOK];
        let mut login = node.command(&argv).user("alice").spawn()?;
        let line = format!("slurm-adopt proxy: waiting: job {job} is pending (JobHeldUser)\n");
        lab::poll::until_true("the line of progress", Duration::from_secs(60), || {
            Ok(login.stderr()? == line)
        })?;
        let verb = if is_cancelled { "cancel" } else { "release" };
        match is_cancelled {
            true => node.run(&["scancel", &job.to_string()])?.ok()?,
            false => node.run(&["scontrol", "release", &job.to_string()])?.ok()?,
        };
        let status = login.wait(Duration::from_secs(60))?;
        let (seen, told) = (login.stdout()?, login.stderr()?);
        if is_cancelled {
            ensure!(
                status == Some(Status::Exited(255)),
                "{verb}: {status:?} {told}"
            );
            ensure!(
                told.contains(&format!("job {job} is over (CANCELLED")),
                "{told}"
            );
        } else {
            ensure!(
                status == Some(Status::Exited(0)),
                "{verb}: {status:?} {told}"
            );
            is_in(cluster.node(2), &seen, job, verb)?;
        }
    }
    Ok(())
}

/// Of an array, and of a heterogeneous job by srun, which takes a leader's number alone.
pub fn parts(cluster: &Cluster) -> Result<()> {
    let number = |id: &str| -> Result<u32> {
        let argv = ["squeue", "-h", "-r", "--format=%A %i"];
        let list = cluster.node(1).run(&argv)?.ok()?;
        let mut lines = list.lines().filter_map(|it| it.trim().split_once(' '));
        let found = lines.find(|(_, it)| *it == id);
        Ok(found
            .map(|(number, _)| number.parse())
            .transpose()?
            .unwrap_or_default())
    };
    let array = cluster.submit("alice", &["--array=3-5", "--nodelist=node2"])?;
    let second = number(&format!("{array}_4"))?;
    lands(cluster, &format!("job-{array}_4"), 2, second)?;
    lands(cluster, &format!("job-{array}_5"), 2, array)?;
    let first = ssh(cluster, &format!("job-{array}"), &[LOOK])?;
    let told = format!("this is job {array}_3; also there: job-{array}_4, job-{array}_5");
    ensure!(first.stderr.contains(&told), "{first}");
    is_in(
        cluster.node(2),
        &first.ok()?,
        number(&format!("{array}_3"))?,
        "first",
    )?;
    cluster.cancel_all()?;
    let parts = ["--nodelist=node1", ":", "--nodelist=node2"];
    let leader = cluster.submit("alice", &parts)?;
    // A newer job there.
    cluster.submit("alice", &["--nodes=2"])?;
    lands(cluster, &format!("job-{leader}"), 1, leader)?;
    lands(
        cluster,
        &format!("job-{leader}+1"),
        2,
        number(&format!("{leader}+1"))?,
    )
}
