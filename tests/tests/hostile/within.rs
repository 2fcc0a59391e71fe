//! Users inside or beside others' jobs, and what is told to or asked of slurmstepds on the way.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lab::Cluster;
use tests::{Call, Module};

use crate::fake::{Stepd, Then};
use crate::{Got, NO_JOB, NO_JOBS, SPOOL, STRICT, both, got, only_ours, set_uid};

/// From within bob's job: carol, who has none, gains nothing by that; alice gets into hers.
pub fn anothers_job(cluster: &Cluster) -> Result<()> {
    let node = cluster.node(1);
    let bobs = cluster.submit("bob", &[])?;
    let alices = cluster.submit("alice", &[])?;
    let step = format!("exec srun --quiet --overlap --jobid={bobs} --ntasks=1 \"$@\"");
    for module in [Module::SchedMd, Module::Ours] {
        for (user, expected) in [
            ("carol", Got::Out),
            ("alice", Got::Job(alices)),
            ("bob", Got::Job(bobs)),
        ] {
            let call = Call::new(user, STRICT);
            let outcome = set_uid(node, "bob", call, &step, module)?;
            let found = got(node, &outcome)?;
            ensure!(found == expected, "{module:?}: {user}: {outcome}");
            // It was in bob's: what has no job stays where it is.
            let job = format!("/job_{bobs}/");
            let stays = outcome.cgroup.contains(&job);
            ensure!(stays == (user != "alice"), "{module:?}: {user}: {outcome}");
        }
    }
    Ok(())
}

/// A stepd that has confirmed the job hangs when it is to adopt. The login is refused, so that its
/// process is gone when the stepd takes the number; and it is this process's number that it has.
pub fn swallowed(cluster: &Cluster) -> Result<()> {
    let node = cluster.node(1);
    let path = format!("{SPOOL}/node1_{NO_JOB}.4294967292");
    let stepd = Stepd::start(node, cluster.suite(), "root", &path, 2001, Then::Swallow)?;
    let mut call = Call::new("alice", "timeout=1 action_adopt_failure=allow");
    call.wrapper = Some("echo $$ >/run/caller; exec \"$@\"".into());
    let outcome = call.make(node, Module::Ours)?;
    ensure!(got(node, &outcome)? == Got::Out, "{outcome}");
    let reason = format!("{NO_JOBS} (slurmstepd of job {NO_JOB} does not answer)");
    ensure!(outcome.messages == [reason], "{outcome}");
    let caller = node.read_text("/run/caller")?;
    let caller: u32 = caller.trim().parse().context("the caller's number")?;
    ensure!(stepd.adopted()? == [caller], "{:?}", stepd.adopted()?);
    let theirs = call.command(node, Module::SchedMd)?;
    let theirs = tests::outcome(theirs.time_limit(Duration::from_secs(8)))?;
    ensure!(got(node, &theirs)? == Got::Hung, "SchedMD's: {theirs}");
    node.remove(&path)?;
    stepd.stop()
}

/// SchedMD's module looks for sockets with a regular expression that the name goes into, and lets a
/// job's number wrap: it takes a second name of alice's socket for a second job of hers.
pub fn nearly_sockets(cluster: &Cluster) -> Result<()> {
    let node = cluster.node(1);
    let job = cluster.submit("alice", &[])?;
    for name in ["n.de1", "node.", ".*"] {
        let call = Call::new("alice", &format!("nodename={name}"));
        both(node, name, &call, Got::Out, Got::Out)?;
    }
    let call = Call::new("alice", "action_unknown=deny");
    for (what, number, theirs) in [
        ("its number and 2^32", (1 << 32) + u64::from(job), Got::Out),
        (
            "another's and 2^32",
            (1 << 32) + u64::from(NO_JOB),
            Got::Job(job),
        ),
    ] {
        let path = format!("{SPOOL}/node1_{number}.4294967292");
        node.run(&["ln", &node.extern_socket(job), &path])?.ok()?;
        both(node, what, &call, Got::Job(job), theirs)?;
        node.remove(&path)?;
    }
    Ok(())
}

/// The longest that Linux takes, and slurm.conf has it.
pub fn long_host_name(cluster: &Cluster) -> Result<()> {
    let node = cluster.node(1);
    let job = cluster.submit("alice", &[])?;
    let name = "h".repeat(64);
    let mut call = Call::new("alice", STRICT);
    call.env = vec![("SLURM_CONF".into(), "/run/long.conf".into())];
    call.wrapper = Some(format!(
        "sed s/NodeHostname=node1/NodeHostname={name}/ /etc/slurm/slurm.conf >/run/long.conf
         exec unshare --uts sh -ec 'hostname {name}; exec \"$@\"' sh \"$@\""
    ));
    // A generic failure to SchedMD's module.
    both(node, "64 letters", &call, Got::Job(job), Got::Out).map(drop)
}

/// Whoever is on the node may open a stepd's socket, and keep connections to it. A stepd that has no
/// descriptor left is silent: to its own user's login, and nobody else's.
pub fn flood(cluster: &Cluster) -> Result<()> {
    /// As many connections as it gets; it says when the last one did not come at once.
    const HOLD: &str = r#"
use strict; use Socket; $| = 1; $SIG{ALRM} = sub { print "no more\n"; sleep 1000 };
my ($path, @held) = @ARGV;
while (1) { socket(my $s, PF_UNIX, SOCK_STREAM, 0) or die $!; alarm 5;
  connect($s, sockaddr_un($path)) or die $!; alarm 0; push @held, $s }
"#;
    let node = cluster.node(1);
    let alices = cluster.submit("alice", &[])?;
    let carols = cluster.submit("carol", &[])?;
    // Slurm gives it more: this is for the test to be quick.
    let stepd = node.pid_of_stepd(alices)?;
    node.sh(&format!("prlimit --pid={stepd} --nofile=100:100"))?;
    let socket = node.extern_socket(alices);
    let hold = ["perl", "-e", HOLD, &socket];
    let mut bob = node.command(&hold).user("bob").spawn()?;
    lab::poll::until_true("bob's connections", Duration::from_secs(30), || {
        ensure!(bob.is_running()?, "it ended: {}", bob.stderr()?);
        Ok(bob.stdout()?.contains("no more"))
    })?;
    node.remove("/run/slurm-adopt")?;
    let carol = Call::new("carol", &format!("{STRICT} timeout=15")).make(node, Module::Ours)?;
    ensure!(got(node, &carol)? == Got::Job(carols), "{carol}");
    // She would wait until the deadline, but for the time to adopt.
    ensure!(carol.micros < 10_000_000, "carol waited: {carol:?}");
    let call = Call::new("alice", "timeout=1 action_adopt_failure=allow");
    let alice = call.make(node, Module::Ours)?;
    let reason = format!("{NO_JOBS} (slurmstepd of job {alices} does not answer)");
    ensure!(alice.messages == [reason], "{alice}");
    for user in ["alice", "carol"] {
        let theirs = Call::new(user, STRICT).command(node, Module::SchedMd)?;
        let theirs = tests::outcome(theirs.time_limit(Duration::from_secs(8)))?;
        ensure!(
            got(node, &theirs)? == Got::Hung,
            "SchedMD's, {user}: {theirs}"
        );
    }
    bob.signal(rustix::process::Signal::KILL)?;
    bob.wait(Duration::from_secs(5))?;
    let call = Call::new("alice", STRICT);
    only_ours(node, "afterwards", &call, Got::Job(alices)).map(drop)
}
