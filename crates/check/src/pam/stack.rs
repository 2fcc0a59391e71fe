//! A stack of a service, with what is known of each module.

use std::sync::Arc;

use pamconf::{Code, Facility, Handler, Line, Role, Service, Ways};

use crate::Spot;
use crate::host::{Host, ModuleCall};
use crate::pam::modules::{Fault, ModuleDirs};
use crate::pam::outcome::{Outcome, outcome};
use crate::pam::person::Person;

/// A stack of a service.
pub(super) struct Stack<'a> {
    pub host: &'a Host,
    /// The service's name.
    pub name: String,
    pub facility: Facility,
    pub read: Arc<Service>,
    entries: Vec<Entry>,
}

/// What is known of an entry of a stack.
struct Entry {
    /// The module that it calls; None for a substack and for a line that libpam fails.
    pub call: Option<Call>,
    /// Its answer for each of [`Person::ALL`].
    outcomes: [Outcome; 5],
}

/// A call of a module.
pub(super) struct Call {
    /// The file's name: `pam_unix.so`.
    pub name: String,
    /// The module, as the line names it.
    pub path: String,
    pub arguments: Vec<String>,
    pub fault: Option<Fault>,
    pub own: Own,
}

/// Whether a module is this one or SchedMD's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Own {
    /// Another module.
    No,
    /// Ours, but `service=` leaves the service out.
    Idle,
    /// Ours, and it acts for the service.
    Acts,
}

impl<'a> Stack<'a> {
    pub fn of(host: &'a Host, dirs: &ModuleDirs, name: &str, facility: Facility) -> Self {
        let read = host.service(name);
        let own_lines = host.own_lines(name);
        let is_wrong = matches!(facility, Facility::Auth | Facility::Password);
        let call = |entry: usize, handler: &Handler| {
            let call = ModuleCall::of(&read, handler)?;
            let lossy = |it: &[u8]| String::from_utf8_lossy(it).into_owned();
            let mut own = own_lines.iter();
            let own = own.find(|it| it.facility == facility && it.entry == entry);
            let path = lossy(call.path);
            Some(Call {
                name: call.name(),
                arguments: call.arguments.iter().map(|it| lossy(it)).collect(),
                // The module has no function for these.
                fault: match is_wrong && call.is_own() {
                    true => Some(Fault::NoFunction),
                    false => dirs.fault(&host.tree, &path, facility),
                },
                path,
                own: match own {
                    None => Own::No,
                    Some(line) if line.options.acts_for(name) => Own::Acts,
                    Some(_) => Own::Idle,
                },
            })
        };
        let entries = read.stack(facility).iter().enumerate();
        let entries = entries.map(|(entry, handler)| {
            let call = call(entry, handler);
            let of = |person| Self::answer(host, call.as_ref(), facility, name, person);
            Entry {
                outcomes: Person::ALL.map(of),
                call,
            }
        });
        let entries = entries.collect();
        Self {
            host,
            name: name.to_owned(),
            facility,
            entries,
            read,
        }
    }

    /// The entries as libpam has them.
    pub fn handlers(&self) -> &[Handler] {
        self.read.stack(self.facility)
    }

    pub fn handler(&self, entry: usize) -> Option<&Handler> {
        self.handlers().get(entry)
    }

    pub fn call(&self, entry: usize) -> Option<&Call> {
        self.entries.get(entry)?.call.as_ref()
    }

    pub fn line(&self, entry: usize) -> Option<&Line> {
        self.read.line(self.handler(entry)?)
    }

    /// The place of an entry.
    pub fn spot(&self, entry: usize) -> Spot {
        self.line(entry).map(Spot::pam).unwrap_or_default()
    }

    /// FILE:LINE of an entry.
    pub fn place(&self, entry: usize) -> String {
        let line = self.line(entry);
        line.map_or(String::new(), |it| it.place.to_string())
    }

    /// The word of an entry's control.
    pub fn control(&self, entry: usize) -> String {
        let line = self.line(entry);
        let control = line.map(|it| it.control.as_slice()).unwrap_or_default();
        String::from_utf8_lossy(control).into_owned()
    }

    /// The entries with a module.
    pub fn find(&self, is_meant: impl Fn(&Call) -> bool) -> Vec<usize> {
        let is_meant = |it: &usize| self.call(*it).is_some_and(&is_meant);
        (0..self.entries.len()).filter(is_meant).collect()
    }

    /// Our lines that act for the service.
    pub fn own(&self) -> Vec<usize> {
        self.find(|it| it.own == Own::Acts && it.fault.is_none())
    }

    /// Our lines for the service that libpam cannot call.
    pub fn own_in_vain(&self) -> Vec<usize> {
        self.find(|it| it.own == Own::Acts && it.fault.is_some())
    }

    /// Whether the stack may have lines that were not read.
    pub fn is_partly_hidden(&self) -> bool {
        self.read.problems().iter().any(|it| it.kind.hides_lines())
    }

    /// Whether a line that libpam does not understand seems to be meant for the module.
    pub fn has_broken_own(&self) -> bool {
        let mentions = |entry: usize| {
            let is_own = self.call(entry).is_some_and(|it| it.own != Own::No);
            let line = self.line(entry);
            !is_own && line.is_some_and(|it| crate::pam::names_us(&it.text))
        };
        (0..self.entries.len()).any(mentions)
    }

    fn answer(
        host: &Host,
        call: Option<&Call>,
        facility: Facility,
        name: &str,
        person: Person,
    ) -> Outcome {
        match call {
            Some(call) if call.fault.is_some() => Outcome::Is(Code::MODULE_UNKNOWN),
            Some(call) if call.own == Own::Idle => Outcome::Is(Code::IGNORE),
            Some(call) => outcome(host, call, facility, name, person),
            None => Outcome::Unknown,
        }
    }

    /// What an entry answers for a person.
    pub fn outcome(&self, entry: usize, person: Person) -> Outcome {
        let outcomes = self.entries.get(entry).map(|it| it.outcomes);
        let found = outcomes.and_then(|it| it.get(person as usize).copied());
        found.unwrap_or(Outcome::Unknown)
    }

    /// The code of an entry for a person, if it is certain.
    pub fn known(&self, entry: usize, person: Person) -> Option<Code> {
        match self.outcome(entry, person) {
            Outcome::Is(code) => Some(code),
            _ => None,
        }
    }

    /// Whether the stack can succeed for a person.
    pub fn can_succeed(&self, person: Person) -> bool {
        let known = |entry| self.known(entry, person);
        Ways::new(self.handlers(), &known).can_succeed()
    }

    /// Whether the stack can succeed for users, whoever they are.
    pub fn is_usable(&self) -> bool {
        self.read.fatal().is_none() && Person::PEOPLE.iter().any(|it| self.can_succeed(*it))
    }

    /// The kinds of people who stand for ordinary users: where a line keeps out all but those whom it names, these.
    pub fn ordinary(&self) -> Vec<Person> {
        let mut ordinary = Person::USERS.to_vec();
        ordinary.retain(|it| self.can_succeed(*it));
        match ordinary.is_empty() {
            true => vec![Person::Named],
            false => ordinary,
        }
    }

    /// Whether ways of ordinary users lead to an entry.
    pub fn reaches(&self, entry: usize) -> bool {
        let is_reached = |person: &Person| {
            let known = |entry| self.known(entry, *person);
            Ways::new(self.handlers(), &known)
                .reached()
                .contains(&entry)
        };
        Person::USERS.iter().any(is_reached)
    }

    /// Whether libpam fails the entry without calling a module.
    pub fn always_fails(&self, entry: usize) -> bool {
        self.handler(entry).is_some_and(|it| it.role == Role::Fail)
    }
}
