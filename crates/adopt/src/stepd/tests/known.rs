//! Stepds that earlier logins have met.

use super::*;

#[test]
fn only_new_stepds_and_the_own_are_asked() {
    let spool = Spool::new("known");
    let memory = spool.dir.join("memory");
    let log = || Log::new(&Silent, LogLevel::Debug);
    let state_dir = || StateDir::open(&memory, true, log());
    let census_of = |uid| {
        let deadline = Deadline::after(Duration::from_secs(5));
        let steps = crate::stepd::census(
            &spool.node,
            asking(uid, true),
            &state_dir(),
            &deadline,
            log(),
        )
        .steps;
        (steps.own.len(), steps.others)
    };
    let jobs = [counting(&spool, 1, 2001), counting(&spool, 2, 2002)];
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
    let third = counting(&spool, 3, 2001);
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

/// A stepd that counts how often it is asked.
fn counting(spool: &Spool, job: u32, uid: i32) -> Arc<AtomicUsize> {
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
        let steps = crate::stepd::census(
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
