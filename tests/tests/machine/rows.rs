//! The table of docs/session.md: each way in, with pam_systemd.

use anyhow::{Result, ensure};
use tests::Module;
use tests::session::{Lines, Method, Place, SessionRow, session_row, set_in};

use crate::Test;
use crate::site::{AS_ADVISED, Job, Login, SCHEDMDS, Setup, Site};

pub const TESTS: &[(&str, Test)] = &[
    ("an account line, SchedMD's", |site| rows(site, SCHEDMDS)),
    ("an account line", |site| {
        rows(
            site,
            Setup {
                module: Module::Ours,
                ..SCHEDMDS
            },
        )
    }),
    ("both lines", |site| rows(site, AS_ADVISED)),
];

const IN_THE_JOB: &str = "in the job";
const KEPT_OUT: &str = "kept out";
const NOTHING: &str = "nothing";

/// alice has a job and logs in by each method, then the job is cancelled.
fn rows(site: &mut Site, setup: Setup) -> Result<()> {
    let Setup { module, lines, .. } = setup;
    site.set_up(setup)?;
    let job = site.submit()?;
    let mut logins = Vec::new();
    for method in Method::ALL {
        logins.push(site.log_in(method)?);
    }
    site.cancel(&job)?;
    let mut wrong = Vec::new();
    for login in &logins {
        let row = row(site, setup, &job, login)?;
        session_row(&row);
        let as_expected = match (module, lines) {
            // pam_systemd has moved it out, or it was adopted in a process that is no more.
            (Module::SchedMd, _) => row.shell != IN_THE_JOB && row.outlives != NOTHING,
            (Module::Ours, Lines::Account) if login.method.is_keyboard_interactive() => {
                row.shell == KEPT_OUT
            }
            (Module::Ours, Lines::Account) => row.shell != IN_THE_JOB,
            (Module::Ours, _) => {
                let set = "SLURM_JOB_ID, XDG_RUNTIME_DIR, XDG_SESSION_CLASS, XDG_SESSION_ID, \
                           XDG_SESSION_TYPE";
                row.shell == IN_THE_JOB && row.outlives == NOTHING && row.set == set
            }
        };
        if !as_expected {
            wrong.push(format!("{row}\n{login}"));
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

/// What came of a login whose job has been cancelled.
fn row(site: &mut Site, setup: Setup, job: &Job, login: &Login) -> Result<SessionRow> {
    let (shell, set, outlives) = match &login.shell {
        None => (KEPT_OUT.into(), "-".into(), "-".into()),
        Some(shell) => {
            let place = match job.has(&shell.cgroup) {
                true => IN_THE_JOB.into(),
                false => format!("outside, in {}", unit(&shell.cgroup)),
            };
            // What is in the job's cgroup has ended with it; the rest gets time to.
            if place == IN_THE_JOB {
                site.wait_for(|site| Ok(site.alive(shell)? == NOTHING))?;
            }
            (place, set_in(&shell.env), site.alive(shell)?)
        }
    };
    Ok(SessionRow {
        suite: site.suite(),
        place: Place::Machine,
        pam_systemd: true,
        method: login.method,
        lines: setup.lines,
        module: setup.module,
        shell,
        set,
        outlives,
    })
}

/// The systemd unit that has a cgroup, without numbers.
fn unit(cgroup: &str) -> String {
    let unit = cgroup.trim().rsplit('/').next().unwrap_or_default();
    match unit.starts_with("session-") && unit.ends_with(".scope") {
        true => "a session scope".into(),
        false => unit.to_owned(),
    }
}
