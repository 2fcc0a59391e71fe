//! The conversation with stepds, fault by fault: a fake stepd in a spool directory of the case's own.

use anyhow::Result;
use lab::Node;
use tests::Outcome;

use crate::caller::Site;
use crate::case::{self, Case};
use crate::fake::{Door, Fake, Peer, Reads, ints};
use crate::policy::Means;

/// Where the cases' files are: one directory a node's name.
pub const DIR: &str = "/var/faults";
/// One slurm.conf for all of them.
const CONF: &str = "/var/faults/slurm.conf";

/// Alice's.
const UID: i32 = 2001;
/// The job that the faults are about.
pub const JOB: u32 = 7;
/// Another one of alice's, in good health and newer.
pub const OTHER: u32 = 9;
/// Of 26.05.
pub const VERSION: i32 = 0x2D00;
/// The state of a step that runs.
pub const RUNNING: i32 = 2;
const ENDING: i32 = 4;

/// What a stepd of 26.05 in health reads and answers, in this order. (Its display is the job's.)
fn conversation() -> Vec<(&'static str, &'static str, String)> {
    let authority = format!("{}{}", &ints(&[10, 5])[1..], tests::rpc::hex(b"/x/y\0"));
    vec![
        ("handshake", "r4", ints(&[VERSION])),
        ("owner", "r4", ints(&[UID])),
        ("state", "r4", ints(&[RUNNING])),
        ("namespaces", "r4", ints(&[0])),
        ("adoption", "p", ints(&[0])),
        ("state after adoption", "m r4", ints(&[RUNNING])),
        ("x11", "r4", format!("w{authority}")),
    ]
}

/// What the stepd does in the place of an answer.
#[derive(Debug, Clone, Copy)]
enum Fault {
    /// Nothing, and it stays connected.
    Hangs,
    /// It closes the connection.
    Closes,
    /// Its process is killed.
    Killed,
    /// It sends the first half of the answer and closes.
    HalfThenCloses,
    /// It sends the first half of the answer and no more.
    HalfThenHangs,
    /// It answers this, and goes on.
    Says(&'static [i32]),
    /// The same, and says no more.
    SaysThenHangs(&'static [i32]),
    /// It says that it starts, as often as it is asked.
    StartsForever,
    /// It is stopped for 0.3 s before the answer, then all goes on.
    Stopped,
    /// The answer comes byte by byte.
    Drips,
}
use Fault::{
    Closes, Drips, HalfThenCloses, HalfThenHangs, Hangs, Killed, Says, SaysThenHangs,
    StartsForever, Stopped,
};

const SILENT: &str = "slurmstepd of job 7 does not answer";
const STARTING: &str = "the extern step of job 7 is still starting";
const CLOSED: &str = "slurmstepd of job 7: it closed the connection";
const CLOSED_LATER: &str = "adoption failed: the slurmstepd closed the connection";
const NO_DISPLAY: &str = "the job's X11 display: ";
/// The reason of a login into the only job.
pub const FINE: &str = "the user's only job here";
/// As a number of 32 bits that is negative, and one that is not.
const GARBAGE: i32 = 0xEFBE_ADDE_u32 as i32;
const LARGE: i32 = 0x7EAD_BEEF;
const HUGE: i32 = i32::MAX;

/// Where, what, what the man page says of it, and the reason that the log must name.
const TABLE: &[(&str, Fault, Means, &str)] = {
    use Means::{Adopted, NoJob, NotAdopted};
    const IN: Means = Adopted(JOB);
    &[
        ("handshake", Hangs, NoJob, SILENT),
        ("handshake", Closes, NoJob, CLOSED),
        ("handshake", Killed, NoJob, CLOSED),
        ("handshake", HalfThenCloses, NoJob, CLOSED),
        ("handshake", HalfThenHangs, NoJob, SILENT),
        ("handshake", Says(&[GARBAGE]), NoJob, "protocol version"),
        // How stepds refuse a version that they don't speak.
        ("handshake", Says(&[-1]), NoJob, "protocol version"),
        ("handshake", Says(&[0]), NoJob, "protocol version"),
        // Of a release to come, which does all as the newest known.
        ("handshake", Says(&[0x6000]), IN, FINE),
        ("handshake", Says(&[HUGE]), IN, FINE),
        ("handshake", Stopped, IN, FINE),
        ("handshake", Drips, IN, FINE),
        ("owner", Hangs, NoJob, SILENT),
        ("owner", Closes, NoJob, CLOSED),
        ("owner", Killed, NoJob, CLOSED),
        ("owner", HalfThenCloses, NoJob, CLOSED),
        ("owner", HalfThenHangs, NoJob, SILENT),
        // No such user, so not this one.
        (
            "owner",
            Says(&[GARBAGE]),
            NoJob,
            "no job on this node (1 job of other users",
        ),
        // Stands for no user.
        (
            "owner",
            Says(&[-1]),
            NoJob,
            "; slurmstepd of job 7: invalid value -1 for 'uid'",
        ),
        (
            "owner",
            Says(&[0]),
            NoJob,
            "no job on this node (1 job of other users",
        ),
        ("owner", Stopped, IN, FINE),
        ("owner", Drips, IN, FINE),
        ("state", Hangs, NoJob, SILENT),
        ("state", Closes, NoJob, CLOSED),
        ("state", Killed, NoJob, CLOSED),
        ("state", HalfThenCloses, NoJob, CLOSED),
        ("state", HalfThenHangs, NoJob, SILENT),
        (
            "state",
            Says(&[LARGE]),
            NotAdopted,
            "adoption failed: the step is ending",
        ),
        (
            "state",
            Says(&[ENDING]),
            NotAdopted,
            "adoption failed: the step is ending",
        ),
        // It starts, and then does not tell how far it is.
        ("state", SaysThenHangs(&[1]), NoJob, STARTING),
        ("state", StartsForever, NoJob, STARTING),
        // More than it was asked.
        (
            "state",
            Says(&[RUNNING, 0]),
            NotAdopted,
            "sent unexpected data",
        ),
        ("state", Stopped, IN, FINE),
        ("state", Drips, IN, FINE),
        ("namespaces", Hangs, NoJob, SILENT),
        (
            "namespaces",
            Closes,
            NotAdopted,
            "the job's namespaces: it closed the connection",
        ),
        (
            "namespaces",
            Killed,
            NotAdopted,
            "the job's namespaces: it closed the connection",
        ),
        (
            "namespaces",
            HalfThenCloses,
            NotAdopted,
            "the job's namespaces: it closed",
        ),
        ("namespaces", HalfThenHangs, NoJob, SILENT),
        (
            "namespaces",
            Says(&[GARBAGE]),
            NotAdopted,
            "the job's namespaces: their number is -",
        ),
        (
            "namespaces",
            Says(&[HUGE]),
            NotAdopted,
            "namespaces: their number is 2147483647",
        ),
        (
            "namespaces",
            Says(&[9]),
            NotAdopted,
            "the job's namespaces: their number is 9",
        ),
        // One, of a kind that there is not.
        (
            "namespaces",
            Says(&[1, 0x1234]),
            NotAdopted,
            "the job's namespaces: a kind is 0x1234",
        ),
        // One of mounts, whose descriptor does not come; or a byte without one.
        ("namespaces", SaysThenHangs(&[1, 0x20000]), NoJob, SILENT),
        (
            "namespaces",
            Says(&[1, 0x20000, 0]),
            NotAdopted,
            "the job's namespaces: ",
        ),
        // The answer to another request comes as well.
        (
            "namespaces",
            Says(&[0, RUNNING]),
            NotAdopted,
            "sent unexpected data",
        ),
        ("namespaces", Stopped, IN, FINE),
        ("namespaces", Drips, IN, FINE),
        ("adoption", Hangs, NoJob, SILENT),
        ("adoption", Closes, NotAdopted, CLOSED_LATER),
        ("adoption", Killed, NotAdopted, CLOSED_LATER),
        ("adoption", HalfThenCloses, NotAdopted, CLOSED_LATER),
        ("adoption", HalfThenHangs, NoJob, SILENT),
        (
            "adoption",
            Says(&[-1]),
            NotAdopted,
            "slurmstepd's return code is -1",
        ),
        (
            "adoption",
            Says(&[GARBAGE]),
            NotAdopted,
            "slurmstepd's return code is -",
        ),
        (
            "adoption",
            Says(&[HUGE]),
            NotAdopted,
            "slurmstepd's return code is 2147483647",
        ),
        (
            "adoption",
            Says(&[VERSION]),
            NotAdopted,
            "slurmstepd's return code is 11520",
        ),
        ("adoption", Stopped, IN, FINE),
        ("adoption", Drips, IN, FINE),
        ("state after adoption", Hangs, NoJob, SILENT),
        ("state after adoption", Closes, NotAdopted, CLOSED_LATER),
        ("state after adoption", Killed, NotAdopted, CLOSED_LATER),
        (
            "state after adoption",
            HalfThenCloses,
            NotAdopted,
            CLOSED_LATER,
        ),
        ("state after adoption", HalfThenHangs, NoJob, SILENT),
        (
            "state after adoption",
            Says(&[ENDING]),
            NotAdopted,
            "the step is ending",
        ),
        (
            "state after adoption",
            Says(&[LARGE]),
            NotAdopted,
            "the step is ending",
        ),
        ("state after adoption", Stopped, IN, FINE),
        ("state after adoption", Drips, IN, FINE),
        // To be without a display is no reason to be kept out.
        ("x11", Hangs, IN, NO_DISPLAY),
        ("x11", Closes, IN, NO_DISPLAY),
        ("x11", Killed, IN, NO_DISPLAY),
        ("x11", HalfThenCloses, IN, NO_DISPLAY),
        ("x11", HalfThenHangs, IN, NO_DISPLAY),
        ("x11", Says(&[GARBAGE, 0]), IN, NO_DISPLAY),
        ("x11", Says(&[10, HUGE]), IN, NO_DISPLAY),
        ("x11", Says(&[10, GARBAGE]), IN, NO_DISPLAY),
        ("x11", SaysThenHangs(&[10, 4096]), IN, NO_DISPLAY),
        ("x11", Says(&[10, 4, GARBAGE]), IN, NO_DISPLAY),
        ("x11", Stopped, IN, FINE),
        ("x11", Drips, IN, FINE),
    ]
};

impl Fault {
    /// Moves in the place of an answer, and whether the conversation goes on.
    fn moves(self, answer: &str) -> (String, bool) {
        let digits = &answer[1..];
        // Of a number of bytes that is even.
        let half = &digits[..digits.len() / 4 * 2];
        match self {
            Hangs => ("h".into(), false),
            Closes => ("c".into(), false),
            Killed => ("k".into(), false),
            HalfThenCloses => (format!("w{half} c"), false),
            HalfThenHangs => (format!("w{half} h"), false),
            Says(numbers) => (ints(numbers), true),
            SaysThenHangs(numbers) => (format!("{} h", ints(numbers)), false),
            StartsForever => (vec![ints(&[1]); 200].join(" r4 "), false),
            Stopped => (format!("s300 {answer}"), true),
            Drips => (format!("d{digits}"), true),
        }
    }

    fn is_silence(self) -> bool {
        matches!(
            self,
            Hangs | HalfThenHangs | SaysThenHangs(_) | StartsForever
        )
    }
}

/// A stepd's script with that in the place of one answer.
fn script(at: &str, fault: Option<Fault>) -> String {
    let mut moves = Vec::new();
    for (step, reads, answer) in conversation() {
        moves.push(reads.to_owned());
        match fault {
            Some(fault) if step == at => {
                let (instead, goes_on) = fault.moves(&answer);
                moves.push(instead);
                if !goes_on {
                    break;
                }
            }
            _ => moves.push(answer),
        }
    }
    // Whether it has the process: asked where no cgroup can be seen.
    moves.push("r8 w01".to_owned());
    moves.join(" ")
}

/// A stepd's socket in the spool directory of the case's node.
pub fn socket(node: &str, job: u32) -> String {
    format!("{DIR}/{node}/{node}_{job}.4294967292")
}

/// A stepd in health.
pub fn healthy(node: &str, job: u32) -> Peer {
    Peer::new(socket(node, job), Reads::Nothing, vec![script("", None)])
}

/// For a login on the case's node.
pub fn options(node: &str) -> String {
    format!("slurm_conf={CONF} nodename={node}")
}

fn has_display(outcome: &Outcome) -> bool {
    let of = |name: &str| outcome.env.get(name).map(String::as_str);
    (of("DISPLAY"), of("XAUTHORITY")) == (Some("localhost:10.0"), Some("/x/y"))
}

fn has_no_display(outcome: &Outcome) -> bool {
    !outcome.env.contains_key("DISPLAY") && !outcome.env.contains_key("XAUTHORITY")
}

/// Writes the slurm.conf of all cases.
pub fn prepare(node: &Node) -> Result<()> {
    node.sh(&format!("mkdir -p -m 755 {DIR}"))?;
    let conf = format!("ClusterName=faults\nSlurmctldHost=node1\nSlurmdSpoolDir={DIR}/%n\n");
    node.write(CONF, conf, 0o644)
}

/// Each fault at each step, of the only job and of one beside a job in health.
pub fn each_step(node: &Node) -> Result<()> {
    prepare(node)?;
    let (mut cases, mut peers) = (Vec::new(), Vec::new());
    for (number, (step, fault, means, reason)) in TABLE.iter().enumerate() {
        let name = format!("a{number}");
        let mut peer = healthy(&name, JOB);
        peer.scripts = vec![script(step, Some(*fault))];
        peers.push(peer);
        let mut case = Case::new(format!("{step}: {fault:?}"), options(&name), *means, reason);
        if fault.is_silence() {
            case.timeout = 0.5;
        }
        if *means == Means::Adopted(JOB) {
            case.also = match *reason {
                NO_DISPLAY => has_no_display,
                _ => has_display,
            };
        }
        cases.push(case);
        // Before it has said whose job it is a faulty stepd counts for nothing beside one in health.
        if ["handshake", "owner"].contains(step) && *means == Means::NoJob {
            let name = format!("b{number}");
            let mut peer = healthy(&name, JOB);
            peer.scripts = vec![script(step, Some(*fault))];
            peers.extend([peer, healthy(&name, OTHER)]);
            let name = (
                format!("{step}: {fault:?}, beside another job"),
                options(&name),
            );
            let mut case = Case::new(name.0, name.1, Means::Adopted(OTHER), FINE);
            case.timeout = 2.0;
            case.also = has_display;
            cases.push(case);
        }
    }
    let _fake = Fake::start(node, &peers)?;
    case::run(node, &cases)
}

/// A signal every millisecond, whatever the stepd does.
pub fn interrupted(node: &Node) -> Result<()> {
    prepare(node)?;
    let (mut cases, mut peers) = (Vec::new(), Vec::new());
    for (step, ..) in conversation() {
        for (fault, means, reason) in [
            (Drips, Means::Adopted(JOB), FINE),
            (Stopped, Means::Adopted(JOB), FINE),
            (
                Hangs,
                match step {
                    "x11" => Means::Adopted(JOB),
                    _ => Means::NoJob,
                },
                match step {
                    "x11" => NO_DISPLAY,
                    _ => SILENT,
                },
            ),
        ] {
            let name = format!("i{}", cases.len());
            let mut peer = healthy(&name, JOB);
            peer.scripts = vec![script(step, Some(fault))];
            peers.push(peer);
            let what = format!("{step}: {fault:?}, interrupted");
            let mut case = Case::new(what, options(&name), means, reason);
            case.arguments = vec!["--interrupt".into()];
            if fault.is_silence() {
                case.timeout = 0.5;
            }
            cases.push(case);
        }
    }
    let _fake = Fake::start(node, &peers)?;
    case::run(node, &cases)
}

/// Who can't be connected to, or should not be.
pub fn connecting(node: &Node) -> Result<()> {
    prepare(node)?;
    let at = |name: &str, change: fn(&mut Peer)| {
        let mut peer = healthy(name, JOB);
        change(&mut peer);
        peer
    };
    let mut peers = vec![
        at("c0", |it| it.door = Door::Shut),
        at("c1", |it| it.door = Door::Full),
        at("c2", |it| it.uid = 2002),
        at("c3", |_| {}),
    ];
    let mut cases = Vec::new();
    for (name, what, means, reason) in [
        (
            "c0",
            "refused",
            Means::NoJob,
            "no job on this node (0 jobs of other users",
        ),
        ("c1", "backlog full", Means::NoJob, SILENT),
        (
            "c2",
            "another's process listens",
            Means::NoJob,
            "uid 2002 listens there",
        ),
        (
            "c3",
            "another's socket",
            Means::NoJob,
            "not a socket of root (owner uid 2002)",
        ),
    ] {
        let mut case = Case::new(format!("connect: {what}"), options(name), means, reason);
        if what == "backlog full" {
            case.timeout = 0.5;
        }
        cases.push(case.clone());
        // Beside a job in health none of them matters.
        peers.extend([healthy(&format!("{name}o"), OTHER), {
            let mut peer = peers[cases.len() / 2].clone();
            peer.at = socket(&format!("{name}o"), JOB);
            peer
        }]);
        case.name += ", beside another job";
        case.options = options(&format!("{name}o"));
        (case.means, case.reason) = (Means::Adopted(OTHER), FINE.into());
        case.timeout = 2.0;
        cases.push(case);
    }
    let _fake = Fake::start(node, &peers)?;
    for name in ["c3", "c3o"] {
        node.sh(&format!("chown 2002 {}", socket(name, JOB)))?;
    }
    case::run(node, &cases)
}

/// The newest of several jobs does not take the login: then the next newest is to, but not after silence.
pub fn of_the_newest(node: &Node) -> Result<()> {
    prepare(node)?;
    let refused = "job 9, the newest here: ";
    let (mut cases, mut peers) = (Vec::new(), Vec::new());
    for (step, fault, other, means, reason) in [
        // While it is being killed.
        (
            "state",
            Says(&[ENDING]),
            None,
            Means::Unknown(JOB),
            "job 9, the newest here: the step is ending",
        ),
        (
            "state after adoption",
            Says(&[ENDING]),
            None,
            Means::Unknown(JOB),
            refused,
        ),
        ("namespaces", Closes, None, Means::Unknown(JOB), refused),
        ("adoption", Killed, None, Means::Unknown(JOB), refused),
        // It has tried, which may have taken it almost all the time: another would fail too.
        (
            "adoption",
            Says(&[-1]),
            None,
            Means::UnknownNotAdopted,
            "adoption failed: slurmstepd's return code is -1",
        ),
        (
            "state",
            Says(&[ENDING]),
            Some(("state", Says(&[ENDING]))),
            Means::UnknownNotAdopted,
            refused,
        ),
        (
            "state",
            Says(&[ENDING]),
            Some(("adoption", Hangs)),
            Means::UnknownSilent,
            refused,
        ),
        ("namespaces", Hangs, None, Means::UnknownSilent, "of job 9 "),
        ("adoption", Hangs, None, Means::UnknownSilent, "of job 9 "),
        (
            "adoption",
            HalfThenHangs,
            None,
            Means::UnknownSilent,
            "of job 9 ",
        ),
    ] {
        let name = format!("w{}", cases.len());
        let (mut older, mut newest) = (healthy(&name, JOB), healthy(&name, OTHER));
        newest.scripts = vec![script(step, Some(fault))];
        if let Some((step, fault)) = other {
            older.scripts = vec![script(step, Some(fault))];
        }
        peers.extend([older, newest]);
        // By action_unknown= it may not come to that.
        let reason = format!("{reason} | 2 jobs on this node, source job unknown");
        let what = format!("{step}: {fault:?} of the newest job, {other:?} of the older");
        let mut case = Case::new(what, options(&name), means, &reason);
        case.timeout = 1.0;
        cases.push(case);
    }
    let _fake = Fake::start(node, &peers)?;
    case::run(node, &cases)
}

/// The job that the connection comes from does not take the login: then action_unknown decides.
pub fn of_the_caller(node: &Node) -> Result<()> {
    prepare(node)?;
    let (mut cases, mut peers) = (Vec::new(), Vec::new());
    for step in ["namespaces", "adoption", "state after adoption"] {
        for (fault, other, means, reason) in [
            (
                Closes,
                None,
                Means::Unknown(OTHER),
                "job 7, where the connection comes from: ",
            ),
            (
                Killed,
                None,
                Means::Unknown(OTHER),
                "job 7, where the connection comes from: ",
            ),
            (
                HalfThenCloses,
                None,
                Means::Unknown(OTHER),
                "job 7, where the connection comes from: ",
            ),
            (
                Says(&[HUGE]),
                None,
                Means::Unknown(OTHER),
                "job 7, where the connection comes from: ",
            ),
            (
                Closes,
                Some(Closes),
                Means::UnknownNotAdopted,
                "job 7, where the connection comes from: ",
            ),
            (
                Closes,
                Some(Hangs),
                Means::UnknownSilent,
                "job 7, where the connection comes from: ",
            ),
            // Whoever makes the own stepd hang gets nowhere by that.
            (Hangs, None, Means::NoJob, SILENT),
            (HalfThenHangs, None, Means::NoJob, SILENT),
            (
                Stopped,
                None,
                Means::Adopted(JOB),
                "the connection comes from this job",
            ),
            (
                Drips,
                None,
                Means::Adopted(JOB),
                "the connection comes from this job",
            ),
        ] {
            let name = format!("k{}", cases.len());
            let site = Site::new(node, &name, 7500 + cases.len(), false)?;
            let (mut seven, mut nine) = (healthy(&name, JOB), healthy(&name, OTHER));
            seven.scripts = vec![script(step, Some(fault))];
            nine.scripts = vec![script(step, other)];
            peers.extend([seven, nine]);
            peers.extend(site.healthy());
            let what = format!("{step}: {fault:?} of the caller's job, {other:?} of the other");
            let mut case = site.case(what, means, reason);
            if fault.is_silence() || other.is_some_and(Fault::is_silence) {
                case.timeout = 1.0;
            }
            cases.push(case);
        }
    }
    let _fake = Fake::start(node, &peers)?;
    case::run(node, &cases)
}
