//! The reasons why a login is not in its job.

use std::fmt;

use crate::exchange::Broken;
use crate::stepd::ConverseError;
use crate::text::said;

pub(crate) const ENDING: &str = "the step is ending";

/// The reason why a login is not in its job, or not as it should be.
#[derive(Debug)]
pub enum AdoptError {
    /// The stepd refused, closed the connection or sent an invalid answer. Earlier changes to the process
    /// may remain (`req.c:_handle_add_extern_pid` undoes nothing).
    Refused(String),
    /// The job is suspended: a process in it stops. Nothing was changed, or the change was undone.
    Suspended,
    /// The stepd tried to take the process and failed. That takes slurmstepd up to four seconds, and mostly is the
    /// process's fault (`proctrack_g_add`; measured with an unused pid).
    Failed(String),
    /// The stepd did not answer before the deadline.
    Silent,
    /// The process is in the extern step, but not in the job's namespaces.
    NotJoined(String),
    /// The stepd took the process, and yet it is elsewhere; or it is not the process to adopt, or that could not
    /// be checked.
    NotHeld(String),
}

impl AdoptError {
    /// The error if the step takes no more processes.
    pub(crate) fn ending() -> Self {
        Self::Refused(ENDING.into())
    }
}

impl From<Broken> for AdoptError {
    fn from(broken: Broken) -> Self {
        match broken {
            Broken::Silent => Self::Silent,
            Broken::Ended => Self::Refused("the slurmstepd closed the connection".into()),
            other => Self::Refused(said(other)),
        }
    }
}

impl From<ConverseError> for AdoptError {
    fn from(error: ConverseError) -> Self {
        match error {
            ConverseError::Silent => Self::Silent,
            error => Self::Refused(said(error)),
        }
    }
}

impl fmt::Display for AdoptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(cause)
            | Self::Failed(cause)
            | Self::NotJoined(cause)
            | Self::NotHeld(cause) => f.write_str(cause),
            Self::Suspended => f.write_str("it is suspended"),
            Self::Silent => f.write_str("its slurmstepd does not answer"),
        }
    }
}
