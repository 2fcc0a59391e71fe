//! Ends what is left on the node of users who have no job here any more.
//!
//! Slurm runs an Epilog after the last process of the job has ended, with `RunInJob` from within the stepd of the
//! extern step, which then says that it ends (Slurm 20.11 to 26.05, `req.c`, `mgr.c`). So the job that ends counts as
//! over, whereas one that starts in the same second has a socket in the spool directory before it has a process.
//! What cannot be told is taken for a job: then nothing of the user is ended.

mod process;
mod users;

use std::collections::BTreeSet;
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

pub use process::{Process, Standing};
pub use users::{Spared, User};

use crate::sweep::users::Sparing;

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
    /// It cannot be told whether the user has a job here, or is exempt; the cause.
    Unknown(String),
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
pub struct CannotSweep(String);

impl fmt::Display for CannotSweep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
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
    let cannot = |cause: &dyn fmt::Display| CannotSweep(cause.to_string());
    let is_own = Proc::mounted().is_ok_and(|it| it.is_own());
    if !is_own {
        return Err(CannotSweep("/proc is of another pid namespace".to_owned()));
    }
    let one = match &request.whom {
        Whom::One(name) => Some(users::find(name, &host).map_err(CannotSweep)?),
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
        Some(Err(error)) => return Err(cannot(error)),
        None => return Err(cannot(&"the tree does not run")),
    };
    let jobs = ask(node, &host.deadline).map_err(CannotSweep)?;
    let users = match one {
        Some(user) => vec![user],
        None => {
            let processes = process::all().map_err(|it| cannot(&format!("read /proc: {it}")))?;
            let of_people = processes.iter().map(|it| it.uid);
            let uids: BTreeSet<u32> = of_people.filter(|it| sparing.is_ordinary(*it)).collect();
            let named = |uid| users::by_uid(uid, &host);
            uids.into_iter().map(named).collect()
        }
    };
    let mut broom = Broom {
        node,
        sparing,
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

fn ask(node: &Node, deadline: &Deadline) -> Result<JobsSeen, String> {
    let seen = survey::jobs(node, &deadline.within(PATIENCE));
    seen.map_err(|it| format!("spool directory: {it}"))
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
            return Outcome::Unknown("no time is left".to_owned());
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
        let mut cause = None;
        loop {
            let left = self.strays(user)?;
            if self.request.is_dry_run {
                self.ended = left;
                return Ok(Outcome::Done);
            }
            if left.is_empty() {
                return Ok(Outcome::Done);
            }
            if times.limit.has_passed() {
                return Ok(Outcome::Left { left, cause });
            }
            for process in left {
                let kills = times.kills(&process);
                let is_known = self.ended.iter().any(|it| is_same(it, &process));
                // SIGTERM only once: what it starts, such as a shell's trap, must have its time.
                if kills || !is_known {
                    let signal = if kills { Signal::KILL } else { Signal::TERM };
                    if let Err(error) = self.signal(user, &process, signal)? {
                        cause = Some(format!("pid {}: {error}", process.pid));
                    }
                }
                if !is_known {
                    self.ended.push(process);
                }
            }
            thread::sleep(AGAIN.min(times.limit.remaining()));
        }
    }

    /// Fails if anything of the user is to be left alone.
    fn has_no_job(&self, user: &User) -> Result<(), Outcome> {
        match self.jobs.of_user(user.uid) {
            Holding::Job(job) => return Err(Outcome::HasJob(job)),
            Holding::Unknown(cause) => return Err(Outcome::Unknown(cause)),
            Holding::Nothing => {}
        }
        match self.node.conf.other_tracking() {
            Some(other) => Err(Outcome::Unknown(format!(
                "ProctrackType={other}: cgroups do not tell what is in a job"
            ))),
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

    fn strays(&mut self, user: &User) -> Result<Vec<Process>, Outcome> {
        let all = process::all();
        let all = all.map_err(|it| Outcome::Unknown(format!("read /proc: {it}")))?;
        // After the processes, among which may be those of a new job.
        self.still_has_no_job(user)?;
        strays(&all, user.uid, &self.jobs).map_err(Outcome::Unknown)
    }

    /// Signals a process that still stands outside any job, if its user still has none.
    fn signal(
        &mut self,
        user: &User,
        process: &Process,
        signal: Signal,
    ) -> Result<io::Result<()>, Outcome> {
        let held = match process.hold() {
            Ok(Some(held)) => held,
            Ok(None) => return Ok(Ok(())),
            // Linux before 5.3.
            Err(error) if error.kind() == io::ErrorKind::Unsupported => {
                return Err(Outcome::Unknown(format!("pidfd_open: {error}")));
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

fn is_same(one: &Process, other: &Process) -> bool {
    (one.pid, one.start) == (other.pid, other.start)
}

/// The processes of a user outside any job.
///
/// # Errors
/// The reason why it is not known whether the user is in a job: a process stands in one of which no slurmstepd tells.
fn strays(all: &[Process], uid: u32, jobs: &JobsSeen) -> Result<Vec<Process>, String> {
    let mut strays = Vec::new();
    for process in all.iter().filter(|it| it.uid == uid) {
        match process.standing(jobs) {
            Standing::Outside => strays.push(process.clone()),
            // What SIGKILL did not end, or what a killed stepd has left.
            Standing::Job(_) => {}
            Standing::UnknownJob(Some(job)) if jobs.is_over(job) => {}
            Standing::UnknownJob(job) => {
                let job = job.map_or("a job".to_owned(), |it| format!("job {it}"));
                let pid = process.pid;
                return Err(format!(
                    "pid {pid} is in the cgroup of {job}, of which no slurmstepd tells"
                ));
            }
        }
    }
    Ok(strays)
}

#[cfg(test)]
mod tests;
