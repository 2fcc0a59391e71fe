//! Penalties of sshd for refused logins: they hit everybody who comes from the same address.

use check::Host;
use check::host::sshd::config::Config;
use check::host::sshd::daemon::{Effective, Sshd};

use crate::plan::sshd::{Line, add, make_count};
use crate::plan::{FileRefusal, Refusal, Work};

const COSTLESS: Line = Line {
    text: "PerSourcePenalties authfail:0",
    comment: Some("# A login that PAM refuses must not shut out all who come from its address."),
    why: "a few refused logins would shut out all who come from the same address (PerSourcePenalties; now sshd does \
          not slow down guesses of passwords either; --keep-penalties changes nothing)",
    counts: |sshd, config| {
        let effective = Effective::global(config, &sshd.reader, None);
        effective
            .values("persourcepenalties")
            .iter()
            .any(|it| it == "authfail:0")
    },
};

/// Plans the line where nobody has decided about penalties and the module is to refuse logins.
pub(super) fn plan(work: &mut Work<'_>, sshd: &Sshd, config: &Config) -> Result<(), Refusal> {
    let effective = Effective::global(config, &sshd.reader, None);
    let is_decided = effective.setting("persourcepenalties").is_some();
    // sshd does not start with faults, and check tells them.
    if work.wish.keep_penalties || is_decided || !config.faults.is_empty() {
        return Ok(());
    }
    let host = work.host();
    let tree = host.tree.with_changes(work.draft.contents());
    let tree = tree.map_err(FileRefusal::Root)?;
    if check::penalizes_refusals(&Host::new(tree, host.deadline), sshd) {
        add(work, sshd, &COSTLESS)?;
        make_count(work, sshd);
    }
    Ok(())
}
