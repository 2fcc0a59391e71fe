//! The module that an entry of a stack calls.

use std::path::Path;

use pamconf::{Handler, Item, Role, Service};

use crate::options::{Options, file};

/// The kinds of modules that matter here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Module {
    /// This module, with options that make it act for the service.
    Ours,
    PamSystemd,
    /// pam_nologin(8), which answers PAM_IGNORE as long as logins are allowed.
    Nologin,
    /// pam_exec(8) or pam_script(7), which run programs with PAM's environment.
    RunsPrograms,
    /// Its file does not exist.
    Missing,
    /// Another module.
    Other,
    /// No module: the place of another file, or a line that libpam fails.
    Nothing,
}

impl Module {
    /// Whether its answer counts beside ours.
    pub fn is_other(&self) -> bool {
        matches!(self, Self::Other | Self::RunsPrograms)
    }

    /// The modules of a stack's entries.
    pub fn each(read: &Service, stack: &[Handler], service: &str) -> Vec<Self> {
        stack.iter().map(|it| Self::of(read, it, service)).collect()
    }

    fn of(read: &Service, handler: &Handler, service: &str) -> Self {
        let (Role::Module, Some(line)) = (handler.role, read.line(handler)) else {
            return Self::Nothing;
        };
        let Item::Module { path, arguments } = &line.item else {
            return Self::Nothing;
        };
        let path = String::from_utf8_lossy(path);
        // A relative path is in a directory that only libpam knows; $ISA stands for a part of the path.
        let is_known = path.starts_with('/') && !path.contains("$ISA");
        if is_known && Path::new(&*path).try_exists().is_ok_and(|it| !it) {
            return Self::Missing;
        }
        match path.rsplit('/').next().unwrap_or_default() {
            "pam_systemd.so" => Self::PamSystemd,
            "pam_nologin.so" => Self::Nologin,
            "pam_exec.so" | "pam_script.so" => Self::RunsPrograms,
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

/// Whether this is our module, under any file name.
fn is_ours(name: &str) -> bool {
    name.starts_with("pam_slurm_adopt") && name.ends_with(".so") && !name.contains("schedmd")
}
