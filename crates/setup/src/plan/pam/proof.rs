//! Looks at the stacks as they are to be, before anything is changed: what check would find then is told now.

use check::{Finding, Host};

use crate::fault::{self, Fault};
use crate::plan::{FileRefusal, PamRefusal, Refusal, WITHOUT_SESSION, Work};

/// The rooms that judge the stacks.
const ROOMS: [&str; 2] = ["pam/account", "pam/session"];

/// Refuses lines that would not do their work in this stack.
pub(super) fn look(work: &Work<'_>) -> Result<(), Refusal> {
    let changes = work.draft.changes();
    if changes.is_empty() {
        return Ok(());
    }
    let host = work.host();
    let tree = host.tree.with_changes(work.draft.contents());
    let tree = tree.map_err(FileRefusal::Root)?;
    let after = faults(&Host::new(tree, host.deadline));
    let mut new = fault::new(&faults(host), &after, &changes);
    if work.wish.session == Some(false) {
        new.retain(|it| it.id != WITHOUT_SESSION);
    }
    match new.is_empty() {
        true => Ok(()),
        false => Err(PamRefusal::WouldFail(new.into_iter().cloned().collect()).into()),
    }
}

fn faults(host: &Host) -> Vec<Fault> {
    let findings: Vec<Finding> = check::findings(host, &ROOMS);
    findings.iter().filter_map(Fault::of).collect()
}
