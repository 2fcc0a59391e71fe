//! The spool directory, where slurmstepds listen.

use std::path::{Path, PathBuf};

use crate::host::Host;
use crate::slurm::node;
use crate::slurm::place::Slurm;
use crate::slurm::safe::{Owners, report};
use crate::{Check, Finding, Notes, Severity, Spot};

pub(super) const RELATIVE: Check = Check {
    id: "SA435",
    severity: Severity::Failure,
    title: "SlurmdSpoolDir is not an absolute path",
    why: "slurmd makes it in the directory that it was started in, which nobody else knows: the module finds no \
          job, and each login ends in action_generic_failure. slurm.conf(5), SlurmdSpoolDir.",
    fix: "Write the path from the root, such as /var/spool/slurmd.",
};

pub(super) const UNSAFE: Check = Check {
    id: "SA436",
    severity: Severity::Failure,
    title: "others than root can put sockets into the spool directory",
    why: "A user could pose as a slurmstepd there and let people in. This module therefore does not use the \
          directory: each login ends in action_generic_failure. SchedMD's believes whoever listens. \
          pam_slurm_adopt(8), FILES.",
    fix: "Give the directory and those above it to root, and take write permission from all others: chmod go-w.",
};

pub(super) const SHARED: Check = Check {
    id: "SA437",
    severity: Severity::Warning,
    title: "nodes share a spool directory",
    why: "The sockets of all nodes' slurmstepds stand in it, and so do their job scripts and credentials; sockets \
          on a network file system work only on their own node. Slurm wants a local directory. slurm.conf(5), \
          SlurmdSpoolDir.",
    fix: "Use a local directory such as /var/spool/slurmd, or put %n into the path.",
};

const KEY: &str = "SlurmdSpoolDir";
/// `src/common/read_config.h`, DEFAULT_SPOOLDIR.
const DEFAULT: &str = "/var/spool/slurmd";
/// Types of file systems that several hosts mount.
const NETWORK: [&str; 15] = [
    "afs",
    "beegfs",
    "ceph",
    "cifs",
    "fuse.beegfs",
    "fuse.glusterfs",
    "fuse.sshfs",
    "glusterfs",
    "gpfs",
    "lustre",
    "nfs",
    "nfs4",
    "panfs",
    "smb3",
    "wekafs",
];

pub(super) fn look(slurm: &Slurm<'_>, notes: &mut Notes) {
    let value = slurm.conf.value(KEY).unwrap_or(DEFAULT);
    let spot = slurm.at(KEY, value);
    if !value.starts_with('/') {
        let detail = format!("{KEY} is {value}");
        return notes.find(Finding::of(&RELATIVE, detail).at(spot));
    }
    shared(slurm, value, spot, notes);
    let owners = Owners::of(slurm).without_groups();
    for dir in directories(slurm, value) {
        // Before slurmd's first start it does not exist; those above it do.
        if let Some(part) = owners.unsafe_part(slurm.host, &dir) {
            report(slurm, &owners, &part, &UNSAFE, notes);
        }
    }
}

/// The directory of this node.
fn directories(slurm: &Slurm<'_>, value: &str) -> Vec<PathBuf> {
    if let Some(Ok(node)) = slurm.host.node() {
        return node.spool_dirs.clone();
    }
    match node::name(slurm) {
        Some(name) => vec![PathBuf::from(
            value.replace("%n", &name).replace("%h", &name),
        )],
        None => {
            let is_known = |it: &&Path| !it.to_string_lossy().contains('%');
            let known = Path::new(value).ancestors().find(is_known);
            known.map(Path::to_owned).into_iter().collect()
        }
    }
}

fn shared(slurm: &Slurm<'_>, value: &str, spot: Spot, notes: &mut Notes) {
    if value.contains("%n") || value.contains("%h") {
        return;
    }
    let Some((mount, kind)) = mount_of(slurm.host, Path::new(value)) else {
        return;
    };
    // A node that has its root directory from a server has one of its own, or the directory is mounted over.
    if mount != Path::new("/") && NETWORK.contains(&kind.as_str()) {
        let detail = format!("{} is of type {kind}, and {KEY} has no %n", mount.display());
        notes.find(Finding::of(&SHARED, detail).at(spot));
    }
}

/// The mount point that a path is on, and the type of its file system: what is mounted, or in a tree that does
/// not run what fstab(5) says.
fn mount_of(host: &Host, path: &Path) -> Option<(PathBuf, String)> {
    let table = if host.is_live() {
        "/proc/self/mounts"
    } else {
        "/etc/fstab"
    };
    let text = host.tree.text(table).ok()?;
    of_table(&text, path)
}

fn of_table(text: &str, path: &Path) -> Option<(PathBuf, String)> {
    let lines = text.lines().filter(|it| !it.trim_start().starts_with('#'));
    let mounts = lines.filter_map(|line| {
        let mut words = line.split_whitespace().skip(1);
        let place = Path::new(words.next()?);
        path.starts_with(place).then_some((place, words.next()?))
    });
    // Of two on one directory the later one counts.
    let last = mounts.max_by_key(|(place, _)| place.components().count())?;
    Some((last.0.to_owned(), last.1.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mount_that_a_path_is_on() {
        let table = "/dev/sda1 / ext4 rw 0 0\n# x\nserver:/home /home nfs4 rw 0 0\nautofs /shared autofs rw\n\
                     server:/s /shared nfs rw\n";
        for (path, expected) in [
            ("/var/spool/slurmd", "ext4"),
            ("/home/slurm/spool", "nfs4"),
            ("/shared/x", "nfs"),
            ("/homes", "ext4"),
        ] {
            let found = of_table(table, Path::new(path)).map(|(_, kind)| kind);
            assert_eq!(found.as_deref(), Some(expected), "{path}");
        }
        assert_eq!(of_table("", Path::new("/x")), None);
    }
}
