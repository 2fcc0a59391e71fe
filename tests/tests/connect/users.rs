//! The commands of docs/users.md.

use anyhow::{Result, ensure};
use lab::{Cluster, Output, Status};
use tests::{bring, page};

use crate::site::CONFIG;

const PAGE: &str = "docs/users.md";
const HEADINGS: [&str; 4] = [
    "The short way",
    "ssh, scp, rsync and editors",
    "A host that starts its own job",
    "From your own computer",
];

/// Runs them as they stand there, but for the job's number, a program that nodes without GPUs lack, what small nodes have
/// not, and the place of rsync.
pub fn page(cluster: &Cluster) -> Result<()> {
    let (here, there) = (cluster.node(1), cluster.node(2));
    let job = cluster.submit("alice", &["--nodes=2", "--job-name=train"])?;
    bring(here, "rsync")?;
    let rsync = bring(there, "rsync")?;
    let files =
        format!("cp {CONFIG} config; mkdir -p results; echo 1 >results/1; echo 2 >/tmp/trace.json");
    here.sh("mkdir -p -m 1777 /scratch")?;
    here.run_as("alice", &["sh", "-ec", &files])?.ok()?;
    for heading in HEADINGS {
        for command in page::commands(PAGE, heading)? {
            let here_too = command
                .replace("4711", &job.to_string())
                .replace("nvidia-smi", "hostname")
                .replace("-c4 --mem=8G", "-c1")
                .replace("rsync -a", "$rsync --rsync-path=\"$rsync\" -a");
            let script = format!("rsync='{rsync}'; {here_too}");
            let done = here.run_as("alice", &["sh", "-c", &script])?;
            ensure!(done.status == Status::Exited(0), "{command}: {done}");
            shows(&command, &done)?;
        }
    }
    let copied = here.sh("cat /scratch/results/1")?;
    ensure!(copied.trim() == "1", "{copied}");
    let restore = format!("cat trace.json; rm -r results trace.json; mv config {CONFIG}");
    let copied = here.run_as("alice", &["sh", "-ec", &restore])?.ok()?;
    ensure!(copied.trim() == "2", "{copied}");
    Ok(())
}

/// What a command prints.
fn shows(command: &str, done: &Output) -> Result<()> {
    let expected = match command {
        it if it.contains("nvidia-smi") => "node1\n",
        "ssh dev" => return ensure_dev(done),
        it if it.contains("--from-laptop") => "ProxyCommand ssh login.example.org ",
        _ => return Ok(()),
    };
    ensure!(done.stdout.contains(expected), "{command}: {done}");
    Ok(())
}

/// The first ssh submits the job.
fn ensure_dev(done: &Output) -> Result<()> {
    let submitted = done.stderr.contains("submitted job ") && done.stderr.contains(" \"dev\"");
    ensure!(submitted, "{done}");
    Ok(())
}
