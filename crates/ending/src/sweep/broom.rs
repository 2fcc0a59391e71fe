//! Sweeps one user after another: finds what stands outside any job, and ends that.

use std::collections::{BTreeSet, HashSet};
use std::io;
use std::thread;
use std::time::Duration;

use adopt::node::Node;
use adopt::survey::{Holding, JobsSeen};
use rustix::process::Signal;
use sys::Deadline;

use crate::sweep::halt::Halt;
use crate::sweep::process::{Process, Seen, Standing};
use crate::sweep::users::{Sparing, User};
use crate::sweep::whose::Whose;
use crate::sweep::{Doubt, KILLING, Outcome, Request, ask, processes};

/// The time that a service manager has to end by itself after SIGKILL has ended what it waited for.
const MANAGER: Duration = Duration::from_secs(3);
/// The time between two looks at whether processes have ended.
const AGAIN: Duration = Duration::from_millis(50);

/// What a user has.
#[derive(Debug)]
struct Look {
    /// Outside any job.
    strays: Vec<Process>,
    /// Its uid, and those that it has in containers.
    uids: BTreeSet<u32>,
    /// Whether a process, perhaps the user's, ended before it could be looked at.
    has_missed: bool,
    /// Whether a process of the user's may stand still: what Slurm has started, such as a Prolog's su(1), stops with its
    /// child, and would not go on with it.
    may_halt: bool,
}

/// What became of the signals to one user's processes.
#[derive(Debug, Default)]
struct Round {
    /// Which processes have got one, by pid and start.
    signalled: HashSet<(i32, u64)>,
    /// The last reason why one did not get it.
    cause: Option<String>,
}

/// When a user's processes get SIGKILL, and when it has been enough.
struct Times {
    grace: Deadline,
    manager: Deadline,
    limit: Deadline,
}

impl Times {
    /// A service manager that is killed leaves a failed unit.
    fn kills(&self, process: &Process) -> bool {
        match process.is_manager() {
            true => self.manager.has_passed(),
            false => self.grace.has_passed(),
        }
    }
}

pub struct Broom<'a> {
    pub node: &'a Node,
    pub sparing: Sparing<'a>,
    pub whose: Whose,
    pub jobs: JobsSeen,
    pub request: &'a Request,
    /// What the present user has lost.
    pub ended: Vec<Process>,
}

impl Broom<'_> {
    pub fn sweep(&mut self, user: &User) -> Outcome {
        match self.sparing.spares(user) {
            Ok(None) => {}
            Ok(Some(why)) => return Outcome::Spared(why),
            Err(cause) => return Outcome::Unknown(cause),
        }
        let whole = &self.sparing.host.deadline;
        if whole.has_passed() {
            return Outcome::Unknown(Doubt::NoTime);
        }
        let within = |time| whole.within(self.request.grace + time);
        let times = Times {
            grace: within(Duration::ZERO),
            manager: within(MANAGER),
            limit: within(KILLING),
        };
        match self.sweep_until(user, &times) {
            Ok(outcome) | Err(outcome) => outcome,
        }
    }

    /// SIGTERM, then after the grace SIGKILL, again and again for what they have started meanwhile.
    fn sweep_until(&mut self, user: &User, times: &Times) -> Result<Outcome, Outcome> {
        let mut round = Round::default();
        loop {
            let mut seen = self.look(user)?;
            if self.request.is_dry_run {
                self.ended = seen.strays;
                return Ok(Outcome::Done);
            }
            // What forks and ends before it is seen, or faster than it is ended, is looked at while it stands still.
            let forks = match seen.strays.is_empty() {
                true => seen.has_missed,
                // Not while a service manager has its time: what stands still cannot end by itself.
                false => seen.strays.iter().any(|it| times.kills(it)),
            };
            let halt = (forks && seen.may_halt)
                .then(|| Halt::of(std::mem::take(&mut seen.uids), &times.limit));
            if halt.is_some() {
                seen.strays = self.look(user)?.strays;
            }
            if seen.strays.is_empty() {
                return Ok(Outcome::Done);
            }
            if times.limit.has_passed() {
                let (left, cause) = (seen.strays, round.cause);
                return Ok(Outcome::Left { left, cause });
            }
            for process in seen.strays {
                if times.limit.has_passed() {
                    break;
                }
                let kills = times.kills(&process);
                self.end(user, process, kills, &mut round)?;
            }
            drop(halt);
            thread::sleep(AGAIN.min(times.limit.remaining()));
        }
    }

    /// Sends a process SIGTERM, or SIGKILL.
    fn end(
        &mut self,
        user: &User,
        process: Process,
        kills: bool,
        round: &mut Round,
    ) -> Result<(), Outcome> {
        let is_known = !round.signalled.insert((process.pid, process.start));
        // SIGTERM only once: what it starts, such as a shell's trap, must have its time.
        if kills || !is_known {
            let signal = match kills {
                true => Signal::KILL,
                false => Signal::TERM,
            };
            if let Err(error) = self.signal(user, &process, signal)? {
                round.cause = Some(format!("pid {}: {error}", process.pid));
            }
        }
        if !is_known {
            self.ended.push(process);
        }
        Ok(())
    }

    /// Fails if anything of the user is to be left alone.
    fn has_no_job(&self, user: &User) -> Result<(), Outcome> {
        match self.jobs.of_user(user.uid) {
            Holding::Job(job) => return Err(Outcome::HasJob(job)),
            Holding::Unknown(cause) => return Err(Outcome::Unknown(Doubt::Job(cause))),
            Holding::Nothing => {}
        }
        match self.node.conf.other_tracking() {
            Some(other) => Err(Outcome::Unknown(Doubt::OtherTracking(other.to_owned()))),
            None => Ok(()),
        }
    }

    /// Asks again if a step has started since.
    fn still_has_no_job(&mut self, user: &User) -> Result<(), Outcome> {
        if !self.jobs.is_current(self.node) {
            self.jobs = ask(self.node, &self.sparing.host.deadline).map_err(Outcome::Unknown)?;
        }
        self.has_no_job(user)
    }

    fn look(&mut self, user: &User) -> Result<Look, Outcome> {
        let Seen {
            processes,
            has_missed,
            served,
        } = processes(&self.whose).map_err(Outcome::Unknown)?;
        // After the processes, among which may be those of a new job.
        self.still_has_no_job(user)?;
        let strays = strays(&processes, user.uid, &self.jobs).map_err(Outcome::Unknown)?;
        let own = processes.iter().filter(|it| it.uid == user.uid);
        let uids = own.map(|it| it.real_uid).chain([user.uid]);
        Ok(Look {
            strays,
            uids: uids.collect(),
            has_missed,
            may_halt: !served.contains(&user.uid),
        })
    }

    /// Signals a process that still stands outside any job, if its user still has none.
    fn signal(
        &mut self,
        user: &User,
        process: &Process,
        signal: Signal,
    ) -> Result<io::Result<()>, Outcome> {
        let held = match process.hold(&self.whose) {
            Ok(Some(held)) => held,
            Ok(None) => return Ok(Ok(())),
            // Linux before 5.3.
            Err(error) if error.kind() == io::ErrorKind::Unsupported => {
                return Err(Outcome::Unknown(Doubt::Hold(error.to_string())));
            }
            Err(error) => return Ok(Err(error)),
        };
        self.still_has_no_job(user)?;
        Ok(match held.process.standing(&self.jobs) {
            Standing::Outside => held.signal(signal),
            Standing::Job(_) | Standing::UnknownJob(_) => Ok(()),
        })
    }
}

/// The processes of a user outside any job.
///
/// # Errors
/// [`Doubt::UnknownJob`]: a process stands in a job of which no slurmstepd tells.
pub fn strays(all: &[Process], uid: u32, jobs: &JobsSeen) -> Result<Vec<Process>, Doubt> {
    let mut strays = Vec::new();
    for process in all.iter().filter(|it| it.uid == uid) {
        match process.standing(jobs) {
            Standing::Outside => strays.push(process.clone()),
            // What SIGKILL did not end, or what a killed stepd has left.
            Standing::Job(_) => {}
            Standing::UnknownJob(Some(job)) if jobs.is_over(job) => {}
            Standing::UnknownJob(job) => {
                let pid = process.pid;
                return Err(Doubt::UnknownJob { pid, job });
            }
        }
    }
    Ok(strays)
}
