//! The stepd of a user's only job at fault: at each step of the conversation, and before it.

use anyhow::Result;
use lab::Node;
use tests::Outcome;

use crate::case::{self, Case};
use crate::fake::{Door, Fake, Peer};
use crate::policy::Means::{self, Adopted, NoJob, NotAdopted};
use crate::stepd::Fault::{
    self, Closes, Drips, HalfThenCloses, HalfThenHangs, Hangs, Killed, Says, SaysThenHangs,
    StartsForever, Stopped,
};
use crate::stepd::{
    ENDING, FINE, JOB, OTHER, RUNNING, SILENT, VERSION, conversation, healthy, options, prepare,
    socket, stepd,
};

const STARTING: &str = "the extern step of job 7 is still starting";
const CLOSED: &str = "slurmstepd of job 7: it closed the connection";
const CLOSED_LATER: &str = "adoption failed: the slurmstepd closed the connection";
const NO_DISPLAY: &str = "the job's X11 display: ";
const OTHERS: &str = "no job on this node (1 job of other users";
const IN: Means = Adopted(JOB);

/// As a number of 32 bits that is negative, and one that is not.
const GARBAGE: i32 = 0xEFBE_ADDE_u32 as i32;
const LARGE: i32 = 0x7EAD_BEEF;
const HUGE: i32 = i32::MAX;

/// Where, what, what the man page says of it, and the reason that the log must name.
#[derive(Debug)]
struct Row {
    step: &'static str,
    fault: Fault,
    means: Means,
    reason: &'static str,
}

fn row(step: &'static str, fault: Fault, means: Means, reason: &'static str) -> Row {
    Row {
        step,
        fault,
        means,
        reason,
    }
}

fn table() -> Vec<Row> {
    let steps = conversation();
    let mut table: Vec<Row> = steps.iter().flat_map(|it| breaks_off(it.0)).collect();
    table.extend(says_before_adoption());
    table.extend(says_of_namespaces());
    table.extend(says_of_adoption());
    table.extend(says_of_x11());
    table
}

/// Before and within an answer; and answers that are late.
fn breaks_off(step: &'static str) -> [Row; 7] {
    let (closed, silent) = match step {
        "handshake" | "owner" | "state" => ((NoJob, CLOSED), (NoJob, SILENT)),
        "namespaces" => (
            (NotAdopted, "the job's namespaces: it closed the connection"),
            (NoJob, SILENT),
        ),
        // To be without a display is no reason to be kept out.
        "x11" => ((IN, NO_DISPLAY), (IN, NO_DISPLAY)),
        _ => ((NotAdopted, CLOSED_LATER), (NoJob, SILENT)),
    };
    [
        (Hangs, silent),
        (Closes, closed),
        (Killed, closed),
        (HalfThenCloses, closed),
        (HalfThenHangs, silent),
        (Stopped, (IN, FINE)),
        (Drips, (IN, FINE)),
    ]
    .map(|(fault, (means, reason))| row(step, fault, means, reason))
}

fn says_before_adoption() -> Vec<Row> {
    let handshake = |said, means, reason| row("handshake", Says(said), means, reason);
    let owner = |said, reason| row("owner", Says(said), NoJob, reason);
    let state = |said, reason| row("state", Says(said), NotAdopted, reason);
    vec![
        handshake(&[GARBAGE], NoJob, "protocol version"),
        // How stepds refuse a version that they don't speak.
        handshake(&[-1], NoJob, "protocol version"),
        handshake(&[0], NoJob, "protocol version"),
        // Of a release to come, which does all as the newest known.
        handshake(&[0x6000], IN, FINE),
        handshake(&[HUGE], IN, FINE),
        // No such user, so not this one.
        owner(&[GARBAGE], OTHERS),
        // Stands for no user.
        owner(&[-1], "; slurmstepd of job 7: invalid value -1 for 'uid'"),
        owner(&[0], OTHERS),
        state(&[LARGE], "adoption failed: the step is ending"),
        state(&[ENDING], "adoption failed: the step is ending"),
        // More than it was asked.
        state(&[RUNNING, 0], "sent unexpected data"),
        // It starts, and then does not tell how far it is.
        row("state", SaysThenHangs(&[1]), NoJob, STARTING),
        row("state", StartsForever, NoJob, STARTING),
    ]
}

fn says_of_namespaces() -> Vec<Row> {
    let says = |said, reason| row("namespaces", Says(said), NotAdopted, reason);
    vec![
        says(&[GARBAGE], "the job's namespaces: their number is -"),
        says(&[HUGE], "namespaces: their number is 2147483647"),
        says(&[9], "the job's namespaces: their number is 9"),
        // One, of a kind that there is not.
        says(&[1, 0x1234], "the job's namespaces: a kind is 0x1234"),
        // One of mounts, whose descriptor does not come; or a byte without one.
        row("namespaces", SaysThenHangs(&[1, 0x20000]), NoJob, SILENT),
        says(&[1, 0x20000, 0], "the job's namespaces: "),
        // The answer to another request comes as well.
        says(&[0, RUNNING], "sent unexpected data"),
    ]
}

fn says_of_adoption() -> Vec<Row> {
    let says = |said, reason| row("adoption", Says(said), NotAdopted, reason);
    let state = |said| {
        let reason = "the step is ending";
        row("state after adoption", Says(said), NotAdopted, reason)
    };
    vec![
        says(&[-1], "slurmstepd's return code is -1"),
        says(&[GARBAGE], "slurmstepd's return code is -"),
        says(&[HUGE], "slurmstepd's return code is 2147483647"),
        says(&[VERSION], "slurmstepd's return code is 11520"),
        state(&[ENDING]),
        state(&[LARGE]),
    ]
}

fn says_of_x11() -> [Row; 5] {
    [
        Says(&[GARBAGE, 0]),
        Says(&[10, HUGE]),
        Says(&[10, GARBAGE]),
        SaysThenHangs(&[10, 4096]),
        Says(&[10, 4, GARBAGE]),
    ]
    .map(|fault| row("x11", fault, IN, NO_DISPLAY))
}

impl Row {
    fn stepd(&self, node: &str) -> Peer {
        stepd(node, JOB, Some((self.step, self.fault)))
    }

    fn case(&self, node: &str) -> Case {
        let name = format!("{}: {:?}", self.step, self.fault);
        let mut case = Case::new(name, options(node), self.means, self.reason);
        if self.fault.is_silence() {
            case.timeout = 0.5;
        }
        if self.means == IN {
            case.also = match self.reason {
                NO_DISPLAY => has_no_display,
                _ => has_display,
            };
        }
        case
    }
}

/// The same fault beside a job in health, where it does not matter.
fn beside_another(case: &Case, node: &str) -> Case {
    Case {
        name: format!("{}, beside another job", case.name),
        options: options(node),
        means: Adopted(OTHER),
        reason: FINE.into(),
        timeout: 2.0,
        also: has_display,
        ..case.clone()
    }
}

fn has_display(outcome: &Outcome) -> bool {
    let of = |name: &str| outcome.env.get(name).map(String::as_str);
    (of("DISPLAY"), of("XAUTHORITY")) == (Some("localhost:10.0"), Some("/x/y"))
}

fn has_no_display(outcome: &Outcome) -> bool {
    !outcome.env.contains_key("DISPLAY") && !outcome.env.contains_key("XAUTHORITY")
}

/// Each fault at each step, of the only job and of one beside a job in health.
pub fn each_step(node: &Node) -> Result<()> {
    prepare(node)?;
    let (mut cases, mut peers) = (Vec::new(), Vec::new());
    for (number, row) in table().iter().enumerate() {
        let name = format!("a{number}");
        peers.push(row.stepd(&name));
        let case = row.case(&name);
        // Before it has said whose job it is a faulty stepd counts for nothing beside one in health.
        if ["handshake", "owner"].contains(&row.step) && row.means == NoJob {
            let name = format!("b{number}");
            peers.extend([row.stepd(&name), healthy(&name, OTHER)]);
            cases.push(beside_another(&case, &name));
        }
        cases.push(case);
    }
    let _fake = Fake::start(node, &peers)?;
    case::run(node, &cases)
}

/// A signal every millisecond, whatever the stepd does.
pub fn interrupted(node: &Node) -> Result<()> {
    prepare(node)?;
    let (mut cases, mut peers) = (Vec::new(), Vec::new());
    let rows = conversation().into_iter().flat_map(|it| breaks_off(it.0));
    for row in rows.filter(|it| matches!(it.fault, Drips | Stopped | Hangs)) {
        let name = format!("i{}", cases.len());
        peers.push(row.stepd(&name));
        let mut case = row.case(&name);
        case.name += ", interrupted";
        case.arguments = vec!["--interrupt".into()];
        cases.push(case);
    }
    let _fake = Fake::start(node, &peers)?;
    case::run(node, &cases)
}

/// Who can't be connected to, or should not be.
pub fn connecting(node: &Node) -> Result<()> {
    type Change = fn(&mut Peer);
    const FULL: &str = "backlog full";
    const ANOTHERS: &str = "another's socket";
    const REFUSED: &str = "no job on this node (0 jobs of other users";
    let rows: [(&str, Change, &str); 4] = [
        ("refused", |it| it.door = Door::Shut, REFUSED),
        (FULL, |it| it.door = Door::Full, SILENT),
        (
            "another's process listens",
            |it| it.uid = 2002,
            "uid 2002 listens there",
        ),
        (ANOTHERS, |_| {}, "not a socket of root (owner uid 2002)"),
    ];
    prepare(node)?;
    let (mut cases, mut peers, mut anothers) = (Vec::new(), Vec::new(), Vec::new());
    for (number, (what, change, reason)) in rows.into_iter().enumerate() {
        let (alone, beside) = (format!("c{number}"), format!("c{number}o"));
        for name in [&alone, &beside] {
            let mut peer = healthy(name, JOB);
            change(&mut peer);
            peers.push(peer);
            if what == ANOTHERS {
                anothers.push(socket(name, JOB));
            }
        }
        peers.push(healthy(&beside, OTHER));
        let mut case = Case::new(format!("connect: {what}"), options(&alone), NoJob, reason);
        if what == FULL {
            case.timeout = 0.5;
        }
        cases.extend([beside_another(&case, &beside), case]);
    }
    let _fake = Fake::start(node, &peers)?;
    node.sh(&format!("chown 2002 {}", anothers.join(" ")))?;
    case::run(node, &cases)
}
