use adopt::survey::{Cgroup, Place};

use super::cpus::CpuSet;
use super::judge::{Verdict, judge, size};
use super::probe::{
    Charge, Constraint, Cpus, Expected, Inside, Memlock, Memory, Namespace, Probe, Slurm,
};
use super::trial::{Answer, Gpu};
use crate::Spot;

fn answer(is_success: bool) -> Answer {
    Answer {
        is_success,
        words: match is_success {
            true => "PAM_SUCCESS (0: Success)".to_owned(),
            false => "PAM_PERM_DENIED (6: Permission denied)".to_owned(),
        },
        texts: Vec::new(),
    }
}

fn constraint(line: Option<usize>) -> Constraint {
    let file = "/etc/slurm/cgroup.conf";
    Constraint {
        is_on: line.is_some(),
        spot: Some(match line {
            Some(line) => Spot::line(file, line, "ConstrainX=yes"),
            None => Spot::file(file),
        }),
    }
}

fn gpu(number: usize, is_open: bool) -> Gpu {
    Gpu {
        path: format!("/dev/nvidia{number}"),
        refused: (!is_open).then(|| "Operation not permitted".to_owned()),
    }
}

fn set(list: &str) -> Option<CpuSet> {
    CpuSet::parse(list)
}

/// A login that its job holds, on a node that constrains everything.
fn held() -> Inside {
    Inside {
        place: Place::Held {
            job: 4711,
            cgroups: vec![Cgroup {
                controllers: String::new(),
                path: "/scope/s0DNM/step_extern/user/task_0".to_owned(),
            }],
        },
        missing: Vec::new(),
        cpus: Cpus {
            login: set("2-5"),
            job: set("2-5"),
            node: set("0-63"),
        },
        memory: Memory {
            limit: Some(8 << 30),
            charge: Charge::Counted,
        },
        gpus: (0..4).map(|it| gpu(it, it == 1)).collect(),
        allocated_gpus: Some(1),
        namespaces: Vec::new(),
        memlock: Memlock {
            login: Some(u64::MAX),
            job: Some(u64::MAX),
        },
        slurm: Slurm {
            cores: constraint(Some(1)),
            ram: constraint(Some(2)),
            devices: constraint(Some(3)),
            has_gpus: true,
        },
    }
}

fn let_in(inside: Inside) -> Probe {
    Probe {
        user: "alice".to_owned(),
        expected: Expected::Adopted,
        explanation: "would be adopted into job 4711".to_owned(),
        has_job: true,
        account: answer(true),
        session: Some(answer(true)),
        inside: Some(inside),
        left: Vec::new(),
    }
}

fn denied(expected: Expected) -> Probe {
    Probe {
        expected,
        has_job: false,
        account: Answer {
            texts: vec!["Access denied".to_owned()],
            ..answer(false)
        },
        session: None,
        inside: None,
        ..let_in(held())
    }
}

/// IDs with severities, then what is unseen.
fn told(verdict: &Verdict) -> Vec<String> {
    let findings = verdict.findings.iter();
    let findings = findings.map(|it| format!("{} {}", it.check.id, it.severity.name()));
    let unseen = verdict.unseen.iter().map(|(what, _)| format!("? {what}"));
    findings.chain(unseen).collect()
}

fn expect(name: &str, probe: &Probe, expected: &[&str]) {
    assert_eq!(told(&judge(probe)), expected, "{name}");
}

/// A held login, changed in one way.
fn expect_inside(name: &str, change: fn(&mut Inside), expected: &[&str]) {
    let mut inside = held();
    change(&mut inside);
    expect(name, &let_in(inside), expected);
}

const HOLD: &str = "? how a job holds its logins";

#[test]
fn a_held_login_is_told_in_one_line() {
    let verdict = judge(&let_in(held()));
    assert!(told(&verdict).is_empty(), "{verdict:?}");
    assert_eq!(
        verdict.summary.join("; "),
        "job 4711, step extern; 4 of 64 CPUs; memory 8 GB; GPUs: 1 of 4 open"
    );
}

#[test]
fn a_denial_is_judged_by_what_the_module_would_do() {
    expect("no job", &denied(Expected::Denied), &["SA902 note", HOLD]);
    expect(
        "another module",
        &denied(Expected::LetIn),
        &["SA902 note", HOLD],
    );
    expect(
        "with a job",
        &denied(Expected::Adopted),
        &["SA901 failure", HOLD],
    );
    let silent = Probe {
        has_job: true,
        ..denied(Expected::Denied)
    };
    expect("a silent stepd", &silent, &["SA901 warning", HOLD]);
    let session = Probe {
        session: Some(answer(false)),
        inside: None,
        ..let_in(held())
    };
    expect("no session", &session, &["SA901 failure", HOLD]);
    let verdict = judge(&denied(Expected::Denied));
    let detail = &verdict.findings[0].detail;
    assert!(detail.contains("PAM_PERM_DENIED") && detail.contains("alice reads: Access denied"));
}

#[test]
fn a_login_outside_of_jobs_is_judged_by_what_the_module_would_do() {
    let outside = |expected, has_job| {
        let path = "/user.slice/session-3.scope (pam_systemd)".to_owned();
        let place = Place::Outside(path);
        Probe {
            expected,
            has_job,
            ..let_in(Inside { place, ..held() })
        }
    };
    expect(
        "moved out",
        &outside(Expected::Adopted, true),
        &["SA903 failure"],
    );
    expect(
        "no process yet",
        &outside(Expected::Adopted, false),
        &["SA903 failure"],
    );
    expect(
        "a silent stepd",
        &outside(Expected::LetIn, true),
        &["SA903 failure"],
    );
    expect(
        "not reached",
        &outside(Expected::Denied, false),
        &["SA900 failure"],
    );
    expect(
        "exempt",
        &outside(Expected::LetIn, false),
        &["SA904 note", HOLD],
    );
    let step = "batch".to_owned();
    let place = Place::OtherStep { job: 4711, step };
    let other = let_in(Inside { place, ..held() });
    expect("in the batch step", &other, &["SA903 failure"]);
}

#[test]
fn cpus_are_those_of_the_job() {
    expect_inside("more", |it| it.cpus.login = set("2-6"), &["SA910 failure"]);
    expect_inside("fewer", |it| it.cpus.login = set("2"), &[]);
    expect_inside(
        "a whole node",
        |it| {
            it.cpus.login = set("0-63");
            it.cpus.job = set("0-63");
        },
        &[],
    );
    expect_inside(
        "not constrained",
        |it| {
            it.cpus.login = set("0-63");
            it.cpus.job = None;
            it.slurm.cores = constraint(None);
        },
        &["SA911 warning"],
    );
    expect_inside(
        "one CPU has all",
        |it| {
            it.cpus.login = set("0");
            it.cpus.node = set("0");
            it.slurm.cores = constraint(None);
        },
        &[],
    );
    // CpuSpecList, or a slurmd that is bound itself.
    expect_inside(
        "bound otherwise",
        |it| {
            it.cpus.login = set("1-63");
            it.slurm.cores = constraint(None);
        },
        &[],
    );
    expect_inside(
        "unknown",
        |it| it.cpus = Cpus::default(),
        &["? the login's CPUs"],
    );
}

#[test]
fn memory_is_limited_and_counted() {
    expect_inside("no limit", |it| it.memory.limit = None, &["SA912 warning"]);
    expect_inside(
        "not counted",
        |it| it.memory.charge = Charge::NotCounted,
        &["SA913 warning"],
    );
    expect_inside(
        "nearly full",
        |it| it.memory.charge = Charge::Untried("only 3 MB are left".to_owned()),
        &["? whether the memory limit counts a login"],
    );
}

#[test]
fn gpus_are_those_of_the_job() {
    let open_all = |it: &mut Inside| it.gpus.iter_mut().for_each(|it| it.refused = None);
    let with = |change: &dyn Fn(&mut Inside), name: &str, expected: &[&str]| {
        let mut inside = held();
        open_all(&mut inside);
        change(&mut inside);
        expect(name, &let_in(inside), expected);
    };
    with(&|_| {}, "all open", &["SA914 failure"]);
    with(&|it| it.allocated_gpus = Some(4), "all are the job's", &[]);
    with(&|it| it.slurm.has_gpus = false, "Slurm has none", &[]);
    let unknown = "? whether the GPUs are the job's";
    with(&|it| it.allocated_gpus = None, "nobody says", &[unknown]);
    let off = |it: &mut Inside| it.slurm.devices = constraint(None);
    with(&off, "not constrained", &["SA915 warning"]);
    let off_and_all = |it: &mut Inside| {
        off(it);
        it.allocated_gpus = Some(4);
    };
    with(&off_and_all, "not constrained, all the job's", &[]);
    expect_inside("no GPUs", |it| it.gpus.clear(), &[]);
    expect_inside("none open", |it| it.gpus = vec![gpu(0, false)], &[]);
}

#[test]
fn namespaces_are_those_of_the_job() {
    let mount = |is_jobs_private, is_login_in_nodes| {
        let mut inside = held();
        inside.namespaces = vec![Namespace {
            kind: "mount",
            is_jobs_private,
            is_login_in_nodes,
        }];
        let_in(inside)
    };
    expect("nobody has one", &mount(false, true), &[]);
    expect("the job's", &mount(true, false), &[]);
    expect(
        "the login is left out",
        &mount(true, true),
        &["SA920 warning"],
    );
    // pam_namespace, with a job that has none.
    expect("the login's own", &mount(false, false), &[]);
    let summary = judge(&mount(true, false)).summary.join("; ");
    assert!(summary.ends_with("/tmp private"), "{summary}");
}

#[test]
fn the_rest() {
    expect_inside(
        "hierarchies",
        |it| it.missing = vec!["cpuset".to_owned()],
        &["SA905 failure"],
    );
    expect_inside(
        "a login that is out of the job's memory cgroup, where it has no limit",
        |it| {
            it.missing = vec!["memory".to_owned()];
            it.memory.limit = None;
        },
        &["SA905 failure"],
    );
    expect_inside(
        "memlock",
        |it| it.memlock.login = Some(64 << 10),
        &["SA921 note"],
    );
    expect_inside(
        "more than the job",
        |it| it.memlock.job = Some(64 << 10),
        &[],
    );
    expect_inside(
        "no task to compare with",
        |it| {
            it.memlock = Memlock {
                login: Some(1),
                job: None,
            };
        },
        &[],
    );
    let left = Probe {
        left: vec!["process 12 (agent)".to_owned()],
        ..let_in(held())
    };
    expect("left", &left, &["SA930 warning"]);
}

#[test]
fn findings_about_cgroup_conf_name_it() {
    let mut inside = held();
    inside.cpus.login = set("0-63");
    inside.slurm.cores = constraint(None);
    inside.memory.limit = None;
    let verdict = judge(&let_in(inside));
    let spots = verdict.findings.iter().map(|it| it.spot.as_ref());
    let spots: Vec<_> = spots
        .map(|it| it.map(|it| (it.file.as_str(), it.line)))
        .collect();
    let file = "/etc/slurm/cgroup.conf";
    assert_eq!(spots, [Some((file, None)), Some((file, Some(2)))]);
}

#[test]
fn sizes_in_words() {
    for (bytes, text) in [
        (0, "0 bytes"),
        (64 << 10, "64 KB"),
        (200 << 20, "200 MB"),
        ((3 << 30) / 2, "1.5 GB"),
        (2 << 40, "2 TB"),
    ] {
        assert_eq!(size(bytes), text);
    }
}
