//! Judges a host before and after its changes: what check finds, and whether root gets in.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use check::host::tree::Tree;
use check::{Finding, Host, Report, Request, RequestError, Severity};
use sys::Deadline;

use crate::fault::{self, Fault};
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
        let new = fault::new(&before.failures, &self.failures, &plan.changes);
        let new = new.into_iter().filter(|it| !plan.accepted.contains(&it.id));
        worse.extend(new.map(|it| it.words.clone()));
        worse
    }
}

impl From<&Report> for Judgement {
    fn from(report: &Report) -> Self {
        // What daemons and jobs do meanwhile is not the set-up's.
        let rooms = report.rooms.iter().filter(|it| it.room.name != "daemons");
        let findings = rooms.flat_map(|it| &it.findings);
        let failures = findings.filter_map(Fault::of).collect();
        let all = report.rooms.iter().flat_map(|it| &it.findings);
        let is_told =
            |it: &&Finding| it.severity > Severity::Note || it.check.id == NO_WAY_WITHOUT_JOB;
        Self {
            failures,
            findings: all.filter(is_told).map(fault::words).collect(),
            shut: None,
        }
    }
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
