//! Contents of the JSON file, and what is computed from it.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use crate::stats;

/// Results of one run.
#[derive(Debug, Serialize, Deserialize)]
pub struct Results {
    /// Environment of the run.
    pub about: About,
    /// Our module.
    pub module: ModuleFile,
    /// One entry per release of Slurm.
    pub suites: Vec<SuiteResults>,
}

/// Environment of a run.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct About {
    /// Time when it began, UTC.
    pub date: String,
    /// Whether it was a small run, which only shows that the benchmark works.
    pub quick: bool,
    /// The commit that was built, with "-dirty" appended if files had been changed.
    pub commit: String,
    /// Version of rustc, as `cargo xtask bench` reports it.
    pub rustc: String,
    /// Release of the kernel.
    pub kernel: String,
    /// Name of the processor.
    pub cpu: String,
    /// Number of processors.
    pub cores: usize,
    /// Memory of the machine, in MiB.
    pub memory_mib: u64,
    /// Number of logins for each row and module, if one takes less than 100 ms.
    pub logins: u32,
}

/// Facts about the .so that was measured.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct ModuleFile {
    /// Size of the file.
    pub bytes: u64,
    /// Relocations that the loader does at each login.
    pub relocations: u64,
    /// Number of relocations that look up a symbol.
    pub symbol_relocations: u64,
}

/// The rows of one release.
#[derive(Debug, Serialize, Deserialize)]
pub struct SuiteResults {
    /// Debian's suite.
    pub suite: String,
    /// Slurm's version, as it reports it.
    pub slurm: String,
    /// OpenSSH's version, as it reports it.
    pub openssh: String,
    /// The rows, in the order of measurement.
    pub rows: Vec<Row>,
    /// Axes that ended early or could not begin, each with the reason.
    pub failed: Vec<String>,
    /// The axis connect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connect: Option<Connect>,
}

/// Speeds by way of `slurm-adopt proxy`. They may come from another run than the rows.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Connect {
    /// Time when that run began, UTC.
    pub date: String,
    /// The commit that was built.
    pub commit: String,
    /// All ways.
    pub speeds: Vec<Speed>,
}

/// One way of bytes, in one direction.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Speed {
    /// Identifies the way within its release.
    pub id: String,
    /// The way in words.
    pub name: String,
    /// MiB of a turn.
    pub mib: u64,
    /// Megabytes a second (10^6 bytes), of each turn. The turns of all ways took place one after the other.
    pub mb_per_s: Vec<f64>,
    /// Reason why there are no more.
    pub failed: Option<String>,
}

/// Property that varies between rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Axis {
    /// Number of nodes and lines in slurm.conf
    Conf,
    /// Empty page cache for both modules
    Cold,
    /// Jobs on the node, of others and of the user
    Jobs,
    /// TCP connections on the node, with the caller ID
    Tcp,
    /// The whole of `ssh host true`
    Ssh,
    /// Bytes by way of `slurm-adopt proxy`
    Connect,
}

/// One situation, with everything that could be measured.
#[derive(Debug, Serialize, Deserialize)]
pub struct Row {
    /// Property that varies.
    pub axis: Axis,
    /// Identifies the row within its release.
    pub id: String,
    /// The situation in words.
    pub name: String,
    /// Whether the login is adopted into a job.
    pub adopted: bool,
    /// The stack with only libpam's own module.
    pub floor: Option<Sample>,
    /// With SchedMD's module.
    pub schedmd: Option<Sample>,
    /// With our module.
    pub ours: Option<Sample>,
    /// The conversation with the stepd alone, if there is an adoption.
    pub stepd: Option<Sample>,
    /// Parts that could not be measured, each with the reason.
    pub failed: Vec<String>,
}

/// Cost of the logins of one row with one module. Times are in milliseconds.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Sample {
    /// Number of fresh processes; fewer if one takes long.
    pub logins: usize,
    /// Wall-clock time, median.
    pub median_ms: f64,
    /// Wall-clock time, 95th percentile.
    pub p95_ms: f64,
    /// Wall-clock time, 99th percentile.
    pub p99_ms: f64,
    /// Processor time of the process, median.
    pub cpu_ms: f64,
    /// Page faults without reading from the disk, median.
    pub minflt: f64,
    /// Page faults with reading from the disk, median.
    pub majflt: f64,
    /// Private memory of one process after the call.
    pub private_kib: Option<u64>,
    /// System calls of one process, including its start and end.
    pub syscalls: Option<u64>,
    /// Bytes that one process got from read(2) and pread(2).
    pub read_bytes: Option<u64>,
}

impl Results {
    /// These results with what others say of the axis connect.
    pub fn with_connect(mut self, measured: Self) -> Self {
        for suite in measured.suites {
            match self.suites.iter_mut().find(|it| it.suite == suite.suite) {
                Some(there) => {
                    there.connect = suite.connect.or(there.connect.take());
                    there.failed.retain(|it| !it.starts_with("connect: "));
                    there.failed.extend(suite.failed);
                }
                None => self.suites.push(suite),
            }
        }
        self
    }
}

impl SuiteResults {
    /// Finds a row by its ID.
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

impl Connect {
    /// Finds a way by its ID; none if it was not measured.
    pub fn speed(&self, id: &str) -> Option<&Speed> {
        let mut speeds = self.speeds.iter();
        speeds.find(|it| it.id == id && !it.mb_per_s.is_empty())
    }
}

impl Speed {
    /// Median of this way's share of another's speed, turn by turn: what slows the machine down slows both.
    pub fn share_of(&self, other: &Self) -> f64 {
        let turns = self.mb_per_s.iter().zip(&other.mb_per_s);
        stats::median(&turns.map(|(own, its)| own / its).collect::<Vec<_>>())
    }

    /// Median of all turns, in megabytes a second.
    pub fn median(&self) -> f64 {
        stats::median(&self.mb_per_s)
    }
}

impl Row {
    /// Both modules' values less the floor's, SchedMD's first.
    pub fn net(&self, of: impl Fn(&Sample) -> f64) -> Option<[f64; 2]> {
        let floor = of(self.floor.as_ref()?);
        let [theirs, ours] = [self.schedmd.as_ref()?, self.ours.as_ref()?].map(of);
        Some([theirs - floor, ours - floor])
    }

    /// The same for what is counted in one login.
    pub fn net_count(&self, of: impl Fn(&Sample) -> Option<u64>) -> Option<[u64; 2]> {
        let floor = of(self.floor.as_ref()?)?;
        let [theirs, ours] = [self.schedmd.as_ref()?, self.ours.as_ref()?];
        Some([
            of(theirs)?.saturating_sub(floor),
            of(ours)?.saturating_sub(floor),
        ])
    }

    /// Ratio of SchedMD's time to ours, both less the floor's.
    pub fn ratio(&self) -> Option<f64> {
        let [theirs, ours] = self.net(|it| it.median_ms)?;
        stats::ratio(theirs, ours, 0.0)
    }

    /// The same, both also less the stepd's own time.
    pub fn own_ratio(&self) -> Option<f64> {
        let [theirs, ours] = self.net(|it| it.median_ms)?;
        stats::ratio(theirs, ours, self.stepd.as_ref()?.median_ms)
    }

    /// Ratio of SchedMD's processor time in the login's process to ours, both less the floor's.
    pub fn cpu_ratio(&self) -> Option<f64> {
        let [theirs, ours] = self.net(|it| it.cpu_ms)?;
        stats::ratio(theirs, ours, 0.0)
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// Makes a row with these medians: floor, SchedMD, ours, stepd.
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

    /// Makes a release with these rows.
    pub fn suite(rows: Vec<Row>) -> SuiteResults {
        SuiteResults {
            suite: "forky".into(),
            slurm: "26.05.1".into(),
            openssh: "10.6p1".into(),
            rows,
            failed: Vec::new(),
            connect: None,
        }
    }

    /// Makes ways of three turns, of which the relay's to the node are 98, 95 and 99 % of nc's, and a failed one.
    pub fn connect() -> Connect {
        let speed = |id: &str, mb_per_s: &[f64]| Speed {
            id: id.into(),
            name: format!("way {id}"),
            mib: 32,
            mb_per_s: mb_per_s.to_vec(),
            failed: mb_per_s.is_empty().then(|| "no answer".to_owned()),
        };
        Connect {
            date: "2026-11-30".into(),
            commit: "0123456789ab".into(),
            speeds: vec![
                speed("send-nc", &[100.0, 200.0, 300.0]),
                speed("send-proxy", &[98.0, 190.0, 297.0]),
                speed("send-srun", &[]),
                speed("receive-nc", &[100.0, 200.0, 300.0]),
                speed("receive-proxy", &[200.0, 400.0, 600.0]),
                speed("receive-srun", &[60.0]),
            ],
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
    fn shares_are_of_the_same_turn() {
        let connect = connect();
        let speed = |id: &str| connect.speed(id);
        let [nc, proxy] = ["send-nc", "send-proxy"].map(|id| speed(id).expect(id));
        assert_eq!((proxy.share_of(nc), proxy.median()), (0.98, 190.0));
        assert!(speed("send-srun").is_none(), "it failed");
    }

    #[test]
    fn results_without_the_axis_connect_are_read() {
        let text = serde_json::to_string(&suite(Vec::new())).expect("write");
        assert!(!text.contains("connect"), "{text}");
        let again: SuiteResults = serde_json::from_str(&text).expect("read");
        assert!(again.connect.is_none());
    }

    #[test]
    fn one_axis_is_merged_and_the_others_stay() {
        let of = |suites| Results {
            about: About::default(),
            module: ModuleFile::default(),
            suites,
        };
        let rows = vec![row("jobs-0-1", [1.0, 21.0, 3.0, 1.0])];
        let trixie = SuiteResults {
            suite: "trixie".into(),
            ..suite(Vec::new())
        };
        let mut measured = of(vec![suite(Vec::new()), trixie]);
        measured.suites[0].connect = Some(connect());
        let all = of(vec![suite(rows)]).with_connect(measured);
        let count = |it: &Results| it.suites.iter().map(|it| it.rows.len()).collect::<Vec<_>>();
        assert_eq!(count(&all), [1, 0]);
        assert!(all.suites[0].connect.is_some());
        // A second time it fails: the earlier figures stay.
        let mut failed = of(vec![suite(Vec::new())]);
        failed.suites[0].failed = vec!["connect: no cluster".into()];
        let again = all.with_connect(failed);
        assert!(again.suites[0].connect.is_some());
        assert_eq!(again.suites[0].failed.len(), 1);
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
