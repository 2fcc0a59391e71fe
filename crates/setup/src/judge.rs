//! Judges a host before and after its changes: what check finds, and whether root gets in.

use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use check::host::tree::Tree;
use check::{Finding, Host, Report, Request, RequestError, Severity};
use sys::Deadline;

use crate::change::Content;
use crate::plan::Plan;

/// What check and root's way in look like.
#[derive(Debug)]
pub struct Judgement {
    /// Check's failures.
    failures: Vec<Fault>,
    /// What the admin is to know of check's findings, in words.
    findings: Vec<String>,
    /// What keeps root out, if anything does.
    pub shut: Option<String>,
}

/// A failure that check finds.
#[derive(Debug, Clone)]
struct Fault {
    id: &'static str,
    file: String,
    /// The first line of the text at fault; empty for a file as a whole.
    text: String,
    words: String,
}

impl Fault {
    /// Whether it is the same as another one, whose line may have another number.
    fn is_same(&self, other: &Self) -> bool {
        (self.id, &self.file, &self.text) == (other.id, &other.file, &other.text)
    }
}

impl Judgement {
    /// Judges this host or a tree. On this host, also makes a login of root with sshd's PAM stacks.
    ///
    /// # Errors
    /// A tree that cannot be opened.
    pub fn of(root: Option<PathBuf>) -> Result<Self, RequestError> {
        let request = Request {
            root,
            limit: LIMIT,
            ..Request::default()
        };
        let report = check::run(&request, &mut |_| {})?;
        let mut judgement = Self::from(&report);
        judgement.shut = shut_for_root(request.root);
        Ok(judgement)
    }

    /// What the admin is to know of a host that is set up.
    #[must_use]
    pub fn worries(&self) -> Vec<String> {
        let mut worries = Vec::new();
        if let Some(why) = &self.shut {
            worries.push(format!("root is kept out, as before: {why}"));
        }
        worries.extend(self.findings.iter().map(|it| format!("check finds {it}")));
        worries
    }

    /// The reasons why this is worse than before a plan, but for checks that the admin accepts. A line that the plan
    /// moves or edits takes its failure along.
    #[must_use]
    pub fn worse_than(&self, before: &Self, plan: &Plan) -> Vec<String> {
        let mut worse = Vec::new();
        if let (Some(why), None) = (&self.shut, &before.shut) {
            worse.push(format!("root would not get in: {why}"));
        }
        let mut gone = before.failures.clone();
        let mut new = self.failures.clone();
        new.retain(|it| !plan.accepted.contains(&it.id));
        new.retain(|it| !has_taken(&mut gone, |old| old.is_same(it)));
        let [removed, added] = edited(plan);
        new.retain(|it| {
            let is_edit = |old: &Fault| old.id == it.id && removed.contains(&old.text);
            !(added.contains(&it.text) && has_taken(&mut gone, is_edit))
        });
        worse.extend(new.into_iter().map(|it| it.words));
        worse
    }
}

/// Takes one that is as wanted out of a list; whether there was one.
fn has_taken(faults: &mut Vec<Fault>, is_wanted: impl Fn(&Fault) -> bool) -> bool {
    let at = faults.iter().position(is_wanted);
    at.map(|it| faults.swap_remove(it)).is_some()
}

/// The lines that a plan takes out of files, and those that it adds.
fn edited(plan: &Plan) -> [BTreeSet<String>; 2] {
    let lines = |side: &Option<Content>| match side {
        Some(Content::File { bytes, .. }) => {
            let text = String::from_utf8_lossy(bytes).into_owned();
            text.lines().map(|it| it.trim().to_owned()).collect()
        }
        _ => BTreeSet::new(),
    };
    let mut edited = [BTreeSet::new(), BTreeSet::new()];
    for change in &plan.changes {
        let (old, new): (BTreeSet<String>, BTreeSet<String>) =
            (lines(&change.before), lines(&change.after));
        let [removed, added] = &mut edited;
        removed.extend(old.difference(&new).cloned());
        added.extend(new.difference(&old).cloned());
    }
    edited
}

impl From<&Report> for Judgement {
    fn from(report: &Report) -> Self {
        // What daemons and jobs do meanwhile is not the set-up's.
        let rooms = report.rooms.iter().filter(|it| it.room.name != "daemons");
        let findings = rooms.flat_map(|it| &it.findings);
        let failures = findings.filter(|it| it.severity == Severity::Failure);
        let failures = failures.map(fault).collect();
        let all = report.rooms.iter().flat_map(|it| &it.findings);
        let is_told =
            |it: &&Finding| it.severity > Severity::Note || it.check.id == NO_WAY_WITHOUT_JOB;
        Self {
            failures,
            findings: all.filter(is_told).map(words).collect(),
            shut: None,
        }
    }
}

fn fault(finding: &Finding) -> Fault {
    let spot = finding.spot.as_ref();
    let text = spot.and_then(|it| it.text.as_deref());
    let line = text.and_then(|it| it.lines().next()).unwrap_or_default();
    Fault {
        id: finding.check.id,
        file: spot.map_or(String::new(), |it| it.file.clone()),
        text: line.trim().to_owned(),
        words: words(finding),
    }
}

fn words(finding: &Finding) -> String {
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

/// What keeps root out: the stacks as they are written, and on a running host a trial login.
#[must_use]
pub fn shut_for_root(root: Option<PathBuf>) -> Option<String> {
    match root {
        Some(_) => shut(root),
        // What libpam says counts more than what its files seem to say.
        None => refused().unwrap_or_else(|_| shut(None)),
    }
}

/// What keeps root out by the stacks as they are written.
#[must_use]
pub fn shut(root: Option<PathBuf>) -> Option<String> {
    let tree = root.map_or(Ok(Tree::live()), |it| Tree::at(&it)).ok()?;
    check::shut_for_root(&Host::new(tree, Deadline::after(LIMIT)))
}

/// What refuses root in a real login.
///
/// # Errors
/// It cannot be made.
fn refused() -> io::Result<Option<String>> {
    let words = |answer: check::trial::Answer| {
        let mut words = vec![answer.words];
        words.extend(answer.texts);
        format!("a trial login ends with: {}", words.join("; "))
    };
    Ok(check::trial::refusal("root", LIMIT)?.map(words))
}

/// The note that nobody gets in by ssh without a job, root neither: right for a node with a console, if one knows it.
const NO_WAY_WITHOUT_JOB: &str = "SA340";
/// The time for check, and for a login.
const LIMIT: Duration = Duration::from_secs(12);

#[cfg(test)]
mod tests;
