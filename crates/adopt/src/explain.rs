//! What a login would meet, without letting anyone in: the same questions and the same decision
//! as a real login, printed instead of done.

use std::fmt;
use std::ops::ControlFlow;
use std::path::Path;

use pam::ReturnCode;

use crate::adoption::AdoptError;
use crate::adoption::cgroup::Origin;
use crate::adoption::suspended;
use crate::decide::{self, Answer, Caller, Choice, Plan, Reason, Stage, Verdict};
use crate::log::{Log, Sink};
use crate::login::Login;
use crate::node::Environment;
use crate::options::{LogLevel, Options};
use crate::report;
use crate::state_dir::{self, StateDir};
use crate::{Asking, Inquiry, Phase, gather_and_decide, options::shown};

/// What a login by sshd would meet.
#[derive(Debug)]
pub struct Explanation {
    user: String,
    uid: Option<u32>,
    end: End,
}

#[derive(Debug)]
enum End {
    Settled(Verdict),
    Adopted {
        job: u32,
        choice: Choice,
        /// The job that is tried next.
        instead: Option<u32>,
        if_refused: Answer,
        if_silent: Answer,
    },
}

/// In the place of a login's own connection.
const NO_CONNECTION: &str = "only a login has a connection to ask about";

/// Asks and decides for `user` with a PAM line's arguments; each step goes to `sink`.
///
/// The environment of the calling shell does not count; sshd's own is not known here.
#[must_use]
pub fn explain(user: &str, args: &[Vec<u8>], sink: &dyn Sink) -> Explanation {
    let (options, bad_arguments) = Options::parse(args);
    let log = Log::new(sink, LogLevel::Debug);
    for bad in bad_arguments {
        log.error(|| bad.to_string());
    }
    let login = Login::of_user(user.as_bytes());
    // The service is the one that the line is for, so that service= never answers here.
    let login = Login {
        service: Ok(options
            .service
            .split(',')
            .next()
            .unwrap_or_default()
            .to_owned()),
        ..login
    };
    let end = match decide::before(&options, &login) {
        ControlFlow::Break(verdict) => End::Settled(verdict),
        ControlFlow::Continue(uid) => {
            let no_connection = |_: &_| Caller::Unknown(NO_CONNECTION.to_owned());
            let state_dir = StateDir::open(Path::new(state_dir::DIR), false, log);
            let environment = Environment::default();
            let asking = Asking {
                environment: &environment,
                uid,
                state_dir: &state_dir,
                limit: options.timeout,
                ahead: false,
                origin: Origin::Nowhere,
            };
            let (plan, mut inquiry) =
                gather_and_decide(&options, Stage::Account, &asking, log, no_connection);
            match without_suspended(plan, &mut inquiry, log) {
                Plan::Settle(verdict) => End::Settled(verdict),
                Plan::Adopt {
                    job,
                    choice,
                    instead,
                    if_refused,
                    if_silent,
                    ..
                } => End::Adopted {
                    job,
                    choice,
                    instead: match instead.as_deref() {
                        Some(Plan::Adopt { job, .. }) => Some(*job),
                        Some(Plan::Settle(_)) | None => None,
                    },
                    if_refused,
                    if_silent,
                },
            }
        }
    };
    Explanation {
        uid: login.uid(),
        user: login.user,
        end,
    }
}

/// The plan as it is for a login that finds its jobs suspended.
fn without_suspended(mut plan: Plan, inquiry: &mut Inquiry, log: Log<'_>) -> Plan {
    loop {
        let Plan::Adopt { job, .. } = plan else {
            return plan;
        };
        let Inquiry {
            census, deadline, ..
        } = inquiry;
        let looked = suspended::look(census, job, deadline, log);
        if !matches!(looked, Err(AdoptError::Suspended)) {
            return plan;
        }
        plan = match plan {
            Plan::Adopt {
                instead: Some(next),
                ..
            } => *next,
            Plan::Adopt { if_refused, .. } => Plan::Settle(Verdict {
                answer: if_refused,
                reason: Reason::Suspended { job },
            }),
            settled @ Plan::Settle(_) => settled,
        };
    }
}

impl Explanation {
    /// PAM's code for such a login, as far as no stepd refuses it.
    #[must_use]
    pub fn code(&self) -> ReturnCode {
        match &self.end {
            End::Settled(verdict) => report::code(Phase::Account, verdict.answer),
            End::Adopted { .. } => report::code(Phase::Account, Answer::Adopted),
        }
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "user {}", shown(&self.user))?;
        match self.uid {
            Some(uid) => writeln!(f, " (uid {uid})")?,
            None => writeln!(f)?,
        }
        match &self.end {
            End::Adopted {
                job,
                choice,
                instead,
                if_refused,
                if_silent,
            } => {
                writeln!(
                    f,
                    "would be adopted into job {job}: {}",
                    Reason::Job(choice.clone())
                )?;
                match instead {
                    Some(job) => writeln!(
                        f,
                        "if it is ending then: job {job}, and so on; if no slurmstepd takes it: {}",
                        in_words(*if_refused)
                    )?,
                    None => writeln!(f, "if its slurmstepd refuses: {}", in_words(*if_refused))?,
                }
                write!(f, "if it does not answer: {}", in_words(*if_silent))
            }
            End::Settled(Verdict { answer, reason }) => {
                write!(f, "would be {}: {reason}", in_words(*answer))?;
                match report::user_text(*answer, reason) {
                    Some(text) => write!(f, "\nand would read: {text}"),
                    None => Ok(()),
                }
            }
        }
    }
}

fn in_words(answer: Answer) -> &'static str {
    match answer {
        Answer::Adopted => "adopted (PAM_SUCCESS)",
        Answer::Chosen => "let in, to be adopted by the session phase (PAM_SUCCESS)",
        Answer::Allow => "let in without adoption (PAM_SUCCESS)",
        Answer::Deny => "kept out (PAM_PERM_DENIED)",
        Answer::Ignore => "left to the other modules (PAM_IGNORE)",
        Answer::SessionError => "refused as no user of this host (PAM_SESSION_ERR)",
        Answer::BadItem => "refused as a damaged call (PAM_BAD_ITEM)",
    }
}
