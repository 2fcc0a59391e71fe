//! The module's file: where libpam finds it, whose it is, and whether it can be loaded.

mod candidate;
mod checks;
mod elf;
mod search;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::mpsc;

use adopt::options;
use pamconf::{Facility, Item};

use crate::host::fstab::is_mounted_later;
use crate::host::modules;
use crate::host::owner;
use crate::host::{Host, ModuleCall, OwnLine};
use crate::module::candidate::{Candidate, file, maker};
use crate::{Finding, Notes, Room, Spot};

pub use crate::module::candidate::Maker;

/// The file that libpam loads for a module's name.
#[derive(Debug)]
pub struct ModuleFile {
    /// Its path.
    pub path: PathBuf,
    /// Who made it.
    pub maker: Maker,
    /// Why sshd cannot load it.
    pub faults: Vec<Finding>,
}

pub(crate) const ROOM: Room = Room {
    name: "module",
    checks: checks::ALL,
    look,
};

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
    misspelt(host, notes);
    let modules = named(host, notes);
    if modules.is_empty() {
        notes.summary("no PAM line calls it");
        return;
    }
    for module in &modules {
        judge(host, module, notes);
    }
}

/// Finds the file that libpam loads for a module's name, such as `pam_slurm_adopt.so`: the first that can be loaded,
/// else the first. None if there is none.
#[must_use]
pub fn module_file(host: &Host, name: &str) -> Option<ModuleFile> {
    let paths = host.modules().paths(name).into_iter();
    let files = paths.filter(|it| host.tree.exists(it)).map(|path| {
        let (sender, _) = mpsc::channel();
        let candidate = Candidate::look(host, &path, &mut Notes { room: 0, sender });
        ModuleFile {
            path,
            maker: candidate.maker,
            faults: candidate.faults,
        }
    });
    let mut files: Vec<ModuleFile> = files.collect();
    let good = files.iter().position(|it| it.faults.is_empty());
    (!files.is_empty()).then(|| files.swap_remove(good.unwrap_or(0)))
}

/// Looks in sshd's stacks for modules that are not there and whose name is nearly this module's.
fn misspelt(host: &Host, notes: &mut Notes) {
    let service = host.service("sshd");
    for facility in Facility::ALL {
        let stack = service.stack(facility).iter();
        for call in stack.filter_map(|it| ModuleCall::of(&service, it)) {
            let name = call.name().to_ascii_lowercase();
            let is_near = name.contains("slurm") && name.contains("ado");
            let path = String::from_utf8_lossy(call.path);
            let tried = host.modules().paths(&path);
            if call.is_own() || !is_near || tried.iter().any(|it| host.tree.exists(it)) {
                continue;
            }
            let detail = format!("there is no {}", listed(&tried));
            let finding = Finding::of(&checks::MISSING, detail)
                .at(Spot::pam(call.line).mark(&path))
                .fix("Write pam_slurm_adopt.so.");
            notes.find(finding);
        }
    }
}

/// The files that libpam loads for the lines of sshd.
pub(crate) fn loaded(host: &Host) -> Vec<PathBuf> {
    let mut loaded: Vec<PathBuf> = Vec::new();
    for line in host.own_lines("sshd") {
        let Item::Module { path, .. } = &line.line.item else {
            continue;
        };
        let path = String::from_utf8_lossy(path);
        let file = host.modules().file(&host.tree, &path);
        loaded.extend(file.filter(|it| !loaded.contains(it)));
    }
    loaded
}

/// The modules that the services of /etc/pam.d name; sshd's first.
fn named(host: &Host, notes: &mut Notes) -> Vec<Module> {
    let services = host.services().unwrap_or_else(|error| {
        notes.unseen("/etc/pam.d", error.to_string());
        Vec::new()
    });
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

fn judge(host: &Host, module: &Module, notes: &mut Notes) {
    let tree = &host.tree;
    let tried = host.modules().paths(&module.name);
    let found = search::distinct(tree, tried.clone());
    if found.is_empty() {
        let mut paths = tried.iter();
        match paths.find(|it| is_mounted_later(tree, it)) {
            Some(path) => {
                let why = "its file system is not mounted in the tree";
                notes.unseen(path.display().to_string(), why);
            }
            None => notes.find(missing(host, module, &tried)),
        }
        return;
    }
    let candidates: Vec<Candidate> = found
        .iter()
        .map(|it| Candidate::look(host, it, notes))
        .collect();
    // Debian's libpam goes on to the next directory if it cannot load a file.
    let can_be_loaded = candidates.iter().find(|it| it.faults.is_empty());
    let Some(loaded) = can_be_loaded.or(candidates.first()) else {
        return;
    };
    for fault in &loaded.faults {
        notes.find(fault.clone());
    }
    judge_owners(host, &loaded.path, notes);
    judge_others(host, module, loaded, &candidates, notes);
    judge_maker(host, module, loaded, notes);
    judge_phases(module, loaded, notes);
}

/// Judges who can change the file, or the directory of a link to it.
fn judge_owners(host: &Host, path: &Path, notes: &mut Notes) {
    let is_link = host.tree.link_status(path).is_ok_and(|it| it.is_symlink());
    let dir = path.parent().filter(|_| is_link);
    for part in [Some(path), dir].into_iter().flatten() {
        match owner::unsafe_part(&host.tree, part) {
            Ok(None) => {}
            Ok(Some(part)) => {
                notes.find(Finding::of(&checks::UNSAFE, part.to_string()).at(file(path)));
            }
            Err(error) => {
                let what = format!("who can change {}", part.display());
                notes.unseen(what, error.to_string());
            }
        }
    }
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

/// Judges other files of the same name: those where libpam looks, and those where it does not.
fn judge_others(
    host: &Host,
    module: &Module,
    loaded: &Candidate,
    candidates: &[Candidate],
    notes: &mut Notes,
) {
    let name = loaded.path.display();
    let first = candidates.first().map(|it| &it.path);
    for other in candidates.iter().filter(|it| it.path != loaded.path) {
        let other_name = other.path.display();
        let why = other.faults.first().map(|it| format!("; {}", it.detail));
        let why = why.unwrap_or_default();
        if other.maker == Maker::Own && loaded.maker != Maker::Own {
            notes.find(shadowed(loaded, &other.path, &why));
        } else if other.maker != loaded.maker || !why.is_empty() {
            let detail = format!("libpam loads {name}, not {other_name}{why}");
            let finding = Finding::of(&checks::SECOND_FILE, detail).at(file(&other.path));
            let is_ours = loaded.maker == Maker::Own && first == Some(&loaded.path);
            notes.find(
                match is_ours && other.maker == Maker::SchedMd && why.is_empty() {
                    true => finding.fix(checks::WAY_BACK),
                    false => finding,
                },
            );
        }
    }
    if module.name.starts_with('/') || loaded.maker == Maker::Own {
        return;
    }
    let known = candidates.iter().map(|it| it.path.clone());
    let all = known
        .chain(search::elsewhere(&host.tree, &module.name))
        .collect();
    let others = search::distinct(&host.tree, all);
    for path in others.iter().skip(candidates.len()) {
        let bytes = host.tree.read(path).unwrap_or_default();
        if maker(&bytes, None) == Maker::Own {
            notes.find(shadowed(loaded, path, ""));
        }
    }
}

fn shadowed(loaded: &Candidate, own: &Path, why: &str) -> Finding {
    let (loaded, own_name) = (loaded.path.display(), own.display());
    let detail = format!("libpam loads {loaded}; {own_name} is this project's{why}");
    Finding::of(&checks::SHADOWED, detail).at(file(own))
}

fn judge_maker(host: &Host, module: &Module, loaded: &Candidate, notes: &mut Notes) {
    let path = loaded.path.display();
    match loaded.maker {
        Maker::Own => notes.summary(path.to_string()),
        Maker::SchedMd => {
            notes.summary(format!("{path} (SchedMD's)"));
            let detail = format!("libpam loads {path}, which uses libslurm");
            notes.find(Finding::of(&checks::SCHEDMDS, detail).at(file(&loaded.path)));
            judge_foreign_options(host, module, notes);
        }
        // What cannot be parsed has its own finding.
        Maker::Unknown if loaded.facts.is_none() => {}
        Maker::Unknown => {
            notes.summary(format!("{path} (unknown)"));
            let detail = format!("{path} is some other module");
            notes.find(Finding::of(&checks::UNKNOWN, detail).at(file(&loaded.path)));
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

fn judge_phases(module: &Module, loaded: &Candidate, notes: &mut Notes) {
    let Some(facts) = loaded.facts.as_ref().filter(|it| !it.exports.is_empty()) else {
        // Without any symbol table nothing is known.
        return;
    };
    for line in &module.lines {
        let function = modules::function(line.facility);
        if !facts.exports.iter().any(|it| it == function) {
            let (path, facility) = (loaded.path.display(), line.facility);
            let detail = format!("{path} has no {function} for the {facility} line");
            let spot = Spot::pam(&line.line).mark(facility.name());
            notes.find(Finding::of(&checks::NO_SUCH_PHASE, detail).at(spot));
        }
    }
}
