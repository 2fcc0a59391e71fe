//! What is at a place: a content, and what else is kept when it is replaced.

use std::ffi::{CStr, OsStr, OsString};
use std::fs::{File, FileType};
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::PathBuf;

use rustix::fs::{self, CWD, Mode, OFlags, XattrFlags};
use serde::{Deserialize, Serialize};

use crate::change::Content;

/// A file or link with what belongs to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// Its content, mode and owner.
    pub content: Content,
    /// A file's extended attributes: SELinux' label, access control lists.
    pub attributes: Vec<Attribute>,
    /// The time of a file's last change: seconds since 1970, and nanoseconds. None for the present time.
    pub modified: Option<(i64, i64)>,
}

/// An extended attribute, xattr(7).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attribute {
    /// Its name, such as `security.selinux`.
    pub name: String,
    /// Its value.
    pub value: Vec<u8>,
}

impl Attribute {
    /// Whether it also belongs to another content of the file: not a hash, a signature or a capability.
    fn is_of_any_content(&self) -> bool {
        self.name == "security.selinux" || self.name.starts_with("system.")
    }
}

impl State {
    /// Another content of the same file: keeps what does not depend on it.
    #[must_use]
    pub fn with(&self, content: Content) -> Self {
        let kept = self.attributes.iter();
        let kept = kept.filter(|it| it.is_of_any_content() || it.name.starts_with("user."));
        Self {
            content,
            attributes: kept.cloned().collect(),
            modified: None,
        }
    }

    /// A content that nothing else is known of.
    #[must_use]
    pub fn new(content: Content) -> Self {
        Self {
            content,
            attributes: Vec::new(),
            modified: None,
        }
    }

    /// Reads what an entry of a directory is; None if there is none.
    pub(super) fn read(dir: &OwnedFd, name: &OsStr) -> io::Result<Option<Self>> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let found = match fs::openat(dir, name, flags, Mode::empty()) {
            Err(error) if error == rustix::io::Errno::NOENT => return Ok(None),
            found => File::from(found?),
        };
        let status = found.metadata()?;
        if status.is_symlink() {
            let target = fs::readlinkat(&found, "", Vec::new())?.into_bytes();
            let target = PathBuf::from(OsString::from_vec(target));
            return Ok(Some(Self::new(Content::Link { target })));
        }
        if !status.is_file() {
            let text = format!(
                "{} stands there, not a regular file",
                kind(status.file_type())
            );
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        // Of a known kind, so that to open it does nothing, proc_pid_fd(5).
        let path = format!("/proc/self/fd/{}", found.as_raw_fd());
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let file = File::from(fs::openat(CWD, path, flags, Mode::empty())?);
        let attributes = attributes(&file)?;
        Ok(Some(Self {
            content: Content::File {
                bytes: sys::read_open(file, &status, LARGEST)?,
                mode: status.mode() & 0o7777,
                uid: status.uid(),
                gid: status.gid(),
            },
            attributes,
            modified: Some((status.mtime(), status.mtime_nsec())),
        }))
    }
}

/// A kind of file in words.
fn kind(kind: FileType) -> &'static str {
    if kind.is_dir() {
        "a directory"
    } else if kind.is_fifo() {
        "a FIFO"
    } else if kind.is_socket() {
        "a socket"
    } else {
        "a device"
    }
}

fn attributes(file: &File) -> io::Result<Vec<Attribute>> {
    use rustix::io::Errno;
    let mut names = vec![0; 1 << 16];
    let length = match fs::flistxattr(file, names.as_mut_slice()) {
        Err(Errno::OPNOTSUPP) => 0,
        length => length?,
    };
    names.truncate(length);
    let mut attributes = Vec::new();
    for name in names.split_inclusive(|it| *it == 0) {
        let Ok(name) = CStr::from_bytes_with_nul(name) else {
            continue;
        };
        let mut value = vec![0; 1 << 16];
        let length = fs::fgetxattr(file, name, value.as_mut_slice())?;
        value.truncate(length);
        let name = name.to_string_lossy().into_owned();
        attributes.push(Attribute { name, value });
    }
    Ok(attributes)
}

/// Removes the access control list that a new file has from its directory's default.
pub(super) fn clear_access_list(file: &File) -> io::Result<()> {
    use rustix::io::Errno;
    match fs::fremovexattr(file, "system.posix_acl_access") {
        Err(Errno::NODATA | Errno::OPNOTSUPP) => Ok(()),
        removed => Ok(removed?),
    }
}

/// Sets attributes. A label or an access control list that cannot be set is an error; without it the file would be
/// open to others, or closed to its readers.
pub(super) fn set_attributes(file: &File, attributes: &[Attribute]) -> io::Result<()> {
    for attribute in attributes {
        let Attribute { name, value } = attribute;
        let mut found = vec![0; value.len() + 1];
        let has = fs::fgetxattr(file, name.as_str(), found.as_mut_slice());
        if has.is_ok_and(|length| found.get(..length) == Some(value)) {
            continue;
        }
        let set = fs::fsetxattr(file, name.as_str(), value, XattrFlags::empty());
        if let (Err(error), true) = (set, attribute.is_of_any_content()) {
            let error = io::Error::from(error);
            let text = format!("set attribute {name}: {error}");
            return Err(io::Error::new(error.kind(), text));
        }
    }
    Ok(())
}

/// The largest file that is changed, in bytes.
const LARGEST: u64 = 16 << 20;
