//! Processes that are not tracked by cgroups, where task/cgroup puts them into the job's cgroup all the same.

use anyhow::{Context as _, Result, ensure};
use tests::session::Method;

use crate::Test;
use crate::site::{AS_ADVISED, STRICT, Site};

pub const TESTS: &[(&str, Test)] = &[("processes that are not tracked by cgroups", |site| {
    track_by(site, "linuxproc")?;
    let result = linuxproc(site);
    track_by(site, "cgroup")?;
    result
})];

/// Such a login is in the job's cgroup, and outlives the job.
fn linuxproc(site: &mut Site) -> Result<()> {
    site.set_up(AS_ADVISED)?;
    let job = site.submit()?;
    for (method, told) in [
        (Method::PublicKey, "adoption failure"),
        // In the session phase sshd passes no text on.
        (Method::KeyboardInteractive, ""),
    ] {
        site.sh("journalctl --rotate && journalctl --vacuum-time=1s")?;
        let login = site.log_in(method)?;
        let is_denied = login.shell.is_none() && login.stderr.contains(told);
        ensure!(is_denied, "{login}");
        let log = site.sh("journalctl --no-pager")?;
        let cause = "would outlive the job: slurm.conf has ProctrackType=proctrack/linuxproc";
        ensure!(log.contains(cause), "{method}: {log}");
    }
    site.sh(&format!(
        "sed -i 's/{STRICT}/action_adopt_failure=allow/' /etc/pam.d/sshd"
    ))?;
    let login = site.log_in(Method::PublicKey)?;
    let shell = login
        .shell
        .as_ref()
        .with_context(|| format!("kept out: {login}"))?;
    ensure!(job.has(&shell.cgroup), "{login}");
    let id = job.id;
    site.sh(&format!(
        "scancel {id}
         while ls /var/spool/slurmd/*_{id}.4294967292 >/dev/null 2>&1; do sleep 0.2; done"
    ))?;
    let alive = site.alive(shell)?;
    ensure!(alive == "all of it", "{alive}: {login}");
    Ok(())
}

fn track_by(site: &mut Site, by: &str) -> Result<()> {
    site.sh(&format!(
        "sed -i 's,^ProctrackType=.*,ProctrackType=proctrack/{by},' /etc/slurm/slurm.conf
         scancel --user=alice
         until [ -z \"$(squeue --noheader)\" ]; do sleep 0.2; done
         systemctl restart slurmctld slurmd
         until sinfo --noheader --format=%T | grep -q idle; do sleep 0.5; done"
    ))
    .map(drop)
}
