//! Tests with a fake stepd, for answers that a real one cannot be made to give; the cluster tests use real
//! ones.

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use pam::Severity;

use proto::{Version, stepd};
use sys::Deadline;

use super::*;
use crate::adoption::{self, AdoptError, Adopted, Join};
use crate::log::{Log, Sink};
use crate::node::Node;
use crate::options::LogLevel;
use crate::state_dir::StateDir;
use crate::stepd::inquiry::{MAX_CONVERSATIONS, PATIENCE};
use crate::stepd::owners::{Owner, Owners};
use crate::trust::{DirectoryError, Trusted};

mod adopting;
mod enough;
mod junk;
mod known;
mod namespaces;
mod places;
mod requests;

struct Silent;

impl Sink for Silent {
    fn line(&self, _: Severity, _: &str) {}
}

/// A spool directory below one that only we may write to; trusted as SlurmdUser's, so that no
/// test needs root.
struct Spool {
    dir: PathBuf,
    node: Node,
    /// Number of answers that fake stepds have sent.
    sent: Arc<AtomicUsize>,
}

impl Spool {
    fn new(name: &str) -> Self {
        let home = std::env::temp_dir()
            .canonicalize()
            .expect("temporary directory");
        // Tests run side by side, and several take one name.
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let (pid, count) = (std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let dir = home.join(format!("stepd-{pid}-{count}-{name}"));
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir(&dir).expect("spool directory");
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o755)).expect("mode");
        let node = Node {
            names: vec!["n1".into()],
            spool_dirs: vec![dir.clone()],
            trusted: Trusted {
                slurmd_uid: Some(fs::metadata(&dir).expect("owner").uid()),
                slurm_user: None,
            },
            ..Node::default()
        };
        let sent = Arc::default();
        Self { dir, node, sent }
    }

    /// A fake stepd of `job` that reads a request and sends an answer, once for each of `answers`; `keep` says
    /// whether it keeps the connection open.
    fn fake(&self, job: u32, answers: Vec<Vec<u8>>, keep: bool) {
        let script = answers.into_iter().map(|answer| (12, answer)).collect();
        self.fake_script(job, script, keep);
    }

    /// The same with requests of these lengths. If it keeps the connection, it finally says that it has
    /// the process.
    fn fake_script(&self, job: u32, mut script: Vec<(usize, Vec<u8>)>, keep: bool) {
        if keep {
            script.push((8, vec![1]));
        }
        let listener = UnixListener::bind(self.dir.join(format!("n1_{job}.4294967292")));
        let listener = listener.expect("bind");
        let sent = Arc::clone(&self.sent);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream: UnixStream = stream.expect("accept");
                for (length, answer) in &script {
                    if stream.read_exact(&mut vec![0; *length]).is_err() {
                        break;
                    }
                    for byte in answer {
                        // In pieces, as an answer may arrive.
                        let _ = stream.write_all(&[*byte]);
                    }
                    sent.fetch_add(1, Ordering::SeqCst);
                }
                if keep {
                    std::mem::forget(stream);
                }
            }
        });
    }

    /// Adopts without namespaces and X11.
    fn adopt(&self, census: &mut Census, job: u32, millis: u64) -> Result<Adopted, AdoptError> {
        let request = request(Join::Nobody, false);
        let deadline = Deadline::after(Duration::from_millis(millis));
        let log = Log::new(&Silent, LogLevel::Debug);
        adoption::adopt(census, job, request, &deadline, log)
    }

    fn census(&self, may_stop: bool, millis: u64) -> Census {
        let deadline = Deadline::after(Duration::from_millis(millis));
        let log = Log::new(&Silent, LogLevel::Debug);
        let state_dir = StateDir::open(&self.dir.join("no memory"), false, log);
        census(
            &self.node,
            asking(2001, may_stop),
            &state_dir,
            &deadline,
            log,
        )
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// A census in which every own stepd must answer.
fn asking(uid: u32, may_stop: bool) -> CensusRequest<'static> {
    CensusRequest {
        uid,
        may_stop,
        enough: 2,
        asks_all: &|| true,
    }
}

/// The account phase's request.
fn request(join: Join<'static>, x11: bool) -> adoption::Request<'static> {
    adoption::Request {
        pid: std::process::id(),
        join,
        x11,
        may_be_inside: false,
        was_held: None,
        other_tracking: None,
    }
}

fn ints(values: &[i32]) -> Vec<u8> {
    values
        .iter()
        .flat_map(|value| value.to_ne_bytes())
        .collect()
}

fn owner(uid: i32) -> Vec<u8> {
    ints(&[0x2D00, uid, 2])
}

#[test]
fn sorts_answers_from_nonsense() {
    let spool = Spool::new("nonsense");
    spool.fake(1, vec![owner(2001)], true);
    spool.fake(2, vec![owner(2002)], true);
    spool.fake(3, vec![ints(&[-1])], false); // handshake refused
    spool.fake(4, vec![vec![]], false); // closes
    spool.fake(5, vec![vec![0, 1, 2]], false); // half an answer
    spool.fake(6, vec![ints(&[-7, 2001, 2])], true); // no version
    drop(UnixListener::bind(spool.dir.join("n1_7.4294967292"))); // nobody listens any more
    fs::write(spool.dir.join("n1_8.4294967292"), "no socket").expect("junk");
    symlink(
        spool.dir.join("n1_1.4294967292"),
        spool.dir.join("n1_9.4294967292"),
    )
    .expect("link");
    let found = spool.census(true, 5000).steps;
    assert_eq!(found.own.iter().map(|it| it.job).collect::<Vec<_>>(), [1]);
    assert_eq!((found.others, found.silent.as_slice()), (1, &[][..]));
    assert!(found.problem.is_none());
}

#[test]
fn silence_costs_patience_or_the_deadline() {
    let spool = Spool::new("silence");
    spool.fake(5, vec![vec![]], true);
    spool.fake(6, vec![vec![1]], true);
    let (short, long) = (1500, 15_000);
    let deadline = Duration::from_millis(short);
    let timed = |may_stop, millis| {
        let start = Instant::now();
        let census = spool.census(may_stop, millis);
        (census.steps, start.elapsed())
    };
    let (steps, took) = timed(true, short);
    assert_eq!((steps.own.len(), steps.silent), (0, vec![5, 6]));
    assert!(
        took >= deadline,
        "no own job: the silent one may be it; took {took:?}"
    );

    spool.fake(7, vec![owner(2001)], true);
    let (steps, took) = timed(true, long);
    assert_eq!((steps.own.len(), steps.silent), (1, vec![5, 6]));
    let is_patience = took >= PATIENCE && took < Duration::from_millis(long) / 2;
    assert!(is_patience, "took {took:?}");
    let (steps, took) = timed(false, short);
    assert_eq!((steps.own.len(), steps.silent), (1, vec![5, 6]));
    assert!(
        took >= deadline,
        "its answer could keep the user out; took {took:?}"
    );
}

#[test]
fn a_full_backlog_is_silence_too() {
    let spool = Spool::new("backlog");
    let path = spool.dir.join("n1_5.4294967292");
    let _listener = UnixListener::bind(&path).expect("bind");
    let held: Vec<_> = std::iter::from_fn(|| sys::connect_unix(&path).ok()).collect();
    assert!(!held.is_empty());
    assert_eq!(spool.census(true, 100).steps.silent, [5]);
}

#[test]
fn a_full_backlog_keeps_nobody_waiting_who_has_a_job() {
    let spool = Spool::new("backlog-own");
    let path = spool.dir.join("n1_5.4294967292");
    let _listener = UnixListener::bind(&path).expect("bind");
    let held: Vec<_> = std::iter::from_fn(|| sys::connect_unix(&path).ok()).collect();
    assert!(!held.is_empty());
    spool.fake(7, vec![owner(2001)], true);
    let start = Instant::now();
    let steps = spool.census(true, 30_000).steps;
    assert_eq!((steps.own.len(), steps.silent), (1, vec![5]));
    assert!(
        start.elapsed() < Duration::from_secs(20),
        "took {:?}",
        start.elapsed()
    );
}

#[test]
fn many_silent_ones_make_room() {
    let spool = Spool::new("many");
    for job in 0..3 * MAX_CONVERSATIONS as u32 {
        spool.fake(100 + job, vec![vec![]], true);
    }
    for job in 1..=5 {
        spool.fake(job, vec![owner(2001)], true);
    }
    let steps = spool.census(true, 20_000).steps;
    assert_eq!(
        (steps.own.len(), steps.silent.len()),
        (5, 3 * MAX_CONVERSATIONS)
    );
}

/// With action_unknown=deny a second own job denies the user; a third one changes nothing.
#[test]
fn two_own_jobs_are_enough() {
    let spool = Spool::new("two");
    spool.fake(1, vec![owner(2001)], true);
    spool.fake(2, vec![owner(2001)], true);
    spool.fake(3, vec![vec![]], true);
    let deadline = Deadline::after(Duration::from_secs(10));
    let steps = spool.census(false, 10_000).steps;
    assert_eq!((steps.own.len(), steps.silent), (2, vec![3]));
    assert!(!deadline.has_passed() && deadline.remaining() > Duration::from_secs(5));
}

#[test]
fn what_was_said_before_the_question_is_no_answer() {
    let spool = Spool::new("trailing");
    spool.fake(
        3,
        vec![[owner(2001), ints(&[0, 2])].concat(), ints(&[-1, 2])],
        true,
    );
    let mut census = spool.census(true, 5000);
    assert_eq!(census.steps.own.len(), 1);
    while spool.sent.load(Ordering::SeqCst) == 0 {
        thread::sleep(Duration::from_millis(5));
    }
    let result = spool.adopt(&mut census, 3, 10_000);
    assert!(
        format!("{result:?}").contains("unexpected data"),
        "{result:?}"
    );
}

#[test]
fn no_proper_answer_is_told() {
    let spool = Spool::new("told");
    spool.fake(3, vec![ints(&[-1])], false);
    let steps = spool.census(true, 5000).steps;
    let [(3, cause)] = &steps.failed[..] else {
        panic!("{steps:?}")
    };
    assert!(
        cause.contains("protocol version") || cause.contains("closed"),
        "{cause}"
    );
}
