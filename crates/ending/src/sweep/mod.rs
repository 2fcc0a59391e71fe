//! Ends what is left on the node of users who have no job here any more.
//!
//! Slurm runs an Epilog after the last process of the job has ended, with `RunInJob` from within the stepd of the
//! extern step, which then says that it ends (Slurm 20.11 to 26.05, `req.c`, `mgr.c`). So the job that ends counts as
//! over, whereas one that starts in the same second has a socket in the spool directory before it has a process.
//! What cannot be told is taken for a job: then nothing of the user is ended.

mod ancestry;
mod doubt;
mod halt;
mod process;
mod users;
mod whose;

use std::collections::{BTreeSet, HashSet};
use std::fmt;
use std::io;
use std::thread;
use std::time::Duration;

use adopt::node::Node;
use adopt::survey::{self, Holding, JobsSeen};
use check::host::Host;
use check::host::tree::Tree;
use rustix::process::Signal;
use sys::{Deadline, Proc};

pub use doubt::Doubt;
pub use process::{Process, Standing};
pub use users::{Spared, User};

use crate::sweep::halt::Halt;
use crate::sweep::process::Seen;
use crate::sweep::users::Sparing;
use crate::sweep::whose::Whose;

/// The users to sweep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Whom {
    /// This one, by name or uid.
    One(String),
    /// Everyone who has a process here.
    All,
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The users.
    pub whom: Whom,
    /// Only say what would be ended.
    pub is_dry_run: bool,
    /// The time from SIGTERM to SIGKILL.
    pub grace: Duration,
}

/// A user, and what was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Swept {
    /// The user.
    pub user: User,
    /// The processes that got a signal; in a dry run, those that would.
    pub ended: Vec<Process>,
    /// How it came out.
    pub outcome: Outcome,
}

/// How a user was swept, or why not, or not further.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The user keeps everything.
    Spared(Spared),
    /// The user has this job here.
    HasJob(u32),
    /// It cannot be told whether the user has a job here, or is exempt.
    Unknown(Doubt),
    /// No process of the user is left outside any job.
    Done,
    /// Some would not end.
    Left {
        /// Those.
        left: Vec<Process>,
        /// The reason, if the system gave one.
        cause: Option<String>,
    },
}

/// The reason why nobody could be swept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CannotSweep {
    /// /proc is of another pid namespace.
    ForeignProc,
    /// There is no user of this name, or the user database does not answer.
    NoUser(String),
    /// The node's configuration is unknown; the cause.
    Node(String),
    /// The host is a tree that does not run.
    Tree,
    /// The jobs or the processes cannot be seen.
    Unseen(Doubt),
}

impl fmt::Display for CannotSweep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ForeignProc => f.write_str("/proc is of another pid namespace"),
            Self::NoUser(name) => {
                write!(f, "no user {name:?}, or the user database does not answer")
            }
            Self::Node(cause) => f.write_str(cause),
            Self::Tree => f.write_str("the tree does not run"),
            Self::Unseen(doubt) => doubt.fmt(f),
        }
    }
}

/// The time that slurmstepds get to answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// The time for everything but the questions and the grace: SIGKILL ends a process within it, or none does.
const KILLING: Duration = Duration::from_secs(5);
/// The time that a service manager has to end by itself after SIGKILL has ended what it waited for.
const MANAGER: Duration = Duration::from_secs(3);
/// The time for looking up users and for reading files.
const LOOKING: Duration = Duration::from_secs(15);
/// The time between two looks at whether processes have ended.
const AGAIN: Duration = Duration::from_millis(50);

/// Sweeps. Ends within 45 seconds and the grace, whatever hangs.
///
/// # Errors
/// [`CannotSweep`] if jobs or processes cannot be seen from here, or there is no such user.
pub fn sweep(request: &Request) -> Result<Vec<Swept>, CannotSweep> {
    let limit = LOOKING + 2 * PATIENCE + request.grace + 2 * KILLING;
    let host = Host::new(Tree::live(), Deadline::after(limit));
    let is_own = Proc::mounted().is_ok_and(|it| it.is_own());
    if !is_own {
        return Err(CannotSweep::ForeignProc);
    }
    let one = match &request.whom {
        Whom::One(name) => Some(users::find(name, &host)?),
        Whom::All => None,
    };
    let sparing = Sparing::of(&host);
    // Nobody need ask about root or a system user.
    if let Some(user) = one.as_ref().filter(|it| !sparing.is_ordinary(it.uid)) {
        return Ok(vec![Swept {
            user: user.clone(),
            ended: Vec::new(),
            outcome: Outcome::Spared(Spared::SystemUser),
        }]);
    }
    let node = match host.node() {
        Some(Ok(node)) => node,
        Some(Err(error)) => return Err(CannotSweep::Node(error.to_string())),
        None => return Err(CannotSweep::Tree),
    };
    let jobs = ask(node, &host.deadline).map_err(CannotSweep::Unseen)?;
    let slurmd = node.trusted.slurmd_uid.unwrap_or(0);
    let whose = Whose::read(&host.tree, sparing.ordinary, slurmd);
    let users = match one {
        Some(user) => vec![user],
        None => {
            let seen = processes(&whose).map_err(CannotSweep::Unseen)?;
            let of_people = seen.processes.iter().map(|it| it.uid);
            let uids: BTreeSet<u32> = of_people.filter(|it| sparing.is_ordinary(*it)).collect();
            let named = |uid| users::by_uid(uid, &host);
            uids.into_iter().map(named).collect()
        }
    };
    let mut broom = Broom {
        node,
        sparing,
        whose,
        jobs,
        request,
        ended: Vec::new(),
    };
    let swept = users.into_iter().map(|user| {
        let outcome = broom.sweep(&user);
        let ended = std::mem::take(&mut broom.ended);
        Swept {
            user,
            ended,
            outcome,
        }
    });
    Ok(swept.collect())
}

fn ask(node: &Node, deadline: &Deadline) -> Result<JobsSeen, Doubt> {
    let seen = survey::jobs(node, &deadline.within(PATIENCE));
    seen.map_err(|it| Doubt::Spool(it.to_string()))
}

fn processes(whose: &Whose) -> Result<Seen, Doubt> {
    process::look(whose).map_err(|it| Doubt::Processes(it.to_string()))
}

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

struct Broom<'a> {
    node: &'a Node,
    sparing: Sparing<'a>,
    whose: Whose,
    jobs: JobsSeen,
    request: &'a Request,
    /// What the present user has lost.
    ended: Vec<Process>,
}

impl Broom<'_> {
    fn sweep(&mut self, user: &User) -> Outcome {
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
fn strays(all: &[Process], uid: u32, jobs: &JobsSeen) -> Result<Vec<Process>, Doubt> {
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

#[cfg(test)]
mod tests;
