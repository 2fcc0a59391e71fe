//! What counts where slurmd or its files are in unusual places: a running slurmd's own words and the stepds'
//! sockets, before files that nobody vouches for.

use std::time::Duration;

use anyhow::{Result, ensure};
use lab::{Node, Suite};
use tests::{Call, Module};

use crate::Found::{Job, NoJob};
use crate::denied::log_of;
use crate::places::wait_for_slurmd;
use crate::{Stage, both_look, look, look_as, start};

/// A nested Include beside slurm.conf (Slurm from 23.02 on) and beside the including file (before).
pub fn nested_includes(stage: &mut Stage) -> Result<()> {
    let (cluster, job) = stage.up()?;
    let (node, suite) = (cluster.node(1), cluster.suite());
    node.sh("cd /etc/slurm; mkdir -p parts/deep; \
         sed 's,^NodeName=.*,Include parts/nodes.conf,' generated >slurm.conf; \
         echo Include deep/inner.conf >parts/nodes.conf; mkdir -p deep parts/deep")?;
    // The current directory is nobody's answer.
    node.sh(
        "mkdir -p /tmp/lure/parts/deep /tmp/lure/deep; cd /tmp/lure; \
         echo Nonsense | tee deep/inner.conf >parts/deep/inner.conf",
    )?;
    let mut call = Call::new("alice", "");
    call.wrapper = Some("cd /tmp/lure; exec \"$@\"".into());
    let result = [("deep", true), ("parts/deep", false)]
        .into_iter()
        .try_for_each(|(dir, from_23_02)| {
            node.sh(&format!(
                "cp /etc/slurm/nodes.conf /etc/slurm/{dir}/inner.conf"
            ))?;
            let found = look_as(&call, node, job, Module::Ours)?;
            // Where it is not, SchedMD's module looks for a minute, then ends the process.
            if (suite >= Suite::Trixie) == from_23_02 {
                let theirs = look(node, job, Module::SchedMd)?;
                ensure!(theirs == Job, "SchedMD's, in {dir}: {theirs:?}");
            }
            node.sh(&format!("rm /etc/slurm/{dir}/inner.conf"))?;
            ensure!(found == Job, "in {dir}: {found:?}");
            Ok(())
        });
    node.sh("rm -r /tmp/lure /etc/slurm/deep /etc/slurm/parts")?;
    result
}

/// Cloud nodes: the host is called by its address, and slurmd is told the node's name.
pub fn name_of_slurmd(suite: Suite) -> Result<()> {
    const OTHER: &str = "q1-dy-c1-2";
    const NAME: &str = "q1-dy-c1-1";
    let lines = "NodeName=q1-dy-c1-[1-2] NodeAddr=10.88.0.1 CPUs=2";
    let cluster = tests::cluster(suite)?
        .node_names(&[NAME])
        .hostname("ip-10-88-0-1")
        .node_lines(lines)
        .start()?;
    let node = cluster.node(1);
    let job = cluster.submit("alice", &["--nodelist", NAME])?;
    // In the cloud /etc/hosts does not know the node's name.
    node.sh(&format!("sed -i 's/ {NAME}//' /etc/hosts"))?;
    both_look(node, job, "", Job, NoJob)?;
    both_look(node, job, &format!("nodename={OTHER}"), NoJob, NoJob)?;
    both_look(node, job, "slurm_conf=/etc/slurm/slurm.conf", Job, NoJob)?;
    // An other file than slurmd's: what slurmd says is not about it.
    node.sh("cp /etc/slurm/slurm.conf /srv/other.conf")?;
    let other = Call::new("alice", "slurm_conf=/srv/other.conf");
    ensure!(
        look_as(&other, node, job, Module::Ours)? == NoJob,
        "another slurm.conf"
    );

    node.stop_slurmd()?;
    let log = log_of(node, &Call::new("alice", ""))?;
    let says = format!("has only sockets of node {NAME}");
    ensure!(
        log.contains(&says) && log.contains("no slurmd runs here"),
        "{log}"
    );
    // Nothing that an earlier login remembers outlives the slurmd that said so.
    for (name, found) in [(OTHER, NoJob), (NAME, Job)] {
        node.sh(&format!("slurmd -N {name}"))?;
        wait_for_slurmd(node)?;
        for _ in 0..2 {
            let seen = look(node, job, Module::Ours)?;
            ensure!(seen == found, "with slurmd -N {name}: {seen:?}");
        }
        node.stop_slurmd()?;
    }
    Ok(())
}

/// A job's sockets stay where they are while slurmd is elsewhere: its pid file in no usual place, an old
/// slurm.conf in the place of a configless slurmd's.
pub fn stale_cache(suite: Suite) -> Result<()> {
    let (cluster, job) = start(suite)?;
    let node = cluster.node(1);
    node.sh("mkdir -p /run/slurm/conf /var/spool/old /run/other; \
         sed 's,^SlurmdSpoolDir=.*,SlurmdSpoolDir=/var/spool/old,' \
         /etc/slurm/slurm.conf >/run/slurm/conf/slurm.conf")?;
    // Its pid file says that it runs.
    both_look(node, job, "", Job, Job)?;
    move_pid_file(node)?;
    both_look(node, job, "", Job, Job)?;
    // The jobs run on without it.
    node.sh(
        "pid=$(cat /run/other/slurmd.pid); while kill $pid; do sleep 0.1; done 2>/dev/null; rm -f /run/other/slurmd.pid")?;
    both_look(node, job, "", Job, Job)?;
    // Sockets that nobody listens to are no evidence.
    node.sh("perl -MSocket -e 'socket(my $l, PF_UNIX, SOCK_STREAM, 0); \
         bind($l, sockaddr_un(\"/var/spool/old/node1_900.4294967292\")) or die'")?;
    both_look(node, job, "", Job, Job)?;
    // What a user may write to is none either.
    node.sh("chmod 757 /var/spool/slurmd")?;
    let found = look(node, job, Module::Ours);
    node.sh("chmod 755 /var/spool/slurmd")?;
    ensure!(found? == NoJob, "sockets in an unsafe directory");
    Ok(())
}

/// A pid file where none of the usual builds has it.
fn move_pid_file(node: &Node) -> Result<()> {
    node.sh(
        "sed -i s,^SlurmdPidFile=.*,SlurmdPidFile=/run/other/slurmd.pid, /etc/slurm/slurm.conf",
    )?;
    node.stop_slurmd()?;
    node.sh("slurmd -N node1")?;
    lab::poll::until_true("slurmd to run", Duration::from_secs(20), || {
        Ok(node
            .read_text("/run/other/slurmd.pid")
            .is_ok_and(|pid| !pid.is_empty()))
    })
}
