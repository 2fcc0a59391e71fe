//! Targets for our module, and whether it meets them.

use crate::connect;
use crate::results::{Connect, ModuleFile, Row, Speed, SuiteResults};
use crate::tcp;

/// One target and its measurement.
#[derive(Debug, PartialEq)]
pub struct Target {
    /// Measured quantity.
    pub what: String,
    /// The bound, in words.
    pub bound: String,
    /// The measured value, in words; `None` if it was not measured.
    pub value: Option<String>,
    /// Whether the bound holds; `None` if it was not measured.
    pub met: Option<bool>,
}

/// Minimum ratios of SchedMD's time to ours: ID of the row, bound, situation.
const TOTAL: [(&str, f64, &str); 6] = [
    ("jobs-0-0", 8.0, "no jobs on the node"),
    ("jobs-0-1", 4.0, "one own job"),
    ("jobs-100-0", 20.0, "100 jobs of others"),
    ("jobs-0-100", 20.0, "100 own jobs"),
    // The rows that read the file, not those that use the cache.
    (
        "conf-range-10000-first",
        50.0,
        "10,000 nodes in a range, first login",
    ),
    (
        "conf-lines-10000-first",
        100.0,
        "10,000 NodeName lines, first login",
    ),
];
/// Minimum ratio of processor time, which excludes waiting for slurmd and munged.
const CALLER_ID: f64 = 20.0;
/// Minimum ratio of SchedMD's private memory to ours, both less the floor's.
const MEMORY_PART: u64 = 8;
/// Maximum size in bytes.
const MODULE_SIZE: u64 = 1_000_000;
/// Maximum number for a login that is denied on an idle node.
const SYSCALLS: u64 = 60;
/// Minimum speed of the relay, in percent of nc's.
const SHARE_OF_NC: f64 = 95.0;
/// Minimum speed of the relay by srun, in megabytes a second.
const BY_SRUN: f64 = 50.0;
/// ID of the row for memory and system calls.
const IDLE: &str = "jobs-0-0";

/// Evaluates all targets for a release.
pub fn targets(suite: &SuiteResults, module: &ModuleFile) -> Vec<Target> {
    let mut targets: Vec<Target> = TOTAL
        .into_iter()
        .map(|(id, bound, what)| at_least(what, bound, suite.row(id).and_then(Row::ratio)))
        .collect();
    let cpu = suite.row(tcp::MOST_ID).and_then(Row::cpu_ratio);
    let what = "20,000 TCP connections, caller ID, processor time";
    targets.push(at_least(what, CALLER_ID, cpu));
    targets.push(memory(suite.row(IDLE)));
    targets.push(Target {
        what: "size of the .so".into(),
        bound: format!("<= {MODULE_SIZE} bytes"),
        value: (module.bytes > 0).then(|| module.bytes.to_string()),
        met: (module.bytes > 0).then_some(module.bytes <= MODULE_SIZE),
    });
    targets.push(syscalls(suite.row(IDLE)));
    targets.extend(speeds(suite.connect.as_ref()));
    targets
}

/// The slower direction counts.
fn speeds(connect: Option<&Connect>) -> [Target; 2] {
    let slower = |of: &dyn Fn(&[&str; 3]) -> Option<f64>| {
        let [send, receive] = [connect::SEND, connect::RECEIVE].map(|it| of(&it));
        Some(send?.min(receive?))
    };
    let speed = |id: &str| connect.and_then(|it| it.speed(id));
    let share = slower(&|[nc, proxy, _]| Some(speed(proxy)?.share_of(speed(nc)?) * 100.0));
    let by_srun = slower(&|[_, _, srun]| speed(srun).map(Speed::median));
    let target = |what: &str, unit: &str, bound: f64, value: Option<f64>| Target {
        what: what.into(),
        bound: format!(">= {bound} {unit}"),
        value: value.map(|it| format!("{it:.0} {unit}")),
        met: value.map(|it| it >= bound),
    };
    [
        target("proxy, speed of a plain nc", "%", SHARE_OF_NC, share),
        target("proxy by srun", "MB/s", BY_SRUN, by_srun),
    ]
}

fn at_least(what: &str, bound: f64, ratio: Option<f64>) -> Target {
    Target {
        what: what.into(),
        bound: format!(">= {bound}x"),
        value: ratio.map(|it| format!("{it:.1}x")),
        met: ratio.map(|it| it >= bound),
    }
}

fn memory(row: Option<&Row>) -> Target {
    let net = row.and_then(|row| row.net_count(|it| it.private_kib));
    Target {
        what: "private memory, no jobs on the node".into(),
        bound: format!("<= 1/{MEMORY_PART} of SchedMD's"),
        value: net.map(|[theirs, ours]| format!("{ours} of {theirs} KiB")),
        met: net.map(|[theirs, ours]| ours * MEMORY_PART <= theirs),
    }
}

fn syscalls(row: Option<&Row>) -> Target {
    let net = row.and_then(|row| row.net_count(|it| it.syscalls));
    let ours = net.map(|[_, ours]| ours);
    Target {
        what: "system calls of a denial, no jobs on the node".into(),
        bound: format!("<= {SYSCALLS}"),
        value: ours.map(|it| it.to_string()),
        met: ours.map(|it| it <= SYSCALLS),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::tests::{row, suite};

    fn of(targets: &[Target], what: &str) -> (Option<String>, Option<bool>) {
        let target = targets.iter().find(|it| it.what == what);
        let target = target.unwrap_or_else(|| panic!("no target {what}"));
        (target.value.clone(), target.met)
    }

    #[test]
    fn met_missed_and_not_measured() {
        let module = ModuleFile {
            bytes: 1_000_001,
            ..ModuleFile::default()
        };
        // SchedMD's is 10 ms net; ours is 1 ms net, of which 0.4 ms are the stepd's.
        let measured = suite(vec![
            row("jobs-0-0", [1.0, 11.0, 2.0, 0.0]),
            row("jobs-0-1", [1.0, 11.0, 2.0, 0.4]),
            row("jobs-100-0", [1.0, 11.0, 2.0, 0.0]),
        ]);
        let targets = targets(&measured, &module);
        let yes = |value: &str| (Some(value.to_owned()), Some(true));
        let no = |value: &str| (Some(value.to_owned()), Some(false));
        assert_eq!(of(&targets, "no jobs on the node"), yes("10.0x"));
        assert_eq!(of(&targets, "one own job"), yes("10.0x"));
        assert_eq!(of(&targets, "100 own jobs"), (None, None));
        assert_eq!(of(&targets, "100 jobs of others"), no("10.0x"));
        assert_eq!(
            of(&targets, "10,000 NodeName lines, first login"),
            (None, None)
        );
        assert_eq!(of(&targets, "size of the .so"), no("1000001"));
        let memory = "private memory, no jobs on the node";
        assert_eq!(of(&targets, memory), yes("1000 of 10000 KiB"));
        let calls = "system calls of a denial, no jobs on the node";
        assert_eq!(of(&targets, calls), no("100"));
    }

    #[test]
    fn the_slower_direction_counts() {
        let with = |connect: &Connect, what: &str| {
            let mut measured = suite(Vec::new());
            measured.connect = Some(connect.clone());
            of(&targets(&measured, &ModuleFile::default()), what)
        };
        let mut measured = crate::results::tests::connect();
        let share = with(&measured, "proxy, speed of a plain nc");
        assert_eq!(share, (Some("98 %".to_owned()), Some(true)));
        let by_srun = "proxy by srun";
        assert_eq!(
            with(&measured, by_srun),
            (None, None),
            "one direction failed"
        );
        measured.speeds[2].mb_per_s = vec![49.0];
        let slow = (Some("49 MB/s".to_owned()), Some(false));
        assert_eq!(with(&measured, by_srun), slow);
    }
}
