//! Prometheus' text format, <https://prometheus.io/docs/instrumenting/exposition_formats/>. Samples have no time: the
//! textfile collector refuses those.

use std::time::{SystemTime, UNIX_EPOCH};

use check::{Report, Severity};

use crate::stats::sums::Sums;

/// What `slurm-adopt check` has found, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Findings {
    failures: usize,
    warnings: usize,
    notes: usize,
    /// Seconds since 1970.
    when: u64,
}

impl Findings {
    /// Counts them, now.
    pub fn of(report: &Report) -> Self {
        let count = |severity| {
            report
                .findings()
                .filter(|it| it.severity == severity)
                .count()
        };
        Self {
            failures: count(Severity::Failure),
            warnings: count(Severity::Warning),
            notes: count(Severity::Note),
            when: SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, |it| it.as_secs()),
        }
    }
}

/// All metrics.
pub fn text(sums: &Sums, findings: Option<&Findings>) -> String {
    let mut text = Text::default();
    logins(sums, &mut text);
    if let Some(found) = findings {
        let name = "slurm_adopt_check_findings";
        text.head(name, "gauge", "Findings of slurm-adopt check by severity.");
        for (severity, count) in [
            (Severity::Failure, found.failures),
            (Severity::Warning, found.warnings),
            (Severity::Note, found.notes),
        ] {
            text.sample(name, &[("severity", severity.name())], count);
        }
        let name = "slurm_adopt_check_timestamp_seconds";
        text.head(
            name,
            "gauge",
            "When slurm-adopt check looked, in seconds since 1970.",
        );
        text.sample(name, &[], found.when);
    }
    text.0
}

fn logins(sums: &Sums, text: &mut Text) {
    let name = "slurm_adopt_logins_total";
    text.head(
        name,
        "counter",
        "Logins by decision, reason and phase; each phase counts.",
    );
    for login in &sums.logins {
        let labels = [
            ("decision", login.decision.as_str()),
            ("reason", &login.reason),
            ("phase", &login.phase),
        ];
        text.sample(name, &labels, login.count);
    }
    let name = "slurm_adopt_login_duration_seconds";
    text.head(name, "histogram", "Time that the module took, by phase.");
    for (phase, histogram) in &sums.durations {
        let mut all = 0;
        for (bound, count) in histogram.cumulative() {
            let labels = [("phase", phase.as_str()), ("le", bound)];
            text.sample(&format!("{name}_bucket"), &labels, count);
            all = count;
        }
        let labels = [("phase", phase.as_str())];
        text.sample(&format!("{name}_sum"), &labels, histogram.seconds());
        text.sample(&format!("{name}_count"), &labels, all);
    }
}

#[derive(Default)]
struct Text(String);

impl Text {
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        self.0 += &format!("# HELP {name} {help}\n# TYPE {name} {kind}\n");
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl std::fmt::Display) {
        let label = |(name, value): &(&str, &str)| format!("{name}=\"{}\"", escaped(value));
        let labels: Vec<_> = labels.iter().map(label).collect();
        self.0 += &match labels.is_empty() {
            true => format!("{name} {value}\n"),
            false => format!("{name}{{{}}} {value}\n", labels.join(",")),
        };
    }
}

fn escaped(value: &str) -> String {
    let value = value.replace('\\', "\\\\").replace('"', "\\\"");
    value.replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::sums::Login;

    #[test]
    fn the_text_format() {
        let mut sums = Sums::default();
        for (decision, reason, ms) in [
            ("denied", "no-job", "1.2"),
            ("adopted", "only-job", "30.1"),
            ("denied", "no-job", "0.4"),
        ] {
            sums.add(Login {
                decision,
                reason,
                phase: "account",
                ms,
            });
        }
        let findings = Findings {
            failures: 0,
            warnings: 2,
            notes: 1,
            when: 1_800_000_000,
        };
        let expected = include_str!("expected.prom");
        assert_eq!(text(&sums, Some(&findings)), expected);
        let (without, _) = expected
            .split_once("# HELP slurm_adopt_check")
            .expect("checks");
        assert_eq!(text(&sums, None), without);
    }

    #[test]
    fn labels_are_escaped() {
        assert_eq!(escaped("a\"b\\c\nd"), "a\\\"b\\\\c\\nd");
    }
}
