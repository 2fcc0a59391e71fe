//! What the JSON file holds, and what is computed of it.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use crate::stats;

/// Everything of one run.
#[derive(Debug, Serialize, Deserialize)]
pub struct Results {
    /// Where and when.
    pub about: About,
    /// Our module.
    pub module: ModuleFile,
    /// One entry a release of Slurm.
    pub suites: Vec<SuiteResults>,
}

/// The circumstances of a run.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct About {
    /// When it began, UTC.
    pub date: String,
    /// A small run, which only shows that the benchmark works.
    pub quick: bool,
    /// The commit that was built, with "-dirty" behind it where files had been changed.
    pub commit: String,
    /// The compiler of our module.
    pub rustc: String,
    /// The kernel's release.
    pub kernel: String,
    /// The processor's name.
    pub cpu: String,
    /// How many of them.
    pub cores: usize,
    /// Memory of the machine.
    pub memory_mib: u64,
    /// How many logins each row and module has, where one takes less than 100 ms.
    pub logins: u32,
}

/// Facts about the .so that was measured.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct ModuleFile {
    /// Its size.
    pub bytes: u64,
    /// Relocations that the loader does at each login.
    pub relocations: u64,
    /// How many of these look up a symbol.
    pub symbol_relocations: u64,
}

/// The rows of one release.
#[derive(Debug, Serialize, Deserialize)]
pub struct SuiteResults {
    /// Debian's suite.
    pub suite: String,
    /// Slurm's version, as it tells it.
    pub slurm: String,
    /// OpenSSH's version, as it tells it.
    pub openssh: String,
    /// The rows, in the order they were measured in.
    pub rows: Vec<Row>,
    /// Axes that ended early or could not begin, and why.
    pub failed: Vec<String>,
}

/// What is varied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Axis {
    /// slurm.conf: how many nodes, in how many lines
    Conf,
    /// Nothing of the modules is in the page cache
    Cold,
    /// Jobs on the node: of others, of the user
    Jobs,
    /// TCP connections on the node, with the caller ID
    Tcp,
    /// The whole of `ssh host true`
    Ssh,
}

/// One situation, with whatever could be measured of it.
#[derive(Debug, Serialize, Deserialize)]
pub struct Row {
    /// What is varied.
    pub axis: Axis,
    /// Identifies the row within its release.
    pub id: String,
    /// The situation in words.
    pub name: String,
    /// Whether the login is put into a job.
    pub adopted: bool,
    /// The stack with libpam's own module alone.
    pub floor: Option<Sample>,
    /// With SchedMD's module.
    pub schedmd: Option<Sample>,
    /// With ours.
    pub ours: Option<Sample>,
    /// The conversation with the stepd alone, where there is adoption.
    pub stepd: Option<Sample>,
    /// What could not be measured, and why.
    pub failed: Vec<String>,
}

/// What the logins of one row with one module took. Times are in milliseconds.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Sample {
    /// How many fresh processes; fewer where one takes long.
    pub logins: usize,
    /// Wall-clock time.
    pub median_ms: f64,
    /// Wall-clock time.
    pub p95_ms: f64,
    /// Wall-clock time.
    pub p99_ms: f64,
    /// Processor time of the process, median.
    pub cpu_ms: f64,
    /// Page faults without reading from the disk, median.
    pub minflt: f64,
    /// Page faults with reading from the disk, median.
    pub majflt: f64,
    /// Memory of one process alone after the call.
    pub private_kib: Option<u64>,
    /// System calls of one process, of its start and end too.
    pub syscalls: Option<u64>,
    /// Bytes that one process got by read(2) and pread(2).
    pub read_bytes: Option<u64>,
}

impl SuiteResults {
    /// The row of that identity.
    pub fn row(&self, id: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.id == id)
    }

    /// Slurm's release without its last number: `26.05`.
    pub fn release(&self) -> &str {
        match self.slurm.match_indices('.').nth(1) {
            Some((end, _)) => &self.slurm[..end],
            None => &self.slurm,
        }
    }
}

impl Row {
    /// Both modules' samples less the floor's, theirs first.
    pub fn net(&self, of: impl Fn(&Sample) -> f64) -> Option<[f64; 2]> {
        let floor = of(self.floor.as_ref()?);
        let [theirs, ours] = [self.schedmd.as_ref()?, self.ours.as_ref()?].map(of);
        Some([theirs - floor, ours - floor])
    }

    /// The same of what is counted in one login.
    pub fn net_count(&self, of: impl Fn(&Sample) -> Option<u64>) -> Option<[u64; 2]> {
        let floor = of(self.floor.as_ref()?)?;
        let [theirs, ours] = [self.schedmd.as_ref()?, self.ours.as_ref()?];
        Some([
            of(theirs)?.saturating_sub(floor),
            of(ours)?.saturating_sub(floor),
        ])
    }

    /// How many times as long SchedMD's module takes, both less the floor.
    pub fn ratio(&self) -> Option<f64> {
        let [theirs, ours] = self.net(|it| it.median_ms)?;
        stats::ratio(theirs, ours, 0.0)
    }

    /// The same, both also less what the stepd itself needs.
    pub fn own_ratio(&self) -> Option<f64> {
        let [theirs, ours] = self.net(|it| it.median_ms)?;
        stats::ratio(theirs, ours, self.stepd.as_ref()?.median_ms)
    }

    /// How many times as much processor time of the login's process, both less the floor.
    pub fn cpu_ratio(&self) -> Option<f64> {
        let [theirs, ours] = self.net(|it| it.cpu_ms)?;
        stats::ratio(theirs, ours, 0.0)
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// A row with these medians: floor, SchedMD, ours, stepd.
    pub fn row(id: &str, [floor, schedmd, ours, stepd]: [f64; 4]) -> Row {
        let sample = |median_ms: f64| {
            Some(Sample {
                logins: 100,
                median_ms,
                p95_ms: median_ms * 2.0,
                p99_ms: median_ms * 3.0,
                cpu_ms: median_ms / 2.0,
                minflt: 100.0 * median_ms,
                majflt: 0.0,
                private_kib: Some((1000.0 * median_ms) as u64),
                syscalls: Some((100.0 * median_ms) as u64),
                read_bytes: Some((10_000.0 * median_ms) as u64),
            })
        };
        Row {
            axis: Axis::Jobs,
            id: id.into(),
            name: format!("situation {id}"),
            adopted: stepd > 0.0,
            floor: sample(floor),
            schedmd: sample(schedmd),
            ours: sample(ours),
            stepd: sample(stepd).filter(|_| stepd > 0.0),
            failed: Vec::new(),
        }
    }

    /// A release with these rows.
    pub fn suite(rows: Vec<Row>) -> SuiteResults {
        SuiteResults {
            suite: "forky".into(),
            slurm: "26.05.1".into(),
            openssh: "10.6p1".into(),
            rows,
            failed: Vec::new(),
        }
    }

    #[test]
    fn ratios_of_a_row() {
        let row = row("x", [1.0, 21.0, 3.0, 1.0]);
        assert_eq!(row.ratio(), Some(10.0));
        assert_eq!(row.own_ratio(), Some(19.0));
        assert_eq!(row.cpu_ratio(), Some(10.0));
        let denied = super::tests::row("y", [1.0, 21.0, 3.0, 0.0]);
        assert_eq!(denied.own_ratio(), None);
        let failed = Row {
            schedmd: None,
            ..denied
        };
        assert_eq!(failed.ratio(), None);
    }

    #[test]
    fn release_without_its_last_number() {
        assert_eq!(suite(Vec::new()).release(), "26.05");
    }

    #[test]
    fn the_file_is_read_as_it_was_written() {
        let row = row("x", [1.0, 21.0, 3.0, 1.0]);
        let text = serde_json::to_string(&row).expect("write");
        let again: Row = serde_json::from_str(&text).expect("read");
        assert_eq!(serde_json::to_string(&again).expect("write"), text);
        assert!(text.contains(r#""axis":"jobs""#), "{text}");
    }
}
