//! A file of the module's name: whose it is, and whether sshd can load it.

use std::path::{Path, PathBuf};

use adopt::options;

use crate::host::{Host, is_for_root};
use crate::module::elf::{Facts, Target};
use crate::module::{checks, search};
use crate::{Check, Finding, Notes, Spot};

/// Who made a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Maker {
    /// This project.
    Own,
    /// Slurm's makers.
    SchedMd,
    /// Somebody else.
    Unknown,
}

/// A file of the module's name.
#[derive(Debug)]
pub struct Candidate {
    /// Its path.
    pub path: PathBuf,
    /// Who made it.
    pub maker: Maker,
    /// What it says of itself, if it can be parsed.
    pub facts: Option<Facts>,
    /// Why sshd cannot load it.
    pub faults: Vec<Finding>,
}

impl Candidate {
    /// Looks at a file.
    pub fn look(host: &Host, path: &Path, notes: &mut Notes) -> Self {
        let mut candidate = Self {
            path: path.to_owned(),
            maker: Maker::Unknown,
            facts: None,
            faults: Vec::new(),
        };
        let bytes = match host.tree.read(path) {
            Ok(bytes) => bytes,
            Err(error) if is_for_root(&error) => {
                notes.unseen(path.display().to_string(), error.to_string());
                return candidate;
            }
            Err(error) => {
                candidate.fault(&checks::UNREADABLE, error.to_string());
                return candidate;
            }
        };
        match Facts::read(&bytes) {
            Ok(facts) => {
                candidate.maker = maker(&bytes, Some(&facts));
                candidate.judge_loading(host, &facts, notes);
                candidate.facts = Some(facts);
            }
            Err(fault) => {
                candidate.maker = maker(&bytes, None);
                candidate.fault(&checks::DAMAGED, fault.to_string());
            }
        }
        candidate
    }

    fn fault(&mut self, check: &'static Check, detail: String) {
        let detail = format!("{}: {detail}", self.path.display());
        let finding = Finding::of(check, detail).at(file(&self.path));
        self.faults.push(finding);
    }

    /// Judges whether sshd can load the file.
    fn judge_loading(&mut self, host: &Host, facts: &Facts, notes: &mut Notes) {
        if !facts.is_shared_object {
            self.fault(
                &checks::DAMAGED,
                "it is an ELF file of another kind".to_owned(),
            );
            return;
        }
        if let Some((program, target)) = target(host).filter(|(_, it)| *it != facts.target) {
            let own = facts.target;
            let detail = format!("it is for {own}, {program} for {target}");
            self.fault(&checks::WRONG_MACHINE, detail);
            return;
        }
        self.judge_libraries(host, facts, notes);
        if host.is_live() && host.tree.is_noexec(&self.path) {
            let detail = "its file system is mounted noexec".to_owned();
            self.fault(&checks::NOEXEC, detail);
        }
    }

    fn judge_libraries(&mut self, host: &Host, facts: &Facts, notes: &mut Notes) {
        let tree = &host.tree;
        let find = |name: &str| search::library(tree, name, &self.path, facts);
        let Some(libc) = find("libc.so.6") else {
            // No root file system: then other libraries cannot be judged either.
            if !facts.needed.is_empty() {
                notes.unseen("the module's libraries", "the tree has no libc.so.6");
            }
            return;
        };
        let missing: Vec<&String> = facts
            .needed
            .iter()
            .filter(|it| find(it).is_none())
            .collect();
        for name in missing {
            let detail = format!("it needs {name}, which is in no library directory");
            self.fault(&checks::MISSING_LIBRARY, detail);
        }
        let read = tree.read(&libc).map_err(|error| error.to_string());
        let offered = read.and_then(|it| Facts::read(&it).map_err(|fault| fault.to_string()));
        match offered.map(|it| it.offered_glibc) {
            Ok(Some(offered)) => {
                if let Some(needed) = facts.needed_glibc.filter(|it| *it > offered) {
                    let libc = libc.display();
                    let detail = format!("it needs glibc {needed}, {libc} is {offered}");
                    self.fault(&checks::OLD_GLIBC, detail);
                }
            }
            Ok(None) => {}
            Err(error) => notes.unseen(format!("the version of {}", libc.display()), error),
        }
    }
}

/// The kind of program that sshd is, or the shell.
fn target(host: &Host) -> Option<(&'static str, Target)> {
    const PROGRAMS: [&str; 4] = ["/usr/sbin/sshd", "/bin/sh", "/usr/bin/bash", "/usr/bin/env"];
    PROGRAMS.iter().find_map(|program| {
        let bytes = host.tree.read(program).ok()?;
        Some((*program, Facts::read(&bytes).ok()?.target))
    })
}

/// Who made a module, by what only theirs has.
pub fn maker(bytes: &[u8], facts: Option<&Facts>) -> Maker {
    let has = |text: &str| bytes.windows(text.len()).any(|it| it == text.as_bytes());
    let uses_slurm = facts.is_some_and(|facts| {
        let needs = facts.needed.iter().any(|it| it.starts_with("libslurm"));
        needs || facts.imports.iter().any(|it| it.starts_with("slurm_"))
    });
    if has(options::FILE) {
        Maker::Own
    } else if uses_slurm || has("libslurm") {
        Maker::SchedMd
    } else {
        Maker::Unknown
    }
}

/// The place of a file as a whole.
pub fn file(path: &Path) -> Spot {
    Spot::file(path.to_string_lossy())
}
