//! Which module an entry of a stack calls.

use std::path::Path;

use pamconf::{Handler, Item, Role, Service};

use crate::options::{Options, file};

/// A module as it matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Module {
    /// This module, and its options say that it acts for the service.
    Ours,
    PamSystemd,
    /// Its file is not there.
    Missing,
    /// Another one, or none.
    Other,
}

impl Module {
    /// Those of a stack's entries.
    pub fn each(read: &Service, stack: &[Handler], service: &str) -> Vec<Self> {
        stack.iter().map(|it| Self::of(read, it, service)).collect()
    }

    fn of(read: &Service, handler: &Handler, service: &str) -> Self {
        let (Role::Module, Some(line)) = (handler.role, read.line(handler)) else {
            return Self::Other;
        };
        let Item::Module { path, arguments } = &line.item else {
            return Self::Other;
        };
        let path = String::from_utf8_lossy(path);
        // A relative one is in a directory that libpam knows; $ISA stands for a part of the path.
        let is_known = path.starts_with('/') && !path.contains("$ISA");
        if is_known && Path::new(&*path).try_exists().is_ok_and(|it| !it) {
            return Self::Missing;
        }
        match path.rsplit('/').next().unwrap_or_default() {
            "pam_systemd.so" => Self::PamSystemd,
            name if is_ours(name) => {
                let (options, _) = Options::read(Path::new(file::PATH), arguments);
                if options.acts_for(service) {
                    Self::Ours
                } else {
                    Self::Other
                }
            }
            _ => Self::Other,
        }
    }
}

/// Whether it is this module, under whatever name it was installed.
fn is_ours(name: &str) -> bool {
    name.starts_with("pam_slurm_adopt") && name.ends_with(".so") && !name.contains("schedmd")
}
