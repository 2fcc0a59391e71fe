//! The module's file: where libpam finds it, whose it is, and whether it can be loaded.

mod checks;
mod elf;
mod search;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use adopt::options;
use pamconf::{Facility, Item};

use crate::host::fstab::is_mounted_later;
use crate::host::owner;
use crate::host::{Host, OwnLine};
use crate::module::elf::{Facts, Target};
use crate::module::search::Search;
use crate::{Finding, Notes, Room, Spot};

pub(crate) const ROOM: Room = Room {
    name: "module",
    checks: checks::ALL,
    look,
};

/// Who made a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Maker {
    /// This project.
    Own,
    SchedMd,
    Unknown,
}

/// A module that lines name, and these lines.
#[derive(Debug)]
struct Module {
    /// As the lines name it.
    name: String,
    lines: Vec<OwnLine>,
}

impl Module {
    /// The place of its first line.
    fn spot(&self) -> Option<Spot> {
        let line = self.lines.first()?;
        Some(Spot::pam(&line.line).mark(&self.name))
    }
}

fn look(host: &Host, notes: &mut Notes) {
    if let Some(uid) = owner::stand_in(&host.tree) {
        let why = format!("the tree's root directory is uid {uid}'s, who stands for root");
        notes.unseen("owners of files", why);
    }
    let modules = modules(host, notes);
    if modules.is_empty() {
        notes.summary("no PAM line calls it");
        return;
    }
    let search = Search::of(host);
    for module in &modules {
        judge(host, &search, module, notes);
    }
}

/// Whether libpam finds a module.
pub(crate) fn is_installed(host: &Host, module: &str) -> bool {
    let paths = Search::of(host).paths(module);
    paths.iter().any(|it| host.tree.exists(it))
}

/// The files that libpam loads for the lines of sshd.
pub(crate) fn loaded(host: &Host) -> Vec<PathBuf> {
    let search = Search::of(host);
    let mut loaded: Vec<PathBuf> = Vec::new();
    for line in host.own_lines("sshd") {
        let Item::Module { path, .. } = &line.line.item else {
            continue;
        };
        let paths = search.paths(&String::from_utf8_lossy(path));
        let first = paths.into_iter().find(|it| host.tree.exists(it));
        loaded.extend(first.filter(|it| !loaded.contains(it)));
    }
    loaded
}

/// The modules that the services of /etc/pam.d name; sshd's first.
fn modules(host: &Host, notes: &mut Notes) -> Vec<Module> {
    let mut services = match host.tree.names("/etc/pam.d") {
        Ok(names) => names,
        Err(error) => {
            notes.unseen("/etc/pam.d", error.to_string());
            Vec::new()
        }
    };
    services.sort_by_key(|it| it != "sshd");
    let mut found: BTreeMap<String, Vec<OwnLine>> = BTreeMap::new();
    for line in services.iter().flat_map(|it| host.own_lines(it)) {
        let Item::Module { path, .. } = &line.line.item else {
            continue;
        };
        let name = String::from_utf8_lossy(path).into_owned();
        let lines = found.entry(name).or_default();
        if lines.iter().all(|it| it.line.place != line.line.place) {
            lines.push(line);
        }
    }
    let modules = found.into_iter();
    modules
        .map(|(name, lines)| Module { name, lines })
        .collect()
}

fn judge(host: &Host, search: &Search, module: &Module, notes: &mut Notes) {
    let tree = &host.tree;
    let tried = search.paths(&module.name);
    let found = search::distinct(tree, tried.clone());
    let Some(loaded) = found.first() else {
        let mut paths = tried.iter();
        if let Some(path) = paths.find(|it| is_mounted_later(tree, it)) {
            notes.unseen(
                path.display().to_string(),
                "its file system is not mounted in the tree",
            );
            return;
        }
        notes.find(missing(host, module, &tried));
        return;
    };
    let bytes = match tree.read(loaded) {
        Ok(bytes) => bytes,
        Err(error) => {
            let detail = format!("{}: {error}", loaded.display());
            notes.find(Finding::of(&checks::UNREADABLE, detail).at(file(loaded)));
            return;
        }
    };
    match owner::unsafe_part(tree, loaded) {
        Ok(None) => {}
        Ok(Some(part)) => {
            notes.find(Finding::of(&checks::UNSAFE, part.to_string()).at(file(loaded)))
        }
        Err(error) => notes.unseen(
            format!("who can change {}", loaded.display()),
            error.to_string(),
        ),
    }
    let facts = Facts::read(&bytes);
    let maker = maker(&bytes, facts.as_ref().ok());
    judge_others(host, module, (loaded, maker), &found, notes);
    judge_maker(host, module, loaded, maker, notes);
    match facts {
        Ok(facts) => judge_loading(host, module, loaded, &facts, notes),
        Err(fault) => {
            let detail = format!("{}: {fault}", loaded.display());
            notes.find(Finding::of(&checks::DAMAGED, detail).at(file(loaded)));
        }
    }
}

fn file(path: &Path) -> Spot {
    Spot::file(path.to_string_lossy())
}

fn listed(paths: &[PathBuf]) -> String {
    let paths: Vec<String> = paths.iter().map(|it| it.display().to_string()).collect();
    paths.join(", ")
}

fn missing(host: &Host, module: &Module, tried: &[PathBuf]) -> Finding {
    let tree = &host.tree;
    let mut detail = format!("there is no {}", listed(tried));
    let dangling = tried.iter().find(|it| tree.link_status(it).is_ok());
    if let Some(link) = dangling {
        detail = format!("{} is a link that leads nowhere", link.display());
    }
    let name = module.name.rsplit('/').next().unwrap_or_default();
    let elsewhere = search::distinct(tree, search::elsewhere(tree, name));
    let mut finding = match elsewhere.first() {
        Some(_) => {
            let dirs = listed(&elsewhere);
            let first = tried.first().map(|it| it.display().to_string());
            let fix = format!("Move {dirs} to {}.", first.unwrap_or_default());
            detail += &format!("; {dirs} is not where this libpam looks");
            Finding::of(&checks::MISSING, detail).fix(fix)
        }
        None => Finding::of(&checks::MISSING, detail),
    };
    finding.spot = module.spot();
    finding
}

/// Who made a module, by what only theirs has.
fn maker(bytes: &[u8], facts: Option<&Facts>) -> Maker {
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

/// Judges other files of the same name.
fn judge_others(
    host: &Host,
    module: &Module,
    (loaded, maker_of_loaded): (&Path, Maker),
    found: &[PathBuf],
    notes: &mut Notes,
) {
    let tree = &host.tree;
    if module.name.starts_with('/') {
        return;
    }
    let searched = found.len();
    let mut all = found.to_vec();
    all.extend(search::elsewhere(tree, &module.name));
    let all = search::distinct(tree, all);
    for (index, other) in all.iter().enumerate().skip(1) {
        let Ok(bytes) = tree.read(other) else {
            continue;
        };
        let maker = maker(&bytes, Facts::read(&bytes).ok().as_ref());
        let (loaded, other_name) = (loaded.display(), other.display());
        if maker == Maker::Own && maker_of_loaded != Maker::Own {
            let detail = format!("libpam loads {loaded}; {other_name} is this project's");
            notes.find(Finding::of(&checks::SHADOWED, detail).at(file(other)));
        } else if maker != maker_of_loaded && index < searched {
            let detail = format!("libpam loads {loaded}, not {other_name}");
            notes.find(Finding::of(&checks::SECOND_FILE, detail).at(file(other)));
        }
    }
}

fn judge_maker(host: &Host, module: &Module, loaded: &Path, maker: Maker, notes: &mut Notes) {
    let path = loaded.display();
    match maker {
        Maker::Own => notes.summary(path.to_string()),
        Maker::SchedMd => {
            notes.summary(format!("{path} (SchedMD's)"));
            let detail = format!("libpam loads {path}, which uses libslurm");
            notes.find(Finding::of(&checks::SCHEDMDS, detail).at(file(loaded)));
            judge_foreign_options(host, module, notes);
        }
        Maker::Unknown => {
            notes.summary(format!("{path} (unknown)"));
            let detail = format!("{path} is some other module");
            notes.find(Finding::of(&checks::UNKNOWN, detail).at(file(loaded)));
        }
    }
}

/// Judges options that SchedMD's module does not know.
fn judge_foreign_options(host: &Host, module: &Module, notes: &mut Notes) {
    let is_ours = |name: &str| {
        let mut options = options::TABLE.iter().filter(|it| it.since_us);
        options.any(|it| it.name.eq_ignore_ascii_case(name))
    };
    for line in &module.lines {
        let Item::Module { arguments, .. } = &line.line.item else {
            continue;
        };
        let arguments = arguments.iter().map(|it| String::from_utf8_lossy(it));
        let name = |it: &str| it.split('=').next().unwrap_or_default().to_owned();
        let ours: Vec<String> = arguments
            .map(|it| name(&it))
            .filter(|it| is_ours(it))
            .collect();
        if let Some(first) = ours.first() {
            let detail = format!("SchedMD's module does not know {}", ours.join(", "));
            let spot = Spot::pam(&line.line).mark(first);
            notes.find(Finding::of(&checks::FOREIGN_OPTIONS, detail).at(spot));
        }
    }
    if host.tree.exists(options::FILE) {
        let detail = "SchedMD's module does not read this file";
        notes.find(Finding::of(&checks::FOREIGN_OPTIONS, detail).at(Spot::file(options::FILE)));
    }
}

/// Judges whether sshd can load the file.
fn judge_loading(host: &Host, module: &Module, path: &Path, facts: &Facts, notes: &mut Notes) {
    let shown = path.display();
    if !facts.is_shared_object {
        let detail = format!("{shown} is an ELF file of another kind");
        notes.find(Finding::of(&checks::DAMAGED, detail).at(file(path)));
        return;
    }
    if let Some((program, target)) = target(host).filter(|(_, it)| *it != facts.target) {
        let own = facts.target;
        let detail = format!("{shown} is for {own}, {program} for {target}");
        notes.find(Finding::of(&checks::WRONG_MACHINE, detail).at(file(path)));
        return;
    }
    judge_libraries(host, path, facts, notes);
    judge_phases(module, path, facts, notes);
    if host.is_live() && host.tree.is_noexec(path) {
        let detail = format!("{shown} is on a file system without exec");
        notes.find(Finding::of(&checks::NOEXEC, detail).at(file(path)));
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

fn judge_libraries(host: &Host, path: &Path, facts: &Facts, notes: &mut Notes) {
    let tree = &host.tree;
    let libc = search::library(tree, "libc.so.6", path, facts);
    let Some(libc) = libc else {
        // No root file system: then other libraries cannot be judged either.
        if !facts.needed.is_empty() {
            notes.unseen("the module's libraries", "the tree has no libc.so.6");
        }
        return;
    };
    for name in &facts.needed {
        if search::library(tree, name, path, facts).is_none() {
            let detail = format!(
                "{} needs {name}, which is in no library directory",
                path.display()
            );
            notes.find(Finding::of(&checks::MISSING_LIBRARY, detail).at(file(path)));
        }
    }
    let read = tree.read(&libc).map_err(|error| error.to_string());
    let offered = read.and_then(|bytes| Facts::read(&bytes));
    match offered.map(|it| it.offered_glibc) {
        Ok(Some(offered)) => {
            if let Some(needed) = facts.needed_glibc.filter(|it| *it > offered) {
                let spot = file(path);
                let (path, libc) = (path.display(), libc.display());
                let detail = format!("{path} needs glibc {needed}, {libc} is {offered}");
                notes.find(Finding::of(&checks::OLD_GLIBC, detail).at(spot));
            }
        }
        Ok(None) => {}
        Err(error) => notes.unseen(format!("the version of {}", libc.display()), error),
    }
}

fn judge_phases(module: &Module, path: &Path, facts: &Facts, notes: &mut Notes) {
    // Without any symbol table nothing is known.
    if facts.exports.is_empty() {
        return;
    }
    for line in &module.lines {
        let function = match line.facility {
            Facility::Account => "pam_sm_acct_mgmt",
            Facility::Session => "pam_sm_open_session",
            Facility::Auth | Facility::Password => continue,
        };
        if !facts.exports.iter().any(|it| it == function) {
            let (path, facility) = (path.display(), line.facility);
            let detail = format!("{path} has no {function} for the {facility} line");
            let spot = Spot::pam(&line.line).mark(facility.name());
            notes.find(Finding::of(&checks::NO_SUCH_PHASE, detail).at(spot));
        }
    }
}
