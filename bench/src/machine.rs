//! The environment of a run.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use lab::Node;
use serde::Deserialize;

use crate::measure::Effort;
use crate::results::{About, ModuleFile};

/// Facts that `cargo xtask bench` passes on about its builds.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Built {
    date: String,
    commit: String,
    rustc: String,
    module: ModuleFile,
}

/// Collects the facts about the machine and the builds.
pub fn about(built: &str, quick: bool, effort: Effort) -> Result<(About, ModuleFile)> {
    let built: Built = serde_json::from_str(built).context("read what was built")?;
    let read = |path: &str| fs::read_to_string(path).with_context(|| format!("read {path}"));
    let about = About {
        date: built.date,
        quick,
        commit: built.commit,
        rustc: built.rustc,
        kernel: read("/proc/sys/kernel/osrelease")?.trim().into(),
        cpu: field(&read("/proc/cpuinfo")?, "model name").unwrap_or_else(|| "unknown".into()),
        cores: std::thread::available_parallelism().map_or(1, usize::from),
        memory_mib: memory_mib(&read("/proc/meminfo")?).context("read /proc/meminfo")?,
        logins: effort.logins,
    };
    Ok((about, built.module))
}

/// Version that a program reports: the first word that begins with a digit, without what comes before an
/// underscore (`OpenSSH_10.6p1`).
pub fn version(node: &Node, argv: &[&str]) -> Result<String> {
    let output = node.run(argv)?;
    Ok(version_in(&format!("{}{}", output.stdout, output.stderr)))
}

fn version_in(text: &str) -> String {
    let words = text.split([' ', '_', ',', '\n']);
    let mut versions = words.filter(|word| word.starts_with(|it: char| it.is_ascii_digit()));
    versions.next().unwrap_or("unknown").to_owned()
}

/// Waits until the machine is mostly idle after jobs have started; gives up after a while, because other
/// work on it may never end.
pub fn settle() -> Result<()> {
    const LIMIT: Duration = Duration::from_secs(4);
    const WINDOW: Duration = Duration::from_millis(250);
    const IDLE: f64 = 0.9;
    let read = || fs::read_to_string("/proc/stat").context("read /proc/stat");
    let start = Instant::now();
    while start.elapsed() < LIMIT {
        let before = read()?;
        std::thread::sleep(WINDOW);
        if idle(&before, &read()?).is_none_or(|it| it >= IDLE) {
            break;
        }
    }
    Ok(())
}

/// The idle share of all processors' time between two readings of /proc/stat.
fn idle(before: &str, after: &str) -> Option<f64> {
    let ticks = |stat: &str| -> Option<Vec<f64>> {
        let line = stat.lines().next()?.strip_prefix("cpu ")?;
        line.split_whitespace().map(|it| it.parse().ok()).collect()
    };
    let (before, after) = (ticks(before)?, ticks(after)?);
    let passed: Vec<f64> = before
        .iter()
        .zip(after)
        .map(|(old, new)| new - old)
        .collect();
    let all: f64 = passed.iter().sum();
    // user nice system idle iowait ...
    (all > 0.0).then(|| passed.get(3).map(|idle| idle / all))?
}

/// The first field of that name in a file of proc(5).
fn field(text: &str, name: &str) -> Option<String> {
    let values = text.lines().filter_map(|line| {
        let (key, value) = line.split_once(':')?;
        (key.trim() == name).then(|| value.trim().to_owned())
    });
    values.into_iter().next()
}

fn memory_mib(meminfo: &str) -> Option<u64> {
    let total = field(meminfo, "MemTotal")?;
    let kib: u64 = total.strip_suffix(" kB")?.parse().ok()?;
    Some(kib / 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        for (text, version) in [
            ("slurm 26.05.1\n", "26.05.1"),
            ("slurm-wlm 22.05.8\n", "22.05.8"),
            ("OpenSSH_9.2p1 Debian-2+deb12u3, OpenSSL 3.0.14\n", "9.2p1"),
            ("", "unknown"),
        ] {
            assert_eq!(version_in(text), version);
        }
    }

    #[test]
    fn idle_time() {
        let before = "cpu  10 0 10 100 0 0 0 0 0 0\ncpu0 1 1\n";
        let after = "cpu  15 0 15 190 0 0 0 0 0 0\n";
        assert_eq!(idle(before, after), Some(0.9));
        assert_eq!(idle(before, before), None);
        assert_eq!(idle("", after), None);
    }

    #[test]
    fn facts_of_proc() {
        let cpuinfo = "processor\t: 0\nmodel name\t: One CPU @ 2GHz\nmodel name\t: Other\n";
        assert_eq!(
            field(cpuinfo, "model name").as_deref(),
            Some("One CPU @ 2GHz")
        );
        assert_eq!(field(cpuinfo, "flags"), None);
        assert_eq!(memory_mib("MemTotal:       2097152 kB\n"), Some(2048));
        assert_eq!(memory_mib("MemFree: 1 kB\n"), None);
    }
}
