//! Lines for the log of the host, where the module's are too: facility authpriv.

use std::path::Path;

use jiff::ZonedDateTime;

/// The socket of syslog(3), which journald or a syslogd reads.
const SOCKET: &str = "/dev/log";
/// LOG_AUTHPRIV, syslog(3).
const FACILITY: u8 = 10;

/// The weight of a line, syslog(3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// LOG_ERR
    Error = 3,
    /// LOG_INFO
    Info = 6,
}

/// Logs a line. Who has no log does without.
pub fn log(severity: Severity, text: &str) {
    let entry = entry(severity, text, &ZonedDateTime::now());
    // Neither a host without syslogd nor one that does not keep up may stop the caller.
    let _ = sys::send_datagram(Path::new(SOCKET), entry.as_bytes());
}

/// An entry as syslog(3) of glibc sends it.
fn entry(severity: Severity, text: &str, now: &ZonedDateTime) -> String {
    let priority = FACILITY * 8 + severity as u8;
    let (time, pid) = (now.strftime("%b %e %H:%M:%S"), std::process::id());
    format!("<{priority}>{time} slurm-adopt[{pid}]: {text}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_as_glibc_sends_it() {
        let now: ZonedDateTime = "2026-11-03T09:05:07[UTC]".parse().expect("a time");
        let pid = std::process::id();
        let told = entry(Severity::Info, "swept", &now);
        assert_eq!(
            told,
            format!("<86>Nov  3 09:05:07 slurm-adopt[{pid}]: swept")
        );
        assert!(entry(Severity::Error, "", &now).starts_with("<83>"));
    }
}
