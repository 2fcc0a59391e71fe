//! From the account phase to the session phase: its choice must hold whatever other modules write into
//! the PAM environment, and much may happen between the two.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lab::Status;
use tests::Module;
use tests::session::{Lines, Method, set_in};

use crate::Test;
use crate::site::{OnNode, STRICT, Site, wait_for};
use crate::ways::banner;

pub const TESTS: &[(&str, Test)] = &[
    ("the account phase's choice holds", choice),
    ("another's job in the PAM environment", another_job),
    ("no job in the PAM environment", no_job),
    ("a helper without a session line", helper),
    ("a session that was taken out of its job", taken_out),
    (
        "a session that ends outside its job is logged",
        ends_outside,
    ),
    ("a job that ends between the phases", ends_between),
    (
        "a job that ends between the phases, its number hidden",
        hidden,
    ),
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
            // carol has no job at all; that an account line says so must be the end of it.
            if lines == Lines::Session {
                continue;
            }
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
                ensure!(shell.job(node)? == Some(job), "'{value}' {lines}: {login}");
                ensure!(shell.is_told(job), "'{value}' {lines}: {login}");
            }
            login.end(node)?;
        }
    }
    Ok(())
}

/// Has the PAM environment name that job in front of the session line.
fn named(site: &Site, lines: Lines, job: &str) -> Result<()> {
    let before = name(site, job)?;
    site.use_stack(Module::Ours, lines, STRICT, &before)
}

/// A line that sets SLURM_JOB_ID; to nothing: takes it away, pam_env.conf(5). Debian 12 lets users do
/// that in a file of theirs, ~/.pam_environment, by the option user_readenv in its stack for sshd.
pub fn name(site: &Site, job: &str) -> Result<String> {
    const FILE: &str = "/etc/security/named.conf";
    let text = format!("SLURM_JOB_ID DEFAULT={job}\n");
    site.node().write(FILE, text, 0o644)?;
    Ok(format!(
        "session required pam_env.so readenv=0 conffile={FILE}"
    ))
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
                ensure!(set_in(&shell.env) == "nothing", "{options}: {login}");
            }
            login.end(node)?;
            logged(
                site,
                mark,
                &["also needs the line: session required pam_slurm_adopt.so"],
            )?;
        }
    }
    site.use_stack(Module::Ours, Lines::Both, STRICT, "")?;
    let mark = node.syslog_mark()?;
    let login = site.log_in("alice", Method::KeyboardInteractive)?;
    ensure!(login.shell()?.job(node)? == Some(job), "{login}");
    login.end(node)?;
    let left = format!("decision=left-to-session job={job} ");
    let adopted = format!("decision=adopted job={job} ");
    logged(site, mark, &[&left, &adopted])
}

/// As pam_systemd does: a module before ours takes the session out of the job that the account phase
/// has put it into.
fn taken_out(site: &Site) -> Result<()> {
    let node = site.node();
    // libpam runs it as a child of root's sshd. Not with cgroup v2: there is one on a hybrid host too,
    // which Slurm does not use.
    const TAKE_OUT: &str = "#!/bin/sh\nfor procs in /sys/fs/cgroup/*/cgroup.procs; do\n\
                            case $procs in */unified/*) ;; *) echo $PPID >$procs;; esac\ndone\n";
    node.write("/usr/local/bin/take-out", TAKE_OUT, 0o755)?;
    let take_out = "session required pam_exec.so /usr/local/bin/take-out";
    let job = site.cluster().submit("alice", &[])?;
    for method in [Method::PublicKey, Method::Password] {
        site.use_stack(Module::Ours, Lines::Account, STRICT, take_out)?;
        let login = site.log_in("alice", method)?;
        ensure!(
            login.shell()?.job(node)?.is_none(),
            "not taken out: {login}"
        );
        login.end(node)?;
    }
    site.use_stack(Module::Ours, Lines::Both, STRICT, take_out)?;
    let mut logins = Vec::new();
    for method in Method::ALL {
        let mark = node.syslog_mark()?;
        let login = site.log_in("alice", method)?;
        ensure!(login.shell()?.job(node)? == Some(job), "{login}");
        ensure!(set_in(&login.shell()?.env) == "SLURM_JOB_ID", "{login}");
        logged(site, mark, &["; moved there from "])?;
        logins.push(login);
    }
    site.cluster().cancel(job)?;
    for login in logins {
        wait_for("the logins to end with the job", || {
            Ok(login.shell()?.alive(node)? == "nothing")
        })?;
        login.end(node)?;
    }
    Ok(())
}

/// As where pam_systemd's line comes after ours: what moves the session then can't be undone, but it is told.
fn ends_outside(site: &Site) -> Result<()> {
    const PLACE: &str = "user.slice/user-2001.slice/session-7.scope";
    let node = site.node();
    let job = site.cluster().submit("alice", &[])?;
    let move_out = site.at_session(&format!(
        "for dir in /sys/fs/cgroup/freezer /sys/fs/cgroup; do
             test -e $dir/cgroup.procs || continue
             mkdir -p $dir/{PLACE} && echo $PPID >$dir/{PLACE}/cgroup.procs
             exit
         done"
    ))?;
    let stack = tests::session::stack(Module::Ours, Lines::Both, STRICT, "");
    for (after, is_told) in [(move_out.as_str(), true), ("", false)] {
        node.write("/etc/pam.d/sshd", format!("{stack}{after}\n"), 0o644)?;
        let mark = node.syslog_mark()?;
        let argv = ["ssh", "node1", "true"];
        let login = site.client("alice", Method::PublicKey, &argv).output()?;
        ensure!(login.success(), "{login}");
        let told = format!("the session ran in /{PLACE} (pam_systemd), not in job {job}");
        match is_told {
            true => logged(site, mark, &[&told])?,
            false => {
                logged(site, mark, &["decision=adopted"])?;
                let log = node.syslog_since(mark)?;
                ensure!(!log.contains("the session ran in"), "{log}");
            }
        }
    }
    Ok(())
}

/// The job that the account phase chose is gone when the session begins: whom that has put into the job
/// ends with it, the others are kept out, and nothing is forwarded either.
fn ends_between(site: &Site) -> Result<()> {
    kept_out_without_job(site, "")
}

/// The same, where a user's file says otherwise than the account phase, or nothing.
fn hidden(site: &Site) -> Result<()> {
    // By the user, as far as this release's pam_env still reads that file.
    let node = site.node();
    let own = "/home/alice/.pam_environment";
    node.write_owned(own, "SLURM_JOB_ID DEFAULT=x\n", 0o644, (2001, 2001))?;
    let by_user = kept_out_without_job(site, "session required pam_env.so user_readenv=1");
    node.remove(own)?;
    by_user.context("by the user's own ~/.pam_environment")?;
    for job in ["", "x", "999999"] {
        let before = name(site, job)?;
        kept_out_without_job(site, &before)
            .with_context(|| format!("SLURM_JOB_ID set to '{job}'"))?;
    }
    Ok(())
}

/// With that line before the one that holds the session.
fn kept_out_without_job(site: &Site, before: &str) -> Result<()> {
    let before = format!("{before}\n{}", site.holding("")?);
    site.use_stack(Module::Ours, Lines::Both, STRICT, before.trim_start())?;
    for method in [Method::PublicKey, Method::KeyboardInteractive] {
        for argv in [
            &["ssh", "node1", "echo in"][..],
            &["ssh", "-N", "-L", "9001:localhost:22", "node1"],
        ] {
            let job = site.cluster().submit("alice", &[])?;
            let mut client = site.start_held("alice", method, argv)?;
            site.cluster().cancel(job)?;
            site.go_on()?;
            // sshd ends a command for which PAM opened no session with that status (session.c, do_child);
            // a connection without one it keeps, and forwards nothing (auth-pam.c, do_pam_session).
            let status = match method.is_keyboard_interactive() {
                true => 254,
                // What was in the job was killed with it.
                false => 255,
            };
            if argv.contains(&"-N") && status == 254 {
                wait_for("the client to listen", || listens(site))?;
                let forwarded = banner(site)?;
                ensure!(forwarded.is_empty(), "{method}: forwarded '{forwarded}'");
                continue;
            }
            let end = client.wait(Duration::from_secs(20))?;
            let (told, stderr) = (client.stdout()?, client.stderr()?);
            ensure!(
                end == Some(Status::Exited(status)) && !told.contains("in\n"),
                "{method} {argv:?}: {end:?} {told} {stderr}"
            );
        }
    }
    Ok(())
}

/// Whether a client listens on the port that it is to forward.
pub fn listens(site: &Site) -> Result<bool> {
    let script = "exec 3<>/dev/tcp/127.0.0.1/9001";
    Ok(site.node().run(&["bash", "-c", script])?.success())
}

/// Waits until a line of ours in the log has each of the texts.
pub fn logged(site: &Site, mark: usize, texts: &[&str]) -> Result<()> {
    let mut log = String::new();
    wait_for("the log", || {
        log = site.node().syslog_since(mark)?;
        let has = |text: &&str| {
            let mut lines = log.lines();
            lines.any(|it| it.contains("pam_slurm_adopt") && it.contains(text))
        };
        Ok(texts.iter().all(has))
    })
    .with_context(|| format!("{texts:?} is not in the log:\n{log}"))
}
