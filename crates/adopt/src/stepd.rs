//! The extern steps of this node: finds their sockets, asks all of them side by side whose they
//! are, and asks one to adopt.
//!
//! Trust: the spool directory and everything above it must be root's (or SlurmdUser's) and not
//! writable by others, a socket must be theirs, and so must the process that listens on it. A job
//! counts only when its stepd says that it is this user's; the stepd is asked to adopt over the
//! same connection, so that nobody can slip in between.

use std::collections::VecDeque;
use std::fmt;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use proto::{socket_name, stepd};
use sys::{Deadline, Interest};

use crate::decide::{OwnJob, Steps};
use crate::log::Log;
use crate::node::Node;
use crate::options::shown;

/// How long silent stepds are waited for after the last answer, once a job of the user's is known
/// and nothing they say could keep the user out. A stepd in health answers within a millisecond.
const PATIENCE: Duration = Duration::from_millis(250);
/// How soon a stepd whose backlog is full is tried again.
const BACKLOG_RETRY: Duration = Duration::from_millis(2);
/// Conversations at once; one that hangs keeps its place until the deadline.
const MAX_CONVERSATIONS: usize = 512;

/// Why the spool directory can't be looked at. To the decision that is as if there were no steps.
#[derive(Debug)]
pub enum SpoolProblem {
    /// The system does not let us.
    System {
        /// What was tried.
        operation: &'static str,
        /// With which path.
        path: PathBuf,
        /// The system's word.
        cause: io::Error,
    },
    /// Somebody else may put sockets there.
    Untrusted {
        /// The directory that is at fault: the spool directory or one above it.
        path: PathBuf,
        /// Its owner.
        uid: u32,
        /// Its permissions.
        mode: u32,
    },
}

impl fmt::Display for SpoolProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System {
                operation,
                path,
                cause,
            } => write!(
                f,
                "spool directory: {operation} {}: {cause}",
                shown(&path.to_string_lossy())
            ),
            Self::Untrusted { path, uid, mode } => write!(
                f,
                "spool directory: {} is not safe: owner uid {uid}, mode {:o}",
                shown(&path.to_string_lossy()),
                mode & 0o7777
            ),
        }
    }
}

/// What asking all stepds brought.
#[derive(Debug, Default)]
pub struct Census {
    /// For the decision.
    pub steps: Steps,
    /// The open conversation with the stepd of the user's newest job.
    newest: Option<Conversation>,
}

/// An open connection to the stepd of a job that it has confirmed to be the user's.
#[derive(Debug)]
struct Conversation {
    job: OwnJob,
    socket: OwnedFd,
}

/// Why a stepd did not adopt.
#[derive(Debug)]
pub enum AdoptError {
    /// It refused, closed the connection or answered nonsense.
    Refused(String),
    /// It did not answer before the deadline.
    Silent,
}

/// Asks every extern step of the node whose it is.
///
/// `may_stop` says that one own job is enough not to wait for the silent ones until the deadline.
pub fn census(node: &Node, uid: u32, may_stop: bool, deadline: &Deadline, log: Log<'_>) -> Census {
    let sockets = match find_sockets(node, log) {
        Ok(sockets) => sockets,
        Err(problem) => {
            let steps = Steps {
                problem: Some(problem),
                ..Steps::default()
            };
            return Census {
                steps,
                newest: None,
            };
        }
    };
    Inquiry::new(sockets, node, uid, may_stop, log).run(deadline)
}

impl Census {
    /// Asks the stepd of the user's newest job to take the process into its extern step.
    ///
    /// # Errors
    /// [`AdoptError`].
    pub fn adopt(mut self, job: u32, pid: u32, deadline: &Deadline) -> Result<(), AdoptError> {
        let Some(conversation) = self.newest.take().filter(|it| it.job.job == job) else {
            return Err(AdoptError::Refused(
                "no connection to its slurmstepd".into(),
            ));
        };
        let refused = |cause: &dyn fmt::Display| AdoptError::Refused(cause.to_string());
        let pid = i32::try_from(pid).map_err(|error| refused(&error))?;
        let socket = conversation.socket;
        sys::send(&socket, &stepd::adopt(pid)).map_err(|error| refused(&error))?;
        let mut answer = Answer::<{ stepd::ADOPT_ANSWER }>::default();
        loop {
            match answer.receive(&socket) {
                Received::All => break,
                Received::Some => {}
                Received::Ended => return Err(refused(&"the slurmstepd closed the connection")),
                Received::Failed(error) => return Err(refused(&error)),
            }
            if deadline.has_passed() {
                return Err(AdoptError::Silent);
            }
            let mut interests = [Interest::readable(&socket)];
            sys::poll(&mut interests, deadline.remaining()).map_err(|error| refused(&error))?;
        }
        stepd::read_adopted(&answer.bytes).map_err(|error| refused(&error))
    }
}

/// An extern step's socket file that may be asked.
#[derive(Debug)]
struct Socket {
    path: PathBuf,
    job: OwnJob,
}

/// The extern sockets of the first of the node's names that has any.
fn find_sockets(node: &Node, log: Log<'_>) -> Result<Vec<Socket>, SpoolProblem> {
    let mut first_problem = None;
    for (name, dir) in node.names.iter().zip(&node.spool_dirs) {
        match sockets_in(dir, name, node.slurmd_uid, log) {
            Ok(sockets) if sockets.is_empty() => {}
            Ok(sockets) => return Ok(sockets),
            Err(problem) => first_problem = first_problem.or(Some(problem)),
        }
    }
    first_problem.map_or(Ok(Vec::new()), Err)
}

fn sockets_in(
    dir: &Path,
    node: &str,
    slurmd_uid: Option<u32>,
    log: Log<'_>,
) -> Result<Vec<Socket>, SpoolProblem> {
    check_trust(dir, slurmd_uid)?;
    let failed = |cause| SpoolProblem::System {
        operation: "read",
        path: dir.to_owned(),
        cause,
    };
    let mut sockets = Vec::new();
    for entry in fs::read_dir(dir).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name();
        let Some(job) = socket_name::extern_step_job(name.as_bytes(), node) else {
            continue;
        };
        let path = entry.path();
        // Not following links: a link is no socket.
        let Ok(file) = fs::symlink_metadata(&path) else {
            continue;
        };
        if !file.file_type().is_socket() || !is_trusted(file.uid(), slurmd_uid) {
            let owner = file.uid();
            log.error(|| {
                format!(
                    "passed over {}: not a socket of root (uid {owner})",
                    path.display()
                )
            });
            continue;
        }
        sockets.push(Socket {
            path,
            job: OwnJob {
                job,
                started: file.ctime(),
            },
        });
    }
    Ok(sockets)
}

/// The directory, links resolved, and all above it: root's or SlurmdUser's, writable by nobody
/// else; a sticky directory above (such as /tmp) does no harm to what is root's in it.
fn check_trust(dir: &Path, slurmd_uid: Option<u32>) -> Result<(), SpoolProblem> {
    let system = |operation, path: &Path| {
        let path = path.to_owned();
        move |cause| SpoolProblem::System {
            operation,
            path,
            cause,
        }
    };
    let real = fs::canonicalize(dir).map_err(system("find", dir))?;
    for path in real.ancestors() {
        let found = fs::symlink_metadata(path).map_err(system("stat", path))?;
        if path == real && !found.is_dir() {
            let cause = io::ErrorKind::NotADirectory.into();
            return Err(system("read", path)(cause));
        }
        let (uid, mode) = (found.uid(), found.mode());
        let sticky = path != real && mode & 0o1000 != 0;
        let group_writes = mode & 0o020 != 0 && found.gid() != 0;
        let others_write = mode & 0o002 != 0 || group_writes;
        if !is_trusted(uid, slurmd_uid) || (others_write && !sticky) {
            return Err(SpoolProblem::Untrusted {
                path: path.to_owned(),
                uid,
                mode,
            });
        }
    }
    Ok(())
}

fn is_trusted(uid: u32, slurmd_uid: Option<u32>) -> bool {
    uid == 0 || Some(uid) == slurmd_uid
}

/// Bytes of an answer of known length, as they come in.
#[derive(Debug)]
struct Answer<const N: usize> {
    bytes: [u8; N],
    length: usize,
}

impl<const N: usize> Default for Answer<N> {
    fn default() -> Self {
        Self {
            bytes: [0; N],
            length: 0,
        }
    }
}

enum Received {
    All,
    Some,
    Ended,
    Failed(io::Error),
}

impl<const N: usize> Answer<N> {
    fn receive(&mut self, socket: &OwnedFd) -> Received {
        match sys::receive(socket, &mut self.bytes[self.length..]) {
            Ok(0) => Received::Ended,
            Ok(count) => {
                self.length += count;
                if self.length == N {
                    Received::All
                } else {
                    Received::Some
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Received::Some,
            Err(error) => Received::Failed(error),
        }
    }
}

/// A stepd that has been asked and has not answered yet.
struct Asked {
    job: OwnJob,
    socket: OwnedFd,
    answer: Answer<{ stepd::OWNER_ANSWER }>,
}

/// What came of an attempt to ask.
enum Attempt {
    Asked(Asked),
    /// Its backlog is full, or we are out of descriptors: later.
    Later(Socket),
    /// It will not answer.
    Never,
}

struct Inquiry<'a> {
    uid: u32,
    slurmd_uid: Option<u32>,
    may_stop: bool,
    log: Log<'a>,
    waiting: VecDeque<Socket>,
    asked: Vec<Asked>,
    census: Census,
    last_answer: Instant,
}

impl<'a> Inquiry<'a> {
    fn new(sockets: Vec<Socket>, node: &Node, uid: u32, may_stop: bool, log: Log<'a>) -> Self {
        Self {
            uid,
            slurmd_uid: node.slurmd_uid,
            may_stop,
            log,
            waiting: sockets.into(),
            asked: Vec::new(),
            census: Census::default(),
            last_answer: Instant::now(),
        }
    }

    fn run(mut self, deadline: &Deadline) -> Census {
        loop {
            self.ask_waiting();
            if self.waiting.is_empty() && self.asked.is_empty() {
                break;
            }
            let left = self.patience_left().min(deadline.remaining());
            if left.is_zero() {
                break;
            }
            let wait = if self.waiting.is_empty() {
                left
            } else {
                left.min(BACKLOG_RETRY)
            };
            let mut interests: Vec<_> = self
                .asked
                .iter()
                .map(|it| Interest::readable(&it.socket))
                .collect();
            if let Err(error) = sys::poll(&mut interests, wait) {
                self.log.error(|| format!("poll: {error}"));
                break;
            }
            let ready: Vec<bool> = interests.iter().map(Interest::is_ready).collect();
            self.receive(&ready);
        }
        let silent = self.asked.iter().map(|it| it.job.job);
        let silent = silent.chain(self.waiting.iter().map(|it| it.job.job));
        self.census.steps.silent = silent.collect();
        self.census.steps.silent.sort_unstable();
        self.census
    }

    /// How long silence may still be borne: for ever, unless an own job is known and all are asked.
    fn patience_left(&self) -> Duration {
        if !self.may_stop || self.census.newest.is_none() || !self.waiting.is_empty() {
            return Duration::MAX;
        }
        PATIENCE.saturating_sub(self.last_answer.elapsed())
    }

    fn ask_waiting(&mut self) {
        for _ in 0..self.waiting.len() {
            if self.asked.len() >= MAX_CONVERSATIONS {
                break;
            }
            let Some(socket) = self.waiting.pop_front() else {
                break;
            };
            match self.ask(socket) {
                Attempt::Asked(asked) => self.asked.push(asked),
                Attempt::Later(socket) => self.waiting.push_back(socket),
                Attempt::Never => {}
            }
        }
    }

    fn ask(&self, socket: Socket) -> Attempt {
        let job = socket.job.job;
        let never = |cause: &dyn fmt::Display| {
            self.log
                .debug(|| format!("slurmstepd of job {job}: {cause}; not counted"));
            Attempt::Never
        };
        let connected = match sys::connect_unix(&socket.path) {
            Ok(connected) => connected,
            Err(error) if is_passing(&error) => return Attempt::Later(socket),
            Err(error) => return never(&error),
        };
        match sys::peer_credentials(&connected) {
            Ok(peer) if is_trusted(peer.uid, self.slurmd_uid) => {}
            Ok(peer) => {
                let uid = peer.uid;
                self.log.error(|| {
                    format!(
                        "passed over {}: uid {uid} listens there",
                        socket.path.display()
                    )
                });
                return Attempt::Never;
            }
            Err(error) => return never(&error),
        }
        match sys::send(&connected, &stepd::ask_owner()) {
            Ok(()) => Attempt::Asked(Asked {
                job: socket.job,
                socket: connected,
                answer: Answer::default(),
            }),
            Err(error) => never(&error),
        }
    }

    fn receive(&mut self, ready: &[bool]) {
        // From the back, so that swap_remove moves only what has been looked at.
        for index in (0..self.asked.len()).rev().filter(|index| ready[*index]) {
            let Asked { socket, answer, .. } = &mut self.asked[index];
            let outcome = match answer.receive(socket) {
                Received::Some => continue,
                Received::All => {
                    stepd::read_owner(&answer.bytes).map_err(|error| error.to_string())
                }
                Received::Ended => Err("it closed the connection".into()),
                Received::Failed(error) => Err(error.to_string()),
            };
            let Asked { job, socket, .. } = self.asked.swap_remove(index);
            self.last_answer = Instant::now();
            match outcome {
                Ok(owner) => {
                    self.log.debug(|| {
                        let stepd::OwnerAnswer { version, uid } = owner;
                        format!("job {}: uid {uid}, protocol {version:#06x}", job.job)
                    });
                    self.count(owner.uid, job, socket);
                }
                Err(cause) => self
                    .log
                    .debug(|| format!("slurmstepd of job {}: {cause}; not counted", job.job)),
            }
        }
    }

    fn count(&mut self, owner: u32, job: OwnJob, socket: OwnedFd) {
        if owner != self.uid {
            self.census.steps.others += 1;
            return;
        }
        self.census.steps.own.push(job);
        let is_newer = |it: &Conversation| job.age_key() > it.job.age_key();
        if self.census.newest.as_ref().is_none_or(is_newer) {
            self.census.newest = Some(Conversation { job, socket });
        }
    }
}

/// Whether connecting may work a moment later: a full backlog, connect(2) on unix(7), or no
/// descriptor to be had until a conversation ends.
fn is_passing(error: &io::Error) -> bool {
    const ENFILE: i32 = 23;
    const EMFILE: i32 = 24;
    error.kind() == io::ErrorKind::WouldBlock
        || matches!(error.raw_os_error(), Some(EMFILE | ENFILE))
}

#[cfg(test)]
mod tests;
