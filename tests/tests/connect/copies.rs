//! Files by way of a job.

use anyhow::{Result, ensure};
use lab::Cluster;
use tests::bring;

use crate::site::job_on;

/// Bytes of a file: more than any buffer on the way.
const SIZE: &str = "4M";

/// There and back again, from within the job by srun: another job of the user is on the node.
pub fn copies(cluster: &Cluster) -> Result<()> {
    let (here, there) = (cluster.node(1), cluster.node(2));
    let host = format!("job-{}", job_on(cluster, 2, &[])?);
    job_on(cluster, 2, &[])?;
    bring(here, "rsync")?;
    let rsync = bring(there, "rsync")?;
    here.sh(&format!("head -c {SIZE} /dev/urandom >/tmp/file"))?;
    for script in [
        format!("scp -q /tmp/file {host}:/tmp/there; scp -q {host}:/tmp/there /tmp/back"),
        format!(
            "printf 'put /tmp/file /tmp/there\\nget /tmp/there /tmp/back\\n' | sftp -q -b - {host}"
        ),
        format!(
            "rsync='{rsync}'; $rsync --rsync-path=\"$rsync\" /tmp/file {host}:/tmp/there
             $rsync --rsync-path=\"$rsync\" {host}:/tmp/there /tmp/back"
        ),
    ] {
        let done = here.run_as("alice", &["sh", "-ec", &script])?;
        ensure!(done.success() && done.stderr.is_empty(), "{done}");
        for (node, path) in [(there, "/tmp/there"), (here, "/tmp/back")] {
            ensure!(
                node.read(path)? == here.read("/tmp/file")?,
                "{path}: {script}"
            );
            node.remove(path)?;
        }
    }
    Ok(())
}
