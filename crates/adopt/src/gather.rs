//! Gathers the facts for a decision: the node, its extern steps, the source of the connection.

use std::cell::LazyCell;
use std::time::Duration;

use sys::Deadline;

use crate::adoption::cgroup::{self, Origin};
use crate::callerid;
use crate::decide::{self, Phase};
use crate::facts::{Caller, Facts};
use crate::log::Log;
use crate::measure::measure;
use crate::node::search::Search;
use crate::node::{Environment, Node, NodeError};
use crate::options::Options;
use crate::report;
use crate::state_dir::StateDir;
use crate::stepd::{self, Census, spool};

/// The user whose jobs to look for, and how to look.
pub(crate) struct Query<'a> {
    pub options: &'a Options,
    pub phase: Phase,
    pub uid: u32,
    pub environment: Environment,
    pub state_dir: StateDir,
    /// The time left of the login's deadline.
    pub limit: Duration,
    /// Where to look for a job that holds the process already.
    pub origin: Origin,
    pub log: Log<'a>,
}

/// The stepds that have answered; adoption continues with them.
pub(crate) struct Stepds {
    pub census: Census,
    /// The node's name, if it is known.
    pub node: Option<String>,
    /// ClusterName, if it is known.
    pub cluster: Option<String>,
    /// ProctrackType, if it is not proctrack/cgroup.
    pub other_tracking: Option<String>,
    /// The deadline of the stepds: leaves time to look up exempt groups.
    pub deadline: Deadline,
    /// The deadline of the whole login.
    pub whole: Deadline,
}

impl Stepds {
    /// None of them, with this much time left: nobody was asked.
    pub fn unasked(left: Duration) -> Self {
        let whole = Deadline::after(left);
        Self {
            census: Census::default(),
            node: None,
            cluster: None,
            other_tracking: None,
            deadline: whole,
            whole,
        }
    }
}

/// Gathers the facts. The only thing it changes is the cache of answers, and that only if the state
/// directory is writable. Calls `ask_caller` if the decision depends on the job that the
/// connection comes from.
pub(crate) fn gather(
    query: &Query<'_>,
    ask_caller: impl FnOnce(&callerid::Scope<'_>) -> Caller,
) -> (Facts, Stepds) {
    let node = find_node(query);
    ask(query, node, ask_caller)
}

/// Finds the node.
///
/// # Errors
/// [`NodeError`].
pub(crate) fn find_node(query: &Query<'_>) -> Result<Node, NodeError> {
    let search = Search {
        options: query.options,
        environment: &query.environment,
        state_dir: &query.state_dir,
        has_stepds: &spool::has_stepds,
        log: query.log,
    };
    search.run()
}

/// Asks the stepds of the node and, if it matters, for the source of the connection.
pub(crate) fn ask(
    query: &Query<'_>,
    node: Result<Node, NodeError>,
    ask_caller: impl FnOnce(&callerid::Scope<'_>) -> Caller,
) -> (Facts, Stepds) {
    // The user database and the disk have no timeout; do not charge their time to the stepds.
    let whole = Deadline::after(query.limit);
    match node {
        Ok(node) => of_node(query, &node, whole, ask_caller),
        Err(error) => {
            let facts = Facts {
                steps: Err(error),
                caller: Caller::NotAsked,
            };
            (facts, Stepds::unasked(whole.remaining()))
        }
    }
}

/// Gathers the facts about a known node.
fn of_node(
    query: &Query<'_>,
    node: &Node,
    whole: Deadline,
    ask_caller: impl FnOnce(&callerid::Scope<'_>) -> Caller,
) -> (Facts, Stepds) {
    let &Query { options, log, .. } = query;
    let deadline = whole.sooner(time_for_groups(options, query.limit));
    let before_adoption = deadline.sooner(time_to_adopt(query.limit));
    let comes_from_job = LazyCell::new(|| cgroup::comes_from_job(query.origin));
    let asked = stepd::CensusRequest {
        uid: query.uid,
        may_stop: decide::may_stop_at_first_job(options),
        enough: decide::enough_jobs(options),
        // A session is moved back by its job's stepd; a process that comes from a job looks for that job.
        asks_all: &|| {
            decide::compares_all(options) || query.phase != Phase::Account || *comes_from_job
        },
    };
    let mut census = stepd::census(node, asked, &query.state_dir, &before_adoption, log);
    let mut steps = std::mem::take(&mut census.steps);
    if !steps.silent.is_empty() {
        log.error(|| report::silence(&steps.silent));
    }
    if steps.own.len() > 1 && *comes_from_job {
        steps.holder = cgroup::holder(&census.own(), query.origin);
    }
    let caller = match decide::wants_caller(options, query.phase, &steps) {
        true => ask_caller(&callerid::Scope {
            options,
            node,
            version: census.version,
            deadline: &before_adoption,
            log,
        }),
        false => Caller::NotAsked,
    };
    if let Caller::Job { job, .. } = caller {
        census.ask_unasked(&mut steps, job, &before_adoption, log);
    }
    if decide::wants_measures(options, query.phase, &steps, &caller) {
        steps.measures = measure(&census, options.unknown, &before_adoption, log);
    }
    let steps = Ok(steps);
    let stepds = Stepds {
        census,
        node: node.names.first().cloned(),
        cluster: node.conf.cluster_name.clone(),
        other_tracking: node.conf.other_tracking().map(str::to_owned),
        deadline,
        whole,
    };
    (Facts { steps, caller }, stepds)
}

/// The time that silent stepds must leave for the one that is to adopt.
fn time_to_adopt(timeout: Duration) -> Duration {
    (timeout / 4).min(Duration::from_secs(1))
}

/// The time that all stepds must leave to look up exempt groups: a directory service may be slow.
fn time_for_groups(options: &Options, timeout: Duration) -> Duration {
    match options.exempt.groups.is_empty() {
        true => Duration::ZERO,
        false => (timeout / 4).min(Duration::from_millis(500)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stepds_leave_time_for_groups_where_some_are_exempt() {
        let time = |line: &[&str], timeout| {
            let (options, _) = Options::parse(line);
            time_for_groups(&options, Duration::from_millis(timeout))
        };
        assert_eq!(time(&[], 5000), Duration::ZERO);
        for (timeout, left) in [(100, 25), (1000, 250), (5000, 500), (60_000, 500)] {
            let time = time(&["exempt_groups=a"], timeout);
            assert_eq!(time, Duration::from_millis(left), "of {timeout} ms");
        }
    }

    #[test]
    fn silent_stepds_leave_time_to_adopt() {
        for (timeout, left) in [(100, 25), (1000, 250), (5000, 1000), (60_000, 1000)] {
            let time = time_to_adopt(Duration::from_millis(timeout));
            assert_eq!(time, Duration::from_millis(left), "of {timeout} ms");
        }
    }
}
