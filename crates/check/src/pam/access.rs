//! Rules of pam_access(8), access.conf(5).

use pamconf::Code;

use crate::host::tree::{Tree, is_absent};
use crate::pam::outcome::Outcome;
use crate::pam::person::Person;

/// The files that it reads.
const FILE: &str = "/etc/security/access.conf";
/// Read if no line of that one matches, since Linux-PAM 1.4.
const MORE: &str = "/etc/security/access.d/*.conf";

/// Origins that are never those of an ssh login, whose origin is an address or a host name.
const LOCAL: [&str; 10] = [
    "LOCAL",
    "console",
    "cron",
    "crond",
    "atd",
    "su",
    "su-l",
    "sudo",
    "login",
    "systemd-user",
];

/// The rules that a line applies.
#[derive(Debug, Default)]
pub(super) struct Access {
    rules: Vec<Rule>,
    /// The files with rules.
    pub files: Vec<String>,
    problem: Option<Problem>,
}

#[derive(Debug)]
enum Problem {
    /// `accessfile=` cannot be opened: the module fails.
    NoFile,
    /// It cannot be read here.
    Unseen,
}

#[derive(Debug)]
struct Rule {
    allows: bool,
    users: List,
    origins: List,
}

/// A list with its exceptions: `ALL EXCEPT root`, which may nest.
#[derive(Debug, Default)]
struct List {
    words: Vec<String>,
    except: Option<Box<List>>,
}

impl Access {
    /// Reads the rules that a call with these arguments applies.
    pub fn read(tree: &Tree, arguments: &[String]) -> Self {
        let value = |name: &str| arguments.iter().rev().find_map(|it| it.strip_prefix(name));
        let named = value("accessfile=");
        let fields = value("fieldsep=").unwrap_or(":");
        let lists = value("listsep=").unwrap_or(", \t");
        let mut access = Self::default();
        let mut files = vec![named.unwrap_or(FILE).to_owned()];
        if named.is_none() {
            let more = tree.matches(MORE);
            files.extend(more.iter().map(|it| it.to_string_lossy().into_owned()));
        }
        for file in files {
            match tree.text(&file) {
                Ok(text) => access.rules.extend(rules(&text, fields, lists)),
                // Without rules everyone is let in.
                Err(error) if is_absent(&error) && named.is_none() => continue,
                Err(error) if is_absent(&error) => access.problem = Some(Problem::NoFile),
                Err(_) => access.problem = Some(Problem::Unseen),
            }
            access.files.push(file);
        }
        access
    }

    /// Its answer: the first rule that matches decides, and without any the user is let in.
    pub fn outcome(&self, person: Person) -> Outcome {
        match self.problem {
            Some(Problem::NoFile) => return Outcome::Is(Code::ABORT),
            Some(Problem::Unseen) => return Outcome::Unknown,
            None => {}
        }
        let matching = |rule: &&Rule| rule.matches(person);
        match self.rules.iter().find(matching) {
            Some(rule) if !rule.allows => Outcome::Is(Code::PERM_DENIED),
            _ => Outcome::Is(Code::SUCCESS),
        }
    }

    /// The file of `accessfile=`, if it is not there.
    pub fn missing(&self) -> Option<&str> {
        let is_missing = matches!(self.problem, Some(Problem::NoFile));
        self.files
            .first()
            .filter(|_| is_missing)
            .map(String::as_str)
    }

    /// The users and groups that rules let in by name, without root.
    pub fn exempt(&self) -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        for rule in &self.rules {
            let mut list = Some(&rule.users);
            let mut allows = rule.allows;
            while let Some(here) = list {
                let words = here.words.iter().map(String::as_str);
                let words = words.filter(|it| allows && !is_all(it) && !is_root(it));
                names.extend(words);
                list = here.except.as_deref();
                allows = !allows;
            }
        }
        names.dedup();
        names
    }
}

/// Parses the lines that have three fields and begin with `+` or `-`; the module skips all others, and a last line
/// without its newline.
fn rules(text: &str, fields: &str, lists: &str) -> Vec<Rule> {
    let rule = |line: &str| {
        let mut parts = line.splitn(3, |it| fields.contains(it));
        let allows = match parts.next()?.chars().next()? {
            '+' => true,
            '-' => false,
            _ => return None,
        };
        let (users, origins) = (parts.next()?, parts.next()?);
        let list = |text: &str| {
            let words = text.trim().split(|it| lists.contains(it));
            List::of(words.map(str::trim).filter(|it| !it.is_empty()))
        };
        let rule = Rule {
            allows,
            users: list(users),
            origins: list(origins),
        };
        Some(rule)
    };
    let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
    whole.lines().filter_map(rule).collect()
}

impl List {
    fn of<'a>(words: impl Iterator<Item = &'a str>) -> Self {
        let mut lists = vec![Self::default()];
        for word in words {
            if word.eq_ignore_ascii_case("EXCEPT") {
                lists.push(Self::default());
            } else if let Some(last) = lists.last_mut() {
                last.words.push(word.to_owned());
            }
        }
        let nest = |except: Option<Box<Self>>, list: Self| Some(Box::new(Self { except, ..list }));
        let nested = lists.into_iter().rev().fold(None, nest);
        nested.map(|it| *it).unwrap_or_default()
    }

    /// Whether a user is in the list. `named` says whether it has the one who is named; it turns round in what is
    /// excepted.
    fn has_user(&self, person: Person, named: bool) -> bool {
        let has = |word: &String| match person {
            _ if is_all(word) => true,
            Person::Root => is_root(word),
            Person::Named => named && !is_root(word),
            Person::Directory | Person::Local | Person::System => false,
        };
        let is_excepted = |it: &Self| it.has_user(person, !named);
        self.words.iter().any(has) && !self.except.as_deref().is_some_and(is_excepted)
    }

    /// Whether the list has an origin of ssh logins; one that is not every origin counts if `some` says so.
    fn has_origin(&self, some: bool) -> bool {
        let has = |word: &String| is_all(word) || some && !is_local(word);
        let is_excepted = |it: &Self| it.has_origin(!some);
        self.words.iter().any(has) && !self.except.as_deref().is_some_and(is_excepted)
    }
}

impl Rule {
    /// Whether it decides for somebody of this kind, taking what lets most people in.
    fn matches(&self, person: Person) -> bool {
        self.users.has_user(person, self.allows) && self.origins.has_origin(self.allows)
    }
}

fn is_all(word: &str) -> bool {
    word.eq_ignore_ascii_case("ALL")
}

fn is_root(word: &str) -> bool {
    ["root", "(root)"]
        .iter()
        .any(|it| word.eq_ignore_ascii_case(it))
}

fn is_local(word: &str) -> bool {
    let starts = ["tty", "/dev/", ":", "hvc", "pts", "vc/"];
    LOCAL.iter().any(|it| word.eq_ignore_ascii_case(it))
        || starts.iter().any(|it| word.starts_with(it)) && !word.contains("::")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lets_in(text: &str, person: Person) -> bool {
        let access = Access {
            rules: rules(text, ":", ", \t"),
            ..Access::default()
        };
        access.outcome(person) == Outcome::Is(Code::SUCCESS)
    }

    #[test]
    fn rules_let_in_kinds_of_people() {
        for (text, users, named, root) in [
            ("", true, true, true),
            ("# -:ALL:ALL\n", true, true, true),
            ("-:ALL:ALL\n", false, false, false),
            ("- : all : all\n", false, false, false),
            ("-:ALL EXCEPT root:ALL\n", false, false, true),
            ("-:ALL EXCEPT root (admins) :ALL\n", false, true, true),
            ("-\t: ALL\t: ALL\n", false, false, false),
            ("+:root:ALL\n-:ALL:ALL\n", false, false, true),
            ("+:root (hpcadmin):ALL\n-:ALL:ALL\n", false, true, true),
            ("+ : @admins : 10.0.0.0/8\n-:ALL:ALL\n", false, true, false),
            ("+:ALL:ALL\n-:ALL:ALL\n", true, true, true),
            ("-:ALL:ALL\n+:ALL:ALL\n", false, false, false),
            ("+:root:ALL\n", true, true, true),
            (
                "+:ALL:LOCAL\n+:ALL:cron crond :0 tty1\n-:ALL:ALL\n",
                false,
                false,
                false,
            ),
            ("+:ALL:10.1.\n-:ALL:ALL\n", true, true, true),
            (
                "-:ALL EXCEPT (wheel):ALL EXCEPT LOCAL\n",
                false,
                true,
                false,
            ),
            ("-:ALL:LOCAL\n", true, true, true),
            ("-:ALL EXCEPT root:tty1\n", true, true, true),
            (
                "-:baduser:ALL\n+:ALL EXCEPT guest:ALL\n-:ALL:ALL\n",
                true,
                true,
                true,
            ),
            ("-:ALL\n", true, true, true),
            ("deny:ALL:ALL\n", true, true, true),
            // As seen with Linux-PAM 1.5.2.
            ("-:ALL:ALL", true, true, true),
            (" -:ALL:ALL\n", true, true, true),
            ("-:ALL:ALL # all\n", false, false, false),
        ] {
            assert_eq!(lets_in(text, Person::Directory), users, "users: {text}");
            assert_eq!(lets_in(text, Person::Named), named, "named: {text}");
            assert_eq!(lets_in(text, Person::Root), root, "root: {text}");
        }
    }

    #[test]
    fn exempt_names_are_those_that_rules_let_in() {
        let access = |text| Access {
            rules: rules(text, ":", ", \t"),
            ..Access::default()
        };
        let text = "+:root (hpcadmin) bob:ALL\n-:mallory:ALL\n-:ALL EXCEPT ops:ALL\n";
        assert_eq!(access(text).exempt(), ["(hpcadmin)", "bob", "ops"]);
        assert!(access("-:ALL EXCEPT root:ALL\n").exempt().is_empty());
    }
}
