//! What runs: slurmstepds, slurmd, munged.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lab::Suite;
use tests::CLI;

use crate::case::{CASE, Case, Proof, check};

pub const CASES: &[Case] = &[
    Case {
        name: "a stopped slurmstepd",
        jobs: &["alice"],
        breaks: "kill -STOP $STEPD",
        restores: "kill -CONT $STEPD",
        found: &["SA521 failure {socket}"],
        proof: Proof::KeptOut("alice"),
        ..CASE
    },
    Case {
        name: "a stopped slurmstepd of another user",
        jobs: &["bob", "alice"],
        breaks: "kill -STOP $STEPD",
        restores: "kill -CONT $STEPD",
        found: &["SA521 failure {socket}"],
        proof: Proof::StillInJob("alice"),
        ..CASE
    },
    Case {
        name: "a slurmstepd that goes on 1.4 s after check has asked it",
        jobs: &["alice"],
        // Once: later looks find it as it was. The kernel lists a connection that is not accepted under the name of
        // the socket.
        breaks: "kill -STOP $STEPD
            (until_true asked $SOCKET; sleep 1.4; kill -CONT $STEPD) >/dev/null 2>&1 &",
        found: &["SA522 warning {socket}"],
        proof: Proof::StillInJob("alice"),
        ..CASE
    },
    Case {
        name: "a killed slurmstepd's socket, and its job runs on",
        jobs: &["alice"],
        breaks: "kill -KILL $STEPD; until_true is_gone $STEPD; sleep 0.5",
        found: &["SA523 failure {socket}"],
        restores: "rm -f $SOCKET; scancel $JOB; sleep 2",
        proof: Proof::KeptOut("alice"),
        ..CASE
    },
    Case {
        name: "a slurmstepd's socket that is not root's",
        jobs: &["alice"],
        breaks: "chown carol $SOCKET",
        restores: "chown root $SOCKET",
        // Its job counts as one without an extern step.
        found: &["SA525 failure {socket}", "SA527 failure /var/spool/slurmd/node1_*"],
        proof: Proof::KeptOut("alice"),
        ..CASE
    },
    Case {
        name: "a listener of root's instead of a slurmstepd, which answers nonsense",
        jobs: &["alice"],
        breaks: "mv $SOCKET $SOCKET.away; listen_with 'syswrite($c, qq{SSH-2.0-nonsense, and more of it})' $SOCKET",
        restores: "kill $(cat /run/listener); mv $SOCKET.away $SOCKET",
        found: &["SA524 failure {socket}"],
        proof: Proof::KeptOut("alice"),
        ..CASE
    },
    Case {
        name: "a listener of root's instead of a slurmstepd, which closes the connection",
        jobs: &["alice"],
        breaks: "mv $SOCKET $SOCKET.away; listen_with '' $SOCKET",
        restores: "kill $(cat /run/listener); mv $SOCKET.away $SOCKET",
        found: &["SA524 failure {socket}"],
        proof: Proof::KeptOut("alice"),
        ..CASE
    },
    Case {
        name: "a file that is named like a socket",
        jobs: &["alice"],
        breaks: ": >/var/spool/slurmd/node1_9999.4294967292",
        restores: "rm /var/spool/slurmd/node1_9999.4294967292",
        found: &["SA525 note /var/spool/slurmd/node1_9999.4294967292"],
        proof: Proof::StillInJob("alice"),
        ..CASE
    },
    Case {
        name: "a spool directory that others may write to",
        jobs: &["alice"],
        breaks: "chmod 777 /var/spool/slurmd",
        restores: "chmod 755 /var/spool/slurmd",
        found: &["SA436 failure /var/spool/slurmd"],
        proof: Proof::KeptOut("alice"),
        ..CASE
    },
    Case {
        name: "a stopped munged",
        jobs: &["alice"],
        breaks: "kill -STOP $(cat /run/munge/munged.pid)",
        restores: "kill -CONT $(cat /run/munge/munged.pid)",
        found: &["SA512 warning /run/munge/munge.socket.2"],
        proof: Proof::StillInJob("alice"),
        ..CASE
    },
    Case {
        name: "munged does not run",
        jobs: &["alice"],
        breaks: "pid=$(cat /run/munge/munged.pid); kill $pid; until_true is_gone $pid",
        restores: "setpriv --reuid=munge --regid=munge --clear-groups munged --num-threads=2",
        found: &["SA511 warning /run/munge/munge.socket.2"],
        proof: Proof::StillInJob("alice"),
        ..CASE
    },
    Case {
        name: "munged's directory belongs to a user",
        jobs: &["alice"],
        breaks: "chown bob /run/munge",
        restores: "chown munge /run/munge",
        found: &["SA513 warning /run/munge/munge.socket.2"],
        proof: Proof::StillInJob("alice"),
        ..CASE
    },
    Case {
        name: "a stopped slurmd",
        jobs: &["alice"],
        breaks: "kill -STOP $(cat /run/slurmd.pid)",
        restores: "kill -CONT $(cat /run/slurmd.pid)",
        found: &["SA506 warning"],
        proof: Proof::StillInJob("alice"),
        ..CASE
    },
    Case {
        name: "slurmd does not run",
        jobs: &["alice"],
        breaks: "stop_slurmd",
        restores: "start_slurmd",
        found: &["SA501 warning"],
        proof: Proof::StillInJob("alice"),
        ..CASE
    },
    Case {
        name: "slurmd runs as another node as well",
        jobs: &["alice"],
        breaks: "keep /etc/slurm/slurm.conf; mkdir -p /var/spool/slurmd.node2
            sed -e 's/^NodeName=node1 .*/& Port=6818\\nNodeName=node2 NodeHostname=node1 CPUs=1 Port=7002/' \
                -e 's,^SlurmdSpoolDir=.*,SlurmdSpoolDir=/var/spool/slurmd.%n,' \
                -e 's,^SlurmdPidFile=.*,SlurmdPidFile=/run/%n.pid,' /etc/slurm/slurm.conf >/etc/slurm/two.conf
            slurmd -N node2 -f /etc/slurm/two.conf; until_true listens 1B5A",
        restores: "pid=$(cat /run/node2.pid); kill $pid; until_true is_gone $pid; rm /etc/slurm/two.conf",
        found: &["SA502 failure"],
        proof: Proof::StillInJob("alice"),
        ..CASE
    },
    Case {
        name: "slurmd has another root directory",
        jobs: &["alice"],
        breaks: "stop_slurmd; mkdir /other; mount -t tmpfs other /other; cd /
            for it in bin sbin lib lib64 usr etc var run proc sys dev tmp; do
                if [ -L $it ]; then cp -a $it /other; continue; fi
                mkdir /other/$it; mount --rbind /$it /other/$it
            done; mount --make-rprivate /other
            chroot /other slurmd -N node1; until_true listens 1AA2",
        restores: "stop_slurmd; umount -R /other; rmdir /other; start_slurmd",
        found: &["SA505 warning"],
        // Here it shares the spool directory and slurm.conf.
        proof: Proof::StillInJob("alice"),
        ..CASE
    },
    Case {
        name: "a slurmd of a release that is not known",
        // On Debian 11 it also seems to be new enough for DeferBatch.
        suites: &[Suite::Bookworm, Suite::Trixie, Suite::Forky],
        jobs: &["alice"],
        // The same program, which prints another release.
        breaks: "file=$(readlink /proc/$(cat /run/slurmd.pid)/exe); was=$($file -V | grep -o '[0-9.]*$')
            stop_slurmd; for it in $file $(ldd $file | grep -o '/[^ ]*libslurmfull[^ ]*'); do
                it=$(readlink -f $it); keep $it; sed -i \"s/$was/99.11${was#?????}/g\" $it
            done; start_slurmd",
        restores: "stop_slurmd; put_back; start_slurmd",
        found: &["SA503 warning"],
        proof: Proof::StillInJob("alice"),
        ..CASE
    },
    Case {
        name: "slurmd's program was replaced",
        jobs: &["alice"],
        breaks: "file=$(readlink /proc/$(cat /run/slurmd.pid)/exe); cp -a $file $file.new; mv $file.new $file",
        restores: "stop_slurmd; start_slurmd",
        found: &["SA504 note /usr/sbin/slurmd*"],
        proof: Proof::StillInJob("alice"),
        ..CASE
    },
];

/// A cluster of three nodes: the others' slurmds are asked; one that is not reached is a note, all are a warning.
pub fn peers(suite: Suite) -> Result<()> {
    let cluster = tests::cluster(suite)?
        .nodes(3)
        .copy(tests::dist("slurm-adopt")?, CLI)
        .start()?;
    let node = cluster.node(1);
    let text = || node.run(&[CLI, "check"]).map(|it| it.stdout);
    let sound = text()?;
    ensure!(
        sound.contains("node2, node3 answered in ") && !sound.contains("SA53"),
        "{sound}"
    );
    let terse = node.run(&[CLI, "check", "--terse"])?.stdout;
    ensure!(!terse.contains("answered"), "{terse}");
    cluster.node(2).stop_slurmd()?;
    let one = text()?;
    ensure!(
        one.contains("node3 answered in ") && one.contains("note  SA531"),
        "{one}"
    );
    ensure!(one.contains("logins from node2 cannot be"), "{one}");
    // Its answer comes with a credential of another key.
    cluster.node(3).sh(
        "pid=$(cat /run/munge/munged.pid); kill $pid; while kill -0 $pid 2>/dev/null; do sleep 0.1; done
         head -c 1024 /dev/urandom >/etc/munge/munge.key
         setpriv --reuid=munge --regid=munge --clear-groups munged --num-threads=2",
    )?;
    let found = check(node)?;
    ensure!(found.contains("SA532 warning"), "{found:?}");
    // What is stopped takes connections.
    let pid = cluster.node(3).read_text("/run/slurmd.pid")?;
    let pid = pid.trim().parse().context("a pid")?;
    cluster.node(3).signal(pid, "STOP")?;
    let found = check(node)?;
    cluster.node(3).signal(pid, "CONT")?;
    ensure!(found.contains("SA531 warning"), "{found:?}");
    Ok(())
}

/// A job that began before PrologFlags=contain, on a cluster of its own: its daemons are restarted under the job.
pub fn before_contain(suite: Suite) -> Result<()> {
    const SPOOL: &str = "/var/spool/slurmd";
    const CONF: &str = "/etc/slurm/slurm.conf";
    let cluster = tests::cluster(suite)?
        .slurm_conf("PrologFlags=Alloc")
        .copy(tests::dist("slurm-adopt")?, CLI)
        .start()?;
    let node = cluster.node(1);
    let job = cluster.submit_only("alice", &[])?;
    let mut socket = String::new();
    lab::poll::until_true("the batch step", Duration::from_secs(20), || {
        let names = node.list(SPOOL)?;
        let of_job = |it: &&String| it.starts_with(&format!("node1_{job}."));
        socket = names.iter().find(of_job).cloned().unwrap_or_default();
        Ok(!socket.is_empty())
    })?;
    let conf = node.read_text(CONF)?;
    let with_contain = conf.replace("PrologFlags=Alloc", "PrologFlags=contain");
    node.write(CONF, with_contain, 0o644)?;
    node.restart_slurmd()?;
    let expected = format!("SA527 failure {SPOOL}/{socket}");
    let found = check(node)?;
    ensure!(found.contains(&expected), "no {expected}: {found:?}");
    let login = node.ssh("alice", node.name(), &["true"])?;
    ensure!(
        !login.success() && login.stderr.contains("no active jobs"),
        "{login}"
    );
    let text = node.run(&[CLI, "check"])?.stdout;
    let detail = format!("job {job} of alice (uid 2001)");
    ensure!(text.contains(&detail), "no {detail}: {text}");
    Ok(())
}

/// AuthType=auth/slurm: slurmd makes the credentials, or the key if nobody listens.
pub fn auth_slurm(suite: Suite) -> Result<()> {
    let cluster = tests::cluster(suite)?
        .slurm_conf("AuthType=auth/slurm\nCredType=cred/slurm\nSlurmUser=root")
        .file(
            "/etc/slurm/slurm.key",
            "a key of thirty-two bytes or more: for a test",
            0o600,
        )
        .copy(tests::dist("slurm-adopt")?, CLI)
        .start()?;
    let node = cluster.node(1);
    let sound = node.run(&[CLI, "check"])?.stdout;
    ensure!(
        sound.contains("; auth/slurm") && !sound.contains("SA51"),
        "{sound}"
    );
    let slurmd = "$(cat /run/slurmd.pid)";
    node.sh(&format!("kill -STOP {slurmd}"))?;
    let stopped = check(node);
    node.sh(&format!("kill -CONT {slurmd}"))?;
    let stopped = stopped?;
    for expected in ["SA512 warning", "SA506 warning"] {
        ensure!(stopped.contains(expected), "no {expected}: {stopped:?}");
    }
    node.stop_slurmd()?;
    node.sh("rm -rf /run/slurm*/sack.socket")?;
    let with_key = check(node)?;
    ensure!(
        with_key.contains("SA501 warning") && !with_key.iter().any(|it| it.starts_with("SA51")),
        "{with_key:?}"
    );
    node.sh("mv /etc/slurm/slurm.key /etc/slurm/away")?;
    let without = check(node)?;
    ensure!(without.contains("SA514 warning"), "{without:?}");
    Ok(())
}

/// A cancelled job whose batch script does not end for a while is no job without an extern step.
pub fn ending(suite: Suite) -> Result<()> {
    let cluster = tests::cluster(suite)?
        .slurm_conf("KillWait=60")
        .copy(tests::dist("slurm-adopt")?, CLI)
        .start()?;
    let node = cluster.node(1);
    let script = "--wrap=trap '' TERM; echo >/tmp/trap; for turn in $(seq 1000); do sleep 1; done";
    let job = cluster.submit("alice", &[script])?;
    lab::poll::until_true("the script's trap", Duration::from_secs(30), || {
        Ok(node.list("/tmp")?.contains(&"trap".to_owned()))
    })?;
    node.run(&["scancel", &job.to_string()])?.ok()?;
    for _ in 0..20 {
        let found = check(node)?;
        let stepds = || node.processes("slurmstepd: [");
        ensure!(
            !found.iter().any(|it| it.contains(" failure")),
            "{found:?}; {:?}",
            stepds()?
        );
        std::thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}
