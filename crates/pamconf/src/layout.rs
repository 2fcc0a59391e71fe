//! Where a libpam looks for files.

use std::io;
use std::path::{Path, PathBuf};

use crate::model::Facility;

/// Reads a file, in full or not at all.
pub type ReadFile<'a> = &'a mut dyn FnMut(&Path) -> io::Result<Vec<u8>>;

/// Files that are read for one service. libpam has no such bound; a stack in use has ten.
pub const MOST_FILES: usize = 256;

/// Where a libpam looks for files: this is fixed when it is built.
#[derive(Debug, Clone)]
pub struct Layout {
    /// The directories of services, the first that has the file counts: `/etc/pam.d`, `/usr/lib/pam.d` since
    /// Linux-PAM 1.2, and since 1.4 `pam.d` in the vendor directory, if there is one (`_pam_open_config_file`).
    pub dirs: Vec<PathBuf>,
    /// How it includes files.
    pub flavor: Flavor,
}

/// How a libpam includes files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flavor {
    /// As published: `include` and `substack`, for files in all directories. `@include` is an unknown
    /// facility.
    Upstream,
    /// With Debian's patch `031_pam_include`: knows `@include`, and looks for a relative name in the first
    /// directory alone. A missing file of an `@include` outside of any `include` makes libpam give up.
    Debian,
    /// For who can't tell: knows `@include`, and looks in all directories.
    Either,
}

/// When to read the service `other`.
#[derive(Debug, Clone, Copy)]
pub enum ReadOther<'a> {
    /// Always, as libpam does, which gives up if a line there makes it.
    Always,
    /// If one of these facilities has no entry: to read fewer files, and see fewer problems.
    IfLacking(&'a [Facility]),
}
