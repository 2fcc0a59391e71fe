//! Reads the files of a service.

use std::path::Path;
use std::sync::Arc;

use crate::MAX_LEVEL;
use crate::control::Control;
use crate::finder::{Finder, Found};
use crate::layout::{Flavor, Layout, ReadFile, ReadOther};
use crate::lines::{Lines, Unfinished};
use crate::model::{Facility, Handler, Item, Line, Place, Role, Service, Stacks};
use crate::problem::{Problem, ProblemKind};
use crate::words::{Words, base_name, has_module_name};

impl Service {
    /// Reads a service as libpam does if one of the directories exists. Uses the part of the name after its last
    /// slash, in lower case (`_pam_start_internal`, pam_start.c).
    #[must_use]
    pub fn read(
        layout: &Layout,
        name: &str,
        other: ReadOther<'_>,
        read_file: ReadFile<'_>,
    ) -> Self {
        let name = base_name(name);
        let mut reader = Reader::new(layout, read_file);
        reader.service(&name, name == OTHER);
        let is_lacking = |it: &Facility| reader.read.stack(*it).is_empty();
        let is_wanted = match other {
            ReadOther::Always => true,
            ReadOther::IfLacking(needed) => needed.iter().any(is_lacking),
        };
        // libpam does not read it after it has given up.
        if is_wanted && name != OTHER && reader.read.fatal().is_none() {
            reader.service(OTHER, true);
        }
        if reader.has_no_file {
            reader.problem(None, ProblemKind::NoFile, true);
        }
        reader.read
    }

    /// Reads a service from the text of /etc/pam.conf, whose lines begin with a service's name. libpam uses it
    /// if none of the directories exists (`_pam_init_handlers`).
    #[must_use]
    pub fn read_pam_conf(
        layout: &Layout,
        file: &Path,
        text: &[u8],
        name: &str,
        read_file: ReadFile<'_>,
    ) -> Self {
        let mut reader = Reader::new(layout, read_file);
        let scope = Scope {
            file: Arc::from(file),
            only: None,
            is_other: false,
            depth: 0,
            level: 0,
        };
        reader.top_lines(text, &scope, Some(&base_name(name)));
        reader.read
    }
}

/// The service whose stacks replace missing ones.
const OTHER: &str = "other";

/// libpam reads no further line of the file, nor of the file that includes it with `@include`.
struct GivenUp;

struct Reader<'a> {
    layout: &'a Layout,
    finder: Finder<'a>,
    has_no_file: bool,
    read: Service,
}

/// The properties that the lines of a file share.
#[derive(Clone)]
struct Scope {
    file: Arc<Path>,
    /// The facility of the including line.
    only: Option<Facility>,
    /// Whether the entries belong to `other`.
    is_other: bool,
    depth: usize,
    level: usize,
}

impl<'a> Reader<'a> {
    fn new(layout: &'a Layout, read_file: ReadFile<'a>) -> Self {
        Self {
            layout,
            finder: Finder::new(read_file),
            has_no_file: true,
            read: Service::default(),
        }
    }

    fn problem(&mut self, place: Option<Place>, kind: ProblemKind, is_fatal: bool) {
        self.read.problems.push(Problem {
            place,
            kind,
            is_fatal,
        });
    }

    /// Reads a service's own file, if there is one.
    fn service(&mut self, name: &str, is_other: bool) {
        let (file, bytes) = match self.finder.find(name.as_bytes(), &self.layout.dirs) {
            Found::File(file, bytes) => (file, bytes),
            Found::Missing => return,
            Found::Hidden(kind) => {
                self.has_no_file = false;
                return self.problem(None, kind, false);
            }
        };
        self.has_no_file = false;
        let scope = Scope {
            file,
            only: None,
            is_other,
            depth: 0,
            level: 0,
        };
        self.top_lines(&bytes, &scope, None);
    }

    /// Takes the lines of a file that is not included.
    fn top_lines(&mut self, bytes: &[u8], scope: &Scope, service: Option<&str>) {
        if let Err(GivenUp) = self.lines(bytes, scope, service) {
            // The last problem is the one that made it give up.
            if let Some(last) = self.read.problems.last_mut() {
                last.is_fatal = true;
            }
        }
    }

    /// Takes the lines of a file; in pam.conf, only those of the service and of `other`.
    fn lines(&mut self, bytes: &[u8], scope: &Scope, service: Option<&str>) -> Result<(), GivenUp> {
        for logical in Lines::of(bytes) {
            let place = |line| Place {
                file: Arc::clone(&scope.file),
                line,
            };
            let logical = match logical {
                Ok(logical) => logical,
                Err(Unfinished(number)) => {
                    self.problem(Some(place(number)), ProblemKind::Unfinished, false);
                    return Err(GivenUp);
                }
            };
            for kind in logical.problems {
                self.problem(Some(place(logical.number)), kind, false);
            }
            let mut scope = scope.clone();
            let mut words = Words::of(&logical.text);
            if let Some(service) = service {
                let word = words.next().unwrap_or_default();
                scope.is_other = word.eq_ignore_ascii_case(OTHER.as_bytes());
                if !scope.is_other && !word.eq_ignore_ascii_case(service.as_bytes()) {
                    continue;
                }
            } else if words.clone().next().is_none() {
                continue;
            }
            self.line(place(logical.number), &logical.text, words, &scope)?;
        }
        Ok(())
    }

    /// Takes a line (`_pam_parse_conf_file`).
    fn line(
        &mut self,
        place: Place,
        text: &[u8],
        mut words: Words<'_>,
        scope: &Scope,
    ) -> Result<(), GivenUp> {
        let word = words.next().unwrap_or_default();
        let name = word.strip_prefix(b"-").unwrap_or(&word);
        let mut line = Line {
            place,
            text: text.to_vec(),
            facility: scope.only,
            is_silent: name.len() < word.len(),
            control: Vec::new(),
            item: Item::Nothing,
            depth: scope.depth,
            level: scope.level,
        };
        let is_debians = self.layout.flavor != Flavor::Upstream;
        if is_debians && name.eq_ignore_ascii_case(b"@include") {
            return self.include(line, words.next(), false, scope);
        }
        let named = Facility::named(name);
        let facility = named.or(scope.only).unwrap_or(Facility::Auth);
        if scope.only.is_some_and(|only| only != facility) {
            return Ok(());
        }
        line.facility = Some(facility);
        if named.is_none() {
            let word = name.to_vec();
            let kind = ProblemKind::UnknownFacility { word };
            self.problem(Some(line.place.clone()), kind, false);
        }
        let control = words.next();
        line.control = control.clone().unwrap_or_default();
        for (name, is_substack) in [("include", false), ("substack", true)] {
            if line.control.eq_ignore_ascii_case(name.as_bytes()) {
                return self.include(line, words.next(), is_substack, scope);
            }
        }
        self.module(line, control, words, named.is_some(), scope)
    }

    /// Takes a line that calls a module.
    fn module(
        &mut self,
        mut line: Line,
        control: Option<Vec<u8>>,
        mut words: Words<'_>,
        has_facility: bool,
        scope: &Scope,
    ) -> Result<(), GivenUp> {
        let place = Some(line.place.clone());
        let control = match control.map(|it| Control::parse(&it)) {
            Some(Ok(control)) => control,
            Some(Err(error)) => {
                self.problem(place.clone(), ProblemKind::UnknownControl(error), false);
                Control::FAILURE
            }
            None => {
                self.problem(place, ProblemKind::NoControl, false);
                self.push(line, Role::Fail, Control::FAILURE, scope);
                return Ok(());
            }
        };
        let Some(path) = words.next() else {
            self.problem(place, ProblemKind::NoModule, false);
            self.push(line, Role::Fail, control, scope);
            return Ok(());
        };
        let is_named = has_module_name(&path);
        line.item = Item::Module {
            path: path.clone(),
            arguments: words.collect(),
        };
        let role = if has_facility {
            Role::Module
        } else {
            Role::Fail
        };
        self.push(line, role, control, scope);
        if !is_named {
            // By then the entry exists.
            self.problem(place, ProblemKind::BadModuleName { path }, false);
            return Err(GivenUp);
        }
        Ok(())
    }

    /// Takes a line that includes a file; one without a facility is an `@include`.
    fn include(
        &mut self,
        mut line: Line,
        name: Option<Vec<u8>>,
        is_substack: bool,
        scope: &Scope,
    ) -> Result<(), GivenUp> {
        let place = Some(line.place.clone());
        line.item = match (name.clone().unwrap_or_default(), is_substack) {
            (name, true) => Item::Substack { name },
            (name, false) => Item::Include { name },
        };
        let facility = line.facility;
        let is_at = line.control.is_empty();
        let index = self.read.lines.len();
        self.read.lines.push(line);
        let mut inner = Scope {
            only: facility,
            depth: scope.depth + 1,
            ..scope.clone()
        };
        if let (true, Some(facility)) = (is_substack, facility) {
            self.entry(index, facility, Role::Substack, Control::FAILURE, scope);
            if let Some(path) = name.clone().filter(|it| !has_module_name(it)) {
                self.problem(place, ProblemKind::BadModuleName { path }, false);
                return Err(GivenUp);
            }
            inner.level += 1;
        }
        let Err(kind) = self.included(name, &mut inner) else {
            return Ok(());
        };
        let hides_lines = kind.as_ref().is_some_and(ProblemKind::hides_lines);
        if let Some(kind) = kind {
            self.problem(place.clone(), kind, false);
        }
        match facility {
            Some(facility) => {
                if is_at {
                    self.problem(place, ProblemKind::UnknownActions, false);
                }
                self.entry(index, facility, Role::Fail, Control::FAILURE, scope);
                Ok(())
            }
            // The caller treats the file as empty.
            None if hides_lines => Ok(()),
            // libpam has no stack to which it could add a failing entry.
            None => Err(GivenUp),
        }
    }

    /// Takes the lines of an included file.
    ///
    /// # Errors
    /// libpam turns the including line into one that fails; with the problem, unless it was already added.
    fn included(
        &mut self,
        name: Option<Vec<u8>>,
        scope: &mut Scope,
    ) -> Result<(), Option<ProblemKind>> {
        let Some(name) = name else {
            return Err(Some(ProblemKind::NoName));
        };
        if scope.depth >= MAX_LEVEL {
            return Err(Some(ProblemKind::TooDeep { name }));
        }
        let dirs = match self.layout.flavor {
            Flavor::Debian => self.layout.dirs.get(..1).unwrap_or_default(),
            Flavor::Upstream | Flavor::Either => &self.layout.dirs,
        };
        match self.finder.find(&name, dirs) {
            Found::File(file, bytes) => {
                scope.file = file;
                self.lines(&bytes, scope, None).map_err(|GivenUp| None)
            }
            Found::Missing => Err(Some(ProblemKind::Missing { name })),
            Found::Hidden(kind) => Err(Some(kind)),
        }
    }

    /// Adds a line and its entry.
    fn push(&mut self, line: Line, role: Role, control: Control, scope: &Scope) {
        let facility = line.facility.unwrap_or(Facility::Auth);
        let index = self.read.lines.len();
        self.read.lines.push(line);
        self.entry(index, facility, role, control, scope);
    }

    fn entry(
        &mut self,
        line: usize,
        facility: Facility,
        role: Role,
        control: Control,
        scope: &Scope,
    ) {
        let stacks: &mut Stacks = match scope.is_other {
            true => &mut self.read.other,
            false => &mut self.read.own,
        };
        if let Some(stack) = stacks.get_mut(facility as usize) {
            stack.push(Handler {
                line,
                role,
                control,
                level: scope.level,
            });
        }
    }
}

#[cfg(test)]
mod tests;
