//! A session phase that finds no record of the account phase: whether others can have admitted the user.

use anyhow::{Result, ensure};
use tests::session::{Lines, Method};
use tests::{Call, End, Module, OURS, Outcome, STRACE, bring_strace};

use crate::Test;
use crate::handover::{logged, name};
use crate::site::{STRICT, Site};

pub const TESTS: &[(&str, Test)] = &[
    (
        "without a stack to read a session of sshd's needs a record",
        no_stack,
    ),
    (
        "with a job in the PAM environment a session needs a record",
        told_job,
    ),
];

const MISSING: &str = "the record of the account phase is missing";
const HIDDEN: &str = "exec unshare --mount --propagation private sh -ec \
     'mount -t tmpfs none /etc/pam.d; exec \"$@\"' sh \"$@\"";

/// bob, who has no job, opens a session.
fn open_session(site: &Site, service: &str, wrapper: Option<&str>) -> Result<(Outcome, String)> {
    let node = site.node();
    let mut call = Call::new("bob", "");
    call.service = service.into();
    call.wrapper = wrapper.map(str::to_owned);
    call.arguments = ["--phase", "session"].map(str::to_owned).into();
    // The stack of the call's own making has an account line alone.
    let command = call.command(node, Module::Ours)?;
    let line = format!("session required {OURS} {STRICT} service={service}\n");
    node.write(&format!("/run/pamcall/Ours/{service}"), line, 0o644)?;
    let mark = node.syslog_mark()?;
    let outcome = tests::outcome(command)?;
    Ok((outcome, node.syslog_since(mark)?))
}

/// It is not the stack that libpam follows, as after a module that changed the root, or it can't be read.
fn no_stack(site: &Site) -> Result<()> {
    let node = site.node();
    bring_strace(node)?;
    let unread = format!(
        "exec {STRACE} -f -o /dev/null -P /etc/pam.d/sshd -e inject=openat:error=EACCES \"$@\""
    );
    site.use_stack(Module::Ours, Lines::Session, STRICT, "")?;
    for (service, wrapper, is_let_in) in [
        ("sshd", None, true),
        ("sshd", Some(HIDDEN), false),
        ("sshd", Some(unread.as_str()), false),
        // Who calls no account phase, or for another user.
        ("sudo", Some(HIDDEN), true),
    ] {
        let (outcome, log) = open_session(site, service, wrapper)?;
        let is_in = outcome.end == End::Code(0);
        ensure!(is_in == is_let_in, "{service} {wrapper:?}: {outcome} {log}");
        ensure!(log.contains(MISSING) != is_let_in, "{service}: {log}");
    }
    Ok(())
}

/// An account line before ours can have admitted the user, but it gives no job.
fn told_job(site: &Site) -> Result<()> {
    let node = site.node();
    let first = format!("account sufficient pam_permit.so\naccount required {OURS}");
    for (before, is_let_in) in [(String::new(), true), (name(site, "999999")?, false)] {
        let stack = tests::session::stack(Module::Ours, Lines::Both, STRICT, &before);
        let stack = stack.replace(&format!("account required {OURS}"), &first);
        node.write("/etc/pam.d/sshd", stack, 0o644)?;
        let mark = node.syslog_mark()?;
        let login = site.log_in("bob", Method::PublicKey)?;
        ensure!(login.shell.is_some() == is_let_in, "{before}: {login}");
        login.end(node)?;
        if !is_let_in {
            logged(site, mark, &[MISSING])?;
        }
    }
    Ok(())
}
