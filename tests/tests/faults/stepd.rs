//! A fake stepd in a spool directory of the case's own: what it reads and answers, and what it does instead.

use anyhow::Result;
use lab::Node;

use crate::fake::{Peer, Reads, ints};

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
/// The state of one that ends.
pub const ENDING: i32 = 4;
/// The reason of a login into the only job.
pub const FINE: &str = "the user's only job here";
/// Why a login does not get into a job whose stepd says nothing.
pub const SILENT: &str = "slurmstepd of job 7 does not answer";

/// What the stepd does instead of an answer.
#[derive(Debug, Clone, Copy)]
pub enum Fault {
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

impl Fault {
    /// Moves instead of an answer, and whether the conversation goes on.
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

    /// Whether the stepd stays connected and never answers.
    pub fn is_silence(self) -> bool {
        matches!(
            self,
            Hangs | HalfThenHangs | SaysThenHangs(_) | StartsForever
        )
    }
}

/// What a stepd of 26.05 in health reads and answers, in this order. (Its display is the job's.)
pub fn conversation() -> Vec<(&'static str, &'static str, String)> {
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

/// A stepd's script, with that fault instead of one step's answer.
fn script(faulty: Option<(&str, Fault)>) -> String {
    let mut moves = Vec::new();
    for (step, reads, answer) in conversation() {
        moves.push(reads.to_owned());
        match faulty {
            Some((at, fault)) if step == at => {
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

/// A stepd, faulty at one step or in health.
pub fn stepd(node: &str, job: u32, faulty: Option<(&str, Fault)>) -> Peer {
    Peer::new(socket(node, job), Reads::Nothing, vec![script(faulty)])
}

/// A stepd in health.
pub fn healthy(node: &str, job: u32) -> Peer {
    stepd(node, job, None)
}

/// For a login on the case's node.
pub fn options(node: &str) -> String {
    format!("slurm_conf={CONF} nodename={node}")
}

/// Writes the slurm.conf of all cases.
pub fn prepare(node: &Node) -> Result<()> {
    node.sh(&format!("mkdir -p -m 755 {DIR}"))?;
    let conf = format!("ClusterName=faults\nSlurmctldHost=node1\nSlurmdSpoolDir={DIR}/%n\n");
    node.write(CONF, conf, 0o644)
}
