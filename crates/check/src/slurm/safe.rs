//! Who can change Slurm's files: root runs what they name.

use std::collections::BTreeSet;
use std::fmt;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::host::Host;
use crate::host::users::users;
use crate::slurm::place::Slurm;
use crate::slurm::spool::UNSAFE;
use crate::{Check, Finding, Notes, Severity, Spot};

pub(super) const CHANGEABLE: Check = Check {
    id: "SA440",
    severity: Severity::Failure,
    title: "others than root can change Slurm's configuration",
    why: "slurmd runs Prolog, Epilog and the like as root, and plugstack.conf names libraries that slurmstepd \
          loads as root: anyone who can write or replace such a file can run anything as root. slurm.conf(5), \"File \
          and Directory Permissions\".",
    fix: "Give the file or directory to root (or SlurmUser), and take write permission from all others: chmod go-w.",
};

pub(super) const READABLE_KEY: Check = Check {
    id: "SA441",
    severity: Severity::Failure,
    title: "others can read Slurm's key",
    why: "With AuthType=auth/slurm who has the key can pose as root or anybody else to all daemons of the \
          cluster. Slurm's daemons refuse such a file and do not start. With the key of auth/jwt (jwt_key=) anybody \
          can make tokens of any user, and so run jobs as that user. authentication.html, jwt.html.",
    fix: "chown slurm and chmod 600 the key; if others could read it for some time, make a new one.",
};

/// The users and groups that may change things.
#[derive(Debug, Clone, Default)]
pub(super) struct Owners {
    uids: Vec<u32>,
    /// Those of root.
    root_gids: Vec<u32>,
    /// Those of SlurmUser and SlurmdUser.
    slurm_gids: Vec<u32>,
    /// SlurmUser, if it is unknown here: what is neither root's nor known may be its.
    pub(super) unknown: Option<String>,
}

/// The file or directory that somebody else can change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unsafe {
    pub(super) path: PathBuf,
    /// Who can.
    pub(super) who: Changer,
    /// Its mode.
    pub(super) mode: u32,
}

/// Who can change a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Changer {
    /// A user who owns it.
    Owner(u32),
    /// All users.
    All,
    /// The members of a group.
    Group(u32),
}

impl fmt::Display for Unsafe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.who {
            Changer::Owner(uid) => write!(f, "uid {uid} owns it")?,
            Changer::All => f.write_str("all users can write to it")?,
            Changer::Group(gid) => write!(f, "group {gid} can write to it")?,
        }
        write!(f, " (mode {:04o})", self.mode)
    }
}

impl Owners {
    /// Root, SlurmUser and SlurmdUser. A tree that does not run was perhaps unpacked by another user: then the
    /// owner of the tree stands for root.
    pub(super) fn of(slurm: &Slurm<'_>) -> Self {
        let mut owners = Self {
            uids: vec![0],
            root_gids: vec![0],
            slurm_gids: Vec::new(),
            unknown: None,
        };
        if let (false, Ok(root)) = (slurm.host.is_live(), slurm.host.tree.status("/")) {
            owners.uids.push(root.uid());
            owners.root_gids.push(root.gid());
        }
        for key in ["SlurmUser", "SlurmdUser"] {
            let Some(user) = slurm.conf.value(key) else {
                continue;
            };
            match ids_of(slurm.host, user) {
                Some((uid, gid)) => {
                    owners.uids.push(uid);
                    owners.slurm_gids.extend(gid);
                }
                None => owners.unknown = Some(user.to_owned()),
            }
        }
        owners
    }

    /// As the module judges the spool directory: no group but root's may write.
    pub(super) fn without_groups(mut self) -> Self {
        self.slurm_gids.clear();
        self
    }

    /// The first of a path and the directories above it that somebody else can change. A sticky directory above
    /// does no harm.
    pub(super) fn unsafe_part(&self, host: &Host, path: &Path) -> Option<Unsafe> {
        let real = host.tree.resolve(path).unwrap_or_else(|_| path.to_owned());
        // Both the way that is written and the one behind links.
        let parts: BTreeSet<&Path> = path.ancestors().chain(real.ancestors()).collect();
        parts.into_iter().rev().find_map(|part| {
            let status = host.tree.status(part).ok()?;
            let is_above = part != path && part != real;
            let (uid, gid, mode) = (status.uid(), status.gid(), status.mode() & 0o7777);
            let who = self.changer(uid, gid, mode, is_above)?;
            let path = part.to_owned();
            Some(Unsafe { path, who, mode })
        })
    }

    fn changer(&self, uid: u32, gid: u32, mode: u32, is_above: bool) -> Option<Changer> {
        if !self.uids.contains(&uid) {
            return Some(Changer::Owner(uid));
        }
        if is_above && mode & 0o1000 != 0 {
            return None;
        }
        if mode & 0o002 != 0 {
            return Some(Changer::All);
        }
        let is_trusted = self.root_gids.contains(&gid) || self.slurm_gids.contains(&gid);
        (mode & 0o020 != 0 && !is_trusted).then_some(Changer::Group(gid))
    }
}

/// The uid and group of a user, by number or by name.
fn ids_of(host: &Host, user: &str) -> Option<(u32, Option<u32>)> {
    if let Ok(uid) = user.parse() {
        return Some((uid, None));
    }
    let passwd = host.tree.text("/etc/passwd").unwrap_or_default();
    if let Some(found) = users(&passwd).find(|it| it.name == user) {
        return Some((found.uid, found.gid));
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
    files.extend(plugins(slurm));
    for file in files.iter().filter(|it| slurm.host.tree.exists(it)) {
        let Some(part) = owners.unsafe_part(slurm.host, file) else {
            continue;
        };
        report(slurm, &owners, &part, &CHANGEABLE, notes);
    }
    keys(slurm, &owners, notes);
}

/// The files that plugstack.conf includes and the libraries that it names, spank(8).
fn plugins(slurm: &Slurm<'_>) -> Vec<PathBuf> {
    /// Files and libraries that are looked at.
    const MOST: usize = 100;
    let tree = &slurm.host.tree;
    let mut texts = vec![slurm.beside("plugstack.conf")];
    let mut found = Vec::new();
    while let Some(file) = texts.pop() {
        let text = tree.text(&file).unwrap_or_default();
        for line in text.lines().map(str::trim) {
            let words: Vec<&str> = line.split_whitespace().take(2).collect();
            let (verb, path) = match words.as_slice() {
                [verb, path] if found.len() < MOST => (*verb, slurm.beside(path)),
                _ => continue,
            };
            match verb {
                "include" => {
                    let included = tree.matches(&path.to_string_lossy());
                    let new: Vec<PathBuf> = included
                        .into_iter()
                        .filter(|it| !found.contains(it))
                        .collect();
                    found.extend(new.iter().cloned());
                    texts.extend(new);
                }
                // A relative name is looked up in PluginDir.
                "required" | "optional" if words.iter().any(|it| it.starts_with('/')) => {
                    found.push(path)
                }
                _ => {}
            }
        }
    }
    found
}

/// Reports what somebody else can change. In a tree that does not run it may be SlurmUser's, who is unknown there.
/// What is only writable for a group may be so on purpose.
pub(super) fn report(
    slurm: &Slurm<'_>,
    owners: &Owners,
    part: &Unsafe,
    check: &'static Check,
    notes: &mut Notes,
) {
    let name = part.path.to_string_lossy().into_owned();
    if let (Some(user), Changer::Owner(_), false) =
        (&owners.unknown, part.who, slurm.host.is_live())
    {
        let why = format!("{part}, and SlurmUser {user} is unknown here");
        return notes.unseen(format!("the owner of {name}"), why);
    }
    let is_group = matches!(part.who, Changer::Group(_)) && check.id != UNSAFE.id;
    let severity = if is_group {
        Severity::Warning
    } else {
        check.severity
    };
    let found = Finding::of(check, part.to_string()).at(Spot::file(name));
    notes.find(found.as_severe_as(severity));
}

fn keys(slurm: &Slurm<'_>, owners: &Owners, notes: &mut Notes) {
    let parameters = slurm.conf.value("AuthAltParameters").unwrap_or_default();
    let mut parameters = parameters.split(',');
    let jwt_key = parameters.find_map(|it| it.trim().strip_prefix("jwt_key="));
    if let Some(key) = jwt_key.filter(|it| it.starts_with('/')) {
        let mode = slurm
            .host
            .tree
            .status(key)
            .map_or(0, |it| it.mode() & 0o777);
        if mode & 0o007 != 0 {
            let detail = format!("its mode is {mode:04o}");
            notes.find(Finding::of(&READABLE_KEY, detail).at(Spot::file(key)));
        }
    }
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
            report(slurm, owners, &part, &CHANGEABLE, notes);
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
            root_gids: vec![0],
            slurm_gids: vec![990],
            unknown: None,
        };
        let (all, group) = (Some(Changer::All), Some(Changer::Group(10)));
        for (uid, gid, mode, is_above, expected) in [
            (0, 0, 0o644, false, None),
            (990, 990, 0o664, false, None),
            (0, 0, 0o664, false, None),
            (0, 10, 0o644, false, None),
            (0, 10, 0o664, false, group),
            (0, 0, 0o666, false, all),
            (0, 0, 0o1777, true, None),
            (0, 0, 0o1777, false, all),
            (1000, 0, 0o644, false, Some(Changer::Owner(1000))),
            (1000, 0, 0o1755, true, Some(Changer::Owner(1000))),
        ] {
            let found = owners.changer(uid, gid, mode, is_above);
            assert_eq!(found, expected, "{uid} {gid} {mode:o} {is_above}");
        }
        let strict = owners.without_groups();
        assert!(strict.changer(990, 990, 0o775, false).is_some());
    }
}
