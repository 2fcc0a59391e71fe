//! A tree of a host: a copy of a good one, then changed.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use check::{Report, Request};
use tempfile::TempDir;

/// A tree that tests change.
pub struct Tree(TempDir);

/// The directory of PAM modules of each base.
const DEBIAN_MODULES: &str = "/usr/lib/x86_64-linux-gnu/security";
const REDHAT_MODULES: &str = "/usr/lib64/security";

impl Tree {
    /// Debian's stock files with the lines that the manual recommends.
    pub fn debian() -> Self {
        Self::copy("debian", DEBIAN_MODULES)
    }

    /// RHEL 9's stock files (authselect's profile sssd) with the lines that the manual recommends.
    pub fn redhat() -> Self {
        Self::copy("redhat", REDHAT_MODULES)
    }

    /// A tree without files.
    pub fn empty() -> Self {
        Self(TempDir::new().expect("a temporary directory"))
    }

    fn copy(base: &str, modules: &str) -> Self {
        let tree = Self::empty();
        // The tests of crates/setup use this file too.
        let bases = Path::new(env!("CARGO_MANIFEST_DIR")).join("../check/tests/bases");
        copy_files(&bases.join(base), tree.0.path());
        tree.write_module(&format!("{modules}/pam_slurm_adopt.so"));
        tree.add_modules();
        tree
    }

    /// Writes the modules that lines of /etc/pam.d name, where the base has its modules.
    pub fn add_modules(&self) {
        let mut names = BTreeSet::new();
        for file in fs::read_dir(self.path("/etc/pam.d")).expect("etc/pam.d") {
            let text = fs::read_to_string(file.expect("an entry").path()).expect("a text");
            let words = text.split_whitespace();
            let words = words.filter(|it| it.ends_with(".so") && !it.contains('/'));
            names.extend(words.map(str::to_owned));
        }
        let dirs = [DEBIAN_MODULES, REDHAT_MODULES];
        for dir in dirs.iter().filter(|it| self.has(it)) {
            let paths = names.iter().map(|name| format!("{dir}/{name}"));
            let missing = paths.filter(|it| !self.has(it));
            missing.for_each(|it| self.write_module(&it));
        }
    }

    /// Writes a file that stands for a module.
    pub fn write_module(&self, path: &str) {
        self.write(path, MODULE);
    }

    pub fn path(&self, path: &str) -> PathBuf {
        self.0.path().join(path.trim_start_matches('/'))
    }

    /// Whether there is such a file.
    pub fn has(&self, path: &str) -> bool {
        self.path(path).exists()
    }

    /// Writes a file, mode 0644, with its directories.
    pub fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("directories");
        fs::write(&path, text).expect("write");
        self.set_mode(&path, 0o644);
    }

    /// Writes a file that is no text.
    pub fn write_bytes(&self, path: &str, bytes: &[u8]) {
        self.write(path, "");
        fs::write(self.path(path), bytes).expect("write");
    }

    /// Makes a directory.
    pub fn make_dir(&self, path: &str) {
        fs::create_dir_all(self.path(path)).expect("a directory");
        self.set_mode(&self.path(path), 0o755);
    }

    /// Gives a file to a user. Only root can do that: false for others, whose tests say nothing then.
    pub fn chown(&self, path: &str, uid: u32) -> bool {
        std::os::unix::fs::chown(self.path(path), Some(uid), None).is_ok()
    }

    /// Sets a file's SELinux label. Only root can do that, and not on every file system.
    pub fn label(&self, path: &str, label: &str) -> bool {
        let flags = rustix::fs::XattrFlags::empty();
        rustix::fs::setxattr(self.path(path), "security.selinux", label.as_bytes(), flags).is_ok()
    }

    /// Moves a file or directory.
    pub fn rename(&self, path: &str, to: &str) {
        let to = self.path(to);
        fs::create_dir_all(to.parent().expect("a parent")).expect("directories");
        fs::rename(self.path(path), to).expect("rename");
    }

    /// Adds lines at the end of a file.
    pub fn append(&self, path: &str, text: &str) {
        let old = fs::read_to_string(self.path(path)).expect("the file");
        self.write(path, &format!("{old}{text}"));
    }

    /// Adds lines at the beginning of a file.
    pub fn prepend(&self, path: &str, text: &str) {
        let old = fs::read_to_string(self.path(path)).expect("the file");
        self.write(path, &format!("{text}{old}"));
    }

    /// Replaces a text that the file has exactly once.
    pub fn replace(&self, path: &str, old: &str, new: &str) {
        let text = fs::read_to_string(self.path(path)).expect("the file");
        assert_eq!(text.matches(old).count(), 1, "{old:?} in {path}");
        self.write(path, &text.replace(old, new));
    }

    /// Removes a file.
    pub fn remove(&self, path: &str) {
        fs::remove_file(self.path(path)).expect("remove");
    }

    /// Makes a symbolic link.
    pub fn link(&self, path: &str, target: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("directories");
        std::os::unix::fs::symlink(target, path).expect("symlink");
    }

    /// Sets a file's mode.
    pub fn chmod(&self, path: &str, mode: u32) {
        self.set_mode(&self.path(path), mode);
    }

    fn set_mode(&self, path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("chmod");
    }

    /// Judges the tree.
    pub fn report(&self) -> Report {
        let request = Request {
            root: Some(self.0.path().to_owned()),
            limit: Duration::from_secs(30),
            ..Request::default()
        };
        check::run(&request, &mut |_| {}).expect("a good request")
    }

    /// All findings, as `SA201 failure /etc/pam.d/sshd:7`; without a place, the first two alone. Sorted.
    pub fn found(&self) -> Vec<String> {
        let report = self.report();
        let place = |spot: &check::Spot| match spot.line {
            Some(line) => format!(" {}:{line}", spot.file),
            None => format!(" {}", spot.file),
        };
        let row = |it: &check::Finding| {
            let place = it.spot.as_ref().map(place).unwrap_or_default();
            format!("{} {}{place}", it.check.id, it.severity.name())
        };
        let mut found: Vec<String> = report.findings().map(row).collect();
        found.sort();
        found
    }
}

/// Stands for a module: its header is that of a shared object for x86-64, and it names the options file as ours does.
const MODULE: &str = "\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x03\0\x3e\0\x01\0\0\0\
                      \0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\
                      /etc/security/slurm_adopt.conf";

fn copy_files(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a directory");
    for entry in fs::read_dir(from).expect("the base") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        match entry.file_type().expect("its type").is_dir() {
            true => copy_files(&entry.path(), &target),
            false => {
                fs::copy(entry.path(), &target).expect("copy");
                fs::set_permissions(&target, fs::Permissions::from_mode(0o644)).expect("chmod");
            }
        }
    }
}

/// A change to a base, and all that is then found.
pub struct Case {
    /// The set-up, in words.
    pub name: &'static str,
    /// Makes the tree.
    pub make: fn() -> Tree,
    /// [`Tree::found`].
    pub found: &'static [&'static str],
}

/// Judges each case's tree.
pub fn expect(cases: &[Case]) {
    let mut wrong = Vec::new();
    for case in cases {
        let found = (case.make)().found();
        if found != case.found {
            wrong.push(format!(
                "{}:\n  expected {:?}\n  found    {found:?}",
                case.name, case.found
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
