//! Conditions of pam_succeed_if(8).

use crate::host::tree::is_match;
use crate::host::users::Ordinary;
use crate::pam::person::Person;

/// Words that are no part of a condition.
const FLAGS: [&str; 6] = [
    "debug",
    "use_uid",
    "quiet",
    "quiet_fail",
    "quiet_success",
    "audit",
];

/// A login that the module judges.
#[derive(Debug, Clone, Copy)]
pub(super) struct Login<'a> {
    pub service: &'a str,
    pub person: Person,
    /// The uids of ordinary users.
    pub people: Ordinary,
}

/// Whether all conditions hold for a kind of people; None if for some of them only.
pub(super) fn holds(arguments: &[String], login: Login<'_>) -> Option<bool> {
    let words = arguments.iter().map(String::as_str);
    let words: Vec<&str> = words.filter(|it| !FLAGS.contains(it)).collect();
    // The user who calls: root, in sshd.
    let person = match arguments.iter().any(|it| it == "use_uid") {
        true => Person::Root,
        false => login.person,
    };
    let login = Login { person, ..login };
    let mut all = Some(true);
    for condition in words.chunks(3) {
        // The module fails with an incomplete condition.
        let [field, operator, value] = condition else {
            return Some(false);
        };
        match one(field, operator, value, login) {
            Some(false) => return Some(false),
            Some(true) => {}
            None => all = None,
        }
    }
    all
}

/// The users and groups that the conditions name.
pub(super) fn named(arguments: &[String]) -> String {
    let words = arguments.iter().map(String::as_str);
    let words: Vec<&str> = words.filter(|it| !FLAGS.contains(it)).collect();
    words.join(" ")
}

fn one(field: &str, operator: &str, value: &str, login: Login<'_>) -> Option<bool> {
    let Login {
        service, person, ..
    } = login;
    match (field, operator) {
        ("user", "ingroup") => Some(is_in(value, person)),
        ("user", "notingroup") => Some(!is_in(value, person)),
        ("user", "innetgr") => Some(person == Person::Named),
        ("user", "notinnetgr") => Some(person != Person::Named),
        ("user", _) => user(operator, value, person),
        ("uid" | "gid", _) => number(field, operator, value, login),
        ("service", _) => text(operator, value, service),
        ("tty", _) => text(operator, value, "ssh"),
        ("ruser", _) => text(operator, value, ""),
        _ => None,
    }
}

/// Whether a person is in one of these groups.
fn is_in(groups: &str, person: Person) -> bool {
    match person {
        Person::Named => true,
        Person::Root => groups.split(':').any(|it| it == "root"),
        _ => false,
    }
}

fn user(operator: &str, value: &str, person: Person) -> Option<bool> {
    match person {
        Person::Root => text(operator, value, "root"),
        // A name that stands for all names that no line has.
        Person::Directory | Person::Local => text(operator, value, "\u{0}"),
        Person::Named | Person::System => match operator {
            "=" | "in" => Some(person == Person::Named && value != "root"),
            "!=" | "notin" => Some(person != Person::Named || value == "root"),
            "=~" if value == "*" => Some(true),
            _ => None,
        },
    }
}

fn text(operator: &str, value: &str, actual: &str) -> Option<bool> {
    let matches = || is_match(value.as_bytes(), actual.as_bytes());
    let lists = || value.split(':').any(|it| it == actual);
    match operator {
        "=" => Some(value == actual),
        "!=" => Some(value != actual),
        "=~" => Some(matches()),
        "!~" => Some(!matches()),
        "in" => Some(lists()),
        "notin" => Some(!lists()),
        // Numbers are wanted: the module fails.
        _ => Some(false),
    }
}

fn number(field: &str, operator: &str, value: &str, login: Login<'_>) -> Option<bool> {
    let Login { person, people, .. } = login;
    // The module fails.
    let Ok(value) = value.parse::<u32>() else {
        return Some(false);
    };
    let (low, high) = match person {
        Person::Root => (0, 0),
        Person::System => (1, people.first.saturating_sub(1)),
        _ => (people.first, u32::MAX),
    };
    let is_range = low != high;
    let below = |limit: u32| match limit {
        _ if high < limit => Some(true),
        _ if low >= limit => Some(false),
        _ => None,
    };
    let equals = match value {
        _ if value < low || value > high => Some(false),
        _ if !is_range => Some(true),
        // One user, not all; many may share a group.
        _ if field == "gid" => None,
        _ if person == Person::System => None,
        _ => Some(person == Person::Named),
    };
    let not = |it: Option<bool>| it.map(|it| !it);
    match operator {
        "<" | "lt" => below(value),
        "<=" | "le" => below(value.saturating_add(1)),
        ">=" | "ge" => not(below(value)),
        ">" | "gt" => not(below(value.saturating_add(1))),
        "=" | "eq" => equals,
        "!=" | "ne" => not(equals),
        _ => Some(false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(conditions: &str, person: Person) -> Option<bool> {
        let words: Vec<String> = conditions.split(' ').map(str::to_owned).collect();
        let login = Login {
            service: "sshd",
            person,
            people: Ordinary { first: 1000 },
        };
        holds(&words, login)
    }

    #[test]
    fn conditions_hold_for_kinds_of_people() {
        use Person::{Directory, Named, Root, System};
        for (conditions, person, expected) in [
            ("uid >= 1000", Directory, Some(true)),
            ("uid > 999 quiet", Directory, Some(true)),
            ("uid < 1000", Directory, Some(false)),
            ("uid < 1000", System, Some(true)),
            ("uid < 500", System, None),
            ("uid >= 2000", Directory, None),
            ("uid = 0", Root, Some(true)),
            ("uid eq 0", Directory, Some(false)),
            ("uid = 0 use_uid quiet", Directory, Some(true)),
            ("uid eq 2001", Directory, Some(false)),
            ("uid eq 2001", Named, Some(true)),
            ("user ingroup admins", Directory, Some(false)),
            ("quiet user ingroup admins:ops", Named, Some(true)),
            ("user notingroup admins", Directory, Some(true)),
            ("user notingroup admins", Named, Some(false)),
            ("user = root", Directory, Some(false)),
            ("user != root", Directory, Some(true)),
            ("user in alice:bob", Named, Some(true)),
            ("service in crond quiet use_uid", Directory, Some(false)),
            ("service in sshd:crond", Directory, Some(true)),
            (
                "service !~ gdm* service !~ su* quiet",
                Directory,
                Some(true),
            ),
            ("user ingroup admins uid >= 1000", Directory, Some(false)),
            ("uid", Directory, Some(false)),
            ("uid < many", Directory, Some(false)),
            ("quiet", Directory, Some(true)),
            ("rhost = 192.0.2.1", Directory, None),
        ] {
            assert_eq!(of(conditions, person), expected, "{conditions} {person:?}");
        }
    }
}
