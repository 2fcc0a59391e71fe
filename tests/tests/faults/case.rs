//! One fault under all settings that could matter, and what is to come of it.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lab::Node;
use tests::{Call, Module, Outcome};

use crate::policy::{Actions, Means};

/// By how much a login may miss its deadline on a machine that has other things to do as well. Who waits
/// for another reason than the deadline, waits for seconds or for ever.
const SLACK: Duration = Duration::from_secs(3);
/// Logins at a time.
pub const AT_A_TIME: usize = 4;

/// A fault that is there, and whose login is made.
#[derive(Clone)]
pub struct Case {
    /// Where and what.
    pub name: String,
    /// Of the PAM line, besides the actions and `timeout=`.
    pub options: String,
    /// Who logs in.
    pub user: &'static str,
    /// `timeout=`, in seconds.
    pub timeout: f64,
    /// More arguments of the PAM application.
    pub arguments: Vec<String>,
    /// As in [`Call`].
    pub wrapper: Option<String>,
    /// What the man page says.
    pub means: Means,
    /// What our log must say; one of these, where ` | ` is between them.
    pub reason: String,
    /// What more must be so.
    pub also: fn(&Outcome) -> bool,
}

impl Case {
    /// Alice's login with five seconds' time.
    pub fn new(
        name: impl Into<String>,
        options: impl Into<String>,
        means: Means,
        reason: &str,
    ) -> Self {
        Self {
            name: name.into(),
            options: options.into(),
            user: "alice",
            timeout: 5.0,
            arguments: Vec::new(),
            wrapper: None,
            means,
            reason: reason.to_owned(),
            also: |_| true,
        }
    }

    fn call(&self, actions: Actions) -> Call {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let options = format!(
            "{} {actions} timeout={} service=*",
            self.options, self.timeout
        );
        let mut call = Call::new(self.user, &options);
        // Named in each line of the log.
        call.service = format!("s{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        call.arguments = self.arguments.clone();
        call.wrapper = self.wrapper.clone();
        call
    }

    /// What is not as it should be under these settings; none if all is.
    fn fails(&self, node: &Node, actions: Actions) -> Result<Option<String>> {
        let call = self.call(actions);
        let mark = node.syslog_mark()?;
        let outcome = call.make(node, Module::Ours);
        let outcome = outcome.with_context(|| format!("{}: {actions}", self.name))?;
        let sign = format!("({}:account)", call.service);
        let log = node.syslog_since(mark)?;
        let lines: Vec<&str> = log.lines().filter(|it| it.contains(&sign)).collect();
        let log = lines.join("\n");
        let fail = |what: &str| {
            let (name, end) = (&self.name, outcome.end);
            let (texts, env) = (&outcome.messages, &outcome.env);
            let seen = format!("{end:?} {texts:?} {env:?}");
            Ok(Some(format!(
                "{name}: {what}: {actions}\n  {seen}\n  {log}"
            )))
        };
        let expected = self.means.outcome(actions);
        if !expected.is(&outcome) {
            return fail(&format!("expected {expected:?}"));
        }
        let limit = Duration::from_secs_f64(self.timeout) + SLACK;
        if Duration::from_micros(outcome.micros) > limit {
            return fail(&format!("took {} us", outcome.micros));
        }
        if !self.reason.split(" | ").any(|it| log.contains(it)) {
            return fail(&format!("the log lacks '{}'", self.reason));
        }
        if !outcome.left_open.is_empty() {
            return fail(&format!("left open: {:?}", outcome.left_open));
        }
        if !(self.also)(&outcome) {
            return fail("not all is as it should be");
        }
        Ok(None)
    }
}

/// Makes all logins of these cases, some at a time, and tells of all that went wrong.
pub fn run(node: &Node, cases: &[Case]) -> Result<()> {
    let turns: Vec<(&Case, Actions)> = cases
        .iter()
        .flat_map(|case| case.means.settings().into_iter().map(move |it| (case, it)))
        .collect();
    let next = AtomicUsize::new(0);
    let failures = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..AT_A_TIME {
            scope.spawn(|| {
                while let Some((case, actions)) = turns.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let failure = match case.fails(node, *actions) {
                        Ok(None) => continue,
                        Ok(Some(failure)) => failure,
                        Err(error) => format!("{}: {error:#}", case.name),
                    };
                    failures.lock().expect("no thread panics").push(failure);
                }
            });
        }
    });
    let failures = failures.into_inner().expect("no thread panics");
    let all = turns.len();
    ensure!(
        failures.is_empty(),
        "{} of {all} logins:\n{}",
        failures.len(),
        failures.join("\n")
    );
    println!("{} faults, {all} logins", cases.len());
    Ok(())
}

/// SchedMD's module, on the node's own Slurm.
pub fn schedmd(node: &Node, options: &str) -> Result<Outcome> {
    Call::new("alice", options).make(node, Module::SchedMd)
}
