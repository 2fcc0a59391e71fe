//! The release of Slurm that is installed.

use std::fmt;
use std::path::Path;

use proto::Version;
use proto::version::RELEASES;

use crate::host::Host;

/// A release, such as 2605 for 26.05.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Release(pub(super) u16);

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:02}", self.0 / 100, self.0 % 100)
    }
}

/// The oldest release that is judged.
const OLDEST: Version = Version::V20_11;
/// The directories of libslurm.so, besides the one beside slurm.conf's.
const DIRS: [&str; 6] = [
    "/usr/lib64",
    "/usr/lib/x86_64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
    "/usr/lib",
    "/opt/slurm/lib",
    "/usr/local/lib",
];

/// The release of the running slurmd, else of the one libslurm.so that is installed. `conf` is slurm.conf.
pub(super) fn installed(host: &Host, conf: &Path) -> Option<Release> {
    let running = host.slurmd_version().and_then(of_text);
    running.or_else(|| of_library(host, conf))
}

/// Parses `slurm-wlm 22.05.8`.
fn of_text(text: &str) -> Option<Release> {
    of_number(text.split_whitespace().nth(1)?)
}

/// Parses `22.05.8` and `22.05`.
fn of_number(version: &str) -> Option<Release> {
    let mut numbers = version.split('.').map(|it| it.parse::<u16>().ok());
    let (year, month) = (numbers.next()??, numbers.next()??);
    year.checked_mul(100)?.checked_add(month).map(Release)
}

fn of_library(host: &Host, conf: &Path) -> Option<Release> {
    let beside = conf
        .parent()
        .and_then(Path::parent)
        .map(|it| it.join("lib"));
    let dirs = DIRS.iter().map(Path::new).chain(beside.as_deref());
    let names = dirs.flat_map(|dir| host.tree.names(dir).unwrap_or_default());
    let mut found: Vec<Release> = names.filter_map(|it| of_file(&it)).collect();
    found.sort();
    found.dedup();
    match found.as_slice() {
        [one] => Some(*one),
        // Which of several it is that runs is not known.
        _ => None,
    }
}

/// The release of `libslurm.so.45`: its version, API_CURRENT in META, is the high byte of the protocol's.
fn of_file(name: &str) -> Option<Release> {
    let version = name.strip_prefix("libslurm.so.")?.split('.').next()?;
    let version: u16 = version.parse().ok()?;
    let mut releases = RELEASES.iter().filter(|it| it.version >= OLDEST);
    let found = releases.find(|it| it.version.number() >> 8 == version)?;
    of_number(found.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        assert_eq!(of_text("slurm-wlm 22.05.8\n"), Some(Release(2205)));
        assert_eq!(of_text("slurm 26.05.0-0rc1\n"), Some(Release(2605)));
        assert_eq!(of_text("slurm\n"), None);
        assert_eq!(of_text("slurm 9999.99"), None);
        assert_eq!(of_file("libslurm.so.45.0.0"), Some(Release(2605)));
        assert_eq!(of_file("libslurm.so.36"), Some(Release(2011)));
        assert_eq!(of_file("libslurm.so.40"), Some(Release(2311)));
        assert_eq!(of_file("libslurm.so.35"), None);
        assert_eq!(of_file("libslurm.so.99"), None);
        assert_eq!(Release(2605).to_string(), "26.05");
    }
}
