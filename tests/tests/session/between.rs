//! What the session phase knows of the account phase: nothing that is lost, late or hidden on the way lets
//! anybody in, and nobody is kept out whom others admitted.

use anyhow::{Context, Result, ensure};
use lab::Status;
use tests::session::{Lines, Method, set_in};
use tests::{Module, OURS};

use crate::Test;
use crate::handover::logged;
use crate::site::{NO_JOBS, OnNode, STRICT, Site};

pub const TESTS: &[(&str, Test)] = &[
    (
        "a slurm.conf that is gone in the session phase",
        conf_is_gone,
    ),
    ("a record that is lost lets nobody in", lost_record),
    ("whom others admitted is kept out by nothing", others_admit),
    ("a note is gone when its session begins", note_is_gone),
    ("both phases share one deadline", one_deadline),
    (
        "a session module that hides Slurm's files before ours",
        hidden_files,
    ),
    ("an account line that is listed twice", listed_twice),
    ("ours as the only session line", only_line),
    ("sshd after a domain transition", secure_execution),
];

const DENY_ADOPT: &str = "action_adopt_failure=deny";

/// The job was chosen: what fails then is an adoption failure, whatever action_generic_failure says. Who is
/// in the job already stays there.
fn conf_is_gone(site: &Site) -> Result<()> {
    let node = site.node();
    let job = site.cluster().submit("alice", &[])?;
    let hide = site.at_session("mv /etc/slurm/slurm.conf /etc/slurm/away")?;
    for options in [STRICT, DENY_ADOPT, "action_generic_failure=deny"] {
        for method in [Method::PublicKey, Method::KeyboardInteractive] {
            site.use_stack(Module::Ours, Lines::Both, options, &hide)?;
            // What an earlier login remembered of slurm.conf would do as well.
            node.sh("rm -f /run/slurm-adopt/node")?;
            let mark = node.syslog_mark()?;
            let login = site.log_in("alice", method);
            node.sh("mv /etc/slurm/away /etc/slurm/slurm.conf")?;
            let login = login?;
            let strict = options.contains(DENY_ADOPT);
            let is_in = !(strict && method.is_keyboard_interactive());
            ensure!(login.shell.is_some() == is_in, "{options}: {login}");
            if method.is_keyboard_interactive() {
                let cause = format!("adoption failed: job {job}, which the account phase chose: ");
                logged(site, mark, &[&cause])?;
            }
            if let Some(shell) = &login.shell {
                let expected = (!method.is_keyboard_interactive()).then_some(job);
                ensure!(shell.job(node)? == expected, "{options}: {login}");
            }
            login.end(node)?;
        }
    }
    Ok(())
}

/// Whether the note to the session phase is removed, or the job ends as well.
fn lost_record(site: &Site) -> Result<()> {
    let node = site.node();
    let lose = site.holding("rm -f /run/slurm-adopt/sessions/login*")?;
    site.use_stack(Module::Ours, Lines::Both, STRICT, &lose)?;
    for ends in [false, true] {
        let job = site.cluster().submit("alice", &[])?;
        let mark = node.syslog_mark()?;
        let argv = ["ssh", "node1", "echo in job $SLURM_JOB_ID"];
        let mut client = site.start_held("alice", Method::KeyboardInteractive, &argv)?;
        if ends {
            site.cluster().cancel(job)?;
        }
        site.go_on()?;
        let end = client.wait(std::time::Duration::from_secs(20))?;
        let told = client.stdout()?;
        if ends {
            ensure!(end == Some(Status::Exited(254)), "{end:?} {told}");
            logged(site, mark, &["the record of the account phase is missing"])?;
        } else {
            ensure!(told.trim() == format!("in job {job}"), "{end:?} {told}");
            site.cluster().cancel(job)?;
        }
    }
    Ok(())
}

/// By an account line before ours, and by our own that leaves it to the others.
fn others_admit(site: &Site) -> Result<()> {
    let node = site.node();
    let stack = |options: &str| {
        tests::session::stack(
            Module::Ours,
            Lines::Both,
            &format!("{STRICT} {options}"),
            "",
        )
    };
    let exempt =
        format!("account sufficient pam_succeed_if.so quiet user = carol\naccount required {OURS}");
    let exempt = stack("").replace(&format!("account required {OURS}"), &exempt);
    for (stack, user, other) in [
        (exempt, "carol", Some("bob")),
        (stack("action_no_jobs=ignore"), "bob", None),
    ] {
        node.write("/etc/pam.d/sshd", &*stack, 0o644)?;
        for method in Method::ALL {
            let mark = node.syslog_mark()?;
            let login = site.log_in(user, method)?;
            ensure!(login.shell()?.job(node)?.is_none(), "{login}");
            ensure!(set_in(&login.shell()?.env) == "nothing", "{login}");
            login.end(node)?;
            let log = node.syslog_since(mark)?;
            ensure!(!log.contains("adoption failed"), "{log}");
            if let Some(other) = other {
                let login = site.log_in(other, method)?;
                ensure!(login.stderr.contains(NO_JOBS), "{login}");
                login.end(node)?;
            }
        }
    }
    Ok(())
}

/// And so is that of a user whom we gave no job.
fn note_is_gone(site: &Site) -> Result<()> {
    let node = site.node();
    let options = format!("{STRICT} action_no_jobs=ignore");
    site.use_stack(Module::Ours, Lines::Both, &options, "")?;
    let job = site.cluster().submit("alice", &[])?;
    for (user, expected) in [("alice", Some(job)), ("bob", None)] {
        let login = site.log_in(user, Method::KeyboardInteractive)?;
        ensure!(login.shell()?.job(node)? == expected, "{login}");
        let mut notes = node.list("/run/slurm-adopt/sessions")?;
        notes.retain(|it| it.starts_with("login"));
        ensure!(notes.is_empty(), "{user}: {notes:?}");
        login.end(node)?;
    }
    Ok(())
}

/// timeout= holds for the login: what the account phase used of it the session phase does not have.
fn one_deadline(site: &Site) -> Result<()> {
    let node = site.node();
    let job = site.cluster().submit("alice", &[])?;
    let bobs = site.cluster().submit("bob", &[])?;
    // It was never met, and with deny its answer would matter.
    let stepd = node.pid_of_stepd(bobs)?;
    node.signal(stepd, "STOP")?;
    let options = format!("{STRICT} timeout=6 action_unknown=deny");
    site.use_stack(Module::Ours, Lines::Both, &options, "")?;
    let mark = node.syslog_mark()?;
    let login = site.log_in("alice", Method::KeyboardInteractive);
    node.signal(stepd, "CONT")?;
    let login = login?;
    ensure!(login.shell()?.job(node)? == Some(job), "{login}");
    login.end(node)?;
    logged(
        site,
        mark,
        &["decision=left-to-session", "decision=adopted"],
    )?;
    let log = node.syslog_since(mark)?;
    let took = log.lines().filter_map(|line| {
        let (_, rest) = line.split_once(" ms=")?;
        rest.split(' ').next()?.parse::<f64>().ok()
    });
    let took: f64 = took.sum();
    // Five seconds for the stepd; each phase by itself would wait that long.
    ensure!((4900.0..9000.0).contains(&took), "{took} ms: {log}");
    Ok(())
}

/// As a jail does: in the session's root there is no slurm.conf and no spool directory. The account phase has
/// put the login into its job before; from sshd's helper it could not, and that is a failed adoption.
fn hidden_files(site: &Site) -> Result<()> {
    let node = site.node();
    let job = site.cluster().submit("alice", &[])?;
    let conf = "/etc/slurm tmpfs tmpfs root\n/var/spool/slurmd tmpfs tmpfs root\n";
    node.write("/etc/security/namespace.conf", conf, 0o644)?;
    let hide = "session required pam_namespace.so ignore_instance_parent_mode";
    site.use_stack(Module::Ours, Lines::Both, STRICT, hide)?;
    for method in [Method::PublicKey, Method::Password] {
        let login = site.log_in("alice", method)?;
        let shell = login.shell()?;
        ensure!(shell.job(node)? == Some(job), "{login}");
        ensure!(shell.is_told(job), "{login}");
        let seen = node.sh(&format!("ls -A /proc/{}/root/etc/slurm", shell.pids[0]))?;
        ensure!(seen.is_empty(), "not hidden: {seen}");
        login.end(node)?;
    }
    let mark = node.syslog_mark()?;
    let login = site.log_in("alice", Method::KeyboardInteractive)?;
    ensure!(login.shell.is_none(), "{login}");
    login.end(node)?;
    let cause = format!("adoption failed: job {job}, which the account phase chose: ");
    logged(site, mark, &[&cause])
}

fn listed_twice(site: &Site) -> Result<()> {
    let node = site.node();
    let job = site.cluster().submit("alice", &[])?;
    let stack = tests::session::stack(Module::Ours, Lines::Account, STRICT, "");
    let stack = format!("account required {OURS}\n{stack}");
    node.write("/etc/pam.d/sshd", stack, 0o644)?;
    let mark = node.syslog_mark()?;
    let login = site.log_in("alice", Method::PublicKey)?;
    ensure!(login.shell()?.job(node)? == Some(job), "{login}");
    login.end(node)?;
    logged(
        site,
        mark,
        &["listed more than once in the account stack (/etc/pam.d/sshd:1, /etc/pam.d/sshd:"],
    )
}

/// Root always gets in, and so does whom others admitted.
fn only_line(site: &Site) -> Result<()> {
    let node = site.node();
    let job = site.cluster().submit("alice", &[])?;
    let stack = format!(
        "auth required pam_unix.so\naccount required pam_unix.so\nsession required {OURS} {STRICT}\n"
    );
    node.write("/etc/pam.d/sshd", stack, 0o644)?;
    let login = site.log_in("bob", Method::PublicKey)?;
    ensure!(login.shell()?.job(node)?.is_none(), "{login}");
    login.end(node)?;
    let login = site.log_in("alice", Method::PublicKey)?;
    ensure!(login.shell()?.job(node)? == Some(job), "{login}");
    login.end(node)?;
    let argv = Method::PublicKey.arguments(&["ssh", "root@node1", "echo root is in"]);
    let argv: Vec<&str> = argv.iter().map(String::as_str).collect();
    let root = node.command(&argv).output()?;
    ensure!(root.stdout == "root is in\n", "{root}");
    Ok(())
}

/// The kernel marks a program that went through a transition of SELinux's domains as it marks a set-user-ID
/// one (AT_SECURE); a set-group-ID bit stands for that here.
fn secure_execution(site: &Site) -> Result<()> {
    let node = site.node();
    const PROGRAMS: &str = "for f in /usr/lib/openssh/sshd-session /usr/sbin/sshd; do \
                            test ! -e $f || { chgrp nogroup $f && chmod MODE $f; }; done";
    node.sh(&PROGRAMS.replace("MODE", "2755"))?;
    let result = after_transition(site);
    node.sh(&PROGRAMS.replace("nogroup", "root").replace("MODE", "755"))?;
    result
}

fn after_transition(site: &Site) -> Result<()> {
    let node = site.node();
    let job = site.cluster().submit("alice", &[])?;
    site.use_stack(Module::Ours, Lines::Account, STRICT, "")?;
    let mark = node.syslog_mark()?;
    let login = site.log_in("alice", Method::KeyboardInteractive)?;
    ensure!(login.shell.is_none(), "{login}");
    logged(site, mark, &["runs the account phase in a helper process"])?;
    login.end(node)?;
    let options = format!("{STRICT} runtime_dir=create");
    site.use_stack(Module::Ours, Lines::Both, &options, "")?;
    for method in [Method::PublicKey, Method::KeyboardInteractive] {
        let login = site.log_in("alice", method)?;
        let shell = login.shell()?;
        let auxv = format!("od -An -tu8 -w16 /proc/{}/auxv", shell.pids[0]);
        let secure = node.sh(&format!("{auxv} | awk '$1 == 23 {{ print $2 }}'"))?;
        ensure!(secure.trim() == "1", "AT_SECURE of root's sshd: {secure}");
        ensure!(shell.job(node)? == Some(job), "{login}");
        let set = set_in(&shell.env);
        ensure!(set == "SLURM_JOB_ID, XDG_RUNTIME_DIR", "{set}: {login}");
        login.end(node)?;
    }
    // Nor does a login with both lines outlive a job that ends between them.
    site.use_stack(Module::Ours, Lines::Both, STRICT, &site.holding("")?)?;
    let argv = ["ssh", "node1", "echo in"];
    let mut client = site.start_held("alice", Method::KeyboardInteractive, &argv)?;
    site.cluster().cancel(job)?;
    site.go_on()?;
    let end = client.wait(std::time::Duration::from_secs(20))?;
    let told = client.stdout().context("what it told")?;
    ensure!(
        end == Some(Status::Exited(254)) && !told.contains("in\n"),
        "{end:?} {told}"
    );
    Ok(())
}
