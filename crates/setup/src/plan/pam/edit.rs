//! A line of the module that is there, and what becomes of it.

use std::ops::Range;
use std::path::{Path, PathBuf};

use check::host::OwnLine;
use check::{Finding, Spot};
use pamconf::{Action, Code, Control, Handler};

use crate::plan::lines::Lines;
use crate::plan::pam::service::{Service, extent};
use crate::plan::pam::{authselect, line};
use crate::plan::{Refusal, Work};

/// A line of the module and its new text and place.
pub(super) struct Edit<'a, 'b> {
    service: &'b Service<'a>,
    own: &'b OwnLine,
    /// Its physical lines in its file.
    numbers: Range<usize>,
    /// Its text as it is to be, with its newline.
    pub text: Vec<u8>,
    /// The number of the line of the service's own file before which it comes.
    place: Option<usize>,
    /// Whether it was made required.
    is_required: bool,
    whys: Vec<&'static str>,
}

impl<'a, 'b> Edit<'a, 'b> {
    pub fn of(service: &'b Service<'a>, own: &'b OwnLine) -> Self {
        let bytes = service.host.tree.read(&own.line.place.file);
        let lines = Lines::of(&bytes.unwrap_or_default());
        let numbers = extent(&lines, own.line.place.line);
        let text = numbers.clone().flat_map(|it| lines.line(it).to_vec());
        Self {
            service,
            own,
            text: text.collect(),
            numbers,
            place: None,
            is_required: false,
            whys: Vec::new(),
        }
    }

    /// Whether a denial by the line does not count: a check says so, or libpam cannot read its control.
    pub fn is_unbound(&self, id: &str) -> bool {
        self.is_unread() || self.finding(id).is_some()
    }

    /// Whether a later line can have libpam forget a denial by the line.
    pub fn is_forgotten(&self) -> bool {
        let service = self.service;
        let ends = |it: Control| it.action(Code::PERM_DENIED) == Action::Die;
        service.control(self.own.facility, self.own.entry + 1) == line::REQUISITE
            && !Control::parse(&self.own.line.control).is_ok_and(ends)
    }

    /// Whether libpam cannot read the line's control.
    fn is_unread(&self) -> bool {
        Control::parse(&self.own.line.control).is_err()
    }

    /// Makes the line required, or requisite.
    pub fn bind(&mut self) {
        let control = self.service.control(self.own.facility, self.own.entry);
        if let Some(text) = line::with_control(&self.text, control) {
            self.text = text;
            self.is_required = true;
            self.whys.push("a failure of the module's line must count");
        }
    }

    /// Has a line act for the service that had no effect so far: it is required then, and in the given place.
    pub fn revive(&mut self, place: usize) {
        let services = self.service.services(&self.own.options.service);
        self.text = line::acting_for(&self.text, &services);
        self.whys
            .push("service= left sshd out of the module's line");
        let control = Control::parse(&self.own.line.control);
        let denies =
            |it: Control| matches!(it.action(Code::PERM_DENIED), Action::Bad | Action::Die);
        if !control.is_ok_and(denies) {
            self.bind();
        }
        if self.can_move(place) {
            self.move_to(place);
        }
    }

    /// The finding that another place would answer: one of these, or that a tool writes the file.
    pub fn misplaced(&self, ids: &[&str]) -> Option<&'b Finding> {
        let written = ["SA209", "SA210", "SA212"]
            .into_iter()
            .find_map(|it| self.finding(it));
        written.or_else(|| ids.iter().find_map(|it| self.service.finding(it)))
    }

    /// Whether no check could judge the line's place, as libpam cannot read its control.
    pub fn is_unjudged(&self, place: usize) -> bool {
        self.is_unread() && self.can_move(place)
    }

    /// Whether the line can be moved to a place of the service's own file, and nothing but its place changes.
    pub fn can_move(&self, place: usize) -> bool {
        let line = &self.own.line;
        let is_here = *line.place.file == *self.service.file;
        let is_there = is_here && (self.numbers.start..=self.numbers.end).contains(&place);
        let services = self.own.options.service.split(',');
        let is_shared = !is_here
            && services
                .into_iter()
                .any(|it| !self.service.names.iter().any(|name| name == it));
        let stack = self.service.read.stack(self.own.facility);
        let handler = stack.get(self.own.entry);
        let is_plain = self.is_required || handler.is_some_and(|it| !leads_on(it));
        let jumps_over = |(at, it): (usize, &Handler)| {
            let left = u32::try_from(self.own.entry - at).unwrap_or(u32::MAX);
            actions(it).any(|it| matches!(it, Action::Jump(count) if count >= left))
        };
        let mut before = stack.iter().enumerate().take(self.own.entry);
        let is_of_profile = authselect::has(self.service.host, &line.place.file);
        !is_there && !is_of_profile && !is_shared && is_plain && !before.any(jumps_over)
    }

    /// Moves the line.
    pub fn move_to(&mut self, place: usize) {
        self.place = Some(place);
        self.whys
            .push("in its old place the module's line can be passed over or lost");
    }

    /// Writes the edit down, if there is any.
    pub fn write(self, work: &mut Work<'_>) -> Result<(), Refusal> {
        let why = self.whys.join(", and ");
        if why.is_empty() {
            return Ok(());
        }
        let file: &Path = &self.own.line.place.file;
        // A copy in /etc/pam.d overrides the vendor's file, with the same line numbers.
        let file: PathBuf = match *file == *self.service.file {
            true => {
                self.service.prepare(work)?;
                self.service.own.clone()
            }
            false => file.to_owned(),
        };
        let lines = work.draft.edit(&file, &why)?;
        match self.place {
            None => {
                lines.remove(self.numbers.start + 1..self.numbers.end);
                lines.replace(self.numbers.start, self.text);
            }
            Some(place) => {
                lines.remove(self.numbers);
                self.service.prepare(work)?;
                let lines = work.draft.edit(&self.service.own, &why)?;
                let text = self.text.strip_suffix(b"\n").unwrap_or(&self.text);
                lines.insert(place, text);
            }
        }
        Ok(())
    }

    /// The finding of a check about the line itself.
    fn finding(&self, id: &str) -> Option<&'b Finding> {
        let line = &self.own.line.place;
        let is_here =
            |spot: &Spot| Path::new(&spot.file) == &*line.file && spot.line == Some(line.line);
        let mut findings = self.service.findings.iter();
        findings.find(|it| it.check.id == id && it.spot.as_ref().is_some_and(is_here))
    }
}

fn actions(handler: &Handler) -> impl Iterator<Item = Action> + '_ {
    Code::all().map(|it| handler.control.action(it))
}

/// Whether what follows the line depends on more than whether it fails.
fn leads_on(handler: &Handler) -> bool {
    actions(handler).any(|it| matches!(it, Action::Done | Action::Jump(_) | Action::Reset))
}
