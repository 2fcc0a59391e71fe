//! What the process of a trial login and its observer say to each other, as lines of JSON.

use serde::{Deserialize, Serialize};

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
