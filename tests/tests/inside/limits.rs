//! LaunchParameters=ulimit_pam_adopt: the extern step's stepd gives a login the job's memory as
//! RLIMIT_RSS, as it does to the job's own tasks. It does so for whoever asks it to adopt.

use anyhow::{Context, Result, ensure};
use lab::{Cluster, Suite};

use crate::namespaces::BOTH;
use crate::place::{Place, STRICT, Test, ssh, use_module, wait_for_file};

/// Where LaunchParameters has it.
pub const TESTS: &[(&str, Test)] = &[("ulimit_pam_adopt limits the login", limits)];

const RSS: &str = "Max resident set";
const FILES: &str = "Max open files";

/// Slurm has it from 23.02 on; before, the word means nothing. The limits that the job's submitter
/// has (here of open files) do not come with it, in no version and with neither module.
fn limits(_: &Place, cluster: &Cluster) -> Result<()> {
    let script = "cat /proc/self/limits > .limits; mv .limits limits; exec sleep 100000";
    let argv = [
        &["prlimit", "--nofile=777:888", "sbatch", "--parsable"][..],
        &[
            "--nodelist=node2",
            "--mem=1",
            "-o",
            "/dev/null",
            "--wrap",
            script,
        ],
    ];
    let job = cluster.node(1).run_as("alice", &argv.concat())?.ok()?;
    let job: u32 = job.trim().parse().with_context(|| job.clone())?;
    cluster.wait_running(job)?;
    let of_job = wait_for_file(cluster, "/home/alice/limits")?;
    ensure!(line(&of_job, RSS)?.contains(" 1048576 "), "{of_job}");
    ensure!(line(&of_job, FILES)?.contains(" 777 "), "{of_job}");

    let mut of_logins = Vec::new();
    for module in BOTH {
        use_module(cluster, module, STRICT)?;
        let login = ssh(cluster, "cat /proc/self/limits").output()?.ok()?;
        let limited = line(&login, RSS)? == line(&of_job, RSS)?;
        ensure!(
            limited == (cluster.suite() >= Suite::Trixie),
            "{module:?}: {login}"
        );
        ensure!(
            line(&login, FILES)? != line(&of_job, FILES)?,
            "{module:?}: {login}"
        );
        of_logins.push(login);
    }
    ensure!(of_logins[0] == of_logins[1], "{of_logins:?}");
    Ok(())
}

fn line<'a>(limits: &'a str, name: &str) -> Result<&'a str> {
    let mut lines = limits.lines();
    lines
        .find(|line| line.starts_with(name))
        .with_context(|| format!("no {name} in {limits}"))
}
