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

mod enough;
mod junk;
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
}

impl Spool {
    fn new(name: &str) -> Self {
        let home = std::env::temp_dir()
            .canonicalize()
            .expect("temporary directory");
        let dir = home.join(format!("stepd-{}-{name}", std::process::id()));
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
        Self { dir, node }
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
    let deadline = Duration::from_millis(600);
    let timed = |may_stop| {
        let start = Instant::now();
        let census = spool.census(may_stop, 600);
        (census.steps, start.elapsed())
    };
    let (steps, took) = timed(true);
    assert_eq!((steps.own.len(), steps.silent), (0, vec![5, 6]));
    assert!(
        took >= deadline,
        "no own job: the silent one may be it; took {took:?}"
    );

    spool.fake(7, vec![owner(2001)], true);
    let (steps, took) = timed(true);
    assert_eq!((steps.own.len(), steps.silent), (1, vec![5, 6]));
    assert!(took >= PATIENCE && took < deadline, "took {took:?}");
    let (steps, took) = timed(false);
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
fn asks_the_newest_to_adopt() {
    for (answer, keep, expected) in [
        (ints(&[0, 2]), true, "Ok"),
        (ints(&[0, 3]), true, "the step is ending"),
        (ints(&[-1, 2]), true, "return code is -1"),
        (ints(&[1, 2]), true, "return code is 1"),
        (ints(&[-1]), false, "Refused"),
        (vec![], false, "Refused"),
        (vec![0, 0], false, "Refused"),
        (vec![0, 0], true, "Silent"),
        (ints(&[0]), true, "Silent"),
    ] {
        let spool = Spool::new("adopt");
        spool.fake(3, vec![owner(2001), ints(&[77, 2])], true);
        spool.fake(9, vec![owner(2001), answer.clone()], keep);
        let mut census = spool.census(true, 5000);
        assert_eq!(census.steps.own.len(), 2);
        let result = spool.adopt(&mut census, 9, 200);
        assert!(
            format!("{result:?}").contains(expected),
            "{answer:?}: {result:?}"
        );
    }
}

#[test]
fn adopts_into_no_other_job() {
    let spool = Spool::new("other");
    spool.fake(3, vec![owner(2001), ints(&[0])], true);
    let result = spool.adopt(&mut spool.census(true, 5000), 4, 1000);
    assert!(matches!(result, Err(AdoptError::Refused(_))), "{result:?}");
}

/// A stepd of another job than the newest is asked for its owner again, on the connection over
/// which it is to adopt.
#[test]
fn adopts_into_an_older_job_that_is_still_the_users() {
    let spool = Spool::new("older");
    let adopted = || (12, ints(&[0, 2]));
    spool.fake_script(3, vec![(12, owner(2001)), adopted()], true);
    spool.fake_script(9, vec![(12, owner(2001)), adopted()], true);
    spool.fake_script(5, vec![(12, owner(2002)), adopted()], true);
    let mut census = spool.census(true, 5000);
    for (job, good) in [
        (3, true),
        (9, true),
        (3, true),
        (9, true),
        (5, false),
        (4, false),
    ] {
        let result = spool.adopt(&mut census, job, 1000);
        assert_eq!(result.is_ok(), good, "{job}: {result:?}");
    }
    // By now the socket is another user's, gives a false version, or is nobody's.
    for (answer, keep, expected) in [
        (Some(owner(2002)), true, "gone"),
        (Some(ints(&[-1, 0, 0])), true, "protocol version"),
        (Some(vec![]), true, "Silent"),
        (None, false, "gone"),
    ] {
        let _ = fs::remove_file(spool.dir.join("n1_3.4294967292"));
        if let Some(answer) = answer {
            spool.fake_script(3, vec![(12, answer)], keep);
        }
        let result = spool.adopt(&mut census, 3, 200);
        assert!(
            format!("{result:?}").contains(expected),
            "{expected}: {result:?}"
        );
    }
}

#[test]
fn namespaces_before_adoption_and_x11_after_it() {
    let own = |version| (12, ints(&[version, 2001, 2]));
    let adopted = || (16, ints(&[0, 2, 10, 7]));
    let with_path = |path: &[u8]| (16, [&adopted().1, path].concat());
    let x11 = |authority: Option<&str>| {
        Ok(Adopted {
            display: Some("localhost:10.0".into()),
            authority: authority.map(str::to_owned),
            ..Adopted::default()
        })
    };
    let none = || Ok(Adopted::default());
    let refused = |part: &'static str| Err(part);
    for (script, keep, expected) in [
        // No namespaces, in each way of having none.
        (
            vec![own(0x2D00), (4, ints(&[0])), with_path(b"/tmp/a\0")],
            true,
            x11(Some("/tmp/a")),
        ),
        (
            vec![own(0x2A00), (4, ints(&[0])), with_path(b"/tmp/a\0")],
            true,
            x11(Some("/tmp/a")),
        ),
        (
            vec![own(0x2300), with_path(b"/tmp/a\0")],
            true,
            x11(Some("/tmp/a")),
        ),
        (
            vec![own(0x2D00), (4, ints(&[0])), (16, ints(&[0, 2, 10, 0]))],
            true,
            x11(None),
        ),
        (
            vec![own(0x2D00), (4, ints(&[0])), (16, ints(&[0, 2, 0, 0]))],
            true,
            none(),
        ),
        // A fault in X11 denies nobody.
        (
            vec![own(0x2D00), (4, ints(&[0])), (16, ints(&[0, 2, 10, 5000]))],
            true,
            none(),
        ),
        (
            vec![own(0x2D00), (4, ints(&[0])), with_path(b"/tmp/ab")],
            true,
            none(),
        ),
        (
            vec![own(0x2D00), (4, ints(&[0])), with_path(b"/t\0p/a\0")],
            true,
            none(),
        ),
        // Versions without namespaces need not wait for the step's setup.
        (
            vec![(12, ints(&[0x2300, 2001, 1])), (16, ints(&[0, 1, 10, 0]))],
            true,
            x11(None),
        ),
        // A step knows its namespaces only after its setup.
        (
            vec![
                (12, ints(&[0x2D00, 2001, 1])),
                (4, ints(&[0])),
                (4, ints(&[1])),
                (4, ints(&[2])),
                (4, ints(&[0])),
                with_path(b"/tmp/a\0"),
            ],
            true,
            x11(Some("/tmp/a")),
        ),
        (
            vec![(12, ints(&[0x2D00, 2001, 1])), (4, ints(&[4]))],
            true,
            refused("the step is ending"),
        ),
        (
            vec![(12, ints(&[0x2D00, 2001, 4]))],
            true,
            refused("the step is ending"),
        ),
        (
            vec![(12, ints(&[0x2D00, 2001, 1])), (4, vec![])],
            true,
            Err("silence"),
        ),
        (vec![own(0x2D00), (4, vec![])], true, Err("silence")),
        // A fault in the namespaces does deny, before anything else is asked.
        (
            vec![own(0x2D00), (4, vec![])],
            false,
            refused("closed the connection"),
        ),
        (
            vec![own(0x2D00), (4, ints(&[-1]))],
            true,
            refused("number is -1"),
        ),
        (
            vec![own(0x2D00), (4, ints(&[9]))],
            true,
            refused("number is 9"),
        ),
        (
            vec![own(0x2D00), (4, ints(&[1, 0x4000_0000]))],
            true,
            refused("a kind is 0x40000000"),
        ),
        (
            vec![own(0x2D00), (4, [ints(&[1, 0x2_0000]), vec![0]].concat())],
            true,
            refused("not one descriptor"),
        ),
        (
            vec![own(0x2D00), (4, ints(&[1, 0x2_0000]))],
            true,
            Err("silence"),
        ),
        (
            vec![own(0x2A00), (4, ints(&[-1]))],
            true,
            refused("descriptor is -1"),
        ),
        (
            vec![own(0x2A00), (4, [ints(&[7]), vec![0]].concat())],
            true,
            refused("not one descriptor"),
        ),
        (
            vec![own(0x2A00), (4, vec![])],
            false,
            refused("closed the connection"),
        ),
    ] {
        let spool = Spool::new("namespaces");
        spool.fake_script(3, script.clone(), keep);
        let request = request(Join::Now, true);
        let mut census = spool.census(true, 5000);
        let deadline = Deadline::after(Duration::from_millis(300));
        let log = Log::new(&Silent, LogLevel::Debug);
        let result = adoption::adopt(&mut census, 3, request, &deadline, log);
        match (&result, &expected) {
            (Ok(found), Ok(expected)) => {
                assert_eq!(found.display, expected.display, "{script:?}");
                assert_eq!(found.authority, expected.authority, "{script:?}");
            }
            (Err(AdoptError::Silent), Err("silence")) => {}
            (Err(AdoptError::Refused(cause)), Err(part)) => {
                assert!(cause.contains(part), "{script:?}: {cause}");
            }
            _ => panic!("{script:?}: {result:?}, not {expected:?}"),
        }
    }
}

/// 20.11.0 to 20.11.4 close the connection if they are asked for namespaces.
#[test]
fn a_stepd_that_knows_no_namespaces_adopts() {
    let spool = Spool::new("no-namespaces");
    let listener = UnixListener::bind(spool.dir.join("n1_3.4294967292")).expect("bind");
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("accept");
            thread::spawn(move || {
                let mut question = [0; 12];
                let _ = stream.read_exact(&mut question);
                let _ = stream.write_all(&ints(&[0x2400, 2001, 2]));
                let mut number = [0; 4];
                let _ = stream.read_exact(&mut number);
                if i32::from_ne_bytes(number) == 22 {
                    let _ = stream.read_exact(&mut [0; 8]);
                    let _ = stream.write_all(&ints(&[0, 2]));
                    // It has the process.
                    let _ = stream.read_exact(&mut [0; 8]);
                    let _ = stream.write_all(&[1]);
                }
            });
        }
    });
    let request = request(Join::Now, false);
    let log = Log::new(&Silent, LogLevel::Debug);
    let deadline = Deadline::after(Duration::from_secs(5));
    let result = adoption::adopt(&mut spool.census(true, 5000), 3, request, &deadline, log);
    assert!(result.is_ok(), "{result:?}");
}

/// A stepd that answers this before and after adoption (2: no answer); counts the adoptions.
fn knows(spool: &Spool, before: u8, after: u8) -> Arc<AtomicUsize> {
    let listener = UnixListener::bind(spool.dir.join("n1_3.4294967292")).expect("bind");
    let adoptions = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&adoptions);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("accept");
            let mut answers = [before, after].into_iter();
            let (mut opening, mut number, mut pid) = ([0; 12], [0; 4], [0; 4]);
            let _ = stream.read_exact(&mut opening);
            let _ = stream.write_all(&owner(2001));
            while stream.read_exact(&mut number).is_ok() {
                let _ = match i32::from_ne_bytes(number) {
                    8 => {
                        let _ = stream.read_exact(&mut pid);
                        match answers.next() {
                            Some(answer @ 0..=1) => stream.write_all(&[answer]),
                            _ => Ok(()),
                        }
                    }
                    22 => {
                        let _ = stream.read_exact(&mut pid);
                        count.fetch_add(1, Ordering::Relaxed);
                        stream.write_all(&ints(&[0]))
                    }
                    _ => stream.write_all(&ints(&[2])),
                };
            }
        }
    });
    adoptions
}

/// If the cgroups do not show a process, as in this test, the stepd is asked.
#[test]
fn the_stepd_is_asked_before_and_after() {
    use adoption::Before;
    let request = adoption::Request {
        may_be_inside: true,
        ..request(Join::Nobody, false)
    };
    for (before, after, adoptions, expected) in [
        (1, 2, 0, "SameStep"),
        (0, 1, 1, "Elsewhere"),
        (0, 0, 1, "NotHeld(\"slurmstepd of job 3 took process "),
        (2, 2, 0, "Silent"),
        (0, 2, 1, "NotHeld("),
    ] {
        let spool = Spool::new("for-good");
        let asked = knows(&spool, before, after);
        let mut census = spool.census(true, 5000);
        let deadline = Deadline::after(Duration::from_secs(1));
        let log = Log::new(&Silent, LogLevel::Debug);
        let result = adoption::adopt(&mut census, 3, request, &deadline, log);
        let text = format!("{result:?}");
        assert!(text.contains(expected), "{before} {after}: {text}");
        assert_eq!(asked.load(Ordering::Relaxed), adoptions, "{before} {after}");
        let found = result.ok().and_then(|it| it.before);
        assert_eq!(
            found == Some(Before::SameStep),
            before == 1,
            "{before} {after}"
        );
    }
}

/// In the account phase the process cannot be in the step before adoption, but afterwards it must be.
#[test]
fn the_account_phase_looks_after_adoption() {
    for (after, expected) in [
        (1, "Elsewhere"),
        (0, "is ProctrackType=proctrack/cgroup set"),
        (2, "NotHeld("),
    ] {
        let spool = Spool::new("account");
        let asked = knows(&spool, after, 2);
        let mut census = spool.census(true, 5000);
        let result = spool.adopt(&mut census, 3, 1000);
        let text = format!("{result:?}");
        assert!(text.contains(expected), "{after}: {text}");
        assert_eq!(asked.load(Ordering::Relaxed), 1, "{after}");
    }
}

#[test]
fn trusts_no_directory_that_others_may_write_to() {
    for (mode, trusted) in [
        (0o755, true),
        (0o700, true),
        (0o757, false),
        (0o775, false),
        (0o1777, false),
    ] {
        let mut spool = Spool::new("trust");
        spool.fake(1, vec![owner(2001)], true);
        fs::set_permissions(&spool.dir, fs::Permissions::from_mode(mode)).expect("mode");
        if mode == 0o775 && fs::metadata(&spool.dir).expect("group").gid() == 0 {
            // The group root may write to root's files: give the directory to another group.
            if std::os::unix::fs::chown(&spool.dir, None, Some(65534)).is_err() {
                continue;
            }
        }
        let found = spool.census(true, 5000).steps;
        assert_eq!(found.own.len(), usize::from(trusted), "mode {mode:o}");
        assert_eq!(
            found.problem.is_none(),
            trusted,
            "mode {mode:o}: {:?}",
            found.problem
        );
        // Nor is a directory below such a one, unless that is sticky.
        let below = spool.dir.join("below");
        fs::create_dir(&below).expect("below");
        spool.node.spool_dirs = vec![below];
        let sound = trusted || mode == 0o1777;
        assert_eq!(
            spool.census(true, 5000).steps.problem.is_none(),
            sound,
            "below {mode:o}"
        );
    }
}

#[test]
fn trusts_sockets_of_root_and_slurmd_only() {
    let mut spool = Spool::new("owner");
    spool.fake(1, vec![owner(2001)], true);
    let me = spool.node.trusted.slurmd_uid.take();
    let steps = spool.census(true, 5000).steps;
    match me {
        // A directory and socket of root are trusted without SlurmdUser.
        Some(0) => assert_eq!(steps.own.len(), 1),
        _ => assert!(matches!(
            steps.problem,
            Some(DirectoryError::Untrusted { .. })
        )),
    }
}

#[test]
fn spool_directories_that_are_none() {
    let mut spool = Spool::new("none");
    fs::write(spool.dir.join("file"), "").expect("file");
    for (name, text) in [("missing", "find"), ("file", "read")] {
        spool.node.spool_dirs = vec![spool.dir.join(name)];
        let problem = spool
            .census(true, 5000)
            .steps
            .problem
            .expect(name)
            .to_string();
        assert!(
            problem.contains(text) && problem.contains(name),
            "{problem}"
        );
    }
}

#[test]
fn the_full_host_name_wins_over_the_short_one() {
    let mut spool = Spool::new("names");
    spool.node.names = vec!["n1.site".into(), "n1".into()];
    spool.node.spool_dirs = vec![spool.dir.clone(), spool.dir.clone()];
    spool.fake(4, vec![owner(2001)], true);
    assert_eq!(spool.census(true, 5000).steps.own.len(), 1);
    let _full = UnixListener::bind(spool.dir.join("n1.site_5.4294967292")).expect("bind");
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
    let steps = spool.census(true, 5000).steps;
    assert_eq!((steps.own.len(), steps.silent), (1, vec![5]));
    assert!(
        start.elapsed() < Duration::from_secs(2),
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
    thread::sleep(Duration::from_millis(50));
    let result = spool.adopt(&mut census, 3, 1000);
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

#[test]
fn slurm_user_may_own_the_directory_but_no_socket() {
    let mut spool = Spool::new("slurm-user");
    spool.fake(1, vec![owner(2001)], true);
    let me = spool.node.trusted.slurmd_uid.take();
    spool.node.trusted.slurm_user = me.map(|uid| uid.to_string());
    let steps = spool.census(true, 5000).steps;
    assert!(steps.problem.is_none(), "{:?}", steps.problem);
    // If root runs the test, the socket is root's.
    assert_eq!(steps.own.len(), usize::from(me == Some(0)));
}

#[test]
fn only_new_stepds_and_the_own_are_asked() {
    let spool = Spool::new("known");
    let memory = spool.dir.join("memory");
    let log = || Log::new(&Silent, LogLevel::Debug);
    let state_dir = || StateDir::open(&memory, true, log());
    let asked = |job: u32, uid: i32| {
        let path = spool.dir.join(format!("n1_{job}.4294967292"));
        let listener = UnixListener::bind(path).expect("bind");
        let times = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&times);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.expect("accept");
                let _ = stream.read_exact(&mut [0; 12]);
                count.fetch_add(1, Ordering::SeqCst);
                let _ = stream.write_all(&owner(uid));
            }
        });
        times
    };
    let census_of = |uid| {
        let deadline = Deadline::after(Duration::from_secs(5));
        let steps = super::census(
            &spool.node,
            asking(uid, true),
            &state_dir(),
            &deadline,
            log(),
        )
        .steps;
        (steps.own.len(), steps.others)
    };
    let jobs = [asked(1, 2001), asked(2, 2002)];
    let times = |jobs: &[Arc<AtomicUsize>]| -> Vec<usize> {
        jobs.iter().map(|it| it.load(Ordering::SeqCst)).collect()
    };
    assert_eq!(
        (census_of(2003), times(&jobs)),
        ((0, 2), vec![1, 1]),
        "never met"
    );
    assert_eq!(
        (census_of(2003), times(&jobs)),
        ((0, 2), vec![1, 1]),
        "of others"
    );
    assert_eq!(
        (census_of(2001), times(&jobs)),
        ((1, 1), vec![2, 1]),
        "the own"
    );
    let third = asked(3, 2001);
    assert_eq!((census_of(2002), times(&jobs)), ((1, 2), vec![2, 2]));
    assert_eq!(third.load(Ordering::SeqCst), 1, "new");
    // The file cannot admit anyone: jobs that it says are 2003's are asked, and are not.
    fs::remove_dir_all(&memory).expect("remove");
    let state_dir_now = state_dir();
    let mut known = Owners::load(&state_dir_now, log());
    let sockets = spool::find_sockets(&spool.node, log()).sockets;
    let lie = Owner {
        uid: 2003,
        version: Version::V26_05,
    };
    let identities: Vec<_> = sockets.iter().map(|it| it.identity).collect();
    for identity in &identities {
        known.note(identity, lie);
    }
    known.save(&identities, log());
    assert_eq!((census_of(2003), times(&jobs)), ((0, 3), vec![3, 3]));
    // The stepds' own answers replace it.
    assert_eq!((census_of(2001), times(&jobs)), ((2, 1), vec![4, 3]));
}

#[test]
fn a_silent_stepd_that_was_met_delays_nobody() {
    let spool = Spool::new("met");
    let memory = spool.dir.join("memory");
    let log = || Log::new(&Silent, LogLevel::Debug);
    let state_dir = || StateDir::open(&memory, true, log());
    // Answers the first login, and never again.
    let listener = UnixListener::bind(spool.dir.join("n1_1.4294967292")).expect("bind");
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("accept");
        let _ = stream.read_exact(&mut [0; 12]);
        let _ = stream.write_all(&owner(2001));
        thread::sleep(Duration::from_secs(60));
    });
    for (uid, others) in [(2002, 1), (2002, 1), (2003, 1)] {
        let deadline = Deadline::after(Duration::from_secs(5));
        let steps = super::census(
            &spool.node,
            asking(uid, false),
            &state_dir(),
            &deadline,
            log(),
        )
        .steps;
        assert_eq!((steps.others, steps.silent.len()), (others, 0));
    }
}
