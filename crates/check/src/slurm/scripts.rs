//! The scripts that slurmd and slurmstepd run on the node: who can change them, and what they do to logins.

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use proto::conf::Setting;

use crate::host::tree::is_absent;
use crate::slurm::place::{Slurm, spot};
use crate::slurm::safe::{Owners, report};
use crate::slurm::script::{Deed, deeds, directories};
use crate::{Check, Finding, Notes, Severity, Spot};

pub(super) const CHANGEABLE: Check = Check {
    id: "SA450",
    severity: Severity::Failure,
    title: "others than root can change a script that slurmd runs",
    why: "slurmd runs Prolog, Epilog, HealthCheckProgram and others as root, and TaskProlog and TaskEpilog as each \
          job's user: anyone who can write or replace the script can run anything as them. slurm.conf(5), \"File and \
          Directory Permissions\".",
    fix: "Give the script and its directory to root, and take write permission from all others: chmod go-w.",
};

pub(super) const CANNOT_RUN: Check = Check {
    id: "SA451",
    severity: Severity::Warning,
    title: "a prolog or epilog is missing or not executable",
    why: "A Prolog that fails drains the node and requeues the job, so that no user has one here; a failed Epilog \
          drains the node too. slurm.conf(5), Prolog and Epilog.",
    fix: "Put the script there and make it executable, or remove the line.",
};

pub(super) const KILLS_BY_USER: Check = Check {
    id: "SA452",
    severity: Severity::Warning,
    title: "a script ends all processes of a user, also those in other jobs",
    why: "When one job ends, the user's other jobs on the node lose their processes and logins, and an admin who \
          had a job loses his. The module and proctrack/cgroup end with the job what is in the job; there is \
          nothing left to kill but what other ways let in. prolog_epilog.html.",
    fix: "Put slurm-adopt sweep in its place, which spares a user with another job here, those exempt, and what \
          stands in any job; or remove the line.",
};

pub(super) const LINGER: Check = Check {
    id: "SA453",
    severity: Severity::Failure,
    title: "a script lets users linger: they escape from their jobs",
    why: "enable-linger starts the user's service manager outside of any job. What the user starts with \
          systemd-run --user, from a login or a job, is not held by the job: no limit, no end with it. SchedMD \
          removed this recipe from its page on pam_slurm_adopt in 2026.",
    fix: "Remove the line, and disable-linger for users who have it (ls /var/lib/systemd/linger). runtime_dir=create \
          makes XDG_RUNTIME_DIR without it.",
};

/// The keys whose values are scripts on this node, and whether a job needs them.
const KEYS: [(&str, bool); 7] = [
    ("Prolog", true),
    ("Epilog", true),
    ("TaskProlog", true),
    ("TaskEpilog", true),
    ("HealthCheckProgram", false),
    ("RebootProgram", false),
    ("UnkillableStepProgram", false),
];
/// Scripts that are read.
const MOST: usize = 200;

pub(super) fn look(slurm: &Slurm<'_>, notes: &mut Notes) {
    let owners = Owners::of(slurm);
    let mut scripts = BTreeSet::new();
    let known = |line: &'_ Setting| {
        KEYS.iter()
            .find(|(key, _)| line.key().eq_ignore_ascii_case(key))
    };
    let lines = slurm.conf.settings.iter();
    let lines = lines.filter_map(|line| Some((line, known(line)?)));
    for (line, (key, is_needed)) in lines.take(MOST) {
        scripts.extend(files(slurm, line, key, *is_needed, notes));
    }
    let is_alone = nodes_are_exclusive(slurm);
    let mut read = BTreeSet::new();
    while let Some(script) = scripts.pop_first() {
        if read.len() >= MOST || !read.insert(script.clone()) {
            continue;
        }
        if let Some(part) = owners.unsafe_part(slurm.host, &script) {
            report(slurm, &owners, &part, &CHANGEABLE, notes);
        }
        let Ok(text) = slurm.host.tree.text(&script) else {
            continue;
        };
        judge(&script, &text, is_alone, notes);
        for dir in directories(&text) {
            let names = slurm.host.tree.names(dir).unwrap_or_default();
            scripts.extend(names.iter().map(|it| Path::new(dir).join(it)));
        }
    }
}

fn judge(script: &Path, text: &str, is_alone: bool, notes: &mut Notes) {
    // One script has hardly more, and a hostile one must not fill the report.
    for found in deeds(text).into_iter().take(20) {
        let (check, detail) = match found.deed {
            // Whoever has a whole node has no other job there.
            Deed::KillsByUser if is_alone => continue,
            Deed::KillsByUser => (
                &KILLS_BY_USER,
                "nothing before it asks for other jobs of the user",
            ),
            Deed::EnablesLinger => (
                &LINGER,
                "the user's service manager runs outside of the job",
            ),
        };
        let spot = Spot::line(script.to_string_lossy(), found.line, found.text).mark(found.word);
        notes.find(Finding::of(check, detail).at(spot));
    }
}

/// The files that a line names; says which are missing.
fn files(
    slurm: &Slurm<'_>,
    line: &Setting,
    key: &str,
    is_needed: bool,
    notes: &mut Notes,
) -> Vec<PathBuf> {
    let tree = &slurm.host.tree;
    let value = line.value(key).unwrap_or_default();
    // Of a command with arguments, as in RebootProgram, the first word.
    let path = slurm
        .dir()
        .join(value.split_whitespace().next().unwrap_or_default());
    let found = tree.matches(&path.to_string_lossy());
    let wrong =
        |detail: String| Finding::of(&CANNOT_RUN, detail).at(spot(slurm.host, line, key, value));
    if found.is_empty() {
        let dir = path.parent().unwrap_or(Path::new("/"));
        let error = tree.status(dir).err();
        if !slurm.host.is_live() && error.is_some_and(|it| is_absent(&it)) {
            // It may be on a file system that the node mounts.
            notes.unseen(path.to_string_lossy(), "its directory is not in the tree");
        } else if is_needed {
            notes.find(wrong(format!("{key}: there is no {}", path.display())));
        }
        return found;
    }
    for file in found.iter().filter(|_| is_needed) {
        let Ok(status) = tree.status(file) else {
            continue;
        };
        if status.is_dir() {
            notes.find(wrong(format!(
                "{key}: {0} is a directory; {0}/* names its scripts",
                file.display()
            )));
        }
        if status.is_file() && status.mode() & 0o111 == 0 {
            notes.find(wrong(format!(
                "{key}: {} is not executable",
                file.display()
            )));
        }
    }
    found
}

/// Whether each node has the jobs of one user alone, one at a time.
fn nodes_are_exclusive(slurm: &Slurm<'_>) -> bool {
    let lines = slurm.conf.settings.iter();
    let lines = lines.filter(|it| it.key().eq_ignore_ascii_case("PartitionName"));
    let mut default = false;
    let mut all = None;
    for line in lines {
        let shares = line.value("OverSubscribe").or_else(|| line.value("Shared"));
        let exclusive = shares.map(|it| it.eq_ignore_ascii_case("EXCLUSIVE"));
        let is_default = line
            .value("PartitionName")
            .is_some_and(|it| it.eq_ignore_ascii_case("DEFAULT"));
        if is_default {
            default = exclusive.unwrap_or(default);
        } else {
            all = Some(all.unwrap_or(true) && exclusive.unwrap_or(default));
        }
    }
    let is_linear = slurm.conf.value("SelectType") == Some("select/linear");
    is_linear || all == Some(true)
}
