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
/// Exit status: 0 all is as before or nothing to undo, 1 something was left or needs a look, 2 refused, or root is kept out by it, 3 could not.
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
            nothing(&site);
            return Ok(0);
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

/// Says that no setup is on record. In a tree, that may be another one than was meant.
fn nothing(site: &Site) {
    match &site.root {
        None => say("nothing to undo: no setup is on record"),
        Some(root) => {
            let (root, records) = (root.display(), site.records());
            let records = records.display();
            say(&format!(
                "nothing to undo: nothing is set up in {root}, which has no {records}"
            ));
        }
    }
}

/// Makes the changes, and says how that ended; the exit status.
fn take_back(site: &Site, mut store: Store<'_>, numbers: &[u32]) -> Result<u8, Failure> {
    let was_shut = site.shut_for_root().is_some();
    let mut undone = match numbers.is_empty() {
        true => ::setup::Undone::default(),
        false => site.undo(&mut store, numbers)?,
    };
    let has_left = fates(site, &undone.places);
    let shut = site.shut_for_root();
    if let (Some(why), true) = (&shut, was_shut) {
        undone
            .worries
            .push(format!("root is kept out, as before: {why}"));
    }
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
    if let (Some(why), false) = (shut, was_shut) {
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

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::MetadataExt as _;
    use std::path::Path;

    use ::setup::change::{Change, Content};
    use ::setup::plan::Plan;
    use tempfile::TempDir;

    use super::*;

    fn tree(sshd: &str) -> TempDir {
        let dir = TempDir::new().expect("a directory");
        fs::create_dir_all(dir.path().join("etc/pam.d")).expect("etc/pam.d");
        fs::write(dir.path().join("etc/pam.d/sshd"), sshd).expect("sshd");
        dir
    }

    fn set_up(root: &Path) {
        let own = fs::metadata(root).expect("a directory");
        let after = Content::File {
            bytes: b"strict\n".to_vec(),
            mode: 0o644,
            uid: own.uid(),
            gid: own.gid(),
        };
        let change = Change {
            path: "/etc/security/slurm_adopt.conf".into(),
            before: None,
            after: Some(after),
            why: "a test".into(),
        };
        let plan = Plan {
            changes: vec![change],
            ..Plan::default()
        };
        let site = Site::open(Some(root.to_owned())).expect("a tree");
        site.carry_out(&plan, &mut |_| {}).expect("set up");
    }

    fn undo(root: &Path) -> u8 {
        let undo = Undo {
            dry_run: false,
            yes: true,
            root: Some(root.to_owned()),
        };
        undo.undo().expect("undone")
    }

    #[test]
    fn an_undo_with_nothing_to_undo_is_no_failure() {
        let dir = tree("account required pam_permit.so\nsession required pam_permit.so\n");
        set_up(dir.path());
        assert_eq!([undo(dir.path()), undo(dir.path())], [0, 0]);
    }

    #[test]
    fn an_undo_where_root_was_kept_out_before_is_a_warning() {
        let dir = tree("account requisite pam_deny.so\nsession required pam_permit.so\n");
        set_up(dir.path());
        assert_eq!(undo(dir.path()), 1);
        assert!(!dir.path().join("etc/security").exists());
    }
}
