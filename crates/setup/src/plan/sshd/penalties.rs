//! Penalties of sshd for refused logins: they hit everybody who comes from the same address.

use check::Host;
use check::host::sshd::config::Config;
use check::host::sshd::daemon::{Effective, Sshd};

use crate::plan::sshd::{DROP_IN, Line, add, make_count};
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
    if !check::penalizes_refusals(&Host::new(tree, host.deadline), sshd) {
        return Ok(());
    }
    if let Some(older) = host.sshds().iter().find(|it| would_stop(it, sshd, host)) {
        let (text, own) = (COSTLESS.text, &sshd.server.program);
        let title = format!(
            "{} would read \"{text}\" too, and does not start with it: a few logins that {own} refuses shut out all who come \
             from the same address",
            older.server.program
        );
        let how = format!("{text}   # in a file that {own} alone reads");
        work.advise(title, &[&how]);
        return Ok(());
    }
    add(work, sshd, &COSTLESS)?;
    make_count(work, sshd);
    Ok(())
}

/// Whether an sshd reads the line, wherever it is added for another one, and does not start with it: before 9.8.
fn would_stop(sshd: &Sshd, other: &Sshd, host: &Host) -> bool {
    [DROP_IN, &other.file].iter().any(|file| {
        let config = sshd.with_file(&host.tree, file, COSTLESS.text.as_bytes());
        config.is_ok_and(|it| it.faults.iter().any(|it| it.place.text == COSTLESS.text))
    })
}
