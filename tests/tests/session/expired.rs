//! Users whose password has expired, with Debian's own PAM files. By keyboard-interactive sshd has it
//! changed in PAM's conversation and goes on; by other methods it opens the session and runs passwd(1)
//! there and nothing else, if there is a terminal (auth-pam.c, `sshpam_thread`; session.c, `do_pwchange`).

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lab::Status;
use tests::session::{ASKPASS, Method};
use tests::{Module, job_of_cgroup};

use crate::Test;
use crate::handover::{listens, logged};
use crate::site::{Login, NO_JOBS, OnNode, STRICT, Site, cgroup_of, wait_for};
use crate::ways::{banner, sshds_of_alice};

pub const TESTS: &[(&str, Test)] = &[
    ("an expired password", |site| with_expired(site, expired)),
    ("an expired password on a terminal", |site| {
        with_expired(site, terminal)
    }),
    ("an expired password, the account line too late", |site| {
        with_expired(site, too_late)
    }),
];

/// Whether the account line comes before Debian's, as docs/session.md has it, or after.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    Advised,
    TooLate,
}

/// alice's and bob's passwords.
struct Expired<'a> {
    site: &'a Site,
    /// /etc/shadow before and after they expired.
    valid: Vec<u8>,
    expired: Vec<u8>,
}

/// Leaves the passwords as they were.
fn with_expired(site: &Site, test: impl FnOnce(&Expired<'_>) -> Result<()>) -> Result<()> {
    let node = site.node();
    let valid = node.read("/etc/shadow")?;
    node.sh("chage -d 0 alice; chage -d 0 bob")?;
    let expired = Expired {
        site,
        expired: node.read("/etc/shadow")?,
        valid,
    };
    let result = test(&expired);
    node.write("/etc/shadow", &expired.valid, 0o600)?;
    node.write(ASKPASS.0, ASKPASS.1, 0o755)?;
    result
}

impl Expired<'_> {
    /// Debian's stack for sshd, shortened: docs/session.md.
    fn use_stack(&self, module: Module, order: Order) -> Result<()> {
        let line = |kind| format!("{kind} required {} {STRICT}", module.path());
        let mut stack = vec![
            line("account"),
            "@include common-account".into(),
            "@include common-auth".into(),
            "session required pam_loginuid.so".into(),
            "@include common-session".into(),
            "@include common-password".into(),
        ];
        if order == Order::TooLate {
            stack.swap(0, 1);
        }
        if module == Module::Ours {
            stack.push(line("session"));
        }
        let node = self.site.node();
        node.write("/etc/pam.d/sshd", stack.join("\n") + "\n", 0o644)
    }

    /// Logs in when the password has expired, whatever an earlier login has made of it.
    fn log_in(&self, user: &str, method: Method) -> Result<Login> {
        self.expire()?;
        self.site.log_in(user, method)
    }

    fn expire(&self) -> Result<()> {
        let node = self.site.node();
        node.write("/etc/shadow", &self.expired, 0o600)
    }

    /// Whether somebody has a new one.
    fn is_changed(&self) -> Result<bool> {
        Ok(self.site.node().read("/etc/shadow")? != self.expired)
    }

    /// With passwords that have not expired.
    fn bob_is_denied_without(&self, method: Method) -> Result<()> {
        let node = self.site.node();
        node.write("/etc/shadow", &self.valid, 0o600)?;
        let login = self.site.log_in("bob", method)?;
        denied(&login)?;
        login.end(node)
    }

    /// sshd has let the user in, for no more than passwd(1), which wants a terminal.
    fn kept_from_a_shell(&self, login: &Login) -> Result<()> {
        let told = login.stderr.contains("Password change required");
        ensure!(login.shell.is_none() && told, "{login}");
        ensure!(login.status == Some(Status::Exited(1)), "{login}");
        ensure!(!self.is_changed()?, "{login}");
        Ok(())
    }
}

fn denied(login: &Login) -> Result<()> {
    let told = login.stderr.contains(NO_JOBS);
    ensure!(login.shell.is_none() && told, "{login}");
    ensure!(login.status == Some(Status::Exited(255)), "{login}");
    Ok(())
}

/// With docs/session.md's stack: alice, who has a job, gets into it or nowhere; bob, who has none, nowhere.
fn expired(passwords: &Expired<'_>) -> Result<()> {
    let site = passwords.site;
    let node = site.node();
    passwords.use_stack(Module::Ours, Order::Advised)?;
    let job = site.cluster().submit("alice", &[])?;
    for method in Method::ALL {
        let mark = node.syslog_mark()?;
        let login = passwords.log_in("alice", method)?;
        match method.is_keyboard_interactive() {
            true => {
                let shell = login.shell()?;
                ensure!(shell.job(node)? == Some(job), "{login}");
                ensure!(shell.is_told(job), "{login}");
                ensure!(passwords.is_changed()?, "{login}");
            }
            false => passwords.kept_from_a_shell(&login)?,
        }
        logged(site, mark, &[&format!("decision=adopted job={job} ")])?;
        login.end(node)?;

        // Not even asked for a new one.
        let login = passwords.log_in("bob", method)?;
        denied(&login)?;
        ensure!(!passwords.is_changed()?, "{login}");
        login.end(node)?;
        passwords.bob_is_denied_without(method)?;
    }
    // The old one is no new one.
    node.write(ASKPASS.0, "#!/bin/sh\necho \"$USER-secret\"\n", 0o755)?;
    for method in Method::ALL {
        let login = passwords.log_in("alice", method)?;
        match method.is_keyboard_interactive() {
            true => {
                ensure!(login.shell.is_none(), "{login}");
                ensure!(login.status == Some(Status::Exited(255)), "{login}");
                ensure!(!passwords.is_changed()?, "{login}");
            }
            false => passwords.kept_from_a_shell(&login)?,
        }
        login.end(node)?;
    }
    Ok(())
}

/// The passwd(1) that sshd runs is in the job, as all of the session.
fn terminal(passwords: &Expired<'_>) -> Result<()> {
    const TYPE: &str = "/usr/local/bin/ssh-typed";
    const NEW: &str = "9WHY+MUTE63";
    let site = passwords.site;
    let node = site.node();
    // To be answered when it asks: it drops what was typed before.
    node.write(TYPE, "#!/bin/sh\nexec ssh \"$@\" <>/run/typed\n", 0o755)?;
    node.sh("rm -f /run/typed; mkfifo -m 600 /run/typed; chown alice /run/typed")?;
    passwords.use_stack(Module::Ours, Order::Advised)?;
    let job = site.cluster().submit("alice", &[])?;
    for method in [Method::PublicKey, Method::Password] {
        passwords.expire()?;
        let argv = [TYPE, "-tt", "node1", "echo in"];
        let mut client = site.client("alice", method, &argv).spawn()?;
        for (question, answer) in [
            ("Current password: ", "alice-secret"),
            ("New password: ", NEW),
            ("Retype new password: ", NEW),
        ] {
            wait_for(question, || {
                Ok(client.stdout()?.ends_with(question) || !client.is_running()?)
            })?;
            let told = (client.stdout()?, client.stderr()?);
            ensure!(client.is_running()?, "{method}: {told:?}");
            // What an earlier login has left may still be there.
            let mut all = Vec::new();
            wait_for("passwd(1) and two sshds", || {
                all = node.processes("passwd")?;
                all.extend(sshds_of_alice(site)?);
                Ok(all.len() == 3)
            })
            .with_context(|| method.to_string())?;
            for (pid, line) in all {
                let cgroup = cgroup_of(node, pid)?;
                let found = job_of_cgroup(node, &cgroup)?;
                ensure!(found == Some(job), "{method}: {line}: {cgroup}");
            }
            node.sh(&format!("echo '{answer}' >/run/typed"))?;
        }
        let end = client.wait(Duration::from_secs(20))?;
        let told = client.stdout()?;
        ensure!(end == Some(Status::Exited(0)), "{method}: {end:?} {told}");
        ensure!(!told.contains("in\r\n"), "{method}: {told}");
        ensure!(passwords.is_changed()?, "{method}: {told}");
        let login = site.log_in("alice", Method::PublicKey)?;
        ensure!(login.shell()?.job(node)? == Some(job), "{login}");
        login.end(node)?;
    }
    node.sh(&format!("rm /run/typed {TYPE}"))?;
    Ok(())
}

/// An expired password ends the account stack, and our line is not asked, nor is SchedMD's: then
/// keyboard-interactive lets in whoever changes it. Our session line adopts who has a job, and keeps out
/// who has none: no record of the account phase vouches for them.
fn too_late(passwords: &Expired<'_>) -> Result<()> {
    let site = passwords.site;
    let job = site.cluster().submit("alice", &[])?;
    for module in [Module::Ours, Module::SchedMd] {
        passwords.use_stack(module, Order::TooLate)?;
        for method in Method::ALL {
            for user in ["alice", "bob"] {
                log_in_too_late(passwords, module, method, user, job)?;
            }
            passwords.bob_is_denied_without(method)?;
        }
        passwd_outside(passwords)?;
        forwarding(passwords, module)?;
    }
    not_adopted(passwords, job)
}

/// alice has that job, bob none.
fn log_in_too_late(
    passwords: &Expired<'_>,
    module: Module,
    method: Method,
    user: &str,
    job: u32,
) -> Result<()> {
    let site = passwords.site;
    let node = site.node();
    let mark = node.syslog_mark()?;
    let login = passwords.log_in(user, method)?;
    if !method.is_keyboard_interactive() {
        passwords.kept_from_a_shell(&login)?;
    } else if module == Module::Ours && user == "bob" {
        ensure!(login.shell.is_none(), "{login}");
        logged(site, mark, &["the record of the account phase is missing"])?;
    } else {
        let adopted = (module == Module::Ours).then_some(job);
        let found = login.shell()?.job(node)?;
        ensure!(found == adopted, "{module:?} {user} {found:?}: {login}");
        ensure!(passwords.is_changed()?, "{module:?} {user} {login}");
    }
    login.end(node)
}

/// bob, who has no job, can have passwd(1) outside.
fn passwd_outside(passwords: &Expired<'_>) -> Result<()> {
    let node = passwords.site.node();
    passwords.expire()?;
    let argv = ["ssh", "-tt", "node1"];
    let client = passwords.site.client("bob", Method::PublicKey, &argv);
    let client = client.spawn()?;
    // Before that it has a child of its name, which ends at once.
    wait_for("passwd(1)", || {
        Ok(client.stdout()?.ends_with("Current password: "))
    })?;
    let mut found = Vec::new();
    wait_for("passwd(1) alone", || {
        found = node.processes("passwd")?;
        Ok(found.len() == 1)
    })?;
    for (pid, line) in found {
        let cgroup = cgroup_of(node, pid).with_context(|| line.clone())?;
        ensure!(job_of_cgroup(node, &cgroup)?.is_none(), "{line}: {cgroup}");
    }
    Ok(())
}

/// bob can have forwarding where he can have a shell.
fn forwarding(passwords: &Expired<'_>, module: Module) -> Result<()> {
    let site = passwords.site;
    for method in [Method::PublicKey, Method::KeyboardInteractive] {
        passwords.expire()?;
        let argv = ["ssh", "-N", "-L", "9001:localhost:22", "node1"];
        let client = site.client("bob", method, &argv).spawn()?;
        wait_for("the client to listen", || listens(site))?;
        let forwarded = !banner(site)?.is_empty();
        let expected = method.is_keyboard_interactive() && module == Module::SchedMd;
        ensure!(forwarded == expected, "{method}: {}", client.stderr()?);
        drop(client);
        wait_for("the client's end", || Ok(!listens(site)?))?;
    }
    Ok(())
}

/// Nor does the session line let in whom it can't adopt.
fn not_adopted(passwords: &Expired<'_>, job: u32) -> Result<()> {
    let node = passwords.site.node();
    let stepd = node.pid_of_stepd(job)?;
    for order in [Order::Advised, Order::TooLate] {
        passwords.use_stack(Module::Ours, order)?;
        node.signal(stepd, "STOP")?;
        let login = passwords.log_in("alice", Method::KeyboardInteractive);
        node.signal(stepd, "CONT")?;
        let login = login?;
        ensure!(login.shell.is_none(), "{order:?}: {login}");
        login.end(node)?;
    }
    Ok(())
}
