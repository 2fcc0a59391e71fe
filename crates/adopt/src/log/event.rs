//! One phase of a login as the log tells it: a line of text, a JSON object or fields of the journal.

use std::time::Duration;

use pam::Severity;

use crate::log::json::Object;
use crate::login::Entry;
use crate::text::shown;

/// The decision about a login, as the log names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// In a job.
    Adopted,
    /// A job was chosen, and the session phase adopts.
    LeftToSession,
    /// Admitted, in no job.
    AllowedWithoutAdoption,
    /// Nothing was enforced.
    Audited,
    /// Denied.
    Denied,
    /// Left to the other modules.
    Ignored,
    /// The user does not exist.
    NoSuchUser,
    /// The application did not name its service.
    BadItem,
}

impl Decision {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Adopted,
        Self::LeftToSession,
        Self::AllowedWithoutAdoption,
        Self::Audited,
        Self::Denied,
        Self::Ignored,
        Self::NoSuchUser,
        Self::BadItem,
    ];

    /// The word in the log.
    #[must_use]
    pub fn word(self) -> &'static str {
        self.word_and_id().0
    }

    /// The journal's MESSAGE_ID, systemd.journal-fields(7). These never change.
    #[must_use]
    pub fn message_id(self) -> &'static str {
        self.word_and_id().1
    }

    fn word_and_id(self) -> (&'static str, &'static str) {
        match self {
            Self::Adopted => ("adopted", "920474f1780a4f14b0ec59368fe407da"),
            Self::LeftToSession => ("left-to-session", "163f48e8c3974faa85f03b194519ca4e"),
            Self::AllowedWithoutAdoption => (
                "allowed-without-adoption",
                "b4a98a0e25aa4304a9c593bab9c51d53",
            ),
            Self::Audited => ("audited", "3167258a1f8b46f09b4560a6b071f462"),
            Self::Denied => ("denied", "b4d8e78581ed47d0a2976cab88b8f061"),
            Self::Ignored => ("ignored", "eb34239e8c4a438caf2385fe23baa894"),
            Self::NoSuchUser => ("no-such-user", "1e78bd4901314454af898787d640eb1c"),
            Self::BadItem => ("bad-item", "e78c439f038d44e9a016ce77fe35284d"),
        }
    }
}

/// The MESSAGE_ID of a line at error that is about no decision.
pub const ERROR_ID: &str = "ac8d204961d34ff186638f12df00e161";

/// One phase of a login. Its texts have a bounded length, and may contain any character.
#[derive(Debug)]
pub struct Event {
    /// PAM_USER.
    pub user: String,
    /// The user's uid, if the user exists.
    pub uid: Option<u32>,
    /// The decision.
    pub decision: Decision,
    /// The reason as a word that does not change.
    pub reason: &'static str,
    /// The reason as text.
    pub message: String,
    /// The job.
    pub job: Option<u32>,
    /// The time that the phase took.
    pub took: Duration,
    /// PAM_RHOST.
    pub rhost: Option<String>,
    /// The phase.
    pub entry: Entry,
    /// PAM_SERVICE.
    pub service: String,
    /// The node's name, if it was found out.
    pub node: Option<String>,
}

/// A value for machines.
#[derive(Debug, Clone)]
pub(super) enum Value<'a> {
    Text(&'a str),
    Number(String),
    Unknown,
}

impl Event {
    /// The line for people.
    #[must_use]
    pub fn text(&self) -> String {
        let number = |it: Option<u32>| it.map_or("-".to_owned(), |it| it.to_string());
        format!(
            "user={} uid={} decision={} job={} ms={} reason=\"{}\"",
            quoted(&self.user),
            number(self.uid),
            self.decision.word(),
            number(self.job),
            self.millis(),
            self.message.replace('"', "'"),
        )
    }

    /// The line for machines, docs/log.schema.json.
    #[must_use]
    pub fn json(&self, severity: Severity) -> String {
        let mut object = Object::new(severity);
        for (name, value) in self.fields() {
            object.add(name, value);
        }
        object.end(&self.message)
    }

    /// All but the message, by their names in JSON; in capitals those in the journal.
    pub(super) fn fields(&self) -> [(&'static str, Value<'_>); 10] {
        let number =
            |it: Option<u32>| it.map_or(Value::Unknown, |it| Value::Number(it.to_string()));
        let text = |it| Option::map_or(it, Value::Unknown, Value::Text);
        [
            ("user", Value::Text(&self.user)),
            ("uid", number(self.uid)),
            ("decision", Value::Text(self.decision.word())),
            ("reason", Value::Text(self.reason)),
            ("job", number(self.job)),
            ("ms", Value::Number(self.millis())),
            ("rhost", text(self.rhost.as_deref())),
            ("phase", Value::Text(self.entry.phase())),
            ("service", Value::Text(&self.service)),
            ("node", text(self.node.as_deref())),
        ]
    }

    /// Milliseconds with one decimal.
    fn millis(&self) -> String {
        let whole = self.took.as_secs() * 1000 + u64::from(self.took.subsec_millis());
        format!("{whole}.{}", self.took.subsec_micros() % 1000 / 100)
    }
}

/// Returns a name unchanged if it is a plain word, else in quotes, so that it cannot pass for a field.
fn quoted(name: &str) -> String {
    let plain = |sign: char| sign.is_ascii_alphanumeric() || matches!(sign, '_' | '-' | '.' | '@');
    match !name.is_empty() && name.chars().all(plain) {
        true => shown(name),
        false => format!("\"{}\"", shown(name)),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A login by a user of that name.
    pub fn event(user: &str) -> Event {
        Event {
            user: user.into(),
            uid: Some(2001),
            decision: Decision::Denied,
            reason: "no-job",
            message: "no job on this node (2 jobs of other users)".into(),
            job: None,
            took: Duration::from_micros(1278),
            rhost: Some("10.0.0.9".into()),
            entry: Entry::Account,
            service: "sshd".into(),
            node: Some("node1".into()),
        }
    }

    #[test]
    fn a_line_of_json() {
        assert_eq!(
            event("alice").json(Severity::Info),
            r#"{"version":1,"level":"info","user":"alice","uid":2001,"decision":"denied","reason":"no-job","job":null,"#
                .to_owned()
                + r#""ms":1.2,"rhost":"10.0.0.9","phase":"account","service":"sshd","node":"node1","#
                + r#""message":"no job on this node (2 jobs of other users)"}"#
        );
        let adopted = Event {
            job: Some(4711),
            uid: None,
            rhost: None,
            node: None,
            entry: Entry::OpenSession,
            took: Duration::ZERO,
            ..event("")
        };
        let line = adopted.json(Severity::Error);
        for part in [
            r#""level":"error","user":"","uid":null,"#,
            r#""job":4711,"ms":0.0,"rhost":null,"phase":"session","#,
            r#""node":null,"#,
        ] {
            assert!(line.contains(part), "{part} is not in {line}");
        }
    }

    #[test]
    fn no_name_breaks_out_of_its_string() {
        let line =
            event("x\",\"uid\":0,\"a\":\"\\\n\u{1b}[2J\u{7f}\u{e9}\u{1f600}").json(Severity::Info);
        let expected = r#""user":"x\",\"uid\":0,\"a\":\"\\\u000a\u001b[2J\u007f\u00e9\ud83d\ude00","uid":2001"#;
        assert!(line.contains(expected), "{line}");
        assert!(line.bytes().all(|it| (b' '..=b'~').contains(&it)), "{line}");
    }

    #[test]
    fn the_man_page_has_each_message_id() {
        let page = include_str!("../../../../docs/man/pam_slurm_adopt.8.md");
        for it in Decision::ALL {
            let row = format!("| {} | {} |", it.message_id(), it.word());
            assert!(page.contains(&row), "{row}");
        }
        assert!(page.contains(&format!("| {ERROR_ID} | ")));
    }

    #[test]
    fn each_decision_has_its_own_word_and_id() {
        for (index, one) in Decision::ALL.iter().enumerate() {
            let id = one.message_id();
            assert!(id.len() == 32 && id.bytes().all(|it| b"0123456789abcdef".contains(&it)));
            assert_ne!(id, ERROR_ID);
            for other in Decision::ALL.iter().skip(index + 1) {
                assert_ne!(one.word(), other.word());
                assert_ne!(id, other.message_id());
            }
        }
    }
}
