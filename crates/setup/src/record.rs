//! The record of a setup or undo: written before the first change, so that whatever ends the program at any moment, the
//! next one knows what there was and what there was to be.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::change::Content;
use crate::files::{Attribute, Files, State};
use crate::plan::Command;

/// The format's number.
const FORMAT: u32 = 1;
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

/// journal.json. The contents are beside it, in `before` and `after`, by their places.
#[derive(Serialize, Deserialize)]
struct Journal {
    format: u32,
    /// The version of the program that wrote it.
    program: String,
    progress: Progress,
    undoes: Vec<u32>,
    left: Vec<PathBuf>,
    directories: Vec<PathBuf>,
    changes: Vec<Row>,
    commands: Vec<Run>,
}

#[derive(Serialize, Deserialize)]
struct Row {
    place: PathBuf,
    why: String,
    before: Option<Kept>,
    after: Option<Kept>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kept {
    File {
        mode: u32,
        uid: u32,
        gid: u32,
        attributes: Vec<Attribute>,
        modified: Option<(i64, i64)>,
    },
    Link {
        target: PathBuf,
    },
}

#[derive(Serialize, Deserialize)]
struct Run {
    program: String,
    arguments: Vec<String>,
    why: String,
}

/// The side of a change; its name is that of the directory with the contents.
#[derive(Clone, Copy)]
enum Side {
    Before,
    After,
}

impl Record {
    /// Reads a record from its directory.
    ///
    /// # Errors
    /// Those of the system; a journal or content that is not as it was written.
    pub fn read(files: &Files, dir: &Path) -> io::Result<Self> {
        let path = dir.join(JOURNAL);
        let text = files.tree().read(&path)?;
        let fault = |it: &dyn fmt::Display| {
            io::Error::new(
                io::ErrorKind::InvalidData,
                format!("{}: {it}", path.display()),
            )
        };
        let journal: Journal = serde_json::from_slice(&text).map_err(|it| fault(&it))?;
        if journal.format != FORMAT {
            return Err(fault(&format_args!(
                "format {}, of slurm-adopt {}; this one knows {FORMAT}",
                journal.format, journal.program
            )));
        }
        let entry = |row: Row| -> io::Result<Entry> {
            Ok(Entry {
                before: state(files, dir, Side::Before, &row.place, row.before)?,
                after: state(files, dir, Side::After, &row.place, row.after)?,
                place: row.place,
                why: row.why,
            })
        };
        let entries: io::Result<Vec<_>> = journal.changes.into_iter().map(entry).collect();
        Ok(Self {
            progress: journal.progress,
            undoes: journal.undoes,
            left: journal.left,
            directories: journal.directories,
            entries: entries?,
            commands: journal.commands.into_iter().map(command).collect(),
        })
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
            before: entry.before.as_ref().map(kept),
            after: entry.after.as_ref().map(kept),
        };
        let journal = Journal {
            format: FORMAT,
            program: env!("CARGO_PKG_VERSION").to_owned(),
            progress: self.progress,
            undoes: self.undoes.clone(),
            left: self.left.clone(),
            directories: self.directories.clone(),
            changes: self.entries.iter().map(row).collect(),
            commands: self.commands.iter().map(run).collect(),
        };
        let mut bytes = serde_json::to_vec_pretty(&journal)?;
        bytes.push(b'\n');
        let (uid, gid) = files.owner();
        let content = Content::File {
            bytes,
            mode: 0o600,
            uid,
            gid,
        };
        files.put(&dir.join(JOURNAL), &State::new(content))
    }
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

fn state(
    files: &Files,
    dir: &Path,
    side: Side,
    place: &Path,
    kept: Option<Kept>,
) -> io::Result<Option<State>> {
    let state = match kept {
        None => return Ok(None),
        Some(Kept::Link { target }) => State::new(Content::Link { target }),
        Some(Kept::File {
            mode,
            uid,
            gid,
            attributes,
            modified,
        }) => State {
            content: Content::File {
                bytes: files.tree().read(copy_of(dir, side, place))?,
                mode,
                uid,
                gid,
            },
            attributes,
            modified,
        },
    };
    Ok(Some(state))
}

fn kept(state: &State) -> Kept {
    match &state.content {
        Content::Link { target } => Kept::Link {
            target: target.clone(),
        },
        Content::File { mode, uid, gid, .. } => Kept::File {
            mode: *mode,
            uid: *uid,
            gid: *gid,
            attributes: state.attributes.clone(),
            modified: state.modified,
        },
    }
}

fn run(command: &Command) -> Run {
    Run {
        program: command.program.clone(),
        arguments: command.arguments.clone(),
        why: command.why.clone(),
    }
}

fn command(run: Run) -> Command {
    Command {
        program: run.program,
        arguments: run.arguments,
        why: run.why,
    }
}
