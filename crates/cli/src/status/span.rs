//! Spans of time and sizes in a few columns.

/// The time left of a job, as squeue shows it without seconds: `2:10`, `1d3h`.
pub(super) fn left(seconds: i64) -> String {
    let minutes = seconds.max(0) / 60;
    let (days, hours) = (minutes / 1440, minutes / 60 % 24);
    match (days, hours) {
        (0, _) => format!("{hours}:{:02}", minutes % 60),
        (10.., _) | (_, 0) => format!("{days}d"),
        _ => format!("{days}d{hours}h"),
    }
}

/// The time since something began: `8s`, `41m`, `3h`, `2d`.
pub(super) fn since(seconds: i64) -> String {
    match seconds.max(0) {
        it @ 0..60 => format!("{it}s"),
        it @ 60..3600 => format!("{}m", it / 60),
        it @ 3600..86400 => format!("{}h", it / 3600),
        it => format!("{}d", it / 86400),
    }
}

/// A size in the largest unit that leaves at most four digits: `64G`, `1536M`.
pub(super) fn size(bytes: u64) -> String {
    let units = [('T', 40), ('G', 30), ('M', 20), ('K', 10)];
    let is_whole = |shift: u32| bytes >> shift > 0 && bytes % (1 << shift) == 0;
    let unit = units.into_iter().find(|(_, shift)| is_whole(*shift));
    let rough = || units.into_iter().find(|(_, shift)| bytes >> shift >= 10);
    match unit
        .filter(|(_, shift)| bytes >> shift < 10_000)
        .or_else(rough)
    {
        Some((unit, shift)) => format!("{}{unit}", bytes >> shift),
        None => bytes.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_left() {
        for (seconds, text) in [
            (-5, "0:00"),
            (59, "0:00"),
            (300, "0:05"),
            (7800, "2:10"),
            (86_399, "23:59"),
            (86_400, "1d"),
            (97_200, "1d3h"),
            (31_536_000, "365d"),
        ] {
            assert_eq!(left(seconds), text, "{seconds}");
        }
    }

    #[test]
    fn time_since() {
        for (seconds, text) in [
            (-1, "0s"),
            (59, "59s"),
            (60, "1m"),
            (3599, "59m"),
            (10_800, "3h"),
            (172_800, "2d"),
        ] {
            assert_eq!(since(seconds), text, "{seconds}");
        }
    }

    #[test]
    fn sizes() {
        for (bytes, text) in [
            (0, "0"),
            (64 << 30, "64G"),
            (256 << 30, "256G"),
            (1 << 40, "1T"),
            (1536 << 20, "1536M"),
            (100 << 20, "100M"),
            ((100 << 20) + 4096, "100M"),
            (12_345 << 20, "12G"),
            (4096, "4K"),
            (4097, "4097"),
        ] {
            assert_eq!(size(bytes), text, "{bytes}");
        }
    }
}
