//! What the process of a trial login and its observer say to each other, as lines of JSON.

use std::io;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sys::Deadline;

use super::login::Login;

/// The name of the program's subcommand that makes a trial login. Its standard input is a socket for these lines.
pub const SUBCOMMAND: &str = "__trial-login";

/// Bytes of memory that the login takes when asked to.
pub const CHARGE: u64 = 16 << 20;

/// A line from the login.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event {
    /// A phase of PAM has ended.
    Phase {
        /// Which.
        phase: Phase,
        /// libpam's answer.
        answer: Answer,
    },
    /// The login is open, and a process of the user is in it: a child of the one that made it. It may have another
    /// pid within.
    Inside {
        /// The GPU devices, as they open for the user.
        gpus: Vec<Gpu>,
    },
    /// The process has taken [`CHARGE`] bytes, and keeps them.
    Charged,
    /// The process has given the memory back.
    Released,
    /// The login cannot be tried.
    Failed(String),
    /// The session is closed.
    Closed,
}

/// A line to the login. The end of the connection makes it close the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Order {
    /// Take memory.
    Charge,
    /// Give it back.
    Release,
}

/// A phase of PAM, in sshd's order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Phase {
    /// pam_acct_mgmt(3)
    Account,
    /// pam_open_session(3)
    Session,
}

/// The end of a phase.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// Whether it is PAM_SUCCESS.
    pub is_success: bool,
    /// The code in words.
    pub words: String,
    /// What the user reads.
    pub texts: Vec<String>,
}

/// A GPU device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gpu {
    /// Its file.
    pub path: String,
    /// The system's error, if it does not open.
    pub refused: Option<String>,
}

/// Makes a login of a user by sshd's PAM stack, looks at nothing in it, and closes it. Returns the first answer that
/// keeps the user out; None if the user gets in.
///
/// # Errors
/// The login cannot be tried: the reason.
pub fn refusal(user: &str, limit: Duration) -> io::Result<Option<Answer>> {
    let mut login = Login::start(user, &[], Deadline::after(limit))?;
    let found = first_refusal(&mut login);
    login.end();
    found
}

fn first_refusal(login: &mut Login) -> io::Result<Option<Answer>> {
    while let Some(event) = login.next()? {
        match event {
            Event::Phase { answer, .. } if !answer.is_success => return Ok(Some(answer)),
            Event::Phase {
                phase: Phase::Session,
                ..
            } => return Ok(None),
            Event::Failed(cause) => return Err(io::Error::other(cause)),
            _ => {}
        }
    }
    Err(io::Error::other("the process of the login ended at once"))
}
