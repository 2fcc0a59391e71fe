//! Medians, percentiles and ratios.

/// The middle value, or the mean of the two middle ones for an even number; 0 if there are none.
pub fn median(values: &[f64]) -> f64 {
    let sorted = sorted(values);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => 0.0,
        length if length % 2 == 1 => sorted[middle],
        _ => f64::midpoint(sorted[middle - 1], sorted[middle]),
    }
}

/// The smallest value that at least `percent` of all values do not exceed (nearest rank); 0 if there are none.
pub fn percentile(values: &[f64], percent: f64) -> f64 {
    let sorted = sorted(values);
    let rank = (percent / 100.0 * sorted.len() as f64).ceil() as usize;
    let index = rank.clamp(1, sorted.len().max(1)) - 1;
    sorted.get(index).copied().unwrap_or(0.0)
}

/// Ratio of `theirs` to `ours`, each less `floor`. `None` if ours is not above the floor, because no
/// measurement of this kind can tell that from noise.
pub fn ratio(theirs: f64, ours: f64, floor: f64) -> Option<f64> {
    (ours > floor).then(|| (theirs - floor) / (ours - floor))
}

fn sorted(values: &[f64]) -> Vec<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians() {
        for (values, expected) in [
            (&[][..], 0.0),
            (&[7.0], 7.0),
            (&[9.0, 1.0], 5.0),
            (&[3.0, 100.0, 1.0], 3.0),
            (&[4.0, 1.0, 3.0, 2.0], 2.5),
        ] {
            assert_eq!(median(values), expected, "{values:?}");
        }
    }

    #[test]
    fn percentiles_by_nearest_rank() {
        let hundred: Vec<f64> = (1..=100).rev().map(f64::from).collect();
        for (values, percent, expected) in [
            (&hundred[..], 95.0, 95.0),
            (&hundred, 99.0, 99.0),
            (&hundred, 100.0, 100.0),
            (&hundred, 0.0, 1.0),
            (&[5.0, 6.0], 50.0, 5.0),
            (&[5.0, 6.0], 51.0, 6.0),
            (&[], 95.0, 0.0),
        ] {
            assert_eq!(percentile(values, percent), expected, "{percent} %");
        }
    }

    #[test]
    fn ratios_are_net() {
        assert_eq!(ratio(11.0, 2.0, 1.0), Some(10.0));
        assert_eq!(ratio(11.0, 1.0, 1.0), None);
        assert_eq!(ratio(11.0, 0.5, 1.0), None);
    }
}
