//! File systems that are mounted when a host runs, fstab(5): a tree that does not run lacks what is on them.

use std::path::Path;

use crate::host::tree::Tree;

/// Whether a path lies on a file system that the tree mounts only when it runs: one in fstab(5) other than the
/// root, or one of those that are made at boot.
#[must_use]
pub fn is_mounted_later(tree: &Tree, path: &Path) -> bool {
    if tree.is_live() {
        return false;
    }
    let text = tree.text("/etc/fstab").unwrap_or_default();
    let made_at_boot = ["/run", "/tmp", "/proc", "/sys", "/dev"];
    let mut dirs = made_at_boot.into_iter().chain(directories(&text));
    dirs.any(|dir| path.starts_with(dir))
}

/// The directories of fstab(5) but the root.
fn directories(text: &str) -> impl Iterator<Item = &str> {
    let lines = text.lines().map(str::trim);
    let lines = lines.filter(|it| !it.starts_with('#'));
    let dirs = lines.filter_map(|it| it.split_whitespace().nth(1));
    dirs.filter(|it| it.starts_with('/') && *it != "/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_of_fstab() {
        let text = "# device dir\nUUID=1 / ext4 defaults 0 1\nnfs:/opt /opt nfs ro\n/swap none swap sw\n\n";
        assert_eq!(directories(text).collect::<Vec<_>>(), ["/opt"]);
    }
}
