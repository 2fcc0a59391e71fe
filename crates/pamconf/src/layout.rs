//! The places where libpam looks for files.

use std::io;
use std::path::{Path, PathBuf};

use crate::model::Facility;

/// Reads a file, in full or not at all.
pub type ReadFile<'a> = &'a mut dyn FnMut(&Path) -> io::Result<Vec<u8>>;

/// Limit on the files that are read for one service. libpam has no such limit; a stack in use has ten.
pub const MOST_FILES: usize = 256;

/// The places where a libpam looks for files, fixed when it is built.
#[derive(Debug, Clone)]
pub struct Layout {
    /// The directories of services; the first one that has the file counts. `/etc/pam.d`, `/usr/lib/pam.d` since
    /// Linux-PAM 1.2, and since 1.4 `pam.d` in the vendor directory, if there is one (`_pam_open_config_file`).
    pub dirs: Vec<PathBuf>,
    /// How it includes files.
    pub flavor: Flavor,
}

/// The way in which a libpam includes files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flavor {
    /// As published: `include` and `substack`, for files in all directories. `@include` is an unknown
    /// facility.
    Upstream,
    /// With Debian's patch `031_pam_include`: knows `@include`, and looks for a relative name only in the first
    /// directory. If the file of an `@include` outside any `include` is missing, libpam gives up.
    Debian,
    /// For an unknown flavor: knows `@include`, and looks in all directories.
    Either,
}

/// Whether to read the service `other`.
#[derive(Debug, Clone, Copy)]
pub enum ReadOther<'a> {
    /// Always, as libpam does; a line there may make libpam give up.
    Always,
    /// If one of these facilities has no entry: this reads fewer files and reports fewer problems.
    IfLacking(&'a [Facility]),
}
