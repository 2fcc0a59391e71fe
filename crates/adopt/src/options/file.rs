//! /etc/security/slurm_adopt.conf: the same options as on a PAM line, one per line.

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use crate::access;

/// The path of the options file.
pub const PATH: &str = "/etc/security/slurm_adopt.conf";
/// The longest file that is read, in bytes.
const LARGEST: u64 = 1 << 20;

/// A setting in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// Line number, counted from 1.
    pub line: usize,
    /// `name=value` as on a PAM line, or the whole line if it has no `=`.
    pub argument: String,
}

/// Reads the file; None if it does not exist.
///
/// # Errors
/// `PermissionDenied` if a user other than root could have written it; otherwise the system's error.
pub(super) fn read(path: &Path) -> io::Result<Option<String>> {
    let (found, bytes) = match sys::read_with_metadata(path, LARGEST) {
        Ok(read) => read,
        // A dangling link exists, even though its target does not: that is an error.
        Err(error) if access::is_absent(&error) && path.symlink_metadata().is_err() => {
            return Ok(None);
        }
        Err(error) => return Err(access::named(error)),
    };
    match is_roots(&found) {
        true => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
        false => {
            let cause = format!(
                "must be root's and writable by its owner alone, but has owner uid {}, mode {:04o}",
                found.uid(),
                found.mode() & 0o7777
            );
            Err(io::Error::new(io::ErrorKind::PermissionDenied, cause))
        }
    }
}

fn is_roots(found: &Metadata) -> bool {
    // Tests may run as another user. With an ACL the group bits are the most that the ACL grants.
    let root = if cfg!(test) { sys::effective_uid() } else { 0 };
    found.uid() == root && found.mode() & 0o022 == 0
}

/// Parses the settings in the file's text.
pub fn settings(text: &str) -> impl Iterator<Item = Setting> + '_ {
    // Some editors write a byte order mark first.
    let text = text.trim_start_matches('\u{feff}');
    let lines = (1..).zip(text.lines());
    lines.filter_map(|(line, text)| {
        let text = text.trim();
        if text.is_empty() || text.starts_with('#') {
            return None;
        }
        let argument = match text.split_once('=') {
            Some((name, value)) => format!("{}={}", name.trim_end(), unquoted(value.trim_start())),
            None => without_comment(text).to_owned(),
        };
        Some(Setting { line, argument })
    })
}

/// Returns a value without its quotes, or up to a comment.
fn unquoted(value: &str) -> &str {
    let quoted = value.strip_prefix('"').and_then(|it| it.split_once('"'));
    match quoted {
        Some((inside, rest)) if without_comment(rest).is_empty() => inside,
        _ => without_comment(value),
    }
}

/// Returns the text up to a `#` after a blank.
fn without_comment(text: &str) -> &str {
    let is_comment = |(index, _): &(usize, &str)| {
        let before = text.get(..*index).unwrap_or_default();
        before.is_empty() || before.ends_with(char::is_whitespace)
    };
    let mut signs = text.match_indices('#');
    let end = signs
        .find(is_comment)
        .map_or(text.len(), |(index, _)| index);
    text.get(..end).unwrap_or(text).trim()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn arguments(text: &str) -> Vec<(usize, String)> {
        settings(text).map(|it| (it.line, it.argument)).collect()
    }

    #[test]
    fn one_setting_a_line() {
        for (text, expected) in [
            ("", None),
            ("# timeout = 3", None),
            ("  \t\r", None),
            ("timeout=3", Some("timeout=3")),
            (" timeout = 3 \r", Some("timeout=3")),
            ("timeout = 3 # seconds", Some("timeout=3")),
            (
                "message_no_jobs = see #slurm, a#b",
                Some("message_no_jobs=see"),
            ),
            ("message_no_jobs = a#b", Some("message_no_jobs=a#b")),
            (
                "message_no_jobs = \"see #slurm\" # there",
                Some("message_no_jobs=see #slurm"),
            ),
            ("message_no_jobs = \"\"", Some("message_no_jobs=")),
            ("message_no_jobs = \"a\" b", Some("message_no_jobs=\"a\" b")),
            ("message_no_jobs = \"a", Some("message_no_jobs=\"a")),
            (
                "message_url = https://x/?a=b",
                Some("message_url=https://x/?a=b"),
            ),
            ("strict", Some("strict")),
            ("strict # yes", Some("strict")),
            ("=", Some("=")),
        ] {
            let expected: Vec<_> = expected.map(|it| (2, it.to_owned())).into_iter().collect();
            assert_eq!(arguments(&format!("\n{text}\n")), expected, "{text:?}");
        }
    }

    #[test]
    fn only_roots_file_counts() {
        let path = std::env::temp_dir().join(format!("adopt-{}-options", std::process::id()));
        let _ = fs::remove_file(&path);
        assert!(read(&path).expect("absent is no error").is_none());
        fs::write(&path, "timeout = 3\n").expect("write");
        for (mode, is_read) in [(0o644, true), (0o600, true), (0o664, false), (0o666, false)] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("chmod");
            assert_eq!(read(&path).is_ok(), is_read, "{mode:o}");
        }
        fs::remove_file(&path).expect("clean up");
        std::os::unix::fs::symlink("/nowhere", &path).expect("link");
        assert!(read(&path).is_err(), "a link that leads nowhere");
        fs::remove_file(&path).expect("clean up");
        assert!(read(Path::new("/dev")).is_err(), "a directory");
    }
}
