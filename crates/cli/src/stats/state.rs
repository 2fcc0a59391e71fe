//! What a file of `--out` keeps for the next run: the sums, and the place in the journal.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::stats::sums::Sums;

/// The start of the comment that has it. The collector skips comments.
const MARK: &str = "# slurm-adopt stats: ";
/// A state of another version is of no use.
const VERSION: u32 = 1;
/// The largest file that is read, in bytes.
const LARGEST: u64 = 1 << 20;

/// The sums up to a place in the journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    version: u32,
    /// The last entry that was counted.
    pub cursor: Option<String>,
    pub sums: Sums,
}

impl Default for State {
    fn default() -> Self {
        Self::of(Sums::default())
    }
}

impl State {
    /// Sums that no run goes on from.
    pub fn of(sums: Sums) -> Self {
        Self {
            version: VERSION,
            cursor: None,
            sums,
        }
    }

    /// Reads it from a file that [`State::comment`] is in; none if there is no place to go on from.
    pub fn read(path: &Path) -> Option<Self> {
        let path = std::path::absolute(path).ok()?;
        let bytes = sys::read_regular(&path, LARGEST).ok()?;
        Self::parse(&String::from_utf8_lossy(&bytes))
    }

    fn parse(text: &str) -> Option<Self> {
        let json = text.lines().find_map(|it| it.strip_prefix(MARK))?;
        let state: Self = serde_json::from_str(json).ok()?;
        (state.version == VERSION && state.cursor.is_some()).then_some(state)
    }

    /// The line of the file that has it; empty without a place to go on from.
    pub fn comment(&self) -> String {
        match (&self.cursor, serde_json::to_string(self)) {
            (Some(_), Ok(json)) => format!("{MARK}{json}\n"),
            _ => String::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::sums::Login;

    fn state() -> State {
        let mut state = State {
            cursor: Some("s=1;i=2".into()),
            ..State::default()
        };
        state.sums.add(Login {
            decision: "denied",
            reason: "no-job",
            phase: "account",
            ms: "1.2",
        });
        state
    }

    #[test]
    fn a_state_is_read_back() {
        let text = format!("{}# HELP x y\nx 1\n", state().comment());
        assert_eq!(State::parse(&text), Some(state()));
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("a.prom");
        assert_eq!(State::read(&path), None, "absent");
        std::fs::write(&path, text).expect("write");
        assert_eq!(State::read(&path), Some(state()));
    }

    #[test]
    fn what_is_no_state_is_none() {
        let without = State {
            cursor: None,
            ..state()
        };
        assert_eq!(without.comment(), "");
        let other = state().comment().replace("\"version\":1", "\"version\":2");
        let short = state()
            .comment()
            .replace("\"buckets\":[", "\"buckets\":[0,");
        for text in ["", "x 1\n", MARK, "# slurm-adopt stats: {}", &other, &short] {
            assert_eq!(State::parse(text), None, "{text}");
        }
    }
}
