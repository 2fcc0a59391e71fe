//! Dry-runs a login and explains the decision: asks and decides as a real login does, but prints the
//! result and admits nobody.

use std::cell::LazyCell;
use std::fmt;
use std::ops::ControlFlow;
use std::path::Path;

use pamconf::Facility;

use crate::adoption::cgroup::Origin;
use crate::apply;
use crate::callerid;
use crate::decide::{self, Answer, Choice, Phase, Plan, Reason, Verdict};
use crate::exempt;
use crate::facts::Caller;
use crate::gather;
use crate::log::{Log, Sink};
use crate::node::Environment;
use crate::options::message::Messages;
use crate::options::{LogLevel, Mode};
use crate::prepare::Prepared;
use crate::report::{self, Reader};
use crate::session::stack::{OwnLine, Stack};
use crate::state_dir::{self, StateDir};
use crate::text::shown;

/// The predicted outcome of an ssh login.
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

/// The cause reported instead of a source job.
const NO_CONNECTION: &str = "explain has no connection to trace";

/// How a login ends, as far as this module decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// In a job.
    Adopted,
    /// Let in without adoption, or left to other modules.
    NotAdopted,
    /// Denied.
    Denied,
}

/// A login to explain.
#[derive(Debug)]
pub struct Question<'a> {
    /// The user's name.
    pub user: &'a str,
    /// PAM_SERVICE.
    pub service: &'a str,
    /// Arguments of the PAM line. None: those in the service's stack.
    pub options: Option<Vec<Vec<u8>>>,
}

/// Returns the arguments of the module's line in the account stack, or in the session stack if it has none there.
fn arguments_of_stack(service: &str, log: Log<'_>) -> Vec<Vec<u8>> {
    let stack = Stack::read(service);
    if let Some(cause) = stack.unread() {
        log.error(|| format!("read the PAM stack of {}: {cause}", shown(service)));
    }
    let own = stack.own_line(Facility::Account);
    match own.or_else(|| stack.own_line(Facility::Session)) {
        Some(OwnLine { line, arguments }) => {
            log.debug(|| format!("{}: {}", line.place, line.text));
            arguments.clone()
        }
        None => {
            log.error(|| {
                let service = shown(service);
                format!("no line of the PAM stack of {service} calls this module; explaining its defaults")
            });
            Vec::new()
        }
    }
}

/// Asks and decides as a login would; logs each step to `sink`.
///
/// Ignores the environment of the calling shell; sshd's own is unknown here.
#[must_use]
pub fn explain(question: &Question<'_>, sink: &dyn Sink) -> Explanation {
    let Question {
        user,
        service,
        options,
    } = question;
    let arguments = match options {
        Some(arguments) => arguments.clone(),
        None => arguments_of_stack(service, Log::new(sink, LogLevel::Debug)),
    };
    let prepared = Prepared::for_user(user, service, &arguments, sink);
    prepared.warn_of_options();
    let end = match prepared.before_slurm() {
        ControlFlow::Break(verdict) => End::Settled(verdict),
        ControlFlow::Continue(uid) => match prepared.kill_switch() {
            Some(verdict) => End::Settled(verdict),
            None => end(&prepared, uid),
        },
    };
    prepared.explained(end)
}

/// Asks the stepds and decides.
fn end(prepared: &Prepared<'_>, uid: u32) -> End {
    let Prepared { options, log, .. } = prepared;
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
    let find = || exempt::find(&options.exempt, &prepared.login, &stepds.whole, *log);
    let exemption = LazyCell::new(find);
    let or_exempt = |verdict: Verdict| match decide::may_be_exempt(Phase::Account, &verdict) {
        true => match exemption.clone() {
            Some(by) => decide::exempted(verdict, by),
            None => verdict,
        },
        false => verdict,
    };
    match plan {
        plan if options.mode == Mode::Audit => {
            let (verdict, job) = decide::foreseen(plan);
            End::Settled(decide::audited(or_exempt(verdict), job))
        }
        Plan::Settle(verdict) => End::Settled(or_exempt(verdict)),
        Plan::Adopt {
            job,
            choice,
            instead,
            if_refused,
            if_silent,
            ..
        } => {
            let in_anyway = |answer: Answer| match answer {
                Answer::Deny if exemption.is_some() => Answer::Allow,
                answer => answer,
            };
            End::Adopted {
                job,
                choice,
                instead: match instead.as_deref() {
                    Some(Plan::Adopt { job, .. }) => Some(*job),
                    Some(Plan::Settle(_)) | None => None,
                },
                if_refused: in_anyway(if_refused),
                if_silent: in_anyway(if_silent),
            }
        }
    }
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
    /// Whether the user gets in: adopted, without adoption, or not at all.
    #[must_use]
    pub fn admission(&self) -> Admission {
        let answer = match &self.end {
            End::Settled(verdict) => verdict.answer,
            End::Adopted { .. } => Answer::Adopted,
        };
        match answer {
            Answer::Adopted | Answer::Chosen => Admission::Adopted,
            Answer::Allow | Answer::Unenforced | Answer::Ignore => Admission::NotAdopted,
            Answer::Deny | Answer::SessionError | Answer::BadItem => Admission::Denied,
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
