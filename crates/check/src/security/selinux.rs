//! SELinux: its mode, denials and labels.

use std::fmt;
use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use adopt::options;

use crate::host::Host;
use crate::host::tree::is_absent;
use crate::host::users::Ordinary;
use crate::security::{checks, policy};
use crate::{Finding, Notes, Severity, Spot, module};

pub(super) const CONFIG: &str = "/etc/selinux/config";
const AUDIT_LOG: &str = "/var/log/audit/audit.log";
/// How much of the audit log is read, from its end.
const MOST_OF_LOG: u64 = 16 << 20;
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// What SELinux does about a denial.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    Disabled,
    Permissive,
    Enforcing,
}

pub(super) fn look(host: &Host, notes: &mut Notes) {
    let config = host.tree.text(CONFIG).unwrap_or_default();
    let mode = mode(host, &config);
    match mode {
        Mode::Disabled => return,
        Mode::Permissive => notes.summary("SELinux permissive"),
        Mode::Enforcing => notes.summary("SELinux enforcing"),
    }
    labels(host, mode, notes);
    let has_logins = host.is_live() && works(host, notes);
    policy::look(host, mode, &config, has_logins, notes);
}

fn mode(host: &Host, config: &str) -> Mode {
    if host.is_live() {
        return match host.tree.text("/sys/fs/selinux/enforce") {
            Ok(text) if text.trim() == "1" => Mode::Enforcing,
            Ok(_) => Mode::Permissive,
            Err(_) => Mode::Disabled,
        };
    }
    match setting(config, "SELINUX").to_ascii_lowercase().as_str() {
        "enforcing" => Mode::Enforcing,
        "permissive" => Mode::Permissive,
        _ => Mode::Disabled,
    }
}

/// A value in /etc/selinux/config, selinux_config(5).
pub(super) fn setting<'a>(config: &'a str, key: &str) -> &'a str {
    let lines = config.lines().map(str::trim);
    let mut values =
        lines.filter_map(|it| it.split_once('=').filter(|(name, _)| name.trim() == key));
    values.next_back().map_or("", |(_, value)| value.trim())
}

fn labels(host: &Host, mode: Mode, notes: &mut Notes) {
    let mut files = module::loaded(host);
    files.push(Path::new(options::FILE).to_owned());
    for file in files {
        let label = host.tree.attribute(&file, "security.selinux");
        let label = label.map(|it| String::from_utf8_lossy(&it).into_owned());
        let Some(kind) = label
            .as_deref()
            .and_then(type_of)
            .filter(|it| is_foreign(it))
        else {
            continue;
        };
        let path = file.display();
        let finding = Finding::of(&checks::LABEL, format!("{path} is {}", kind.escape_debug()))
            .at(Spot::file(file.to_string_lossy()))
            .fix(format!("restorecon -v {path}"));
        notes.find(match mode {
            Mode::Enforcing => finding,
            _ => finding.as_severe_as(Severity::Warning),
        });
    }
}

/// The type in a label: the third of `user:role:type:level`.
pub(super) fn type_of(label: &str) -> Option<&str> {
    label.trim_end_matches('\0').split(':').nth(2)
}

/// Whether a type is one of files that sshd has no business with.
fn is_foreign(kind: &str) -> bool {
    const TYPES: [&str; 8] = [
        "user_home_t",
        "user_home_dir_t",
        "admin_home_t",
        "user_tmp_t",
        "tmp_t",
        "unlabeled_t",
        "default_t",
        "file_t",
    ];
    TYPES.contains(&kind)
}

/// Looks for denials of the last day. Returns whether users logged in by ssh meanwhile, without any denial.
fn works(host: &Host, notes: &mut Notes) -> bool {
    let (log, place) = match log(host) {
        Ok(found) => found,
        Err(cause) => {
            notes.unseen("SELinux denials", cause.to_string());
            return false;
        }
    };
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let since = now.saturating_sub(DAY).as_secs();
    let denials: Vec<Denial<'_>> = log
        .lines()
        .filter_map(|it| Denial::parse(it, since))
        .collect();
    let enforced: Vec<_> = denials.iter().filter(|it| !it.is_permissive).collect();
    let (count, severity) = match enforced.len() {
        0 => (denials.len(), Severity::Note),
        count => (count, Severity::Failure),
    };
    if let Some(last) = enforced.last().copied().or(denials.last()) {
        let detail = format!("{count} denials; the last: {}", last.text.escape_debug());
        let finding = Finding::of(&checks::DENIED, detail).at(place);
        notes.find(finding.as_severe_as(severity));
    }
    let people = Ordinary::read(&host.tree);
    denials.is_empty() && log.lines().any(|it| is_login(it, since, people))
}

/// The log with SELinux's messages, and where it is: auditd's, or the kernel's if there is no auditd, as on Debian.
///
/// # Errors
/// [`NoLog`] if neither can be read.
fn log(host: &Host) -> Result<(String, Spot), NoLog> {
    match host.tree.tail(AUDIT_LOG, MOST_OF_LOG) {
        Ok(log) => {
            let text = String::from_utf8_lossy(&log).into_owned();
            return Ok((text, Spot::file(AUDIT_LOG)));
        }
        Err(error) if is_absent(&error) => {}
        Err(error) => return Err(NoLog::Audit(error)),
    }
    let arguments = [
        "-k",
        "-q",
        "-o",
        "cat",
        "--since=-24h",
        "--lines=10000",
        "--no-pager",
    ];
    match host.run("journalctl", &arguments) {
        Ok(printed) if printed.is_success() => Ok((printed.out, Spot::file("journalctl -k"))),
        Ok(_) => Err(NoLog::JournalFailed),
        Err(error) => Err(NoLog::Journal(error)),
    }
}

/// Reason why SELinux's messages cannot be read.
enum NoLog {
    /// auditd's log cannot be read.
    Audit(io::Error),
    /// There is no auditd, and journalctl ends with another status than 0.
    JournalFailed,
    /// There is no auditd, and journalctl cannot be run.
    Journal(io::Error),
}

impl fmt::Display for NoLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Audit(cause) => write!(f, "{AUDIT_LOG}: {cause}"),
            Self::JournalFailed => {
                write!(f, "there is no {AUDIT_LOG}, and journalctl -k failed")
            }
            Self::Journal(cause) => write!(f, "there is no {AUDIT_LOG}; journalctl -k: {cause}"),
        }
    }
}

/// Splits a line of the audit log, `type=KIND msg=audit(SECONDS.MILLIS:ID): REST`, or of the kernel's,
/// `audit: type=NUMBER audit(SECONDS.MILLIS:ID): REST`, if it is of this kind and not older.
fn record<'a>(line: &'a str, kind: &str, since: u64) -> Option<&'a str> {
    let (_, rest) = line.split_once("type=")?;
    let (is, rest) = rest.split_once(' ')?;
    // linux/audit.h
    if is != kind && (kind, is) != ("AVC", "1400") {
        return None;
    }
    let rest = rest.strip_prefix("msg=").unwrap_or(rest);
    let (time, rest) = rest.strip_prefix("audit(")?.split_once("): ")?;
    let seconds: u64 = time.split('.').next()?.parse().ok()?;
    (seconds >= since).then_some(rest)
}

/// Whether a line says that a user of the site logged in by ssh.
fn is_login(line: &str, since: u64, people: Ordinary) -> bool {
    let Some(rest) = record(line, "USER_LOGIN", since) else {
        return false;
    };
    let words = || rest.split([' ', '\'', '"']);
    let is_users = words().any(|it| {
        let uid = it.strip_prefix("id=").and_then(|it| it.parse::<u32>().ok());
        uid.is_some_and(|it| people.has(it))
    });
    is_users && rest.contains("/sshd") && words().any(|it| it == "res=success")
}

/// A denial of something that the module needs.
#[derive(Debug, PartialEq, Eq)]
struct Denial<'a> {
    /// What was denied, and of what.
    text: &'a str,
    /// Whether it was only logged.
    is_permissive: bool,
}

impl<'a> Denial<'a> {
    /// Parses a line of a log: `type=AVC msg=audit(TIME:ID): avc:  denied  { connectto } for ...`.
    fn parse(line: &'a str, since: u64) -> Option<Self> {
        let rest = record(line, "AVC", since)?.strip_prefix("avc:")?;
        let text = rest.trim_start().strip_prefix("denied")?.trim();
        let field = |name: &str| {
            let mut words = text.split_whitespace();
            words.find_map(|it| it.strip_prefix(name)?.strip_prefix('='))
        };
        let is_sshd = type_of(field("scontext")?).is_some_and(|it| it.starts_with("sshd"));
        let target = type_of(field("tcontext")?).unwrap_or_default();
        let names = [field("path"), field("name"), field("comm")];
        const NAMES: [&str; 4] = ["slurm", "munge", ".4294967292", "cgroup.procs"];
        let is_name = |text: &str| NAMES.iter().any(|it| text.contains(it));
        let names_slurm = names.into_iter().flatten().any(is_name);
        // slurmstepd and munged, as they run without a policy of their own.
        const STEPDS: [&str; 4] = ["unconfined_service_t", "unconfined_t", "initrc_t", "init_t"];
        let is_socket = field("tclass") == Some("unix_stream_socket") && STEPDS.contains(&target);
        // For the namespaces of a job.
        let is_entry = target == "nsfs_t" || text.starts_with("{ sys_admin }");
        let is_ours = is_sshd && (names_slurm || is_socket || is_entry || target.contains("slurm"));
        is_ours.then(|| Self {
            text,
            is_permissive: field("permissive") == Some("1"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DENIAL: &str = "type=AVC msg=audit(1700000100.123:456): avc:  denied  { connectto } for  pid=1 \
                          comm=\"sshd\" path=\"/var/spool/slurmd/n1_12.4294967292\" \
                          scontext=system_u:system_r:sshd_t:s0-s0:c0.c1023 \
                          tcontext=system_u:system_r:unconfined_service_t:s0 tclass=unix_stream_socket permissive=0";

    #[test]
    fn denials_in_the_audit_log() {
        let found = Denial::parse(DENIAL, 1_700_000_000).expect("a denial");
        assert!(found.text.starts_with("{ connectto } for") && !found.is_permissive);
        let permissive = DENIAL.replace("permissive=0", "permissive=1");
        let found = Denial::parse(&permissive, 1_700_000_000).expect("a denial");
        assert!(found.is_permissive);
        assert_eq!(Denial::parse(DENIAL, 1_700_000_101), None, "too old");
        for (old, new) in [
            ("sshd_t", "httpd_t"),
            ("denied ", "granted "),
            ("type=AVC", "type=USER_AVC"),
            ("type=AVC", "type=1401"),
            ("1700000100", "soon"),
        ] {
            assert_eq!(Denial::parse(&DENIAL.replace(old, new), 0), None, "{new}");
        }
        let kernels = DENIAL.replace("type=AVC msg=", "audit: type=1400 ");
        let found = Denial::parse(&kernels, 1_700_000_000).expect("a denial");
        assert!(found.text.starts_with("{ connectto } for"));
        let other = DENIAL
            .replace("/var/spool/slurmd/n1_12.4294967292", "/run/systemd/x")
            .replace("unconfined_service_t", "systemd_logind_t");
        assert_eq!(Denial::parse(&other, 0), None);
    }

    #[test]
    fn logins_in_the_audit_log() {
        let line = "type=USER_LOGIN msg=audit(1700000000.1:2): pid=1 uid=0 auid=2001 ses=3 \
                    subj=system_u:system_r:sshd_t:s0 msg='op=login id=2001 exe=\"/usr/sbin/sshd\" \
                    hostname=a addr=10.0.0.5 terminal=/dev/pts/0 res=success'";
        let people = Ordinary { first: 1000 };
        assert!(is_login(line, 1_700_000_000, people));
        assert!(!is_login(line, 1_700_000_001, people), "too old");
        let others = Ordinary { first: 3000 };
        assert!(!is_login(line, 1_700_000_000, others), "a system account");
        for (old, new) in [
            ("id=2001 exe", "id=0 exe"),
            ("success", "failed"),
            ("sshd\"", "login\""),
        ] {
            assert!(!is_login(&line.replace(old, new), 0, people), "{new}");
        }
    }

    #[test]
    fn settings_and_labels() {
        let config = "# SELINUX=disabled\nSELINUX=enforcing\nSELINUXTYPE = mls\n";
        assert_eq!(setting(config, "SELINUX"), "enforcing");
        assert_eq!(setting(config, "SELINUXTYPE"), "mls");
        assert_eq!(setting("", "SELINUX"), "");
        assert_eq!(type_of("system_u:object_r:lib_t:s0\0"), Some("lib_t"));
        assert_eq!(type_of("unlabeled"), None);
    }
}
