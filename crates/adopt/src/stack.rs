//! The session lines of a PAM stack: whether the session phase will be ours too, and what comes
//! after it.
//!
//! Source: pam.conf(5), pam.d(5); Linux-PAM 1.4 to 1.7, `pam_handlers.c`.

use std::path::{Path, PathBuf};

/// A line whose type is session, and what libpam does with it is to call a module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The module's file name.
    pub module: String,
    /// Its arguments.
    pub arguments: Vec<String>,
}

/// Where stacks are, in libpam's order.
const DIRS: [&str; 2] = ["/etc/pam.d", "/usr/lib/pam.d"];
/// Of one file, in bytes.
const LARGEST: u64 = 1 << 20;
/// Files that one stack may take in, one below the other; libpam's own limit is 32.
const DEEPEST: usize = 32;
/// Files that are read in all.
const MOST: usize = 256;

/// The session lines of a service, as far as they can be read, in order.
#[must_use]
pub fn session_lines(service: &str) -> Vec<Line> {
    let dirs = DIRS.map(PathBuf::from);
    let mut reader = Reader {
        dirs: &dirs,
        lines: Vec::new(),
        left: MOST,
    };
    if !reader.take_in(service, 0) {
        reader.take_in("other", 0);
    }
    reader.lines
}

/// Whether it is this module's file, under whatever name it was installed.
#[must_use]
pub fn is_ours(line: &Line) -> bool {
    line.module.starts_with("pam_slurm_adopt") && line.module.ends_with(".so")
}

/// Whether pam_systemd comes after the last of our lines.
#[must_use]
pub fn is_pam_systemd_later(lines: &[Line]) -> bool {
    let mut after = lines.rsplit(is_ours).next().unwrap_or_default().iter();
    lines.iter().any(is_ours) && after.any(|line| line.module.starts_with("pam_systemd.so"))
}

struct Reader<'a> {
    dirs: &'a [PathBuf],
    lines: Vec<Line>,
    left: usize,
}

impl Reader<'_> {
    /// Takes in the session lines of a file; false if there is none.
    fn take_in(&mut self, name: &str, depth: usize) -> bool {
        if depth > DEEPEST || self.left == 0 {
            return true;
        }
        self.left -= 1;
        let Some(text) = self.find(name) else {
            return false;
        };
        for line in logical_lines(&text) {
            self.line(&line, depth);
        }
        true
    }

    fn find(&self, name: &str) -> Option<String> {
        let read = |path: &Path| {
            let bytes = sys::read_regular(path, LARGEST).ok()?;
            Some(String::from_utf8_lossy(&bytes).into_owned())
        };
        if name.starts_with('/') {
            return read(Path::new(name));
        }
        // A service's name is no path, pam_start(3).
        let mut dirs = self.dirs.iter().filter(|_| !name.contains('/'));
        dirs.find_map(|dir| read(&dir.join(name.to_ascii_lowercase())))
    }

    fn line(&mut self, line: &str, depth: usize) {
        let mut words = words(line).into_iter();
        let Some(kind) = words.next() else { return };
        if kind.eq_ignore_ascii_case("@include") {
            if let Some(name) = words.next() {
                self.take_in(&name, depth + 1);
            }
            return;
        }
        let kind = kind.strip_prefix('-').unwrap_or(&kind);
        if !kind.eq_ignore_ascii_case("session") {
            return;
        }
        let (Some(control), Some(module)) = (words.next(), words.next()) else {
            return;
        };
        if control.eq_ignore_ascii_case("include") || control.eq_ignore_ascii_case("substack") {
            self.take_in(&module, depth + 1);
            return;
        }
        let name = module.rsplit('/').next().unwrap_or_default();
        self.lines.push(Line {
            module: name.to_owned(),
            arguments: words.collect(),
        });
    }
}

/// Lines without comments, those that end with a backslash joined with the next.
fn logical_lines(text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut open = String::new();
    for line in text.lines() {
        let line = line.split('#').next().unwrap_or_default().trim_end();
        match line.strip_suffix('\\') {
            Some(start) => {
                open.push_str(start);
                open.push(' ');
            }
            None => {
                open.push_str(line);
                lines.push(std::mem::take(&mut open));
            }
        }
    }
    lines.push(open);
    lines
}

/// Words between blanks; what is in brackets is one.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut rest = line.trim_start();
    while !rest.is_empty() {
        let (word, after) = match rest.strip_prefix('[') {
            Some(inner) => inner.split_once(']').unwrap_or((inner, "")),
            None => rest.split_once([' ', '\t']).unwrap_or((rest, "")),
        };
        words.push(word.to_owned());
        rest = after.trim_start();
    }
    words
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// The session lines of the first file, «module argument ...» each.
    fn lines_of(files: &[(&str, &str)]) -> Vec<String> {
        let dir = std::env::temp_dir().join(format!(
            "stack-{}-{:?}",
            std::process::id(),
            std::thread::current().id()
        ));
        fs::create_dir_all(&dir).expect("make it");
        for (name, text) in files {
            fs::write(dir.join(name), text).expect("write");
        }
        let dirs = [dir.join("none"), dir.clone()];
        let mut reader = Reader {
            dirs: &dirs,
            lines: Vec::new(),
            left: MOST,
        };
        assert!(reader.take_in(files[0].0, 0));
        fs::remove_dir_all(&dir).expect("clean up");
        let text = |it: &Line| format!("{} {}", it.module, it.arguments.join(" "));
        reader.lines.iter().map(text).collect()
    }

    #[test]
    fn what_stacks_are_made_of() {
        let sshd = "\
auth required pam_a.so
# session required pam_commented.so
session required pam_b.so one two # three
-session optional /lib/security/pam_c.so
SESSION [success=ok ignore=ignore default=bad] pam_d.so [x=1 y]
session \\
   required pam_e.so
@include common
session include fragment
session substack fragment
account include pam_x
session required
";
        let common = "session required pam_f.so\naccount required pam_g.so\n";
        let fragment = "session required pam_h.so";
        assert_eq!(
            lines_of(&[("sshd", sshd), ("common", common), ("fragment", fragment)]),
            [
                "pam_b.so one two",
                "pam_c.so ",
                "pam_d.so x=1 y",
                "pam_e.so ",
                "pam_f.so ",
                "pam_h.so ",
                "pam_h.so "
            ]
        );
    }

    #[test]
    fn loops_and_missing_files_end() {
        let again = "@include sshd\nsession include missing\nsession required pam_a.so\n";
        assert_eq!(lines_of(&[("sshd", again)]).len(), DEEPEST + 1);
        let twice = "@include sshd\n@include sshd\n@include ../sshd\nsession required pam_a.so\n";
        assert!(lines_of(&[("sshd", twice)]).len() <= MOST);
    }

    #[test]
    fn ours_and_what_comes_after() {
        let lines = |modules: &[&str]| -> Vec<Line> {
            let line = |module: &&str| Line {
                module: (*module).to_owned(),
                arguments: Vec::new(),
            };
            modules.iter().map(line).collect()
        };
        let (ours, systemd) = ("pam_slurm_adopt.so", "pam_systemd.so");
        for (modules, ours_is_there, later) in [
            (&[][..], false, false),
            (&[systemd], false, false),
            (&[systemd, ours], true, false),
            (&[ours, systemd], true, true),
            (&[ours, "pam_env.so", systemd, "pam_x.so"], true, true),
            (&[ours, systemd, ours], true, false),
            (&["pam_slurm_adopt_schedmd.so"], true, false),
            (&["pam_slurm.so"], false, false),
        ] {
            let lines = lines(modules);
            assert_eq!(lines.iter().any(is_ours), ours_is_there, "{modules:?}");
            assert_eq!(is_pam_systemd_later(&lines), later, "{modules:?}");
        }
    }
}
