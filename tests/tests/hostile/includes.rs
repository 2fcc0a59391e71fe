//! Files that a user puts in the way of slurm.conf's Includes.

use anyhow::{Result, ensure};
use lab::Cluster;
use tests::{Call, Module};

use crate::fake::{Stepd, Then};
use crate::{Got, NO_JOB, STRICT, got, says, set_uid};

const BOB: u32 = 2002;

/// bob, without a job, runs su in a directory of his own: there is the file that a nested Include names, and
/// it has his spool directory with his "slurmstepd" in it.
pub fn of_the_user(cluster: &Cluster) -> Result<()> {
    let node = cluster.node(1);
    node.sh(
        "cp /etc/slurm/slurm.conf /srv/saved.conf; cd /etc/slurm; mkdir conf.d; \
         sed -i 's,^NodeName=.*,Include conf.d/nodes.conf,' slurm.conf; \
         echo Include more.conf >conf.d/nodes.conf; grep ^NodeName= /srv/saved.conf >conf.d/more.conf; \
         mkdir -p /home/bob/x/conf.d /home/bob/x/spool; \
         (cat conf.d/more.conf; echo SlurmdUser=bob; echo SlurmdSpoolDir=/home/bob/x/spool) \
         >/home/bob/x/conf.d/more.conf; cp /home/bob/x/conf.d/more.conf /home/bob/x; \
         chown -R bob /home/bob; chmod 755 /home /home/bob /home/bob/x",
    )?;
    let socket = format!("/home/bob/x/spool/node1_{NO_JOB}.4294967292");
    let stepd = Stepd::start(node, cluster.suite(), "bob", &socket, BOB, Then::Adopt)?;
    let mark = node.syslog_mark()?;
    let outcome = set_uid(
        node,
        "bob",
        Call::new("bob", STRICT),
        "cd /home/bob/x; exec \"$@\"",
        Module::Ours,
    );
    let log = node.syslog_since(mark)?;
    node.sh("mv /srv/saved.conf /etc/slurm/slurm.conf; rm -r /etc/slurm/conf.d /home/bob/x")?;
    let asked = stepd.asked();
    stepd.stop()?;
    let outcome = outcome?;
    let found = got(node, &outcome)?;
    ensure!(
        found == Got::Out && asked? == 0,
        "{found:?}: {outcome}: {log}"
    );
    says("his own directory", &log, "no job on this node")
}
