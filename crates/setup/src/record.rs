//! The record of a setup or undo: written before the first change, so that whatever ends the program at any moment, the
//! next one knows what there was and what there was to be.

mod journal;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use check::host::tree::is_absent;
use serde::{Deserialize, Serialize};

use crate::change::Content;
use crate::files::{Files, State};
use crate::plan::Command;
use crate::record::journal::{Journal, Kept, Row};

/// The file in a record's directory that lists the changes.
const JOURNAL: &str = "journal.json";

/// The changes of a setup or an undo.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// How far it has come.
    pub progress: Progress,
    /// Numbers of the setups that an undo takes back; none for a setup.
    pub undoes: Vec<u32>,
    /// Places that an undo cannot take back: their setups stay on record.
    pub left: Vec<PathBuf>,
    /// Directories that the setup makes, the uppermost first.
    pub directories: Vec<PathBuf>,
    /// The changes in their order.
    pub entries: Vec<Entry>,
    /// Changes that cannot be taken back, as their copies are damaged.
    pub damaged: Vec<Damaged>,
    /// Commands that make them count.
    pub commands: Vec<Command>,
}

/// How far a setup or undo has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Progress {
    /// Each file may be as before or as after.
    Begun,
    /// All files are as after, and the host was found to be in order.
    Done,
}

/// A change at a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The place, links resolved.
    pub place: PathBuf,
    /// The reason in one line.
    pub why: String,
    /// What was there; None for nothing.
    pub before: Option<State>,
    /// What is to be there; None for nothing.
    pub after: Option<State>,
}

/// A change whose kept contents are not as they were written: nothing is restored from them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damaged {
    /// The copy that does not fit.
    pub copy: PathBuf,
    /// What is wrong with it.
    pub fault: Fault,
    row: Box<Row>,
}

/// What is wrong with a kept copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// There is none.
    Missing,
    /// It cannot be read.
    Unreadable,
    /// It has other bytes than were kept.
    Altered,
}

impl Damaged {
    /// The place of the change.
    #[must_use]
    pub fn place(&self) -> &Path {
        &self.row.place
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing => "is gone",
            Self::Unreadable => "cannot be read",
            Self::Altered => "is not as slurm-adopt wrote it (its digest differs)",
        })
    }
}

/// The side of a change; its name is that of the directory with the contents.
#[derive(Clone, Copy)]
enum Side {
    Before,
    After,
}

impl Record {
    /// The record of something that begins.
    pub fn begun() -> Self {
        Self {
            progress: Progress::Begun,
            undoes: Vec::new(),
            left: Vec::new(),
            directories: Vec::new(),
            entries: Vec::new(),
            damaged: Vec::new(),
            commands: Vec::new(),
        }
    }

    /// Reads a record from its directory.
    ///
    /// # Errors
    /// Those of the system; a journal that is not as it was written.
    pub fn read(files: &Files, dir: &Path) -> io::Result<Self> {
        let path = dir.join(JOURNAL);
        let fault = |kind, it: &dyn fmt::Display| {
            io::Error::new(
                kind,
                format!(
                    "{}: {it}; {}",
                    path.display(),
                    by_hand(&files.tree().on_host(dir))
                ),
            )
        };
        let text = files.tree().read(&path);
        let text = text.map_err(|it| fault(it.kind(), &it))?;
        let journal = Journal::of(&text);
        let journal = journal.map_err(|it| fault(io::ErrorKind::InvalidData, &it))?;
        let mut record = Self {
            progress: journal.progress,
            undoes: journal.undoes,
            left: journal.left,
            directories: journal.directories,
            commands: journal.commands.into_iter().map(Command::from).collect(),
            ..Self::begun()
        };
        for row in journal.changes {
            match entry(files, dir, row) {
                Ok(entry) => record.entries.push(entry),
                Err(damaged) => record.damaged.push(damaged),
            }
        }
        Ok(record)
    }

    /// Writes a record with all contents into a directory that exists.
    ///
    /// # Errors
    /// Those of the system.
    pub fn write(&self, files: &Files, dir: &Path) -> io::Result<()> {
        for entry in &self.entries {
            let sides = [(Side::Before, &entry.before), (Side::After, &entry.after)];
            for (side, state) in sides {
                let Some(state) = state else { continue };
                let copy = copy_of(dir, side, &entry.place);
                for above in files.missing_above(&copy) {
                    files.make_dir(&above, 0o700)?;
                }
                files.put(&copy, state)?;
            }
        }
        self.write_journal(files, dir)
    }

    /// Writes the journal of a record whose contents are there.
    ///
    /// # Errors
    /// Those of the system.
    pub fn write_journal(&self, files: &Files, dir: &Path) -> io::Result<()> {
        let row = |entry: &Entry| Row {
            place: entry.place.clone(),
            why: entry.why.clone(),
            before: entry.before.as_ref().map(Kept::of),
            after: entry.after.as_ref().map(Kept::of),
        };
        let damaged = self.damaged.iter().map(|it| Row::clone(&it.row));
        let journal = Journal {
            format: 0,
            program: String::new(),
            digest: String::new(),
            progress: self.progress,
            undoes: self.undoes.clone(),
            left: self.left.clone(),
            directories: self.directories.clone(),
            changes: self.entries.iter().map(row).chain(damaged).collect(),
            commands: self.commands.iter().map(Into::into).collect(),
        };
        let (uid, gid) = files.owner();
        let content = Content::File {
            bytes: journal.text()?,
            mode: 0o600,
            uid,
            gid,
        };
        files.put(&dir.join(JOURNAL), &State::new(content))
    }

    /// Whether nothing is left to take back.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.damaged.is_empty()
    }

    /// Forgets all changes but those at these places.
    pub fn keep(&mut self, left: &[PathBuf]) {
        self.entries.retain(|it| left.contains(&it.place));
        self.damaged.retain(|it| left.contains(&it.row.place));
    }
}

/// The place of what was at a place before the change, in a record's directory.
pub(crate) fn copy_before(dir: &Path, place: &Path) -> PathBuf {
    copy_of(dir, Side::Before, place)
}

/// The place of a content's copy in a record.
fn copy_of(dir: &Path, side: Side, place: &Path) -> PathBuf {
    let side = match side {
        Side::Before => "before",
        Side::After => "after",
    };
    dir.join(side)
        .join(place.strip_prefix("/").unwrap_or(place))
}

/// A change with its contents.
fn entry(files: &Files, dir: &Path, row: Row) -> Result<Entry, Damaged> {
    let place = files.state(&row.place);
    let found = place.as_ref().ok().and_then(Option::as_ref);
    let read = |side, kept: &Option<Kept>| match kept {
        None => Ok(None),
        Some(kept) => contents(files, &copy_of(dir, side, &row.place), kept, found).map(Some),
    };
    let before = read(Side::Before, &row.before);
    let is_as_before = |before: &Option<State>| {
        let content = |it: &State| it.content.clone();
        place.is_ok() && before.as_ref().map(content) == found.map(content)
    };
    let after = match (&before, read(Side::After, &row.after)) {
        // There is nothing to take back.
        (Ok(before), Err(_)) if is_as_before(before) => Ok(before.clone()),
        (_, after) => after,
    };
    match (before, after) {
        (Ok(before), Ok(after)) => Ok(Entry {
            place: row.place,
            why: row.why,
            before,
            after,
        }),
        (Err((copy, fault)), _) | (_, Err((copy, fault))) => {
            let row = Box::new(row);
            Err(Damaged { copy, fault, row })
        }
    }
}

/// The content that was kept: of the copy, or else of the place itself if it has the same bytes.
fn contents(
    files: &Files,
    copy: &Path,
    kept: &Kept,
    found: Option<&State>,
) -> Result<State, (PathBuf, Fault)> {
    if matches!(kept, Kept::Link { .. }) {
        return Ok(kept.clone().state(Vec::new()));
    }
    let fault = match files.tree().read(copy) {
        Ok(bytes) if kept.fits(&bytes) => return Ok(kept.clone().state(bytes)),
        Ok(_) => Fault::Altered,
        Err(error) if is_absent(&error) => Fault::Missing,
        Err(_) => Fault::Unreadable,
    };
    match found.map(|it| &it.content) {
        Some(Content::File { bytes, .. }) if kept.has_digest() && kept.fits(bytes) => {
            Ok(kept.clone().state(bytes.clone()))
        }
        _ => Err((copy.to_owned(), fault)),
    }
}

/// What an admin can do about a record that cannot be read.
fn by_hand(dir: &Path) -> String {
    let dir = dir.display();
    format!(
        "nothing is changed. {dir}/before has each file as it was, at its own path, and {dir}/after as slurm-adopt wrote \
         it: put the files right by hand, then remove {dir} to forget the set-up"
    )
}
