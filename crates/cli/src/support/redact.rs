//! Takes out of a text what must not leave the site.

use std::collections::BTreeSet;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;
use std::net::IpAddr;

/// What stands in the place of a secret.
const REDACTED: &str = "[redacted]";
/// The ends of names whose values are secrets, in any case.
const SECRET: [&str; 8] = [
    "pass",
    "password",
    "passwd",
    "pw",
    "secret",
    "token",
    "authtok",
    "credential",
];

/// Replaces the values of `name=value` words whose name speaks of a secret, and the rest of a line that begins with
/// such a word (`bindpw secret`).
pub(super) fn without_secrets(text: &str) -> String {
    let lines = text.lines().map(|line| {
        let first = line.split_whitespace().next().unwrap_or_default();
        if !first.contains('=') && is_secret(first) && is_word(first) {
            return format!("{first} {REDACTED}");
        }
        let words = line.split(' ').map(|word| match word.split_once('=') {
            Some((name, value)) if !value.is_empty() && is_secret(name) => {
                format!("{name}={REDACTED}")
            }
            _ => word.to_owned(),
        });
        words.collect::<Vec<_>>().join(" ")
    });
    lines.map(|line| line + "\n").collect()
}

fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    // A line of a PAM stack begins with `password`.
    name != "password" && SECRET.iter().any(|it| name.ends_with(it))
}

fn is_word(text: &str) -> bool {
    text.chars()
        .all(|it| it.is_ascii_alphanumeric() || it == '_')
}

/// Replaces names by others that tell them apart. The same name has the same substitute throughout one bundle, and
/// another one in the next: a list of all users does not help to undo it.
pub(super) struct Names {
    known: BTreeSet<String>,
    salt: RandomState,
}

impl Names {
    /// The names to replace, besides all addresses.
    pub(super) fn new(known: impl IntoIterator<Item = String>) -> Self {
        // What is no name of its own must stay readable.
        let is_name = |it: &String| it.len() > 1 && it != "root" && it != "localhost";
        Self {
            known: known.into_iter().filter(is_name).collect(),
            salt: RandomState::new(),
        }
    }

    /// The text without them.
    pub(super) fn replace(&self, text: &str) -> String {
        let is_part = |it: char| it.is_alphanumeric() || matches!(it, '.' | ':' | '-' | '_' | '@');
        let mut replaced = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(start) = rest.find(is_part) {
            let (before, from) = rest.split_at(start);
            let end = from.find(|it| !is_part(it)).unwrap_or(from.len());
            let (word, after) = from.split_at(end);
            replaced += before;
            replaced += &self.word(word);
            rest = after;
        }
        replaced + rest
    }

    fn word(&self, word: &str) -> String {
        let bare = word.trim_end_matches(['.', ':', ',']);
        let end = &word[bare.len()..];
        if let Ok(address) = bare.parse::<IpAddr>() {
            return match address.is_loopback() || address.is_unspecified() {
                true => word.to_owned(),
                false => format!("{}{end}", self.substitute("address", bare)),
            };
        }
        if self.known.contains(bare) {
            return format!("{}{end}", self.substitute("name", bare));
        }
        // USER@HOST, HOST.DOMAIN, ADDRESS:PORT, pts/0 and the like.
        for separator in ['@', '.', ':', '-'] {
            if let Some((left, right)) = bare.split_once(separator) {
                let is_known = self.known.contains(left) || left.parse::<IpAddr>().is_ok();
                if is_known || separator == '@' {
                    return format!("{}{separator}{}{end}", self.word(left), self.word(right));
                }
            }
        }
        word.to_owned()
    }

    fn substitute(&self, kind: &str, name: &str) -> String {
        let hash = self.salt.hash_one(name) & 0xFF_FFFF;
        format!("{kind}-{hash:06x}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_taken_out() {
        for (text, expected) in [
            (
                "auth required pam_x.so secret=a1 debug",
                "auth required pam_x.so secret=[redacted] debug",
            ),
            ("bindpw hunter2", "bindpw [redacted]"),
            (
                "AccountingStoragePass=x",
                "AccountingStoragePass=[redacted]",
            ),
            (
                "account include password-auth",
                "account include password-auth",
            ),
            (
                "password required pam_unix.so",
                "password required pam_unix.so",
            ),
            ("passwordauthentication yes", "passwordauthentication yes"),
            ("strict", "strict"),
        ] {
            assert_eq!(without_secrets(text), format!("{expected}\n"));
        }
    }

    #[test]
    fn names_and_addresses_are_told_apart_but_not_told() {
        let names = Names::new(["alice", "n017", "root", "a"].map(String::from));
        let text =
            "user=alice from 10.0.0.5:22 on n017.cluster: root, a; alice@n017 127.0.0.1 ::1 malice";
        let replaced = names.replace(text);
        for gone in ["=alice", "10.0.0.5", "n017"] {
            assert!(!replaced.contains(gone), "{replaced}");
        }
        for kept in [
            " root, a;",
            "127.0.0.1",
            "::1",
            "malice",
            ":22",
            ".cluster:",
        ] {
            assert!(replaced.contains(kept), "{replaced}");
        }
        let substitute = names.replace("alice");
        assert_eq!(replaced.matches(&substitute).count(), 2, "{replaced}");
    }
}
