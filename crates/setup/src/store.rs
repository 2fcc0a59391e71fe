//! The records of a host in /var/lib/slurm-adopt, for one program at a time.
//!
//! A setup has a directory named by its number, an undo one named `undo`. A directory gets its name when it is complete
//! and loses it before it is removed, so that one with its name is whole.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::files::{Files, is_full};
use crate::record::{Entry, Progress, Record, copy_before};

/// The directory of the records.
pub const DIR: &str = "/var/lib/slurm-adopt";
/// The name of the record of an undo.
const UNDO: &str = "undo";
/// The end of the name of a directory that is not complete, or no longer.
const PARTIAL: &str = ".partial";

/// The records, held against other programs until this is dropped.
#[derive(Debug)]
pub struct Store<'a> {
    files: &'a Files,
    /// The setups on record, by their numbers.
    pub setups: BTreeMap<u32, Record>,
    /// An undo that has not come to its end.
    pub undo: Option<Record>,
    /// Whether there was no room to put the undo on record.
    is_without_room: bool,
    /// The directories above that were made for the records, the uppermost first.
    above: Vec<PathBuf>,
    _lock: File,
}

impl<'a> Store<'a> {
    /// Opens the records; None if there are none.
    ///
    /// # Errors
    /// Those of the system; a directory that somebody else may change; another program that has it; a record that
    /// cannot be read.
    pub fn open(files: &'a Files) -> io::Result<Option<Self>> {
        let dir = match files.dir(Path::new(DIR)) {
            // A link is no directory either, and is no reason to go on.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            dir => dir?,
        };
        let status = dir.metadata()?;
        if status.uid() != files.owner().0 || status.mode() & 0o022 != 0 {
            let (uid, mode) = (status.uid(), status.mode() & 0o7777);
            return Err(io::Error::other(format!(
                "owner uid {uid}, mode {mode:04o}: somebody else may have changed what is in it"
            )));
        }
        let held = "another slurm-adopt setup or undo is at work";
        sys::try_lock(&dir).map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock => io::Error::other(held),
            _ => error,
        })?;
        // The one that had the lock may have removed the directory.
        let same = files.dir(Path::new(DIR)).and_then(|it| it.metadata());
        if !same.is_ok_and(|it| (it.dev(), it.ino()) == (status.dev(), status.ino())) {
            return Err(io::Error::other(held));
        }
        let mut store = Self {
            files,
            setups: BTreeMap::new(),
            undo: None,
            is_without_room: false,
            above: Vec::new(),
            _lock: dir,
        };
        store.read()?;
        Ok(Some(store))
    }

    /// Makes the directory and opens it.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn create(files: &'a Files) -> io::Result<Self> {
        let dir = Path::new(DIR);
        let missing = files.missing_above(dir);
        for above in &missing {
            files.make_dir(above, 0o755)?;
        }
        files.make_dir(dir, 0o700)?;
        let gone = || io::Error::other("it was removed meanwhile");
        let mut store = Self::open(files)?.ok_or_else(gone)?;
        store.above = missing;
        Ok(store)
    }

    /// Whether a setup or undo has not come to its end.
    #[must_use]
    pub fn is_interrupted(&self) -> bool {
        let mut setups = self.setups.values();
        self.undo.is_some() || setups.any(|it| it.progress == Progress::Begun)
    }

    fn read(&mut self) -> io::Result<()> {
        for name in self.files.tree().names(DIR)? {
            let path = Path::new(DIR).join(&name);
            if name.ends_with(PARTIAL) {
                self.files.remove_all(&path)?;
            } else if name == UNDO {
                let mut undo = Record::read(self.files, &path)?;
                // These changes are worked out anew from their setups.
                let damaged = undo.damaged.drain(..);
                undo.left.extend(damaged.map(|it| it.place().to_owned()));
                self.undo = Some(undo);
            } else if let Ok(number) = name.parse() {
                let record = Record::read(self.files, &path)?;
                self.setups.insert(number, record);
            }
        }
        Ok(())
    }

    /// Puts a setup on record before its first change; its number.
    ///
    /// # Errors
    /// Those of the system; then there is no record.
    pub fn begin_setup(&mut self, record: Record) -> io::Result<u32> {
        let number = self.setups.keys().last().map_or(1, |it| it + 1);
        self.add(&number.to_string(), &record)?;
        self.setups.insert(number, record);
        Ok(number)
    }

    /// Puts an undo on record before its first change. Where there is no room for that, it goes on all the same: if it
    /// is interrupted, the next one finds in the records of the setups what is left to do.
    ///
    /// # Errors
    /// Those of the system; then there is no record.
    pub fn begin_undo(&mut self, record: Record) -> io::Result<()> {
        match self.add(UNDO, &record) {
            Err(error) if is_full(&error) => self.is_without_room = true,
            added => added?,
        }
        self.undo = Some(record);
        Ok(())
    }

    fn add(&self, name: &str, record: &Record) -> io::Result<()> {
        let path = Path::new(DIR).join(name);
        let partial = Path::new(DIR).join(format!("{name}{PARTIAL}"));
        self.files.make_dir(&partial, 0o700)?;
        let written = record.write(self.files, &partial);
        let added = written.and_then(|()| self.files.rename(&partial, &path));
        if added.is_err() {
            // What stays is removed by the next program.
            let _ = self.files.remove_all(&partial);
        }
        added
    }

    /// Marks a setup as done.
    ///
    /// # Errors
    /// Those of the system; a setup that is not on record.
    pub fn end_setup(&mut self, number: u32) -> io::Result<()> {
        let record = self.setups.get_mut(&number);
        let record = record.ok_or(io::ErrorKind::NotFound)?;
        record.progress = Progress::Done;
        record.write_journal(self.files, &path_of(number))
    }

    /// Ends an undo whose changes are made: forgets the setups that it took back, but for what it had to leave.
    ///
    /// # Errors
    /// Those of the system; the next program goes on.
    pub fn end_undo(&mut self) -> io::Result<()> {
        let Some(undo) = &mut self.undo else {
            return Ok(());
        };
        if undo.progress == Progress::Begun && !self.is_without_room {
            undo.progress = Progress::Done;
            if_room(undo.write_journal(self.files, &Path::new(DIR).join(UNDO)))?;
        }
        let (undoes, left) = (undo.undoes.clone(), undo.left.clone());
        let made = undo.directories.iter();
        let above = made.filter(|it| Path::new(DIR).starts_with(it));
        self.above = above.cloned().collect();
        for number in undoes.into_iter().rev() {
            let Some(record) = self.setups.get_mut(&number) else {
                continue;
            };
            record.keep(&left);
            record.progress = Progress::Done;
            match record.is_empty() {
                true => self.forget(&number.to_string())?,
                // A place that is as before needs nothing of the next undo.
                false => if_room(record.write_journal(self.files, &path_of(number)))?,
            }
        }
        self.setups.retain(|_, it| !it.is_empty());
        self.cancel_undo()
    }

    /// Forgets an undo whose changes were not made, or were taken back.
    ///
    /// # Errors
    /// Those of the system.
    pub fn cancel_undo(&mut self) -> io::Result<()> {
        if !self.is_without_room {
            self.forget(UNDO)?;
        }
        self.undo = None;
        Ok(())
    }

    fn forget(&self, name: &str) -> io::Result<()> {
        let path = Path::new(DIR).join(name);
        let partial = Path::new(DIR).join(format!("{name}{PARTIAL}"));
        self.files.rename(&path, &partial)?;
        self.files.remove_all(&partial)
    }

    /// Removes the directory if nothing is on record, and those above that were made for it if they are empty; whether
    /// it is gone.
    ///
    /// # Errors
    /// Those of rmdir(2).
    pub fn close(self) -> io::Result<bool> {
        let is_gone = self.files.remove_dir(Path::new(DIR))?;
        if is_gone {
            for above in self.above.iter().rev() {
                self.files.remove_dir(above)?;
            }
        }
        Ok(is_gone)
    }

    /// The copy of a content that the undo puts back, in the records of the setups.
    #[must_use]
    pub fn copy_of(&self, entry: &Entry) -> Option<PathBuf> {
        let undoes = self.undo.iter().flat_map(|it| &it.undoes);
        let mut setups = undoes.filter_map(|it| Some((*it, self.setups.get(it)?)));
        setups.find_map(|(number, setup)| {
            let is_it = |it: &&Entry| it.place == entry.place && it.before == entry.after;
            let it = setup.entries.iter().find(is_it)?;
            Some(copy_before(&path_of(number), &it.place))
        })
    }
}

/// What was done, or there was no room for.
fn if_room(done: io::Result<()>) -> io::Result<()> {
    match done {
        Err(error) if is_full(&error) => Ok(()),
        done => done,
    }
}

fn path_of(number: u32) -> PathBuf {
    Path::new(DIR).join(number.to_string())
}

#[cfg(test)]
mod tests;
