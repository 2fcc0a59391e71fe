//! Chooses the job that its user means.

use crate::queue::{Job, Phase};
use crate::target::Which;

/// A job, and the others that the user may have meant.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Choice<'a> {
    pub(crate) job: &'a Job,
    pub(crate) others: Vec<&'a Job>,
}

/// Chooses among the user's jobs: one that runs before one that waits. Of an array or heterogeneous job, the first
/// part; of several jobs of one name, or of all, the one that started last, or else was submitted last.
pub(crate) fn choose<'a>(jobs: &'a [Job], which: &Which) -> Option<Choice<'a>> {
    let is_meant = |job: &&Job| job.phase() != Phase::Over && is_named(job, which);
    let meant: Vec<&Job> = jobs.iter().filter(is_meant).collect();
    let runs = |job: &&&Job| job.phase() == Phase::Running;
    let running: Vec<&Job> = meant.iter().filter(runs).copied().collect();
    let among = if running.is_empty() { meant } else { running };
    let by_part = among
        .iter()
        .min_by_key(|it| it.part().1.map(|(_, part)| part));
    // Times of this form sort as text.
    let by_start = among.iter().max_by_key(|it| match it.phase() {
        Phase::Running => (it.start.clone(), it.number),
        _ => (None, it.number),
    });
    let job: &Job = match which {
        Which::Name(_) | Which::Latest => by_start?,
        _ => by_part?,
    };
    let others = match (which, job.part().1) {
        // A component has its own number, a task may have the array's.
        (Which::Latest, _) | (_, Some(('+', _))) => Vec::new(),
        _ => among.into_iter().filter(|it| it.id != job.id).collect(),
    };
    Some(Choice { job, others })
}

fn is_named(job: &Job, which: &Which) -> bool {
    match which {
        Which::Number(number) => match job.part() {
            // A component of a heterogeneous job has a number of its own.
            (leader, Some(('+', _))) => leader == *number || job.number == *number,
            // A task's own number is nobody's but its own, except for one task, which has the array's.
            (array, Some(_)) => array == *number || (job.number == *number && array != job.number),
            (own, None) => own == *number,
        },
        Which::Task(array, task) => job.part() == (*array, Some(('_', *task))),
        Which::Component(leader, offset) => job.part() == (*leader, Some(('+', *offset))),
        Which::Name(name) => job.name == *name,
        Which::Latest => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::samples::QUEUE;

    fn chosen(queue: &str, which: &Which) -> Option<(String, Vec<String>)> {
        let jobs = Job::parse(queue);
        let choice = choose(&jobs, which)?;
        let others = choice.others.iter().map(|it| it.id.clone()).collect();
        Some((choice.job.id.clone(), others))
    }

    fn named(name: &str) -> Which {
        Which::Name(name.to_owned())
    }

    #[test]
    fn a_number_means_that_job() {
        let id = |which| chosen(QUEUE, &which).map(|it| it.0);
        assert_eq!(id(Which::Number(3)).as_deref(), Some("3"));
        assert_eq!(id(Which::Task(4, 4)).as_deref(), Some("4_4"));
        assert_eq!(id(Which::Number(12)).as_deref(), Some("4_3"));
        assert_eq!(id(Which::Component(8, 1)).as_deref(), Some("8+1"));
        assert_eq!(id(Which::Number(9)).as_deref(), Some("8+1"));
        assert_eq!(id(Which::Task(6, 2)).as_deref(), Some("6_2"));
        for none in [Which::Number(7), Which::Task(4, 9), Which::Number(1)] {
            assert_eq!(id(none), None);
        }
    }

    #[test]
    fn of_an_array_the_first_task_is_taken_and_the_others_are_told() {
        let (job, others) = chosen(QUEUE, &Which::Number(4)).expect("an array");
        assert_eq!((job.as_str(), others.len()), ("4_3", 2));
        let (job, others) = chosen(QUEUE, &Which::Number(8)).expect("components");
        assert_eq!((job.as_str(), others.len()), ("8+0", 0));
        // The first that waits does not count while another runs.
        let queue = "4|4_1|PENDING|x|N/A|N/A||1|a|x\n7|4_2|RUNNING|x|N/A|N/A|n|1|a|x\n";
        let (job, others) = chosen(queue, &Which::Number(4)).expect("an array");
        assert_eq!((job.as_str(), others.len()), ("4_2", 0));
    }

    #[test]
    fn of_a_name_the_one_that_started_last_is_taken() {
        let queue = "\
            7|7|PENDING|x|2026-11-30T14:00:00|N/A||1|a|x\n\
            5|5|RUNNING|x|2026-11-30T12:00:01|N/A|n|1|a|x\n\
            6|6|RUNNING|x|2026-11-30T12:00:00|N/A|n|1|a|x\n\
            8|8|COMPLETING|x|2026-11-30T13:00:00|N/A|n|1|a|x\n";
        let (job, others) = chosen(queue, &named("x")).expect("a job");
        assert_eq!((job.as_str(), others), ("5", vec!["6".to_owned()]));
        assert_eq!(chosen(queue, &named("y")), None);
        assert_eq!(
            chosen(QUEUE, &named("odd |name \u{fc}")).expect("it").0,
            "2"
        );
    }

    #[test]
    fn the_latest_is_the_one_that_started_last() {
        let (job, others) = chosen(QUEUE, &Which::Latest).expect("a job");
        assert_eq!((job.as_str(), others.len()), ("3", 0));
        let waiting: String = QUEUE.lines().take(3).map(|it| format!("{it}\n")).collect();
        assert!(chosen(&waiting, &Which::Latest).is_some());
        assert_eq!(chosen("", &Which::Latest), None);
    }
}
