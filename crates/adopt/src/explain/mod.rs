//! Dry-runs a login and explains the decision: asks and decides as a real login does, but prints the
//! result and admits nobody.

mod gets;
mod steps;

use std::cell::LazyCell;
use std::fmt;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::{Duration, Instant};

use pamconf::Facility;
use sys::Connection;

use crate::adoption::cgroup::Origin;
use crate::apply;
use crate::callerid;
use crate::decide::{self, Answer, Choice, Phase, Plan, Reason, Verdict};
use crate::exempt::{self, Exemption};
use crate::explain::gets::SessionLine;
use crate::explain::steps::Recorder;
use crate::facts::Caller;
use crate::gather::{self, Stepds};
use crate::log::Sink;
use crate::node::Environment;
use crate::options::Mode;
use crate::options::message::Messages;
use crate::prepare::Prepared;
use crate::report::{self, Reader};
use crate::session::stack::{Line, OwnLine, Stack};
use crate::state_dir::{self, StateDir};
use crate::text::shown;
use crate::waiting::{self, Progress};

pub use crate::explain::gets::Gets;
pub use crate::explain::steps::{Cause, Step};

/// The predicted outcome of an ssh login.
#[derive(Debug)]
pub struct Explanation {
    /// The user's name.
    pub user: String,
    /// The uid, if the account is known.
    pub uid: Option<u32>,
    /// The steps that led to it, in order.
    pub steps: Vec<Step>,
    /// The time that it would wait for a job at most, if it would.
    pub wait: Option<Duration>,
    /// What it would get of its job, if it is adopted.
    pub gets: Option<Gets>,
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
const NO_CONNECTION: &str = "explain has no connection to trace; pass --from ADDRESS";

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
    /// The connection of the login, if it is known.
    pub connection: Option<Connection>,
}

/// The reason why a login cannot be explained.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoExplanation {
    /// No line of the service's stack calls the module, so that it has no part in the login.
    NoLine {
        /// The service.
        service: String,
    },
    /// A file of the stack cannot be read.
    Unread(String),
}

impl fmt::Display for NoExplanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoLine { service } => write!(
                f,
                "no line of the PAM stack of {} calls pam_slurm_adopt.so, so it has no part in such a login; pass \
                 --options to explain a line that is not there",
                shown(service)
            ),
            Self::Unread(cause) => write!(f, "read the PAM stack: {cause}"),
        }
    }
}

/// Returns the module's line in the account stack, or in the session stack if it has none there.
fn line_of_stack(service: &str) -> Result<OwnLine, NoExplanation> {
    let stack = Stack::read(service);
    let own = stack.own_line(Facility::Account);
    match own.or_else(|| stack.own_line(Facility::Session)) {
        Some(own) => Ok(own.clone()),
        None => Err(match stack.unread() {
            Some(cause) => NoExplanation::Unread(cause.to_owned()),
            None => NoExplanation::NoLine {
                service: service.to_owned(),
            },
        }),
    }
}

/// Asks and decides as a login would; logs faults to `sink`, and each step of the exchange at debug.
///
/// Ignores the environment of the calling shell; sshd's own is unknown here.
///
/// # Errors
/// [`NoExplanation`].
pub fn explain(question: &Question<'_>, sink: &dyn Sink) -> Result<Explanation, NoExplanation> {
    let Question { user, service, .. } = question;
    let given = |arguments: &Vec<Vec<u8>>| OwnLine {
        arguments: arguments.clone(),
        line: Line {
            text: String::from_utf8_lossy(&arguments.join(&b' ')).into_owned(),
            place: "--options".to_owned(),
        },
    };
    let own = question.options.as_ref().map(given);
    let own = own.map_or_else(|| line_of_stack(service), Ok)?;
    let session = SessionLine::of(question, &own);
    let OwnLine { line, arguments } = own;
    let prepared = Prepared::for_user(user, service, &arguments, sink);
    prepared.warn_of_options();
    let mut recorder = Recorder::new(&arguments, &line.place);
    recorder.line(format!("{}: {}", line.place, line.text));
    recorder.user(&prepared.login);
    let settled = match prepared.before_slurm() {
        ControlFlow::Break(verdict) => Err(verdict),
        ControlFlow::Continue(uid) => prepared.kill_switch().map_or(Ok(uid), Err),
    };
    let (mut wait, mut gets) = (None, None);
    let end = match settled {
        Err(verdict) => End::Settled(verdict),
        Ok(uid) => {
            let asked = ask(&prepared, uid, question.connection, &mut recorder);
            wait = asked.wait;
            if let End::Adopted { job, .. } = asked.end {
                let found = gets::find(
                    &prepared,
                    (uid, job),
                    &asked.stepds,
                    session.as_ref(),
                    &mut recorder,
                );
                gets = Some(found);
            }
            asked.end
        }
    };
    recorder.decision(&end);
    Ok(Explanation {
        uid: prepared.login.uid(),
        user: prepared.login.user,
        messages: prepared.options.messages,
        steps: recorder.steps,
        wait,
        gets,
        end,
    })
}

/// What the stepds' answers come to.
struct Asked {
    end: End,
    wait: Option<Duration>,
    stepds: Stepds,
}

/// Asks the stepds and decides.
fn ask(
    prepared: &Prepared<'_>,
    uid: u32,
    connection: Option<Connection>,
    recorder: &mut Recorder<'_>,
) -> Asked {
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
    let started = Instant::now();
    let node = gather::find_node(&query);
    recorder.node(&node, started.elapsed());
    let started = Instant::now();
    let mut asked = None;
    let ask_caller = |scope: &callerid::Scope<'_>| {
        let answered = started.elapsed();
        let caller = match connection {
            Some(connection) => callerid::ask(Ok(Some(connection)), scope),
            None => Caller::Unknown(NO_CONNECTION.to_owned()),
        };
        asked = Some((answered, started.elapsed() - answered));
        caller
    };
    let (facts, mut stepds) = gather::ask(&query, node, ask_caller);
    let (of_stepds, of_caller) = asked.unwrap_or((started.elapsed(), started.elapsed()));
    recorder.facts(&facts, connection, of_stepds, of_caller);
    let whole = stepds.whole;
    let find = || exempt::find(&options.exempt, &prepared.login, &whole, *log);
    let exemption = LazyCell::new(find);
    let progress = Progress::of(&stepds.census.own());
    let wait = match facts.steps.is_ok()
        && waiting::may_wait(options, prepared.service())
        && progress != Progress::Ready
        && exemption.is_none()
    {
        true => wait(prepared, connection, &progress, recorder),
        false => None,
    };
    let plan = decide::plan(options, Phase::Account, facts);
    let plan = apply::without_suspended(plan, &mut stepds, *log);
    let end = end(prepared, plan, &|| exemption.clone());
    Asked { end, wait, stepds }
}

/// The time that the login would wait for a job.
fn wait(
    prepared: &Prepared<'_>,
    connection: Option<Connection>,
    seen: &Progress,
    recorder: &mut Recorder<'_>,
) -> Option<Duration> {
    let options = &prepared.options;
    // Without --from the login may come from anywhere.
    let may_come = |it: Connection| waiting::may_wait_from(options, Some(it.peer.ip()));
    if !connection.is_none_or(may_come) {
        recorder.waits_not();
        return None;
    }
    recorder.waits(seen, options.wait_for_job);
    Some(options.wait_for_job)
}

/// The end that a plan leads to.
fn end(prepared: &Prepared<'_>, plan: Plan, exemption: &dyn Fn() -> Option<Exemption>) -> End {
    let options = &prepared.options;
    let or_exempt = |verdict: Verdict| match decide::may_be_exempt(Phase::Account, &verdict) {
        true => match exemption() {
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
                Answer::Deny if exemption().is_some() => Answer::Allow,
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

    /// The job that the login would be adopted into.
    #[must_use]
    pub fn job(&self) -> Option<u32> {
        match &self.end {
            End::Adopted { job, .. } => Some(*job),
            End::Settled(_) => None,
        }
    }

    /// The decision with its PAM code and reason, and what follows if the stepd does not take the login.
    #[must_use]
    pub fn decision(&self) -> String {
        match &self.end {
            End::Adopted {
                job,
                choice,
                instead,
                if_refused,
                if_silent,
            } => {
                let reason = Reason::Job(choice.clone());
                let (refused, silent) = (in_words(*if_refused), in_words(*if_silent));
                let refused = match instead {
                    Some(job) => format!(
                        "if that job is ending: job {job}, and so on; if no slurmstepd accepts the login: {refused}"
                    ),
                    None => format!("if its slurmstepd refuses: {refused}"),
                };
                format!(
                    "would be adopted into job {job}: {reason}\n{refused}\nif it does not answer: {silent}"
                )
            }
            End::Settled(Verdict { answer, reason }) => {
                format!("would be {}: {reason}", in_words(*answer))
            }
        }
    }

    /// The text that the user reads.
    #[must_use]
    pub fn message(&self) -> Option<String> {
        let End::Settled(Verdict { answer, reason }) = &self.end else {
            return None;
        };
        let reader = Reader {
            messages: &self.messages,
            user: &self.user,
            job: None,
        };
        report::user_text(*answer, reason, &reader)
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
