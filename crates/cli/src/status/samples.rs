//! Nodes to show, for the tests.

use std::io;

use jiff::Timestamp;
use status::{Account, End, Job, Kind, Login, NotKnown, Outsider, Refusal, Status, StepState};

const NOW: i64 = 1_796_017_100;
const MINUTE: i64 = 60;
const HOUR: i64 = 3600;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).expect("a time")
}

fn user(name: &str, uid: u32) -> Account {
    let name = name.to_owned();
    Account { uid, name }
}

fn alice() -> Account {
    user("alice", 2001)
}

fn login(who: Account, kind: Kind, tty: Option<&str>, ago: i64) -> Login {
    Login {
        user: who,
        kind,
        tty: tty.map(str::to_owned),
        from: match kind {
            Kind::Program(_) => None,
            _ => "10.0.0.5".parse().ok(),
        },
        since: at(NOW - ago),
        pid: 100,
        job: Some(4711),
        step: Some("extern".to_owned()),
    }
}

fn job(number: u32, owner: Account, logins: Vec<Login>) -> Job {
    Job {
        job: number,
        user: Some(owner),
        state: Some(StepState::Running),
        trouble: None,
        has_extern_step: true,
        end: Some(End::At(at(NOW + 130 * MINUTE))),
        cpus: Some(16),
        memory: Some(64 << 30),
        logins,
    }
}

fn refusals(count: usize, who: &str, kind: &str) -> Vec<Refusal> {
    let refusal = Refusal {
        time: at(NOW - MINUTE),
        user: who.to_owned(),
        kind: kind.to_owned(),
        reason: "no job on this node (2 jobs of other users)".to_owned(),
    };
    vec![refusal; count]
}

fn outsider(who: Account) -> Outsider {
    Outsider {
        user: who,
        exempt: None,
        logins: Vec::new(),
        has_manager: false,
        programs: Vec::new(),
        since: None,
    }
}

/// A node with what is usual.
pub(crate) fn usual() -> Status {
    let carol = Outsider {
        exempt: Some("hpcadmin".to_owned()),
        logins: vec![Login {
            from: None,
            ..login(user("carol", 2003), Kind::Shell, Some("pts/4"), HOUR)
        }],
        ..outsider(user("carol", 2003))
    };
    let first = vec![
        login(alice(), Kind::Shell, Some("pts/0"), 41 * MINUTE),
        login(alice(), Kind::Sftp, None, 2 * MINUTE),
    ];
    let second = Job {
        end: Some(End::At(at(NOW + 5 * MINUTE))),
        cpus: Some(4),
        memory: Some(8 << 30),
        ..job(4713, alice(), Vec::new())
    };
    let bob = user("bob", 2002);
    let third = Job {
        end: Some(End::At(at(NOW + 27 * HOUR))),
        cpus: Some(64),
        memory: Some(256 << 30),
        ..job(
            4720,
            bob.clone(),
            vec![login(bob, Kind::Shell, Some("pts/3"), 3 * HOUR)],
        )
    };
    let mut refused = refusals(12, "dave", "no-job");
    refused.extend(refusals(2, "erin", "no-job"));
    refused.extend(refusals(1, "alice", "stepd-silent"));
    Status {
        host: "n017".to_owned(),
        taken: at(NOW),
        is_all: true,
        jobs: vec![job(4711, alice(), first), second, third],
        outside: vec![carol],
        refused: Ok(refused),
        notes: Vec::new(),
    }
}

/// A node with what is not.
pub(crate) fn unusual() -> Status {
    let many = (0..9).map(|it| {
        let tty = format!("pts/{it}");
        let from = "2001:db8::1234:5678:9abc".parse().ok();
        Login {
            from,
            ..login(alice(), Kind::Shell, Some(&tty), HOUR)
        }
    });
    let mut many: Vec<_> = many.collect();
    many.push(login(
        user("bob", 2002),
        Kind::Program("su"),
        Some("pts/9"),
        9,
    ));
    many.push(login(alice(), Kind::Forwarding, None, 72 * HOUR));
    let unlimited = Job {
        end: Some(End::Never),
        cpus: None,
        memory: None,
        ..job(4_294_967_295, alice(), many)
    };
    let silent = Job {
        user: None,
        state: None,
        trouble: Some("does not answer".to_owned()),
        end: None,
        ..job(7, alice(), Vec::new())
    };
    let without = Job {
        has_extern_step: false,
        end: Some(End::At(at(NOW - HOUR))),
        ..job(8, user("a.very.long.name@example.org", 70_000), Vec::new())
    };
    let ending = Job {
        state: Some(StepState::Ending),
        ..job(9, user("\u{5f20}\u{4f1f}", 2010), Vec::new())
    };
    let left = Outsider {
        has_manager: true,
        programs: vec![("python3".to_owned(), 3), ("bad\x1b[2J".to_owned(), 1)],
        since: Some(at(NOW - 50 * HOUR)),
        ..outsider(user("dave", 2004))
    };
    let cron = Outsider {
        exempt: Some("exempt_users".to_owned()),
        logins: vec![login(user("x", 1), Kind::Program("cron"), None, 8)],
        ..outsider(user("operator-of-the-site", 2005))
    };
    let tracking = "ProctrackType=proctrack/linuxproc: cgroups do not always show which process is in which job";
    Status {
        jobs: vec![silent, without, ending, unlimited],
        outside: vec![left, cron],
        refused: Err(NotKnown::Journalctl(io::Error::other("does not end"))),
        notes: vec![tracking.to_owned()],
        ..usual()
    }
}

/// One user's view of a node on which the user has nothing.
pub(crate) fn nothing() -> Status {
    Status {
        is_all: false,
        jobs: Vec::new(),
        outside: Vec::new(),
        refused: Err(NotKnown::ForRoot),
        ..usual()
    }
}
