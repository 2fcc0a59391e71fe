//! The steps of an explanation: facts, who answered in how many ms, and the option behind each branch.

use std::fs;
use std::time::Duration;

use sys::Connection;

use crate::decide::{Choice, Reason, Verdict};
use crate::exempt::Exemption;
use crate::explain::End;
use crate::facts::{Caller, Facts};
use crate::login::{Account, Login};
use crate::node::{Node, NodeError};
use crate::options;
use crate::options::origin::{SetBy, Settings};
use crate::report;
use crate::text::shown;
use crate::waiting::Progress;

/// One step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Its subject, in a word or two.
    pub name: &'static str,
    /// What was found or decided; empty if the option says it all.
    pub fact: String,
    /// The option that caused it.
    pub cause: Option<Cause>,
    /// The time that it took.
    pub took: Option<Duration>,
}

/// An option that caused a branch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause {
    /// Its name.
    pub option: &'static str,
    /// Its value.
    pub value: String,
    /// FILE:LINE, or `default`.
    pub place: String,
}

/// Collects the steps.
pub(super) struct Recorder<'a> {
    pub steps: Vec<Step>,
    settings: Settings<'a>,
    /// The place of the PAM line.
    place: &'a str,
}

impl<'a> Recorder<'a> {
    /// Starts with the arguments of the PAM line at `place`, and the options file.
    pub fn new(arguments: &'a [Vec<u8>], place: &'a str) -> Self {
        // A file that cannot be read is a fault that the log has.
        let text = fs::read(options::FILE).unwrap_or_default();
        Self {
            steps: Vec::new(),
            settings: Settings::new(&String::from_utf8_lossy(&text), arguments),
            place,
        }
    }

    /// Adds a step; the caller fills in the rest.
    pub fn add(&mut self, name: &'static str, fact: String) -> &mut Step {
        self.steps.push(Step {
            name,
            fact,
            cause: None,
            took: None,
        });
        let last = self.steps.len() - 1;
        &mut self.steps[last]
    }

    /// The setting of an option that counts.
    pub fn cause(&self, option: &'static str) -> Cause {
        let (value, by) = self.settings.origin(option);
        let place = match by {
            SetBy::Argument(_) => self.place.to_owned(),
            SetBy::Line(line) => format!("{}:{line}", options::FILE),
            SetBy::Strict => "strict".to_owned(),
            SetBy::Default => "default".to_owned(),
        };
        Cause {
            option,
            value,
            place,
        }
    }

    /// The line that calls the module.
    pub fn line(&mut self, line: String) {
        self.add("options", line);
    }

    /// Who logs in.
    pub fn user(&mut self, login: &Login) {
        let user = shown(&login.user);
        let fact = match &login.account {
            Account::Known { uid: 0 } => format!("{user}, uid 0: root"),
            Account::Known { uid } => format!("{user}, uid {uid}: not root"),
            Account::Unknown(error) => error.to_string(),
            Account::Missing(error) => error.to_string(),
        };
        self.add("user", fact);
    }

    /// This node.
    pub fn node(&mut self, node: &Result<Node, NodeError>, took: Duration) {
        let fact = match node {
            Ok(node) => {
                let (path, names) = (node.path.display(), node.names.join(" or "));
                format!("{path}: node name {names}")
            }
            Err(error) => error.to_string(),
        };
        self.add("node", fact).took = Some(took);
    }

    /// The jobs here, and where the connection comes from.
    pub fn facts(
        &mut self,
        facts: &Facts,
        connection: Option<Connection>,
        of_stepds: Duration,
        of_caller: Duration,
    ) {
        let Ok(steps) = &facts.steps else { return };
        let mut own: Vec<u32> = steps.own.iter().map(|it| it.job).collect();
        // As they answered is no order for people.
        own.sort_unstable();
        let own: Vec<_> = own.iter().map(u32::to_string).collect();
        let own = if own.is_empty() {
            "none".to_owned()
        } else {
            own.join(", ")
        };
        let mut fact = format!("{own} of the user, {} of others", steps.others);
        for job in &steps.silent {
            fact += &format!("; slurmstepd of job {job} does not answer");
        }
        for (job, cause) in &steps.failed {
            fact += &format!("; slurmstepd of job {job}: {cause}");
        }
        self.add("jobs here", fact).took = Some(of_stepds);
        let from = connection.map(|it| it.peer.ip());
        let from = from.map_or(String::new(), |it| format!("{it}: "));
        let (fact, took) = match &facts.caller {
            Caller::NotAsked if steps.own.len() == 1 => {
                (format!("{from}does not matter, the user has one job"), None)
            }
            Caller::NotAsked => return,
            Caller::Job { job, .. } => (format!("{from}job {job}"), Some(of_caller)),
            Caller::Unknown(cause) => (format!("{from}{cause}"), connection.map(|_| of_caller)),
        };
        let cause = match facts.caller {
            Caller::NotAsked => Some(self.cause("single_job_skip_rpc")),
            _ => None,
        };
        let step = self.add("source", fact);
        step.took = took;
        step.cause = cause;
    }

    /// A login would wait here.
    pub fn waits(&mut self, seen: &Progress, at_most: Duration) {
        let what = match seen {
            Progress::Starting(job) => format!("for job {job} to be set up"),
            Progress::NoJob | Progress::Ready => "for a job to start here".to_owned(),
        };
        let seconds = at_most.as_secs_f32();
        let fact = format!("a login waits up to {seconds} s {what}; explain does not");
        self.caused("waiting", &fact, "wait_for_job");
    }

    /// A login does not wait, because it does not come from one of the networks.
    pub fn waits_not(&mut self) {
        self.caused(
            "waiting",
            "no login from there waits for a job",
            "wait_from",
        );
    }

    /// The option that decides, and those that decide if the stepd does not take the login.
    pub fn decision(&mut self, end: &End) {
        match end {
            End::Settled(Verdict { reason, .. }) => self.reason(reason),
            End::Adopted { choice, .. } => {
                match choice {
                    Choice::Newest { .. } | Choice::NextNewest { .. } => {
                        self.caused("several jobs", "the newest", "action_unknown");
                    }
                    Choice::Preferred { by, .. } => {
                        let best = report::best(*by);
                        self.caused("several jobs", best, "action_unknown");
                    }
                    Choice::NextPreferred { .. } => {
                        self.caused("several jobs", "the next best here", "action_unknown");
                    }
                    Choice::OnlyJob | Choice::Chosen | Choice::Holder | Choice::Caller { .. } => {}
                }
                self.caused("if refused", "", "action_adopt_failure");
                self.caused("if silent", "", "action_no_jobs");
            }
        }
    }

    fn reason(&mut self, reason: &Reason) {
        match reason {
            Reason::OtherService(_) => {
                self.caused("service", "the line does not act for it", "service");
            }
            Reason::KillSwitch(_) => self.caused("kill switch", "on", "kill_switch"),
            Reason::Exempt { by, reason, .. } => {
                self.reason(reason);
                let option = match by {
                    Exemption::User => "exempt_users",
                    Exemption::Uid { .. } => "exempt_uid_below",
                    Exemption::Group(_) => "exempt_groups",
                    Exemption::Recorded => return,
                };
                self.caused("exempt", &by.to_string(), option);
            }
            Reason::Audit { reason, .. } => {
                self.reason(reason);
                self.caused("mode", "nothing is enforced", "mode");
            }
            Reason::Node(_) | Reason::Panicked(_) => {
                self.caused("failure", "", "action_generic_failure");
            }
            Reason::NoJob(_) | Reason::StepdSilent { .. } => {
                self.caused("no job", "", "action_no_jobs");
            }
            Reason::Several { .. } => self.caused("several jobs", "", "action_unknown"),
            Reason::Refused(_) | Reason::AfterAccount { .. } | Reason::Suspended { .. } => {
                self.caused("refused", "", "action_adopt_failure");
            }
            Reason::NoService(_)
            | Reason::NoUser(_)
            | Reason::UnknownUser(_)
            | Reason::Root
            | Reason::Job(_) => {}
        }
    }

    fn caused(&mut self, name: &'static str, fact: &str, option: &'static str) {
        let cause = self.cause(option);
        self.add(name, fact.to_owned()).cause = Some(cause);
    }
}
