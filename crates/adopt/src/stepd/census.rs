//! Whose the extern steps of this node are.

use std::collections::VecDeque;
use std::fmt;
use std::path::PathBuf;

use proto::Version;
use sys::Deadline;

use crate::facts::{OwnJob, Steps};
use crate::log::Log;
use crate::node::Node;
use crate::state_dir::StateDir;
use crate::stepd::inquiry::{Conversation, Inquiry, PATIENCE};
use crate::stepd::owners::Owners;
use crate::stepd::remarks;
use crate::stepd::spool::{self, Socket};
use crate::text::said;
use crate::trust::Trusted;

/// What asking all stepds brought.
#[derive(Debug, Default)]
pub struct Census {
    /// For the decision.
    pub steps: Steps,
    /// The newest protocol version that a stepd here speaks.
    pub version: Option<Version>,
    /// The open conversation with the stepd of the user's newest job.
    pub(super) newest: Option<Conversation>,
    /// The sockets of the user's jobs, to talk to another than the newest, and who listens there (0: not to
    /// be seen from here).
    pub(super) own: Vec<(Socket, i32)>,
    pub(super) uid: u32,
    pub(super) trusted: Trusted,
}

/// The slurmstepd of an extern step of the user's.
#[derive(Debug, Clone, Copy)]
pub struct OwnStepd {
    /// Its job.
    pub job: u32,
    /// Its process; 0: not to be seen from here.
    pub pid: i32,
}

/// Whose stepds to find, and how many of them must answer.
#[derive(Clone, Copy)]
pub struct CensusRequest<'a> {
    /// The user.
    pub uid: u32,
    /// Whether one own job is enough not to wait for silent stepds until the deadline.
    pub may_stop: bool,
    /// How many own stepds must answer, of which one is the newest: the decision depends on no more, and adoption
    /// asks the stepd of its job again.
    pub enough: usize,
    /// Whether every own stepd must answer all the same.
    pub asks_all: &'a dyn Fn() -> bool,
}

/// Asks the extern steps of the node whose they are.
///
/// Another user's stepd that an earlier login has asked, as `state_dir` tells, is not asked again.
pub fn census(
    node: &Node,
    request: CensusRequest<'_>,
    state_dir: &StateDir,
    deadline: &Deadline,
    log: Log<'_>,
) -> Census {
    let mut found = spool::find_sockets(node, log);
    let mut census = ask_stepds(&found.sockets, node, request, state_dir, deadline, log);
    let steps = &mut census.steps;
    for (job, problem) in &found.unreachable {
        steps.is_denied |= problem.means_denied();
        steps.failed.push((*job, said(problem)));
    }
    steps.problem = found.problem.take();
    if steps.own.is_empty() {
        steps.place = remarks::place(node);
        steps.remarks = remarks::remarks(node, &found, deadline, log);
    }
    census
}

/// Asks the stepds that listen at these sockets.
fn ask_stepds(
    sockets: &[Socket],
    node: &Node,
    request: CensusRequest<'_>,
    state_dir: &StateDir,
    deadline: &Deadline,
    log: Log<'_>,
) -> Census {
    let CensusRequest {
        uid,
        may_stop,
        enough,
        asks_all,
    } = request;
    // Where nobody can be asked the file need not be read.
    let mut known = match sockets.is_empty() {
        true => Owners::default(),
        false => Owners::load(state_dir, log),
    };
    let identities: Vec<_> = sockets.iter().map(|it| it.identity).collect();
    let mut census = Census {
        uid,
        trusted: node.trusted.clone(),
        ..Census::default()
    };
    let (mut to_ask, mut own) = census.sort_out(sockets, &known);
    // Of two the other may be a socket that a killed slurmstepd has left: then one job is all there is.
    let spared = match own.len() > 2 && !asks_all() {
        true => own.split_off(enough),
        false => Vec::new(),
    };
    to_ask.extend(own);
    log.debug(|| {
        let (met, new) = (census.steps.others, to_ask.len());
        format!("{met} slurmstepds of others are known, {new} to be asked")
    });
    let first = to_ask.clone();
    // They may hang: the others must not wait for them until the deadline.
    let limit = match spared.is_empty() {
        true => *deadline,
        false => deadline.within(PATIENCE),
    };
    let mut census = Inquiry::new(to_ask, census, &mut known, may_stop, log).run(&limit);
    if !spared.is_empty() {
        census = match census.has_enough(enough, &spared) {
            true => census.with_unasked(spared),
            false => {
                let silent = std::mem::take(&mut census.steps.silent);
                let is_silent = |it: &Socket| silent.contains(&it.job.job);
                let again = first.into_iter().filter(is_silent);
                let rest = again.chain(spared).collect();
                Inquiry::new(rest, census, &mut known, may_stop, log).run(deadline)
            }
        };
    }
    known.save(&identities, log);
    census
}

/// In place of the process of a stepd that was not asked.
const UNASKED: i32 = -1;

impl Census {
    /// Counts the stepds of others that are known. Returns those that are not known, and the user's, newest first.
    fn sort_out(
        &mut self,
        sockets: &[Socket],
        known: &Owners<'_>,
    ) -> (VecDeque<Socket>, Vec<Socket>) {
        let mut to_ask = VecDeque::new();
        let mut own = Vec::new();
        for socket in sockets {
            match known.owner(&socket.identity) {
                Some(owner) if owner.uid != self.uid => {
                    self.steps.others += 1;
                    self.version = self.version.max(Some(owner.version));
                }
                Some(_) => own.push(socket.clone()),
                None => to_ask.push_back(socket.clone()),
            }
        }
        own.sort_by_key(|it| std::cmp::Reverse(it.job.age_key()));
        (to_ask, own)
    }

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

    /// Whether the newest of the user's jobs has answered, and so many that the others change nothing.
    fn has_enough(&self, enough: usize, unasked: &[Socket]) -> bool {
        let newest = self.steps.own.iter().map(OwnJob::age_key).max();
        let unasked = unasked.iter().map(|it| it.job.age_key()).max();
        self.steps.own.len() >= enough && newest > unasked
    }

    /// Adds jobs of the user's, as an earlier login was told, whose stepds were not asked.
    fn with_unasked(mut self, sockets: Vec<Socket>) -> Self {
        self.steps.own.extend(sockets.iter().map(|it| it.job));
        self.own.extend(sockets.into_iter().map(|it| (it, UNASKED)));
        self
    }

    /// Asks the stepd of a job that was not asked: what is decided about it needs its word. One that does not
    /// give it is not counted as the user's.
    pub fn ask_unasked(&mut self, steps: &mut Steps, job: u32, deadline: &Deadline, log: Log<'_>) {
        if !self
            .own
            .iter()
            .any(|(it, pid)| it.job.job == job && *pid == UNASKED)
        {
            return;
        }
        match self.converse(job, &deadline.within(PATIENCE), log) {
            Ok(conversation) => {
                let mut own = self.own.iter_mut();
                if let Some((_, pid)) = own.find(|(it, _)| it.job.job == job) {
                    *pid = conversation.pid;
                }
                self.newest = Some(conversation);
                return;
            }
            Err(ConverseError::Silent) => steps.add_silent(job),
            Err(ConverseError::Gone) => {}
            Err(ConverseError::Failed(cause)) => steps.failed.push((job, cause)),
        }
        steps.own.retain(|it| it.job != job);
        self.own.retain(|(it, _)| it.job.job != job);
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
        let mut known = Owners::default();
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
