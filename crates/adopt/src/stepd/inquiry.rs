//! Asks several stepds at the same time, each over its own connection.

use std::collections::VecDeque;
use std::io;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use proto::stepd;
use sys::{Deadline, Interest};

use crate::access;
use crate::exchange::{self, Broken};
use crate::facts::OwnJob;
use crate::log::Log;
use crate::stepd::census::{Census, OwnStepd};
use crate::stepd::heard::{Heard, Reply};
use crate::stepd::owners::{Owner, Owners};
use crate::stepd::spool::Socket;
use crate::text::{said, shown};

/// Time to wait for silent stepds after the last answer, once a job of the user's is known and no
/// answer can deny the user any more. A healthy stepd answers within a millisecond.
pub(super) const PATIENCE: Duration = Duration::from_millis(250);
/// Limit on open conversations. When that many are silent, they make room for stepds not asked yet.
pub(super) const MAX_CONVERSATIONS: usize = if cfg!(test) { 8 } else { 512 };

/// An open connection to a stepd that has confirmed its job to be the user's.
#[derive(Debug)]
pub struct Conversation {
    /// The job.
    pub job: OwnJob,
    /// The stepd's answer about its job.
    pub owner: stepd::OwnerAnswer,
    /// The pid that listens there, as seen from here; 0 if invisible.
    pub pid: i32,
    /// This end of the connection.
    pub socket: OwnedFd,
}

/// An answer of known length, as its bytes arrive.
#[derive(Debug)]
struct Incoming<const N: usize> {
    bytes: [u8; N],
    length: usize,
}

impl<const N: usize> Default for Incoming<N> {
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

impl<const N: usize> Incoming<N> {
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
    since: Instant,
    socket: OwnedFd,
    answer: Incoming<{ stepd::OWNER_ANSWER }>,
}

impl Asked {
    fn heard(&self, reply: Reply) -> Heard {
        Heard {
            pid: self.pid,
            took: self.since.elapsed(),
            ..Heard::of(&self.origin, reply)
        }
    }
}

/// The result of an attempt to ask a stepd.
enum Connected {
    Asked(Asked),
    /// Its backlog is full: try again soon.
    Busy(Socket),
    /// No descriptor is free until a conversation ends.
    NoDescriptor(Socket),
    /// Nobody listens.
    Gone,
    /// It cannot be asked.
    Failed(u32, String),
    /// A permission is missing.
    Denied(u32, String),
}

pub(super) struct Inquiry<'a, 'k> {
    known: &'a mut Owners<'k>,
    may_stop: bool,
    log: Log<'a>,
    untried: VecDeque<Socket>,
    busy: Vec<Socket>,
    asked: Vec<Asked>,
    census: Census,
    /// When a stepd was last asked or last answered.
    progress: Instant,
    /// Takes what becomes of each question. A login wants no more than the census.
    listener: Option<&'a mut dyn FnMut(Heard)>,
}

impl<'a, 'k> Inquiry<'a, 'k> {
    pub(super) fn new(
        untried: VecDeque<Socket>,
        census: Census,
        known: &'a mut Owners<'k>,
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
            listener: None,
        }
    }

    /// Tells what becomes of each question.
    pub(super) fn telling(self, listener: &'a mut dyn FnMut(Heard)) -> Self {
        let listener = Some(listener);
        Self { listener, ..self }
    }

    fn tell(&mut self, heard: impl FnOnce() -> Heard) {
        if let Some(listener) = &mut self.listener {
            listener(heard());
        }
    }

    pub(super) fn run(mut self, deadline: &Deadline) -> Census {
        loop {
            self.ask_all();
            if self.untried.is_empty() && self.busy.is_empty() && self.asked.is_empty() {
                break;
            }
            if !self.untried.is_empty() && self.patience_left().is_zero() {
                if self.asked.is_empty() {
                    break;
                }
                // The limit is reached, and all of them are silent: give the others their turn.
                for asked in std::mem::take(&mut self.asked) {
                    self.silent(&asked.origin, || asked.heard(Reply::Silent));
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
        for asked in std::mem::take(&mut self.asked) {
            self.silent(&asked.origin, || asked.heard(Reply::Silent));
        }
        let waiting = std::mem::take(&mut self.busy).into_iter();
        for socket in waiting.chain(std::mem::take(&mut self.untried)) {
            self.silent(&socket, || Heard::of(&socket, Reply::Silent));
        }
        self.census
    }

    fn silent(&mut self, socket: &Socket, heard: impl FnOnce() -> Heard) {
        self.census.steps.add_silent(socket.job.job);
        self.tell(heard);
    }

    /// Whether to stop waiting for silent stepds before the deadline: an own job is known, all others have
    /// been asked, and no answer can deny the user any more. After a second own job, a third one
    /// cannot.
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

    /// Asks one stepd; false if it could not be tried.
    fn ask(&mut self, socket: Socket) -> bool {
        let told = self.listener.is_some().then(|| socket.clone());
        let attempt = self.attempt(socket);
        let reply = match &attempt {
            Connected::Asked(_) | Connected::Busy(_) | Connected::NoDescriptor(_) => None,
            Connected::Gone => Some(Reply::Gone),
            Connected::Failed(_, cause) | Connected::Denied(_, cause) => {
                Some(Reply::Failed(cause.clone()))
            }
        };
        if let Some((socket, reply)) = told.zip(reply) {
            self.tell(|| Heard::of(&socket, reply));
        }
        match attempt {
            Connected::Asked(asked) => {
                self.asked.push(asked);
                self.progress = Instant::now();
            }
            Connected::Busy(socket) => self.busy.push(socket),
            Connected::NoDescriptor(socket) => {
                self.untried.push_front(socket);
                return false;
            }
            Connected::Gone => {}
            Connected::Failed(job, cause) => self.failed(job, cause),
            Connected::Denied(job, cause) => {
                self.census.steps.is_denied = true;
                self.failed(job, cause);
            }
        }
        true
    }

    fn attempt(&self, socket: Socket) -> Connected {
        const ENFILE: i32 = 23;
        const EMFILE: i32 = 24;
        let job = socket.job.job;
        let failed = |error: io::Error| Connected::Failed(job, said(error));
        let connected = match sys::connect_unix(&socket.path) {
            Ok(connected) => connected,
            Err(error) => match (error.kind(), error.raw_os_error()) {
                (io::ErrorKind::WouldBlock, _) => return Connected::Busy(socket),
                (_, Some(EMFILE | ENFILE)) => return Connected::NoDescriptor(socket),
                // A stale socket, or a step that has just ended.
                (io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound, _) => {
                    self.log
                        .debug(|| format!("slurmstepd of job {job}: {error}: gone"));
                    return Connected::Gone;
                }
                (io::ErrorKind::PermissionDenied, _) => {
                    let path = shown(&socket.path.to_string_lossy());
                    let error = access::named(error);
                    let cause = format!("connect to {path}: {error}");
                    self.log
                        .error(|| format!("slurmstepd of job {job}: {cause}"));
                    return Connected::Denied(job, cause);
                }
                _ => return failed(error),
            },
        };
        let pid = match sys::peer_credentials(&connected) {
            Ok(peer) if self.census.trusted.serves(peer.uid) => peer.pid,
            Ok(peer) => return Connected::Failed(job, format!("uid {} listens there", peer.uid)),
            Err(error) => return failed(error),
        };
        match sys::send(&connected, &stepd::ask_owner()) {
            Ok(()) => Connected::Asked(Asked {
                origin: socket,
                pid,
                since: Instant::now(),
                socket: connected,
                answer: Incoming::default(),
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
        // Backwards, so that swap_remove moves only entries that were already handled.
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
            self.tell(|| {
                asked.heard(match &outcome {
                    Ok(owner) => Reply::Owner(*owner),
                    Err(cause) => Reply::Failed(cause.clone()),
                })
            });
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
        let stepd = OwnStepd {
            job: job.job,
            pid,
            is_ending: owner.state == stepd::State::Ending,
        };
        census.own.push((origin, stepd));
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
