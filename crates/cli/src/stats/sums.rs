//! Counts of decisions, and how long they took.

use serde::{Deserialize, Serialize};

use crate::stats::histogram::{Histogram, tenths};

/// One phase of a login in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Login<'a> {
    pub decision: &'a str,
    pub reason: &'a str,
    pub phase: &'a str,
    /// Milliseconds, as the log has them.
    pub ms: &'a str,
}

/// All that was summed up.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sums {
    /// In the order of their labels.
    pub logins: Vec<Count>,
    /// By phase, in the order of their names.
    pub durations: Vec<(String, Histogram)>,
}

/// How often a decision was made for a reason in a phase.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Count {
    pub decision: String,
    pub reason: String,
    pub phase: String,
    pub count: u64,
}

impl Sums {
    /// Adds a login; false if that is none of the module's.
    pub fn add(&mut self, login: Login<'_>) -> bool {
        let Login {
            decision,
            reason,
            phase,
            ms,
        } = login;
        let (true, Some(tenths)) = ([decision, reason, phase].iter().all(is_word), tenths(ms))
        else {
            return false;
        };
        let key = (decision, reason, phase);
        let of =
            |it: &Count| (it.decision.as_str(), it.reason.as_str(), it.phase.as_str()).cmp(&key);
        let place = self.logins.binary_search_by(of).unwrap_or_else(|place| {
            let count = Count {
                decision: decision.to_owned(),
                reason: reason.to_owned(),
                phase: phase.to_owned(),
                count: 0,
            };
            self.logins.insert(place, count);
            place
        });
        if let Some(count) = self.logins.get_mut(place) {
            count.count = count.count.saturating_add(1);
        }
        let by_phase = self
            .durations
            .binary_search_by(|(it, _)| it.as_str().cmp(phase));
        let place = by_phase.unwrap_or_else(|place| {
            let new = (phase.to_owned(), Histogram::default());
            self.durations.insert(place, new);
            place
        });
        if let Some((_, histogram)) = self.durations.get_mut(place) {
            histogram.add(tenths);
        }
        true
    }
}

/// Whether it is a word of the log. Anything else is not ours, and each would become a series of its own.
fn is_word(text: &&str) -> bool {
    const LONGEST: usize = 40;
    let is_part = |it: u8| it.is_ascii_lowercase() || it.is_ascii_digit() || it == b'-';
    (1..=LONGEST).contains(&text.len()) && text.bytes().all(is_part)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DENIED: Login<'_> = Login {
        decision: "denied",
        reason: "no-job",
        phase: "account",
        ms: "1.2",
    };

    #[test]
    fn equal_logins_are_counted_together() {
        let session = Login {
            phase: "session",
            ..DENIED
        };
        let adopted = Login {
            decision: "adopted",
            reason: "only-job",
            ..DENIED
        };
        let mut sums = Sums::default();
        for login in [DENIED, session, adopted, DENIED] {
            assert!(sums.add(login));
        }
        let found: Vec<_> = sums
            .logins
            .iter()
            .map(|it| format!("{} {} {} {}", it.decision, it.reason, it.phase, it.count))
            .collect();
        let expected = [
            "adopted only-job account 1",
            "denied no-job account 2",
            "denied no-job session 1",
        ];
        assert_eq!(found, expected);
        let phases: Vec<_> = sums
            .durations
            .iter()
            .map(|(phase, _)| phase.as_str())
            .collect();
        assert_eq!(phases, ["account", "session"]);
    }

    #[test]
    fn what_no_module_writes_is_not_counted() {
        let mut sums = Sums::default();
        for login in [
            Login {
                decision: "",
                ..DENIED
            },
            Login {
                decision: "de\"nied",
                ..DENIED
            },
            Login {
                reason: "No job",
                ..DENIED
            },
            Login {
                reason: &"x".repeat(41),
                ..DENIED
            },
            Login {
                phase: "\u{e9}",
                ..DENIED
            },
            Login {
                ms: "soon",
                ..DENIED
            },
        ] {
            assert!(!sums.add(login), "{login:?}");
        }
        assert_eq!(sums, Sums::default());
    }
}
