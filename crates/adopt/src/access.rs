//! Errors that are no answer: only what is absent is not there; a permission that is missing is told, with
//! path and errno, and SELinux by name where it enforces.

use std::io;
use std::path::Path;

use crate::text::shown;

/// SELinux's mode, selinuxfs.
const ENFORCE: &str = "/sys/fs/selinux/enforce";

/// Whether the error says that there is no such file, and nothing else.
#[must_use]
pub fn is_absent(error: &io::Error) -> bool {
    use io::ErrorKind::{NotADirectory, NotFound};
    matches!(error.kind(), NotFound | NotADirectory)
}

/// Whether the error says that a process, or what was made for it, is not there or has ended, and nothing else.
#[must_use]
pub fn is_gone(error: &io::Error) -> bool {
    /// Of the files of a process, proc(5), and of a control group.
    const ESRCH: i32 = 3;
    const ENODEV: i32 = 19;
    is_absent(error) || matches!(error.raw_os_error(), Some(ESRCH | ENODEV))
}

/// What a look at something came to. None: it is gone, as [`is_gone`] has it.
///
/// # Errors
/// The system's, with the operation, the path, and SELinux where that enforces.
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

/// An error with what was tried when it came.
pub fn during(what: impl std::fmt::Display) -> impl Fn(io::Error) -> io::Error {
    move |error| io::Error::new(error.kind(), format!("{what}: {error}"))
}

/// The text of a file below /proc or /sys. None: it is gone.
///
/// # Errors
/// As [`unless_gone`].
pub fn read_unless_gone(path: &str) -> io::Result<Option<String>> {
    let read = sys::read_regular(Path::new(path), 1 << 22);
    let text = unless_gone("read", path, read)?;
    Ok(text.map(|it| String::from_utf8_lossy(&it).into_owned()))
}

/// Whether a permission is missing.
#[must_use]
pub fn is_denied(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::PermissionDenied
}

/// The error with SELinux's name, where that may be what denies a permission.
#[must_use]
pub fn named(error: io::Error) -> io::Error {
    match is_denied(&error) && selinux_enforces() {
        true => io::Error::new(error.kind(), format!("{error}; SELinux is enforcing")),
        false => error,
    }
}

fn selinux_enforces() -> bool {
    // Absent without SELinux; where even that may not be read, SELinux is what denies it.
    match sys::read_regular(Path::new(ENFORCE), 16) {
        Ok(text) => text.starts_with(b"1"),
        Err(error) => is_denied(&error),
    }
}

/// The first thing that could not be looked at.
#[derive(Debug, Default)]
pub struct Unseen(Option<String>);

impl Unseen {
    /// Keeps an error, unless it says that there is nothing.
    pub fn note(&mut self, operation: &str, path: &Path, error: io::Error) {
        if self.0.is_some() || is_gone(&error) {
            return;
        }
        let path = shown(&path.to_string_lossy());
        self.0 = Some(format!("{operation} {path}: {}", named(error)));
    }

    /// What was found; an error is noted.
    pub fn some<T>(&mut self, operation: &str, path: &Path, result: io::Result<T>) -> Option<T> {
        result
            .map_err(|error| self.note(operation, path, error))
            .ok()
    }

    /// What could not be looked at, and why.
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
