//! `slurm-adopt undo`: takes back what setup changed.

use std::path::PathBuf;
use std::process::ExitCode;

use ::setup::{DIR, Failure, Site, Store, Way};
use clap::Args;

use crate::COULD_NOT_LOOK;
use crate::setup::{Consent, REFUSED, consent, differences, fates, recover, say};

/// Take back all that setup has changed
///
/// Goes back to before the first setup. Each file that nobody else has changed since is again what it was, byte for
/// byte; what setup made is removed. From a file that others have changed, only what setup changed is taken out; if that
/// cannot be told apart, the file stays as it is, with a word on what to do.
///
/// Exit status: 0 all is as before, 1 something was left or needs a look, 2 refused, or root is kept out, 3 could not.
#[derive(Debug, Args)]
pub struct Undo {
    /// Show the changes and make none
    #[arg(long)]
    dry_run: bool,
    /// Do not ask; needed without a terminal
    #[arg(long)]
    yes: bool,
    /// Take back what setup --root changed in this tree
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
}

impl Undo {
    /// Shows, asks and changes.
    pub fn run(&self) -> ExitCode {
        match self.undo() {
            Ok(status) => ExitCode::from(status),
            Err(error) => {
                eprintln!("slurm-adopt undo: {error}");
                ExitCode::from(COULD_NOT_LOOK)
            }
        }
    }

    fn undo(&self) -> Result<u8, String> {
        let failed = |it: Failure| it.to_string();
        let consent = consent(self.dry_run, self.yes)?;
        let site = Site::open(self.root.clone()).map_err(failed)?;
        let Some(mut store) = site.store().map_err(failed)? else {
            say("nothing to undo: no setup is on record");
            return Ok(0);
        };
        if consent != Consent::None {
            recover(&site, &mut store)?;
        }
        let numbers: Vec<u32> = store.setups.keys().copied().collect();
        let way = Way::of(&site.files, &store, &numbers).map_err(failed)?;
        differences(&way.changes());
        if consent == Consent::None {
            fates(&way.places);
            say("nothing is changed (--dry-run)");
            return Ok(0);
        }
        if !way.changes().is_empty() && !consent.to("Make these changes?") {
            say("nothing is changed");
            return Ok(REFUSED);
        }
        take_back(&site, store, &numbers).map_err(failed)
    }
}

/// Makes the changes, and says how that ended; the exit status.
fn take_back(site: &Site, mut store: Store<'_>, numbers: &[u32]) -> Result<u8, Failure> {
    let undone = match numbers.is_empty() {
        true => ::setup::Undone::default(),
        false => site.undo(&mut store, numbers)?,
    };
    let has_left = fates(&undone.places);
    for worry in &undone.worries {
        say(&format!("warning: {worry}"));
    }
    let gone = store.close();
    if !gone.map_err(|it| Failure::new("remove", DIR, it))? {
        say(&format!("{DIR} keeps what is needed for that"));
    }
    if let Some(why) = undone.refused {
        say(&format!("error: everything stays as setup left it: {why}"));
        return Ok(REFUSED);
    }
    if let Some(why) = site.shut_for_root() {
        say(&format!("error: root does not get in: {why}"));
        return Ok(REFUSED);
    }
    let has_worries = has_left || !undone.worries.is_empty();
    say(match has_left {
        true => "the rest is as before setup",
        false => "all is as before setup",
    });
    Ok(u8::from(has_worries))
}
