//! The jobs of this node.

use std::collections::BTreeSet;

use adopt::survey::{Answer, StepSeen, StepsSeen};

use crate::ends;
use crate::limits;
use crate::model::{End, Job, Login, StepState};
use crate::processes::Process;
use crate::users::Names;

/// A job, before its user has a name.
#[derive(Debug)]
pub(crate) struct Found {
    job: u32,
    pub uid: Option<u32>,
    state: Option<StepState>,
    trouble: Option<String>,
    has_extern_step: bool,
    end: Option<End>,
    cpus: Option<u32>,
    memory: Option<u64>,
}

/// The jobs that have a slurmstepd or a process here, by their numbers.
pub(crate) fn list(seen: &StepsSeen, processes: &[Process]) -> Vec<Found> {
    let steps = || seen.steps.iter().chain(&seen.without_extern);
    let of_steps = steps().map(|it| it.job);
    let of_processes = processes.iter().filter_map(|it| it.place.job());
    let unreachable = seen.unreachable.iter().map(|(job, _)| *job);
    let jobs: BTreeSet<u32> = of_steps.chain(of_processes).chain(unreachable).collect();
    let of = |job| {
        let step = steps().find(|it| it.job == job);
        let cause = seen.unreachable.iter().find(|(it, _)| *it == job);
        let trouble = match (step, cause) {
            (_, Some((_, cause))) => Some(cause.to_string()),
            (Some(step), None) => trouble(&step.answer),
            (None, None) => Some("none here (another slurmd's job?)".to_owned()),
        };
        Found {
            trouble,
            // Of a job whose slurmstepd is not known it cannot be said.
            has_extern_step: !seen.without_extern.iter().any(|it| it.job == job),
            ..Found::of(job, step, processes)
        }
    };
    jobs.into_iter().map(of).collect()
}

fn trouble(answer: &Answer) -> Option<String> {
    match answer {
        Answer::Step { .. } => None,
        Answer::Silent => Some("does not answer".to_owned()),
        Answer::Stale => Some("ended and left its socket".to_owned()),
        Answer::Failed(cause) => Some(cause.clone()),
    }
}

impl Found {
    fn of(job: u32, step: Option<&StepSeen>, processes: &[Process]) -> Self {
        let inside = processes.iter().find(|it| it.place.job() == Some(job));
        let (cpus, memory) = inside.map_or((None, None), |it| limits::limits(&it.cgroups));
        let state = step.and_then(|it| match it.answer {
            Answer::Step { state, .. } => Some(state),
            _ => None,
        });
        Self {
            job,
            uid: step.and_then(|it| it.owner),
            state,
            trouble: None,
            has_extern_step: true,
            end: ends::end(job, processes),
            cpus,
            memory,
        }
    }

    /// The job with its user's name and its logins.
    pub fn named(&self, names: &Names, logins: &[Login]) -> Job {
        let logins = logins.iter().filter(|it| it.job == Some(self.job));
        Job {
            job: self.job,
            user: self.uid.map(|uid| names.account(uid)),
            state: self.state,
            trouble: self.trouble.clone(),
            has_extern_step: self.has_extern_step,
            end: self.end,
            cpus: self.cpus,
            memory: self.memory,
            logins: logins.cloned().collect(),
        }
    }
}
