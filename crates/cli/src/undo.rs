//! `slurm-adopt undo`: takes back what setup changed.

use std::path::PathBuf;
use std::process::ExitCode;

use ::setup::{DIR, Failure, Site, Store, Way};
use clap::Args;

use crate::COULD_NOT_LOOK;
use crate::setup::{Consent, Error, REFUSED, consent, differences, fates, of, recover, say, tree};

/// Take back all that setup has changed
///
/// Goes back to before the first setup. Each file that nobody else has changed since is again what it was, byte for
/// byte; what setup made is removed. From a file that others have changed, only what setup changed is taken out; if that
/// cannot be told apart, the file stays as it is, with a word on what to do.
///
/// Exit status: 0 all is as before, 1 something was left or needs a look, or --root names a tree that was not set up, 2 refused, or root is kept out, 3 could not.
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
                eprintln!("slurm-adopt undo{}: {error}", of(self.root.as_deref()));
                ExitCode::from(COULD_NOT_LOOK)
            }
        }
    }

    fn undo(&self) -> Result<u8, Error> {
        let consent = consent(self.dry_run, self.yes)?;
        let site = Site::open(self.root.clone())?;
        let Some(mut store) = site.store()? else {
            return Ok(nothing(&site));
        };
        tree(self.root.as_deref());
        if consent != Consent::None {
            recover(&site, &mut store)?;
        }
        let numbers: Vec<u32> = store.setups.keys().copied().collect();
        let way = Way::of(&site.files, &store, &numbers)?;
        differences(&way.changes());
        if consent == Consent::None {
            fates(&site, &way.places);
            say("nothing is changed (--dry-run)");
            return Ok(0);
        }
        if !way.changes().is_empty() && !consent.to("Make these changes?") {
            say("nothing is changed");
            return Ok(REFUSED);
        }
        take_back(&site, store, &numbers).map_err(|failure| Error::Halfway {
            failure,
            next: "then run undo again: it goes on from what is restored by now".to_owned(),
        })
    }
}

/// Says that no setup is on record; the exit status. In a tree, that may be another one than was meant.
fn nothing(site: &Site) -> u8 {
    match &site.root {
        None => {
            say("nothing to undo: no setup is on record");
            0
        }
        Some(root) => {
            let (root, records) = (root.display(), site.records());
            let records = records.display();
            say(&format!(
                "nothing to undo: nothing was set up in {root}, which has no {records}"
            ));
            NOT_SET_UP
        }
    }
}

/// Makes the changes, and says how that ended; the exit status.
fn take_back(site: &Site, mut store: Store<'_>, numbers: &[u32]) -> Result<u8, Failure> {
    let undone = match numbers.is_empty() {
        true => ::setup::Undone::default(),
        false => site.undo(&mut store, numbers)?,
    };
    let has_left = fates(site, &undone.places);
    for worry in &undone.worries {
        say(&format!("warning: {worry}"));
    }
    let gone = store.close();
    if !gone.map_err(|it| Failure::new("remove", DIR, it))? {
        let records = site.records();
        say(&format!(
            "{} keeps what is needed for that",
            records.display()
        ));
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

/// The exit status where a tree was named and no setup of it is on record.
const NOT_SET_UP: u8 = 1;
