//! A job as squeue shows it. One format serves all releases from 20.11 to 26.05: `--json` came later, and needs a plugin.

/// The fields, the job's name last: any sign may be in it. squeue's man page, FORMAT; without widths nothing is cut off.
pub(crate) const FORMAT: &str = "--format=%A|%i|%T|%r|%S|%e|%N|%U|%u|%j";
/// squeue's words for a time that is not known.
const NO_TIME: [&str; 3] = ["N/A", "NONE", "Unknown"];

/// A job that is not a whole array.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// Its own number, which no other job has, but tasks of an array that wait have their array's.
    pub number: u32,
    /// Its number as people know it: 4711, 4711_3 or 4711+1.
    pub id: String,
    /// Its state, in Slurm's words.
    pub state: String,
    /// Why it waits, in Slurm's words.
    pub reason: String,
    /// The time at which it started or is expected to start, if known.
    pub start: Option<String>,
    /// The time at which it ended or will be ended, if known.
    pub end: Option<String>,
    /// Its nodes, as a host list; empty while it waits.
    pub nodes: String,
    /// Its user.
    pub uid: u32,
    /// Its user's name.
    pub user: String,
    /// Its name.
    pub name: String,
}

/// What can be done with a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Logins are possible.
    Running,
    /// They will be.
    Waiting,
    /// They will be no more.
    Over,
}

impl Job {
    /// Parses what squeue prints with [`FORMAT`]. A line that is none, as the second one of a name with a line's end in
    /// it, is left out.
    pub(crate) fn parse(text: &str) -> Vec<Self> {
        text.lines().filter_map(Self::of_line).collect()
    }

    fn of_line(line: &str) -> Option<Self> {
        let mut fields = line.splitn(10, '|');
        let mut next = || fields.next().map(str::to_owned);
        let time = |it: String| (!NO_TIME.contains(&it.as_str())).then_some(it);
        Some(Self {
            number: next()?.parse().ok()?,
            id: next()?,
            state: next()?,
            reason: next()?,
            start: time(next()?),
            end: time(next()?),
            nodes: next()?,
            uid: next()?.parse().ok()?,
            user: next()?,
            name: next()?,
        })
    }

    /// What can be done with it now. Source: the states of squeue's man page, 20.11 to 26.05.
    #[must_use]
    pub fn phase(&self) -> Phase {
        match self.state.as_str() {
            "RUNNING" | "SIGNALING" | "RESIZING" => Phase::Running,
            "BOOT_FAIL" | "CANCELLED" | "COMPLETED" | "COMPLETING" | "DEADLINE" | "FAILED"
            | "NODE_FAIL" | "OUT_OF_MEMORY" | "PREEMPTED" | "REVOKED" | "STAGE_OUT" | "TIMEOUT"
            | "LAUNCH_FAILED" | "RECONFIG_FAIL" => Phase::Over,
            _ => Phase::Waiting,
        }
    }

    /// The array or leading job, and the task or component with its sign.
    pub(crate) fn part(&self) -> (u32, Option<(char, u32)>) {
        let whole = (self.number, None);
        let Some(at) = self.id.find(['_', '+']) else {
            return whole;
        };
        let sign = if self.id[at..].starts_with('_') {
            '_'
        } else {
            '+'
        };
        match (self.id[..at].parse(), self.id[at + 1..].parse()) {
            (Ok(job), Ok(part)) => (job, Some((sign, part))),
            _ => whole,
        }
    }

    /// Whether it holds something on that node.
    pub(crate) fn is_on(&self, node: &str) -> bool {
        // A list that cannot be read may name any node.
        proto::hostlist::position(&self.nodes, node).map_or(true, |it| it.is_some())
    }
}

#[cfg(test)]
pub(crate) mod samples {
    /// Printed by squeue 20.11.4; 26.05.5 prints the same but for the numbers.
    pub(crate) const QUEUE: &str = "\
5|5|PENDING|BeginTime|2026-11-30T13:49:30|NONE||2001|alice|pend
6|6_1|PENDING|BeginTime|2026-11-30T13:49:30|NONE||2001|alice|arr2
6|6_2|PENDING|BeginTime|2026-11-30T13:49:30|NONE||2001|alice|arr2
8|8+0|PENDING|None|N/A|N/A||2001|alice|het
9|8+1|PENDING|None|N/A|N/A||2001|alice|het
2|2|RUNNING|None|2026-11-30T12:49:32|NONE|node[1-2]|2001|alice|odd |name \u{fc}
3|3|RUNNING|None|2026-11-30T12:49:33|NONE|node2|2001|alice|b
12|4_3|RUNNING|None|2026-11-30T12:49:31|NONE|node1|2001|alice|arr
13|4_4|RUNNING|None|2026-11-30T12:49:31|NONE|node1|2001|alice|arr
4|4_5|RUNNING|None|2026-11-30T12:49:31|NONE|node1|2001|alice|arr
";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_become_jobs() {
        let jobs = Job::parse(samples::QUEUE);
        assert_eq!(jobs.len(), 10);
        let odd = &jobs[5];
        assert_eq!((odd.number, odd.id.as_str()), (2, "2"));
        assert_eq!(odd.name, "odd |name \u{fc}");
        assert_eq!(odd.start.as_deref(), Some("2026-11-30T12:49:32"));
        assert_eq!((odd.end.clone(), odd.phase()), (None, Phase::Running));
        assert_eq!(jobs[3].start, None);
        assert_eq!(jobs[3].phase(), Phase::Waiting);
    }

    #[test]
    fn what_is_no_job_is_left_out() {
        let text = "9|9|RUNNING|None|N/A|N/A|n1|2001|alice|two\nlines|of|a|name\n\n|\n";
        let jobs = Job::parse(text);
        assert_eq!(jobs.len(), 1);
        assert_eq!(jobs[0].name, "two");
    }

    #[test]
    fn parts_of_arrays_and_heterogeneous_jobs() {
        let parts: Vec<_> = Job::parse(samples::QUEUE).iter().map(Job::part).collect();
        assert_eq!(parts[0], (5, None));
        assert_eq!(parts[1], (6, Some(('_', 1))));
        assert_eq!(parts[4], (8, Some(('+', 1))));
        assert_eq!(parts[9], (4, Some(('_', 5))));
    }

    #[test]
    fn nodes_of_a_job() {
        let jobs = Job::parse(samples::QUEUE);
        assert!(jobs[5].is_on("node2") && !jobs[5].is_on("node3"));
        assert!(!jobs[0].is_on("node1"), "it waits");
    }
}
