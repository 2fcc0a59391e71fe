//! Looks at the stacks as they are to be, before anything is changed: what check would find then is told now.

use check::{Finding, Host};

use crate::fault::{self, Fault};
use crate::plan::{WITHOUT_SESSION, Work};

/// The rooms that judge the stacks.
const ROOMS: [&str; 2] = ["pam/account", "pam/session"];

/// Refuses lines that would not do their work in this stack.
pub(super) fn look(work: &Work<'_>) -> Result<(), String> {
    let changes = work.draft.changes();
    if changes.is_empty() {
        return Ok(());
    }
    let host = work.host();
    let tree = host.tree.with_changes(work.draft.contents());
    let tree = tree.map_err(|error| format!("open the root directory again: {error}"))?;
    let after = faults(&Host::new(tree, host.deadline));
    let mut new = fault::new(&faults(host), &after, &changes);
    if work.wish.session == Some(false) {
        new.retain(|it| it.id != WITHOUT_SESSION);
    }
    match new.is_empty() {
        true => Ok(()),
        false => Err(refusal(&new)),
    }
}

fn faults(host: &Host) -> Vec<Fault> {
    let findings: Vec<Finding> = check::findings(host, &ROOMS);
    findings.iter().filter_map(Fault::of).collect()
}

fn refusal(faults: &[&Fault]) -> String {
    let mut text =
        "nothing is changed, as the module's lines would not count in this PAM stack:".to_owned();
    for fault in faults {
        text.push_str(&format!("\n  {}\n    {}", fault.words, fault.advice));
    }
    if faults.iter().all(|it| it.id.starts_with(SESSION)) {
        text.push_str("\n  Or set up without the session line: --no-session.");
    }
    text
}

/// The start of the IDs of checks about the session line.
const SESSION: &str = "SA25";
