//! A change of one file.

use std::path::PathBuf;

/// A file as it is and as it is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Its absolute path; in a tree that does not run, the path within the tree.
    pub path: PathBuf,
    /// As the plan found it; None if there is none.
    pub before: Option<Content>,
    /// As it is to be; None if it is to go.
    pub after: Option<Content>,
    /// The reason in one line, for the reader of the difference.
    pub why: String,
}

/// What a path holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// A regular file.
    File {
        /// Its bytes.
        bytes: Vec<u8>,
        /// Its permissions, chmod(2).
        mode: u32,
        /// Its owner.
        uid: u32,
        /// Its group.
        gid: u32,
    },
    /// A symbolic link.
    Link {
        /// The path that it names, as written.
        target: PathBuf,
    },
}
