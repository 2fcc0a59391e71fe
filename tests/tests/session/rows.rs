//! The table of docs/session.md: each way in with each set of lines.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use lab::Status;
use tests::Module;
use tests::session::{Lines, Method, Place, SessionRow, session_row, set_in};

use crate::Test;
use crate::site::{Login, NO_JOBS, OnNode, STRICT, Site, cgroup_of};

pub const TESTS: &[(&str, Test)] = &[
    ("an account line, SchedMD's", |site| {
        rows(site, Module::SchedMd, Lines::Account)
    }),
    ("an account line", |site| {
        rows(site, Module::Ours, Lines::Account)
    }),
    ("a session line", |site| {
        rows(site, Module::Ours, Lines::Session)
    }),
    ("both lines", |site| rows(site, Module::Ours, Lines::Both)),
];

/// Where a login may end up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    InTheJob,
    Outside,
    KeptOut,
}

/// What is expected.
fn end(module: Module, lines: Lines, method: Method) -> End {
    match (module, lines) {
        (_, Lines::Account) if !method.is_keyboard_interactive() => End::InTheJob,
        // The helper is adopted, which holds nothing.
        (Module::SchedMd, _) => End::Outside,
        (Module::Ours, Lines::Account) => End::KeptOut,
        (Module::Ours, Lines::Session | Lines::Both) => End::InTheJob,
    }
}

/// alice has a job, bob has none; each logs in by each method, then the job is cancelled.
fn rows(site: &Site, module: Module, lines: Lines) -> Result<()> {
    let node = site.node();
    site.use_stack(module, lines, STRICT, "")?;
    let job = site.cluster().submit("alice", &[])?;
    let logins = Method::ALL.map(|method| site.log_in("alice", method));
    let logins: Vec<Login> = logins.into_iter().collect::<Result<_>>()?;
    let seen: Vec<_> = logins.iter().map(|it| shell(site, it, job)).collect();
    let others = without_a_job(site, module, lines);

    site.cluster().cancel(job)?;
    let began = Instant::now();
    let mut wrong = Vec::new();
    for (login, seen) in logins.into_iter().zip(seen) {
        let (shell, outlives) = match &login.shell {
            None => ("kept out".into(), "-".into()),
            Some(shell) => {
                let limit = match end(module, lines, login.method) {
                    End::InTheJob => 10 * SETTLE,
                    End::Outside | End::KeptOut => SETTLE,
                };
                while shell.alive(node)? != "nothing" && began.elapsed() < limit {
                    std::thread::sleep(Duration::from_millis(20));
                }
                (seen?, shell.alive(node)?)
            }
        };
        let set = login
            .shell
            .as_ref()
            .map_or("-".into(), |it| set_in(&it.env));
        let expected = match end(module, lines, login.method) {
            End::InTheJob => shell == IN_THE_JOB && outlives == "nothing" && set == "SLURM_JOB_ID",
            End::Outside => shell == OUTSIDE && outlives != "nothing",
            End::KeptOut => login.shell.is_none() && login.status == Some(Status::Exited(255)),
        };
        let row = SessionRow {
            suite: site.suite(),
            place: Place::Namespaces,
            pam_systemd: false,
            method: login.method,
            lines,
            module,
            shell,
            set,
            outlives,
        };
        session_row(&row);
        if !expected {
            let expected = end(module, lines, login.method);
            wrong.push(format!("not {expected:?}: {row}\n{login}"));
        }
        login.end(node)?;
    }
    others?;
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

const IN_THE_JOB: &str = "in the job";
const OUTSIDE: &str = "outside, where sshd is";
/// How long what would end with a job takes at most; what is to end has longer, on a busy host.
const SETTLE: Duration = Duration::from_secs(3);

/// Where the shell is; SLURM_JOB_ID names the job, if it is set.
fn shell(site: &Site, login: &Login, job: u32) -> Result<String> {
    let Some(shell) = &login.shell else {
        return Ok(String::new());
    };
    let told = shell
        .env
        .lines()
        .find_map(|it| it.strip_prefix("SLURM_JOB_ID="));
    ensure!(
        told.is_none_or(|it| it == job.to_string()),
        "SLURM_JOB_ID is {told:?} in job {job}"
    );
    match shell.job(site.node())? {
        Some(found) => ensure!(found == job, "in job {found}, not in {job}: {login}"),
        None => {
            let sshd = cgroup_of(site.node(), login.method.sshd(site.node())?)?;
            ensure!(shell.cgroup.trim() == sshd.trim(), "{login}");
            return Ok(OUTSIDE.into());
        }
    }
    Ok(IN_THE_JOB.into())
}

/// bob, who has none: an account line keeps him out by all methods and tells him why. A session line
/// alone is for those whom others let in: it leaves him where he is.
fn without_a_job(site: &Site, module: Module, lines: Lines) -> Result<()> {
    for method in Method::ALL {
        let login = site.log_in("bob", method)?;
        match &login.shell {
            Some(shell) if lines == Lines::Session => {
                ensure!(shell.job(site.node())?.is_none(), "{login}");
                ensure!(set_in(&shell.env) == "nothing", "{login}");
            }
            _ => {
                let status = login.status == Some(Status::Exited(255));
                ensure!(
                    login.shell.is_none() && status && login.stderr.contains(NO_JOBS),
                    "{module:?} {lines}: {login}"
                );
            }
        }
        login.end(site.node())?;
    }
    Ok(())
}
