//! Modules that libpam cannot call.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::PathBuf;

use pamconf::Facility;

use crate::host::Host;
use crate::host::modules::{ModuleSearch, function};
use crate::host::tree::{Tree, is_absent};

/// The directories of modules that a tree has.
#[derive(Debug)]
pub(super) struct ModuleDirs {
    search: ModuleSearch,
    is_empty: bool,
    /// What was found for a module and a facility.
    faults: RefCell<BTreeMap<(String, Facility), Option<Fault>>>,
}

/// A reason why libpam cannot call the module of a line: it takes `module_unknown` for its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// There is no such file.
    Missing,
    /// The file has no function for this kind of line.
    NoFunction,
}

impl ModuleDirs {
    pub fn of(host: &Host) -> Self {
        let search = host.modules().clone();
        Self {
            is_empty: search.is_absent(&host.tree),
            search,
            faults: RefCell::default(),
        }
    }

    /// Whether there is none: then nothing can be said of any module.
    pub fn is_empty(&self) -> bool {
        self.is_empty
    }

    /// The files that libpam may load for a module; None if that cannot be seen.
    pub fn files(&self, tree: &Tree, path: &str) -> Option<Vec<PathBuf>> {
        // $ISA stands for a part of the path that is fixed when libpam is built.
        let is_known = path.starts_with('/') && !path.contains("$ISA");
        if self.is_empty && !is_known {
            return None;
        }
        let mut found = Vec::new();
        for path in self.search.paths(path) {
            match tree.status(&path) {
                Ok(_) => found.push(path),
                Err(error) if is_absent(&error) => {}
                Err(_) => return None,
            }
        }
        Some(found)
    }

    /// The reason why libpam cannot call a module for a facility.
    pub fn fault(&self, tree: &Tree, path: &str, facility: Facility) -> Option<Fault> {
        let key = (path.to_owned(), facility);
        let known = self.faults.borrow().get(&key).copied();
        known.unwrap_or_else(|| {
            let fault = self.look_for_fault(tree, path, facility);
            self.faults.borrow_mut().insert(key, fault);
            fault
        })
    }

    fn look_for_fault(&self, tree: &Tree, path: &str, facility: Facility) -> Option<Fault> {
        let files = self.files(tree, path)?;
        if files.is_empty() {
            return Some(Fault::Missing);
        }
        let lacks_function = |file: &PathBuf| {
            let bytes = tree.read(file).unwrap_or_default();
            has(&bytes, b"pam_sm_") && !has(&bytes, function(facility).as_bytes())
        };
        files
            .iter()
            .all(lacks_function)
            .then_some(Fault::NoFunction)
    }
}

fn has(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|it| it == part)
}
