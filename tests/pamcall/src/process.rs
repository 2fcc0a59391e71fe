//! Reads proc(5) about this process.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;

use anyhow::{Context, Result};
use rustix::fs::{Dir, Mode, OFlags, openat, readlinkat};
use serde_json::{Map, Value};

/// /proc/self, opened before the call: a module that joins a job's mount namespace changes what the path
/// /proc leads to, and the root and working directory too.
pub struct ThisProcess(OwnedFd);

impl ThisProcess {
    pub fn open(directory: &Path) -> Result<Self> {
        File::open(directory)
            .map(|it| Self(it.into()))
            .with_context(|| format!("open {}", directory.display()))
    }

    /// Lists each open descriptor as `3 -> socket:[4711]`, in order.
    pub fn descriptors(&self) -> Result<Vec<String>> {
        let mut numbers: Vec<i32> = Vec::new();
        for entry in Dir::new(self.open_at("fd", OFlags::DIRECTORY)?).context("list fd")? {
            let entry = entry.context("list fd")?;
            if let Ok(number) = entry.file_name().to_string_lossy().parse() {
                numbers.push(number);
            }
        }
        numbers.sort_unstable();
        let mut described = Vec::new();
        for number in numbers.into_iter().filter(|it| *it != self.0.as_raw_fd()) {
            match readlinkat(&self.0, format!("fd/{number}"), Vec::new()) {
                Ok(target) => described.push(format!("{number} -> {}", target.to_string_lossy())),
                // The descriptor of the listing itself is closed by now.
                Err(error) if error == rustix::io::Errno::NOENT => {}
                Err(error) => return Err(error).context(format!("read the link fd/{number}")),
            }
        }
        Ok(described)
    }

    /// The ignored, caught and blocked signals, as in proc(5).
    pub fn signals(&self) -> Result<[String; 3]> {
        Ok([
            self.status("SigIgn")?,
            self.status("SigCgt")?,
            self.status("SigBlk")?,
        ])
    }

    /// Page faults so far, without and with reading from the disk: minflt and majflt of proc(5).
    pub fn faults(&self) -> Result<[u64; 2]> {
        let stat = self.read("stat")?;
        // The name in parentheses may hold anything.
        let (_, fields) = stat.rsplit_once(')').context("parse /proc/self/stat")?;
        let fields: Vec<&str> = fields.split_whitespace().collect();
        let number = |at: usize| {
            let field = fields.get(at).context("/proc/self/stat is short")?;
            field.parse().context("parse /proc/self/stat")
        };
        Ok([number(7)?, number(9)?])
    }

    pub fn namespaces(&self) -> Result<Map<String, Value>> {
        let mut found = Map::new();
        for name in [
            "cgroup",
            "ipc",
            "mnt",
            "net",
            "pid",
            "pid_for_children",
            "user",
            "uts",
        ] {
            let link = readlinkat(&self.0, format!("ns/{name}"), Vec::new())
                .with_context(|| format!("read the link ns/{name} of /proc/self"))?;
            found.insert(name.to_owned(), Value::from(link.to_string_lossy()));
        }
        Ok(found)
    }

    /// A kind of memory in KiB, such as `Rss`, from smaps_rollup: the counters in status may lag by some pages.
    pub fn memory(&self, kind: &str) -> Result<u64> {
        let rollup = self.read("smaps_rollup")?;
        let of_kind = |line: &'_ str| Some(line.strip_prefix(kind)?.strip_prefix(':')?.to_owned());
        let line = rollup.lines().find_map(of_kind);
        let line = line.with_context(|| format!("/proc/self/smaps_rollup has no line {kind}"))?;
        let number = line.trim().strip_suffix(" kB");
        let number = number.with_context(|| format!("{kind} in kB"))?;
        number.parse().with_context(|| format!("parse {kind}"))
    }

    /// Reads a field of /proc/self/status.
    pub fn status(&self, name: &str) -> Result<String> {
        self.read("status")?
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
            .map(|value| value.trim().to_owned())
            .with_context(|| format!("/proc/self/status has no line {name}"))
    }

    pub fn read(&self, name: &str) -> Result<String> {
        let mut text = String::new();
        File::from(self.open_at(name, OFlags::empty())?)
            .read_to_string(&mut text)
            .with_context(|| format!("read /proc/self/{name}"))?;
        Ok(text)
    }

    pub fn open_at(&self, name: &str, more: OFlags) -> Result<OwnedFd> {
        openat(
            &self.0,
            name,
            OFlags::RDONLY | OFlags::CLOEXEC | more,
            Mode::empty(),
        )
        .map_err(io::Error::from)
        .with_context(|| format!("open /proc/self/{name}"))
    }
}
