//! Classifies system errors. Only ENOENT and its like mean "not there"; a missing permission is reported with
//! path and errno, and with SELinux's name if SELinux is enforcing.

use std::io;
use std::path::Path;

use crate::text::shown;

/// SELinux's mode, in selinuxfs.
const ENFORCE: &str = "/sys/fs/selinux/enforce";

/// Whether the error means that there is no such file, and nothing else.
#[must_use]
pub fn is_absent(error: &io::Error) -> bool {
    use io::ErrorKind::{NotADirectory, NotFound};
    matches!(error.kind(), NotFound | NotADirectory)
}

/// Whether the error means that a process or one of its files does not exist or has ended, and nothing else.
#[must_use]
pub fn is_gone(error: &io::Error) -> bool {
    /// From a process's files, proc(5), and from a cgroup's.
    const ESRCH: i32 = 3;
    const ENODEV: i32 = 19;
    is_absent(error) || matches!(error.raw_os_error(), Some(ESRCH | ENODEV))
}

/// Returns the result of an operation; None if its object is gone, see [`is_gone`].
///
/// # Errors
/// The system's error, with the operation, the path, and SELinux if that is enforcing.
pub fn unless_gone<T>(operation: &str, path: &str, result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(found) => Ok(Some(found)),
        Err(error) if is_gone(&error) => Ok(None),
        Err(error) => {
            let kind = error.kind();
            let cause = format!("{operation} {}: {}", shown(path), named(error));
            Err(io::Error::new(kind, cause))
        }
    }
}

/// Prefixes an error with the operation that failed.
pub fn during(what: impl std::fmt::Display) -> impl Fn(io::Error) -> io::Error {
    move |error| io::Error::new(error.kind(), format!("{what}: {error}"))
}

/// Reads a file below /proc or /sys; None if it is gone.
///
/// # Errors
/// As [`unless_gone`].
pub fn read_unless_gone(path: &str) -> io::Result<Option<String>> {
    let read = sys::read_regular(Path::new(path), 1 << 22);
    let text = unless_gone("read", path, read)?;
    Ok(text.map(|it| String::from_utf8_lossy(&it).into_owned()))
}

/// Adds the operation, the path, and SELinux's name as [`named`] does.
pub fn at(operation: &str, path: &Path) -> impl Fn(io::Error) -> io::Error {
    move |error| {
        let path = shown(&path.to_string_lossy());
        io::Error::new(
            error.kind(),
            format!("{operation} {path}: {}", named(error)),
        )
    }
}

/// Whether a permission is missing.
#[must_use]
pub fn is_denied(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::PermissionDenied
}

/// Adds SELinux's name to the error if SELinux may be what denies the permission.
#[must_use]
pub fn named(error: io::Error) -> io::Error {
    match is_denied(&error) && selinux_enforces() {
        true => io::Error::new(
            error.kind(),
            format!("{error}; SELinux is enforcing: is slurm_adopt.cil loaded?"),
        ),
        false => error,
    }
}

fn selinux_enforces() -> bool {
    // Absent without SELinux. If even this file is denied, SELinux is what denies it.
    match sys::read_regular(Path::new(ENFORCE), 16) {
        Ok(text) => text.starts_with(b"1"),
        Err(error) => is_denied(&error),
    }
}

/// The first thing that could not be read.
#[derive(Debug, Default)]
pub struct Unseen(Option<String>);

impl Unseen {
    /// Keeps an error, unless it means that there is nothing.
    pub fn note(&mut self, operation: &str, path: &Path, error: io::Error) {
        if self.0.is_some() || is_gone(&error) {
            return;
        }
        let path = shown(&path.to_string_lossy());
        self.0 = Some(format!("{operation} {path}: {}", named(error)));
    }

    /// Returns what was found; notes an error.
    pub fn some<T>(&mut self, operation: &str, path: &Path, result: io::Result<T>) -> Option<T> {
        result
            .map_err(|error| self.note(operation, path, error))
            .ok()
    }

    /// Returns the first failure: operation, path and cause.
    #[must_use]
    pub fn first(self) -> Option<String> {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_gone_is_nothing() {
        let look =
            |errno| unless_gone::<()>("read", "/a\n", Err(io::Error::from_raw_os_error(errno)));
        for errno in [2, 20, 3, 19] {
            assert!(look(errno).is_ok_and(|it| it.is_none()), "{errno}");
        }
        let error = look(5).expect_err("it is there").to_string();
        assert_eq!(error, "read /a\\n: Input/output error (os error 5)");
        let denied = look(13).expect_err("it may be there");
        assert!(is_denied(&denied), "{denied}");
        assert!(unless_gone("read", "/a", Ok(7)).is_ok_and(|it| it == Some(7)));
    }

    #[test]
    fn only_what_is_absent_is_no_news() {
        let mut unseen = Unseen::default();
        let path = Path::new("/a");
        for errno in [2, 20, 3, 19] {
            unseen.note("read", path, io::Error::from_raw_os_error(errno));
        }
        assert!(unseen.0.is_none());
        unseen.note("read", path, io::Error::from_raw_os_error(5));
        unseen.note("read", path, io::Error::from_raw_os_error(13));
        let text = unseen.first().expect("something is noted");
        assert_eq!(text, "read /a: Input/output error (os error 5)");
        let at = at("make", path)(io::Error::from_raw_os_error(13));
        assert!(is_denied(&at), "{at}");
        let text = "make /a: Permission denied (os error 13)";
        assert!(at.to_string().starts_with(text), "{at}");
        let denied = named(io::Error::from_raw_os_error(13));
        assert!(is_denied(&denied) && !is_absent(&denied));
        assert!(
            denied
                .to_string()
                .starts_with("Permission denied (os error 13)"),
            "{denied}"
        );
    }
}
