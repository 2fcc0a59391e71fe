//! Files that cannot be read, or must not be changed.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use check::host::owner::Unsafe;

/// Reason why a file is left alone.
#[derive(Debug)]
pub enum FileRefusal {
    /// An operation failed.
    Io {
        /// It, such as "open".
        operation: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's error.
        cause: io::Error,
    },
    /// The host's root directory cannot be opened a second time.
    Root(io::Error),
    /// It is a directory or a device.
    NotRegular(PathBuf),
    /// It is made from a description of the whole system.
    Generated {
        /// The file.
        path: PathBuf,
        /// The file that it leads to.
        real: PathBuf,
    },
    /// It belongs to a package, whose update writes it.
    Packaged {
        /// The file.
        path: PathBuf,
        /// The file that it leads to.
        real: PathBuf,
    },
    /// A link leads nowhere.
    Dangling {
        /// The link.
        path: PathBuf,
        /// Its text.
        target: PathBuf,
    },
    /// The file has the attribute of chattr(1).
    Immutable {
        /// The file.
        path: PathBuf,
        /// The file as this host names it.
        on_host: PathBuf,
    },
    /// Others than root can change it, or put something else in its place.
    Unsafe {
        /// The file.
        path: PathBuf,
        /// The directory or file that they can write.
        part: Unsafe,
    },
}

impl FileRefusal {
    /// Names the operation and its object.
    pub(in crate::plan) fn io(
        operation: &'static str,
        path: impl AsRef<Path>,
        cause: io::Error,
    ) -> Self {
        Self::Io {
            operation,
            path: path.as_ref().to_owned(),
            cause,
        }
    }
}

impl fmt::Display for FileRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io {
                operation,
                path,
                cause,
            } => write!(f, "{operation} {}: {cause}", path.display()),
            Self::Root(cause) => write!(f, "open the root directory again: {cause}"),
            Self::NotRegular(path) => write!(f, "{} is not a regular file", path.display()),
            Self::Generated { path, real } => {
                let (path, real) = (path.display(), real.display());
                write!(
                    f,
                    "{path} is {real}, which is generated: declare its lines there"
                )
            }
            Self::Packaged { path, real } => {
                let (path, real) = (path.display(), real.display());
                write!(
                    f,
                    "{path} is {real}, a package's file: its update would undo the change"
                )
            }
            Self::Dangling { path, target } => {
                let (path, target) = (path.display(), target.display());
                write!(
                    f,
                    "{path} is a link to {target}, and there is no such file: correct or remove the link first"
                )
            }
            Self::Immutable { path, on_host } => {
                let (path, on_host) = (path.display(), on_host.display());
                write!(f, "{path} is immutable; chattr -i {on_host} first")
            }
            Self::Unsafe { path, part } => {
                let path = path.display();
                write!(
                    f,
                    "{part}: others than root can change {path}; make it root's alone first"
                )
            }
        }
    }
}
