//! Who can change a file: its owner, its mode, and those of all directories above it.

use std::fmt;
use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::host::tree::Tree;

/// A file or directory that somebody other than root can change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsafe {
    /// Its path, links resolved.
    pub path: PathBuf,
    /// Its owner.
    pub uid: u32,
    /// Its permissions.
    pub mode: u32,
}

impl fmt::Display for Unsafe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        write!(
            f,
            "{path} has owner uid {}, mode {:04o}",
            self.uid, self.mode
        )
    }
}

/// Finds the file itself or the first directory above it that somebody other than root can change. A sticky
/// directory such as /tmp above root's own directory does no harm.
///
/// # Errors
/// Those of open(2).
pub fn unsafe_part(tree: &Tree, path: &Path) -> io::Result<Option<Unsafe>> {
    let real = tree.resolve(path)?;
    for (steps, part) in real.ancestors().enumerate() {
        let status = tree.status(part)?;
        let is_directory_above = steps > 0;
        // With the sticky bit nobody removes or renames another's entry. What is made new in the directory of
        // the file itself does not replace the file.
        let is_sticky = is_directory_above && status.mode() & 0o1000 != 0;
        if !is_roots(tree, &status) || (is_writable_by_others(&status) && !is_sticky) {
            return Ok(Some(Unsafe {
                path: part.to_owned(),
                uid: status.uid(),
                mode: status.mode() & 0o7777,
            }));
        }
    }
    Ok(None)
}

/// Whether a file is root's. A tree that an ordinary user has unpacked is that user's: its root directory's owner
/// stands for root.
#[must_use]
pub fn is_roots(tree: &Tree, status: &Metadata) -> bool {
    status.uid() == 0 || stand_in(tree) == Some(status.uid())
}

/// The user who stands for root in a tree that does not run; None if root does.
#[must_use]
pub fn stand_in(tree: &Tree) -> Option<u32> {
    if tree.is_live() {
        return None;
    }
    let uid = tree.status("/").ok()?.uid();
    (uid != 0).then_some(uid)
}

/// Whether the mode lets others than the owner write. Root's group has no other members that count.
#[must_use]
pub fn is_writable_by_others(status: &Metadata) -> bool {
    let mode = status.mode();
    mode & 0o002 != 0 || mode & 0o020 != 0 && status.gid() != 0
}
