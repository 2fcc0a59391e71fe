//! Units with their drop-ins, systemd.unit(5).

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::Spot;
use crate::host::tree::Tree;

/// The directories of units; the first one that has a file counts.
const DIRS: [&str; 5] = [
    "/etc/systemd/system",
    "/run/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
];

/// sshd's units: Debian's and others', with a socket or without.
pub const SSHD_UNITS: [&str; 4] = [
    "ssh.service",
    "sshd.service",
    "ssh@.service",
    "sshd@.service",
];

/// A unit as systemd reads it.
#[derive(Debug, Default)]
pub struct Unit {
    /// Whether it has a file of its own.
    pub exists: bool,
    /// Whether its file is empty or a link to /dev/null.
    pub is_masked: bool,
    /// All settings, in the order in which they count.
    pub settings: Vec<Setting>,
}

/// A setting of a unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// The name of its section.
    pub section: String,
    /// Its name.
    pub key: String,
    /// Its value; empty if it takes earlier values back.
    pub value: String,
    /// Its place.
    pub spot: Spot,
}

impl Unit {
    /// Reads a unit. `names` are its own name and, for an instance, that of its template: drop-ins of the first
    /// replace those of the second that have the same file name.
    #[must_use]
    pub fn read(tree: &Tree, names: &[&str]) -> Self {
        let mut unit = Self::default();
        for path in names
            .iter()
            .flat_map(|name| DIRS.map(|dir| Path::new(dir).join(name)))
        {
            if tree
                .link_target(&path)
                .is_ok_and(|it| it == Path::new("/dev/null"))
            {
                unit.is_masked = true;
                return unit;
            }
            if let Ok(text) = tree.text(&path) {
                // An empty file masks a unit as well.
                unit.is_masked = text.is_empty();
                unit.exists = true;
                // A unit of another name may be a link to this one.
                let path = tree.resolve(&path).unwrap_or(path);
                unit.settings
                    .extend(settings(&path.to_string_lossy(), &text));
                break;
            }
        }
        for path in drop_ins(tree, names).values() {
            let text = tree.text(path).unwrap_or_default();
            unit.settings
                .extend(settings(&path.to_string_lossy(), &text));
        }
        unit
    }

    /// The settings of a key that count: those after the last empty one.
    pub fn values<'a>(&'a self, section: &'a str, key: &'a str) -> Vec<&'a Setting> {
        let all = self.settings.iter();
        let all = all.filter(|it| it.section == section && it.key == key);
        let mut values = Vec::new();
        for setting in all {
            match setting.value.is_empty() {
                true => values.clear(),
                false => values.push(setting),
            }
        }
        values
    }

    /// The last setting of a key.
    #[must_use]
    pub fn last(&self, section: &str, key: &str) -> Option<&Setting> {
        let mut all = self.settings.iter().rev();
        all.find(|it| it.section == section && it.key == key)
    }
}

/// The names of units that have a file, sorted.
#[must_use]
pub fn names(tree: &Tree) -> BTreeSet<String> {
    let of = |dir| tree.names(dir).unwrap_or_default();
    DIRS.into_iter().flat_map(of).collect()
}

/// Whether systemd starts a unit at boot.
#[must_use]
pub fn is_enabled(tree: &Tree, unit: &str) -> bool {
    let dir = DIRS[0];
    let names = tree.names(dir).unwrap_or_default();
    let mut targets = names
        .iter()
        .filter(|it| it.ends_with(".wants") || it.ends_with(".requires"));
    targets.any(|it| tree.link_status(format!("{dir}/{it}/{unit}")).is_ok())
}

/// The drop-ins of a unit by file name.
fn drop_ins(tree: &Tree, names: &[&str]) -> BTreeMap<String, PathBuf> {
    let mut found = BTreeMap::new();
    let own = names.iter().map(|name| format!("{name}.d"));
    // These hold for all services.
    let dirs = own.chain(["service.d".to_owned()]);
    for dir in dirs.flat_map(|it| DIRS.map(|dir| format!("{dir}/{it}"))) {
        for name in tree.names(&dir).unwrap_or_default() {
            if name.ends_with(".conf") {
                let path = Path::new(&dir).join(&name);
                found.entry(name).or_insert(path);
            }
        }
    }
    found
}

/// The settings of a unit's file, systemd.syntax(7).
fn settings(file: &str, text: &str) -> Vec<Setting> {
    let mut found = Vec::new();
    let mut section = String::new();
    let mut lines = (1..).zip(text.lines());
    while let Some((number, line)) = lines.next() {
        let trimmed = line.trim();
        if trimmed.is_empty() || trimmed.starts_with(['#', ';']) {
            continue;
        }
        if let Some(name) = trimmed
            .strip_prefix('[')
            .and_then(|it| it.strip_suffix(']'))
        {
            section = name.to_owned();
            continue;
        }
        let mut whole = trimmed.to_owned();
        while whole.ends_with('\\') {
            whole.pop();
            let next = lines
                .by_ref()
                .find(|(_, it)| !it.trim().starts_with(['#', ';']));
            whole.push(' ');
            whole.push_str(next.map_or("", |(_, it)| it.trim()));
        }
        if let Some((key, value)) = whole.split_once('=') {
            let (key, value) = (key.trim().to_owned(), value.trim().to_owned());
            found.push(Setting {
                section: section.clone(),
                spot: Spot::line(file, number, line.trim_end()).mark(&key),
                key,
                value,
            });
        }
    }
    found
}

/// Whether a value is a boolean that says no.
#[must_use]
pub fn is_no(value: &str) -> bool {
    ["0", "no", "n", "false", "f", "off"]
        .iter()
        .any(|it| value.eq_ignore_ascii_case(it))
}

/// Whether a value is a boolean that says yes.
#[must_use]
pub fn is_yes(value: &str) -> bool {
    ["1", "yes", "y", "true", "t", "on"]
        .iter()
        .any(|it| value.eq_ignore_ascii_case(it))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_of_a_file() {
        let text = "# a\n[Service]\nExecStart=\nExecStart = /bin/a \\\n# between\n  b\n;Delegate=no\n[Unit]\nX=1\nbroken\n";
        let found = settings("f", text);
        let rows: Vec<_> = found
            .iter()
            .map(|it| (it.section.as_str(), it.key.as_str(), it.value.as_str()))
            .collect();
        assert_eq!(
            rows,
            [
                ("Service", "ExecStart", ""),
                ("Service", "ExecStart", "/bin/a  b"),
                ("Unit", "X", "1")
            ]
        );
        assert_eq!(
            found
                .iter()
                .filter_map(|it| it.spot.line)
                .collect::<Vec<_>>(),
            [3, 4, 9]
        );
        assert!(
            settings("f", "a\\").is_empty(),
            "a line that goes on at the end"
        );
    }
}
