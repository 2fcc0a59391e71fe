//! Works out how setups are taken back: byte for byte where nobody else has changed a file since, and else without
//! the others' changes being lost.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use crate::apply::content;
use crate::change::{Change, Content};
use crate::failure::Failure;
use crate::files::{Files, State};
use crate::record::{Damaged, Entry, Fault, Record, copy_before};
use crate::store::{DIR, Store};

/// How setups are taken back.
#[derive(Debug)]
pub struct Way {
    /// The changes.
    pub record: Record,
    /// What becomes of each place.
    pub places: Vec<Place>,
}

/// A place that setups have changed.
#[derive(Debug)]
pub struct Place {
    /// Its path.
    pub path: PathBuf,
    /// What becomes of it.
    pub fate: Fate,
}

/// What becomes of a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// It is again as it was, byte for byte.
    Restored,
    /// It is so already.
    Already,
    /// Others have changed it since: what setup changed is taken out, their changes stay.
    Merged,
    /// Others have changed it since, and their changes touch those of setup: it stays as it is.
    Left {
        /// What stands in the way.
        why: &'static str,
        /// The path of what was there before the first setup, if there was something.
        copy: Option<PathBuf>,
    },
    /// What was kept of it is not as it was written: it stays as it is.
    Damaged {
        /// The copy.
        copy: PathBuf,
        /// What is wrong with it.
        fault: Fault,
    },
}

impl Fate {
    /// Whether the place stays as it is, and the admin is to put it right.
    #[must_use]
    pub fn is_left(&self) -> bool {
        matches!(self, Self::Left { .. } | Self::Damaged { .. })
    }
}

impl Way {
    /// The way back before these setups.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn of(files: &Files, store: &Store<'_>, numbers: &[u32]) -> Result<Self, Failure> {
        let mut way = Self {
            record: Record::begun(),
            places: Vec::new(),
        };
        way.record.undoes = numbers.to_vec();
        let setups: Vec<(u32, &Record)> = numbers
            .iter()
            .rev()
            .filter_map(|it| Some((*it, store.setups.get(it)?)))
            .collect();
        let damaged = setups.iter().flat_map(|(_, it)| &it.damaged);
        damaged.for_each(|it| way.leave(it));
        for (_, setup) in &setups {
            add_new(&mut way.record.directories, &setup.directories);
            add_new(&mut way.record.commands, &setup.commands);
            for entry in setup.entries.iter().rev() {
                if way.places.iter().all(|it| it.path != entry.place) {
                    way.add(files, &setups, entry)?;
                }
            }
        }
        Ok(way)
    }

    /// Leaves a place whose copies are damaged.
    fn leave(&mut self, damaged: &Damaged) {
        let path = damaged.place().to_owned();
        if self.places.iter().any(|it| it.path == path) {
            return;
        }
        self.record.left.push(path.clone());
        let fate = Fate::Damaged {
            copy: damaged.copy.clone(),
            fault: damaged.fault,
        };
        self.places.push(Place { path, fate });
    }

    /// Takes a place back.
    fn add(
        &mut self,
        files: &Files,
        setups: &[(u32, &Record)],
        entry: &Entry,
    ) -> Result<(), Failure> {
        let path = &entry.place;
        let found = match files.state(path) {
            // Something that setup did not put there, and does not remove.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => Err(NO_FILE),
            found => Ok(found.map_err(|it| Failure::new("read", path, it))?),
        };
        let (before, after, fate) = match found {
            Err(why) => (None, None, left(setups, path, why)),
            Ok(found) => {
                let (target, fate) = way_of(setups, path, &found);
                let is_fixed = content(&target) != content(&found) && files.is_immutable(path);
                match is_fixed {
                    true => (None, None, left(setups, path, IMMUTABLE)),
                    false => (found, target, fate),
                }
            }
        };
        match fate.is_left() {
            true => self.record.left.push(path.clone()),
            false => self.record.entries.push(Entry {
                place: path.clone(),
                why: entry.why.clone(),
                before,
                after,
            }),
        }
        let path = path.clone();
        self.places.push(Place { path, fate });
        Ok(())
    }

    /// The changes, to be shown.
    #[must_use]
    pub fn changes(&self) -> Vec<Change> {
        let fate = |path: &Path| self.places.iter().find(|it| it.path == path);
        let change = |entry: &Entry| Change {
            path: entry.place.clone(),
            before: content(&entry.before).cloned(),
            after: content(&entry.after).cloned(),
            why: match fate(&entry.place).map(|it| &it.fate) {
                Some(Fate::Merged) => {
                    "changed since by others: only what setup changed is taken out".to_owned()
                }
                _ => "as before setup".to_owned(),
            },
        };
        let changes = self.record.entries.iter().map(change);
        changes.filter(|it| it.before != it.after).collect()
    }
}

/// What a place is to be, and what that makes of what is there.
fn way_of(setups: &[(u32, &Record)], path: &Path, found: &Option<State>) -> (Option<State>, Fate) {
    let chain = chain(setups, path);
    let first = chain.last();
    if first.is_some_and(|(_, it)| content(&it.before) == content(found)) {
        return (found.clone(), Fate::Already);
    }
    let mut target = found.clone();
    let mut is_merged = false;
    for (_, entry) in &chain {
        if content(&target) == content(&entry.after) {
            target.clone_from(&entry.before);
            continue;
        }
        match taken_out(&target, entry) {
            Ok(merged) => target = Some(merged),
            Err(_) if chain.iter().all(|(_, it)| is_put_right(it, found)) => {
                return (found.clone(), Fate::Already);
            }
            Err(why) => return (found.clone(), left(setups, path, why)),
        }
        is_merged = true;
    }
    let fate = match is_merged {
        _ if content(&target) == content(found) => Fate::Already,
        true => Fate::Merged,
        false => Fate::Restored,
    };
    (target, fate)
}

/// The changes of a place, the last one first.
fn chain<'a>(setups: &[(u32, &'a Record)], path: &Path) -> Vec<(u32, &'a Entry)> {
    let of_setup = |(number, setup): &(u32, &'a Record)| {
        let number = *number;
        setup.entries.iter().map(move |it| (number, it))
    };
    let all = setups.iter().flat_map(of_setup);
    all.filter(|(_, entry)| entry.place == path).collect()
}

/// A place that stays as it is.
fn left(setups: &[(u32, &Record)], path: &Path, why: &'static str) -> Fate {
    let chain = chain(setups, path);
    let had = chain.last().filter(|(_, it)| it.before.is_some());
    let copy = had.map(|(number, it)| {
        let dir = Path::new(DIR).join(number.to_string());
        copy_before(&dir, &it.place)
    });
    Fate::Left { why, copy }
}

/// What others have made of a file, without what setup changed.
fn taken_out(found: &Option<State>, entry: &Entry) -> Result<State, &'static str> {
    let Some(found) = found else {
        return Err("it is gone");
    };
    let (before, after) = match (&entry.before, &entry.after) {
        (Some(before), Some(after)) => (before, after),
        (None, Some(made)) => return added(found, made),
        (_, None) => return Err("setup removed it, and there is another one now"),
    };
    let [
        Content::File {
            bytes,
            mode,
            uid,
            gid,
        },
        Content::File {
            bytes: old_bytes,
            mode: old_mode,
            uid: old_uid,
            gid: old_gid,
        },
        Content::File {
            bytes: new_bytes,
            mode: new_mode,
            uid: new_uid,
            gid: new_gid,
        },
    ] = [&found.content, &before.content, &after.content]
    else {
        return Err("it is another link now");
    };
    let merged = diffy::merge_bytes(new_bytes, bytes, old_bytes);
    let merged = merged.map_err(|_| "it was changed since, where setup changed it")?;
    if is_any_left(old_bytes, new_bytes, &merged) {
        return Err("a line that setup wrote is now in another place");
    }
    let kept = |found: &u32, old: &u32, new: &u32| if found == new { *old } else { *found };
    Ok(found.with(Content::File {
        bytes: merged,
        mode: kept(mode, old_mode, new_mode),
        uid: kept(uid, old_uid, new_uid),
        gid: kept(gid, old_gid, new_gid),
    }))
}

/// What others have added to a file that setup made.
fn added(found: &State, made: &State) -> Result<State, &'static str> {
    let (Content::File { bytes: text, .. }, Content::File { bytes: own, .. }) =
        (&found.content, &made.content)
    else {
        return Err("it is another link now");
    };
    let mut own = own.split_inclusive(|it| *it == b'\n').peekable();
    let others = text.split_inclusive(|it| *it == b'\n');
    let others: Vec<&[u8]> = others.filter(|it| own.next_if_eq(it).is_none()).collect();
    if own.peek().is_some() {
        return Err("setup made it, and its lines were changed since");
    }
    let mut content = found.content.clone();
    if let Content::File { bytes, .. } = &mut content {
        *bytes = others.concat();
    }
    Ok(found.with(content))
}

/// Whether somebody has taken out by hand what setup changed: none of its lines is there, and all that it took out are.
fn is_put_right(entry: &Entry, found: &Option<State>) -> bool {
    let bytes = |it: &Option<State>| match content(it) {
        None => Some(Vec::new()),
        Some(Content::File { bytes, .. }) => Some(bytes.clone()),
        Some(Content::Link { .. }) => None,
    };
    let (Some(old), Some(new), Some(text)) =
        (bytes(&entry.before), bytes(&entry.after), bytes(found))
    else {
        return false;
    };
    !is_any_left(&old, &new, &text)
        && lines(&old)
            .difference(&lines(&new))
            .all(|it| lines(&text).contains(it))
}

/// Whether a text still has a line that setup added.
fn is_any_left(old: &[u8], new: &[u8], text: &[u8]) -> bool {
    let (old, text) = (lines(old), lines(text));
    lines(new).difference(&old).any(|it| text.contains(it))
}

fn lines(text: &[u8]) -> BTreeSet<Vec<u8>> {
    let lines = text.split(|sign| *sign == b'\n');
    lines.map(|it| it.trim_ascii().to_vec()).collect()
}

fn add_new<T: Clone + PartialEq>(list: &mut Vec<T>, more: &[T]) {
    for it in more {
        if !list.contains(it) {
            list.push(it.clone());
        }
    }
}

/// Removes the directories that setups made, those that are empty.
///
/// # Errors
/// Those of rmdir(2).
pub(crate) fn remove_directories(files: &Files, record: &Record) -> Result<(), Failure> {
    let mut directories = record.directories.clone();
    // The deepest first.
    directories.sort_by_key(|it| std::cmp::Reverse(it.components().count()));
    for dir in &directories {
        let removed: io::Result<bool> = files.remove_dir(dir);
        removed.map_err(|it| Failure::new("remove directory", dir, it))?;
    }
    Ok(())
}

const NO_FILE: &str = "it is neither a file nor a link now";
const IMMUTABLE: &str = "it is immutable; chattr -i it, then run undo again";
