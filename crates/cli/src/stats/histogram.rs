//! Durations in fixed buckets.

use serde::{Deserialize, Serialize};

/// The upper bounds of the buckets: the text of the label, and tenths of a millisecond.
pub const BOUNDS: [(&str, u64); 14] = [
    ("0.001", 10),
    ("0.0025", 25),
    ("0.005", 50),
    ("0.01", 100),
    ("0.025", 250),
    ("0.05", 500),
    ("0.1", 1_000),
    ("0.25", 2_500),
    ("0.5", 5_000),
    ("1", 10_000),
    ("2.5", 25_000),
    ("5", 50_000),
    ("10", 100_000),
    ("60", 600_000),
];

/// Counts by duration.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Histogram {
    /// The count in each bucket alone; the last one is for all beyond.
    buckets: [u64; BOUNDS.len() + 1],
    /// All durations, in tenths of a millisecond.
    sum: u64,
}

impl Histogram {
    /// Adds a duration in tenths of a millisecond.
    pub fn add(&mut self, tenths: u64) {
        let place = BOUNDS.partition_point(|(_, bound)| *bound < tenths);
        if let Some(count) = self.buckets.get_mut(place) {
            *count = count.saturating_add(1);
        }
        self.sum = self.sum.saturating_add(tenths);
    }

    /// The label and the count of all durations up to each bound; the last one has all.
    pub fn cumulative(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        let labels = BOUNDS.iter().map(|(label, _)| *label).chain(["+Inf"]);
        let mut sum = 0_u64;
        labels.zip(&self.buckets).map(move |(label, count)| {
            sum = sum.saturating_add(*count);
            (label, sum)
        })
    }

    /// The sum of all durations, in seconds.
    pub fn seconds(&self) -> String {
        format!("{}.{:04}", self.sum / 10_000, self.sum % 10_000)
    }
}

/// Tenths of a millisecond, of milliseconds with at most one decimal that counts.
pub fn tenths(millis: &str) -> Option<u64> {
    let (whole, decimals) = millis.split_once('.').unwrap_or((millis, "0"));
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|it| it.is_ascii_digit());
    if !is_number(whole) || !is_number(decimals) {
        return None;
    }
    let tenth: u64 = decimals.get(..1)?.parse().ok()?;
    whole
        .parse::<u64>()
        .ok()?
        .checked_mul(10)?
        .checked_add(tenth)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn milliseconds() {
        for (text, expected) in [
            ("0.0", Some(0)),
            ("1.2", Some(12)),
            ("1", Some(10)),
            ("61000.99", Some(610_009)),
            ("", None),
            (".5", None),
            ("1.", None),
            ("-1", None),
            ("1e3", None),
            ("99999999999999999999", None),
            ("18446744073709551615", None),
        ] {
            assert_eq!(tenths(text), expected, "{text}");
        }
    }

    #[test]
    fn a_bucket_has_its_bound() {
        let mut histogram = Histogram::default();
        for tenths in [0, 10, 11, 50, 600_000, 600_001] {
            histogram.add(tenths);
        }
        let counts: Vec<_> = histogram.cumulative().map(|(_, count)| count).collect();
        assert_eq!(counts, [2, 3, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 5, 6]);
        assert_eq!(histogram.cumulative().last(), Some(("+Inf", 6)));
        assert_eq!(histogram.seconds(), "120.0072");
    }
}
