//! Asks each stepd, whoever owns its job, and tells what became of each question: for `survey`. A login asks for one
//! user, by the census.

use std::collections::VecDeque;
use std::time::Duration;

use proto::stepd::OwnerAnswer;
use sys::Deadline;

use crate::log::Log;
use crate::node::Node;
use crate::stepd::census::Census;
use crate::stepd::inquiry::Inquiry;
use crate::stepd::owners::Owners;
use crate::stepd::spool::Socket;

/// No user has this uid, and no stepd answers with it: nobody's job is the own one, so none ends the questions early.
const NOBODY: u32 = u32::MAX;

/// What became of the question to one stepd.
#[derive(Debug)]
pub(crate) struct Heard {
    /// Its socket.
    pub socket: Socket,
    /// The pid that listens there, as seen from here; 0 if unknown.
    pub pid: i32,
    /// The time from the question to the answer, or to giving up.
    pub took: Duration,
    /// The answer.
    pub reply: Reply,
}

/// A stepd's answer, or why there is none.
#[derive(Debug)]
pub(crate) enum Reply {
    /// The job's owner and the step's state.
    Owner(OwnerAnswer),
    /// No answer before the deadline.
    Silent,
    /// Nobody listens.
    Gone,
    /// No usable answer, or it cannot be asked.
    Failed(String),
}

impl Heard {
    /// The answer of a stepd of which only the socket is known.
    pub(super) fn of(socket: &Socket, reply: Reply) -> Self {
        Self {
            socket: socket.clone(),
            pid: 0,
            took: Duration::ZERO,
            reply,
        }
    }
}

/// Asks all of them at the same time, in no order.
pub(crate) fn ask_each(
    sockets: impl Iterator<Item = Socket>,
    node: &Node,
    deadline: &Deadline,
    log: Log<'_>,
) -> Vec<Heard> {
    let mut heard = Vec::new();
    let census = Census {
        uid: NOBODY,
        trusted: node.trusted.clone(),
        ..Census::default()
    };
    let mut listener = |it| heard.push(it);
    let (untried, mut known): (VecDeque<Socket>, _) = (sockets.collect(), Owners::default());
    Inquiry::new(untried, census, &mut known, false, log)
        .telling(&mut listener)
        .run(deadline);
    heard
}
