//! Denied logins in lines of the log. The one place that knows how a line looks (`adopt::report::admin_line`).

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde_json::Value;

use crate::model::Refusal;

/// The denied login in an entry of `journalctl -o json`, if it is one.
pub(crate) fn in_journal(entry: &str) -> Option<Refusal> {
    let entry: Value = serde_json::from_str(entry).ok()?;
    let field = |name: &str| entry.get(name)?.as_str();
    // journald tells who has sent it; any user can send what looks like the module's.
    if field("_UID").is_some_and(|it| it != "0") {
        return None;
    }
    let micros = field("__REALTIME_TIMESTAMP")?.parse().ok()?;
    let time = Timestamp::from_microsecond(micros).ok()?;
    // The module's own fields, if its lines have them.
    if let Some(decision) = field("SLURM_ADOPT_DECISION") {
        let user = field("SLURM_ADOPT_USER")?;
        let reason = field("SLURM_ADOPT_REASON").unwrap_or_default();
        return (decision == "denied").then(|| refusal(time, user, reason));
    }
    in_message(time, field("MESSAGE")?)
}

/// The denied login in a line of a log file, if it is one and was after `since`.
pub(crate) fn in_line(line: &str, now: Timestamp, since: Timestamp) -> Option<Refusal> {
    let at = line.find("pam_slurm_adopt(")?;
    let time = time_of(line, now, &TimeZone::system())?;
    let refusal = in_message(time, &line[at..])?;
    (time >= since).then_some(refusal)
}

/// The denied login in the text that the module has logged.
fn in_message(time: Timestamp, message: &str) -> Option<Refusal> {
    // Only what follows is the module's, and only its first field is the user's name.
    let rest = message.strip_prefix("pam_slurm_adopt(")?;
    let (_, rest) = rest.split_once("): user=")?;
    let (user, rest) = match rest.strip_prefix('"') {
        Some(quoted) => quoted.split_once('"')?,
        None => rest.split_once(' ')?,
    };
    let rest = rest.trim_start();
    let mut fields = rest.split(' ');
    if !fields.any(|it| it == "decision=denied") {
        return None;
    }
    let reason = rest.split_once("reason=\"").map(|(_, reason)| reason);
    let reason = reason.unwrap_or_default().trim_end();
    Some(refusal(
        time,
        user,
        reason.strip_suffix('"').unwrap_or(reason),
    ))
}

fn refusal(time: Timestamp, user: &str, reason: &str) -> Refusal {
    Refusal {
        time,
        user: user.to_owned(),
        kind: kind(reason),
        reason: reason.to_owned(),
    }
}

/// The reason in a few words.
fn kind(reason: &str) -> &'static str {
    let has = |text: &str| reason.contains(text);
    match () {
        () if reason.starts_with("no job on this node") && !has("does not answer") => "no job",
        () if has("does not answer") || has("do not answer") => "stepd silent",
        () if has("source job unknown") => "source job unknown",
        () if has("is suspended") => "job suspended",
        () if reason.starts_with("adoption failed") => "adoption failed",
        () if reason.starts_with("spool directory") => "spool directory",
        () if has("slurm.conf") => "slurm.conf",
        () if reason.starts_with("internal error") => "internal error",
        () => "other",
    }
}

/// The time at the start of a line: RFC 3339 as rsyslog writes it by default, or the traditional one, in which there is
/// no year. A priority before it, as in what syslog(3) sends, is skipped.
fn time_of(line: &str, now: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
    /// As in `Nov 30 05:38:22`.
    const TRADITIONAL: usize = 15;
    let line = match line.strip_prefix('<') {
        Some(rest) => rest.split_once('>')?.1,
        None => line,
    };
    if line.starts_with(|it: char| it.is_ascii_digit()) {
        return line.split(' ').next()?.parse().ok();
    }
    let text = line.get(..TRADITIONAL)?;
    let this_year = zone.to_datetime(now).year();
    let in_year = |year: i16| {
        let time = DateTime::strptime("%Y %b %e %H:%M:%S", format!("{year} {text}")).ok()?;
        zone.to_timestamp(time).ok()
    };
    let time = in_year(this_year)?;
    // The last lines of December, read in January.
    match time.as_second() > now.as_second() + 24 * 3600 {
        true => in_year(this_year - 1),
        false => Some(time),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a time")
    }

    #[test]
    fn the_time_of_a_line() {
        let now = at("2027-01-01T00:10:00Z");
        for (line, time) in [
            ("Dec 31 23:59:58 n sshd[1]: x", Some("2026-12-31T23:59:58Z")),
            ("Jan  1 00:01:02 n sshd[1]: x", Some("2027-01-01T00:01:02Z")),
            (
                "<86>Jan  1 00:01:02 sshd[1]: x",
                Some("2027-01-01T00:01:02Z"),
            ),
            (
                "2027-01-01T01:01:02.500000+01:00 n sshd[1]: x",
                Some("2027-01-01T00:01:02.5Z"),
            ),
            ("<86", None),
            ("Foo 41 00:01:02 n", None),
            ("2027 x", None),
            ("J\u{e4}n  1 00:01:02", None),
            ("", None),
        ] {
            assert_eq!(time_of(line, now, &TimeZone::UTC), time.map(at), "{line}");
        }
    }

    #[test]
    fn denied_logins_of_log_files() {
        let now = at("2026-11-30T06:00:00Z");
        let since = at("2026-11-30T05:00:00Z");
        let line = |time: &str, text: &str| {
            format!("{time} n sshd[208]: pam_slurm_adopt(sshd:account): {text}")
        };
        let denied = "user=carol uid=2003 decision=denied job=- ms=0.3 reason=\"no job on this node (2 jobs of other users)\"";
        let found = in_line(&line("2026-11-30T05:38:22+00:00", denied), now, since);
        let found = found.expect("a denied login");
        assert_eq!(
            (found.user.as_str(), found.kind, found.reason.as_str()),
            (
                "carol",
                "no job",
                "no job on this node (2 jobs of other users)"
            )
        );
        for (time, text) in [
            ("2026-11-30T04:38:22+00:00", denied),
            (
                "2026-11-30T05:38:22+00:00",
                "user=a uid=1 decision=adopted job=1 ms=1.0 reason=\"x decision=deniedx\"",
            ),
            ("2026-11-30T05:38:22+00:00", "job 7: Permission denied"),
            ("2026-11-30T05:38:22+00:00", "user=\"a b"),
        ] {
            assert_eq!(
                in_line(&line(time, text), now, since),
                None,
                "{time} {text}"
            );
        }
        let quoted = line(
            "2026-11-30T05:38:22Z",
            "user=\"x decision=adopted\" uid=1 decision=denied job=- ms=1.0 reason=\"y\"",
        );
        let found = in_line(&quoted, now, since).expect("a denied login");
        assert_eq!(found.user, "x decision=adopted");
    }

    #[test]
    fn denied_logins_of_the_journal() {
        let text = r#"{"__REALTIME_TIMESTAMP":"1796017102000000","MESSAGE":"pam_slurm_adopt(sshd:account): user=carol uid=2003 decision=denied job=- ms=0.3 reason=\"no job on this node (0 jobs of other users)\""}"#;
        let found = in_journal(text).expect("a denied login");
        assert_eq!((found.user.as_str(), found.kind), ("carol", "no job"));
        assert_eq!(found.time.as_second(), 1_796_017_102);
        let fields = r#"{"__REALTIME_TIMESTAMP":"1","MESSAGE":"x","SLURM_ADOPT_DECISION":"denied","SLURM_ADOPT_USER":"bob","SLURM_ADOPT_REASON":"slurmstepd of job 7 does not answer"}"#;
        let found = in_journal(fields).expect("a denied login");
        assert_eq!((found.user.as_str(), found.kind), ("bob", "stepd silent"));
        for other in [
            fields.replace("denied", "adopted"),
            text.replace("denied", "adopted"),
            text.replace("{", r#"{"_UID":"2001","#),
            r#"{"MESSAGE":[1,2]}"#.to_owned(),
            "[]".to_owned(),
            "{".to_owned(),
        ] {
            assert_eq!(in_journal(&other), None, "{other}");
        }
    }

    #[test]
    fn reasons_in_a_few_words() {
        for (reason, word) in [
            ("no job on this node (1 job of other users)", "no job"),
            (
                "no job on this node (1 job of other users); slurmstepd of job 7 does not answer",
                "stepd silent",
            ),
            (
                "2 jobs on this node, source job unknown: not asked",
                "source job unknown",
            ),
            ("adoption failed: job 7 is suspended", "job suspended"),
            ("adoption failed: the step is ending", "adoption failed"),
            ("spool directory: read /var/spool: x", "spool directory"),
            ("no slurm.conf: none of", "slurm.conf"),
            ("internal error: x", "internal error"),
            ("", "other"),
        ] {
            assert_eq!(kind(reason), word, "{reason}");
        }
    }
}
