//! Why a login is not in its job.

use std::fmt;

use crate::exchange::Broken;
use crate::stepd::ConverseError;
use crate::text::said;

pub(crate) const ENDING: &str = "the step is ending";

/// Why a login is not in its job, or not as it should be.
#[derive(Debug)]
pub enum AdoptError {
    /// The stepd refused, closed the connection or answered nonsense. What it did to the process
    /// before that it may have left so (`req.c:_handle_add_extern_pid` undoes nothing).
    Refused(String),
    /// The job is suspended: who is in it stops. Nothing was changed, or what was is undone.
    Suspended,
    /// It tried to take the process and failed, which takes slurmstepd up to four seconds and mostly is the
    /// process's fault (`proctrack_g_add`; measured with a number that no process has).
    Failed(String),
    /// It did not answer before the deadline.
    Silent,
    /// The process is in the extern step, but not in the job's namespaces.
    NotJoined(String),
    /// The stepd took it, and yet it is elsewhere; or it is not the process to be adopted, or that could not
    /// be seen.
    NotHeld(String),
}

impl AdoptError {
    /// The step takes no process any more.
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
