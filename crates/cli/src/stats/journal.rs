//! The module's entries in systemd's journal, read by journalctl(1).

use adopt::log::{Decision, journal};
use check::host::command::{self, Printed};
use serde_json::{Map, Value};
use sys::Deadline;

use crate::stats::error::Error;
use crate::stats::state::State;
use crate::stats::sums::Login;

/// Adds to `state` all that is in the journal after its place, or from `since` on if it has none.
pub fn sum(since: &str, state: &mut State, deadline: &Deadline) -> Result<(), Error> {
    if !journal::takes_syslog() {
        return Err(Error::NoJournal);
    }
    loop {
        let before = state.cursor.clone();
        let printed = run(since, state, deadline)?;
        add(&printed.out, state);
        // What is too long to keep is cut, and journalctl ended by SIGPIPE.
        let is_cut = printed.status.is_none() || !printed.out.ends_with('\n');
        if printed.out.is_empty() || !is_cut || state.cursor == before {
            return Ok(());
        }
    }
}

/// Runs journalctl for the next entries.
fn run(since: &str, state: &State, deadline: &Deadline) -> Result<Printed, Error> {
    let from = match (&state.cursor, since) {
        (Some(cursor), _) => format!("--after-cursor={cursor}"),
        (None, "boot") => "--boot".to_owned(),
        (None, since) => format!("--since={since}"),
    };
    let ids = Decision::ALL.map(|it| format!("MESSAGE_ID={}", it.message_id()));
    // Only this field is journald's own word, systemd.journal-fields(7).
    let mut arguments = vec!["--quiet", "--no-pager", "--output=json", &from, "_UID=0"];
    arguments.extend(ids.iter().map(String::as_str));
    let printed = command::run("journalctl", &arguments, deadline).map_err(Error::Journalctl)?;
    match printed.is_success() || !printed.out.is_empty() {
        true => Ok(printed),
        false => {
            let errors = printed.errors.trim();
            let cause = errors.lines().next_back().unwrap_or("it failed");
            Err(Error::Journal(cause.to_owned()))
        }
    }
}

/// Adds entries, a JSON object a line; the last one may be cut.
fn add(entries: &str, state: &mut State) {
    for line in entries.lines() {
        let Ok(entry) = serde_json::from_str::<Map<String, Value>>(line) else {
            continue;
        };
        // A field that is set twice, or not text, is no string.
        let field = |name: &str| entry.get(name).and_then(Value::as_str);
        if let Some(cursor) = field("__CURSOR") {
            state.cursor = Some(cursor.to_owned());
        }
        if let (Some(decision), Some(reason), Some(phase), Some(ms)) = (
            field("SLURM_ADOPT_DECISION"),
            field("SLURM_ADOPT_REASON"),
            field("SLURM_ADOPT_PHASE"),
            field("SLURM_ADOPT_MS"),
        ) {
            state.sums.add(Login {
                decision,
                reason,
                phase,
                ms,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_entries_of_the_module_count() {
        let entry = |cursor: &str, decision: &str| {
            format!(
                r#"{{"__CURSOR":"{cursor}","_UID":"0","SLURM_ADOPT_DECISION":{decision},"SLURM_ADOPT_REASON":"no-job","SLURM_ADOPT_PHASE":"account","SLURM_ADOPT_MS":"1.2","_BOOT_ID":[1,2]}}"#
            )
        };
        let last = entry("d", "\"denied\"");
        let text = [
            entry("a", "\"denied\""),
            entry("b", "[\"denied\",\"adopted\"]"),
            r#"{"__CURSOR":"c","MESSAGE":"x"}"#.to_owned(),
            last[..last.len() - 5].to_owned(),
        ]
        .join("\n");
        let mut state = State::default();
        add(&text, &mut state);
        assert_eq!(state.cursor.as_deref(), Some("c"));
        let counts: Vec<_> = state.sums.logins.iter().map(|it| it.count).collect();
        assert_eq!(counts, [1]);
    }
}
