//! Who is asked where the connection comes from, fault by fault: munged, slurmd and its SACK socket, all
//! fakes. Alice has two jobs; the connection comes from the older one.

use anyhow::Result;
use lab::Node;
use tests::rpc::{self, RESPONSE_CALLERID, hex};

use crate::answers::Step::{self, Create, Decode, Encode, Slurmd, Verify};
use crate::answers::{VERSION, body, decoded, encoded, munged, payload, slurmd};
use crate::case::{self, Case};
use crate::fake::{Door, Fake, Peer, Reads};
use crate::policy::Means;
use crate::stepd::{self, DIR, JOB, OTHER};

/// What it does instead of its answer.
#[derive(Debug, Clone)]
enum Fault {
    /// No connection comes about.
    Connecting(Door),
    /// Nothing, and it stays connected.
    Hangs,
    /// It closes the connection.
    Closes,
    /// It resets it.
    Resets,
    /// Its process is killed.
    Killed,
    /// It sends so many bytes and closes.
    EndsAfter(usize),
    /// It sends so many bytes and no more.
    HangsAfter(usize),
    /// It answers this.
    Says(Vec<u8>),
    /// It is stopped for 0.3 s before the answer.
    Stopped,
    /// The answer comes byte by byte.
    Drips,
}
use Fault::{
    Closes, Connecting, Drips, EndsAfter, Hangs, HangsAfter, Killed, Resets, Says, Stopped,
};

impl Fault {
    fn moves(&self, answer: &[u8]) -> String {
        match self {
            // There is no connection to say anything on.
            Connecting(_) | Closes => "c".into(),
            Hangs => "h".into(),
            Resets => "x".into(),
            Killed => "k".into(),
            EndsAfter(count) => format!("w{} c", hex(&answer[..*count])),
            HangsAfter(count) => format!("w{} h", hex(&answer[..*count])),
            Says(bytes) => format!("w{}", hex(bytes)),
            Stopped => format!("s300 w{}", hex(answer)),
            Drips => format!("d{}", hex(answer)),
        }
    }

    fn is_silence(&self) -> bool {
        matches!(self, Hangs | HangsAfter(_) | Connecting(Door::Full))
    }
}

/// Where, what, what the man page says of it, and the reason that the log must name.
#[derive(Debug)]
struct Row {
    step: Step,
    fault: Fault,
    means: Means,
    reason: &'static str,
}

/// A fault after which the caller's job is not known.
fn unknown(step: Step, fault: Fault, reason: &'static str) -> Row {
    Row {
        step,
        fault,
        means: Means::Unknown(OTHER),
        reason,
    }
}

/// A delay after which it is.
fn known(step: Step, fault: Fault) -> Row {
    Row {
        step,
        fault,
        means: Means::Adopted(JOB),
        reason: "the connection comes from this job (slurmd at 127.0.0.1",
    }
}

fn table() -> Vec<Row> {
    let steps = [Encode, Decode, Slurmd, Create, Verify];
    let silent = [Encode, Slurmd, Create].map(|step| {
        let reason = "does not answer";
        unknown(step, Connecting(Door::Full), reason)
    });
    let mut table = munged_says();
    table.extend(slurmd_says());
    table.extend(sack_says());
    table.extend(steps.into_iter().flat_map(breaks_off));
    table.extend(silent);
    table
}

const NO_COMMON: &str = "no common protocol version or no common key";
/// What is nobody's message.
const NOISE: &[u8] = b"\xDE\xAD\xBE\xEF 16 bytes or more";

/// With a length of two gigabytes there.
fn huge(mut answer: Vec<u8>, place: usize) -> Vec<u8> {
    answer[place..place + 4].copy_from_slice(&[0x7F, 0xFF, 0xFF, 0xFF]);
    answer
}

fn munged_says() -> Vec<Row> {
    let error = munged(3, &[&[5, 9][..], b"no memory", &[0; 4]].concat());
    let mut other_version = encoded();
    other_version[4] = 5;
    let encode = |said: Vec<u8>, reason| unknown(Encode, Says(said), reason);
    let decode = |said: Vec<u8>, reason| unknown(Decode, Says(said), reason);
    vec![
        unknown(Encode, Connecting(Door::Shut), "Connection refused"),
        encode(NOISE.to_vec(), "magic"),
        encode(other_version, "version"),
        encode(huge(encoded(), 7), "length of the body"),
        // The length of the credential within the body.
        encode(huge(encoded(), 13), "credential"),
        encode(decoded(0, 0, &payload()), "message type"),
        encode(error, "munged's error 5: no memory ('no memory"),
        decode(NOISE.to_vec(), "magic"),
        decode(huge(decoded(0, 0, &payload()), 7), "length of the body"),
        decode(encoded(), "message type"),
        decode(decoded(2003, 0, &payload()), "is from uid 2003"),
        decode(decoded(0, 2001, &payload()), "is not for us"),
        decode(decoded(0, 0, b"another message"), "is for another message"),
    ]
}

fn slurmd_says() -> Vec<Row> {
    let no_val = 0xFFFF_FFFE;
    let credential = (rpc::MUNGE, "MUNGE:BB:".to_owned());
    let says = |version, kind, body: &[u8]| rpc::message(version, kind, Some(&credential), body);
    let answer = |job| says(VERSION, RESPONSE_CALLERID, &body(job));
    let in_version = |version| says(version, RESPONSE_CALLERID, &body(JOB));
    let unsigned = rpc::message(VERSION, RESPONSE_CALLERID, None, &body(JOB));
    let http = b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec();
    let slurmd_is = |said: Vec<u8>, reason| unknown(Slurmd, Says(said), reason);
    vec![
        unknown(
            Slurmd,
            Connecting(Door::Shut),
            "connect: Connection refused",
        ),
        slurmd_is(NOISE.to_vec(), NO_COMMON),
        slurmd_is(http, "the answer is HTTP"),
        slurmd_is(
            huge(slurmd(Slurmd, JOB), 0),
            "invalid length of the answer: 2147483647 bytes",
        ),
        slurmd_is(huge(slurmd(Slurmd, JOB), 10), NO_COMMON),
        slurmd_is(in_version(0x2C00), "it answers in 25.11 (protocol 0x2c00)"),
        slurmd_is(in_version(0x1000), NO_COMMON),
        slurmd_is(says(VERSION, 5035, &body(JOB)), NO_COMMON),
        slurmd_is(rpc::return_code(VERSION, 2017), "Slurm error 2017"),
        slurmd_is(unsigned, "has no credential"),
        slurmd_is(answer(555), "is for another message"),
        slurmd_is(answer(no_val), "is for another message"),
    ]
}

fn sack_says() -> Vec<Row> {
    const OTHER_KEY: &str = "not made with this cluster's key";
    vec![
        unknown(Create, Says(vec![0x7F, 0xFF, 0xFF, 0xFF, 0]), "token"),
        unknown(Create, Says(vec![0; 4]), "token"),
        unknown(Create, Says(vec![0, 0, 0, 2, 0xFF, 0xFE]), "token"),
        unknown(Verify, Says(vec![0, 0, 0, 1]), OTHER_KEY),
        // How 26.05 says no.
        unknown(Verify, Closes, OTHER_KEY),
        unknown(Verify, Killed, OTHER_KEY),
        unknown(Verify, EndsAfter(2), OTHER_KEY),
    ]
}

/// Before, within and after the header of an answer.
fn breaks_off(step: Step) -> Vec<Row> {
    const SILENT: &str = "it does not answer";
    let (whose, ended, header) = match step {
        Encode | Decode => ("ask munged at /var/faults/", "closed the connection", 11),
        Slurmd => ("slurmd at 127.0.0.1:", NO_COMMON, 4),
        Create | Verify => ("SACK socket", "closed the connection", 4),
    };
    let mut rows = vec![
        unknown(step, Hangs, whose),
        known(step, Stopped),
        known(step, Drips),
    ];
    if step != Verify {
        rows.extend([unknown(step, Closes, ended), unknown(step, Killed, ended)]);
        for count in [header / 2, header, header + 1] {
            rows.push(unknown(step, EndsAfter(count), ended));
            rows.push(unknown(step, HangsAfter(count), SILENT));
        }
    }
    if step == Slurmd {
        rows.push(unknown(step, Resets, NO_COMMON));
    }
    rows
}

/// Each fault of who vouches and of who is asked; some at a time, so that the fake stays quick.
pub fn each_step(node: &Node) -> Result<()> {
    const AT_A_TIME: usize = 16;
    stepd::prepare(node)?;
    let table: Vec<_> = table().into_iter().enumerate().collect();
    for rows in table.chunks(AT_A_TIME) {
        some(node, rows)?;
    }
    Ok(())
}

fn some(node: &Node, rows: &[(usize, Row)]) -> Result<()> {
    let (mut cases, mut peers) = (Vec::new(), Vec::new());
    for (number, row) in rows {
        let Row {
            step,
            fault,
            means,
            reason,
        } = row;
        let name = format!("m{number}");
        let site = Site::new(node, &name, 7000 + number, step.is_slurm())?;
        for (mut peer, steps) in site.peers(*step) {
            if let Some(turn) = steps.iter().position(|it| it == step) {
                peer.scripts[turn] = fault.moves(&step.answer(*step));
                if let Connecting(door) = fault {
                    peer.door = *door;
                }
            }
            peers.push(peer);
        }
        peers.extend([stepd::healthy(&name, JOB), stepd::healthy(&name, OTHER)]);
        let mut case = site.case(format!("{step:?}: {fault:?}"), *means, reason);
        case.options += match fault.is_silence() {
            true => " callerid_timeout=0.4",
            // The fake may have other things to do as well.
            false => " callerid_timeout=4",
        };
        cases.push(case.clone());
        if matches!(fault, Hangs | Drips) {
            case.name += ", interrupted";
            case.arguments.push("--interrupt".into());
            cases.push(case);
        }
    }
    let _fake = Fake::start(node, &peers)?;
    case::run(node, &cases)
}

/// What a case has of its own: slurm.conf, munged or SACK socket, and slurmd.
pub struct Site {
    name: String,
    port: usize,
    slurm: bool,
}

impl Site {
    /// Writes its slurm.conf.
    pub fn new(node: &Node, name: &str, port: usize, slurm: bool) -> Result<Self> {
        let auth = match slurm {
            true => "AuthType=auth/slurm".to_owned(),
            false => format!("AuthInfo=socket={DIR}/{name}/munged"),
        };
        let conf = format!(
            "ClusterName={name}\nSlurmctldHost=node1\nSlurmdSpoolDir={DIR}/%n\n\
             SlurmdPort={port}\nNodeName={name} Port={port}\n{auth}\n"
        );
        node.write(&format!("{DIR}/{name}.conf"), conf, 0o644)?;
        Ok(Self {
            name: name.into(),
            port,
            slurm,
        })
    }

    /// Those in health who find job [`JOB`], each with what its scripts are for.
    fn peers(&self, of: Step) -> [(Peer, Vec<Step>); 2] {
        let healthy = |it: &Step| format!("w{}", hex(&it.answer(of)));
        let (at, reads, steps) = match self.slurm {
            true => (
                format!("/run/slurm-{}/sack.socket", self.name),
                Reads::Sack,
                vec![Create, Verify],
            ),
            false => (
                format!("{DIR}/{}/munged", self.name),
                Reads::Munge,
                vec![Encode, Decode],
            ),
        };
        let vouches = Peer::new(at, reads, steps.iter().map(healthy).collect());
        let slurmd = Peer::new(self.port.to_string(), Reads::Slurm, vec![healthy(&Slurmd)]);
        [(vouches, steps), (slurmd, vec![Slurmd])]
    }

    /// All who find job [`JOB`].
    pub fn healthy(&self) -> [Peer; 2] {
        self.peers(Encode).map(|(peer, _)| peer)
    }

    /// A login over the loopback.
    pub fn case(&self, name: String, means: Means, reason: &str) -> Case {
        let name_of_node = &self.name;
        let options = format!("slurm_conf={DIR}/{name_of_node}.conf nodename={name_of_node}");
        let mut case = Case::new(name, options, means, reason);
        case.arguments = vec!["--loopback".into(), "127.0.0.1".into()];
        case
    }
}
