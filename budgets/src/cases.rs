//! The cases: each makes its input and returns the work to count.

use std::fmt::Write as _;
use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use adopt::decide::{self, Phase};
use adopt::facts::{Caller, Facts, OwnJob, Steps};
use adopt::options::Options;
use proto::conf::{self, Query};
use proto::rpc::{self, Auth};
use proto::{Version, hash, hostlist, socket_name, stepd};

/// Work to count, with its input.
type Work = Box<dyn FnMut()>;

/// Name of a case, and the function that makes its work.
type Case = (&'static str, fn() -> Work);

/// All cases, sorted by name.
pub const CASES: [Case; 13] = [
    ("callerid-reply", callerid_reply),
    ("callerid-request", callerid_request),
    ("conf-lines-10000", || conf(&lines_of_nodes(), "node10000")),
    ("conf-one-node", || conf(ONE_NODE, "node1")),
    ("conf-range-10000", || conf(RANGE, "node09876")),
    ("hostlist-commas-10000", hostlist_commas),
    ("hostlist-range-65536", hostlist_range),
    ("options", options),
    ("plan-0-jobs", || plan(0)),
    ("plan-1-job", || plan(1)),
    ("plan-100-jobs", || plan(100)),
    ("socket-names-1000", socket_names),
    ("stepd-owners-100", stepd_owners),
];

/// The newest protocol version.
const VERSION: Version = Version::V26_05;

/// A reply of a real slurmd in that version.
const REPLY: &[u8] = include_bytes!("../../fuzz/corpus/rpc/26.05-2d00-job");

/// slurm.conf of a site with one node.
const ONE_NODE: &str = "\
ClusterName=demo
SlurmctldHost=node1
AuthType=auth/munge
SlurmUser=slurm
SlurmdSpoolDir=/var/spool/slurmd
SlurmctldPort=6817
SlurmdPort=6818
StateSaveLocation=/var/spool/slurmctld
ProctrackType=proctrack/cgroup
TaskPlugin=task/cgroup,task/affinity
PrologFlags=Contain,X11
SchedulerType=sched/backfill
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SlurmctldLogFile=/var/log/slurm/slurmctld.log
SlurmdLogFile=/var/log/slurm/slurmd.log
# The node, and its partition.
NodeName=node1 CPUs=64 Boards=1 SocketsPerBoard=2 CoresPerSocket=16 ThreadsPerCore=2 RealMemory=256000
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
";

const RANGE: &str = "\
ClusterName=demo
SlurmctldHost=head
SlurmdSpoolDir=/var/spool/slurmd.%n
NodeName=node[00001-10000] CPUs=64 RealMemory=256000 State=UNKNOWN
PartitionName=main Nodes=node[00001-10000] Default=YES State=UP
";

fn lines_of_nodes() -> String {
    let mut text = String::from("ClusterName=demo\nSlurmdSpoolDir=/var/spool/slurmd.%n\n");
    for node in 1..=10_000 {
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "NodeName=node{node} NodeAddr=10.0.{}.{} CPUs=64 RealMemory=256000 State=UNKNOWN",
            node / 256,
            node % 256
        );
    }
    text
}

fn conf(text: &str, host: &'static str) -> Work {
    let bytes = text.as_bytes().to_vec();
    Box::new(move || {
        let query = Query {
            hosts: &[black_box(host)],
            node: None,
            ..Query::default()
        };
        let mut none = |_: &str, _: &str| Err(std::io::ErrorKind::NotFound.into());
        let conf = conf::parse("/etc/slurm/slurm.conf", black_box(&bytes), query, &mut none);
        let found = conf.as_ref().is_ok_and(|it| it.nodes != [None]);
        assert!(found, "{conf:?}");
    })
}

fn hostlist_range() -> Work {
    position("node[00001-65536]", "node65536", 65_535)
}

fn hostlist_commas() -> Work {
    let names: Vec<_> = (0..10_000).map(|it| format!("node{it}")).collect();
    position(&names.join(","), "node9999", 9_999)
}

fn position(list: &str, name: &'static str, at: u64) -> Work {
    let list = list.to_owned();
    Box::new(move || {
        let found = hostlist::position(black_box(&list), black_box(name));
        assert!(matches!(found, Ok(Some(it)) if it == at), "{found:?}");
    })
}

/// Socket names of 250 jobs with four steps each.
fn socket_names() -> Work {
    let jobs = 1_000..1_250_u32;
    let steps = ["4294967291", "4294967292", "0", "1"];
    let names: Vec<_> = jobs
        .flat_map(|job| steps.map(|step| format!("node1_{job}.{step}")))
        .collect();
    Box::new(move || {
        let names = black_box(&names).iter();
        let jobs = names.filter_map(|it| socket_name::extern_step_job(it.as_bytes(), "node1"));
        assert_eq!(jobs.count(), 250);
    })
}

/// Requests to and answers of 100 stepds.
fn stepd_owners() -> Work {
    let answers: Vec<_> = (0..100_u32)
        .map(|user| {
            let words = [
                i32::from(VERSION.number()).to_ne_bytes(),
                user.to_ne_bytes(),
                2_i32.to_ne_bytes(),
            ];
            words.concat()
        })
        .collect();
    Box::new(move || {
        for answer in black_box(&answers) {
            black_box(stepd::ask_owner());
            assert!(black_box(stepd::read_owner(answer)).is_ok());
        }
    })
}

/// PAM line of a site that sets most options.
fn options() -> Work {
    let line = [
        "action_no_jobs=deny",
        "action_unknown=newest",
        "action_adopt_failure=deny",
        "action_generic_failure=deny",
        "join_container=true",
        "log_level=debug",
        "slurm_conf=/etc/slurm/slurm.conf",
        "timeout=5",
    ];
    Box::new(move || {
        let (options, bad) = Options::parse(black_box(&line));
        assert!(bad.is_empty(), "{bad:?}");
        black_box(options);
    })
}

/// Plans for a connection from the last of `jobs` jobs.
fn plan(jobs: u32) -> Work {
    let own = (1..=jobs).map(|job| OwnJob {
        job,
        started: 1_700_000_000 + i64::from(job),
    });
    let steps = Steps {
        own: own.collect(),
        others: 3,
        ..Steps::default()
    };
    let caller = match jobs {
        0 => Caller::NotAsked,
        job => Caller::Job {
            job,
            source: IpAddr::V4(Ipv4Addr::LOCALHOST),
        },
    };
    let options = Options::default();
    let steps = Ok(steps);
    let mut input = Some(Facts { steps, caller });
    Box::new(move || {
        if let Some(facts) = black_box(input.take()) {
            let _ = black_box(decide::plan(black_box(&options), Phase::Account, facts));
        }
    })
}

/// A request to slurmd: the body, its hash for the credential, the frame.
fn callerid_request() -> Work {
    let end = |host, port| SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 0, 0, host)), port);
    let credential = vec![b'x'; 300];
    Box::new(move || {
        let body = rpc::caller_id_body(black_box(end(1, 50_000)), black_box(end(2, 22)));
        black_box(hash::payload(VERSION, rpc::REQUEST_NETWORK_CALLERID, &body));
        let auth = Auth::Munge(black_box(&credential));
        black_box(rpc::caller_id_request(VERSION, auth, &body));
    })
}

/// A reply of slurmd, and the check that its credential is for it.
fn callerid_reply() -> Work {
    Box::new(|| {
        let reply = rpc::read_reply(black_box(REPLY));
        assert!(reply.is_ok(), "{reply:?}");
        if let Ok(reply) = black_box(reply) {
            let number = reply.message.number();
            black_box(hash::payload_matches(
                reply.version,
                number,
                reply.body,
                &[],
            ));
        }
    })
}
