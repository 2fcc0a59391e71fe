//! The results as Markdown.

use std::fmt::Write as _;

use crate::results::{Axis, Results, Row, Sample, SuiteResults};
use crate::speeds;
use crate::targets;

const INTRODUCTION: &str = "\
Times are milliseconds of one login in a fresh process, from pam_start to pam_end. The columns of
pam_permit, SchedMD and ours are as measured, each with its own stack; everything else is **net**:
less what the same login takes with pam_permit alone. `ratio` is SchedMD's net time by ours, of the
medians. `own part` is the same with what the job's slurmstepd itself needs taken off both too, which
is measured by a client that asks only whose the job is and to adopt it (column stepd). `CPU` is the
ratio of processor time of the login's process, without waiting. [README](../README.md) has more.
";

/// Writes the whole file.
pub fn table(results: &Results) -> String {
    let about = &results.about;
    let mut text = String::from("# What a login costs\n\n");
    if about.quick {
        text += "**A quick run, which only shows that the benchmark works.**\n\n";
    }
    text += INTRODUCTION;
    let _ = write!(
        text,
        "\nCommit {}, {}, {}.\n{} x {}, {} MiB of memory, Linux {}.\n\
         Up to {} logins of each kind, in turns; fewer where one takes more than 100 ms.\n",
        about.commit,
        about.rustc,
        about.date,
        about.cores,
        about.cpu,
        about.memory_mib,
        about.kernel,
        about.logins
    );
    text += &target_table(results);
    for suite in &results.suites {
        let _ = write!(
            text,
            "\n## Slurm {}, OpenSSH {} ({})\n",
            suite.slurm, suite.openssh, suite.suite
        );
        text += &times(suite);
        text += &costs(suite);
        text += &ssh(suite);
        text += &speeds::table(suite);
        text += &failures(suite);
    }
    let module = &results.module;
    let _ = write!(
        text,
        "\n## The module\n\n{} bytes, {} relocations, of which {} look up a symbol.\n",
        module.bytes, module.relocations, module.symbol_relocations
    );
    text
}

fn target_table(results: &Results) -> String {
    let mut text = String::from("\n## Targets\n\n| target | bound |");
    for suite in &results.suites {
        let _ = write!(text, " {} |", suite.release());
    }
    text += "\n|---|---|";
    text += &"---|".repeat(results.suites.len());
    text.push('\n');
    let all: Vec<_> = results
        .suites
        .iter()
        .map(|suite| targets::targets(suite, &results.module))
        .collect();
    let Some(first) = all.first() else {
        return text;
    };
    for (index, target) in first.iter().enumerate() {
        let _ = write!(text, "| {} | {} |", target.what, target.bound);
        for targets in &all {
            let target = &targets[index];
            let _ = match (&target.value, target.met) {
                (Some(value), Some(true)) => write!(text, " met: {value} |"),
                (Some(value), _) => write!(text, " **missed: {value}** |"),
                (None, _) => write!(text, " not measured |"),
            };
        }
        text.push('\n');
    }
    text
}

fn times(suite: &SuiteResults) -> String {
    let mut rows = suite
        .rows
        .iter()
        .filter(|it| it.axis != Axis::Ssh)
        .peekable();
    if rows.peek().is_none() {
        return String::new();
    }
    let mut text = String::from(
        "\n### Time, ms\n\n\
         | situation | pam_permit | SchedMD | p95 | p99 | ours | p95 | p99 | stepd | ratio \
         | own part | CPU |\n|---|---|---|---|---|---|---|---|---|---|---|---|\n",
    );
    for row in rows {
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {} | {} | {} |",
            row.name,
            median(&row.floor),
            three(&row.schedmd),
            three(&row.ours),
            median(&row.stepd),
            times_as_much(row.ratio()),
            times_as_much(row.own_ratio()),
            times_as_much(row.cpu_ratio()),
        );
    }
    text
}

fn costs(suite: &SuiteResults) -> String {
    let mut rows = suite
        .rows
        .iter()
        .filter(|it| it.axis != Axis::Ssh)
        .peekable();
    if rows.peek().is_none() {
        return String::new();
    }
    let mut text = String::from(
        "\n### What else it takes, net, SchedMD / ours\n\n\
         | situation | logins | private memory, KiB | system calls | bytes read | page faults \
         | from disk |\n|---|---|---|---|---|---|---|\n",
    );
    for row in rows {
        let count = |sample: &Option<Sample>| sample.as_ref().map_or(0, |it| it.logins);
        let _ = writeln!(
            text,
            "| {} | {} / {} | {} | {} | {} | {} | {} |",
            row.name,
            count(&row.schedmd),
            count(&row.ours),
            both(row, |it| it.private_kib.map(|it| it as f64)),
            both(row, |it| it.syscalls.map(|it| it as f64)),
            both(row, |it| it.read_bytes.map(|it| it as f64)),
            both(row, |it| Some(it.minflt)),
            both(row, |it| Some(it.majflt)),
        );
    }
    text
}

fn ssh(suite: &SuiteResults) -> String {
    let mut rows = suite
        .rows
        .iter()
        .filter(|it| it.axis == Axis::Ssh)
        .peekable();
    if rows.peek().is_none() {
        return String::new();
    }
    let mut text = String::from(
        "\n### The whole of `ssh host true`, ms\n\n\
         Not net. The floor is pam_permit in the module's place, of logins that are kept out \
         pam_deny.\n\n\
         | situation | logins | floor | SchedMD | p95 | p99 | ours | p95 | p99 |\n\
         |---|---|---|---|---|---|---|---|---|\n",
    );
    for row in rows {
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} |",
            row.name,
            row.ours.as_ref().map_or(0, |it| it.logins),
            median(&row.floor),
            three(&row.schedmd),
            three(&row.ours),
        );
    }
    text
}

fn failures(suite: &SuiteResults) -> String {
    let of_rows = suite.rows.iter().flat_map(|row| {
        let name = &row.name;
        row.failed.iter().map(move |cause| (name, cause))
    });
    let of_ways = suite.connect.iter().flat_map(|it| &it.speeds);
    let of_ways = of_ways.filter_map(|it| Some((&it.name, it.failed.as_ref()?)));
    let mut text = String::new();
    let all = of_rows.chain(of_ways);
    let all = all.map(|(name, cause)| format!("{name}: {cause}"));
    for cause in all.chain(suite.failed.iter().cloned()) {
        if text.is_empty() {
            text += "\n### Not measured\n\n";
        }
        let _ = writeln!(text, "* {}", cause.replace('\n', " "));
    }
    text
}

fn median(sample: &Option<Sample>) -> String {
    sample
        .as_ref()
        .map_or_else(|| "-".into(), |it| millis(it.median_ms))
}

/// Median and percentiles, in three cells.
fn three(sample: &Option<Sample>) -> String {
    match sample {
        Some(it) => [it.median_ms, it.p95_ms, it.p99_ms].map(millis).join(" | "),
        None => "- | - | -".into(),
    }
}

fn millis(value: f64) -> String {
    match value {
        ..10.0 => format!("{value:.2}"),
        ..100.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

fn times_as_much(ratio: Option<f64>) -> String {
    match ratio {
        None => "-".into(),
        Some(ratio) if ratio < 10.0 => format!("{ratio:.1}"),
        Some(ratio) => format!("{ratio:.0}"),
    }
}

/// Both modules' net values; a dash if one is missing.
fn both(row: &Row, of: impl Fn(&Sample) -> Option<f64>) -> String {
    let known = |sample: &Option<Sample>| sample.as_ref().and_then(&of);
    let Some(floor) = known(&row.floor) else {
        return "- / -".into();
    };
    let net = |sample: &Option<Sample>| match known(sample) {
        Some(value) => format!("{:.0}", value - floor),
        None => "-".into(),
    };
    format!("{} / {}", net(&row.schedmd), net(&row.ours))
}

/// One line about a row that has just been measured.
pub fn progress(row: &Row) -> String {
    let mut line = format!(
        "  {}: SchedMD {} ms, ours {} ms, floor {} ms",
        row.name,
        median(&row.schedmd),
        median(&row.ours),
        median(&row.floor)
    );
    if let Some(ratio) = row.ratio() {
        let _ = write!(line, ", net ratio {ratio:.1}");
    }
    for cause in &row.failed {
        let _ = write!(line, "\n         failed: {cause}");
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::tests::{row, suite};
    use crate::results::{About, ModuleFile};

    fn results(rows: Vec<Row>) -> Results {
        Results {
            about: About::default(),
            module: ModuleFile {
                bytes: 300_000,
                relocations: 1_000,
                symbol_relocations: 50,
            },
            suites: vec![suite(rows)],
        }
    }

    #[test]
    fn a_row_is_net_where_it_says_so() {
        let text = table(&results(vec![row("jobs-0-1", [1.0, 21.0, 3.0, 1.0])]));
        let times = "| situation jobs-0-1 | 1.00 | 21.0 | 42.0 | 63.0 | 3.00 | 6.00 | 9.00 | 1.00 \
                     | 10 | 19 | 10 |";
        assert!(text.contains(times), "{text}");
        let costs = "| situation jobs-0-1 | 100 / 100 | 20000 / 2000 | 2000 / 200 \
                     | 200000 / 20000 | 2000 / 200 | 0 / 0 |";
        assert!(text.contains(costs), "{text}");
        assert!(
            text.contains("| one own job | >= 4x | met: 10.0x |"),
            "{text}"
        );
        assert!(text.contains("| 10,000 nodes in a range, first login | >= 50x | not measured |"));
        assert!(
            text.contains("300000 bytes, 1000 relocations, of which 50"),
            "{text}"
        );
    }

    #[test]
    fn what_failed_is_told() {
        let failed = Row {
            schedmd: None,
            failed: vec!["SchedMD: no answer\nwithin 60 s".into()],
            ..row("jobs-0-0", [1.0, 1.0, 3.0, 0.0])
        };
        let line = progress(&failed);
        assert!(line.contains("SchedMD - ms, ours 3.00 ms"), "{line}");
        let text = table(&results(vec![failed]));
        assert!(text.contains("* situation jobs-0-0: SchedMD: no answer within 60 s"));
        assert!(text.contains("| 1.00 | - | - | - | 3.00 |"), "{text}");
        assert!(text.contains("| - / 2000 |"), "{text}");
    }

    #[test]
    fn every_row_of_a_table_has_all_cells() {
        let text = table(&results(vec![row("jobs-0-1", [1.0, 21.0, 3.0, 1.0])]));
        let mut cells = 0;
        for line in text.lines() {
            let count = line.matches('|').count();
            if cells > 0 && count > 0 {
                assert_eq!(count, cells, "{line}");
            }
            cells = count;
        }
    }
}
