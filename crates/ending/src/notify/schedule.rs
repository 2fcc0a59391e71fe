//! When the terminals of a job's logins are told, and what.

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// The seconds before the end at which a line is due. At the very end slurmctld may be faster.
const BEFORE: [i64; 3] = [600, 60, 5];

/// The time that one run looks after: from a whole minute to the next. Each line belongs to exactly one run, so that
/// nothing needs to be kept between them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    from: i64,
    until: i64,
}

/// A line that is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// When, in seconds since 1970.
    pub at: i64,
    /// The seconds from then to the job's end.
    before: i64,
    end: i64,
}

impl Window {
    /// The minute that has this second.
    #[must_use]
    pub fn at(now: i64) -> Self {
        let from = now - now.rem_euclid(60);
        Self {
            from,
            until: from + 60,
        }
    }

    /// The lines about a job with this end that are due in this minute, past or future: slurmctld looks for jobs over
    /// their limit every half minute, so that the last line may come late too.
    #[must_use]
    pub fn due(self, end: i64) -> Vec<Due> {
        let at = |before: i64| Due {
            at: end.saturating_sub(before),
            before,
            end,
        };
        let is_here = |it: &Due| (self.from..self.until).contains(&it.at);
        BEFORE.into_iter().map(at).filter(is_here).collect()
    }

    /// The last moment at which this run may still be at work: systemd skips a timer's run while the last one lasts.
    #[must_use]
    pub fn last(self) -> i64 {
        self.until - 2
    }
}

impl Due {
    /// The line for a terminal.
    #[must_use]
    pub fn text(&self, job: u32, host: &str, zone: &TimeZone) -> String {
        let time = Timestamp::from_second(self.end).unwrap_or_default();
        let time = zone.to_datetime(time).strftime("%H:%M:%S").to_string();
        let left = match self.before {
            600 => "10 minutes",
            60 => "1 minute",
            _ => "5 seconds",
        };
        format!("job {job} on {host} ends in {left}, at {time}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_is_due_in_one_minute() {
        for end in [1_000_000_000, 1_000_000_001, 1_000_000_019, 1_000_000_059] {
            let mut told = Vec::new();
            for minute in 0..20 {
                let now = 999_999_240 + 60 * minute;
                let window = Window::at(now);
                assert_eq!(window.from, now, "whole minutes");
                told.extend(window.due(end).iter().map(|it| it.at));
            }
            assert_eq!(told, [end - 600, end - 60, end - 5], "{end}");
        }
    }

    #[test]
    fn what_is_late_is_told_within_the_minute() {
        let now = 1_000_000_050;
        let at = |end| {
            let due = Window::at(now).due(end);
            due.iter().map(|it| it.before).collect::<Vec<_>>()
        };
        // From ...020 to ...079.
        assert_eq!(at(now + 600 - 10), [600]);
        assert_eq!(at(now + 60 - 10), [60]);
        for end in [now - 10, now, now + 10] {
            assert_eq!(at(end), [5]);
        }
        for end in [now - 40, now + 300, i64::MIN] {
            assert_eq!(at(end), [0; 0]);
        }
    }

    #[test]
    fn the_lines() {
        let due = |before| Due {
            at: 1_796_017_100 - before,
            before,
            end: 1_796_017_100,
        };
        let text = |before| due(before).text(4711, "node1", &TimeZone::UTC);
        assert_eq!(
            text(600),
            "job 4711 on node1 ends in 10 minutes, at 05:38:20"
        );
        assert_eq!(text(60), "job 4711 on node1 ends in 1 minute, at 05:38:20");
        assert_eq!(text(5), "job 4711 on node1 ends in 5 seconds, at 05:38:20");
    }
}
