//! The files of PAM modules, where libpam looks for them.

use std::path::PathBuf;

use pamconf::Facility;

use crate::host::distribution::Family;
use crate::host::tree::Tree;

/// The directories of libraries.
pub const LIBRARY_DIRS: [&str; 8] = [
    "/usr/lib/x86_64-linux-gnu",
    "/lib/x86_64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
    "/lib/aarch64-linux-gnu",
    "/usr/lib64",
    "/lib64",
    "/usr/lib",
    "/lib",
];

/// The directories in which libpam looks for a module.
#[derive(Debug, Clone)]
pub struct ModuleSearch {
    /// In this order.
    dirs: Vec<PathBuf>,
    /// What replaces `$ISA` in a path.
    isa: String,
}

impl ModuleSearch {
    /// Finds out what the libpam of a host was built with; without it, what distributions build it with.
    #[must_use]
    pub fn of(tree: &Tree, family: Family) -> Self {
        let libpam = LIBRARY_DIRS
            .iter()
            .find_map(|dir| tree.read(format!("{dir}/libpam.so.0")).ok());
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

    /// The file that libpam loads for a module: the first one that there is.
    #[must_use]
    pub fn file(&self, tree: &Tree, module: &str) -> Option<PathBuf> {
        self.paths(module).into_iter().find(|it| tree.exists(it))
    }

    /// Whether the tree has none of the directories: then nothing can be said of any module.
    #[must_use]
    pub fn is_absent(&self, tree: &Tree) -> bool {
        !self.dirs.iter().any(|it| tree.exists(it))
    }
}

/// The function that libpam calls for a line (pam_handlers.c).
#[must_use]
pub fn function(facility: Facility) -> &'static str {
    match facility {
        Facility::Auth => "pam_sm_authenticate",
        Facility::Account => "pam_sm_acct_mgmt",
        Facility::Session => "pam_sm_open_session",
        Facility::Password => "pam_sm_chauthtok",
    }
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
            let search = ModuleSearch::built_in(strings, family).expect("a directory");
            let found: Vec<_> = search.dirs.iter().filter_map(|it| it.to_str()).collect();
            assert_eq!((found.as_slice(), search.isa.as_str()), (dirs, isa));
        }
        assert!(ModuleSearch::built_in(b"", Family::Debian).is_none());
    }

    #[test]
    fn paths_of_a_module() {
        let search = ModuleSearch {
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
