//! Logins into a job whose namespaces are not there yet.

use anyhow::{Result, ensure};
use lab::Cluster;
use tests::Module;

use crate::namespaces::{SHOW, job_script};
use crate::place::{
    AS_IT_IS, HOLD, Place, STRICT, Test, bare, inside, ssh, use_module, wait_for, wait_for_file,
};

/// At each place whose jobs have namespaces of their own.
pub const TESTS: &[(&str, Test)] = &[
    ("a login while the job starts", while_it_starts),
    ("a login after those that came too early", after_early_ones),
];

/// An extern step that is still starting says that it has no namespaces: ours waits until it runs.
/// SchedMD's module does not look; what becomes of its login is up to chance, so it is not asked.
fn while_it_starts(_: &Place, cluster: &Cluster) -> Result<()> {
    for turn in 0..3 {
        inside(cluster).remove("/home/alice/began")?;
        let script = "touch /home/alice/began; exec sleep 100000";
        let job = cluster.submit_only("alice", &["--nodelist=node2", "--wrap", script])?;
        let mut first = bare(cluster, Module::Ours, STRICT, AS_IT_IS)?;
        wait_for("the job's extern step", || {
            if first.code != 0 {
                first = bare(cluster, Module::Ours, STRICT, AS_IT_IS)?;
            }
            Ok(first.code == 0)
        })?;
        wait_for_file(cluster, "/home/alice/began")?;
        let later = bare(cluster, Module::Ours, STRICT, AS_IT_IS)?;
        ensure!(
            first.namespaces == later.namespaces,
            "turn {turn}: {first:?} {later:?}"
        );
        cluster.cancel(job)?;
    }
    Ok(())
}

/// A stepd keeps the descriptor of its first answer about namespaces: asked before it has made them, it
/// would hand out an empty file for ever. The second login knows already whose stepd that is.
fn after_early_ones(place: &Place, cluster: &Cluster) -> Result<()> {
    let node = inside(cluster);
    node.remove("/home/alice/show")?;
    node.write(HOLD, "", 0o644)?;
    let script = job_script("anything");
    let job = cluster.submit_only("alice", &["--nodelist=node2", "--wrap", &script])?;
    let socket = format!("node2_{job}.4294967292");
    wait_for("the extern step's socket", || {
        Ok(node.list("/var/spool/slurmd")?.contains(&socket))
    })?;
    let patient = format!("{STRICT} timeout=1");
    for _ in 0..2 {
        let early = bare(cluster, Module::Ours, &patient, AS_IT_IS)?;
        let is_held = place.joins == ["mnt"];
        ensure!(!is_held || early.code != 0, "not held: {early:?}");
    }
    node.remove(HOLD)?;
    let of_job = wait_for_file(cluster, "/home/alice/show")?;
    use_module(cluster, Module::Ours, STRICT)?;
    let login = ssh(cluster, SHOW).output()?;
    ensure!(login.stdout == of_job, "not the job's, {of_job}{login}");
    Ok(())
}
