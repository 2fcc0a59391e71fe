//! Stacks in which a session line of ours is there and libpam passes it over.

use anyhow::{Result, ensure};
use tests::Module;
use tests::session::{Lines, Method};

use crate::Test;
use crate::site::{OnNode, STRICT, Site};

pub const TESTS: &[(&str, Test)] = &[
    ("a session line that is passed over", passed_over),
    ("jumps that stay before the session line", short_jumps),
    ("a session line in a file with a slash in its name", slash),
];

/// Nobody is in without the job: a login is adopted in the account phase, or kept out where that is a
/// helper's.
fn passed_over(site: &Site) -> Result<()> {
    let node = site.node();
    let job = site.cluster().submit("alice", &[])?;
    node.write(JUMP_FILE, "session [default=1] pam_permit.so\n", 0o644)?;
    for before in [
        "session sufficient pam_permit.so".to_owned(),
        format!("@include {JUMP_FILE}"),
    ] {
        site.use_stack(Module::Ours, Lines::Both, STRICT, &before)?;
        for method in [Method::PublicKey, Method::KeyboardInteractive] {
            let login = site.log_in("alice", method)?;
            let is_in = method == Method::PublicKey;
            ensure!(login.shell.is_some() == is_in, "{before}: {login}");
            if let Some(shell) = &login.shell {
                ensure!(shell.job(node)? == Some(job), "{before}: {login}");
            }
            login.end(node)?;
        }
    }
    Ok(())
}

const JUMP_FILE: &str = "/etc/pam.d/jump";

/// As distributions write them: the line is reached, and a helper's login is let in and adopted there.
fn short_jumps(site: &Site) -> Result<()> {
    let node = site.node();
    let job = site.cluster().submit("alice", &[])?;
    for before in [
        // Debian's common-session.
        "session [default=1] pam_permit.so\nsession requisite pam_deny.so\nsession required pam_permit.so",
        // Red Hat's postlogin.
        "session [success=1 default=ignore] pam_succeed_if.so quiet uid = 0\nsession [default=1] \
         pam_permit.so\nsession optional pam_deny.so",
    ] {
        site.use_stack(Module::Ours, Lines::Both, STRICT, before)?;
        for method in [Method::PublicKey, Method::KeyboardInteractive] {
            let login = site.log_in("alice", method)?;
            ensure!(login.shell()?.job(node)? == Some(job), "{before}: {login}");
            login.end(node)?;
        }
    }
    Ok(())
}

/// libpam opens it below its own directory.
fn slash(site: &Site) -> Result<()> {
    let node = site.node();
    let job = site.cluster().submit("alice", &[])?;
    node.sh("mkdir -p /etc/pam.d/site")?;
    let line = format!("session required pam_slurm_adopt.so {STRICT}\n");
    node.write("/etc/pam.d/site/slurm", line, 0o644)?;
    for include in ["@include site/slurm", "session include site/slurm"] {
        site.use_stack(Module::Ours, Lines::Account, STRICT, include)?;
        let login = site.log_in("alice", Method::KeyboardInteractive)?;
        ensure!(login.shell()?.job(node)? == Some(job), "{include}: {login}");
        login.end(node)?;
    }
    Ok(())
}
