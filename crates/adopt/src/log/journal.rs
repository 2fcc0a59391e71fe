//! systemd's journal: whether it takes this host's syslog, and its native protocol.
//!
//! A datagram of `NAME=value` lines to the journal's own socket, <https://systemd.io/JOURNAL_NATIVE_PROTOCOL>.

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::Path;

use pam::Severity;

use crate::log::event::{ERROR_ID, Event, Value};

const SOCKET: &str = "/run/systemd/journal/socket";
const SYSLOG_SOCKET: &str = "/dev/log";
/// Where that link leads if journald reads what syslog(3) sends (systemd-journald-dev-log.socket).
const JOURNALS: [&str; 2] = [
    "/run/systemd/journal/dev-log",
    "../run/systemd/journal/dev-log",
];
/// LOG_AUTHPRIV.
const FACILITY: &str = "10";

/// Whether journald takes this host's syslog, so that a line that is sent to it directly reaches who reads either.
#[must_use]
pub fn takes_syslog() -> bool {
    let target = fs::read_link(SYSLOG_SOCKET);
    target.is_ok_and(|it| JOURNALS.iter().any(|known| it == Path::new(known)))
        && is_roots(Path::new(SOCKET))
}

/// Whether only root can have put that socket there.
fn is_roots(socket: &Path) -> bool {
    let root = if cfg!(test) { sys::effective_uid() } else { 0 };
    let is_safe = |it: &fs::Metadata| it.uid() == root;
    let dir = socket.parent().and_then(|it| fs::symlink_metadata(it).ok());
    let is_kept = dir.is_some_and(|it| it.is_dir() && is_safe(&it) && it.mode() & 0o022 == 0);
    is_kept
        && fs::symlink_metadata(socket).is_ok_and(|it| it.file_type().is_socket() && is_safe(&it))
}

/// Sends an entry.
pub(super) fn send(entry: &[u8]) -> io::Result<()> {
    sys::send_datagram(Path::new(SOCKET), entry)
}

/// Where a line comes from.
pub(super) struct Source<'a> {
    /// The program's name, as syslog(3) has it.
    pub program: &'a str,
    pub pid: u32,
    pub service: &'a str,
    pub phase: &'a str,
    pub user: &'a str,
}

/// An entry with the same text as syslog(3) would get from pam_syslog(3), and fields.
pub(super) fn entry(
    source: &Source<'_>,
    severity: Severity,
    line: &str,
    event: Option<&Event>,
) -> Vec<u8> {
    let &Source { service, phase, .. } = source;
    let mut entry = Entry::default();
    let text = format!("pam_slurm_adopt({service}:{phase}): {line}");
    entry.add(&["MESSAGE"], &text);
    entry.add(&["PRIORITY"], &(severity as i32).to_string());
    entry.add(&["SYSLOG_FACILITY"], FACILITY);
    entry.add(&["SYSLOG_IDENTIFIER"], source.program);
    entry.add(&["SYSLOG_PID"], &source.pid.to_string());
    let id = match event {
        Some(event) => event.decision.message_id(),
        None if severity == Severity::Error => ERROR_ID,
        None => "",
    };
    entry.add(&["MESSAGE_ID"], id);
    match event {
        Some(event) => {
            for (name, value) in event.fields() {
                entry.add_own(name, &value);
            }
        }
        None => {
            for (name, value) in [
                ("user", source.user),
                ("phase", phase),
                ("service", service),
            ] {
                entry.add_own(name, &Value::Text(value));
            }
        }
    }
    entry.0
}

/// An entry that is being written. Fields without a value are left out.
#[derive(Default)]
struct Entry(Vec<u8>);

impl Entry {
    /// Adds a field, whose name comes in parts.
    fn add(&mut self, name: &[&str], value: &str) {
        if value.is_empty() {
            return;
        }
        self.0.extend_from_slice(name.concat().as_bytes());
        self.0.push(b'=');
        for sign in value.chars() {
            // A line feed ends the field; the others are for the terminal of whoever reads it.
            let sign = if sign.is_control() { '?' } else { sign };
            self.0
                .extend_from_slice(sign.encode_utf8(&mut [0; 4]).as_bytes());
        }
        self.0.push(b'\n');
    }

    /// Adds a field of ours.
    fn add_own(&mut self, name: &str, value: &Value<'_>) {
        let value = match value {
            Value::Text(text) => text,
            Value::Number(number) => number.as_str(),
            Value::Unknown => "",
        };
        self.add(&["SLURM_ADOPT_", &name.to_ascii_uppercase()], value);
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    use std::os::unix::net::UnixDatagram;

    use super::*;
    use crate::log::event::tests::event;

    const SSHD: Source<'_> = Source {
        program: "sshd",
        pid: 7,
        service: "sshd",
        phase: "account",
        user: "alice",
    };

    fn text(source: &Source<'_>, severity: Severity, line: &str, event: Option<&Event>) -> String {
        String::from_utf8(entry(source, severity, line, event)).expect("UTF-8")
    }

    #[test]
    fn the_entry_of_a_login() {
        let event = event("alice");
        let expected = "MESSAGE=pam_slurm_adopt(sshd:account): user=alice uid=2001 decision=denied job=- ms=1.2 \
                        reason=\"no job on this node (2 jobs of other users)\"\n\
                        PRIORITY=6\nSYSLOG_FACILITY=10\nSYSLOG_IDENTIFIER=sshd\nSYSLOG_PID=7\n\
                        MESSAGE_ID=b4d8e78581ed47d0a2976cab88b8f061\nSLURM_ADOPT_USER=alice\n\
                        SLURM_ADOPT_UID=2001\nSLURM_ADOPT_DECISION=denied\nSLURM_ADOPT_REASON=no-job\n\
                        SLURM_ADOPT_MS=1.2\nSLURM_ADOPT_RHOST=10.0.0.9\nSLURM_ADOPT_PHASE=account\n\
                        SLURM_ADOPT_SERVICE=sshd\nSLURM_ADOPT_NODE=node1\n";
        let found = text(&SSHD, Severity::Info, &event.text(), Some(&event));
        assert_eq!(found, expected);
    }

    #[test]
    fn an_entry_about_no_decision() {
        let found = text(&SSHD, Severity::Error, "no", None);
        assert!(found.starts_with("MESSAGE=pam_slurm_adopt(sshd:account): no\nPRIORITY=3\n"));
        let end = "SLURM_ADOPT_USER=alice\nSLURM_ADOPT_PHASE=account\nSLURM_ADOPT_SERVICE=sshd\n";
        assert!(
            found.ends_with(&format!("\nMESSAGE_ID={ERROR_ID}\n{end}")),
            "{found}"
        );
        let debug = text(&SSHD, Severity::Debug, "no", None);
        assert!(!debug.contains("MESSAGE_ID"), "{debug}");
    }

    #[test]
    fn no_name_adds_a_field() {
        let forged = Source {
            user: "x\nSLURM_ADOPT_UID=0",
            ..SSHD
        };
        let found = text(&forged, Severity::Error, "a\nPRIORITY=7", None);
        assert_eq!(found.lines().count(), 9, "{found}");
        assert!(!found.contains("\nSLURM_ADOPT_UID=0"), "{found}");
        assert!(!found.contains("\nPRIORITY=7"), "{found}");
    }

    #[test]
    fn only_roots_socket_counts() {
        let dir = std::env::temp_dir().join(format!("adopt-{}-journal", std::process::id()));
        fs::create_dir_all(&dir).expect("make it");
        let socket = dir.join("socket");
        assert!(!is_roots(&socket), "absent");
        let reader = UnixDatagram::bind(&socket).expect("bind");
        for (mode, is_good) in [(0o755, true), (0o775, false), (0o777, false), (0o700, true)] {
            fs::set_permissions(&dir, fs::Permissions::from_mode(mode)).expect("chmod");
            assert_eq!(is_roots(&socket), is_good, "{mode:o}");
        }
        let link = dir.join("link");
        symlink(&socket, &link).expect("link");
        assert!(!is_roots(&link), "a link");
        drop(reader);
        fs::remove_dir_all(&dir).expect("clean up");
    }
}
