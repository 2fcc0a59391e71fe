//! Files of the module's name in other places, and the libraries that it needs, ld.so(8).

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::host::modules::LIBRARY_DIRS;
use crate::host::tree::Tree;
use crate::module::elf::Facts;

/// Directories to which modules are installed by mistake.
const OTHER_DIRS: [&str; 6] = [
    "/usr/local/lib/security",
    "/usr/local/lib64/security",
    "/usr/local/lib/x86_64-linux-gnu/security",
    "/opt/slurm/lib/security",
    "/opt/slurm/lib64/security",
    "/usr/lib/x86_64-linux-gnu/slurm-wlm",
];

/// Files of this name in directories where this libpam does not look.
pub fn elsewhere(tree: &Tree, name: &str) -> Vec<PathBuf> {
    let usual = LIBRARY_DIRS.iter().map(|dir| format!("{dir}/security"));
    let dirs = usual.chain(OTHER_DIRS.iter().map(|it| (*it).to_owned()));
    let paths = dirs.map(|dir| Path::new(&dir).join(name));
    paths.filter(|it| tree.exists(it)).collect()
}

/// The first of several paths to each file.
pub fn distinct(tree: &Tree, paths: Vec<PathBuf>) -> Vec<PathBuf> {
    let mut seen = Vec::new();
    let mut first = Vec::new();
    for path in paths {
        let Ok(status) = tree.status(&path) else {
            continue;
        };
        let identity = (status.dev(), status.ino());
        if !seen.contains(&identity) {
            seen.push(identity);
            first.push(path);
        }
    }
    first
}

/// The file that ld.so(8) loads for a library that a file needs.
pub fn library(tree: &Tree, name: &str, path: &Path, facts: &Facts) -> Option<PathBuf> {
    if name.contains('/') {
        return Some(PathBuf::from(name)).filter(|it| tree.exists(it));
    }
    let origin = path.parent().unwrap_or(Path::new("/"));
    let origin = origin.to_string_lossy();
    let of_file = facts.search_dirs.iter().filter(|it| !it.is_empty());
    let of_file = of_file.map(|it| it.replace("${ORIGIN}", &origin).replace("$ORIGIN", &origin));
    let usual = LIBRARY_DIRS.iter().map(|it| (*it).to_owned());
    let dirs = of_file.chain(usual).chain(configured_dirs(tree));
    let paths = dirs.map(|dir| Path::new(&dir).join(name));
    paths.into_iter().find(|it| tree.exists(it))
}

/// The directories of ld.so.conf, ldconfig(8).
fn configured_dirs(tree: &Tree) -> Vec<String> {
    let mut dirs = Vec::new();
    let mut files = vec![PathBuf::from("/etc/ld.so.conf")];
    // A file that includes itself must come to an end.
    let mut rest = 64;
    while let Some(file) = files.pop().filter(|_| rest > 0) {
        rest -= 1;
        let text = tree.text(&file).unwrap_or_default();
        for line in text.lines() {
            let line = line.split('#').next().unwrap_or_default().trim();
            match line.strip_prefix("include ") {
                Some(pattern) => {
                    let beside = file.parent().unwrap_or(Path::new("/"));
                    let pattern = beside.join(pattern.trim());
                    files.extend(tree.matches(&pattern.to_string_lossy()));
                }
                None => {
                    let words = line.split([' ', '\t', ',', ':']);
                    dirs.extend(words.filter(|it| it.starts_with('/')).map(str::to_owned));
                }
            }
        }
    }
    dirs
}
