//! Turns a plan into a record, and makes the changes of a record.

use std::io;
use std::path::{Path, PathBuf};

use crate::change::{Change, Content};
use crate::failure::Failure;
use crate::files::{Files, State, is_full};
use crate::plan::Plan;
use crate::record::{Entry, Record};
use crate::store::DIR;

/// The record of a plan, with all that is kept of the files as they are.
///
/// # Errors
/// A file that is not as the plan found it, or cannot be read.
pub fn record(files: &Files, plan: &Plan) -> Result<Record, Failure> {
    let entries: Result<Vec<_>, _> = plan.changes.iter().map(|it| entry(files, it)).collect();
    let entries = entries?;
    let mut directories = Vec::new();
    let written = entries.iter().filter(|it| it.after.is_some());
    let written = written.map(|it| it.place.as_path());
    // The records too may be the first file below /var of an image.
    for place in written.chain([Path::new(DIR)]) {
        for dir in files.missing_above(place) {
            if !directories.contains(&dir) {
                directories.push(dir);
            }
        }
    }
    Ok(Record {
        directories,
        entries,
        commands: plan.commands.clone(),
        ..Record::begun()
    })
}

fn entry(files: &Files, change: &Change) -> Result<Entry, Failure> {
    let failed = |cause| Failure::new("read", &change.path, cause);
    let place = files.place(change).map_err(failed)?;
    let before = files.state(&place).map_err(failed)?;
    if content(&before) != change.before.as_ref() {
        return Err(failed(io::Error::other(CHANGED)));
    }
    let after = change.after.clone().map(|content| match &before {
        Some(before) => before.with(content),
        None => State::new(content),
    });
    Ok(Entry {
        place,
        why: change.why.clone(),
        before,
        after,
    })
}

/// Makes sure that the changes of a record can be written, before the first one is.
///
/// # Errors
/// A file system that is mounted to be read only.
pub fn check_writable(files: &Files, record: &Record) -> Result<(), Failure> {
    let mut entries = record.entries.iter();
    entries.try_for_each(|entry| {
        let is_same = content(&entry.before) == content(&entry.after);
        let checked = match is_same {
            true => Ok(()),
            false => files.check_writable(&entry.place),
        };
        checked.map_err(|it| Failure::new("write", &entry.place, it))
    })
}

/// Makes the changes of a record in their order, those that are not made yet.
///
/// # Errors
/// A file that is neither as before nor as after, or cannot be written: later changes are not made.
pub fn make(files: &Files, record: &Record) -> Result<(), Failure> {
    make_with(files, record, &|_| None)
}

/// The same; where there is no room for a content, the copy of it that `copy` names is linked to its place.
///
/// # Errors
/// As [`make`].
pub fn make_with(
    files: &Files,
    record: &Record,
    copy: &dyn Fn(&Entry) -> Option<PathBuf>,
) -> Result<(), Failure> {
    for dir in &record.directories {
        let made = files.make_dir(dir, 0o755);
        made.map_err(|it| Failure::new("make directory", dir, it))?;
    }
    let mut entries = record.entries.iter();
    entries.try_for_each(|it| change(files, it, copy))
}

fn change(
    files: &Files,
    entry: &Entry,
    copy: &dyn Fn(&Entry) -> Option<PathBuf>,
) -> Result<(), Failure> {
    let place = &entry.place;
    let failed = |operation| move |cause| Failure::new(operation, place, cause);
    let found = files.state(place).map_err(failed("read"))?;
    if content(&found) == content(&entry.after) {
        return files.tidy(place).map_err(failed("tidy up beside"));
    }
    if content(&found) != content(&entry.before) {
        return Err(failed("change")(io::Error::other(CHANGED)));
    }
    let Some(after) = &entry.after else {
        return files.remove(place).map_err(failed("remove"));
    };
    let put = files.put(place, after);
    let put = put.or_else(|error| match copy(entry) {
        Some(copy) if is_full(&error) => files.put_copy(&copy, place, after).map_err(|_| error),
        _ => Err(error),
    });
    put.map_err(failed("write"))
}

/// The content of what is at a place.
pub(crate) fn content(state: &Option<State>) -> Option<&Content> {
    state.as_ref().map(|it| &it.content)
}

const CHANGED: &str = "somebody else has changed it meanwhile; nothing is overwritten";
