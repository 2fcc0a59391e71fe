//! `slurm-adopt check --as` beside logind and pam_systemd, with cgroup v2.

use anyhow::{Result, ensure};
use tests::session::Lines;
use tests::{CLI, Module};

use crate::Test;
use crate::site::{AS_ADVISED, Setup, Site};

pub const TESTS: &[(&str, Test)] = &[("a trial login", trial)];

/// What logind and systemd have of alice.
const LOOK: &str = "loginctl list-sessions --no-legend | grep -c alice || true
                    ls -d /run/user/2001 2>/dev/null || echo none
                    ls /run/slurm-adopt/sessions 2>/dev/null || echo none";

fn trial(site: &mut Site) -> Result<()> {
    site.set_up(AS_ADVISED)?;
    check(
        site,
        0,
        &[
            "SA902 the login is denied",
            "you have no active jobs on this node",
        ],
    )?;
    let job = site.submit()?;
    site.sh("until pgrep -u alice -x sleep; do sleep 0.2; done")?;
    let held = format!(
        "job {}, step extern; 1 of 2 CPUs; memory 200 MB; GPUs: 0 of 1 open",
        job.id
    );
    check(site, 0, &["containment   ok", &held])?;
    // pam_systemd comes after our account line, and moves the login out.
    site.set_up(Setup {
        module: Module::Ours,
        lines: Lines::Account,
        closed: true,
    })?;
    check(
        site,
        2,
        &["SA903 a login is not held in its job", "(pam_systemd)"],
    )
}

/// A trial login, which says that and leaves nothing behind.
fn check(site: &mut Site, status: u8, texts: &[&str]) -> Result<()> {
    let before = site.sh(LOOK)?;
    let told = site.sh(&format!(
        "{CLI} check --as alice --only SA901,SA902,SA903,SA905,SA910,SA911,SA912,SA913,SA920,SA930 || echo status $?"
    ))?;
    for text in texts {
        ensure!(told.contains(text), "not told: {text}\n{told}");
    }
    let ended = match status {
        0 => !told.contains("status "),
        _ => told.ends_with(&format!("status {status}\n")),
    };
    ensure!(ended, "expected status {status}:\n{told}");
    ensure!(
        site.wait_for(|site| Ok(site.sh(LOOK)? == before))?,
        "was {before}\nis {}",
        site.sh(LOOK)?
    );
    Ok(())
}
