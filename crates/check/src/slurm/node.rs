//! This node in slurm.conf.

use proto::conf::Setting;
use proto::hostlist;

use crate::slurm::place::{Slurm, spot};
use crate::{Check, Finding, Notes, Severity};

pub(super) const NAMED_TWICE: Check = Check {
    id: "SA430",
    severity: Severity::Failure,
    title: "two NodeName lines name this node",
    why: "Slurm's daemons end with \"Duplicated NodeName\"; no job starts on the node. slurm.conf(5), NodeName.",
    fix: "Take the name out of one of the lines.",
};

pub(super) const NOT_ROOT: Check = Check {
    id: "SA431",
    severity: Severity::Failure,
    title: "SlurmdUser is not root",
    why: "slurmstepd then runs as that user and cannot move a process of sshd, which is root's, into the job's \
          cgroup: nobody is adopted. Nor can it run jobs of other users. slurm.conf(5), SlurmdUser.",
    fix: "Remove the line: root is the default. SlurmUser is the one for slurmctld.",
};

pub(super) fn look(slurm: &Slurm<'_>, notes: &mut Notes) {
    if let Some((value, spot)) = slurm.value("SlurmdUser") {
        if !matches!(value, "root" | "0") {
            let detail = format!("slurmd is to run as {value}");
            notes.find(Finding::of(&NOT_ROOT, detail).at(spot));
        }
    }
    let Some(name) = name(slurm) else {
        notes.unseen(
            "NodeName",
            "the tree does not run, and its /etc/hostname has no name",
        );
        return;
    };
    let lines = lines_of(slurm, &name);
    // Several slurmds on one host have its name as the NodeHostname of several lines.
    let is_own = |it: &&&Setting| is_in(it, "NodeName", &name);
    let named: Vec<&&Setting> = lines.iter().filter(is_own).collect();
    if let [first, .., last] = named.as_slice() {
        let detail = format!("{name} is also in {} line {}", first.file, first.line);
        let value = last.value("NodeName").unwrap_or_default();
        let spot = spot(slurm.host, last, "NodeName", value);
        notes.find(Finding::of(&NAMED_TWICE, detail).at(spot));
    }
    if lines.is_empty() && !slurm.host.is_live() {
        let why = format!("slurm.conf does not name {name}, the tree's /etc/hostname");
        notes.unseen("NodeName", why);
    }
}

/// The node's name: as a login finds it, or in a tree that does not run the host's name without its domain.
pub(super) fn name(slurm: &Slurm<'_>) -> Option<String> {
    if let Some(Ok(node)) = slurm.host.node() {
        return node.names.first().cloned();
    }
    let text = slurm.host.tree.text("/etc/hostname").ok()?;
    let full = text
        .lines()
        .map(str::trim)
        .find(|it| !it.is_empty() && !it.starts_with('#'))?;
    let short = full.split('.').next()?;
    // Images have these.
    let is_real = !matches!(short, "" | "localhost" | "unset" | "uninitialized" | "none");
    is_real.then(|| short.to_owned())
}

/// The lines that name nodes, without those for defaults.
fn node_lines<'a>(slurm: &Slurm<'a>) -> impl Iterator<Item = &'a Setting> {
    let lines = slurm.conf.settings.iter();
    let lines = lines.filter(|it| it.key().eq_ignore_ascii_case("NodeName"));
    lines.filter(|it| !is_default(it))
}

fn is_default(line: &Setting) -> bool {
    let value = line.value("NodeName").unwrap_or_default();
    value.eq_ignore_ascii_case("DEFAULT")
}

/// The lines that name a node, by its own name or by its host's.
fn lines_of<'a>(slurm: &Slurm<'a>, name: &str) -> Vec<&'a Setting> {
    let names = |it: &&Setting| is_in(it, "NodeName", name) || is_in(it, "NodeHostname", name);
    node_lines(slurm).filter(names).collect()
}

/// Whether slurm.conf names this node.
pub(super) fn is_named(slurm: &Slurm<'_>) -> bool {
    name(slurm).is_some_and(|it| !lines_of(slurm, &it).is_empty())
}

/// Whether the list of a line's key has a name.
fn is_in(line: &Setting, key: &str, name: &str) -> bool {
    let list = line.value(key).unwrap_or_default();
    hostlist::position(list, name).is_ok_and(|it| it.is_some())
}

/// Whether jobs on this node have GPUs; of a node that slurm.conf does not name: whether any node has.
pub(super) fn has_gpus(slurm: &Slurm<'_>) -> bool {
    let own = name(slurm)
        .map(|it| lines_of(slurm, &it))
        .unwrap_or_default();
    let mut default = false;
    let (mut any, mut mine) = (false, false);
    for line in &slurm.conf.settings {
        if !line.key().eq_ignore_ascii_case("NodeName") {
            continue;
        }
        let gpus = line.value("Gres").map(|it| it.split(',').any(is_gpu));
        if is_default(line) {
            default = gpus.unwrap_or(default);
            continue;
        }
        let gpus = gpus.unwrap_or(default);
        any |= gpus;
        mine |= gpus && own.contains(&line);
    }
    match (own.is_empty(), node_lines(slurm).next()) {
        (false, _) => mine,
        (true, Some(_)) => any,
        (true, None) => has_gpus_by_gres_conf(slurm),
    }
}

fn is_gpu(gres: &str) -> bool {
    gres.split(':')
        .next()
        .is_some_and(|it| it.eq_ignore_ascii_case("gpu"))
}

/// Dynamic nodes: what they have stands in gres.conf.
fn has_gpus_by_gres_conf(slurm: &Slurm<'_>) -> bool {
    let types = slurm.list("GresTypes");
    let text = slurm
        .host
        .tree
        .text(slurm.beside("gres.conf"))
        .unwrap_or_default();
    let text = text.to_ascii_lowercase();
    let mut lines = text
        .lines()
        .map(|it| it.split('#').next().unwrap_or_default());
    types.iter().any(|it| it.eq_ignore_ascii_case("gpu")) && lines.any(|it| it.contains("name=gpu"))
}
