//! Jobs that end or are one of several, on a host with systemd: `slurm-adopt notify` by its timer, su from within one of two
//! jobs.

use anyhow::{Context as _, Result, ensure};
use tests::session::Method;
use tests::{CLI, page};

use crate::Test;
use crate::site::{AS_ADVISED, Site};

pub const TESTS: &[(&str, Test)] = &[
    ("the timer tells a login that its job ends", |site| {
        site.set_up(AS_ADVISED)?;
        by_timer(site)?;
        site.sh(NO_TIMER).map(drop)
    }),
    ("su from within one of two jobs", su),
];

const PAGE: &str = "docs/tool.md";
/// Where the packages put it, and what stands in the units and the page.
const PACKAGED: &str = "/usr/sbin/slurm-adopt";
/// The packages' units, as shipped.
const UNITS: [(&str, &str); 2] = [
    (
        "/usr/share/slurm-adopt/systemd/slurm-adopt-notify.service",
        include_str!("../../../packaging/systemd/slurm-adopt-notify.service"),
    ),
    (
        "/usr/share/slurm-adopt/systemd/slurm-adopt-notify.timer",
        include_str!("../../../packaging/systemd/slurm-adopt-notify.timer"),
    ),
];
/// In this order: a timer whose unit goes while it runs is left as failed.
const NO_TIMER: &str = "systemctl stop slurm-adopt-notify.timer
                        systemctl disable slurm-adopt-notify.timer slurm-adopt-notify.service";

/// A job of three minutes: two of the three lines are due, the first of them when a login stands for sure.
fn by_timer(site: &mut Site) -> Result<()> {
    for (path, text) in UNITS {
        site.write(path, text)?;
    }
    let commands = page::commands(PAGE, "How long does the job last?")?;
    site.sh(&format!("ln -sf {CLI} {PACKAGED}; {}", commands.join("; ")))?;
    let options = "--time=3 --chdir=/tmp --wrap='exec sleep 100000'";
    let job = site.submit_with(options, "env")?.id;
    let end = site.sh(&format!("squeue --noheader --format=%e --jobs={job}"))?;
    let end = end.trim().rsplit('T').next().context("a time")?.to_owned();
    let script = "echo In; exec sleep 1000";
    let [out, err] = site.start_client(Method::PublicKey, &["ssh", "-tt", "node1", script])?;
    let told = site.sh(&format!(
        "while kill -0 $(cat {out}.pid) 2>/dev/null; do
             ! grep -q ' ends in 5 seconds' {out} || break
             sleep 1
         done
         cat {out} {err}"
    ))?;
    let log = site.sh("journalctl --sync; journalctl --unit=slurm-adopt-notify.service -n 30")?;
    let lines = told.lines().map(str::trim_end);
    let lines: Vec<&str> = lines.filter(|it| it.contains(" ends in ")).collect();
    let expected = ["1 minute", "5 seconds"]
        .map(|left| format!("job {job} on node1 ends in {left}, at {end}"));
    ensure!(lines == expected, "not {expected:?}: {told}{log}");
    let failed = site.sh("systemctl --failed --plain --no-legend")?;
    ensure!(failed.is_empty(), "{failed}{log}");
    Ok(())
}

/// Waits for its time, then has su tell where it is.
const SU: &str = "#!/bin/bash
until [ -e /tmp/su.go ]; do sleep 0.2; done
for su in 'su alice' 'su - alice'; do
    echo alice-secret | $su -c 'cat /proc/self/cgroup; echo $XDG_SESSION_ID'
done >/tmp/su.$1 2>/tmp/su.$1.err
echo END >>/tmp/su.$1
exec sleep 100000
";

/// pam_systemd moves su into a session of its own. It comes back to the job that it was called in, and not to the one that a
/// login would take.
fn su(site: &mut Site) -> Result<()> {
    site.set_up(AS_ADVISED)?;
    site.write("/usr/local/bin/in-job", SU)?;
    site.sh("chmod 755 /usr/local/bin/in-job; rm -f /tmp/su.*")?;
    let older = site.submit_with("--chdir=/tmp --wrap='exec in-job batch'", "env")?;
    let [_, err] = site.start_client(Method::PublicKey, &["ssh", "node1", "exec in-job login"])?;
    site.sh("until pgrep -u alice -f 'in-job login'; do sleep 0.2; done")?;
    let newer = site.submit()?;
    let login = site.log_in(Method::PublicKey)?;
    let shell = login
        .shell
        .as_ref()
        .with_context(|| format!("kept out: {login}"))?;
    ensure!(
        newer.has(&shell.cgroup),
        "a login is in the newest job: {login}"
    );
    site.sh("touch /tmp/su.go")?;
    for place in ["batch", "login"] {
        let file = format!("/tmp/su.{place}");
        let told = site.sh(&format!(
            "for turn in $(seq 200); do ! grep -qs ^END {file} || break; sleep 1; done; cat {file}"
        ))?;
        let errors = site.sh(&format!("cat {file}.err {err}"))?;
        let words: Vec<&str> = told.lines().collect();
        let [su, session, su_l, session_l, _] = words[..] else {
            anyhow::bail!("su from {place}: {told}{errors}");
        };
        for cgroup in [su, su_l] {
            ensure!(
                older.has(cgroup),
                "su from {place}, not in {}: {told}{errors}",
                older.step
            );
        }
        for session in [session, session_l] {
            ensure!(session.starts_with('c'), "no session of its own: {told}");
        }
    }
    site.sh("rm -f /tmp/su.*").map(drop)
}
