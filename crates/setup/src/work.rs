//! The whole of a setup and of an undo, once they are wanted.

use std::fmt;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use check::host::command;
use sys::Deadline;

use crate::apply;
use crate::back::{self, Place, Way};
use crate::failure::Failure;
use crate::files::Files;
use crate::judge::{self, Judgement};
use crate::plan::{Command, Plan};
use crate::record::{Progress, Record};
use crate::store::{DIR, Store};

/// A host, or a tree that does not run.
#[derive(Debug)]
pub struct Site {
    /// The directory of the tree; None for this host.
    pub root: Option<PathBuf>,
    /// Its files.
    pub files: Files,
}

/// The end of a setup.
#[derive(Debug)]
pub enum End {
    /// It is done.
    Done {
        /// What the admin is to know.
        worries: Vec<String>,
    },
    /// It was taken back.
    TakenBack {
        /// The reasons.
        why: Vec<String>,
        /// What the admin is to know.
        worries: Vec<String>,
    },
}

/// The end of an undo.
#[derive(Debug, Default)]
pub struct Undone {
    /// What has become of each place.
    pub places: Vec<Place>,
    /// The reason why the files stay as they are.
    pub refused: Option<String>,
    /// What the admin is to know.
    pub worries: Vec<String>,
}

impl Site {
    /// Opens a host or a tree.
    ///
    /// # Errors
    /// Those of open(2).
    pub fn open(root: Option<PathBuf>) -> Result<Self, Failure> {
        if root.as_deref().is_some_and(is_this_host) {
            let host = io::Error::other("it is this running host's own root: leave --root out");
            return Err(Failure::new("open", "/", host));
        }
        let files = Files::open(root.as_deref());
        let name = root.clone().unwrap_or_else(|| PathBuf::from("/"));
        let files = files.map_err(|it| Failure::new("open", &name, it))?;
        if !files.tree().exists("/etc") {
            let cause = "it has no /etc, so it is not the root of a system";
            return Err(Failure::new("open", name, io::Error::other(cause)));
        }
        Ok(Self { root, files })
    }

    /// The directory of the records, as this host names it.
    #[must_use]
    pub fn records(&self) -> PathBuf {
        self.files.tree().on_host(DIR)
    }

    /// The records; None if there are none.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn store(&self) -> Result<Option<Store<'_>>, Failure> {
        Store::open(&self.files).map_err(|it| Failure::new("open", DIR, it))
    }

    /// Brings a setup or undo that was interrupted to its end: what a setup has changed is taken back, and an undo goes
    /// on. None if there is none.
    ///
    /// # Errors
    /// A file that cannot be read or written.
    pub fn recover(&self, store: &mut Store<'_>) -> Result<Option<Undone>, Failure> {
        if store.undo.is_some() {
            return self.finish(store, Vec::new()).map(Some);
        }
        let begun = store.setups.iter();
        let begun = begun.filter(|(_, it)| it.progress == Progress::Begun);
        let begun: Vec<u32> = begun.map(|(number, _)| *number).collect();
        match begun.is_empty() {
            true => Ok(None),
            false => self.undo(store, &begun).map(Some),
        }
    }

    /// Carries a plan out. `tell` is told what comes next.
    ///
    /// # Errors
    /// Nothing could be changed, or something could not be taken back: the next setup or undo does that.
    pub fn carry_out(&self, plan: &Plan, tell: &mut dyn FnMut(&str)) -> Result<End, Failure> {
        tell("look at the host as it is");
        let before = self.judge()?;
        let record = apply::record(&self.files, plan)?;
        apply::check_writable(&self.files, &record)?;
        let store = Store::create(&self.files);
        let mut store = store.map_err(|it| Failure::new("open", DIR, it))?;
        let on_record = |it| Failure::new("write to", DIR, it);
        let number = match store.begin_setup(record.clone()) {
            Ok(number) => number,
            Err(error) => {
                // Empty, as before.
                let _ = store.close();
                return Err(on_record(error));
            }
        };
        tell("write the files");
        let made = apply::make(&self.files, &record);
        let judged = made.map_err(|it| vec![it.to_string()]);
        let judged = judged.and_then(|()| self.make_count(plan, &before, tell));
        let ended = judged.and_then(|after| match store.end_setup(number).map_err(on_record) {
            Ok(()) => Ok(after.worries()),
            Err(failure) => Err(vec![failure.to_string()]),
        });
        let why = match ended {
            Ok(worries) => return Ok(End::Done { worries }),
            Err(why) => why,
        };
        tell("take everything back");
        let undone = self.undo(&mut store, &[number])?;
        let closed = store.close();
        closed.map_err(|it| Failure::new("remove", DIR, it))?;
        let mut worries = undone.worries;
        worries.extend(undone.refused);
        Ok(End::TakenBack { why, worries })
    }

    /// Makes the changes count, and judges the host.
    ///
    /// # Errors
    /// The reasons why all is to be taken back.
    fn make_count(
        &self,
        plan: &Plan,
        before: &Judgement,
        tell: &mut dyn FnMut(&str),
    ) -> Result<Judgement, Vec<String>> {
        // No command is run, and no daemon is reloaded, with stacks that keep root out.
        if let (Some(why), None) = (judge::shut(self.root.clone()), &before.shut) {
            return Err(vec![format!("root would not get in: {why}")]);
        }
        if self.root.is_none() {
            for command in &plan.commands {
                tell(&format!("run {}", words(command)));
                run(command).map_err(|it| vec![it.to_string()])?;
            }
        }
        tell("look at the host as it is now");
        let after = self.judge().map_err(|it| vec![it.to_string()])?;
        let worse = after.worse_than(before, plan);
        match worse.is_empty() {
            true => Ok(after),
            false => Err(worse),
        }
    }

    /// What keeps root out of the host, if anything does: its stacks, and on a running host a trial login.
    #[must_use]
    pub fn shut_for_root(&self) -> Option<String> {
        judge::shut_for_root(self.root.clone())
    }

    fn judge(&self) -> Result<Judgement, Failure> {
        let judged = Judgement::of(self.root.clone());
        judged.map_err(|it| Failure::new("judge", "/", std::io::Error::other(it.to_string())))
    }

    /// Takes setups back.
    ///
    /// # Errors
    /// A file that cannot be read or written.
    pub fn undo(&self, store: &mut Store<'_>, numbers: &[u32]) -> Result<Undone, Failure> {
        let way = Way::of(&self.files, store, numbers)?;
        apply::check_writable(&self.files, &way.record)?;
        let begun = store.begin_undo(way.record);
        begun.map_err(|it| Failure::new("write to", DIR, it))?;
        self.finish(store, way.places)
    }

    /// Brings the undo on record to its end.
    fn finish(&self, store: &mut Store<'_>, places: Vec<Place>) -> Result<Undone, Failure> {
        let mut undone = Undone {
            places,
            ..Undone::default()
        };
        let Some(record) = store.undo.clone() else {
            return Ok(undone);
        };
        let on_record = |it| Failure::new("write to", DIR, it);
        if record.progress == Progress::Begun {
            let was_shut = judge::shut(self.root.clone());
            apply::make_with(&self.files, &record, &|it| store.copy_of(it))?;
            if let (Some(why), None) = (judge::shut(self.root.clone()), was_shut) {
                apply::make(&self.files, &reversed(&record))?;
                store.cancel_undo().map_err(on_record)?;
                undone.refused = Some(format!("root would not get in: {why}"));
                return Ok(undone);
            }
        }
        back::remove_directories(&self.files, &record)?;
        if self.root.is_none() {
            let failed = record.commands.iter().filter_map(|it| run(it).err());
            undone.worries.extend(failed.map(|it| it.to_string()));
        }
        store.end_undo().map_err(on_record)?;
        Ok(undone)
    }
}

/// Whether a directory is the one that this host runs from: its commands and daemons are then to be run too.
fn is_this_host(root: &Path) -> bool {
    let id = |path: &Path| {
        let status = std::fs::metadata(path).ok()?;
        Some((status.dev(), status.ino()))
    };
    id(root).is_some_and(|it| id(Path::new("/")) == Some(it))
}

/// The way back of a record.
fn reversed(record: &Record) -> Record {
    let mut reversed = record.clone();
    reversed.entries.reverse();
    for entry in &mut reversed.entries {
        std::mem::swap(&mut entry.before, &mut entry.after);
    }
    reversed
}

/// A command as one types it.
#[must_use]
pub fn words(command: &Command) -> String {
    let mut words = vec![command.program.clone()];
    words.extend(command.arguments.iter().cloned());
    words.join(" ")
}

fn run(command: &Command) -> Result<(), CommandError> {
    let arguments: Vec<&str> = command.arguments.iter().map(String::as_str).collect();
    let ended = command::run(&command.program, &arguments, &Deadline::after(PATIENCE));
    let text = words(command);
    match ended {
        Ok(printed) if printed.is_success() => Ok(()),
        Ok(printed) => Err(CommandError::Failed {
            command: text,
            said: printed.errors.trim().to_owned(),
        }),
        Err(cause) => Err(CommandError::Run {
            command: text,
            cause,
        }),
    }
}

/// Reason why a command has not done its work.
#[derive(Debug)]
enum CommandError {
    /// It cannot be run, or does not end.
    Run { command: String, cause: io::Error },
    /// It failed; what it wrote to standard error.
    Failed { command: String, said: String },
}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Run { command, cause } => write!(f, "run {command}: {cause}"),
            Self::Failed { command, said } => write!(f, "{command} failed: {said}"),
        }
    }
}

/// The time for a command.
const PATIENCE: Duration = Duration::from_secs(60);
