//! Sockets of a user's in the place of slurmstepds', in the spool directory or in one that the user
//! says is it.

use anyhow::{Result, ensure};
use lab::{Cluster, Node};
use tests::{Call, Module};

use crate::fake::{Stepd, Then};
use crate::{Got, NO_JOB, SPOOL, STRICT, both, got, only_ours, says, set_uid};

const CAROL: u32 = 2003;

fn socket(job: u32) -> String {
    format!("{SPOOL}/node1_{job}.4294967292")
}

/// Plants a stepd of carol's while the directory lets her, then closes it.
fn plant(cluster: &Cluster, job: u32, then: Then) -> Result<Stepd> {
    let node = cluster.node(1);
    node.sh(&format!("chmod 757 {SPOOL}"))?;
    let stepd = Stepd::start(node, cluster.suite(), "carol", &socket(job), CAROL, then);
    node.sh(&format!("chmod 755 {SPOOL}"))?;
    stepd
}

/// Carol has no job, but a program of hers that says so in a stepd's place.
pub fn let_nobody_in(cluster: &Cluster) -> Result<()> {
    let node = cluster.node(1);
    let call = Call::new("carol", STRICT);
    let believed = Got::Told(NO_JOB);
    let alices = cluster.submit("alice", &[])?;
    let stepd = plant(cluster, NO_JOB, Then::Adopt)?;
    let path = socket(NO_JOB);
    for (what, script, says_why) in [
        (
            "the directory is everybody's",
            format!("chmod 757 {SPOOL}"),
            "is not safe: owner uid 0, mode 757",
        ),
        (
            "the socket was left behind",
            format!("chmod 755 {SPOOL}"),
            "not a socket of root (owner uid 2003)",
        ),
        (
            "an admin made all root's",
            format!("chown -R root: {SPOOL}"),
            "uid 2003 listens there",
        ),
        (
            "a link to it",
            format!("mv {path} /var/spool/hers; ln -s /var/spool/hers {path}"),
            ": not a socket",
        ),
    ] {
        node.sh(&script)?;
        let asked = stepd.asked()?;
        let log = both(node, what, &call, Got::Out, believed)?;
        says(what, &log, says_why)?;
        // SchedMD's module alone has told it anything.
        let told = stepd.asked()? - asked;
        ensure!(told == 1, "{what}: asked {told} times");
        // And who has a job gets into it: but for the first, where there is no telling whose is whose.
        let alice = match what {
            "the directory is everybody's" => Got::Out,
            _ => Got::Job(alices),
        };
        only_ours(node, what, &Call::new("alice", STRICT), alice)?;
    }
    ensure!(stepd.adopted()?.len() == 4, "{:?}", stepd.adopted()?);
    node.sh(&format!("rm /var/spool/hers {path}"))?;
    stepd.stop()
}

/// It keeps nobody waiting.
pub fn silent(cluster: &Cluster) -> Result<()> {
    let node = cluster.node(1);
    let alices = cluster.submit("alice", &[])?;
    let stepd = plant(cluster, NO_JOB, Then::Silent)?;
    for owner in ["carol", "root"] {
        node.sh(&format!("chown {owner} {}", socket(NO_JOB)))?;
        // With this option all that might count are waited for.
        let call = Call::new("alice", "action_unknown=deny timeout=15");
        let outcome = call.make(node, Module::Ours)?;
        ensure!(
            got(node, &outcome)? == Got::Job(alices),
            "{owner}: {outcome}"
        );
        // It would wait until the deadline, but for the time to adopt.
        ensure!(outcome.micros < 10_000_000, "{owner}: waited: {outcome:?}");
        let bob = only_ours(node, owner, &Call::new("bob", STRICT), Got::Out)?;
        ensure!(!bob.contains("does not answer"), "{owner}: {bob}");
    }
    let call = Call::new("alice", "").command(node, Module::SchedMd)?;
    let theirs = tests::outcome(call.time_limit(std::time::Duration::from_secs(8)))?;
    ensure!(got(node, &theirs)? == Got::Hung, "SchedMD's: {theirs}");
    node.remove(&socket(NO_JOB))?;
    stepd.stop()
}

/// Carol's slurm.conf names a directory of hers, where her stepd listens. She calls a program that is
/// root's by its file, for a service that the module acts for.
pub fn own_slurm_conf(cluster: &Cluster) -> Result<()> {
    let node = cluster.node(1);
    let (dir, conf) = ("/home/carol/spool", "/home/carol/slurm.conf");
    node.run_as("carol", &["mkdir", "-p", dir])?.ok()?;
    node.sh(&format!(
        "sed s,^SlurmdSpoolDir=.*,SlurmdSpoolDir={dir}, /etc/slurm/slurm.conf >{conf}"
    ))?;
    let path = format!("{dir}/node1_{NO_JOB}.4294967292");
    let stepd = Stepd::start(node, cluster.suite(), "carol", &path, CAROL, Then::Adopt)?;
    let run = |node: &Node, module, value: &str| -> Result<Got> {
        let mut call = Call::new("carol", STRICT);
        call.env = vec![("SLURM_CONF".into(), value.into())];
        let outcome = set_uid(node, "carol", call, "exec \"$@\"", module)?;
        got(node, &outcome)
    };
    ensure!(run(node, Module::Ours, conf)? == Got::Out, "ours");
    ensure!(stepd.asked()? == 0, "ours asked it");
    let theirs = run(node, Module::SchedMd, conf)?;
    ensure!(theirs == Got::Told(NO_JOB), "SchedMD's: {theirs:?}");
    ensure!(stepd.asked()? == 1, "SchedMD's did not ask it");
    node.remove(dir)?;
    stepd.stop()
}
