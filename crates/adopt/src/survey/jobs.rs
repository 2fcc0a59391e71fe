//! The jobs that users have here, for who ends what is left of users without one: each step is asked, and a silent one
//! is not taken for none.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use proto::stepd::State;
use sys::Deadline;

use crate::adoption::steps::Steps;
use crate::log::Log;
use crate::node::Node;
use crate::stepd::heard::{Heard, Reply, ask_each};
use crate::stepd::owners::Identity;
use crate::stepd::spool::{self, Socket};
use crate::trust::DirectoryError;

/// The time after which a socket where nobody listens is asked again: between bind(2) and listen(2) a stepd that has
/// just started refuses too.
const STARTING: Duration = Duration::from_millis(100);

/// The jobs with steps here.
#[derive(Debug, Default)]
pub struct JobsSeen {
    jobs: BTreeMap<u32, JobSeen>,
    /// The sockets that were asked.
    asked: Vec<Identity>,
    /// Those of them where nobody listened, by path: a stepd that has just started may do so later.
    gone: Vec<PathBuf>,
}

/// A job with steps here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobSeen {
    /// Its owner; None if none of its stepds says.
    pub owner: Option<u32>,
    /// Whether it runs.
    pub life: Life,
    /// The cgroups of its steps, by the stepd of the extern step.
    pub steps: Option<Steps>,
}

/// Whether a job runs here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Life {
    /// One of its steps starts or runs.
    Runs,
    /// All of its steps here end, which they say after their last process has ended (`mgr.c`), or were killed: nobody
    /// listens any more.
    Over,
    /// A stepd does not tell; the cause.
    Unknown(String),
}

/// Whether a user has a job here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Holding {
    /// This one.
    Job(u32),
    /// None.
    Nothing,
    /// It cannot be told; the cause.
    Unknown(String),
}

/// Asks the stepd of each step here, at the same time. Takes no longer than twice the deadline.
///
/// # Errors
/// `DirectoryError` if the steps cannot be found.
pub fn jobs(node: &Node, deadline: &Deadline) -> Result<JobsSeen, DirectoryError> {
    let found = spool::every_step(node)?;
    let asked = found.sockets.iter().map(|it| it.identity).collect();
    let heard = ask_twice(found.sockets, node, deadline);
    let gone = heard.iter().filter(|it| matches!(it.reply, Reply::Gone));
    let gone = gone.map(|it| it.socket.path.clone()).collect();
    let mut jobs = BTreeMap::new();
    for it in &heard {
        add(&mut jobs, it);
    }
    for (job, cause) in found.unreachable {
        let job: &mut JobSeen = jobs.entry(job).or_default();
        job.life.weigh(Life::Unknown(cause.to_string()));
    }
    Ok(JobsSeen { jobs, asked, gone })
}

fn ask_twice(sockets: Vec<Socket>, node: &Node, deadline: &Deadline) -> Vec<Heard> {
    let log = Log::silent();
    let heard = ask_each(sockets.into_iter(), node, deadline, log);
    let is_gone = |it: &Heard| matches!(it.reply, Reply::Gone);
    let (gone, mut heard): (Vec<_>, Vec<_>) = heard.into_iter().partition(is_gone);
    if gone.is_empty() {
        return heard;
    }
    thread::sleep(STARTING);
    let still_there = gone
        .iter()
        .filter_map(|it| Socket::of_step(it.socket.job.job, &it.socket.path, &node.trusted));
    heard.extend(ask_each(still_there, node, deadline, log));
    heard
}

fn add(jobs: &mut BTreeMap<u32, JobSeen>, heard: &Heard) {
    let number = heard.socket.job.job;
    let job = jobs.entry(number).or_default();
    if heard.pid != 0 {
        let steps = Steps::beside(number, heard.pid, Log::silent());
        job.steps = job.steps.take().filter(Steps::is_known).or(Some(steps));
    }
    job.life.weigh(match &heard.reply {
        Reply::Owner(told) => {
            job.owner = Some(told.uid);
            match told.state {
                State::Starting | State::Running => Life::Runs,
                State::Ending => Life::Over,
            }
        }
        Reply::Gone => Life::Over,
        Reply::Silent => Life::Unknown(format!("the slurmstepd of job {number} does not answer")),
        Reply::Failed(cause) => Life::Unknown(format!("the slurmstepd of job {number}: {cause}")),
    });
}

impl Default for JobSeen {
    fn default() -> Self {
        Self {
            owner: None,
            life: Life::Over,
            steps: None,
        }
    }
}

impl Life {
    /// Adds what another step tells: one that runs counts most, then one that does not tell.
    fn weigh(&mut self, other: Self) {
        let weight = |it: &Self| match it {
            Self::Runs => 2,
            Self::Unknown(_) => 1,
            Self::Over => 0,
        };
        if weight(&other) > weight(self) {
            *self = other;
        }
    }
}

impl JobsSeen {
    /// The jobs, by their numbers.
    #[must_use]
    pub fn of(jobs: BTreeMap<u32, JobSeen>) -> Self {
        Self {
            jobs,
            ..Self::default()
        }
    }

    /// The job that a user has here.
    #[must_use]
    pub fn of_user(&self, uid: u32) -> Holding {
        let runs = |it: &(&u32, &JobSeen)| it.1.life == Life::Runs && it.1.owner == Some(uid);
        if let Some((job, _)) = self.jobs.iter().find(runs) {
            return Holding::Job(*job);
        }
        let may_be_own = |it: &&JobSeen| it.owner.is_none_or(|owner| owner == uid);
        let mut unclear = self.jobs.values().filter(may_be_own);
        let cause = unclear.find_map(|it| match &it.life {
            Life::Unknown(cause) => Some(cause.clone()),
            Life::Runs => Some("a job runs here whose owner no slurmstepd tells".to_owned()),
            Life::Over => None,
        });
        cause.map_or(Holding::Nothing, Holding::Unknown)
    }

    /// The job that holds a process with this /proc/PID/cgroup.
    #[must_use]
    pub fn holding(&self, cgroups: &str) -> Option<u32> {
        let mut jobs = self.jobs.iter();
        let holds = |it: &JobSeen| {
            let steps = it.steps.as_ref();
            steps.is_some_and(|it| it.step_in(cgroups).is_some())
        };
        jobs.find(|(_, it)| holds(it)).map(|(job, _)| *job)
    }

    /// Whether all steps of this job here have ended.
    #[must_use]
    pub fn is_over(&self, job: u32) -> bool {
        self.jobs.get(&job).is_some_and(|it| it.life == Life::Over)
    }

    /// Whether no step has started since: a step has a socket before it has a process, and listens there.
    #[must_use]
    pub fn is_current(&self, node: &Node) -> bool {
        if self.gone.iter().any(|it| spool::listens(it)) {
            return false;
        }
        spool::every_step(node).is_ok_and(|now| {
            let is_known = |it: &Socket| self.asked.contains(&it.identity);
            now.unreachable.is_empty() && now.sockets.iter().all(is_known)
        })
    }
}

impl fmt::Display for Holding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Job(job) => write!(f, "has job {job} here"),
            Self::Nothing => f.write_str("has no job here"),
            Self::Unknown(cause) => f.write_str(cause),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(owner: Option<u32>, lives: &[Life]) -> JobSeen {
        let mut job = JobSeen {
            owner,
            ..JobSeen::default()
        };
        for life in lives {
            job.life.weigh(life.clone());
        }
        job
    }

    #[test]
    fn the_job_of_a_user() {
        let silent = || Life::Unknown("silent".into());
        let unknown = || Holding::Unknown("silent".into());
        let (alice, bob) = (Some(2001), Some(2002));
        for (jobs, expected) in [
            (vec![], Holding::Nothing),
            (vec![job(bob, &[Life::Runs])], Holding::Nothing),
            (vec![job(alice, &[Life::Runs])], Holding::Job(0)),
            // The extern step ends first, while the batch step still has processes.
            (vec![job(alice, &[Life::Over, Life::Runs])], Holding::Job(0)),
            (vec![job(alice, &[Life::Over])], Holding::Nothing),
            (vec![job(alice, &[silent()])], unknown()),
            (vec![job(alice, &[Life::Over, silent()])], unknown()),
            (vec![job(None, &[silent()])], unknown()),
            (vec![job(bob, &[silent()])], Holding::Nothing),
            (
                vec![job(None, &[silent()]), job(alice, &[Life::Runs])],
                Holding::Job(1),
            ),
            (vec![job(None, &[Life::Over])], Holding::Nothing),
        ] {
            let told = format!("{jobs:?}");
            let seen = JobsSeen::of((0..).zip(jobs).collect());
            assert_eq!(seen.of_user(2001), expected, "{told}");
        }
    }
}
