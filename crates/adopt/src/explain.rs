//! What a login would meet, without letting anyone in: the same questions and the same decision
//! as a real login, printed instead of done.

use std::cell::LazyCell;
use std::fmt;
use std::ops::ControlFlow;
use std::path::Path;

use pam::ReturnCode;

use crate::adoption::cgroup::Origin;
use crate::apply;
use crate::callerid;
use crate::decide::{self, Answer, Choice, Phase, Plan, Reason, Verdict};
use crate::exempt;
use crate::facts::Caller;
use crate::gather;
use crate::log::Sink;
use crate::login::Entry;
use crate::node::Environment;
use crate::options::Mode;
use crate::options::message::Messages;
use crate::prepare::Prepared;
use crate::report::{self, Reader};
use crate::state_dir::{self, StateDir};
use crate::text::shown;

/// What a login by sshd would meet.
#[derive(Debug)]
pub struct Explanation {
    user: String,
    uid: Option<u32>,
    messages: Messages,
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
const NO_CONNECTION: &str = "explain has no connection to trace";

/// Asks and decides for `user` with a PAM line's arguments; each step goes to `sink`.
///
/// The environment of the calling shell does not count; sshd's own is not known here.
#[must_use]
pub fn explain(user: &str, args: &[Vec<u8>], sink: &dyn Sink) -> Explanation {
    let prepared = Prepared::for_user(user, args, sink);
    prepared.warn_of_options();
    let Prepared { options, log, .. } = &prepared;
    let end = match prepared.before_slurm() {
        ControlFlow::Break(verdict) => End::Settled(verdict),
        ControlFlow::Continue(uid) => {
            if let Some(verdict) = prepared.kill_switch() {
                return prepared.explained(End::Settled(verdict));
            }
            let query = gather::Query {
                options,
                phase: Phase::Account,
                uid,
                environment: Environment::default(),
                state_dir: StateDir::open(Path::new(state_dir::DIR), false, *log),
                limit: options.timeout,
                origin: Origin::Nowhere,
                log: *log,
            };
            let no_connection = |_: &callerid::Scope<'_>| Caller::Unknown(NO_CONNECTION.to_owned());
            let (facts, mut stepds) = gather::gather(&query, no_connection);
            let plan = decide::plan(options, Phase::Account, facts);
            let plan = apply::without_suspended(plan, &mut stepds, *log);
            let exemption = LazyCell::new(|| {
                exempt::find(&options.exempt, &prepared.login, &stepds.deadline, *log)
            });
            let or_exempt = |answer: Answer| match answer {
                Answer::Deny if exemption.is_some() => Answer::Allow,
                answer => answer,
            };
            match plan {
                Plan::Settle(verdict) => {
                    End::Settled(match decide::may_be_exempt(Phase::Account, &verdict) {
                        true => match exemption.clone() {
                            Some(by) => decide::exempted(verdict, by),
                            None => verdict,
                        },
                        false => verdict,
                    })
                }
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
                    if_refused: or_exempt(if_refused),
                    if_silent: or_exempt(if_silent),
                },
            }
        }
    };
    let end = match prepared.options.mode {
        Mode::Audit => audited(end),
        Mode::Enforce | Mode::AdoptOnly => end,
    };
    prepared.explained(end)
}

/// What `mode=audit` makes of it.
fn audited(end: End) -> End {
    let (verdict, job) = match end {
        End::Settled(verdict) => (verdict, None),
        End::Adopted { job, choice, .. } => {
            let verdict = Verdict {
                answer: Answer::Adopted,
                reason: Reason::Job(choice),
            };
            (verdict, Some(job))
        }
    };
    End::Settled(decide::audited(verdict, job))
}

impl Prepared<'_> {
    fn explained(self, end: End) -> Explanation {
        Explanation {
            uid: self.login.uid(),
            user: self.login.user,
            messages: self.options.messages,
            end,
        }
    }
}

impl Explanation {
    /// PAM's code for such a login, as far as no stepd refuses it.
    #[must_use]
    pub fn code(&self) -> ReturnCode {
        match &self.end {
            End::Settled(verdict) => report::code(Entry::Account, verdict.answer),
            End::Adopted { .. } => report::code(Entry::Account, Answer::Adopted),
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
                        "if that job is ending: job {job}, and so on; if no slurmstepd accepts the login: {}",
                        in_words(*if_refused)
                    )?,
                    None => writeln!(f, "if its slurmstepd refuses: {}", in_words(*if_refused))?,
                }
                write!(f, "if it does not answer: {}", in_words(*if_silent))
            }
            End::Settled(Verdict { answer, reason }) => {
                write!(f, "would be {}: {reason}", in_words(*answer))?;
                let reader = Reader {
                    messages: &self.messages,
                    user: &self.user,
                    job: None,
                };
                match report::user_text(*answer, reason, &reader) {
                    Some(text) => write!(f, "\nmessage: {text}"),
                    None => Ok(()),
                }
            }
        }
    }
}

fn in_words(answer: Answer) -> &'static str {
    match answer {
        Answer::Adopted => "adopted (PAM_SUCCESS)",
        Answer::Chosen => "admitted, to be adopted by the session phase (PAM_SUCCESS)",
        Answer::Allow => "admitted without adoption (PAM_SUCCESS)",
        Answer::Unenforced => {
            "admitted without adoption (PAM_SUCCESS, PAM_IGNORE beside other account modules)"
        }
        Answer::Deny => "denied (PAM_PERM_DENIED)",
        Answer::Ignore => "left to the other modules (PAM_IGNORE)",
        Answer::SessionError => "refused: no such user (PAM_SESSION_ERR)",
        Answer::BadItem => "refused: PAM_SERVICE is missing (PAM_BAD_ITEM)",
    }
}
