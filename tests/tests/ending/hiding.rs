//! What a user may try so that `slurm-adopt sweep` does not end their processes, or ends others'.

use anyhow::{Context, Result, ensure};
use lab::command::Background;
use lab::{Cluster, Node};

use crate::Test;
use crate::sweep::{SLEEP, epilog_of, expect, has_ended, stray, sweep, until};

pub const TESTS: &[(&str, Test)] = &[
    ("what hides from sweep is ended", hidden),
    ("what forks is ended, however fast", forks),
    (
        "containers are their users', and root's are spared",
        containers,
    ),
    ("what a Prolog does as the user is left alone", prolog),
];

/// As /etc/subuid has it.
const SUBUID: &str = "alice:100000:65536\n";
/// Sees that a Prolog's process lives: with this file it becomes the user for some seconds, and leaves its status.
const SLOW: &str = "/run/prolog.slow";
const STATUS: &str = "/run/prolog.status";
pub const PROLOG: &str = "#!/bin/sh\n\
    test -e /run/prolog.slow || exit 0\n\
    su -s /bin/sh -c 'exec sleep 4' $SLURM_JOB_USER\n\
    echo $? >/run/prolog.status\n";

/// Whether a process has this text in its command line.
fn is_there(node: &Node, text: &str) -> Result<bool> {
    Ok(!node.processes(text)?.is_empty())
}

fn hidden(cluster: &Cluster) -> Result<()> {
    let node = cluster.node(1);
    // Bob's program, which is alice's process with bob's effective uid.
    let program = "/usr/local/bin/bobs";
    node.sh(&format!(
        "cp /bin/sleep {program}; chown bob {program}; chmod 4755 {program}"
    ))?;
    let unnamed = ["perl", "-e", r#"$0 = "\xff\xfe"; sleep 100000"#];
    let mut alices = [
        stray(node, "alice", &unnamed)?,
        stray(node, "alice", &[program, "100000"])?,
    ];
    let pid = alices[0].pid();
    let name = format!("/proc/{pid}/comm");
    until("its name", || Ok(node.read(&name)?.starts_with(b"\xff")))?;
    let told = sweep(node, &["bob"])?;
    expect(&told, 0, "bob (uid 2002): nothing to end\n")?;
    let told = sweep(node, &["alice"])?;
    node.remove(program)?;
    expect(&told, 0, "alice (uid 2001): ended ")?;
    for it in &mut alices {
        ensure!(has_ended(it)?, "{told}");
    }
    Ok(())
}

fn forks(cluster: &Cluster) -> Result<()> {
    let node = cluster.node(1);
    let chain = "$SIG{TERM} = 'IGNORE'; while (1) { exit if fork }";
    let bomb =
        "$SIG{TERM} = 'IGNORE'; while (1) { defined fork or select undef, undef, undef, 0.1 }";
    for (name, script) in [("chain", chain), ("bomb", bomb)] {
        let argv = ["prlimit", "--nproc=300", "perl", "-e", script, name];
        let _first = stray(node, "alice", &argv)?;
        until("it to fork", || is_there(node, "perl"))?;
        node.sh("sleep 1")?;
        let told = sweep(node, &["--grace", "1", "alice"])?;
        expect(&told, 0, "alice (uid 2001): ended perl[")?;
        // One that was not seen would have gone on.
        for _ in 0..20 {
            let left = node.sh("ps -o stat=,args= -u alice | grep -v ^Z || :")?;
            ensure!(left.is_empty(), "{name}: {left}{told}");
        }
    }
    Ok(())
}

/// A process in a user namespace of this user's, there with a uid that is 100004 outside.
fn container(node: &Node, user: &str) -> Result<Background> {
    let inside = "until grep -q . /proc/self/uid_map; do sleep 0.1; done; \
                  exec setpriv --reuid=5 --clear-groups sleep 100000";
    let process = stray(node, user, &["unshare", "--user", "sh", "-c", inside])?;
    let pid = process.pid();
    node.sh(&format!(
        "for turn in $(seq 100); do
            test $(readlink /proc/{pid}/ns/user) = $(readlink /proc/self/ns/user) || break; sleep 0.1; done
         printf '0 %s 1\\n1 100000 65536\\n' $(id -u {user}) >/proc/{pid}/uid_map
         echo '0 0 65536' >/proc/{pid}/gid_map"
    ))?;
    until("the container", || {
        let status = node.read_text(&format!("/proc/{pid}/status"))?;
        Ok(status.contains("\nUid:\t100004\t"))
    })?;
    Ok(process)
}

fn containers(cluster: &Cluster) -> Result<()> {
    let node = cluster.node(1);
    node.write("/etc/subuid", SUBUID, 0o644)?;
    let mut roots = container(node, "root")?;
    let mut alices = container(node, "alice")?;
    let outside = [&["setpriv", "--reuid=100009", "--clear-groups"], SLEEP].concat();
    let mut outside = stray(node, "root", &outside)?;
    // A user's job keeps all that is theirs.
    let job = cluster.submit("alice", &[])?;
    let told = sweep(node, &["--all"])?;
    ensure!(
        roots.is_running()? && alices.is_running()? && outside.is_running()?,
        "{told}"
    );
    cluster.cancel(job)?;
    let told = epilog_of(node, job)?;
    ensure!(
        told.contains("alice (uid 2001): ended ") && told.contains("status 0"),
        "{told}"
    );
    ensure!(
        has_ended(&mut alices)? && has_ended(&mut outside)?,
        "{told}"
    );
    ensure!(roots.is_running()?, "{told}");
    node.remove("/etc/subuid")
}

fn prolog(cluster: &Cluster) -> Result<()> {
    let node = cluster.node(1);
    node.write(SLOW, "", 0o644)?;
    let done = (|| {
        let mut left = stray(node, "alice", SLEEP)?;
        let job = cluster.submit_only("alice", &[])?;
        let mut before = String::new();
        until("the Prolog", || {
            before = node.sh("ps -o ppid=,args= -u alice")?;
            Ok(before.contains("sleep 4"))
        })?;
        // At once with SIGKILL, for which what alice has may stand still: su(1) would stop with its child, for ever.
        let told = sweep(node, &["--grace", "0", "alice"])?;
        let mut status = String::new();
        until("the end of the Prolog", || {
            status = node.read_text(STATUS).unwrap_or_default();
            Ok(status.ends_with('\n'))
        })?;
        ensure!(status == "0\n", "the Prolog's process: {status}{told}");
        // It has no step yet, so what is outside is no job's.
        ensure!(has_ended(&mut left)?, "{told}");
        cluster.wait_running(job).context("a job after its Prolog")
    })();
    node.remove(SLOW)?;
    node.sh(&format!("rm -f {STATUS}"))?;
    done
}
