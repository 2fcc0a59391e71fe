//! Denied logins in lines of the log. The one place that knows how a line looks (`adopt::report::admin_line`).

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde_json::Value;

use crate::model::Refusal;

/// The beginning of the module's name in the log.
const MODULE: &str = "pam_slurm_adopt";
/// The word for the decision.
const DENIED: &str = "denied";
/// The word for a reason that has none.
const OTHER: &str = "other";

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
    let in_text = field("MESSAGE").and_then(|it| in_message(time, it));
    // The module's own fields, if it has written to the journal itself.
    let Some(decision) = field("SLURM_ADOPT_DECISION") else {
        return in_text;
    };
    if decision != DENIED {
        return None;
    }
    let kind = field("SLURM_ADOPT_REASON").unwrap_or(OTHER);
    Some(Refusal {
        time,
        user: field("SLURM_ADOPT_USER").unwrap_or("?").to_owned(),
        kind: kind.to_owned(),
        reason: in_text.map_or(kind.to_owned(), |it| it.reason),
    })
}

/// The denied login in a line of a log file, if it is one and was after `since`.
pub(crate) fn in_line(line: &str, now: Timestamp, since: Timestamp) -> Option<Refusal> {
    let time = time_of(line, now, &TimeZone::system())?;
    let mut messages = line.match_indices(MODULE);
    let refusal = messages.find_map(|(at, _)| in_message(time, &line[at..]))?;
    (time >= since).then_some(refusal)
}

/// The denied login in the text that the module has logged.
fn in_message(time: Timestamp, message: &str) -> Option<Refusal> {
    let (name, rest) = message.strip_prefix(MODULE)?.split_once('(')?;
    // pam_syslog(3) begins with the file's name, which may go on.
    if name.contains(' ') {
        return None;
    }
    let (_, rest) = rest.split_once("): ")?;
    match rest.starts_with('{') {
        true => in_object(time, rest),
        false => in_fields(time, rest),
    }
}

/// As log_format=json has it.
fn in_object(time: Timestamp, text: &str) -> Option<Refusal> {
    let object: Value = serde_json::from_str(text.trim_end()).ok()?;
    let field = |name: &str| Some(object.get(name)?.as_str()?.to_owned());
    (field("decision")? == DENIED).then_some(())?;
    Some(Refusal {
        time,
        user: field("user")?,
        kind: field("reason")?,
        reason: field("message").unwrap_or_default(),
    })
}

/// As log_format=text has it.
fn in_fields(time: Timestamp, text: &str) -> Option<Refusal> {
    let rest = text.strip_prefix("user=")?;
    // Only a name in quotes can have what looks like another field.
    let (user, rest) = match rest.strip_prefix('"') {
        Some(quoted) => quoted.split_once('"')?,
        None => rest.split_once(' ')?,
    };
    let (fields, reason) = rest.split_once("reason=\"").unwrap_or((rest, ""));
    let decision = fields
        .split(' ')
        .find_map(|it| it.strip_prefix("decision="));
    (decision? == DENIED).then_some(())?;
    let reason = reason.trim_end();
    let reason = reason.strip_suffix('"').unwrap_or(reason);
    Some(Refusal {
        time,
        user: user.to_owned(),
        kind: kind(reason).to_owned(),
        reason: reason.to_owned(),
    })
}

/// The word for a reason that the log has as text only.
fn kind(reason: &str) -> &'static str {
    let has = |text: &str| reason.contains(text);
    match () {
        () if has("does not answer") || has("do not answer") => "stepd-silent",
        () if reason.starts_with("no job on this node") => "no-job",
        () if has("source job unknown") => "several-jobs",
        () if has("is suspended") => "job-suspended",
        () if reason.starts_with("adoption failed") => "adoption-failed",
        () if reason.starts_with("spool directory") => "spool-directory",
        () if has("slurm.conf") => "slurm-conf",
        () if reason.starts_with("internal error") => "internal-error",
        () => OTHER,
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
            (
                found.user.as_str(),
                found.kind.as_str(),
                found.reason.as_str()
            ),
            (
                "carol",
                "no-job",
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
        assert_eq!(
            (found.user.as_str(), found.kind.as_str()),
            ("carol", "no-job")
        );
        assert_eq!(found.time.as_second(), 1_796_017_102);
        let renamed = text.replace("pam_slurm_adopt(", "pam_slurm_adopt_ours(");
        assert_eq!(in_journal(&renamed), Some(found));
        let fields = r#"{"__REALTIME_TIMESTAMP":"1","MESSAGE":"x","SLURM_ADOPT_DECISION":"denied","SLURM_ADOPT_USER":"bob","SLURM_ADOPT_REASON":"stepd-silent"}"#;
        let found = in_journal(fields).expect("a denied login");
        assert_eq!(
            (found.user.as_str(), found.kind.as_str()),
            ("bob", "stepd-silent")
        );
        for other in [
            fields.replace("denied", "adopted"),
            text.replace("denied", "adopted"),
            text.replace("pam_slurm_adopt(", "pam_slurm_adopt says ("),
            text.replace("{", r#"{"_UID":"2001","#),
            r#"{"MESSAGE":[1,2]}"#.to_owned(),
            "[]".to_owned(),
            "{".to_owned(),
        ] {
            assert_eq!(in_journal(&other), None, "{other}");
        }
    }

    #[test]
    fn denied_logins_of_json_lines() {
        let object = r#"{"version":1,"user":"carol","uid":2003,"decision":"denied","reason":"no-job","ms":0.3,"message":"no job on this node"}"#;
        let message = |object: &str| format!("pam_slurm_adopt(sshd:account): {object}");
        let found = in_message(Timestamp::UNIX_EPOCH, &message(object)).expect("a denied login");
        assert_eq!(
            (
                found.user.as_str(),
                found.kind.as_str(),
                found.reason.as_str()
            ),
            ("carol", "no-job", "no job on this node")
        );
        for other in [object.replace("denied", "adopted"), "{".into(), "{}".into()] {
            assert_eq!(in_message(Timestamp::UNIX_EPOCH, &message(&other)), None);
        }
    }

    #[test]
    fn reasons_in_a_few_words() {
        for (reason, word) in [
            ("no job on this node (1 job of other users)", "no-job"),
            (
                "no job on this node (1 job of other users); slurmstepd of job 7 does not answer",
                "stepd-silent",
            ),
            (
                "2 jobs on this node, source job unknown: not asked",
                "several-jobs",
            ),
            ("adoption failed: job 7 is suspended", "job-suspended"),
            ("adoption failed: the step is ending", "adoption-failed"),
            ("spool directory: read /var/spool: x", "spool-directory"),
            ("no slurm.conf: none of", "slurm-conf"),
            ("internal error: x", "internal-error"),
            ("", "other"),
        ] {
            assert_eq!(kind(reason), word, "{reason}");
        }
    }
}
