//! The jobs of this node.

use std::collections::BTreeSet;

use adopt::survey::StepSeen;
use proto::stepd::State;

use crate::ends;
use crate::limits;
use crate::model::{End, Job, Login};
use crate::processes::Process;
use crate::users::Names;

/// A job, before its user has a name.
#[derive(Debug)]
pub(crate) struct Found {
    job: u32,
    pub uid: Option<u32>,
    trouble: Option<String>,
    has_extern_step: bool,
    end: Option<End>,
    cpus: Option<u32>,
    memory: Option<u64>,
}

/// The jobs that have a slurmstepd or a process here, by their numbers.
pub(crate) fn list(steps: &[StepSeen], processes: &[Process]) -> Vec<Found> {
    let of_steps = steps.iter().map(|it| it.job);
    let of_processes = processes.iter().filter_map(|it| it.place.job());
    let jobs: BTreeSet<u32> = of_steps.chain(of_processes).collect();
    let of = |job| {
        let step = steps.iter().find(|it| it.job == job);
        Found::of(job, step, processes)
    };
    jobs.into_iter().map(of).collect()
}

impl Found {
    fn of(job: u32, step: Option<&StepSeen>, processes: &[Process]) -> Self {
        let inside = processes.iter().find(|it| it.place.job() == Some(job));
        let (cpus, memory) = inside.map_or((None, None), |it| limits::limits(&it.cgroups));
        let answer = step.and_then(|it| it.answer.as_ref().ok());
        let is_ending = answer.is_some_and(|it| it.state == State::Ending);
        Self {
            job,
            uid: answer.map(|it| it.uid),
            trouble: match step {
                None => Some("none runs".to_owned()),
                Some(step) => step.answer.as_ref().err().cloned(),
            },
            has_extern_step: step.is_some_and(|it| it.is_extern),
            end: match is_ending {
                true => Some(End::Now),
                false => ends::end(job, processes),
            },
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
            trouble: self.trouble.clone(),
            has_extern_step: self.has_extern_step,
            end: self.end,
            cpus: self.cpus,
            memory: self.memory,
            logins: logins.cloned().collect(),
        }
    }
}
