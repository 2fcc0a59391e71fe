//! Adoption, and what the job's stepd is asked then.

use super::*;

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
