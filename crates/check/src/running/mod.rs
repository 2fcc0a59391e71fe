//! What runs: slurmd, slurmstepds, the maker of credentials, slurmds of other nodes.

mod credentials;
mod ending;
mod nodes;
mod peers;
mod slurmd;
mod steps;
mod users;

use std::time::Duration;

use adopt::node::Node;
use adopt::survey::{self, Answer, StepsSeen};
use proto::Version;

use crate::host::Host;
use crate::running::slurmd::Slurmds;
use crate::{Notes, Room};

pub(crate) const ROOM: Room = Room {
    name: "daemons",
    checks: &[
        &slurmd::NOT_RUNNING,
        &slurmd::SEVERAL,
        &slurmd::RELEASE,
        &slurmd::REPLACED,
        &slurmd::ELSEWHERE,
        &slurmd::STOPPED,
        &credentials::ABSENT,
        &credentials::SILENT,
        &credentials::DIRECTORY,
        &credentials::FAILED,
        &steps::SILENT,
        &steps::SLOW,
        &steps::STALE,
        &steps::FAILED,
        &steps::NOT_SOCKETS,
        &steps::DIRECTORY,
        &steps::NO_EXTERN,
        &peers::UNREACHABLE,
        &peers::REFUSES,
    ],
    look,
};

/// The time for all stepds together.
const STEPDS: Duration = Duration::from_secs(2);
/// The time for the maker of credentials, and for all slurmds together.
const DAEMONS: Duration = Duration::from_secs(1);

fn look(host: &Host, notes: &mut Notes) {
    if !host.is_live() {
        notes.unseen("slurmd, slurmstepds and munged", "the tree does not run");
        return;
    }
    if !rustix::process::geteuid().is_root() {
        notes.unseen(
            "slurmd, slurmstepds and munged",
            "needs root, who may look at their processes and ask them",
        );
        return;
    }
    let slurmds = Slurmds::find(host);
    slurmds.judge(host, notes);
    // Without a slurm.conf, other rooms say so.
    let Some(Ok(node)) = host.node() else {
        return;
    };
    let mut seen = survey::steps(node, &host.deadline.within(STEPDS));
    let version = newest(&seen).or(slurmds.version());
    let version = version.and_then(Version::for_messages);
    if credentials::look(host, node, version, notes) {
        peers::look(host, node, version, &slurmds, notes);
    }
    let without: Vec<_> = seen.without_extern.iter().map(|it| it.job).collect();
    let ending = ending::ending(host, &slurmds, &without);
    seen.without_extern.retain(|it| !ending.contains(&it.job));
    steps::judge(host, &seen, notes);
}

/// The newest protocol version that a stepd here speaks: a login asks slurmds in that one.
fn newest(seen: &StepsSeen) -> Option<Version> {
    let versions = seen.steps.iter().map(|it| match it.answer {
        Answer::Step { version, .. } if steps::is_slurms(version) => Some(version),
        _ => None,
    });
    versions.max().flatten()
}

/// A duration for a summary.
fn shown(took: Duration) -> String {
    match took.as_millis() {
        0 => "1 ms".to_owned(),
        millis => format!("{millis} ms"),
    }
}

/// This node's name.
fn name_of(node: &Node) -> &str {
    node.names.first().map_or("this node", String::as_str)
}

#[cfg(test)]
mod tests;
