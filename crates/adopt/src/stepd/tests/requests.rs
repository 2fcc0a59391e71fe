//! Tests the requests that a login sends to its job's stepd.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicI32};

use super::*;

/// A fake stepd's answers, and the requests that it got.
pub(super) struct Stepd {
    uid: AtomicI32,
    is_silent: AtomicBool,
    version: AtomicI32,
    state: AtomicI32,
    /// The length of each request.
    asked: Mutex<Vec<usize>>,
}

impl Stepd {
    const RUNNING: i32 = 2;

    /// A fake stepd of one of the user's jobs that answers each request by its number.
    pub(super) fn fake(spool: &Spool, job: u32) -> Arc<Self> {
        let listener = UnixListener::bind(spool.dir.join(format!("n1_{job}.4294967292")));
        let listener = listener.expect("bind");
        let stepd = Arc::new(Self {
            uid: AtomicI32::new(2001),
            is_silent: AtomicBool::new(false),
            version: AtomicI32::new(0x2D00),
            state: AtomicI32::new(Self::RUNNING),
            asked: Mutex::default(),
        });
        let answering = Arc::clone(&stepd);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (stepd, stream) = (Arc::clone(&answering), stream.expect("accept"));
                thread::spawn(move || stepd.answer(stream));
            }
        });
        stepd
    }

    fn answer(&self, mut stream: UnixStream) {
        let mut bytes = [0; 64];
        let mut is_open = false;
        while let Ok(count @ 1..) = stream.read(&mut bytes) {
            self.asked.lock().expect("no panic").push(count);
            if self.is_silent.load(Ordering::SeqCst) {
                continue;
            }
            let mut numbers = bytes[..count].chunks_exact(4);
            let mut next = || Some(i32::from_ne_bytes(numbers.next()?.try_into().ok()?));
            if !is_open {
                let claimed = next();
                assert_eq!(claimed, Some(stepd::CLAIMED_VERSION));
                let _ = stream.write_all(&ints(&[self.version.load(Ordering::SeqCst)]));
                is_open = true;
            }
            while let Some(request) = next() {
                let answer = match request {
                    5 => self.say_state(),
                    20 => self.uid.load(Ordering::SeqCst),
                    // Adopts a process: whether it was taken.
                    22 => next().map_or(-1, |_| 0),
                    // Whether it has a process: one byte.
                    8 => {
                        let _ = next().map(|_| stream.write_all(&[1]));
                        continue;
                    }
                    // No namespaces, in the form of that version.
                    26 | 28 => 0,
                    other => panic!("request {other}"),
                };
                let _ = stream.write_all(&ints(&[answer]));
            }
        }
    }

    /// Makes it read requests without answering.
    pub(super) fn fall_silent(&self) {
        self.is_silent.store(true, Ordering::SeqCst);
    }

    /// Makes its job another user's.
    pub(super) fn give_to(&self, uid: i32) {
        self.uid.store(uid, Ordering::SeqCst);
    }

    /// Returns the state; a step that is starting is running when it is asked again.
    fn say_state(&self) -> i32 {
        const SEQ: Ordering = Ordering::SeqCst;
        let said = self.state.compare_exchange(1, Self::RUNNING, SEQ, SEQ);
        said.unwrap_or_else(|other| other)
    }

    pub(super) fn asked(&self) -> Vec<usize> {
        std::mem::take(&mut *self.asked.lock().expect("no panic"))
    }
}

/// Adopts into the user's job.
fn log_in(spool: &Spool, job: u32, join_container: bool) -> Result<Adopted, AdoptError> {
    let log = Log::new(&Silent, LogLevel::Debug);
    let state_dir = StateDir::open(&spool.dir.join("memory"), true, log);
    let deadline = Deadline::after(Duration::from_secs(5));
    let mut census = census(&spool.node, asking(2001, true), &state_dir, &deadline, log);
    let join = match join_container {
        true => Join::Now,
        false => Join::Nobody,
    };
    let request = request(join, false);
    adoption::adopt(&mut census, job, request, &deadline, log)
}

#[test]
fn requests_depend_on_the_version_and_on_the_container_option() {
    let spool = Spool::new("requests");
    let three = Stepd::fake(&spool, 3);
    for (version, join_container, asked) in [
        (0x2D00, true, &[12, 4, 12, 8][..]),
        (0x2D00, false, &[12, 12, 8]),
        (0x2A00, true, &[12, 4, 12, 8]),
        // 20.11 may close a connection that asks for namespaces, so another connection is used.
        (0x2400, true, &[12, 12, 4, 12, 8]),
        (0x2300, true, &[12, 12, 8]),
    ] {
        three.version.store(version, Ordering::SeqCst);
        log_in(&spool, 3, join_container).expect("adopted");
        assert_eq!(three.asked(), asked, "{version:#x} {join_container}");
    }
}

/// To ask a step for namespaces while it is starting would spoil them.
#[test]
fn a_stepd_that_is_starting_is_asked_for_namespaces_when_it_runs() {
    let spool = Spool::new("requests-starting");
    let three = Stepd::fake(&spool, 3);
    three.state.store(1, Ordering::SeqCst);
    log_in(&spool, 3, true).expect("adopted");
    assert_eq!(three.asked(), [12, 4, 4, 12, 8]);
}

#[test]
fn an_ending_step_takes_nobody() {
    let spool = Spool::new("requests-ending");
    let three = Stepd::fake(&spool, 3);
    three.state.store(3, Ordering::SeqCst);
    let result = log_in(&spool, 3, true);
    assert!(matches!(result, Err(AdoptError::Refused(_))), "{result:?}");
}
