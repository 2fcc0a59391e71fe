//! The lines of a PAM stack: whether another phase is ours too, and what comes after it.
//!
//! Source: pam.conf(5), pam.d(5); Linux-PAM 1.4 to 1.7, `pam_handlers.c`.

use std::io;
use std::path::Path;

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
struct Line<'a> {
    kind: Kind,
    /// Whether a failure of the module is one of the stack.
    binds: bool,
    /// The module's file name.
    module: &'a str,
    arguments: Words<'a>,
}

/// What the lines of one service come to.
#[derive(Debug, Default)]
pub struct Stack {
    /// Whether an account line is ours.
    account: bool,
    /// Whether a session line is ours.
    session: bool,
    /// Whether a failure of one of these counts.
    session_binds: bool,
    /// Whether one of pam_systemd comes after the last of these.
    pam_systemd_later: bool,
    /// The first file that is there and could not be read, and why.
    unread: Option<String>,
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
        let mut stack = Self::default();
        let mut reader = Reader {
            dirs: &DIRS,
            left: MOST,
            unread: None,
            take: &mut |line| stack.add(&line, service),
        };
        // A service's name is made small, pam_start(3).
        if !reader.take_in(&service.to_ascii_lowercase(), None, 0) {
            reader.take_in("other", None, 0);
        }
        stack.unread = reader.unread;
        stack
    }

    /// Whether we are called in that phase; for the session phase also whether a failure there counts.
    #[must_use]
    pub fn is_ours(&self, kind: Kind) -> bool {
        match kind {
            Kind::Account => self.account,
            Kind::Session => self.session_binds,
        }
    }

    /// The first file that is there and could not be read, and why: lines may be missing.
    #[must_use]
    pub fn unread(&self) -> Option<&str> {
        self.unread.as_deref()
    }

    /// Whether pam_systemd's session line comes after the last one of ours.
    #[must_use]
    pub fn is_pam_systemd_later(&self) -> bool {
        self.pam_systemd_later
    }

    /// Adds the next line of the service.
    fn add(&mut self, line: &Line<'_>, service: &str) {
        match line.kind {
            Kind::Account => self.account |= line.is_ours(service),
            Kind::Session if line.is_ours(service) => {
                self.session = true;
                self.session_binds |= line.binds;
                self.pam_systemd_later = false;
            }
            Kind::Session => {
                self.pam_systemd_later |= self.session && line.module == "pam_systemd.so";
            }
        }
    }
}

impl Line<'_> {
    /// Whether it is this module, under whatever name it was installed, and acts for the service.
    fn is_ours(&self, service: &str) -> bool {
        const SCHEDMD: &[u8] = b"schedmd";
        let mut parts = self.module.as_bytes().windows(SCHEDMD.len());
        let is_module = self.module.starts_with("pam_slurm_adopt")
            && self.module.ends_with(".so")
            && !parts.any(|it| it == SCHEDMD);
        is_module && decide::acts_for(&Options::parse(self.arguments).0, service)
    }
}

struct Reader<'a> {
    dirs: &'a [&'a str],
    left: usize,
    unread: Option<String>,
    /// Gets each line.
    take: &'a mut dyn FnMut(Line<'_>),
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
        self.text(&text, only, depth);
        true
    }

    /// The same with a file's text: lines without comments, those that end with a backslash joined with
    /// the next.
    fn text(&mut self, text: &str, only: Option<Kind>, depth: usize) {
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
                    self.line(&open, only, depth);
                    open.clear();
                }
            }
        }
        self.line(&open, only, depth);
    }

    fn find(&mut self, name: &str) -> Option<String> {
        // A service's name is no path, pam_start(3).
        let dirs = match (name.starts_with('/'), name.contains('/')) {
            (true, _) => &[""],
            (false, true) => &[][..],
            (false, false) => self.dirs,
        };
        for dir in dirs {
            let path = Path::new(dir).join(name);
            match sys::read_regular(&path, LARGEST) {
                Ok(bytes) => return Some(String::from_utf8_lossy(&bytes).into_owned()),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) if error.kind() == io::ErrorKind::NotADirectory => {}
                Err(error) => {
                    let cause = || format!("read {}: {error}", path.display());
                    self.unread.get_or_insert_with(cause);
                    return None;
                }
            }
        }
        None
    }

    #[inline(never)]
    fn line(&mut self, line: &str, only: Option<Kind>, depth: usize) {
        let mut words = Words(line);
        let Some(kind) = words.next() else { return };
        if kind.eq_ignore_ascii_case("@include") {
            if let Some(name) = words.next() {
                self.take_in(name, only, depth + 1);
            }
            return;
        }
        let kind = match kind.strip_prefix('-').unwrap_or(kind) {
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
            self.take_in(module, Some(kind), depth + 1);
            return;
        }
        (self.take)(Line {
            kind,
            binds: binds(control),
            module: module.rsplit('/').next().unwrap_or_default(),
            arguments: words,
        });
    }
}

/// How many lines of a stack's text call a module, whatever it includes.
#[cfg(fuzzing)]
pub(crate) fn count(text: &str) -> usize {
    let mut stack = Stack::default();
    let mut count = 0;
    let mut reader = Reader {
        dirs: &[],
        left: MOST,
        unread: None,
        take: &mut |line| {
            count += 1;
            stack.add(&line, "sshd");
        },
    };
    reader.text(text, None, 0);
    // Whatever they are, the answers are had.
    let _ = (stack.is_ours(Kind::Session), stack.is_ours(Kind::Account));
    let _ = stack.is_pam_systemd_later();
    count
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

/// Words between blanks; what is in brackets is one.
#[derive(Clone, Copy)]
struct Words<'a>(&'a str);

impl<'a> Iterator for Words<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let rest = self.0.trim_start();
        if rest.is_empty() {
            return None;
        }
        let (word, after) = match rest.strip_prefix('[') {
            Some(inner) => inner.split_once(']').unwrap_or((inner, "")),
            None => rest.split_once([' ', '\t']).unwrap_or((rest, "")),
        };
        self.0 = after;
        Some(word)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// Reads the first file's stack.
    fn read(files: &[(&str, &str)], take: &mut dyn FnMut(Line<'_>)) {
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
        let dirs = dirs.each_ref().map(|it| it.to_str().expect("text"));
        let mut reader = Reader {
            dirs: &dirs,
            left: MOST,
            unread: None,
            take,
        };
        assert!(reader.take_in(files[0].0, None, 0));
        fs::remove_dir_all(&dir).expect("clean up");
    }

    fn stack(files: &[(&str, &str)]) -> Stack {
        let mut stack = Stack::default();
        read(files, &mut |line| stack.add(&line, "sshd"));
        stack
    }

    /// «kind module argument ...» of each line, with a mark where it does not bind.
    fn lines_of(files: &[(&str, &str)]) -> Vec<String> {
        let text = |it: Line<'_>| {
            let kind = match it.kind {
                Kind::Account => "account",
                Kind::Session => "session",
            };
            let binds = if it.binds { "" } else { "?" };
            let arguments: String = it.arguments.map(|it| format!(" {it}")).collect();
            format!("{kind}{binds} {}{arguments}", it.module)
        };
        let mut lines = Vec::new();
        read(files, &mut |line| lines.push(text(line)));
        lines
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
    fn a_file_that_is_there_and_not_read_is_told() {
        let dir = std::env::temp_dir().join(format!("stack-{}-unread", std::process::id()));
        let part = dir.join("part");
        fs::create_dir_all(&dir).expect("make it");
        for (text, is_whole) in [
            ("session required pam_a.so\n", true),
            ("@include missing\n", true),
            ("@include part\n", false),
        ] {
            fs::write(dir.join("sshd"), text).expect("write");
            if !is_whole {
                fs::create_dir(&part).expect("no regular file");
            }
            let dir = dir.to_str().expect("text");
            let mut reader = Reader {
                dirs: &[dir],
                left: MOST,
                unread: None,
                take: &mut |_| (),
            };
            assert!(reader.take_in("sshd", None, 0));
            let told = (!is_whole).then(|| format!("read {dir}/part: not a regular file"));
            assert_eq!(reader.unread, told, "{text}");
        }
        fs::remove_dir_all(&dir).expect("clean up");
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
