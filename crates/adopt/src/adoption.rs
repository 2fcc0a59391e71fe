//! One stepd's part of a login: it hands over the job's namespaces, takes the process into the
//! extern step and names the job's X11 display.

use std::fmt;
use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use proto::stepd::{self, Namespaces, NotAdopted, State};
use sys::{Deadline, Namespace};

use crate::exchange::{self, Broken};
use crate::log::Log;
use crate::stepd::{Census, Conversation};

/// What is to be done.
#[derive(Debug, Clone, Copy)]
pub struct Request {
    /// The process.
    pub pid: u32,
    /// Enter the namespaces of the job's container, which only this process itself can.
    pub join_container: bool,
    /// Ask for the X11 display.
    pub x11: bool,
}

/// What an adopted login gets.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Adopted {
    /// DISPLAY, if the job has one.
    pub display: Option<String>,
    /// XAUTHORITY, if the job has one.
    pub authority: Option<String>,
}

/// Why a login is not wholly in its job.
#[derive(Debug)]
pub enum AdoptError {
    /// The stepd refused, closed the connection or answered nonsense. What it did to the process
    /// before that it may have left so (`req.c:_handle_add_extern_pid` undoes nothing).
    Refused(String),
    /// It tried to take the process and failed, which takes slurmstepd up to four seconds and mostly is the
    /// process's fault (`proctrack_g_add`; measured with a number that no process has).
    Failed(String),
    /// It did not answer before the deadline.
    Silent,
    /// The process is in the extern step, but not in the job's namespaces.
    NotJoined(String),
}

impl From<Broken> for AdoptError {
    fn from(broken: Broken) -> Self {
        match broken {
            Broken::Silent => Self::Silent,
            Broken::Ended => Self::Refused("the slurmstepd closed the connection".into()),
            other => Self::Refused(other.to_string()),
        }
    }
}

/// Puts the process into one of the user's jobs.
///
/// The namespaces are asked for before anything is changed, and entered last.
///
/// # Errors
/// [`AdoptError`].
pub fn adopt(
    census: &mut Census,
    job: u32,
    request: Request,
    deadline: &Deadline,
    log: Log<'_>,
) -> Result<Adopted, AdoptError> {
    let conversation = census.converse(job, deadline, log)?;
    if conversation.owner.state == State::Ending {
        return Err(AdoptError::Refused(ENDING.into()));
    }
    let namespaces = match request.join_container {
        true => {
            nothing_unread(&conversation.socket)?;
            let found = namespaces(census, &conversation, deadline, log)?;
            Entrance::prepare(found).map_err(AdoptError::Refused)?
        }
        false => Entrance::default(),
    };
    let adopted = add_process(&conversation, request, deadline, log)?;
    namespaces.enter(log).map_err(AdoptError::NotJoined)?;
    Ok(adopted)
}

const ENDING: &str = "the step is ending";

/// A step that is still starting says that it has no namespaces, and a moment later that it has.
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

fn ask_state(socket: &OwnedFd, deadline: &Deadline) -> Result<State, Broken> {
    if deadline.has_passed() {
        return Err(Broken::Silent);
    }
    sys::send(socket, &stepd::ask_state())?;
    let mut answer = [0; stepd::STATE_ANSWER];
    exchange::read_exactly(socket, &mut answer, deadline)?;
    Ok(stepd::read_state(answer))
}

/// The namespaces of the job, each checked to be what it is said to be.
fn namespaces(
    census: &mut Census,
    conversation: &Conversation,
    deadline: &Deadline,
    log: Log<'_>,
) -> Result<Vec<(Namespace, OwnedFd)>, AdoptError> {
    /// 20.11, whose first releases close the connection when asked: not to lose the one that is to
    /// adopt.
    const MAY_CLOSE: std::ops::Range<i32> = 0x2400..0x2500;
    let version = conversation.owner.version;
    let kind = Namespaces::of(version);
    let Some(question) = kind.ask() else {
        return Ok(Vec::new());
    };
    wait_until_set_up(conversation, deadline, log)?;
    let found = if MAY_CLOSE.contains(&version) {
        let job = conversation.job.job;
        let own = census.converse(job, deadline, log)?;
        match receive_namespaces(&own.socket, kind, question, deadline) {
            Err(Broken::Ended) => Ok(Vec::new()),
            result => result,
        }
    } else {
        receive_namespaces(&conversation.socket, kind, question, deadline)
    };
    found.map_err(|broken| match broken {
        // As with adoption itself: who makes the own stepd hang is not let in for that.
        Broken::Silent => AdoptError::Silent,
        broken => AdoptError::Refused(format!("the job's namespaces: {broken}")),
    })
}

pub(crate) fn receive_namespaces(
    socket: &OwnedFd,
    kind: Namespaces,
    question: [u8; 4],
    deadline: &Deadline,
) -> Result<Vec<(Namespace, OwnedFd)>, Broken> {
    sys::send(socket, &question)?;
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
    checked.map_err(|error| Broken::Nonsense(error.to_string()))?;
    Ok(fd)
}

/// What is there before the question is no answer to it.
fn nothing_unread(socket: &OwnedFd) -> Result<(), AdoptError> {
    match sys::receive(socket, &mut [0]) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
        Err(error) => Err(Broken::from(error).into()),
        Ok(0) => Err(Broken::Ended.into()),
        Ok(_) => Err(AdoptError::Refused(
            "the slurmstepd said more than it was asked".into(),
        )),
    }
}

/// Asks the stepd to take the process into its extern step, and for its display.
fn add_process(
    conversation: &Conversation,
    request: Request,
    deadline: &Deadline,
    log: Log<'_>,
) -> Result<Adopted, AdoptError> {
    let socket = &conversation.socket;
    let refused = |cause: &dyn fmt::Display| AdoptError::Refused(cause.to_string());
    let pid = i32::try_from(request.pid).map_err(|error| refused(&error))?;
    nothing_unread(socket)?;
    let mut question = stepd::adopt(pid).to_vec();
    if request.x11 {
        question.extend(stepd::ask_x11());
    }
    sys::send(socket, &question).map_err(Broken::from)?;
    let mut answer = [0; stepd::ADOPT_ANSWER];
    exchange::read_exactly(socket, &mut answer, deadline)?;
    stepd::read_adopted(&answer).map_err(|error| match error {
        NotAdopted::Refused(_) => AdoptError::Failed(error.to_string()),
        NotAdopted::Ending | NotAdopted::Nonsense(_) => refused(&error),
    })?;
    if !request.x11 {
        return Ok(Adopted::default());
    }
    // To be without a display is no reason to be kept out.
    Ok(receive_x11(socket, deadline).unwrap_or_else(|broken| {
        log.error(|| format!("the job's X11 display: {broken}"));
        Adopted::default()
    }))
}

pub(crate) fn receive_x11(socket: &OwnedFd, deadline: &Deadline) -> Result<Adopted, Broken> {
    let mut answer = [0; stepd::X11_ANSWER];
    exchange::read_exactly(socket, &mut answer, deadline)?;
    let x11 = stepd::read_x11(&answer).map_err(|error| Broken::Nonsense(error.to_string()))?;
    let mut path = vec![0; x11.authority];
    exchange::read_exactly(socket, &mut path, deadline)?;
    let display = (x11.display != 0).then(|| format!("localhost:{}.0", x11.display));
    let authority = match path.split_last() {
        None => None,
        Some((0, path)) if !path.contains(&0) => Some(
            String::from_utf8(path.to_vec())
                .map_err(|_| Broken::Nonsense("XAUTHORITY is not UTF-8".into()))?,
        ),
        Some(_) => return Err(Broken::Nonsense("XAUTHORITY is no text".into())),
    };
    Ok(Adopted { display, authority })
}

/// The namespaces to enter, with the way back out of them.
#[derive(Default)]
struct Entrance {
    /// All but the user namespace, and the ones that the process is in now.
    first: Vec<(Namespace, OwnedFd, OwnedFd)>,
    /// The user namespace comes last: who is in it can't go back to the others' old ones.
    last: Option<OwnedFd>,
}

impl Entrance {
    /// The way back is looked up before anything is done: in the job's mount namespace /proc may not
    /// show this process.
    fn prepare(namespaces: Vec<(Namespace, OwnedFd)>) -> Result<Self, String> {
        let mut entrance = Self::default();
        for (kind, fd) in namespaces {
            if kind == Namespace::User {
                entrance.last = Some(fd);
                continue;
            }
            let here = kind.current();
            let here = here.map_err(|error| format!("find the own {kind} namespace: {error}"))?;
            entrance.first.push((kind, fd, here));
        }
        Ok(entrance)
    }

    /// Enters all of them, or none.
    fn enter(&self, log: Log<'_>) -> Result<(), String> {
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
