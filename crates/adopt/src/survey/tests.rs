//! Each kind of socket that a spool directory may have, with fake stepds.

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use proto::Version;
use sys::Deadline;

use super::*;
use crate::trust::Trusted;

/// A spool directory of node n1.
struct Spool {
    dir: PathBuf,
    node: Node,
}

impl Spool {
    fn new(name: &str) -> Self {
        let home = std::env::temp_dir().canonicalize().expect("a directory");
        let dir = home.join(format!("survey-{}-{name}", std::process::id()));
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

    fn bind(&self, step: &str) -> UnixListener {
        UnixListener::bind(self.dir.join(format!("n1_{step}"))).expect("bind")
    }

    /// A stepd that answers once.
    fn stepd(&self, step: &str, answer: [i32; 3]) {
        let listener = self.bind(step);
        thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("accept");
            stream.read_exact(&mut [0; 12]).expect("the request");
            let answer = answer.map(i32::to_ne_bytes).concat();
            stream.write_all(&answer).expect("answer");
        });
    }
}

#[test]
fn each_step_is_told_with_its_stepds_answer() {
    let spool = Spool::new("answers");
    let running = [i32::from(Version::V26_05.number()), 2001, 2];
    let ending = [i32::from(Version::V26_05.number()), 2001, 3];
    spool.stepd("7.4294967292", running);
    spool.stepd("5.4294967292", ending);
    spool.stepd("6.4294967292", [-1, 0, 0]);
    let _silent = spool.bind("8.4294967292");
    drop(spool.bind("9.4294967292"));
    // Jobs with other steps: 7 has an extern step too, 11 is going away.
    spool.stepd("7.4294967291", running);
    spool.stepd("8.0", running);
    spool.stepd("10.0", running);
    spool.stepd("11.0", ending);
    fs::write(spool.dir.join("n1_12.4294967292"), "").expect("write");

    let begun = Instant::now();
    let deadline = Duration::from_secs(2);
    let seen = steps(&spool.node, &Deadline::after(deadline));
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(20), "within the deadline");
    let step = |state| Answer::Step {
        state,
        version: Version::V26_05,
    };
    let answers: Vec<_> = seen.steps.iter().map(|it| (it.job, &it.answer)).collect();
    let [five, six, seven, eight, nine] = &answers[..] else {
        panic!("{answers:?}");
    };
    assert_eq!(*five, (5, &step(StepState::Ending)));
    assert!(matches!(six, (6, Answer::Failed(_))), "{six:?}");
    assert_eq!(*seven, (7, &step(StepState::Running)));
    assert_eq!(*eight, (8, &Answer::Silent));
    assert_eq!(*nine, (9, &Answer::Stale));
    // On a busy host a conversation begins some time after the deadline does.
    assert!(
        took >= deadline && seen.steps[3].took >= deadline / 2,
        "it was waited for: {:?} of {took:?}",
        seen.steps[3].took
    );
    let owners: Vec<_> = seen.steps.iter().map(|it| it.owner).collect();
    let alice = Some(2001);
    // Another step of the silent one's job tells.
    assert_eq!(owners, [alice, None, alice, alice, None]);
    let own = Some(std::process::id());
    let pids: Vec<_> = seen.steps.iter().map(|it| it.pid).collect();
    assert_eq!(pids, [own, own, own, own, None]);
    let without: Vec<_> = seen
        .without_extern
        .iter()
        .map(|it| (it.job, it.owner))
        .collect();
    assert_eq!(without, [(10, Some(2001))]);
    let junk = seen.not_sockets.expect("a file that is no socket");
    assert_eq!((junk.count, junk.is_socket), (1, false));
    assert!(seen.problem.is_none() && seen.unreachable.is_empty());
    fs::remove_dir_all(&spool.dir).expect("clean up");
}

#[test]
fn a_spool_directory_that_is_not_there_is_a_problem() {
    let node = Node {
        names: vec!["n1".into()],
        spool_dirs: vec!["/none".into()],
        ..Node::default()
    };
    let seen = steps(&node, &Deadline::after(Duration::from_secs(1)));
    assert!(seen.steps.is_empty());
    assert!(seen.problem.is_some_and(|it| it.means_no_slurm()));
}

/// Between bind(2) and listen(2) a stepd's socket refuses like that of one that was killed.
#[test]
fn a_stepd_that_is_late_to_listen_is_asked_again() {
    use rustix::net::{AddressFamily, SocketAddrUnix, SocketType, bind, listen, socket};
    let spool = Spool::new("late");
    let killed = spool.bind("6.4294967292");
    drop(killed);
    let stepd = socket(AddressFamily::UNIX, SocketType::STREAM, None).expect("a socket");
    let path = spool.dir.join("n1_7.4294967292");
    bind(&stepd, &SocketAddrUnix::new(path).expect("a name")).expect("bind");
    let seen = jobs(&spool.node, &Deadline::after(Duration::from_secs(2))).expect("read");
    assert_eq!(seen.of_user(2001), Holding::Nothing);
    assert!(seen.is_current(&spool.node));
    listen(&stepd, 9).expect("listen");
    assert!(!seen.is_current(&spool.node));
    fs::remove_dir_all(&spool.dir).expect("clean up");
}
