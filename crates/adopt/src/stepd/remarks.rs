//! Observations on the node that may explain why a user has no job here.

use sys::Deadline;

use crate::facts::Remark;
use crate::log::Log;
use crate::node::{Node, search};
use crate::stepd::spool::{Found, TOLD, listens};
use crate::text::shown;

/// Collects observations that may explain why a user has no job here.
#[must_use]
pub fn remarks(node: &Node, found: &Found, deadline: &Deadline, log: Log<'_>) -> Vec<Remark> {
    let mut remarks = Vec::new();
    let steps = found.other_steps.iter().filter(|(job, path)| {
        let has_extern = found.sockets.iter().any(|it| it.job.job == *job)
            || found.unreachable.iter().any(|(it, _)| it == job);
        !has_extern && listens(path)
    });
    let jobs: Vec<_> = steps.map(|(job, _)| *job).take(TOLD).collect();
    let has_steps = !jobs.is_empty();
    if has_steps {
        remarks.push(Remark::NoExternStep(jobs));
    }
    if has_steps || !found.sockets.is_empty() || !found.unreachable.is_empty() {
        let unseen = node.slurmds.as_ref().and_then(|it| it.unseen.clone());
        remarks.extend(unseen.map(Remark::Unseen));
        return remarks;
    }
    let others = found.other_nodes.iter();
    let others = others.filter(|(name, path)| !node.names.contains(name) && listens(path));
    let names: Vec<_> = others.map(|(name, _)| name.clone()).collect();
    if !names.is_empty() {
        remarks.push(Remark::OtherNodes(names));
    }
    let looked = || search::running_slurmds(deadline.remaining(), log);
    let slurmds = node.slurmds.clone().unwrap_or_else(looked);
    let names = slurmds.found.iter().map(|it| it.node_name.clone());
    let given: Vec<_> = names.flatten().collect();
    let name = node.names.first();
    // A dynamic node has no line.
    if let Some(name) = name.filter(|name| !node.is_named && !given.contains(name)) {
        remarks.push(Remark::NotNamed {
            name: name.clone(),
            is_host: sys::hostname().is_ok_and(|host| host == *name),
        });
    }
    let mut others = given.into_iter().filter(|it| !node.names.contains(it));
    remarks.extend(others.next().map(Remark::SlurmdIs));
    match slurmds.unseen {
        Some(unseen) => remarks.push(Remark::Unseen(unseen)),
        None if slurmds.found.is_empty() => remarks.push(Remark::NoSlurmd),
        None => {}
    }
    remarks
}

/// The node's names and its stepds' directories, for the log.
#[must_use]
pub fn place(node: &Node) -> String {
    let mut dirs: Vec<_> = node.spool_dirs.iter().collect();
    dirs.dedup();
    let dirs: Vec<_> = dirs
        .iter()
        .map(|dir| shown(&dir.to_string_lossy()))
        .collect();
    let names: Vec<_> = node.names.iter().map(|name| shown(name)).collect();
    let (names, dirs) = (names.join(" or "), dirs.join(" or "));
    format!("node {names}, spool directory {dirs}")
}
