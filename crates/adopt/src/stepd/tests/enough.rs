//! Tests which stepds of a user with many jobs are asked.

use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sys::Deadline;

use super::junk::Lines;
use super::requests::Stepd;
use super::{Silent, Spool, asking};
use crate::log::Log;
use crate::measure::measure;
use crate::options::{LogLevel, Unknown};
use crate::state_dir::StateDir;
use crate::stepd::{Census, CensusRequest, ConverseError, census};

const DEADLINE: Duration = Duration::from_secs(30);

/// The stepds of the user's jobs 1 to 5, all known from an earlier login.
struct Jobs {
    spool: Spool,
    stepds: Vec<Arc<Stepd>>,
}

impl Jobs {
    fn start(name: &str) -> Self {
        let spool = Spool::new(name);
        let stepds = (1..=5).map(|job| Stepd::fake(&spool, job)).collect();
        let jobs = Self { spool, stepds };
        assert_eq!(jobs.census(false).steps.own.len(), 5);
        assert_eq!(jobs.asked(), [1, 2, 3, 4, 5], "never met");
        jobs
    }

    fn census(&self, asks_all: bool) -> Census {
        self.census_of(2, asks_all)
    }

    fn census_of(&self, enough: usize, asks_all: bool) -> Census {
        let log = Log::new(&Silent, LogLevel::Debug);
        let state_dir = StateDir::open(&self.spool.dir.join("memory"), true, log);
        let deadline = Deadline::after(DEADLINE);
        let request = CensusRequest {
            enough,
            asks_all: &|| asks_all,
            ..asking(2001, true)
        };
        census(&self.spool.node, request, &state_dir, &deadline, log)
    }

    /// The jobs whose stepds were asked since the last call.
    fn asked(&self) -> Vec<usize> {
        let asked = self.stepds.iter().map(|it| !it.asked().is_empty());
        let jobs = (1..).zip(asked).filter(|(_, was_asked)| *was_asked);
        jobs.map(|(job, _)| job).collect()
    }

    fn end(&self, job: u32) {
        let path = self.spool.dir.join(format!("n1_{job}.4294967292"));
        fs::remove_file(path).expect("its socket");
    }
}

#[test]
fn the_two_newest_suffice_where_all_are_known() {
    let jobs = Jobs::start("enough");
    assert_eq!(jobs.census(false).steps.own.len(), 5);
    assert_eq!(jobs.asked(), [4, 5]);
    assert_eq!(jobs.census(true).steps.own.len(), 5);
    assert_eq!(jobs.asked(), [1, 2, 3, 4, 5], "all are wanted");
}

#[test]
fn the_newest_suffices_where_it_is_taken_anyway() {
    let jobs = Jobs::start("enough-one");
    assert_eq!(jobs.census_of(1, false).steps.own.len(), 5);
    assert_eq!(jobs.asked(), [5]);
    jobs.stepds[4].fall_silent();
    let steps = jobs.census_of(1, false).steps;
    assert_eq!((steps.own.len(), steps.silent), (4, vec![5]));
    assert_eq!(jobs.asked(), [1, 2, 3, 4, 5], "the newest hangs");
}

#[test]
fn a_new_job_is_asked_besides() {
    let mut jobs = Jobs::start("enough-new");
    jobs.stepds.push(Stepd::fake(&jobs.spool, 6));
    assert_eq!(jobs.census(false).steps.own.len(), 6);
    assert_eq!(jobs.asked(), [4, 5, 6]);
}

#[test]
fn all_are_asked_where_the_newest_are_no_longer_the_users() {
    let jobs = Jobs::start("enough-lost");
    jobs.stepds[3].give_to(2002);
    let census = jobs.census(false);
    assert_eq!((census.steps.own.len(), census.steps.others), (4, 1));
    assert_eq!(jobs.asked(), [1, 2, 3, 4, 5]);
}

#[test]
fn the_next_newest_follow_a_job_that_has_ended() {
    let jobs = Jobs::start("enough-ended");
    jobs.end(5);
    assert_eq!(jobs.census(false).steps.own.len(), 4);
    assert_eq!(jobs.asked(), [3, 4]);
}

/// The two newest hang: the others do not wait for them until the deadline.
#[test]
fn all_are_asked_where_the_newest_do_not_answer() {
    let jobs = Jobs::start("enough-silent");
    for stepd in &jobs.stepds[3..] {
        stepd.fall_silent();
    }
    let start = Instant::now();
    let steps = jobs.census(false).steps;
    let own: Vec<_> = steps.own.iter().map(|it| it.job).collect();
    assert_eq!((own.len(), steps.silent), (3, vec![4, 5]), "{own:?}");
    assert!(start.elapsed() < DEADLINE / 2, "waited too long");
}

/// The file admits nobody: the job's stepd is asked before adoption.
#[test]
fn a_job_that_was_not_asked_is_asked_before_it_adopts() {
    let jobs = Jobs::start("enough-adopt");
    let log = Log::new(&Silent, LogLevel::Debug);
    let deadline = Deadline::after(Duration::from_secs(5));
    let mut census = jobs.census(false);
    jobs.asked();
    let conversation = census
        .converse(2, &deadline, log)
        .expect("it is the user's");
    assert_eq!(conversation.owner.uid, 2001);
    assert_eq!(jobs.asked(), [2]);
    jobs.stepds[0].give_to(2002);
    let refused = census.converse(1, &deadline, log);
    assert!(matches!(refused, Err(ConverseError::Gone)), "{refused:?}");
}

/// slurmd at the source names an old job: the job counts if its stepd answers now.
#[test]
fn a_job_that_the_connection_comes_from_is_asked_then() {
    let jobs = Jobs::start("enough-caller");
    let log = Log::new(&Silent, LogLevel::Debug);
    let deadline = Deadline::after(Duration::from_secs(5));
    let asked = |job: u32| {
        let mut census = jobs.census(false);
        let mut steps = std::mem::take(&mut census.steps);
        jobs.asked();
        census.ask_unasked(&mut steps, job, &deadline, log);
        let mut own: Vec<_> = steps.own.iter().map(|it| it.job).collect();
        own.sort_unstable();
        (own, steps.silent, jobs.asked())
    };
    assert_eq!(asked(2), (vec![1, 2, 3, 4, 5], vec![], vec![2]));
    assert_eq!(asked(5).2, [0_usize; 0], "it has answered");
    jobs.stepds[1].fall_silent();
    assert_eq!(asked(2), (vec![1, 3, 4, 5], vec![2], vec![2]));
    jobs.stepds[0].give_to(2002);
    assert_eq!(asked(1).0, [2, 3, 4, 5], "another user's");
}

/// A fork for each of a thousand jobs takes time, and a line for each fills the log.
#[test]
fn jobs_are_measured_while_there_is_time() {
    let jobs = Jobs::start("enough-measured");
    let census = jobs.census(true);
    let lines = Lines::default();
    let over = Deadline::after(Duration::ZERO);
    let log = Log::new(&lines, LogLevel::Info);
    let measures = measure(&census, Unknown::Longest, &over, log);
    assert!(measures.is_empty());
    let lines = lines.0.into_inner();
    assert_eq!(lines.len(), 1, "{lines:?}");
}
