//! Where libpam looks for a module, and where ld.so(8) looks for the libraries that it needs.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::host::Host;
use crate::host::distribution::Family;
use crate::host::tree::Tree;
use crate::module::elf::Facts;

/// The directories of libraries.
const LIBRARY_DIRS: [&str; 8] = [
    "/usr/lib/x86_64-linux-gnu",
    "/lib/x86_64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
    "/lib/aarch64-linux-gnu",
    "/usr/lib64",
    "/lib64",
    "/usr/lib",
    "/lib",
];
/// Directories to which modules are installed by mistake.
const OTHER_DIRS: [&str; 6] = [
    "/usr/local/lib/security",
    "/usr/local/lib64/security",
    "/usr/local/lib/x86_64-linux-gnu/security",
    "/opt/slurm/lib/security",
    "/opt/slurm/lib64/security",
    "/usr/lib/x86_64-linux-gnu/slurm-wlm",
];

/// The directories in which libpam looks for a module.
#[derive(Debug)]
pub struct Search {
    /// In this order.
    pub dirs: Vec<PathBuf>,
    /// What replaces `$ISA` in a path.
    isa: String,
}

impl Search {
    /// Finds out what the libpam of a host was built with; without it, what distributions build it with.
    #[must_use]
    pub fn of(host: &Host) -> Self {
        let tree = &host.tree;
        let libpam = LIBRARY_DIRS
            .iter()
            .find_map(|dir| tree.read(format!("{dir}/libpam.so.0")).ok());
        let family = host.distribution().family;
        libpam
            .and_then(|bytes| Self::built_in(&bytes, family))
            .unwrap_or_else(|| Self::usual(tree, family))
    }

    /// The strings of libpam: its directory ends in a slash, `$ISA` (`--isadir`) does not. Debian's libpam looks
    /// in the latter too (its patch `lib_security_multiarch_compat`).
    fn built_in(libpam: &[u8], family: Family) -> Option<Self> {
        let strings = libpam.split(|byte| *byte == 0);
        let strings = strings.filter_map(|it| std::str::from_utf8(it).ok());
        let strings: Vec<&str> = strings.filter(|it| it.contains("/security")).collect();
        let dir = strings
            .iter()
            .find(|it| it.starts_with('/') && it.ends_with("/security/"))?;
        let isa = strings.iter().find(|it| it.ends_with("/security"));
        let second = isa.filter(|it| it.starts_with('/') && family == Family::Debian);
        Some(Self {
            dirs: [Some(dir), second]
                .into_iter()
                .flatten()
                .map(|it| PathBuf::from(it.trim_end_matches('/')))
                .collect(),
            isa: isa.map_or(".", |it| it).to_owned(),
        })
    }

    /// The directory that has the modules of Linux-PAM itself.
    fn usual(tree: &Tree, family: Family) -> Self {
        let dirs = LIBRARY_DIRS.iter().map(|dir| format!("{dir}/security"));
        let has_modules = |dir: &String| tree.exists(format!("{dir}/pam_permit.so"));
        let has_unix = |dir: &String| tree.exists(format!("{dir}/pam_unix.so"));
        let all: Vec<String> = dirs.collect();
        let own = all.iter().find(|it| has_modules(it) || has_unix(it));
        let second = (family == Family::Debian).then(|| "/lib/security".to_owned());
        let dirs: Vec<PathBuf> = match own {
            Some(own) => [Some(own.clone()), second]
                .into_iter()
                .flatten()
                .map(PathBuf::from)
                .collect(),
            None => all.into_iter().map(PathBuf::from).collect(),
        };
        Self {
            dirs,
            isa: "../../lib64/security".to_owned(),
        }
    }

    /// The paths that libpam tries for a module, in order.
    #[must_use]
    pub fn paths(&self, module: &str) -> Vec<PathBuf> {
        let module = module.replace("$ISA", &self.isa);
        if module.starts_with('/') {
            return vec![PathBuf::from(module)];
        }
        self.dirs.iter().map(|dir| dir.join(&module)).collect()
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_libpam_was_built_with() {
        for (strings, family, dirs, isa) in [
            (
                &b"\0/usr/lib/x86_64-linux-gnu/security/\0/usr/lib/security\0"[..],
                Family::Debian,
                &["/usr/lib/x86_64-linux-gnu/security", "/usr/lib/security"][..],
                "/usr/lib/security",
            ),
            (
                b"x\0/usr/lib64/security/\0../../lib64/security\0",
                Family::RedHat,
                &["/usr/lib64/security"],
                "../../lib64/security",
            ),
        ] {
            let search = Search::built_in(strings, family).expect("a directory");
            let found: Vec<_> = search.dirs.iter().filter_map(|it| it.to_str()).collect();
            assert_eq!((found.as_slice(), search.isa.as_str()), (dirs, isa));
        }
        assert!(Search::built_in(b"", Family::Debian).is_none());
    }

    #[test]
    fn paths_of_a_module() {
        let search = Search {
            dirs: vec!["/lib64/security".into()],
            isa: "../../lib64/security".to_owned(),
        };
        for (module, path) in [
            ("pam_a.so", "/lib64/security/pam_a.so"),
            ("/opt/pam_a.so", "/opt/pam_a.so"),
            (
                "/lib/security/$ISA/pam_a.so",
                "/lib/security/../../lib64/security/pam_a.so",
            ),
        ] {
            assert_eq!(search.paths(module), [PathBuf::from(path)]);
        }
    }
}
