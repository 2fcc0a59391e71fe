//! slurm.conf as slurmd and the module read it.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use proto::conf::{self, ConfError, Included, Setting};

use crate::host::Host;
use crate::host::tree::{Tree, is_absent};

/// The usual places of slurm.conf, in the order in which the module looks where no slurmd runs.
pub const SLURM_CONFS: [&str; 5] = [
    "/run/slurm/conf/slurm.conf",
    "/etc/slurm/slurm.conf",
    "/etc/slurm-llnl/slurm.conf",
    "/opt/slurm/etc/slurm.conf",
    "/usr/local/etc/slurm.conf",
];

/// Reason why slurm.conf is unknown.
#[derive(Debug)]
pub enum NoSlurmConf {
    /// A login finds none; the cause.
    Node(String),
    /// It is in none of the usual places.
    NotFound,
    /// It cannot be read.
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's error.
        cause: io::Error,
    },
}

impl fmt::Display for NoSlurmConf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Node(cause) => f.write_str(cause),
            Self::NotFound => write!(f, "none of {}", SLURM_CONFS.join(", ")),
            Self::Unreadable { path, cause } => write!(f, "read {}: {cause}", path.display()),
        }
    }
}

/// slurm.conf, line by line.
#[derive(Debug)]
pub struct SlurmConf {
    /// The file.
    pub path: PathBuf,
    /// All lines, Includes in their place, up to the first fault.
    pub settings: Vec<Setting>,
    /// The fault at which slurmd gives up.
    pub fault: Option<ConfError>,
    /// Whether the module, which ignores what it does not need, can read the file.
    pub is_read_by_module: bool,
}

impl SlurmConf {
    /// Reads the one that a login reads, or in a tree that does not run the first of the usual places.
    ///
    /// # Errors
    /// [`NoSlurmConf`].
    pub(super) fn read(host: &Host) -> Result<Self, NoSlurmConf> {
        let path = match host.node() {
            Some(Ok(node)) => node.path.clone(),
            // It says which file and line.
            Some(Err(error)) => match named(host) {
                Some(path) => path,
                None => return Err(NoSlurmConf::Node(error.to_string())),
            },
            None => match named(host) {
                Some(path) => path,
                None => return Err(NoSlurmConf::NotFound),
            },
        };
        let bytes = match host.tree.read(&path) {
            Ok(bytes) => bytes,
            Err(cause) => return Err(NoSlurmConf::Unreadable { path, cause }),
        };
        let mut include =
            |name: &str, from: &str| included(&host.tree, &path, name, Path::new(from));
        let file = path.to_string_lossy();
        let (settings, fault) = conf::settings(&file, &bytes, &mut include);
        let by_module = conf::parse(&file, &bytes, conf::Query::default(), &mut include);
        let is_read_by_module = by_module.is_ok();
        Ok(Self {
            path,
            settings,
            fault,
            is_read_by_module,
        })
    }

    /// The line that sets a key (in any case), the last one if there are several, and its value.
    #[must_use]
    pub fn setting(&self, key: &str) -> Option<(&Setting, &str)> {
        let mut lines = self.settings.iter().rev();
        let line = lines.find(|it| it.key().eq_ignore_ascii_case(key))?;
        Some((line, line.value(key)?))
    }

    /// The value of a key.
    #[must_use]
    pub fn value(&self, key: &str) -> Option<&str> {
        self.setting(key).map(|(_, value)| value)
    }

    /// Whether the task/cgroup plugin is used. The prefix is optional, and any `none` in the value unsets it.
    #[must_use]
    pub fn uses_task_cgroup(&self) -> bool {
        let value = self.value("TaskPlugin").unwrap_or_default();
        let mut names = value.split(',');
        !value.to_ascii_lowercase().contains("none")
            && names.any(|it| it.strip_prefix("task/").unwrap_or(it) == "cgroup")
    }
}

/// A value of S_P_BOOLEAN, `src/common/parse_value.c`.
#[must_use]
pub fn is_yes(value: &str) -> Option<bool> {
    let is = |words: [&str; 4]| words.iter().any(|it| it.eq_ignore_ascii_case(value));
    if is(["yes", "up", "true", "1"]) {
        Some(true)
    } else if is(["no", "down", "false", "0"]) {
        Some(false)
    } else {
        None
    }
}

/// `slurm_conf=`, or the first of the usual places that exists.
fn named(host: &Host) -> Option<PathBuf> {
    let usual = || {
        SLURM_CONFS
            .iter()
            .map(PathBuf::from)
            .find(|it| host.tree.exists(it))
    };
    host.options().slurm_conf.map(PathBuf::from).or_else(usual)
}

/// Reads an Include: beside slurm.conf since 23.02, beside the including file before.
fn included(tree: &Tree, main: &Path, name: &str, from: &Path) -> io::Result<Included> {
    let beside = |file: &Path| file.parent().unwrap_or(Path::new("/")).join(name);
    let first = beside(main);
    let (path, read) = match tree.read(&first) {
        Err(error) if is_absent(&error) => (beside(from), tree.read(beside(from))),
        read => (first, read),
    };
    Ok(Included {
        file: path.to_string_lossy().into_owned(),
        bytes: read?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn booleans() {
        for (value, expected) in [
            ("yes", Some(true)),
            ("YES", Some(true)),
            ("1", Some(true)),
            ("no", Some(false)),
            ("on", None),
            ("enabled", None),
            ("", None),
        ] {
            assert_eq!(is_yes(value), expected, "{value}");
        }
    }

    #[test]
    fn task_cgroup_is_used_if_it_is_named() {
        for (text, expected) in [
            ("TaskPlugin=task/affinity,task/cgroup\n", true),
            ("taskplugin=cgroup\n", true),
            ("TaskPlugin=task/affinity\n", false),
            ("TaskPlugin=task/cgroup,task/none\n", false),
            ("", false),
        ] {
            let mut no_include = |_: &str, _: &str| Err(io::ErrorKind::NotFound.into());
            let (settings, fault) = conf::settings("slurm.conf", text.as_bytes(), &mut no_include);
            let conf = SlurmConf {
                path: PathBuf::new(),
                settings,
                fault,
                is_read_by_module: true,
            };
            assert_eq!(conf.uses_task_cgroup(), expected, "{text}");
        }
    }
}
