//! Set-ups as lists of changes to a base.

use super::{ACCOUNT, SSHD};
use crate::tree::Tree;

/// A change to a base.
pub enum Edit {
    /// Writes a file.
    Write(&'static str, &'static str),
    /// Writes a file, mode 0755.
    Program(&'static str, &'static str),
    /// Adds lines at the end of a file.
    Append(&'static str, &'static str),
    /// Adds lines at the beginning of a file.
    Prepend(&'static str, &'static str),
    /// Replaces a text that the file has exactly once.
    Replace(&'static str, &'static str, &'static str),
    /// Writes a unit, which that target starts.
    Unit(&'static str, &'static str, &'static str),
    /// Adds lines before the account line of sshd's stack.
    Before(&'static str),
    /// Replaces the account line.
    Instead(&'static str),
    /// Takes the session line out.
    NoSession,
}

/// A base, what is changed, and all that is then found.
pub struct SetUp {
    pub name: &'static str,
    pub base: fn() -> Tree,
    pub edits: &'static [Edit],
    pub found: &'static [&'static str],
}

impl Edit {
    fn apply(&self, tree: &Tree) {
        match self {
            Self::Write(path, text) => tree.write(path, text),
            Self::Program(path, text) => {
                tree.write(path, text);
                tree.chmod(path, 0o755);
            }
            Self::Append(path, text) => tree.append(path, text),
            Self::Prepend(path, text) => tree.prepend(path, text),
            Self::Replace(path, old, new) => tree.replace(path, old, new),
            Self::Unit(unit, text, target) => {
                let path = format!("/usr/lib/systemd/system/{unit}");
                tree.write(&path, text);
                tree.link(&format!("/etc/systemd/system/{target}.wants/{unit}"), &path);
            }
            Self::Before(lines) => tree.replace(SSHD, ACCOUNT, &format!("{lines}\n{ACCOUNT}")),
            Self::Instead("") => tree.replace(SSHD, ACCOUNT, ""),
            Self::Instead(lines) => tree.replace(SSHD, ACCOUNT, &format!("{lines}\n")),
            Self::NoSession => {
                tree.replace(SSHD, &ACCOUNT.replacen("account", "session", 1), "");
            }
        }
    }
}

impl SetUp {
    fn make(&self) -> Tree {
        let tree = (self.base)();
        self.edits.iter().for_each(|it| it.apply(&tree));
        tree.add_modules();
        tree
    }
}

/// Judges each set-up's tree.
pub fn expect(set_ups: &[SetUp]) {
    let mut wrong = Vec::new();
    for set_up in set_ups {
        let found = set_up.make().found();
        if found != set_up.found {
            let SetUp {
                name,
                found: expected,
                ..
            } = set_up;
            wrong.push(format!(
                "{name}:\n  expected {expected:?}\n  found    {found:?}"
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
