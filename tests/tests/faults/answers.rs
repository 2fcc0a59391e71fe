//! What munged, slurmd and its SACK socket answer in health: that the connection comes from job [`JOB`].

use std::time::{SystemTime, UNIX_EPOCH};

use proto::{Version, jwt};
use tests::rpc::{self, RESPONSE_CALLERID};

use crate::stepd::JOB;

pub const VERSION: u16 = 0x2D00;
/// A question of auth/slurm needs no key.
const SECRET: &[u8] = b"a key that only this test has";

/// The talk with one of them, as pieces of its answer: where its length stands, and the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    Encode,
    Decode,
    Slurmd,
    Create,
    Verify,
}
use Step::{Create, Decode, Encode, Slurmd, Verify};

impl Step {
    /// Whether it is of auth/slurm.
    pub fn is_slurm(self) -> bool {
        matches!(self, Create | Verify)
    }

    /// What it answers in health.
    pub fn answer(self, of: Step) -> Vec<u8> {
        match self {
            Encode => encoded(),
            Decode => decoded(0, 0, &payload()),
            Slurmd => slurmd(of, JOB),
            Create => text(&token(0, &payload(), 3600)),
            Verify => vec![0; 4],
        }
    }
}

pub fn munged(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).expect("short").to_be_bytes();
    [&[0, 0x60, 0x6D, 0x4B, 4, kind, 0][..], &length, body].concat()
}

fn text(text: &str) -> Vec<u8> {
    let length = u32::try_from(text.len() + 1).expect("short").to_be_bytes();
    [&length[..], text.as_bytes(), &[0]].concat()
}

pub fn encoded() -> Vec<u8> {
    munged(3, &[&[0, 0][..], &text("MUNGE:AA:")].concat())
}

pub fn decoded(uid: u32, for_uid: u32, payload: &[u8]) -> Vec<u8> {
    let [uid, for_uid] = [uid, for_uid].map(u32::to_be_bytes);
    let length = u32::try_from(payload.len()).expect("short").to_be_bytes();
    let fixed = [0, 0, 1, 1, 1, 0, 0, 0, 1, 44, 0, 0, 0, 0, 1, 0, 0, 0, 1];
    let who = [&uid[..], &uid, &for_uid, &[255; 4]].concat();
    munged(5, &[&fixed[..], &who, &length, payload].concat())
}

pub fn body(job: u32) -> Vec<u8> {
    rpc::body(VERSION, job, Some("node1"))
}

pub fn payload() -> Vec<u8> {
    rpc::payload(VERSION, RESPONSE_CALLERID, &body(JOB))
}

fn token(for_uid: u32, payload: &[u8], seconds: u64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.expect("after 1970").as_secs();
    let claims = jwt::NewClaims {
        issued: now - 60,
        expires: now - 60 + seconds,
        version: Version::V26_05,
        restricted_to: for_uid,
        cluster: "faults",
        uid: 0,
        gid: 0,
        host: "node1",
        payload,
    };
    jwt::sign(None, &claims, SECRET)
}

pub fn slurmd(step: Step, job: u32) -> Vec<u8> {
    let credential = match step {
        Create | Verify => (rpc::SLURM, token(0, &payload(), 3600)),
        _ => (rpc::MUNGE, "MUNGE:BB:".to_owned()),
    };
    rpc::message(VERSION, RESPONSE_CALLERID, Some(&credential), &body(job))
}
