//! The axis connect as Markdown.

use std::fmt::Write as _;

use crate::results::{Connect, Speed, SuiteResults};
use crate::stats::percentile;

/// Writes the section; nothing if the axis was not measured.
pub fn table(suite: &SuiteResults) -> String {
    let Some(connect) = &suite.connect else {
        return String::new();
    };
    let mut text = format!(
        "\n### Bytes by way of `slurm-adopt proxy`, MB/s\n\n\
         Commit {}, {}. `share` is of the speed of the first way of the kind, the median of all turns.\n\n\
         | way | MiB | turns | median | slowest | share |\n|---|---|---|---|---|---|\n",
        connect.commit, connect.date
    );
    for speed in &connect.speeds {
        let first = first(connect, speed);
        let first = first.filter(|it| it.id != speed.id && !speed.mb_per_s.is_empty());
        let share = first.map_or("-".into(), |it| {
            format!("{:.0} %", speed.share_of(it) * 100.0)
        });
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {share} |",
            speed.name,
            speed.mib,
            speed.mb_per_s.len(),
            number(speed.median()),
            number(percentile(&speed.mb_per_s, 0.0)),
        );
    }
    text
}

/// One line about a way that has just been measured.
pub fn progress(speed: &Speed) -> String {
    match &speed.failed {
        Some(cause) => format!("  {}: failed: {cause}", speed.name),
        None => format!("  {}: {} MB/s", speed.name, number(speed.median())),
    }
}

/// The first way of the same kind, which is the first word of the ID.
fn first<'a>(connect: &'a Connect, speed: &Speed) -> Option<&'a Speed> {
    let kind = |id: &str| id.split('-').next().map(str::to_owned);
    let mut speeds = connect.speeds.iter();
    speeds.find(|it| kind(&it.id) == kind(&speed.id) && !it.mb_per_s.is_empty())
}

fn number(speed: f64) -> String {
    match speed {
        0.0 => "-".into(),
        _ => format!("{speed:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::tests::{connect, suite};

    #[test]
    fn a_way_is_compared_with_the_first_of_its_kind() {
        let mut measured = suite(Vec::new());
        assert_eq!(table(&measured), "");
        measured.connect = Some(connect());
        let text = table(&measured);
        for line in [
            "| way send-nc | 32 | 3 | 200 | 100 | - |",
            "| way send-proxy | 32 | 3 | 190 | 98 | 98 % |",
            "| way send-srun | 32 | 0 | - | - | - |",
            "| way receive-nc | 32 | 3 | 200 | 100 | - |",
        ] {
            assert!(text.contains(line), "{line}: {text}");
        }
    }
}
