//! The lines of a PAM stack: whether another phase is ours too, and what comes after it.
//!
//! Source: pam.conf(5), pam.d(5); Linux-PAM 1.4 to 1.7, `pam_handlers.c`.

use std::path::{Path, PathBuf};

use crate::decide;
use crate::options::Options;

/// A phase that lines are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// «account»
    Account,
    /// «session»
    Session,
}

/// A line by which libpam calls a module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    kind: Kind,
    /// Whether a failure of the module is one of the stack.
    binds: bool,
    /// The module's file name.
    module: String,
    arguments: Vec<String>,
}

/// The lines of one service.
#[derive(Debug, Default)]
pub struct Stack {
    service: String,
    lines: Vec<Line>,
}

/// Where stacks are, in libpam's order.
const DIRS: [&str; 3] = ["/etc/pam.d", "/usr/lib/pam.d", "/usr/etc/pam.d"];
/// Of one file, in bytes.
const LARGEST: u64 = 1 << 20;
/// Files that one stack may take in, one below the other; libpam's own limit is 32.
const DEEPEST: usize = 32;
/// Files that are read in all.
const MOST: usize = 256;

impl Stack {
    /// Of that service, as far as its files can be read.
    #[must_use]
    pub fn read(service: &str) -> Self {
        let dirs = DIRS.map(PathBuf::from);
        let mut reader = Reader {
            dirs: &dirs,
            lines: Vec::new(),
            left: MOST,
        };
        // A service's name is made small, pam_start(3).
        if !reader.take_in(&service.to_ascii_lowercase(), None, 0) {
            reader.take_in("other", None, 0);
        }
        Self {
            service: service.to_owned(),
            lines: reader.lines,
        }
    }

    /// Whether we are called in that phase; for the session phase also whether a failure there counts.
    #[must_use]
    pub fn is_ours(&self, kind: Kind) -> bool {
        let counts = |line: &Line| line.kind == kind && (line.binds || kind == Kind::Account);
        let mut lines = self.lines.iter();
        lines.any(|line| counts(line) && line.is_ours(&self.service))
    }

    /// Whether pam_systemd's session line comes after the last one of ours.
    #[must_use]
    pub fn is_pam_systemd_later(&self) -> bool {
        let session = || self.lines.iter().filter(|it| it.kind == Kind::Session);
        let last = |is: &dyn Fn(&Line) -> bool| {
            let found = session().enumerate().filter(|(_, line)| is(line)).last();
            found.map(|(index, _)| index)
        };
        let ours = last(&|line| line.is_ours(&self.service));
        ours.is_some() && last(&|line| line.module == "pam_systemd.so") > ours
    }
}

impl Line {
    /// Whether it is this module, under whatever name it was installed, and acts for the service.
    fn is_ours(&self, service: &str) -> bool {
        let is_module = self.module.starts_with("pam_slurm_adopt")
            && self.module.ends_with(".so")
            && !self.module.contains("schedmd");
        is_module && decide::acts_for(&Options::parse(&self.arguments).0, service)
    }
}

struct Reader<'a> {
    dirs: &'a [PathBuf],
    lines: Vec<Line>,
    left: usize,
}

impl Reader<'_> {
    /// Takes in the lines of a file, or those of one kind; false if there is none.
    fn take_in(&mut self, name: &str, only: Option<Kind>, depth: usize) -> bool {
        if depth > DEEPEST || self.left == 0 {
            return true;
        }
        self.left -= 1;
        let Some(text) = self.find(name) else {
            return false;
        };
        for line in logical_lines(&text) {
            self.line(&line, only, depth);
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
        dirs.find_map(|dir| read(&dir.join(name)))
    }

    fn line(&mut self, line: &str, only: Option<Kind>, depth: usize) {
        let mut words = words(line).into_iter();
        let Some(kind) = words.next() else { return };
        if kind.eq_ignore_ascii_case("@include") {
            if let Some(name) = words.next() {
                self.take_in(&name, only, depth + 1);
            }
            return;
        }
        let kind = match kind.strip_prefix('-').unwrap_or(&kind) {
            kind if kind.eq_ignore_ascii_case("session") => Kind::Session,
            kind if kind.eq_ignore_ascii_case("account") => Kind::Account,
            _ => return,
        };
        if only.is_some_and(|only| only != kind) {
            return;
        }
        let (Some(control), Some(module)) = (words.next(), words.next()) else {
            return;
        };
        if control.eq_ignore_ascii_case("include") || control.eq_ignore_ascii_case("substack") {
            self.take_in(&module, Some(kind), depth + 1);
            return;
        }
        let name = module.rsplit('/').next().unwrap_or_default();
        self.lines.push(Line {
            kind,
            binds: binds(&control),
            module: name.to_owned(),
            arguments: words.collect(),
        });
    }
}

/// How many lines of a stack's text call a module, whatever it includes.
#[cfg(fuzzing)]
pub(crate) fn count(text: &str) -> usize {
    let mut reader = Reader {
        dirs: &[],
        lines: Vec::new(),
        left: MOST,
    };
    for line in logical_lines(text) {
        reader.line(&line, None, 0);
    }
    let stack = Stack {
        service: "sshd".into(),
        lines: reader.lines,
    };
    // Whatever they are, the answers are had.
    let _ = (stack.is_ours(Kind::Session), stack.is_ours(Kind::Account));
    let _ = stack.is_pam_systemd_later();
    stack.lines.len()
}

/// Whether with that control a module's failure is one of the stack, pam.conf(5).
fn binds(control: &str) -> bool {
    if !control.contains('=') {
        return ["required", "requisite"]
            .iter()
            .any(|it| control.eq_ignore_ascii_case(it));
    }
    // In brackets; what is not named there is bad.
    let action = |name: &str| {
        let mut pairs = control
            .split_ascii_whitespace()
            .filter_map(|it| it.split_once('='));
        pairs.find(|(it, _)| *it == name).map(|(_, action)| action)
    };
    let action = action("session_err").or(action("default")).unwrap_or("bad");
    ["bad", "die"].contains(&action)
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

    /// What the first file's stack is.
    fn stack(files: &[(&str, &str)]) -> Stack {
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
        assert!(reader.take_in(files[0].0, None, 0));
        fs::remove_dir_all(&dir).expect("clean up");
        Stack {
            service: "sshd".into(),
            lines: reader.lines,
        }
    }

    /// «kind module argument ...» of each line, with a mark where it does not bind.
    fn lines_of(files: &[(&str, &str)]) -> Vec<String> {
        let text = |it: &Line| {
            let kind = match it.kind {
                Kind::Account => "account",
                Kind::Session => "session",
            };
            let binds = if it.binds { "" } else { "?" };
            let arguments: String = it.arguments.iter().map(|it| format!(" {it}")).collect();
            format!("{kind}{binds} {}{arguments}", it.module)
        };
        stack(files).lines.iter().map(text).collect()
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
   requisite pam_e.so
@include common
session include fragment
session substack fragment
account [default=done] pam_x.so
account sufficient pam_y.so
session [default=ignore] pam_z.so
session [success=ok ignore=ignore] pam_u.so
session [session_err=ignore default=bad] pam_v.so
session required
";
        let common = "session required pam_f.so\naccount required pam_g.so\n";
        let fragment = "session required pam_h.so\naccount required pam_of_no_use.so\n";
        assert_eq!(
            lines_of(&[("sshd", sshd), ("common", common), ("fragment", fragment)]),
            [
                "session pam_b.so one two",
                "session? pam_c.so",
                "session pam_d.so x=1 y",
                "session pam_e.so",
                "session pam_f.so",
                "account pam_g.so",
                "session pam_h.so",
                "session pam_h.so",
                "account? pam_x.so",
                "account? pam_y.so",
                "session? pam_z.so",
                "session pam_u.so",
                "session? pam_v.so",
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
        const OURS: &str = "session required pam_slurm_adopt.so\n";
        const SYSTEMD: &str = "-session optional pam_systemd.so\n";
        for (lines, is_ours, later) in [
            (&[][..], false, false),
            (&[SYSTEMD], false, false),
            (&[SYSTEMD, OURS], true, false),
            (&[OURS, SYSTEMD], true, true),
            (
                &[OURS, "session required pam_env.so\n", SYSTEMD],
                true,
                true,
            ),
            (&[OURS, SYSTEMD, OURS], true, false),
            (
                &["session optional pam_slurm_adopt.so\n", SYSTEMD],
                false,
                true,
            ),
            (&["session required pam_slurm_adopt_ours.so\n"], true, false),
            (
                &["session required pam_slurm_adopt_schedmd.so\n"],
                false,
                false,
            ),
            (&["session required pam_slurm.so\n"], false, false),
            (&["account required pam_slurm_adopt.so\n"], false, false),
            (&["account sufficient pam_slurm_adopt.so\n"], false, false),
            (
                &["session required pam_slurm_adopt.so service=su\n"],
                false,
                false,
            ),
            (
                &["session required pam_slurm_adopt.so service=su,sshd\n"],
                true,
                false,
            ),
        ] {
            let stack = stack(&[("sshd", &lines.concat())]);
            assert_eq!(stack.is_ours(Kind::Session), is_ours, "{lines:?}");
            assert_eq!(stack.is_pam_systemd_later(), later, "{lines:?}");
            let account = lines.iter().any(|it| it.starts_with("account"));
            assert_eq!(stack.is_ours(Kind::Account), account, "{lines:?}");
        }
    }
}
