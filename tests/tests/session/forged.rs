//! Which job the session phase takes: the account phase's choice comes through the PAM environment,
//! where other modules may write too.

use anyhow::{Result, ensure};
use lab::Status;
use tests::Module;
use tests::session::{Lines, Method};

use crate::Test;
use crate::site::{STRICT, Site, wait_for};

pub const TESTS: &[(&str, Test)] = &[
    ("the account phase's choice holds", choice),
    ("another's job in the PAM environment", another_job),
    ("no job in the PAM environment", no_job),
    ("a helper without a session line", helper),
];

/// With two jobs the account phase takes the newest, whatever the session line would.
fn choice(site: &Site) -> Result<()> {
    let node = site.node();
    site.use_stack(Module::Ours, Lines::Both, STRICT, "")?;
    let first = site.cluster().submit("alice", &[])?;
    let second = site.cluster().submit("alice", &[])?;
    for method in Method::ALL {
        let login = site.log_in("alice", method)?;
        let shell = login.shell()?;
        ensure!(
            shell.job(node)? == Some(second),
            "not {first} but {second}: {login}"
        );
        ensure!(shell.is_told(second), "{login}");
        login.end(node)?;
    }
    Ok(())
}

/// A module between ours and the session line names bob's job, and his alone.
fn another_job(site: &Site) -> Result<()> {
    let node = site.node();
    let bobs = site.cluster().submit("bob", &[])?;
    let alices = site.cluster().submit("alice", &[])?;
    named(site, Lines::Account, &bobs.to_string())?;
    let login = site.log_in("alice", Method::PublicKey)?;
    ensure!(
        login.shell()?.is_told(bobs),
        "PAM's environment does not hold it: {login}"
    );
    login.end(node)?;
    for lines in [Lines::Session, Lines::Both] {
        named(site, lines, &bobs.to_string())?;
        for method in Method::ALL {
            let login = site.log_in("alice", method)?;
            if let Some(shell) = &login.shell {
                ensure!(shell.job(node)? == Some(alices), "{lines}: {login}");
                ensure!(shell.is_told(alices), "{lines}: {login}");
            }
            login.end(node)?;
            // carol has no job at all.
            let login = site.log_in("carol", method)?;
            ensure!(login.shell.is_none(), "{lines}: {login}");
            ensure!(login.status != Some(Status::Exited(0)), "{lines}: {login}");
        }
    }
    Ok(())
}

/// It names no job that there is, or nothing that could be one.
fn no_job(site: &Site) -> Result<()> {
    let node = site.node();
    let job = site.cluster().submit("alice", &[])?;
    for value in [
        "999999",
        "0",
        "-1",
        "4294967295",
        "18446744073709551617",
        "x",
        "../1",
    ] {
        for lines in [Lines::Session, Lines::Both] {
            named(site, lines, value)?;
            let login = site.log_in("alice", Method::KeyboardInteractive)?;
            if let Some(shell) = &login.shell {
                ensure!(shell.job(node)? == Some(job), "«{value}» {lines}: {login}");
                ensure!(shell.is_told(job), "«{value}» {lines}: {login}");
            }
            login.end(node)?;
        }
    }
    Ok(())
}

/// Has the PAM environment name that job in front of the session line.
fn named(site: &Site, lines: Lines, job: &str) -> Result<()> {
    const FILE: &str = "/etc/security/named.env";
    site.node()
        .write(FILE, format!("SLURM_JOB_ID={job}\n"), 0o644)?;
    let before = format!("session required pam_env.so conffile=/dev/null envfile={FILE}");
    site.use_stack(Module::Ours, lines, STRICT, &before)
}

/// Adopting sshd's helper holds nothing. Without a session line that is a failed adoption, and the
/// log says what to do.
fn helper(site: &Site) -> Result<()> {
    let node = site.node();
    let job = site.cluster().submit("alice", &[])?;
    for method in [
        Method::KeyboardInteractive,
        Method::KeyThenKeyboardInteractive,
    ] {
        for (options, is_in) in [("action_adopt_failure=allow", true), (STRICT, false)] {
            site.use_stack(Module::Ours, Lines::Account, options, "")?;
            let mark = node.syslog_mark()?;
            let login = site.log_in("alice", method)?;
            ensure!(login.shell.is_some() == is_in, "{options}: {login}");
            if let Some(shell) = &login.shell {
                ensure!(shell.job(node)?.is_none(), "{options}: {login}");
                ensure!(!shell.env.contains("SLURM_"), "{options}: {login}");
            }
            login.end(node)?;
            let log = node.syslog_since(mark)?;
            let ours: Vec<_> = log
                .lines()
                .filter(|it| it.contains("pam_slurm_adopt"))
                .collect();
            ensure!(
                ours.iter().any(|it| it.contains("session")),
                "{options}: nothing of a session line in the log: {ours:?}"
            );
        }
    }
    // With a session line the same login gets in.
    site.use_stack(Module::Ours, Lines::Both, STRICT, "")?;
    let login = site.log_in("alice", Method::KeyboardInteractive)?;
    ensure!(login.shell()?.job(node)? == Some(job), "{login}");
    login.end(node)?;
    wait_for("the job to be alone", || {
        Ok(node.processes("sleep 100000")?.len() == 1)
    })
}
