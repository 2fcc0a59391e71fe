//! Finds the job, and waits until it runs.

use std::time::Duration;

use proto::hostlist;

use crate::choose::{Choice, choose};
use crate::client::Client;
use crate::error::Error;
use crate::queue::{Job, Phase};
use crate::slurm::Slurm;
use crate::target::{Target, Which};

/// The pause between two looks at the queue: each costs slurmctld something, and who waits long waits for minutes.
const PAUSES: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(10)];
/// How often the queue may be unreadable, one time after the other, while a job is waited for.
const FAILURES: u32 = 5;

/// A node of a job that runs.
#[derive(Debug)]
pub struct Found {
    /// The job.
    pub job: Job,
    /// The node's name in slurm.conf.
    pub node: String,
    /// Whether the user has other jobs on that node.
    pub has_others: bool,
}

/// Finds the job and waits until it runs, while `client` is there. What is to be told meanwhile goes to `say`.
///
/// # Errors
/// [`Error`].
pub fn find(
    target: &Target,
    client: &Client<'_>,
    say: &mut dyn FnMut(&str),
) -> Result<Found, Error> {
    wait(
        target.node,
        client,
        say,
        &mut |jobs, _| match choose(jobs, &target.which) {
            Some(choice) => Ok(Some(choice)),
            None => Err(absence(&target.which, jobs)?),
        },
    )
}

/// Finds the job among the user's; none if it was submitted only now, and is to be looked for again.
pub(crate) type Pick<'p> =
    dyn for<'a> FnMut(&'a [Job], &mut dyn FnMut(&str)) -> Result<Option<Choice<'a>>, Error> + 'p;

/// Waits until the job that `pick` finds runs, while `client` is there.
pub(crate) fn wait(
    node: u32,
    client: &Client<'_>,
    say: &mut dyn FnMut(&str),
    pick: &mut Pick<'_>,
) -> Result<Found, Error> {
    let mut progress = Progress::default();
    let mut failures = FAILURES;
    let mut pause = PAUSES[0];
    loop {
        match Slurm.own_jobs() {
            Ok(jobs) => {
                failures = 0;
                if let Some(choice) = pick(&jobs, say)? {
                    if choice.job.phase() == Phase::Running {
                        if let Some(line) = others(choice.job, &choice.others) {
                            say(&line);
                        }
                        return found(choice.job, node, &jobs);
                    }
                    if let Some(line) = progress.news(choice.job) {
                        say(&line);
                    }
                }
            }
            // slurmctld may be restarted while somebody waits; but the first look must succeed.
            Err(_) if failures < FAILURES => failures += 1,
            Err(error) => return Err(error),
        }
        if client.is_gone_within(pause).map_err(Error::Client)? {
            return Err(Error::Gone);
        }
        pause = (pause * 3 / 2).min(PAUSES[1]);
    }
}

fn found(job: &Job, node: u32, jobs: &[Job]) -> Result<Found, Error> {
    let failed = |cause| Error::Nodes {
        list: job.nodes.clone(),
        cause,
    };
    let nodes = hostlist::count(&job.nodes).map_err(failed)?;
    let name = match u64::from(node) < nodes {
        true => hostlist::nth_or_last(&job.nodes, node.into()).map_err(failed)?,
        false => None,
    };
    let node = name.ok_or_else(|| Error::NoNode {
        job: job.id.clone(),
        node,
        nodes,
    })?;
    let has_others = jobs.iter().any(|it| it.id != job.id && it.is_on(&node));
    Ok(Found {
        job: job.clone(),
        node,
        has_others,
    })
}

/// Why none of the user's jobs is the one that is named.
pub(crate) fn absence(which: &Which, own: &[Job]) -> Result<Error, Error> {
    let number = match which {
        Which::Number(number) | Which::Task(number, _) | Which::Component(number, _) => *number,
        Which::Latest => return Ok(Error::NoJob),
        Which::Name(_) if own.is_empty() => return Ok(Error::NoJob),
        Which::Name(name) => {
            let mut own: Vec<_> = own.iter().collect();
            own.sort_by_key(|it| it.number);
            let jobs: Vec<_> = own
                .iter()
                .map(|it| format!("{} {}", it.id, it.name))
                .collect();
            return Ok(Error::NoName {
                name: name.clone(),
                jobs: shortened(&jobs, ", "),
            });
        }
    };
    let all = Slurm.jobs_of_number(number)?;
    let is_part = matches!(which, Which::Task(..) | Which::Component(..));
    let named = all
        .iter()
        .find(|it| format!("job {}", it.id) == which.to_string());
    Ok(match named.or(all.first()) {
        None => Error::Unknown {
            which: which.clone(),
            cluster: Slurm.cluster(),
        },
        Some(job) if job.uid != rustix::process::getuid().as_raw() => Error::NotYours {
            job: number.to_string(),
            owner: job.user.clone(),
        },
        Some(_) if is_part && named.is_none() => Error::NoPart(which.clone()),
        Some(job) => Error::Over {
            job: job.id.clone(),
            state: job.state.clone(),
            end: job.end.clone().unwrap_or_else(|| "just now".to_owned()),
        },
    })
}

/// A list, not longer than a line.
fn shortened(items: &[String], between: &str) -> String {
    const MOST: usize = 4;
    let shown = items.iter().take(MOST).cloned().collect::<Vec<_>>();
    match items.len() {
        count if count > MOST => format!("{} and {} more", shown.join(between), count - MOST),
        _ => shown.join(between),
    }
}

/// A line about other jobs that the user may have meant.
fn others(job: &Job, others: &[&Job]) -> Option<String> {
    let ids: Vec<_> = others.iter().map(|it| format!("job-{}", it.id)).collect();
    (!ids.is_empty()).then(|| {
        let ids = shortened(&ids, ", ");
        format!("this is job {}; also there: {ids}", job.id)
    })
}

/// What has been told about a job that waits.
#[derive(Debug, Default)]
struct Progress {
    told: Option<(String, String, bool)>,
}

impl Progress {
    /// A line, if there is something new but a later or earlier start.
    fn news(&mut self, job: &Job) -> Option<String> {
        let now = (
            job.id.clone(),
            job.state.clone() + &job.reason,
            job.start.is_some(),
        );
        if self.told.as_ref() == Some(&now) {
            return None;
        }
        self.told = Some(now);
        let state = job.state.to_ascii_lowercase();
        let reason = match job.reason.as_str() {
            "None" | "" => String::new(),
            reason => format!(" ({reason})"),
        };
        let start = match (&job.start, job.state.as_str()) {
            (Some(start), "PENDING") => format!(", expected to start {start}"),
            _ => String::new(),
        };
        Some(format!("waiting: job {} is {state}{reason}{start}", job.id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::samples::QUEUE;

    #[test]
    fn the_node_is_found_by_its_place() {
        let jobs = Job::parse(QUEUE);
        let two = jobs.iter().find(|it| it.number == 2).expect("job 2");
        let node = |place| found(two, place, &jobs).map(|it| (it.node, it.has_others));
        assert_eq!(node(0).expect("first"), ("node1".to_owned(), true));
        assert_eq!(node(1).expect("second"), ("node2".to_owned(), true));
        let text = node(2).expect_err("third").to_string();
        assert_eq!(text, "job 2 has no node 2: it has 2, counted from 0");
        let alone = std::slice::from_ref(two);
        assert!(!found(two, 0, alone).expect("first").has_others);
    }

    #[test]
    fn progress_is_told_once_and_when_the_reason_changes() {
        let jobs = Job::parse(QUEUE);
        let mut job = jobs[0].clone();
        let mut progress = Progress::default();
        let line = "waiting: job 5 is pending (BeginTime), expected to start 2026-11-30T13:49:30";
        assert_eq!(progress.news(&job).as_deref(), Some(line));
        job.start = Some("2026-11-30T14:00:00".to_owned());
        assert_eq!(progress.news(&job), None);
        job.reason = "Priority".to_owned();
        job.start = None;
        let line = "waiting: job 5 is pending (Priority)";
        assert_eq!(progress.news(&job).as_deref(), Some(line));
        job.state = "CONFIGURING".to_owned();
        job.reason = "None".to_owned();
        let line = "waiting: job 5 is configuring";
        assert_eq!(progress.news(&job).as_deref(), Some(line));
    }

    #[test]
    fn other_jobs_that_may_be_meant_are_told() {
        let jobs = Job::parse(QUEUE);
        let rest: Vec<_> = jobs[..6].iter().collect();
        let line = "this is job 4_5; also there: job-5, job-6_1, job-6_2, job-8+0 and 2 more";
        assert_eq!(others(&jobs[9], &rest).as_deref(), Some(line));
        assert_eq!(others(&jobs[9], &[]), None);
    }
}
