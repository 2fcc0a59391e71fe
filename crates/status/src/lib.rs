//! Finds the logins of this node, the jobs that hold them, and what of users runs outside any job.
//!
//! [`look`] asks the slurmstepds which jobs are here and reads /proc for the rest: a login belongs to the job whose
//! cgroup its process is in, whatever the login was told. Nothing here changes the node.
#![forbid(unsafe_code)]

mod ends;
mod jobs;
mod limits;
mod logins;
mod logs;
mod model;
mod outside;
mod peers;
mod place;
mod processes;
mod refused;
mod users;

use std::fmt;
use std::time::Duration;

use adopt::node::Node;
use adopt::survey;
use check::host::Host;
use check::host::tree::Tree;
use check::host::users::Ordinary;
use jiff::Timestamp;
use sys::Deadline;

pub use logs::NotKnown;
pub use model::{Account, End, Job, Kind, Login, Outsider, Refusal, Status, StepState};

use crate::place::{Place, Places};
use crate::processes::Process;
use crate::users::Names;

/// What to look at.
#[derive(Debug, Clone, Copy)]
pub struct Request {
    /// Leave out what is not the caller's own, as always without root.
    pub is_mine: bool,
    /// When what hangs is given up.
    pub limit: Duration,
}

/// The reason why nothing can be shown.
#[derive(Debug)]
pub struct NothingSeen(String);

impl fmt::Display for NothingSeen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The time that slurmstepds get at most.
const PATIENCE: Duration = Duration::from_secs(2);

/// Looks at this node once.
///
/// # Errors
/// [`NothingSeen`] if Slurm is not set up here or its steps cannot be found.
pub fn look(request: &Request) -> Result<Status, NothingSeen> {
    let host = Host::new(Tree::live(), Deadline::after(request.limit));
    let caller = sys::effective_uid();
    let only = (request.is_mine || caller != 0).then_some(caller);
    Ok(Sight::of(&host, only)?.status())
}

/// The jobs here and the logins in them, and nothing else: for who looks once a minute.
///
/// # Errors
/// As [`look`].
pub fn jobs(limit: Duration) -> Result<Vec<Job>, NothingSeen> {
    let host = Host::new(Tree::live(), Deadline::after(limit));
    let sight = Sight::of(&host, None)?;
    let ordinary = Ordinary::read(&host.tree);
    let found = logins::find(&sight.processes, &|uid| ordinary.has(uid));
    let jobs = jobs::list(&sight.steps, &sight.processes);
    let (names, peers) = (Names::default(), peers::Peers::default());
    let logins: Vec<_> = found.iter().map(|it| it.named(&names, &peers)).collect();
    Ok(jobs.iter().map(|it| it.named(&names, &logins)).collect())
}

/// What was seen, before it is put in order.
struct Sight<'a> {
    host: &'a Host,
    node: &'a Node,
    steps: survey::StepsSeen,
    processes: Vec<Process>,
    /// The user whose own alone is shown.
    only: Option<u32>,
}

impl<'a> Sight<'a> {
    fn of(host: &'a Host, only: Option<u32>) -> Result<Self, NothingSeen> {
        let nothing = |cause: &dyn fmt::Display| NothingSeen(cause.to_string());
        let node = match host.node() {
            Some(Ok(node)) => node,
            Some(Err(error)) => return Err(nothing(error)),
            None => return Err(nothing(&"the tree does not run")),
        };
        // A silent slurmstepd must leave time for the rest.
        let steps = survey::steps(node, &host.deadline.within(PATIENCE));
        if let Some(problem) = &steps.problem {
            let told = match problem.means_no_slurm() {
                true => " (no slurmd has run here)",
                false => "",
            };
            return Err(nothing(&format!("spool directory: {problem}{told}")));
        }
        let places = Places::of(&steps, node.conf.other_tracking().is_none());
        let processes = processes::all(&places);
        Ok(Self {
            host,
            node,
            steps,
            processes,
            only,
        })
    }

    fn status(self) -> Status {
        let ordinary = Ordinary::read(&self.host.tree);
        let is_shown = |uid: u32| self.only.is_none_or(|only| only == uid);
        let found = logins::find(&self.processes, &|uid| ordinary.has(uid) && is_shown(uid));
        let mut jobs = jobs::list(&self.steps, &self.processes);
        jobs.retain(|job| match job.uid {
            Some(uid) => is_shown(uid),
            None => self.only.is_none(),
        });
        let outside = outside::list(&self.processes, &found, &|uid| {
            ordinary.has(uid) && is_shown(uid)
        });
        let uids = jobs.iter().filter_map(|it| it.uid);
        let uids = uids
            .chain(outside.iter().map(|it| it.uid))
            .chain(found.iter().map(|it| it.uid));
        let names = Names::of(uids.collect(), self.host);
        let peers = peers::Peers::read();
        let logins: Vec<_> = found.iter().map(|it| it.named(&names, &peers)).collect();
        let exempt = &self.host.options().exempt;
        Status {
            host: sys::hostname().unwrap_or_else(|_| "localhost".to_owned()),
            taken: Timestamp::now(),
            is_all: self.only.is_none(),
            jobs: jobs.iter().map(|it| it.named(&names, &logins)).collect(),
            outside: outside
                .iter()
                .map(|it| it.named(&names, &peers, exempt, &self.host.deadline))
                .collect(),
            refused: match self.only {
                Some(_) => Err(NotKnown::ForRoot),
                None => logs::refusals(self.host),
            },
            notes: self.notes(),
        }
    }

    /// What could not be seen.
    fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if let Some(tracking) = self.node.conf.other_tracking() {
            notes.push(format!(
                "ProctrackType={tracking}: cgroups do not always show which process is in which job"
            ));
        }
        let is_lost = |it: &&Process| it.place == Place::UnknownJob;
        let lost = self.processes.iter().filter(is_lost).count();
        if lost > 0 {
            notes.push(format!(
                "{lost} processes are in steps, but no slurmstepd tells of which jobs"
            ));
        }
        if !processes::sees_others() {
            notes.push("/proc hides the processes of other users (hidepid)".to_owned());
        }
        notes
    }
}
