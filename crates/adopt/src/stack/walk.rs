//! Every way through a stack, whatever its modules answer.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use crate::stack::control::{Action, Code};
use crate::stack::{Handler, Line, Module};

/// What the answers so far come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum State {
    /// None has counted: a stack that ends so fails.
    Undecided,
    /// Success, unless a failure comes.
    Good,
    /// A code other than success was taken as it is (`ok` or `done` for a failure).
    Spoilt,
    /// Failure.
    Failed,
}

/// A stage of a way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Node {
    /// The handler that is next.
    index: usize,
    state: State,
    /// The state at the beginning of each substack that the handler is in, two bits a level: `reset` goes
    /// back to it. Left out where no handler has that action.
    saved: u32,
}

/// Stages that are looked at: an everyday stack has a hundred.
const MOST: usize = 1 << 12;

/// The lines of ours after whose denial the stack can't succeed.
pub(super) fn binding(chain: &[Handler], denial: Code) -> Vec<usize> {
    let all = Ways::explore(chain, vec![Node::START], &|_| false);
    let ours = chain.iter().enumerate();
    let ours = ours.filter(|(_, it)| it.module == Module::Ours);
    let is_binding = |&(index, handler): &(usize, &Handler)| {
        let here = all.nodes.keys().filter(|it| it.index == index);
        let denied = here.map(|node| node.after(chain, handler, denial));
        let after = Ways::explore(chain, denied.collect(), &|_| false);
        !after.are_too_many && after.success.is_none()
    };
    ours.filter(is_binding).map(|(index, _)| index).collect()
}

/// The line by which a way to success passes over all of these.
pub(super) fn bypass(chain: &[Handler], ours: &[usize]) -> Option<Line> {
    let ways = Ways::explore(chain, vec![Node::START], &|index| ours.contains(&index));
    if ways.are_too_many {
        return Some(Line {
            text: format!("more than {MOST} ways through the stack"),
            place: chain
                .first()
                .map(|it| it.line.place.clone())
                .unwrap_or_default(),
        });
    }
    let mut after = ways.success?;
    let mut culprit = None;
    while let Some(before) = ways.nodes.get(&after).copied().flatten() {
        let passed = before.index + 1..after.index;
        if ours.iter().any(|it| passed.contains(it)) {
            culprit = chain.get(before.index).map(|it| it.line.clone());
        }
        after = before;
    }
    culprit
}

struct Ways {
    /// Each stage with the one before it.
    nodes: BTreeMap<Node, Option<Node>>,
    /// A stage at which the stack has succeeded.
    success: Option<Node>,
    are_too_many: bool,
}

impl Ways {
    /// Follows every way from the given stages on; those end at which `ends_at` says so.
    fn explore(chain: &[Handler], starts: Vec<Node>, ends_at: &dyn Fn(usize) -> bool) -> Self {
        let has_reset = chain
            .iter()
            .any(|handler| Code::all().any(|code| handler.control.action(code) == Action::Reset));
        let mut ways = Self {
            nodes: BTreeMap::new(),
            success: None,
            are_too_many: false,
        };
        let mut open: Vec<(Node, Option<Node>)> = starts.into_iter().map(|it| (it, None)).collect();
        while let Some((mut node, before)) = open.pop() {
            if !has_reset {
                node.saved = 0;
            }
            match ways.nodes.entry(node) {
                Entry::Occupied(_) => continue,
                Entry::Vacant(place) => place.insert(before),
            };
            if ways.nodes.len() > MOST {
                ways.are_too_many = true;
                break;
            }
            let Some(handler) = chain.get(node.index) else {
                if node.state == State::Good {
                    ways.success = Some(node);
                }
                continue;
            };
            if ends_at(node.index) {
                continue;
            }
            match handler.module {
                Module::Substack => open.push((node.enter(handler.level + 1), Some(node))),
                Module::Failing(code) => open.push((node.after(chain, handler, code), Some(node))),
                Module::Ours | Module::PamSystemd | Module::Other => {
                    let after = Code::all().map(|code| node.after(chain, handler, code));
                    open.extend(after.map(|it| (it, Some(node))));
                }
            }
        }
        ways
    }
}

impl Node {
    const START: Self = Self {
        index: 0,
        state: State::Undecided,
        saved: 0,
    };

    /// The stage after a substack's own line.
    fn enter(self, level: usize) -> Self {
        let saved = self.saved & !shifted(3, level) | shifted(self.state as u32, level);
        Self {
            index: self.index + 1,
            saved,
            ..self
        }
    }

    /// The stage after the handler has answered that.
    fn after(self, chain: &[Handler], handler: &Handler, code: Code) -> Self {
        let level = handler.level;
        let mut index = self.index;
        let mut state = self.state;
        let level_of = |index: usize| chain.get(index).map(|it| it.level);
        let is_within = |index: usize| level_of(index).is_some_and(|it| it >= level);
        match handler.control.action(code) {
            Action::Ignore => {}
            Action::Reset => state = self.saved_at(level),
            action @ (Action::Ok | Action::Done) => {
                if [State::Undecided, State::Good].contains(&state) {
                    state = match code {
                        Code::SUCCESS => State::Good,
                        _ => State::Spoilt,
                    };
                }
                while action == Action::Done && state != State::Failed && is_within(index + 1) {
                    index += 1;
                }
            }
            action @ (Action::Bad | Action::Die) => {
                state = State::Failed;
                while action == Action::Die && is_within(index + 1) {
                    index += 1;
                }
            }
            Action::Jump(count) => {
                let mut left = count;
                while left > 0 && is_within(index + 1) {
                    index += 1;
                    // A substack counts as one.
                    while level_of(index + 1).is_some_and(|it| it > level) {
                        index += 1;
                    }
                    left -= 1;
                }
                // Not even the end of the stack is so far.
                if left > 0 {
                    state = State::Failed;
                }
            }
        }
        let saved = match level_of(index + 1) {
            Some(next) => self.saved & !shifted(u32::MAX, next + 1),
            None => 0,
        };
        Self {
            index: index + 1,
            state,
            saved,
        }
    }

    fn saved_at(self, level: usize) -> State {
        let states = [State::Undecided, State::Good, State::Spoilt, State::Failed];
        let is_saved = |it: &State| shifted(3, level) & self.saved == shifted(*it as u32, level);
        // At level 0 nothing is ever saved, which is the first.
        states.into_iter().find(is_saved).unwrap_or(State::Failed)
    }
}

/// The bits in the level's place, of which there are [`LEVELS`](super::reader::LEVELS).
fn shifted(bits: u32, level: usize) -> u32 {
    let by = u32::try_from(level * 2).unwrap_or(u32::MAX);
    bits.checked_shl(by).unwrap_or(0)
}
