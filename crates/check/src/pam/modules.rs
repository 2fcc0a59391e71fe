//! The files of modules, where libpam looks for them.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use pamconf::Facility;

use crate::host::Host;
use crate::host::distribution::Family;
use crate::host::tree::{Tree, is_absent};

/// The directories that a libpam may be built with, beside those of Debian's architectures.
const DIRS: [&str; 4] = [
    "/usr/lib64/security",
    "/lib64/security",
    "/usr/lib/security",
    "/lib/security",
];

/// The directories of modules that a tree has.
#[derive(Debug)]
pub(super) struct ModuleDirs {
    dirs: Vec<PathBuf>,
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
        let tree = &host.tree;
        let mut dirs = Vec::new();
        for lib in ["/usr/lib", "/lib"] {
            let names = tree.names(lib).unwrap_or_default();
            let names = names.iter().filter(|it| it.contains("-linux-gnu"));
            dirs.extend(names.map(|it| Path::new(lib).join(it).join("security")));
        }
        dirs.extend(DIRS.iter().map(PathBuf::from));
        dirs.retain(|it| tree.exists(it));
        // The one that libpam is built with has its own modules. Debian's libpam also looks in /lib/security.
        let is_compat = |it: &Path| {
            host.distribution().family == Family::Debian && it.ends_with("lib/security")
        };
        let is_libpams = |it: &PathBuf| tree.exists(it.join("pam_permit.so"));
        if dirs.iter().any(is_libpams) {
            dirs.retain(|it| is_libpams(it) || is_compat(it));
        }
        Self {
            dirs,
            faults: RefCell::default(),
        }
    }

    /// Whether there is none: then nothing can be said of any module.
    pub fn is_empty(&self) -> bool {
        self.dirs.is_empty()
    }

    /// The files that libpam may load for a module; None if that cannot be seen.
    pub fn files(&self, tree: &Tree, path: &str) -> Option<Vec<PathBuf>> {
        let name = Path::new(path).file_name().map(Path::new);
        // $ISA stands for a part of the path that is fixed when libpam is built.
        let is_known = path.starts_with('/') && !path.contains("$ISA");
        let candidates: Vec<PathBuf> = match name {
            _ if is_known => vec![PathBuf::from(path)],
            _ if self.is_empty() => return None,
            Some(name) if path.contains("$ISA") => {
                self.dirs.iter().map(|it| it.join(name)).collect()
            }
            _ => self.dirs.iter().map(|it| it.join(path)).collect(),
        };
        let mut found = Vec::new();
        for path in candidates {
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

/// The function that libpam calls for a line (pam_handlers.c).
pub(super) fn function(facility: Facility) -> &'static str {
    match facility {
        Facility::Auth => "pam_sm_authenticate",
        Facility::Account => "pam_sm_acct_mgmt",
        Facility::Session => "pam_sm_open_session",
        Facility::Password => "pam_sm_chauthtok",
    }
}

fn has(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|it| it == part)
}
