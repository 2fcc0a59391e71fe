//! The extern steps of this node: asks all of them side by side whose they are.
//!
//! A job counts only when its stepd says that it is this user's; the stepd is asked to adopt over
//! the same connection ([`crate::adoption`]), so that nobody can slip in between.

pub mod owners;
mod remarks;
pub mod spool;

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use proto::Version;
use proto::stepd;
use sys::{Deadline, Interest};

use crate::access;
use crate::exchange::{self, Broken};
use crate::facts::{OwnJob, Steps};
use crate::log::Log;
use crate::node::Node;
use crate::state_dir::StateDir;
use crate::stepd::owners::{Known, Owner};
use crate::stepd::spool::Socket;
use crate::text::{said, shown};
use crate::trust::Trusted;

/// How long silent stepds are waited for after the last answer, once a job of the user's is known
/// and nothing they say could keep the user out. A stepd in health answers within a millisecond.
const PATIENCE: Duration = Duration::from_millis(250);
/// Conversations at once. When so many are silent, they make room for those not asked yet.
const MAX_CONVERSATIONS: usize = if cfg!(test) { 8 } else { 512 };

/// What asking all stepds brought.
#[derive(Debug, Default)]
pub struct Census {
    /// For the decision.
    pub steps: Steps,
    /// The newest protocol version that a stepd here speaks.
    pub version: Option<Version>,
    /// The open conversation with the stepd of the user's newest job.
    newest: Option<Conversation>,
    /// The sockets of the user's jobs, to talk to another than the newest, and who listens there (0: not to
    /// be seen from here).
    own: Vec<(Socket, i32)>,
    uid: u32,
    trusted: Trusted,
}

/// The slurmstepd of an extern step of the user's.
#[derive(Debug, Clone, Copy)]
pub struct OwnStepd {
    /// Its job.
    pub job: u32,
    /// Its process; 0: not to be seen from here.
    pub pid: i32,
}

/// An open connection to the stepd of a job that it has confirmed to be the user's.
#[derive(Debug)]
pub struct Conversation {
    /// The job.
    pub job: OwnJob,
    /// What the stepd said of itself.
    pub owner: stepd::OwnerAnswer,
    /// The process that listens there, as it is seen from here; 0: it is not to be seen.
    pub pid: i32,
    /// This end of the connection.
    pub socket: OwnedFd,
}

/// Why there is no conversation with the stepd of a job.
#[derive(Debug)]
pub enum ConverseError {
    /// It does not answer before the deadline.
    Silent,
    /// There is no such stepd any more.
    Gone,
    /// It gives no usable answer, or cannot be asked.
    Failed(String),
}

impl fmt::Display for ConverseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Silent => f.write_str("its slurmstepd does not answer"),
            Self::Gone => f.write_str("its slurmstepd is gone"),
            Self::Failed(cause) => f.write_str(cause),
        }
    }
}

/// Asks every extern step of the node whose it is.
///
/// Another user's stepd that an earlier login has asked, as `state_dir` tells, is not asked again. With
/// `may_stop` one own job is enough not to wait for silent stepds until the deadline.
pub fn census(
    node: &Node,
    uid: u32,
    state_dir: &StateDir,
    may_stop: bool,
    deadline: &Deadline,
    log: Log<'_>,
) -> Census {
    let mut found = spool::find_sockets(node, log);
    let mut census = ask_stepds(
        &found.sockets,
        node,
        uid,
        state_dir,
        may_stop,
        deadline,
        log,
    );
    let steps = &mut census.steps;
    for (job, problem) in &found.unreachable {
        steps.is_denied |= problem.means_denied();
        steps.failed.push((*job, said(problem)));
    }
    steps.problem = found.problem.take();
    if steps.own.is_empty() {
        steps.place = remarks::place(node);
        steps.remarks = remarks::remarks(node, &found);
    }
    census
}

/// Asks those that listen.
fn ask_stepds(
    sockets: &[Socket],
    node: &Node,
    uid: u32,
    state_dir: &StateDir,
    may_stop: bool,
    deadline: &Deadline,
    log: Log<'_>,
) -> Census {
    // Where there is nobody to ask nothing need be known.
    let mut known = match sockets.is_empty() {
        true => Known::default(),
        false => Known::load(state_dir, log),
    };
    let identities: Vec<_> = sockets.iter().map(|it| it.identity).collect();
    let mut census = Census {
        uid,
        trusted: node.trusted.clone(),
        ..Census::default()
    };
    let others = |socket: &Socket| known.owner(&socket.identity).filter(|it| it.uid != uid);
    let mut to_ask = VecDeque::new();
    for socket in sockets {
        match others(socket) {
            Some(owner) => {
                census.steps.others += 1;
                census.version = census.version.max(Some(owner.version));
            }
            None => to_ask.push_back(socket.clone()),
        }
    }
    log.debug(|| {
        let (met, new) = (census.steps.others, to_ask.len());
        format!("{met} slurmstepds of others are known, {new} to be asked")
    });
    let inquiry = Inquiry::new(to_ask, census, &mut known, may_stop, log);
    let census = inquiry.run(deadline);
    known.save(&identities, log);
    census
}

impl Census {
    /// Whose jobs its own are.
    #[must_use]
    pub fn uid(&self) -> u32 {
        self.uid
    }

    /// Whether a slurmstepd may run as that uid.
    #[must_use]
    pub fn trusts(&self, uid: u32) -> bool {
        self.trusted.serves(uid)
    }

    /// The socket of the extern step of one of the user's jobs.
    #[must_use]
    pub fn socket_of(&self, job: u32) -> Option<PathBuf> {
        let mut own = self.own.iter();
        own.find(|(it, _)| it.job.job == job)
            .map(|(it, _)| it.path.clone())
    }

    /// The user's jobs with the processes of their extern slurmstepds.
    #[must_use]
    pub fn own(&self) -> Vec<OwnStepd> {
        let own = self.own.iter();
        let own = own.map(|(it, pid)| OwnStepd {
            job: it.job.job,
            pid: *pid,
        });
        own.collect()
    }

    /// Notes a silent one; in the order of their numbers.
    fn silent(&mut self, job: u32) {
        let silent = &mut self.steps.silent;
        silent.insert(silent.partition_point(|other| *other < job), job);
    }

    /// The conversation with the stepd of one of the user's jobs: the one that is open already, or
    /// a new one, in which the stepd has said again whose job it is.
    ///
    /// # Errors
    /// [`ConverseError`].
    pub fn converse(
        &mut self,
        job: u32,
        deadline: &Deadline,
        log: Log<'_>,
    ) -> Result<Conversation, ConverseError> {
        if let Some(conversation) = self.newest.take_if(|it| it.job.job == job) {
            return Ok(conversation);
        }
        let mut own = self.own.iter();
        let (socket, _) = own
            .find(|(it, _)| it.job.job == job)
            .ok_or(ConverseError::Gone)?;
        let again = VecDeque::from([socket.clone()]);
        let census = Self {
            uid: self.uid,
            trusted: self.trusted.clone(),
            ..Self::default()
        };
        let mut known = Known::default();
        let mut census = Inquiry::new(again, census, &mut known, true, log).run(deadline);
        let Steps { silent, failed, .. } = &mut census.steps;
        if !silent.is_empty() {
            return Err(ConverseError::Silent);
        }
        if let Some((_, cause)) = failed.pop() {
            return Err(ConverseError::Failed(cause));
        }
        census.newest.ok_or(ConverseError::Gone)
    }
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
    origin: Socket,
    pid: i32,
    socket: OwnedFd,
    answer: Answer<{ stepd::OWNER_ANSWER }>,
}

/// What came of an attempt to ask.
enum Attempt {
    Asked(Asked),
    /// Its backlog is full: again in a moment.
    Busy(Socket),
    /// We have no descriptor left until a conversation ends.
    NoDescriptor(Socket),
    /// There is nobody to ask.
    Gone,
    /// It can't be asked.
    Failed(u32, String),
    /// It may not be asked.
    Denied(u32, String),
}

struct Inquiry<'a, 'k> {
    known: &'a mut Known<'k>,
    may_stop: bool,
    log: Log<'a>,
    untried: VecDeque<Socket>,
    busy: Vec<Socket>,
    asked: Vec<Asked>,
    census: Census,
    /// When a stepd was last asked or last answered.
    progress: Instant,
}

impl<'a, 'k> Inquiry<'a, 'k> {
    fn new(
        untried: VecDeque<Socket>,
        census: Census,
        known: &'a mut Known<'k>,
        may_stop: bool,
        log: Log<'a>,
    ) -> Self {
        Self {
            known,
            may_stop,
            log,
            untried,
            busy: Vec::new(),
            asked: Vec::new(),
            census,
            progress: Instant::now(),
        }
    }

    fn run(mut self, deadline: &Deadline) -> Census {
        loop {
            self.ask_all();
            if self.untried.is_empty() && self.busy.is_empty() && self.asked.is_empty() {
                break;
            }
            if !self.untried.is_empty() && self.patience_left().is_zero() {
                if self.asked.is_empty() {
                    break;
                }
                // As many as may be are silent: let the others have their turn.
                for asked in self.asked.drain(..) {
                    self.census.silent(asked.origin.job.job);
                }
                continue;
            }
            let left = match self.stops_early() {
                true => self.patience_left().min(deadline.remaining()),
                false => deadline.remaining(),
            };
            let at_most = match (self.busy.is_empty(), self.untried.is_empty()) {
                (false, _) => exchange::RETRY,
                (true, false) => self.patience_left(),
                (true, true) => left,
            };
            let mut interests: Vec<_> = self
                .asked
                .iter()
                .map(|it| Interest::readable(&it.socket))
                .collect();
            if let Err(error) = sys::poll(&mut interests, left.min(at_most)) {
                self.log.error(|| format!("poll: {error}"));
                break;
            }
            let ready: Vec<bool> = interests.iter().map(Interest::is_ready).collect();
            self.receive(&ready);
            if left.is_zero() {
                break;
            }
        }
        let asked = std::mem::take(&mut self.asked)
            .into_iter()
            .map(|it| it.origin.job.job);
        let waiting = self.busy.iter().chain(&self.untried).map(|it| it.job.job);
        for job in asked.chain(waiting) {
            self.census.silent(job);
        }
        self.census
    }

    /// Whether the silent ones are not waited for until the deadline: an own job is known, all the
    /// others have been asked, and what they say could not keep the user out: after a second own job
    /// no third one can.
    fn stops_early(&self) -> bool {
        let enough = if self.may_stop { 1 } else { 2 };
        self.census.own.len() >= enough && self.untried.is_empty()
    }

    fn patience_left(&self) -> Duration {
        PATIENCE.saturating_sub(self.progress.elapsed())
    }

    fn ask_all(&mut self) {
        for socket in std::mem::take(&mut self.busy) {
            self.ask(socket);
        }
        while self.asked.len() < MAX_CONVERSATIONS {
            let Some(socket) = self.untried.pop_front() else {
                break;
            };
            if !self.ask(socket) {
                break;
            }
        }
    }

    /// Asks one; false if it could not be tried.
    fn ask(&mut self, socket: Socket) -> bool {
        match self.attempt(socket) {
            Attempt::Asked(asked) => {
                self.asked.push(asked);
                self.progress = Instant::now();
            }
            Attempt::Busy(socket) => self.busy.push(socket),
            Attempt::NoDescriptor(socket) => {
                self.untried.push_front(socket);
                return false;
            }
            Attempt::Gone => {}
            Attempt::Failed(job, cause) => self.failed(job, cause),
            Attempt::Denied(job, cause) => {
                self.census.steps.is_denied = true;
                self.failed(job, cause);
            }
        }
        true
    }

    fn attempt(&self, socket: Socket) -> Attempt {
        const ENFILE: i32 = 23;
        const EMFILE: i32 = 24;
        let job = socket.job.job;
        let failed = |error: io::Error| Attempt::Failed(job, said(error));
        let connected = match sys::connect_unix(&socket.path) {
            Ok(connected) => connected,
            Err(error) => match (error.kind(), error.raw_os_error()) {
                (io::ErrorKind::WouldBlock, _) => return Attempt::Busy(socket),
                (_, Some(EMFILE | ENFILE)) => return Attempt::NoDescriptor(socket),
                // A stale socket, or a step that has just ended.
                (io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound, _) => {
                    self.log
                        .debug(|| format!("slurmstepd of job {job}: {error}: gone"));
                    return Attempt::Gone;
                }
                (io::ErrorKind::PermissionDenied, _) => {
                    let path = shown(&socket.path.to_string_lossy());
                    let error = access::named(error);
                    let cause = format!("connect to {path}: {error}");
                    self.log
                        .error(|| format!("slurmstepd of job {job}: {cause}"));
                    return Attempt::Denied(job, cause);
                }
                _ => return failed(error),
            },
        };
        let pid = match sys::peer_credentials(&connected) {
            Ok(peer) if self.census.trusted.serves(peer.uid) => peer.pid,
            Ok(peer) => return Attempt::Failed(job, format!("uid {} listens there", peer.uid)),
            Err(error) => return failed(error),
        };
        match sys::send(&connected, &stepd::ask_owner()) {
            Ok(()) => Attempt::Asked(Asked {
                origin: socket,
                pid,
                socket: connected,
                answer: Answer::default(),
            }),
            Err(error) => failed(error),
        }
    }

    fn failed(&mut self, job: u32, cause: String) {
        self.log
            .debug(|| format!("slurmstepd of job {job}: {cause}; not counted"));
        self.census.steps.failed.push((job, cause));
    }

    fn receive(&mut self, ready: &[bool]) {
        // From the back, so that swap_remove moves only what has been looked at.
        for index in (0..self.asked.len()).rev().filter(|index| ready[*index]) {
            let Asked { socket, answer, .. } = &mut self.asked[index];
            let outcome = match answer.receive(socket) {
                Received::Some => continue,
                Received::All => stepd::read_owner(&answer.bytes).map_err(said),
                Received::Ended => Err(said(Broken::Ended)),
                Received::Failed(error) => Err(said(Broken::from(error))),
            };
            let asked = self.asked.swap_remove(index);
            let job = asked.origin.job;
            self.progress = Instant::now();
            match outcome {
                Ok(owner) => {
                    self.log.debug(|| {
                        let stepd::OwnerAnswer { version, uid, .. } = owner;
                        format!("job {}: uid {uid}, Slurm {version}", job.job)
                    });
                    self.count(owner, asked);
                }
                Err(cause) => self.failed(job.job, cause),
            }
        }
    }

    fn count(&mut self, owner: stepd::OwnerAnswer, asked: Asked) {
        let Asked {
            origin,
            pid,
            socket,
            ..
        } = asked;
        let said = Owner {
            uid: owner.uid,
            version: owner.version,
        };
        self.known.note(&origin.identity, said);
        let census = &mut self.census;
        census.version = census.version.max(Some(owner.version));
        if owner.uid != census.uid {
            census.steps.others += 1;
            return;
        }
        let job = origin.job;
        census.steps.own.push(job);
        census.own.push((origin, pid));
        let is_newer = |it: &Conversation| job.age_key() > it.job.age_key();
        if census.newest.as_ref().is_none_or(is_newer) {
            census.newest = Some(Conversation {
                job,
                owner,
                pid,
                socket,
            });
        }
    }
}

#[cfg(test)]
mod tests;
