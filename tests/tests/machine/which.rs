//! Which of two jobs a login gets into by the jobs' cpusets, with cgroup v2.

use anyhow::{Result, ensure};
use tests::session::Method;

use crate::Test;
use crate::site::{AS_ADVISED, Job, SCHEDMDS, Site};

pub const TESTS: &[(&str, Test)] = &[("the largest of two jobs", largest)];

/// An older job with both CPUs, and a newer one with one. They share the first CPU.
fn two_jobs(site: &mut Site) -> Result<[Job; 2]> {
    let sleep = "--chdir=/tmp --wrap='exec sleep 100000'";
    let larger = site.submit_with(&format!("--cpus-per-task=2 --time=10 {sleep}"), "env")?;
    // Slurm tells the jobs' ages in whole seconds.
    site.sh("sleep 1.1")?;
    let newer = site.submit_with(&format!("--cpus-per-task=1 --time=60 {sleep}"), "env")?;
    Ok([larger, newer])
}

/// SchedMD's module takes the newest, whatever its size.
fn largest(site: &mut Site) -> Result<()> {
    site.set_up(AS_ADVISED)?;
    let [larger, newer] = two_jobs(site)?;
    for (options, job, cpus) in [("", &newer, "1"), ("action_unknown=largest", &larger, "2")] {
        site.set_up(AS_ADVISED)?;
        if !options.is_empty() {
            site.add_options(options)?;
        }
        let script = "nproc; cat /proc/self/cgroup";
        let login = site.client(Method::PublicKey, &["ssh", "node1", script])?;
        let (seen, cgroup) = login.stdout.split_once('\n').unwrap_or_default();
        ensure!(
            seen == cpus && job.has(cgroup),
            "'{options}', not in job {}: {login}{}",
            job.id,
            site.log()?
        );
    }
    site.set_up(SCHEDMDS)?;
    let told = "echo $SLURM_JOB_ID";
    let login = site.client(Method::PublicKey, &["ssh", "node1", told])?;
    ensure!(
        login.stdout == format!("{}\n", newer.id),
        "SchedMD's: {login}"
    );
    Ok(())
}
