//! The walk through a stack (`_pam_dispatch_aux`).

use crate::MAX_LEVEL;
use crate::codes::Code;
use crate::control::Action;
use crate::model::{Handler, Role};

/// A walk through a stack.
///
/// It follows pam_authenticate(3), pam_acct_mgmt(3), pam_open_session(3) and the first pass of
/// pam_chauthtok(3). The later calls (pam_setcred(3), pam_close_session(3), the second pass) take
/// their actions from the results of the first call, which this does not model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Walk {
    /// The entries that ran, in order.
    pub steps: Vec<Step>,
    /// The code that the application gets.
    pub code: Code,
}

/// An entry that ran.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Its number in the stack.
    pub entry: usize,
    /// The code that it returned.
    pub code: Code,
    /// The action of libpam; `None` for `PAM_INCOMPLETE`, which ends the call.
    pub action: Option<Action>,
    /// The verdict after it.
    pub verdict: Verdict,
}

/// The result so far: libpam's impression and status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Verdict {
    /// Nothing has counted yet.
    #[default]
    Undecided,
    /// This value was taken. A value other than success stays, unless a failure follows.
    Taken(Code),
    /// Failed, first with this value.
    Failed(Code),
}

impl Verdict {
    /// The code that the application gets if the stack ends with this verdict.
    #[must_use]
    pub fn code(self) -> Code {
        match self {
            Self::Undecided | Self::Failed(Code::SUCCESS) => Code::PERM_DENIED,
            Self::Taken(code) | Self::Failed(code) => code,
        }
    }

    /// Whether `ok` and `done` still count.
    fn is_open(self) -> bool {
        matches!(self, Self::Undecided | Self::Taken(Code::SUCCESS))
    }
}

impl Walk {
    /// Walks a stack. `result` returns the code of each module that runs, given its number in the stack.
    pub fn of(stack: &[Handler], mut result: impl FnMut(usize, &Handler) -> Code) -> Self {
        let mut steps = Vec::new();
        let mut at = Position::START;
        while let Some(handler) = stack.get(at.entry) {
            let entry = at.entry;
            let code = match handler.role {
                Role::Substack => {
                    at = at.enter(handler.level + 1);
                    continue;
                }
                Role::Fail => Code::PERM_DENIED,
                Role::Module => result(entry, handler),
            };
            let is_incomplete = code == Code::INCOMPLETE;
            if !is_incomplete {
                at = at.after(stack, handler, code);
            }
            steps.push(Step {
                entry,
                code,
                action: (!is_incomplete).then(|| handler.control.action(code)),
                verdict: at.verdict,
            });
            if is_incomplete {
                return Self { steps, code };
            }
        }
        let code = at.verdict.code();
        Self { steps, code }
    }

    /// The number of the entry that decided: the last one that changed the verdict.
    #[must_use]
    pub fn decided_by(&self) -> Option<usize> {
        let mut before = Verdict::Undecided;
        let mut last = None;
        for step in &self.steps {
            if step.verdict != before || step.action.is_none() {
                last = Some(step.entry);
            }
            before = step.verdict;
        }
        last
    }

    pub(crate) fn aborted() -> Self {
        Self {
            steps: Vec::new(),
            code: Code::ABORT,
        }
    }
}

/// A point in a walk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Position {
    /// The next entry.
    pub entry: usize,
    pub verdict: Verdict,
    /// The verdict at the start of each substack around the entry, by level; `reset`
    /// restores it.
    pub saved: [Verdict; MAX_LEVEL],
}

impl Position {
    pub const START: Self = Self {
        entry: 0,
        verdict: Verdict::Undecided,
        saved: [Verdict::Undecided; MAX_LEVEL],
    };

    /// The point after a substack's own entry.
    pub fn enter(mut self, level: usize) -> Self {
        if let Some(saved) = self.saved.get_mut(level) {
            *saved = self.verdict;
        }
        self.entry += 1;
        self
    }

    /// The point after an entry that returned `code`.
    pub fn after(mut self, stack: &[Handler], handler: &Handler, code: Code) -> Self {
        let level = handler.level;
        let next_level = |entry: usize| stack.get(entry + 1).map(|it| it.level);
        let is_within = |entry: usize| next_level(entry).is_some_and(|it| it >= level);
        let mut is_decided = false;
        match handler.control.action(code) {
            Action::Ignore => {}
            Action::Reset => self.verdict = self.saved.get(level).copied().unwrap_or_default(),
            action @ (Action::Ok | Action::Done) => {
                if self.verdict.is_open() {
                    self.verdict = Verdict::Taken(code);
                }
                is_decided = action == Action::Done && matches!(self.verdict, Verdict::Taken(_));
            }
            action @ (Action::Bad | Action::Die) => {
                if !matches!(self.verdict, Verdict::Failed(_)) {
                    // libpam never returns PAM_IGNORE for a failure.
                    let code = if code == Code::IGNORE {
                        Code::PERM_DENIED
                    } else {
                        code
                    };
                    self.verdict = Verdict::Failed(code);
                }
                is_decided = action == Action::Die;
            }
            Action::Jump(count) => {
                let mut left = count;
                while left > 0 && is_within(self.entry) {
                    self.entry += 1;
                    // A substack counts as one.
                    while next_level(self.entry).is_some_and(|it| it > level) {
                        self.entry += 1;
                    }
                    left -= 1;
                }
                if left > 0 {
                    self.verdict = Verdict::Failed(Code::PERM_DENIED);
                }
            }
        }
        while is_decided && is_within(self.entry) {
            self.entry += 1;
        }
        self.entry += 1;
        self
    }
}

#[cfg(test)]
mod tests;
