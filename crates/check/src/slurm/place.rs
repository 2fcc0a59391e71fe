//! Where in slurm.conf something stands, and what rooms of this folder share.

use std::path::{Path, PathBuf};

use proto::conf::Setting;

use crate::Spot;
use crate::host::Host;
use crate::host::slurm_conf::SlurmConf;
use crate::slurm::release::Release;

/// slurm.conf and the host that it is on.
#[derive(Debug)]
pub(super) struct Slurm<'a> {
    pub(super) host: &'a Host,
    pub(super) conf: &'a SlurmConf,
    /// The release that is installed; None: unknown.
    pub(super) release: Option<Release>,
}

impl<'a> Slurm<'a> {
    /// The directory of slurm.conf, where Slurm looks for its other files.
    pub(super) fn dir(&self) -> &'a Path {
        self.conf.path.parent().unwrap_or(Path::new("/"))
    }

    /// A file beside slurm.conf.
    pub(super) fn beside(&self, name: &str) -> PathBuf {
        self.dir().join(name)
    }

    /// slurm.conf as a whole.
    pub(super) fn file(&self) -> Spot {
        Spot::file(self.conf.path.to_string_lossy())
    }

    /// The value of a key and its line, with the value (or a part of it) marked.
    pub(super) fn value(&self, key: &str) -> Option<(&'a str, Spot)> {
        let (line, value) = self.conf.setting(key)?;
        Some((value, spot(self.host, line, key, value)))
    }

    /// The line of a key with a part of its value marked; slurm.conf as a whole if nothing sets the key.
    pub(super) fn at(&self, key: &str, part: &str) -> Spot {
        let line = self.conf.setting(key);
        line.map_or_else(|| self.file(), |(it, _)| spot(self.host, it, key, part))
    }

    /// The words of a value that is a list.
    pub(super) fn list(&self, key: &str) -> Vec<&'a str> {
        let value = self.conf.value(key).unwrap_or_default();
        let words = value.split(',').map(str::trim);
        words.filter(|it| !it.is_empty()).collect()
    }

    /// Whether the installed release is this one or newer; None: unknown.
    pub(super) fn is_from(&self, release: Release) -> Option<bool> {
        self.release.map(|it| it >= release)
    }
}

/// The line of a setting, with the first occurrence of a text behind the key marked. A continued line is looked
/// through to its end; an empty text marks the key.
pub(super) fn spot(host: &Host, setting: &Setting, key: &str, part: &str) -> Spot {
    let text = host.tree.text(&setting.file).unwrap_or_default();
    let mut lines = text.lines().skip(setting.line.saturating_sub(1));
    let first = lines.next().unwrap_or_default();
    let mut line = first;
    let mut number = setting.line;
    let mut key_seen = false;
    loop {
        let start = match find(line, key) {
            Some(at) if part.is_empty() => return marked(setting, number, line, at, key.len()),
            Some(at) if !key_seen => {
                key_seen = true;
                at + key.len()
            }
            _ => 0,
        };
        let rest = line.get(start..).unwrap_or_default();
        if let Some(at) = rest.find(part).filter(|_| key_seen) {
            return marked(setting, number, line, start + at, part.len());
        }
        let next = lines.next().filter(|_| line.trim_end().ends_with('\\'));
        let Some(next) = next else {
            return Spot::line(&setting.file, setting.line, first.trim_end());
        };
        line = next;
        number += 1;
    }
}

fn marked(setting: &Setting, number: usize, line: &str, start: usize, length: usize) -> Spot {
    let mut spot = Spot::line(&setting.file, number, line.trim_end());
    spot.mark = Some(start..start + length);
    spot
}

/// The place of an ASCII text in any case.
fn find(line: &str, part: &str) -> Option<usize> {
    line.to_ascii_lowercase().find(&part.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::Duration;

    use sys::Deadline;

    use super::*;
    use crate::host::tree::Tree;

    #[test]
    fn the_word_at_fault_is_marked() {
        let dir = tempfile::tempdir().expect("a directory");
        for (text, key, part, line, marked) in [
            (
                "PrologFlags=Alloc",
                "PrologFlags",
                "Alloc",
                1,
                "PrologFlags=[Alloc]",
            ),
            (
                "  prologflags = a,b # b",
                "PrologFlags",
                "b",
                1,
                "  prologflags = a,[b] # b",
            ),
            (
                "X=1\nPrologFlags=\\\n  a,b",
                "PrologFlags",
                "b",
                2,
                "  a,[b]",
            ),
            ("UsePAM=1", "usepam", "", 1, "[UsePAM]=1"),
            ("NodeName=1 CPUs=1", "NodeName", "9", 1, "NodeName=1 CPUs=1"),
        ] {
            fs::write(dir.path().join("slurm.conf"), text).expect("write");
            let tree = Tree::at(dir.path()).expect("the directory");
            let host = Host::new(tree, Deadline::after(Duration::from_secs(9)));
            let setting = Setting {
                file: "/slurm.conf".to_owned(),
                line,
                pairs: Vec::new(),
            };
            let spot = spot(&host, &setting, key, part);
            let mut shown = spot.text.expect("the line");
            if let Some(mark) = spot.mark {
                shown.insert(mark.end, ']');
                shown.insert(mark.start, '[');
            }
            assert_eq!(shown, marked, "{text}");
        }
    }
}
