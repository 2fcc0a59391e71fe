//! The node as the module finds it, for `slurm-adopt check` and `status`.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use proto::stepd::{self, OwnerAnswer};
use sys::Deadline;

use crate::adoption::hierarchy;
pub use crate::adoption::steps::{Steps, cgroups_of};
use crate::exchange::{self, Broken};
use crate::log::{Log, Sink};
use crate::node::search::Search;
use crate::node::{Environment, Node, NodeError};
use crate::options::{LogLevel, Options};
use crate::state_dir::{self, StateDir};
use crate::stepd::spool;
use crate::text::said;
use crate::trust::DirectoryError;

/// Finds slurm.conf and this node's name as a login would. The environment of the calling shell does not count.
///
/// # Errors
/// [`NodeError`].
pub fn node(options: &Options, sink: &dyn Sink) -> Result<Node, NodeError> {
    let log = Log::new(sink, LogLevel::Error);
    let search = Search {
        options,
        environment: &Environment::default(),
        state_dir: &StateDir::open(Path::new(state_dir::DIR), false, log),
        has_stepds: &spool::has_stepds,
        log,
    };
    search.run()
}

/// A step's socket, and the answer of the slurmstepd that listens there.
#[derive(Debug)]
pub struct StepSeen {
    /// Its job.
    pub job: u32,
    /// Whether it is the extern step.
    pub is_extern: bool,
    /// The pid that listens; 0 if it is not visible from here or not known.
    pub pid: i32,
    /// Its answer, or why there is none.
    pub answer: Result<OwnerAnswer, String>,
}

/// Connections that are open at the same time.
const AT_ONCE: usize = 256;
/// The time that so many stepds get at most.
const PATIENCE: Duration = Duration::from_secs(2);

/// Asks the extern steps of the node, and one other step of each job that has none. Leaves out sockets on which
/// nobody listens.
///
/// # Errors
/// The reason why the spool directory cannot be read.
pub fn steps(node: &Node, deadline: &Deadline) -> Result<Vec<StepSeen>, DirectoryError> {
    let mut found = spool::find_sockets(node, Log::silent());
    if let Some(problem) = found.problem.take() {
        return Err(problem);
    }
    let extern_steps: Vec<(u32, bool, PathBuf)> = found
        .sockets
        .into_iter()
        .map(|it| (it.job.job, true, it.path))
        .collect();
    let has_extern = |job: u32| extern_steps.iter().any(|(it, ..)| *it == job);
    let others = found.other_steps.into_iter();
    let others = others.filter(|(job, _)| !has_extern(*job));
    let others: Vec<_> = others.map(|(job, path)| (job, false, path)).collect();
    let mut sockets = extern_steps;
    sockets.extend(others);
    let mut seen: Vec<StepSeen> = Vec::new();
    for some in sockets.chunks(AT_ONCE) {
        let deadline = deadline.within(PATIENCE);
        let asked: Vec<_> = some.iter().map(|(.., path)| ask(path, node)).collect();
        for ((job, is_extern, _), asked) in some.iter().zip(asked) {
            let Some((pid, asked)) = asked else {
                continue;
            };
            let answer = asked.and_then(|socket| read(&socket, &deadline));
            seen.push(StepSeen {
                job: *job,
                is_extern: *is_extern,
                pid,
                answer: answer.map_err(said),
            });
        }
    }
    seen.sort_by_key(|it| it.job);
    Ok(seen)
}

type Asked = (i32, Result<std::os::fd::OwnedFd, Broken>);

/// Asks one stepd; None if nobody listens.
fn ask(path: &Path, node: &Node) -> Option<Asked> {
    let socket = match sys::connect_unix(path) {
        Ok(socket) => socket,
        Err(error) => match error.kind() {
            io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound => return None,
            io::ErrorKind::WouldBlock => return Some((0, Err(Broken::Silent))),
            _ => return Some((0, Err(Broken::Failed(error)))),
        },
    };
    Some(match sys::peer_credentials(&socket) {
        Ok(peer) if node.trusted.serves(peer.uid) => {
            let sent = sys::send(&socket, &stepd::ask_owner());
            (peer.pid, sent.map(|()| socket).map_err(Broken::from))
        }
        Ok(peer) => {
            let cause = format!("uid {} listens there", peer.uid);
            (0, Err(Broken::Nonsense(cause)))
        }
        Err(error) => (0, Err(Broken::Failed(error))),
    })
}

fn read(socket: &std::os::fd::OwnedFd, deadline: &Deadline) -> Result<OwnerAnswer, Broken> {
    let mut answer = [0; stepd::OWNER_ANSWER];
    exchange::read_exactly(socket, &mut answer, deadline)?;
    stepd::read_owner(&answer).map_err(|error| Broken::Nonsense(said(error)))
}

/// Finds a file of a cgroup by the hierarchy's controllers as /proc/PID/cgroup has them, and its path there; None if
/// it does not exist or cannot be seen.
#[must_use]
pub fn cgroup_file(controllers: &str, path: &str) -> Option<PathBuf> {
    let found = hierarchy::find(controllers, path).ok().flatten();
    found.map(PathBuf::from)
}
