//! Who gets through a stack without our lines, and by which line.

use std::collections::BTreeMap;

use pamconf::{Action, Bypass, Code, Handler, Walk, Ways};

use crate::pam::outcome::Outcome;
use crate::pam::person::Person;
use crate::pam::stack::Stack;

/// A line that leads people past ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Passed {
    pub entry: usize,
    /// The first kind of people whom it leads past, ordinary users first.
    pub person: Person,
    /// Whether that is known of its module.
    pub is_certain: bool,
}

/// The lines that lead people past `ours`, in the order of the stack. None if there are too many ways to tell.
pub(super) fn passed(stack: &Stack<'_>, ours: &[usize], denial: Code) -> Option<Vec<Passed>> {
    let handlers = stack.handlers();
    let mut all: Vec<Passed> = Vec::new();
    for person in Person::ALL {
        let plain = |entry| stack.known(entry, person);
        let binding = Ways::new(handlers, &plain).binding(ours, denial);
        let ends = if binding.is_empty() { ours } else { &binding };
        let mut harmless: BTreeMap<usize, Code> = BTreeMap::new();
        for _ in 0..handlers.len() {
            let known = |entry: usize| {
                let set = harmless.get(&entry).copied();
                set.or_else(|| stack.known(entry, person))
            };
            let entry = match Ways::new(handlers, &known).bypass(ends) {
                None => break,
                Some(Bypass::TooManyWays) => return None,
                Some(Bypass::By(entry)) => entry,
            };
            if all.iter().all(|it| it.entry != entry) {
                let by_success = |entry_now: usize| match entry_now == entry {
                    true => Some(Code::SUCCESS),
                    false => known(entry_now),
                };
                let passes = Ways::new(handlers, &by_success).bypass(ends);
                let is_certain = match stack.outcome(entry, person) {
                    Outcome::Is(_) | Outcome::Either => true,
                    Outcome::Usually => passes == Some(Bypass::By(entry)),
                    Outcome::Unknown => false,
                };
                all.push(Passed {
                    entry,
                    person,
                    is_certain,
                });
            }
            let code = handlers.get(entry).and_then(harmless_code);
            if code.is_none()
                || harmless
                    .insert(entry, code.unwrap_or(Code::IGNORE))
                    .is_some()
            {
                break;
            }
        }
    }
    all.sort_by_key(|it| it.entry);
    Some(all)
}

/// A code with which an entry leads past nothing; best one that does not count either.
fn harmless_code(handler: &Handler) -> Option<Code> {
    let with = |action: Action| Code::all().find(|it| handler.control.action(*it) == action);
    with(Action::Ignore)
        .or_else(|| with(Action::Ok))
        .or_else(|| with(Action::Bad))
        .or_else(|| with(Action::Die))
}

/// What becomes of a denial by our lines, with the lines that lead past them (`passed`) out of the way.
pub(super) struct Denial<'a> {
    pub stack: &'a Stack<'a>,
    pub ours: &'a [usize],
    pub passed: &'a [usize],
    /// What ours deny with.
    pub code: Code,
}

impl Denial<'_> {
    fn out_of_the_way(&self, entry: usize) -> Option<Code> {
        let handler = self.stack.handler(entry);
        let is_passed = self.passed.contains(&entry);
        handler.filter(|_| is_passed).and_then(harmless_code)
    }

    /// Whether it fails the stack for a person, whatever other modules answer.
    pub fn binds(&self, person: Person) -> bool {
        let handlers = self.stack.handlers();
        let known = |entry| {
            let set = self.out_of_the_way(entry);
            set.or_else(|| self.stack.known(entry, person))
        };
        let ways = Ways::new(handlers, &known);
        !ways.binding(self.ours, self.code).is_empty()
    }

    /// The walk of a person, if all goes well for them elsewhere: modules of which nothing is known answer `unknown`.
    pub fn walk(&self, person: Person, unknown: Code) -> Walk {
        Walk::of(self.stack.handlers(), |entry, _| {
            if self.ours.contains(&entry) {
                return self.code;
            }
            let set = self.out_of_the_way(entry);
            set.unwrap_or_else(|| match self.stack.outcome(entry, person) {
                Outcome::Is(code) => code,
                Outcome::Either | Outcome::Usually => Code::SUCCESS,
                Outcome::Unknown => unknown,
            })
        })
    }
}
