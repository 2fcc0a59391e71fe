//! The namespaces of the job that a login is to be in: the stepd hands them over, the process enters them.

use std::os::fd::OwnedFd;
use std::time::Duration;

use proto::stepd::{self, Namespaces, State};
use sys::{Deadline, Namespace};

use crate::adoption::{AdoptError, ENDING, nothing_unread};
use crate::exchange::{self, Broken};
use crate::log::{Log, said};
use crate::stepd::{Census, Conversation};

/// A step that is still starting says that it has no namespaces, and a moment later that it has.
#[inline(never)]
fn wait_until_set_up(
    conversation: &Conversation,
    deadline: &Deadline,
    log: Log<'_>,
) -> Result<(), AdoptError> {
    const AGAIN: Duration = Duration::from_millis(10);
    let mut state = conversation.owner.state;
    loop {
        match state {
            State::Running => return Ok(()),
            State::Ending => return Err(AdoptError::Refused(ENDING.into())),
            State::Starting => {}
        }
        sys::poll(&mut [], AGAIN.min(deadline.remaining())).map_err(Broken::from)?;
        state = match ask_state(&conversation.socket, deadline) {
            Ok(state) => state,
            Err(Broken::Silent) => {
                let job = conversation.job.job;
                // Whether it goes on starting or has stopped is not to be seen.
                log.error(|| {
                    format!("the extern step of job {job} last said that it was still starting")
                });
                return Err(AdoptError::Silent);
            }
            Err(broken) => return Err(broken.into()),
        };
    }
}

/// Asks the stepd for the state of its step.
pub(crate) fn ask_state(socket: &OwnedFd, deadline: &Deadline) -> Result<State, Broken> {
    if deadline.has_passed() {
        return Err(Broken::Silent);
    }
    sys::send(socket, &stepd::ask_state())?;
    let mut answer = [0; stepd::STATE_ANSWER];
    exchange::read_exactly(socket, &mut answer, deadline)?;
    Ok(stepd::read_state(answer))
}

/// 20.11, whose first releases close the connection when asked for namespaces: not to lose the one that
/// is to adopt.
const MAY_CLOSE: std::ops::Range<i32> = 0x2400..0x2500;

/// The question for namespaces that a stepd of that protocol version can be asked before it has
/// answered anything.
#[must_use]
pub fn question_ahead(version: i32) -> Option<[u8; 4]> {
    let question = Namespaces::of(version).ask();
    question.filter(|_| !MAY_CLOSE.contains(&version))
}

/// The namespaces of the job, each checked to be what it is said to be.
pub fn namespaces(
    census: &mut Census,
    conversation: &Conversation,
    deadline: &Deadline,
    log: Log<'_>,
) -> Result<Vec<(Namespace, OwnedFd)>, AdoptError> {
    let version = conversation.owner.version;
    let kind = Namespaces::of(version);
    if kind == Namespaces::None {
        return Ok(Vec::new());
    }
    let may_close = MAY_CLOSE.contains(&version);
    let own;
    let mut socket = &conversation.socket;
    let mut question = None;
    if !conversation.is_asked_ahead {
        question = kind.ask();
        nothing_unread(socket)?;
        wait_until_set_up(conversation, deadline, log)?;
        if may_close {
            own = census.converse(conversation.job.job, deadline, log)?;
            socket = &own.socket;
        }
    }
    let found = receive_namespaces(socket, kind, question, deadline);
    found.or_else(|broken| match broken {
        Broken::Ended if may_close => Ok(Vec::new()),
        // As with adoption itself: who makes the own stepd hang is not let in for that.
        Broken::Silent => Err(AdoptError::Silent),
        broken => Err(AdoptError::Refused(format!(
            "the job's namespaces: {broken}"
        ))),
    })
}

/// Reads the answer to a question that is asked first, if it has not been asked yet.
pub(crate) fn receive_namespaces(
    socket: &OwnedFd,
    kind: Namespaces,
    question: Option<[u8; 4]>,
    deadline: &Deadline,
) -> Result<Vec<(Namespace, OwnedFd)>, Broken> {
    if let Some(question) = question {
        sys::send(socket, &question)?;
    }
    let number = |what| -> Result<i32, Broken> {
        let mut answer = [0; 4];
        exchange::read_exactly(socket, &mut answer, deadline)?;
        match i32::from_ne_bytes(answer) {
            number @ 0.. => Ok(number),
            number => Err(Broken::Nonsense(format!("{what} is {number}"))),
        }
    };
    let mut found = Vec::new();
    if kind == Namespaces::One {
        if number("the descriptor")? != 0 {
            found.push((
                Namespace::Mount,
                receive_one(socket, Namespace::Mount, deadline)?,
            ));
        }
        return Ok(found);
    }
    let count = number("their number")?;
    if count > Namespaces::MOST {
        return Err(Broken::Nonsense(format!("their number is {count}")));
    }
    for _ in 0..count {
        let flag = number("a kind")?;
        let kind = Namespace::from_flag(flag)
            .ok_or_else(|| Broken::Nonsense(format!("a kind is {flag:#x}")))?;
        found.push((kind, receive_one(socket, kind, deadline)?));
    }
    Ok(found)
}

fn receive_one(socket: &OwnedFd, kind: Namespace, deadline: &Deadline) -> Result<OwnedFd, Broken> {
    let received = exchange::until_there(socket, deadline, || sys::receive_descriptor(socket))?;
    let fd = received.ok_or(Broken::Ended)?;
    let checked = kind.check(&fd);
    checked.map_err(|error| Broken::Nonsense(said(error)))?;
    Ok(fd)
}

/// The namespaces to enter, with the way back out of them.
#[derive(Default)]
pub struct Entrance {
    /// All but the user namespace, and the ones that the process is in now.
    first: Vec<(Namespace, OwnedFd, OwnedFd)>,
    /// The user namespace comes last: who is in it can't go back to the others' old ones.
    last: Option<OwnedFd>,
}

impl Entrance {
    /// The way back is looked up before anything is done: in the job's mount namespace /proc may not
    /// show this process.
    /// With `may_be_there` those that the process is in are left out: a user namespace can't be
    /// entered again, setns(2).
    pub fn prepare(
        namespaces: Vec<(Namespace, OwnedFd)>,
        may_be_there: bool,
    ) -> Result<Self, String> {
        let mut entrance = Self::default();
        for (kind, fd) in namespaces {
            if kind == Namespace::User && !may_be_there {
                entrance.last = Some(fd);
                continue;
            }
            let here = kind.current();
            let here = here.map_err(|error| format!("find the own {kind} namespace: {error}"))?;
            let is_there = may_be_there && sys::is_same_file(&fd, &here).unwrap_or(false);
            match kind {
                _ if is_there => {}
                Namespace::User => entrance.last = Some(fd),
                _ => entrance.first.push((kind, fd, here)),
            }
        }
        Ok(entrance)
    }

    /// Enters all of them, or none.
    #[inline(never)]
    pub fn enter(&self, log: Log<'_>) -> Result<(), String> {
        let first = self.first.iter().map(|(kind, fd, _)| (*kind, fd));
        let last = self.last.iter().map(|fd| (Namespace::User, fd));
        for (index, (kind, fd)) in first.chain(last).enumerate() {
            let Err(error) = kind.enter(fd) else { continue };
            for (kind, _, here) in self.first.iter().take(index) {
                if let Err(error) = kind.enter(here) {
                    log.error(|| format!("leave the job's {kind} namespace: {error}"));
                }
            }
            return Err(format!("enter the job's {kind} namespace: {error}"));
        }
        Ok(())
    }
}
