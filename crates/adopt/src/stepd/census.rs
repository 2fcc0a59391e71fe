//! Finds the owners of the extern steps of this node.

use std::collections::VecDeque;
use std::fmt;
use std::path::PathBuf;

use proto::Version;
use proto::stepd::State;
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

/// The result of asking all stepds.
#[derive(Debug, Default)]
pub struct Census {
    /// The steps, for the decision.
    pub steps: Steps,
    /// The newest protocol version that a stepd here speaks.
    pub version: Option<Version>,
    /// The open conversation with the stepd of the user's newest job.
    pub(super) newest: Option<Conversation>,
    /// The user's jobs with their sockets, to talk to another stepd than the newest.
    pub(super) own: Vec<(Socket, OwnStepd)>,
    pub(super) uid: u32,
    pub(super) trusted: Trusted,
}

/// The slurmstepd of one of the user's extern steps.
#[derive(Debug, Clone, Copy)]
pub struct OwnStepd {
    /// Its job.
    pub job: u32,
    /// Its pid; 0 if invisible from here.
    pub pid: i32,
    /// Whether it has said that its step is ending.
    pub is_ending: bool,
}

/// The user whose stepds to find, and how many stepds must answer.
#[derive(Clone, Copy)]
pub struct CensusRequest<'a> {
    /// The user.
    pub uid: u32,
    /// Whether the census may stop waiting for silent stepds once one own job is known.
    pub may_stop: bool,
    /// The number of own stepds that must answer, including the newest: the decision depends on no more, and
    /// adoption asks the stepd of its job again.
    pub enough: usize,
    /// Whether every own stepd must answer anyway.
    pub asks_all: &'a dyn Fn() -> bool,
}

/// Asks the extern steps of the node for their owners.
///
/// Does not ask another user's stepd again if `state_dir` has its answer to an earlier login.
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

/// Looks for the user's jobs as [`census`] does, for one who looks again and again: without what may explain why
/// there is none, and without a log.
pub fn look(
    node: &Node,
    request: CensusRequest<'_>,
    state_dir: &StateDir,
    deadline: &Deadline,
) -> Census {
    let log = Log::silent();
    let found = spool::find_sockets(node, log);
    ask_stepds(&found.sockets, node, request, state_dir, deadline, log)
}

/// Asks the stepds that listen on these sockets.
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
    // Without a stepd to ask, the file need not be read.
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
    // Of two sockets one may be left over from a killed slurmstepd: then the user has only one job.
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
    // They may hang, and must not keep the others waiting until the deadline.
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

/// Stands for the pid of a stepd that was not asked.
const UNASKED: i32 = -1;

impl Census {
    /// Counts the known stepds of other users. Returns the unknown ones, and the user's own, newest first.
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

    /// The user of the own jobs.
    #[must_use]
    pub fn uid(&self) -> u32 {
        self.uid
    }

    /// Whether a slurmstepd may run as this uid.
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
        self.own.iter().map(|(_, it)| *it).collect()
    }

    /// Whether the user's newest job has answered, and enough of the others.
    fn has_enough(&self, enough: usize, unasked: &[Socket]) -> bool {
        let newest = self.steps.own.iter().map(OwnJob::age_key).max();
        let unasked = unasked.iter().map(|it| it.job.age_key()).max();
        self.steps.own.len() >= enough && newest > unasked
    }

    /// Adds jobs that an earlier login found to be the user's and whose stepds were not asked.
    fn with_unasked(mut self, sockets: Vec<Socket>) -> Self {
        self.steps.own.extend(sockets.iter().map(|it| it.job));
        let unasked = sockets.into_iter().map(|it| {
            let stepd = OwnStepd {
                job: it.job.job,
                pid: UNASKED,
                is_ending: false,
            };
            (it, stepd)
        });
        self.own.extend(unasked);
        self
    }

    /// Asks the stepd of a job that was not asked before a decision about that job. Without the stepd's word
    /// the job does not count as the user's.
    pub fn ask_unasked(&mut self, steps: &mut Steps, job: u32, deadline: &Deadline, log: Log<'_>) {
        if !self
            .own
            .iter()
            .any(|(_, it)| it.job == job && it.pid == UNASKED)
        {
            return;
        }
        match self.converse(job, &deadline.within(PATIENCE), log) {
            Ok(conversation) => {
                let mut own = self.own.iter_mut();
                if let Some((_, stepd)) = own.find(|(_, it)| it.job == job) {
                    stepd.pid = conversation.pid;
                    stepd.is_ending = conversation.owner.state == State::Ending;
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

    /// Returns the conversation with the stepd of one of the user's jobs: the one that is open, or
    /// a new one, in which the stepd has confirmed the job's user again.
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

/// The reason why there is no conversation with a job's stepd.
#[derive(Debug)]
pub enum ConverseError {
    /// It does not answer before the deadline.
    Silent,
    /// The stepd no longer exists.
    Gone,
    /// It gives no usable answer or cannot be asked.
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
