//! All ways through a stack, for any results of its modules.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use crate::codes::Code;
use crate::control::Action;
use crate::model::{Handler, Role};
use crate::walk::{Position, Verdict};

/// Limit on the points that are explored: a stack in use has a hundred.
pub const MOST_WAYS: usize = 1 << 12;

/// The ways through a stack. Each module may return anything, except those with a `known` result.
pub struct Ways<'a> {
    stack: &'a [Handler],
    known: &'a dyn Fn(usize) -> Option<Code>,
    /// Whether any entry can reset the verdict.
    has_reset: bool,
}

/// The way in which a stack can succeed without the entries that matter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bypass {
    /// This entry leads past them.
    By(usize),
    /// There are more ways than [`MOST_WAYS`], and one of them may bypass the entries.
    TooManyWays,
}

impl<'a> Ways<'a> {
    /// The ways through a stack; `known` returns the result of an entry if it is certain.
    pub fn new(stack: &'a [Handler], known: &'a dyn Fn(usize) -> Option<Code>) -> Self {
        let resets =
            |it: &Handler| Code::all().any(|code| it.control.action(code) == Action::Reset);
        Self {
            stack,
            known,
            has_reset: stack.iter().any(resets),
        }
    }

    /// Returns those of the entries after which the stack cannot succeed if they return `denial`. Empty if there
    /// are too many ways to tell.
    #[must_use]
    pub fn binding(&self, entries: &[usize], denial: Code) -> Vec<usize> {
        let all = self.explore(vec![Position::START], &[]);
        if all.are_too_many {
            return Vec::new();
        }
        let is_binding = |entry: &usize| {
            let Some(handler) = self.stack.get(*entry) else {
                return false;
            };
            let here = all.points.keys().filter(|it| it.entry == *entry);
            let denied = here.map(|it| it.after(self.stack, handler, denial));
            let after = self.explore(denied.collect(), &[]);
            !after.are_too_many && after.success.is_none()
        };
        entries.iter().copied().filter(is_binding).collect()
    }

    /// Whether the stack can succeed; true if there are too many ways to tell.
    #[must_use]
    pub fn can_succeed(&self) -> bool {
        let all = self.explore(vec![Position::START], &[]);
        all.are_too_many || all.success.is_some()
    }

    /// The entries that some way reaches, whatever comes of it. All if there are too many ways to tell.
    #[must_use]
    pub fn reached(&self) -> BTreeSet<usize> {
        let all = self.explore(vec![Position::START], &[]);
        let is_entry = |it: &usize| *it < self.stack.len();
        match all.are_too_many {
            true => (0..self.stack.len()).collect(),
            false => all
                .points
                .keys()
                .map(|it| it.entry)
                .filter(is_entry)
                .collect(),
        }
    }

    /// The way in which the stack can succeed without any of these entries.
    #[must_use]
    pub fn bypass(&self, entries: &[usize]) -> Option<Bypass> {
        let explored = self.explore(vec![Position::START], entries);
        if explored.are_too_many {
            return Some(Bypass::TooManyWays);
        }
        let mut after = explored.success?;
        let mut by = None;
        while let Some(before) = explored.points.get(&after).copied().flatten() {
            let passed = before.entry + 1..after.entry;
            if entries.iter().any(|it| passed.contains(it)) {
                by = Some(Bypass::By(before.entry));
            }
            after = before;
        }
        by
    }

    /// Follows every way from the given points; a way ends at an entry of `ends`.
    fn explore(&self, starts: Vec<Position>, ends: &[usize]) -> Explored {
        let mut explored = Explored {
            points: BTreeMap::new(),
            success: None,
            are_too_many: false,
        };
        let mut open: Vec<(Position, Option<Position>)> =
            starts.into_iter().map(|it| (it, None)).collect();
        while let Some((point, before)) = open.pop() {
            let point = self.simplified(point);
            match explored.points.entry(point) {
                Entry::Occupied(_) => continue,
                Entry::Vacant(place) => place.insert(before),
            };
            if explored.points.len() > MOST_WAYS {
                explored.are_too_many = true;
                break;
            }
            let Some(handler) = self.stack.get(point.entry) else {
                if point.verdict == Verdict::Taken(Code::SUCCESS) {
                    explored.success = Some(point);
                }
                continue;
            };
            if ends.contains(&point.entry) {
                continue;
            }
            let known = match handler.role {
                Role::Substack => {
                    open.push((point.enter(handler.level + 1), Some(point)));
                    continue;
                }
                Role::Fail => Some(Code::PERM_DENIED),
                Role::Module => (self.known)(point.entry),
            };
            let after = |code| (point.after(self.stack, handler, code), Some(point));
            match known {
                Some(code) => open.push(after(code)),
                None => open.extend(kinds(handler).into_iter().map(after)),
            }
        }
        explored
    }

    /// Maps points with the same future to one point: it matters that a stack fails, not how.
    fn simplified(&self, mut point: Position) -> Position {
        point.verdict = simplified(point.verdict);
        let level = self.stack.get(point.entry).map_or(0, |it| it.level);
        let kept = if self.has_reset { level + 1 } else { 0 };
        for (at, saved) in point.saved.iter_mut().enumerate() {
            *saved = match at < kept {
                true => simplified(*saved),
                false => Verdict::Undecided,
            };
        }
        point
    }
}

/// A code of each kind: those with the same action differ only in whether they are a success. Of a kind the last one, in
/// the order of the codes.
fn kinds(handler: &Handler) -> Vec<Code> {
    let control = &handler.control;
    let mut failures: Vec<Code> = Vec::new();
    for code in Code::all().rev() {
        let action = control.action(code);
        let is_known = failures.iter().any(|it| control.action(*it) == action);
        // After PAM_INCOMPLETE the application calls again.
        if !is_known && !matches!(code, Code::SUCCESS | Code::INCOMPLETE) {
            failures.push(code);
        }
    }
    failures.push(Code::SUCCESS);
    failures.reverse();
    failures
}

fn simplified(verdict: Verdict) -> Verdict {
    match verdict {
        Verdict::Undecided | Verdict::Taken(Code::SUCCESS) => verdict,
        Verdict::Taken(_) => Verdict::Taken(Code::AUTH_ERR),
        Verdict::Failed(_) => Verdict::Failed(Code::AUTH_ERR),
    }
}

struct Explored {
    /// Each point, with the one before it.
    points: BTreeMap<Position, Option<Position>>,
    /// A point at which the stack has succeeded.
    success: Option<Position>,
    are_too_many: bool,
}

#[cfg(test)]
mod tests;
