//! The failures that check finds, before and after changes.

use std::collections::BTreeSet;

use check::{Finding, Severity};

use crate::change::{Change, Content};

/// A failure that check finds.
#[derive(Debug, Clone)]
pub struct Fault {
    /// The check.
    pub id: &'static str,
    file: String,
    /// The first line of the text at fault; empty for a file as a whole.
    text: String,
    /// The finding in words.
    pub words: String,
    /// What to do about it.
    pub advice: String,
}

impl Fault {
    /// A finding, if it is a failure.
    #[must_use]
    pub fn of(finding: &Finding) -> Option<Self> {
        if finding.severity < Severity::Failure {
            return None;
        }
        let spot = finding.spot.as_ref();
        let text = spot.and_then(|it| it.text.as_deref());
        let line = text.and_then(|it| it.lines().next()).unwrap_or_default();
        Some(Self {
            id: finding.check.id,
            file: spot.map_or(String::new(), |it| it.file.clone()),
            text: line.trim().to_owned(),
            words: words(finding),
            advice: finding.advice().to_owned(),
        })
    }

    /// Whether it is the same as another one, whose line may have another number.
    fn is_same(&self, other: &Self) -> bool {
        (self.id, &self.file, &self.text) == (other.id, &other.file, &other.text)
    }
}

/// The failures after changes that were not there before. A line that is moved or edited takes its failure along.
pub fn new<'a>(before: &[Fault], after: &'a [Fault], changes: &[Change]) -> Vec<&'a Fault> {
    let mut gone: Vec<&Fault> = before.iter().collect();
    let mut new: Vec<&Fault> = after.iter().collect();
    new.retain(|it| !has_taken(&mut gone, |old| old.is_same(it)));
    let [removed, added] = edited(changes);
    new.retain(|it| {
        let is_edit = |old: &Fault| old.id == it.id && removed.contains(&old.text);
        !(added.contains(&it.text) && has_taken(&mut gone, is_edit))
    });
    new
}

/// Takes one that is as wanted out of a list; whether there was one.
fn has_taken(faults: &mut Vec<&Fault>, is_wanted: impl Fn(&Fault) -> bool) -> bool {
    let at = faults.iter().position(|it| is_wanted(it));
    at.map(|it| faults.swap_remove(it)).is_some()
}

/// The lines that changes take out of files, and those that they add.
fn edited(changes: &[Change]) -> [BTreeSet<String>; 2] {
    let lines = |side: &Option<Content>| -> BTreeSet<String> {
        match side {
            Some(Content::File { bytes, .. }) => {
                let text = String::from_utf8_lossy(bytes);
                text.lines().map(|it| it.trim().to_owned()).collect()
            }
            _ => BTreeSet::new(),
        }
    };
    let mut edited = [BTreeSet::new(), BTreeSet::new()];
    for change in changes {
        let (old, new) = (lines(&change.before), lines(&change.after));
        let [removed, added] = &mut edited;
        removed.extend(old.difference(&new).cloned());
        added.extend(new.difference(&old).cloned());
    }
    edited
}

/// A finding in one line.
#[must_use]
pub fn words(finding: &Finding) -> String {
    let place = finding.spot.as_ref().map(|spot| match spot.line {
        Some(line) => format!(" ({}:{line})", spot.file),
        None => format!(" ({})", spot.file),
    });
    let (id, title) = (finding.check.id, finding.check.title);
    format!(
        "{id} {title}{}: {}",
        place.unwrap_or_default(),
        finding.detail
    )
}

#[cfg(test)]
mod tests;
