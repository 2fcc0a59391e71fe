//! `slurm-adopt setup`: sets a node up.

mod ask;
mod error;
mod show;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use ::setup::plan::{Part, Plan, Wish, plan};
use ::setup::{End, Site};
use check::Host;
use check::host::tree::Tree;
use clap::{Args, ValueEnum};
use sys::Deadline;

use crate::COULD_NOT_LOOK;
pub(crate) use ask::{Consent, consent};
pub(crate) use error::Error;
pub(crate) use show::{differences, fates, say};

/// Set this node up: sshd's PAM stack, sshd_config, systemd; undo takes it back
///
/// Shows the changes, asks, makes them, runs the commands that make them count, and judges the node: if check finds a
/// new failure, or root would not get in by ssh, all is taken back. A node that is set up is left alone. Files and what
/// was in them are kept in /var/lib/slurm-adopt. A setup that was interrupted is taken back by the next setup or undo.
///
/// slurm.conf is the controller's: its lines are printed, and changed with --slurm-conf alone.
///
/// Exit status: 0 done or nothing to change, 1 done with warnings, 2 taken back or refused, 3 could not.
#[derive(Debug, Args)]
pub struct Setup {
    /// Show the changes and make none
    #[arg(long)]
    dry_run: bool,
    /// Do not ask; needed without a terminal
    #[arg(long)]
    yes: bool,
    /// Add the session line, whatever the stack
    #[arg(long, conflicts_with = "no_session")]
    session: bool,
    /// Add no session line
    #[arg(long)]
    no_session: bool,
    /// Deny users where the module cannot decide
    #[arg(long)]
    strict: bool,
    /// Let members of this group in without a job
    #[arg(long, value_name = "GROUP")]
    admins: Option<String>,
    /// Change the files of a tree that does not run, such as an image; run nothing in it
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
    /// Change slurm.conf and cgroup.conf too, which are the controller's
    #[arg(long)]
    slurm_conf: bool,
    /// Leave sshd's PerSourcePenalties as they are: a few refused logins shut out all from the same address
    #[arg(long)]
    keep_penalties: bool,
    /// The only parts to set up
    #[arg(long, value_name = "PART", value_delimiter = ',')]
    only: Vec<OnlyPart>,
    /// Leave users their service manager, outside all jobs
    #[arg(long, conflicts_with = "no_user_manager")]
    user_manager: bool,
    /// Give users no service manager: no systemctl --user, no session bus
    #[arg(long)]
    no_user_manager: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum OnlyPart {
    Pam,
    Sshd,
    Systemd,
    Slurm,
}

impl Setup {
    /// Shows, asks and changes.
    pub fn run(&self) -> ExitCode {
        match self.set_up() {
            Ok(status) => ExitCode::from(status),
            Err(error) => {
                eprintln!("slurm-adopt setup{}: {error}", of(self.root.as_deref()));
                ExitCode::from(COULD_NOT_LOOK)
            }
        }
    }

    fn set_up(&self) -> Result<u8, Error> {
        self.refuse_idle()?;
        let consent = consent(self.dry_run, self.yes)?;
        let site = Site::open(self.root.clone())?;
        if let Some(mut store) = site.store()? {
            if consent == Consent::None {
                if store.is_interrupted() {
                    say(INTERRUPTED);
                }
            } else {
                recover(&site, &mut store)?;
                let dir = site.records();
                let closed = store.close();
                closed.map_err(|cause| Error::Records { dir, cause })?;
            }
        }
        let plan = self.plan(consent)?;
        tree(self.root.as_deref());
        show::plan(&plan, self.root.is_none());
        if plan.changes.is_empty() {
            say("nothing to change");
            return Ok(0);
        }
        if consent == Consent::None {
            say("nothing is changed (--dry-run)");
            return Ok(0);
        }
        if !consent.to("Make these changes?") {
            say("nothing is changed");
            return Ok(REFUSED);
        }
        let end = site.carry_out(&plan, &mut |step| say(&format!("- {step}")));
        let is_left = || matches!(site.store(), Ok(Some(store)) if store.is_interrupted());
        let undo = format!("slurm-adopt undo{}", of(self.root.as_deref()));
        let end = end.map_err(|failure| match is_left() {
            true => Error::Halfway {
                failure,
                next: format!("{undo} takes back what is changed by now"),
            },
            false => Error::Failed(failure),
        });
        Ok(told(end?, &undo))
    }

    /// Refuses options of parts that `--only` leaves out: they would have no effect.
    fn refuse_idle(&self) -> Result<(), Error> {
        let wish = self.wish();
        let idle = [
            (self.session, "--session", Part::Pam),
            (self.no_session, "--no-session", Part::Pam),
            (self.strict, "--strict", Part::Pam),
            (self.admins.is_some(), "--admins", Part::Pam),
            (self.keep_penalties, "--keep-penalties", Part::Sshd),
            (self.slurm_conf, "--slurm-conf", Part::Slurm),
            (self.user_manager, "--user-manager", Part::Systemd),
            (self.no_user_manager, "--no-user-manager", Part::Systemd),
        ];
        let mut idle = idle.iter().filter(|(is_given, ..)| *is_given);
        match idle.find(|(_, _, part)| !wish.wants(*part)) {
            None => Ok(()),
            Some(&(_, option, part)) => Err(Error::Idle { option, part }),
        }
    }

    /// The plan, with the answer about users' service managers.
    fn plan(&self, consent: Consent) -> Result<Plan, Error> {
        let mut wish = self.wish();
        let plan = self.planned(&wish)?;
        if !plan.asks_user_manager() {
            return Ok(plan);
        }
        if consent != Consent::Ask {
            say(LEFT_MANAGERS);
            return Ok(plan);
        }
        show::advice(&plan.advice);
        let answer = consent.to("Give users no service manager?");
        wish.user_manager = Some(answer);
        self.planned(&wish)
    }

    fn planned(&self, wish: &Wish) -> Result<Plan, Error> {
        let tree = self.root.as_deref().map_or(Ok(Tree::live()), Tree::at);
        let tree = tree.map_err(Error::Root)?;
        Ok(plan(&Host::new(tree, Deadline::after(LIMIT)), wish)?)
    }

    fn wish(&self) -> Wish {
        let either = |yes: bool, no: bool| (yes || no).then_some(yes);
        let part = |it: &OnlyPart| match it {
            OnlyPart::Pam => Part::Pam,
            OnlyPart::Sshd => Part::Sshd,
            OnlyPart::Systemd => Part::Systemd,
            OnlyPart::Slurm => Part::Slurm,
        };
        Wish {
            only: self.only.iter().map(part).collect(),
            session: either(self.session, self.no_session),
            strict: self.strict,
            admins: self.admins.clone(),
            slurm_conf: self.slurm_conf,
            keep_penalties: self.keep_penalties,
            user_manager: either(self.no_user_manager, self.user_manager),
        }
    }
}

/// Takes back what an interrupted setup has changed, or goes on with an interrupted undo.
pub(crate) fn recover(site: &Site, store: &mut ::setup::Store<'_>) -> Result<(), Error> {
    if store.is_interrupted() {
        say(INTERRUPTED);
        let undone = site.recover(store)?;
        let undone = undone.unwrap_or_default();
        fates(site, &undone.places);
        undone
            .worries
            .iter()
            .for_each(|it| say(&format!("warning: {it}")));
        if let Some(why) = undone.refused {
            return Err(Error::FilesStay(why));
        }
        say("that is taken back");
    }
    Ok(())
}

/// The option that names a tree, for a command to be typed.
pub(crate) fn of(root: Option<&Path>) -> String {
    root.map_or(String::new(), |it| format!(" --root {}", it.display()))
}

/// Says that what follows is about a tree.
pub(crate) fn tree(root: Option<&Path>) {
    if let Some(root) = root {
        say(&format!(
            "In the tree {}, by the paths in it:\n",
            root.display()
        ));
    }
}

/// Says how it ended; the exit status.
fn told(end: End, undo: &str) -> u8 {
    match end {
        End::Done { worries } => {
            worries.iter().for_each(|it| say(&format!("warning: {it}")));
            say(&format!("done; {undo} takes it back"));
            u8::from(!worries.is_empty())
        }
        End::TakenBack { why, worries } => {
            why.iter().for_each(|it| say(&format!("error: {it}")));
            worries.iter().for_each(|it| say(&format!("warning: {it}")));
            say("everything is taken back");
            REFUSED
        }
    }
}

/// The exit status when the files are as before.
pub(crate) const REFUSED: u8 = 2;
/// The time to look at the host.
const LIMIT: Duration = Duration::from_secs(9);
const INTERRUPTED: &str =
    "an earlier setup or undo was interrupted: its changes are taken back first";
const LEFT_MANAGERS: &str = "users keep their service managers: --no-user-manager takes them away, --user-manager \
                             says no more of it";
