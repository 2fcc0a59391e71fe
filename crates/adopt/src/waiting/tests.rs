use std::os::unix::net::UnixStream;

use super::*;

fn options(line: &str) -> Options {
    let words: Vec<_> = line.split(' ').filter(|it| !it.is_empty()).collect();
    let (options, bad) = Options::parse(&words);
    assert!(bad.is_empty(), "{line}");
    options
}

#[test]
fn logins_that_may_wait() {
    let nodes = "wait_for_job=30 wait_from=10.1.0.0/16,2001:db8::/32";
    for (line, service, from, may) in [
        ("", "sshd", "10.1.2.3", false),
        ("wait_for_job=0", "sshd", "10.1.2.3", false),
        ("wait_from=10.1.0.0/16", "sshd", "10.1.2.3", false),
        ("wait_for_job=30", "sshd", "10.1.2.3", true),
        ("wait_for_job=30", "sshd", "login1.example.org", true),
        ("wait_for_job=30 service=*", "su", "", false),
        ("wait_for_job=30 mode=audit", "sshd", "10.1.2.3", false),
        ("wait_for_job=30 mode=adopt-only", "sshd", "", false),
        (nodes, "sshd", "10.1.2.3", true),
        (nodes, "sshd", "::ffff:10.1.2.3", true),
        (nodes, "sshd", "2001:db8::7", true),
        (nodes, "sshd", "10.2.0.1", false),
        (nodes, "sshd", "::10.1.2.3", false),
        (nodes, "sshd", "10.1.2.3.example.org", false),
        (nodes, "sshd", "UNKNOWN", false),
        (nodes, "sshd", "", false),
    ] {
        let options = options(line);
        let from_there = may_wait_from(&options, from.parse().ok());
        let found = may_wait(&options, service) && from_there;
        assert_eq!(found, may, "{line}: {service} from {from}");
    }
}

#[test]
fn one_job_that_is_set_up_is_enough() {
    let own = |pids: &[i32]| -> Vec<OwnStepd> {
        let jobs = (7..).zip(pids);
        let stepd = |(job, pid): (u32, &i32)| OwnStepd {
            job,
            pid: pid.abs(),
            is_ending: *pid < 0,
        };
        jobs.map(stepd).collect()
    };
    for (pids, progress) in [
        (&[][..], Progress::NoJob),
        (&[1], Progress::Starting(7)),
        (&[1, 3], Progress::Starting(8)),
        (&[1, 2], Progress::Ready),
        (&[2, 1], Progress::Ready),
        // Nobody gets into a job that is ending.
        (&[-2], Progress::NoJob),
        (&[1, -2], Progress::Starting(7)),
        (&[-2, 4], Progress::Ready),
    ] {
        let is_set_up = |pid: i32| pid % 2 == 0;
        assert_eq!(Progress::with(&own(pids), is_set_up), progress, "{pids:?}");
    }
}

#[test]
fn a_pipe_from_slurmd_shows_a_step_that_is_not_set_up() {
    let start = |input| {
        let mut command = std::process::Command::new("sleep");
        command.arg("60").stdin(input).spawn().expect("sleep")
    };
    for (input, is) in [
        (std::process::Stdio::piped(), false),
        (std::process::Stdio::null(), true),
    ] {
        let mut process = start(input);
        assert_eq!(is_set_up(process.id() as i32), is);
        process.kill().expect("it runs");
        process.wait().expect("it ends");
    }
    assert!(is_set_up(0), "invisible");
}

#[test]
fn a_user_takes_a_quarter_of_the_places() {
    let path = std::env::temp_dir().join(format!("adopt-{}-waits", std::process::id()));
    let dir = StateDir::open(&path, true, crate::log::Log::silent());
    let mut taken = Vec::new();
    let mut take = |uid| {
        let slot = slot(&dir, uid).expect("the directory is ours");
        let is_some = slot.is_some();
        taken.extend(slot);
        is_some
    };
    assert!((0..4).all(|_| take(2001)));
    assert!(!take(2001), "a fifth of one user");
    // A user takes no place of another's, whatever their uids.
    for uid in [2005, u32::MAX, 2009] {
        assert!((0..4).all(|_| take(uid)), "{uid}");
    }
    assert!(!take(2002), "a seventeenth on the node");
    taken.pop();
    let again = slot(&dir, 2002).expect("the directory is ours");
    assert!(again.is_some(), "a login that ends leaves its places");
    fs::remove_dir_all(&path).expect("removal");
}

#[test]
fn a_client_that_hangs_up_ends_the_wait() {
    let (client, server) = UnixStream::pair().expect("a pair");
    let events = Events::new(Some(server.into()));
    let short = Duration::from_millis(30);
    assert!(!events.wait(short).expect("it waits"));
    drop(client);
    let long = Duration::from_secs(60);
    assert!(events.wait(long).expect("it waits"));
    assert!(events.wait_for_client(long).expect("it waits"));
}

#[test]
fn without_inotify_there_are_looks_all_the_same() {
    let mut events = Events {
        watch: Err(io::Error::from_raw_os_error(24)),
        ..Events::new(None)
    };
    let dirs = [PathBuf::from("/var/spool/slurmd")];
    assert!(events.watch(&dirs).is_some());
    assert!(events.watch(&dirs).is_none(), "it is told once");
    let short = Duration::from_millis(30);
    let start = Instant::now();
    assert!(!events.wait(short).expect("it waits"));
    assert!(start.elapsed() >= short);
    // What cannot be watched ends no wait either.
    let mut events = Events::new(None);
    assert!(events.watch(&[PathBuf::from("relative")]).is_some());
    assert!(!events.wait(short).expect("it waits"));
}

#[test]
fn changes_without_end_do_not_keep_a_login_busy() {
    for (look, pause) in [(0, 20), (1, 20), (10, 100), (5000, 1000)] {
        let look = Duration::from_millis(look);
        assert_eq!(pause_after(look), Duration::from_millis(pause), "{look:?}");
    }
}

#[test]
fn a_directory_that_is_missing_is_waited_for() {
    let path = std::env::temp_dir().join(format!("adopt-{}-spool", std::process::id()));
    fs::create_dir(&path).expect("a directory");
    let watch = Watch::new().expect("inotify");
    let spool = path.join("slurm/spool");
    let long = Duration::from_secs(60);
    add(&watch, &spool).expect("what is above is there");
    for made in ["slurm", "slurm/spool", "slurm/spool/node1_7.4294967292"] {
        fs::create_dir(path.join(made)).expect("a directory");
        let start = Instant::now();
        sys::poll(&mut [watch.changes()], long).expect("it waits");
        watch.forget().expect("it reads");
        assert!(start.elapsed() < long, "{made}");
        add(&watch, &spool).expect("one of them is there");
    }
    fs::remove_dir_all(&path).expect("removal");
}
