//! What a site sets beyond SchedMD's options: the file of options, exemptions, modes, the kill switch, messages and logs.

#![forbid(unsafe_code)]

mod environment;
mod logs;

use anyhow::{Context, Result, bail, ensure};
use lab::{Cluster, Node, Status, Suite};
use serde_json::Value;
use tests::{
    CLI, Call, End, Matrix, Module, OURS, Outcome, PAMCALL, Shared, job_of_cgroup, suspended,
};

/// The file of options.
const FILE: &str = "/etc/security/slurm_adopt.conf";
const NO_JOB: &str = "Access denied by pam_slurm_adopt: you have no active jobs on this node";

type Test = fn(&Cluster) -> Result<()>;

const TESTS: &[(&str, Test)] = &[
    (
        "an exempt user gets in, and into a job of theirs",
        exempt_users,
    ),
    (
        "an exempt user stays in through both phases",
        exempt_in_both_phases,
    ),
    ("a member of an exempt group gets in", exempt_groups),
    (
        "a directory that hangs exempts nobody and delays nobody else",
        hung_directory,
    ),
    ("the file of options counts, and arguments before it", file),
    ("a file that a user could write is ignored", foreign_file),
    ("strict closes what is open by default", strict),
    ("mode=audit tells and changes nothing", audit),
    ("mode=adopt-only adopts and denies nobody", adopt_only),
    (
        "a mode of one line does not undo what the other enforces",
        modes_of_two_lines,
    ),
    ("the kill switch lets everyone in", kill_switch),
    ("users read the site's messages", messages),
    ("each line of the log is one JSON object", logs::json),
    (
        "foreign text stays within its JSON string",
        logs::foreign_text,
    ),
    ("what slurm-adopt sums up of JSON lines", logs::sums),
    (
        "the journal gets each line once, with fields",
        logs::journal,
    ),
];

fn main() {
    // Nothing here depends on the release but what ssh shows of a message.
    let suites = [Suite::Bullseye, Suite::Forky];
    let mut matrix = Matrix::with_lanes(&Suite::ALL, 1, |suite| {
        Shared::new(suite, |suite| {
            let program = tests::dist("slurm-adopt")?;
            tests::cluster(suite)?.copy(program, CLI).start()
        })
    });
    for (name, test) in TESTS {
        matrix.add_on(&suites, name, |_, stage| run(stage, *test));
    }
    // Each release sets other variables; one shows the rest.
    for (name, test) in environment::TESTS {
        matrix.add_on(&[Suite::Forky], name, |_, stage| run(stage, *test));
        let others = [Suite::Bookworm, Suite::Trixie];
        matrix.add_long(&others, name, |_, stage| run(stage, *test));
    }
    matrix.run();
}

/// Runs a test on the suite's cluster.
fn run(stage: &mut Shared<Cluster>, test: Test) -> Result<()> {
    stage.run(
        |cluster| {
            let done = test(cluster);
            cluster.node(1).sh(&format!("rm -f {FILE}"))?;
            done
        },
        |cluster| cluster.cancel_all(),
    )
}

/// A login by the account line with these options; the job that it is in.
fn login(node: &Node, user: &str, options: &str) -> Result<(Outcome, Option<u32>)> {
    let outcome = Call::new(user, options).make(node, Module::Ours)?;
    let job = outcome.job(node)?;
    Ok((outcome, job))
}

/// PAM's code and the job.
fn expect(node: &Node, user: &str, options: &str, code: i64, job: Option<u32>) -> Result<Outcome> {
    let (outcome, found) = login(node, user, options)?;
    ensure!(
        outcome.end == End::Code(code) && found == job,
        "{user}, {options}: {outcome}, in job {found:?}, expected {code} and {job:?}"
    );
    Ok(outcome)
}

/// Checks that a login takes less than so many milliseconds; on a busy host the quickest of several counts.
fn within(millis: u64, login: impl Fn() -> Result<Outcome>) -> Result<()> {
    let mut last = login()?;
    for _ in 0..30 {
        if last.micros < millis * 1000 {
            return Ok(());
        }
        last = login()?;
    }
    bail!("never within {millis} ms: {last:?}")
}

/// What the log has of a login.
fn logged(node: &Node, act: impl FnOnce() -> Result<()>, texts: &[&str]) -> Result<()> {
    let mark = node.syslog_mark()?;
    act()?;
    let log = node.syslog_since(mark)?;
    for text in texts {
        ensure!(log.contains(text), "not in the log: {text}\n{log}");
    }
    Ok(())
}

fn exempt_users(cluster: &Cluster) -> Result<()> {
    let node = cluster.node(1);
    let options = "exempt_users=carol,2002 exempt_uid_below=2001";
    let bob = || expect(node, "bob", options, 0, None).map(drop);
    let texts = [
        "decision=allowed-without-adoption",
        "exempt (exempt_users has the user); otherwise denied: no job on this node",
    ];
    logged(node, bob, &texts)?;
    expect(node, "carol", options, 0, None)?;
    expect(node, "alice", options, 6, None)?;
    let below = "exempt_uid_below=2002";
    expect(node, "alice", below, 0, None)?;
    expect(node, "bob", below, 6, None)?;
    let job = cluster.submit("bob", &[])?;
    expect(node, "bob", options, 0, Some(job))?;
    // Also where nothing is known of Slurm, and where a slurmstepd hangs.
    let lost = format!("{options} slurm_conf=/none action_generic_failure=deny");
    expect(node, "bob", &lost, 0, None)?;
    expect(node, "alice", &lost, 6, None)?;
    let stepd = node.pid_of_stepd(job)?;
    node.signal(stepd, "STOP")?;
    let silent = expect(node, "bob", &format!("{options} timeout=1"), 0, None);
    node.signal(stepd, "CONT")?;
    silent.map(drop)
}

fn exempt_groups(cluster: &Cluster) -> Result<()> {
    let node = cluster.node(1);
    node.sh("cp /etc/group /etc/group.saved; echo 'admins:x:900:bob' >>/etc/group")?;
    let done = (|| {
        for options in ["exempt_groups=staff,admins", "exempt_groups=900"] {
            expect(node, "bob", options, 0, None)?;
            expect(node, "alice", options, 6, None)?;
        }
        // The primary group stands in passwd alone.
        let primary = format!("exempt_groups={}", node.sh("id -g alice")?.trim());
        expect(node, "alice", &primary, 0, None)?;
        expect(node, "bob", &primary, 6, None)?;
        let missing = || expect(node, "alice", "exempt_groups=nowhere", 6, None).map(drop);
        logged(node, missing, &["one of exempt_groups is not found"])
    })();
    node.sh("mv /etc/group.saved /etc/group")?;
    done
}

/// A FIFO in the place of /etc/group stands for a directory service that does not answer: who opens it waits.
fn hung_directory(cluster: &Cluster) -> Result<()> {
    let node = cluster.node(1);
    let job = cluster.submit("alice", &[])?;
    node.sh("mv /etc/group /etc/group.saved; mkfifo /etc/group")?;
    let done = (|| {
        let options = "exempt_groups=admins timeout=1";
        let bob = || {
            within(1_150, || {
                let login = expect(node, "bob", options, 6, None)?;
                ensure!(login.left_open.is_empty(), "left open: {login}");
                Ok(login)
            })
        };
        let texts = [
            "exempt_groups: read /etc/group: not a regular file",
            "find the groups of bob: no answer in time; the user counts as not exempt",
        ];
        logged(node, bob, &texts)?;
        // No group decides here, for which half a second would be kept.
        within(450, || {
            expect(
                node,
                "alice",
                "exempt_groups=admins timeout=20",
                0,
                Some(job),
            )
        })?;
        expect(node, "root", options, 25, None)?;
        // A stepd that hangs as well takes no more than its share of the one deadline.
        let stepd = node.pid_of_stepd(job)?;
        node.signal(stepd, "STOP")?;
        let both = within(1_150, || {
            node.remove("/run/slurm-adopt")?;
            expect(node, "bob", options, 6, None)
        });
        node.signal(stepd, "CONT")?;
        both.context("beyond the deadline")?;
        // What stands before the groups does not wait for them.
        expect(node, "bob", &format!("{options} exempt_users=bob"), 0, None)?;
        ensure!(node.processes("pamcall")?.is_empty(), "a process is left");
        Ok(())
    })();
    node.sh("rm /etc/group; mv /etc/group.saved /etc/group")?;
    done
}

fn file(cluster: &Cluster) -> Result<()> {
    let node = cluster.node(1);
    let text = "# Site defaults.\n\naction_generic_failure = deny # not left to others\n\
                exempt_users = bob\ntimeout=never\n";
    node.write(FILE, text, 0o644)?;
    let bob = || expect(node, "bob", "", 0, None).map(drop);
    let texts =
        ["/etc/security/slurm_adopt.conf:5: timeout: invalid value \"never\" (expected SECONDS)"];
    logged(node, bob, &texts)?;
    expect(node, "alice", "", 6, None)?;
    expect(node, "alice", "slurm_conf=/none", 6, None)?;
    let argument = "slurm_conf=/none action_generic_failure=ignore";
    expect(node, "alice", argument, 25, None)?;
    expect(node, "bob", "exempt_users=carol", 6, None)?;
    // The same by sshd, whose line says nothing of it.
    let in_by_ssh = node.ssh("bob", node.name(), &["true"])?;
    ensure!(in_by_ssh.status == Status::Exited(0), "{in_by_ssh}");
    let kept_out = node.ssh("alice", node.name(), &["true"])?;
    ensure!(kept_out.stderr.contains(NO_JOB), "{kept_out}");
    let explained = node.run(&[CLI, "explain", "bob"])?;
    ensure!(
        explained
            .stdout
            .contains("exempt (exempt_users has the user)"),
        "{explained}"
    );
    Ok(())
}

fn foreign_file(cluster: &Cluster) -> Result<()> {
    let node = cluster.node(1);
    for (owner, mode) in [((2001, 2001), 0o644), ((0, 0), 0o666), ((0, 2001), 0o664)] {
        node.write_owned(FILE, "exempt_users = alice\n", mode, owner)?;
        // Nor is anything open that it may have closed.
        expect(node, "alice", "slurm_conf=/none", 6, None)?;
        let alice = || expect(node, "alice", "", 6, None).map(drop);
        let texts =
            ["slurm_adopt.conf: must be root's and writable by its owner alone, but has owner uid"];
        logged(node, alice, &texts).with_context(|| format!("{owner:?}, {mode:o}"))?;
        node.sh(&format!("rm {FILE}"))?;
    }
    Ok(())
}

fn strict(cluster: &Cluster) -> Result<()> {
    let node = cluster.node(1);
    let lost = |options: &str, code| {
        let options = format!("slurm_conf=/none {options}");
        expect(node, "alice", &options, code, None)
    };
    lost("", 25)?;
    lost("strict", 6)?;
    lost("strict=1", 6)?;
    lost("strict=0", 25)?;
    lost("action_generic_failure=ignore strict", 25)?;
    // A job that is suspended takes nobody in.
    let job = cluster.submit("alice", &[])?;
    node.sh(&suspended::begin(job))?;
    node.sh(&suspended::frozen(job))?;
    let done =
        expect(node, "alice", "", 0, None).and_then(|_| expect(node, "alice", "strict", 6, None));
    node.sh(&suspended::resume(job))?;
    done.map(drop)
}

fn audit(cluster: &Cluster) -> Result<()> {
    let node = cluster.node(1);
    let job = cluster.submit("alice", &[])?;
    let alice = || expect(node, "alice", "mode=audit", 0, None).map(drop);
    let adopted = format!("mode=audit: would be adopted into job {job}: the user's only job here");
    logged(node, alice, &["decision=audited job=- ms=", &adopted])?;
    // The node's own stack has other modules: they decide.
    let bob = || expect(node, "bob", "mode=audit", 25, None).map(drop);
    logged(
        node,
        bob,
        &["mode=audit: would be denied: no job on this node"],
    )?;
    let exempt = || expect(node, "bob", "mode=audit exempt_users=bob", 0, None).map(drop);
    logged(
        node,
        exempt,
        &["would be admitted without adoption: exempt (exempt_users"],
    )?;
    let lost = || {
        let options = "mode=audit slurm_conf=/none action_generic_failure=deny";
        expect(node, "bob", options, 25, None).map(drop)
    };
    logged(
        node,
        lost,
        &["mode=audit: would be denied: read slurm.conf /none"],
    )?;
    // A denial that does not count ends no stack, as a success would behind `sufficient`.
    let stack = format!(
        "account [success=done default=ignore] {OURS} mode=audit\naccount required pam_deny.so\n"
    );
    for (user, code) in [("alice", 0), ("bob", 7)] {
        let (outcome, _) = by_stack(node, &stack, user, "account")?;
        ensure!(outcome == code, "{user}: {outcome}");
    }
    // By sshd, both phases.
    node.write(FILE, "mode = audit\n", 0o644)?;
    let explained = node.run(&[CLI, "explain", "bob"])?;
    ensure!(
        explained
            .stdout
            .contains("mode=audit: would be denied: no job on this node"),
        "{explained}"
    );
    let shell = node.ssh("alice", node.name(), &["cat", "/proc/self/cgroup"])?;
    ensure!(
        job_of_cgroup(node, &shell.ok()?)?.is_none(),
        "it is in a job"
    );
    let bob = node.ssh("bob", node.name(), &["true"])?;
    ensure!(bob.status == Status::Exited(0), "{bob}");
    node.sh(&format!("rm {FILE}"))?;
    // What is suspended adopts nobody.
    node.sh(&suspended::begin(job))?;
    node.sh(&suspended::frozen(job))?;
    let alice = || expect(node, "alice", "mode=audit strict", 25, None).map(drop);
    let text = format!("mode=audit: would be denied: adoption failed: job {job} is suspended");
    let done = logged(node, alice, &[&text]);
    node.sh(&suspended::resume(job))?;
    done
}

/// The code of a stack's phase, and the job that the login ends up in.
fn by_stack(node: &Node, stack: &str, user: &str, phase: &str) -> Result<(i64, Option<u32>)> {
    const DIR: &str = "/run/site";
    node.write(&format!("{DIR}/sshd"), stack, 0o644)?;
    let argv = [PAMCALL, "--confdir", DIR, "--user", user, "--phase", phase];
    let answer: Value = serde_json::from_str(&node.run(&argv)?.ok()?)?;
    let code = answer["code"].as_i64().context("its code")?;
    let cgroup = answer["cgroup"].as_str().context("its cgroup")?;
    Ok((code, job_of_cgroup(node, cgroup)?))
}

/// The session line sees to it that a login stays where an enforcing account line has put it, whatever its mode is.
fn modes_of_two_lines(cluster: &Cluster) -> Result<()> {
    let node = cluster.node(1);
    let job = cluster.submit("alice", &[])?;
    // Between the phases the login is moved out of its job.
    let out = "session required pam_exec.so type=open_session /usr/local/sbin/move-out";
    let script = "#!/bin/sh\nfor it in $(find /sys/fs/cgroup -maxdepth 2 -name cgroup.procs); do\n\
                  echo $PPID >$it 2>/dev/null || :\ndone\n";
    node.write("/usr/local/sbin/move-out", script, 0o755)?;
    for (account, session, expected) in [
        ("", "mode=audit", Some(job)),
        ("", "mode=adopt-only", Some(job)),
        ("mode=audit", "", Some(job)),
        ("mode=audit", "mode=audit", None),
        ("mode=adopt-only", "mode=adopt-only", Some(job)),
    ] {
        let stack = format!(
            "account required {OURS} strict {account}\naccount required pam_permit.so\n{out}\n\
             session required {OURS} strict {session}\n"
        );
        let text = format!("account {account}, session {session}");
        let (code, found) = by_stack(node, &stack, "alice", "both").context(text.clone())?;
        ensure!(
            (code, found) == (0, expected),
            "{text}: {code}, in {found:?}"
        );
    }
    Ok(())
}

fn adopt_only(cluster: &Cluster) -> Result<()> {
    let node = cluster.node(1);
    let job = cluster.submit("alice", &[])?;
    let strict = "mode=adopt-only strict";
    expect(node, "alice", strict, 0, Some(job))?;
    expect(node, "bob", strict, 25, None)?;
    expect(node, "bob", &format!("{strict} slurm_conf=/none"), 25, None)?;
    let _second = cluster.submit("alice", &[])?;
    expect(
        node,
        "alice",
        &format!("{strict} action_unknown=deny"),
        25,
        None,
    )?;
    Ok(())
}

fn kill_switch(cluster: &Cluster) -> Result<()> {
    const SWITCH: &str = "/run/let-all-in";
    let node = cluster.node(1);
    let job = cluster.submit("alice", &[])?;
    let options = format!("kill_switch={SWITCH}");
    let user = |user: &str, code, job| expect(node, user, &options, code, job).map(drop);
    user("bob", 6, None)?;
    node.write(SWITCH, "", 0o600)?;
    for name in ["bob", "alice"] {
        let text = format!("user={name} uid=");
        let on = format!("the kill switch {SWITCH} is on: everyone gets in");
        logged(node, || user(name, 0, None), &[&text, &on])?;
    }
    node.sh(&format!("chown alice {SWITCH}"))?;
    let text = format!("kill_switch: ignoring {SWITCH}: must be a file of root");
    logged(node, || user("bob", 6, None), &[&text])?;
    node.sh(&format!("rm {SWITCH}"))?;
    user("bob", 6, None)?;
    user("alice", 0, Some(job))?;
    // Nor does a session line without the option take it for a failure.
    node.write(SWITCH, "", 0o600)?;
    let stack = format!(
        "account required {OURS} {options}\nsession required {OURS} strict action_no_jobs=deny\n"
    );
    let done = by_stack(node, &stack, "bob", "both")?;
    ensure!(done == (0, None), "{done:?}");
    Ok(())
}

/// What the account line exempts the session line, which does not know of it, does not deny.
fn exempt_in_both_phases(cluster: &Cluster) -> Result<()> {
    let node = cluster.node(1);
    let job = cluster.submit("bob", &[])?;
    node.sh(&suspended::begin(job))?;
    node.sh(&suspended::frozen(job))?;
    let login = |account: &str| {
        let stack =
            format!("account required {OURS} strict {account}\nsession required {OURS} strict\n");
        by_stack(node, &stack, "bob", "both")
    };
    let found = (login(""), login("exempt_users=bob"));
    node.sh(&suspended::resume(job))?;
    ensure!(
        found.0? == (6, None),
        "not exempt, and let into a suspended job"
    );
    let exempt = found.1?;
    ensure!(exempt == (0, None), "{exempt:?}");
    Ok(())
}

fn messages(cluster: &Cluster) -> Result<()> {
    let node = cluster.node(1);
    let options =
        "[message_no_jobs=No job of {user} on {host}. See {url}] message_url=https://x.example/";
    let bob = expect(node, "bob", options, 6, None)?;
    let text = "No job of bob on node1. See https://x.example/";
    ensure!(bob.messages == [text], "{bob}");
    let silent = expect(node, "bob", "message_no_jobs=", 6, None)?;
    ensure!(silent.messages.is_empty(), "{silent}");
    let bad = || {
        let bob = expect(node, "bob", "message_no_jobs={name}", 6, None)?;
        ensure!(bob.messages == [NO_JOB], "{bob}");
        Ok(())
    };
    logged(
        node,
        bad,
        &["message_no_jobs: invalid value \"{name}\" (expected TEXT)"],
    )?;
    let jobs = [cluster.submit("alice", &[])?, cluster.submit("alice", &[])?];
    let which = "action_unknown=deny [message_unknown=One of {jobs}?]";
    let alice = expect(node, "alice", which, 6, None)?;
    let text = format!("One of {}, {}?", jobs[0], jobs[1]);
    ensure!(alice.messages == [text], "{alice}");
    node.write(FILE, "message_no_jobs = \"Ask for a job first.\"\n", 0o644)?;
    let shown = node.ssh("bob", node.name(), &["true"])?;
    ensure!(shown.stderr.contains("Ask for a job first."), "{shown}");
    ensure!(!shown.stderr.contains("Access denied"), "{shown}");
    Ok(())
}
