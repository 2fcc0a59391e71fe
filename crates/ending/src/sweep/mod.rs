//! Ends what is left on the node of users who have no job here any more.
//!
//! Slurm runs an Epilog after the last process of the job has ended, with `RunInJob` from within the stepd of the
//! extern step, which then says that it ends (Slurm 20.11 to 26.05, `req.c`, `mgr.c`). So the job that ends counts as
//! over, whereas one that starts in the same second has a socket in the spool directory before it has a process.
//! What cannot be told is taken for a job: then nothing of the user is ended.

mod ancestry;
mod broom;
mod doubt;
mod halt;
mod process;
mod users;
mod whose;

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use adopt::node::Node;
use adopt::survey::{self, JobsSeen};
use check::host::Host;
use check::host::tree::Tree;
use sys::{Deadline, Proc};

pub use doubt::Doubt;
pub use process::{Process, Standing};
pub use users::{Spared, User};

use crate::sweep::broom::Broom;
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
/// The time for looking up users and for reading files.
const LOOKING: Duration = Duration::from_secs(15);

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

#[cfg(test)]
mod tests;
