//! Who can change Slurm's files: root runs what they name.

use std::collections::BTreeSet;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::host::Host;
use crate::slurm::place::Slurm;
use crate::{Check, Finding, Notes, Severity, Spot};

pub(super) const CHANGEABLE: Check = Check {
    id: "SA440",
    severity: Severity::Failure,
    title: "others than root can change Slurm's configuration",
    why: "slurmd runs Prolog, Epilog and the like as root, and plugstack.conf names libraries that slurmstepd \
          loads as root: who can write the file or replace it can run anything as root. slurm.conf(5), \"File \
          and Directory Permissions\".",
    fix: "Give the file or directory to root (or SlurmUser), and take write permission from all others: chmod go-w.",
};

pub(super) const READABLE_KEY: Check = Check {
    id: "SA441",
    severity: Severity::Failure,
    title: "others can read Slurm's key",
    why: "With AuthType=auth/slurm who has the key can pose as root or anybody else to all daemons of the \
          cluster. Slurm's daemons refuse such a file and do not start. authentication.html.",
    fix: "chown slurm and chmod 600 the key; if others could read it for some time, make a new one.",
};

/// The users and groups that may change things.
#[derive(Debug, Clone, Default)]
pub(super) struct Owners {
    uids: Vec<u32>,
    gids: Vec<u32>,
    /// SlurmUser, if it is unknown here: what is neither root's nor known may be its.
    pub(super) unknown: Option<String>,
}

/// The file or directory that somebody else can change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unsafe {
    pub(super) path: PathBuf,
    /// What is wrong with it, in words.
    pub(super) why: String,
    /// Whether it is only writable for a group.
    pub(super) is_group_alone: bool,
}

impl Owners {
    /// Root, SlurmUser and SlurmdUser. A tree that does not run was perhaps unpacked by another user: then the
    /// owner of the tree stands for root.
    pub(super) fn of(slurm: &Slurm<'_>) -> Self {
        let mut owners = Self {
            uids: vec![0],
            gids: vec![0],
            unknown: None,
        };
        if let (false, Ok(root)) = (slurm.host.is_live(), slurm.host.tree.status("/")) {
            owners.uids.push(root.uid());
            owners.gids.push(root.gid());
        }
        for key in ["SlurmUser", "SlurmdUser"] {
            let Some(user) = slurm.conf.value(key) else {
                continue;
            };
            match ids_of(slurm.host, user) {
                Some((uid, gid)) => {
                    owners.uids.push(uid);
                    owners.gids.extend(gid);
                }
                None => owners.unknown = Some(user.to_owned()),
            }
        }
        owners
    }

    /// The first of a path and the directories above it that somebody else can change. A sticky directory above
    /// does no harm.
    pub(super) fn unsafe_part(&self, host: &Host, path: &Path) -> Option<Unsafe> {
        let real = host.tree.real(path).unwrap_or_else(|_| path.to_owned());
        // Both the way that is written and the one behind links.
        let parts: BTreeSet<&Path> = path.ancestors().chain(real.ancestors()).collect();
        parts.into_iter().rev().find_map(|part| {
            let status = host.tree.status(part).ok()?;
            let is_above = part != path && part != real;
            let (why, is_group_alone) = self.problem(&status, is_above)?;
            let path = part.to_owned();
            Some(Unsafe {
                path,
                why,
                is_group_alone,
            })
        })
    }

    fn problem(&self, status: &Metadata, is_above: bool) -> Option<(String, bool)> {
        let (uid, gid, mode) = (status.uid(), status.gid(), status.mode() & 0o7777);
        self.reason(uid, gid, mode, is_above)
    }

    fn reason(&self, uid: u32, gid: u32, mode: u32, is_above: bool) -> Option<(String, bool)> {
        let is_sticky = is_above && mode & 0o1000 != 0;
        if !self.uids.contains(&uid) {
            return Some((format!("uid {uid} owns it (mode {mode:04o})"), false));
        }
        if is_sticky {
            return None;
        }
        if mode & 0o002 != 0 {
            return Some((
                format!("all users can write to it (mode {mode:04o})"),
                false,
            ));
        }
        let group = mode & 0o020 != 0 && !self.gids.contains(&gid);
        group.then(|| {
            (
                format!("group {gid} can write to it (mode {mode:04o})"),
                true,
            )
        })
    }
}

/// The uid and group of a user, by number or by name.
fn ids_of(host: &Host, user: &str) -> Option<(u32, Option<u32>)> {
    if let Ok(uid) = user.parse() {
        return Some((uid, None));
    }
    let passwd = host.tree.text("/etc/passwd").unwrap_or_default();
    let mut rows = passwd.lines().map(|it| it.split(':').collect::<Vec<_>>());
    if let Some(row) = rows.find(|it| it.first() == Some(&user)) {
        let number = |at: usize| row.get(at).and_then(|it| it.parse().ok());
        return number(2).map(|uid| (uid, number(3)));
    }
    if !host.is_live() {
        return None;
    }
    let uid = sys::uid_of_user(user.as_bytes()).ok()?;
    Some((uid, None))
}

/// Files beside slurm.conf that decide what root runs or what jobs may use.
const BESIDE: [&str; 6] = [
    "cgroup.conf",
    "gres.conf",
    "job_container.conf",
    "namespace.yaml",
    "oci.conf",
    "plugstack.conf",
];

pub(super) fn look(slurm: &Slurm<'_>, notes: &mut Notes) {
    let owners = Owners::of(slurm);
    let mut files: BTreeSet<PathBuf> = BESIDE.iter().map(|it| slurm.beside(it)).collect();
    files.insert(slurm.conf.path.clone());
    files.extend(slurm.conf.settings.iter().map(|it| PathBuf::from(&it.file)));
    for file in files.iter().filter(|it| slurm.host.tree.exists(it)) {
        let Some(part) = owners.unsafe_part(slurm.host, file) else {
            continue;
        };
        report(&owners, &part, &CHANGEABLE, notes);
    }
    keys(slurm, &owners, notes);
}

/// Reports what somebody else can change, unless it may be SlurmUser's, who is unknown here.
pub(super) fn report(owners: &Owners, part: &Unsafe, check: &'static Check, notes: &mut Notes) {
    let name = part.path.to_string_lossy().into_owned();
    if let (Some(user), true) = (&owners.unknown, part.why.starts_with("uid ")) {
        let why = format!("{}, and SlurmUser {user} is unknown here", part.why);
        return notes.unseen(format!("the owner of {name}"), why);
    }
    let severity = if part.is_group_alone {
        Severity::Warning
    } else {
        check.severity
    };
    let found = Finding::of(check, part.why.clone()).at(Spot::file(name));
    notes.find(found.as_severe_as(severity));
}

fn keys(slurm: &Slurm<'_>, owners: &Owners, notes: &mut Notes) {
    if slurm.conf.value("AuthType") != Some("auth/slurm") {
        return;
    }
    for name in ["slurm.key", "slurm.jwks"] {
        let path = slurm.beside(name);
        let Ok(status) = slurm.host.tree.status(&path) else {
            continue;
        };
        let mode = status.mode() & 0o777;
        if mode & 0o007 != 0 {
            let detail = format!("its mode is {mode:04o}");
            let file = Spot::file(path.to_string_lossy());
            notes.find(Finding::of(&READABLE_KEY, detail).at(file));
        } else if let Some(part) = owners.unsafe_part(slurm.host, &path) {
            report(owners, &part, &CHANGEABLE, notes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_may_change_a_file() {
        let owners = Owners {
            uids: vec![0, 990],
            gids: vec![0, 990],
            unknown: None,
        };
        for (uid, gid, mode, is_above, expected) in [
            (0, 0, 0o644, false, None),
            (990, 990, 0o664, false, None),
            (0, 0, 0o664, false, None),
            (0, 10, 0o644, false, None),
            (0, 10, 0o664, false, Some(true)),
            (0, 0, 0o666, false, Some(false)),
            (0, 0, 0o1777, true, None),
            (0, 0, 0o1777, false, Some(false)),
            (1000, 0, 0o644, false, Some(false)),
            (1000, 0, 0o1755, true, Some(false)),
        ] {
            let found = owners.reason(uid, gid, mode, is_above);
            let found = found.map(|(_, it)| it);
            assert_eq!(found, expected, "{uid} {gid} {mode:o} {is_above}");
        }
    }
}
