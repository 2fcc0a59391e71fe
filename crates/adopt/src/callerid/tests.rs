//! Tests with a fake slurmd and a fake munged, for answers that real ones cannot be made to give.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use pam::Severity;
use proto::ANYONE;
use proto::conf::Conf;

use super::*;
use crate::log::Sink;
use crate::options::LogLevel;
use crate::trust::Trusted;

struct Silent;

impl Sink for Silent {
    fn line(&self, _: Severity, _: &str) {}
}

fn be(numbers: &[u32]) -> Vec<u8> {
    numbers.iter().flat_map(|it| it.to_be_bytes()).collect()
}

fn text(bytes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(bytes.len() + 1).expect("short");
    [&length.to_be_bytes(), bytes, &[0]].concat()
}

/// A slurmd frame in this version, with the credential MUNGE:x:.
fn frame(version: Version, kind: u16, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).expect("short");
    let mut message = [version.number().to_be_bytes(), [0; 2]].concat();
    if version <= Version::V21_08 {
        message.extend([0; 2]);
    }
    message.extend(kind.to_be_bytes());
    message.extend(length.to_be_bytes());
    message.extend(vec![0; if version <= Version::V20_02 { 10 } else { 6 }]);
    message.extend(be(&[101]));
    message.extend(text(b"MUNGE:x:"));
    message.extend(body);
    let length = u32::try_from(message.len()).expect("short");
    [&length.to_be_bytes()[..], &message].concat()
}

fn job_body(version: Version, job: u32) -> Vec<u8> {
    let before = if version >= Version::V25_11 {
        vec![0; 8]
    } else {
        vec![]
    };
    let after = if version >= Version::V25_11 {
        be(&[4, 5])
    } else {
        vec![]
    };
    [before, be(&[job]), after, be(&[0]), text(b"n1")].concat()
}

fn job(version: Version, job: u32) -> Vec<u8> {
    frame(version, 5036, &job_body(version, job))
}

/// The payload of the credential of an answer.
fn made_for(version: Version, job: u32) -> Vec<u8> {
    hash::payload(version, 5036, &job_body(version, job))
        .as_bytes()
        .to_vec()
}

/// Answers requests in a version (the second two bytes of a frame) with these bytes, and closes others;
/// notes the versions.
fn fake_slurmd(answers: Vec<(Version, Vec<u8>)>) -> (SocketAddr, Arc<Mutex<Vec<Version>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    let address = listener.local_addr().expect("name");
    let asked = Arc::new(Mutex::new(Vec::new()));
    let notes = Arc::clone(&asked);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("accept");
            let mut start = [0; 6];
            if stream.read_exact(&mut start).is_err() {
                continue;
            }
            let length = u32::from_be_bytes([start[0], start[1], start[2], start[3]]);
            let mut rest = vec![0; length as usize - 2];
            let _ = stream.read_exact(&mut rest);
            let number = u16::from_be_bytes([start[4], start[5]]);
            let version = Version::from_header(number).expect("a version");
            notes.lock().expect("lock").push(version);
            if let Some((_, answer)) = answers.iter().find(|(it, _)| *it == version) {
                let _ = stream.write_all(answer);
            }
        }
    });
    (address, asked)
}

/// A fake munged: every credential is this user's, restricted to that one, with this payload.
fn fake_munged(path: &Path, uid: u32, restricted_to: u32, payload: Vec<u8>) {
    let listener = UnixListener::bind(path).expect("bind");
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("accept");
            let mut header = [0; 11];
            if stream.read_exact(&mut header).is_err() {
                continue;
            }
            let length = u32::from_be_bytes([header[7], header[8], header[9], header[10]]);
            let mut body = vec![0; length as usize];
            let _ = stream.read_exact(&mut body);
            let answer = match header[5] {
                2 => [&[0, 0][..], &text(b"MUNGE:ours:")].concat(),
                _ => {
                    let length = u32::try_from(payload.len()).expect("short");
                    let known = be(&[1, 1, uid, uid, restricted_to, ANYONE, length]);
                    let start = [0, 0, 4, 5, 0, 0, 0, 0, 1, 0x2C, 4, 127, 0, 0, 1];
                    [&start[..], &known, &payload].concat()
                }
            };
            let length = u32::try_from(answer.len()).expect("short");
            let head = [0, 0x60, 0x6D, 0x4B, 4, header[5] + 1, 0];
            let _ = stream.write_all(&[&head[..], &length.to_be_bytes(), &answer].concat());
        }
    });
}

struct Dir(PathBuf);

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

struct Trial {
    /// The answers, by the version of the request.
    answers: Vec<(Version, Vec<u8>)>,
    uid: u32,
    restricted_to: u32,
    payload: Vec<u8>,
}

/// Asks, starting with the version of 26.05; returns the result and the versions tried.
fn ask_fakes(trial: Trial) -> (Result<Option<u32>, String>, Vec<Version>) {
    let home = std::env::temp_dir()
        .canonicalize()
        .expect("temporary directory");
    let unique = format!(
        "callerid-{}-{:?}",
        std::process::id(),
        thread::current().id()
    );
    let dir = Dir(home.join(unique.replace(['(', ')'], "")));
    let _ = std::fs::remove_dir_all(&dir.0);
    std::fs::create_dir(&dir.0).expect("directory");
    let socket = dir.0.join("munge.socket");
    fake_munged(&socket, trial.uid, trial.restricted_to, trial.payload);
    let (slurmd, asked) = fake_slurmd(trial.answers);
    let us = std::fs::metadata(&dir.0).expect("owner").uid();
    let node = Node {
        conf: Conf {
            auth_info: Some(format!("socket={}", socket.display())),
            ..Conf::default()
        },
        trusted: Trusted {
            slurmd_uid: Some(us),
            slurm_user: None,
        },
        ..Node::default()
    };
    let authority = Authority::of(&node).expect("munge");
    let deadline = Deadline::after(Duration::from_secs(5));
    let question = Question {
        slurmd,
        body: rpc::caller_id_body(slurmd, slurmd),
        authority: &authority,
        node: &node,
        deadline: &deadline,
        log: Log::new(&Silent, LogLevel::Debug),
    };
    let result = question.ask(Version::V26_05).map_err(said);
    let asked = asked.lock().expect("lock").clone();
    (result, asked)
}

fn good(answers: Vec<(Version, Vec<u8>)>, payload: Vec<u8>) -> Trial {
    Trial {
        answers,
        uid: 0,
        restricted_to: sys::effective_uid(),
        payload,
    }
}

/// The first version of a request.
const V: Version = Version::V26_05;

/// A good answer about job 7, with this change.
fn changed(change: fn(&mut Trial)) -> Trial {
    let mut trial = good(vec![(V, job(V, 7))], made_for(V, 7));
    change(&mut trial);
    trial
}

/// Asks once and returns the result.
fn ask_once(trial: Trial) -> Result<Option<u32>, String> {
    let (result, asked) = ask_fakes(trial);
    assert_eq!(asked, [V], "{result:?}");
    result
}

#[test]
fn a_good_answer_names_the_job_or_none() {
    assert_eq!(ask_once(changed(|_| ())), Ok(Some(7)));
    let none = 0xFFFF_FFFE;
    let trial = good(vec![(V, job(V, none))], made_for(V, none));
    assert_eq!(ask_once(trial), Ok(None));
}

#[test]
fn an_answer_needs_a_credential_for_it() {
    for (trial, expected) in [
        (changed(|it| it.uid = 2001), "is from uid 2001"),
        (changed(|it| it.restricted_to = 2001), "is not for us"),
        (changed(|it| it.restricted_to = ANYONE), "is not for us"),
        (
            changed(|it| it.payload = made_for(V, 8)),
            "is for another message",
        ),
        (changed(|it| it.payload.clear()), "is for another message"),
        // The answer's type alone.
        (
            changed(|it| it.payload = vec![1, 0x13, 0xAC]),
            "is for another message",
        ),
    ] {
        let cause = ask_once(trial).expect_err(expected);
        assert!(cause.contains(expected), "{cause}");
    }
}

/// The version determines what a credential must prove: the answer must be in the request's version.
#[test]
fn an_answer_in_another_version_is_refused() {
    let trial = Trial {
        restricted_to: ANYONE,
        ..good(vec![(V, job(Version::V19_05, 77))], vec![])
    };
    let cause = ask_once(trial).expect_err("another version");
    assert_eq!(cause, "it answers in 19.05 (protocol 0x2200)");
}

#[test]
fn a_return_code_is_no_answer() {
    for (code, expected) in [
        (5003, "Slurm error 5003"),
        (1007, "it refuses our credential"),
        (13000, "it requires TLS"),
    ] {
        let answer = frame(V, 8001, &be(&[code]));
        let cause = ask_once(good(vec![(V, answer)], vec![])).expect_err(expected);
        assert!(cause.contains(expected), "{cause}");
    }
}

/// A slurmd's answer in this version, about job 7.
fn of_job(version: Version) -> (Version, Vec<u8>) {
    (version, job(version, 7))
}

/// The answer to a request in the first version: a return code in this one.
fn told(code: u32, version: Version) -> (Version, Vec<u8>) {
    (V, frame(version, 8001, &be(&[code])))
}

#[test]
fn a_version_that_the_peer_names_is_tried() {
    for code in [1005, 1007] {
        let version = Version::V25_05;
        let answers = vec![told(code, version), of_job(version)];
        let (result, asked) = ask_fakes(good(answers, made_for(version, 7)));
        assert_eq!(
            (result, asked),
            (Ok(Some(7)), vec![V, version]),
            "by {code}"
        );
    }
}

/// Nobody vouches for a return code.
#[test]
fn a_version_that_no_peer_of_a_cluster_speaks_is_not_tried() {
    for version in [Version::V24_05, Version::V19_05] {
        let answers = vec![told(1005, version), of_job(version)];
        let (result, asked) = ask_fakes(good(answers, made_for(version, 7)));
        assert!(result.is_err(), "{result:?}");
        assert_eq!(asked, [V]);
    }
}

#[test]
fn the_peer_names_a_version_only_once() {
    let version = Version::V25_05;
    let again = frame(Version::V25_11, 8001, &be(&[1005]));
    let answers = vec![told(1005, version), (version, again)];
    let (result, asked) = ask_fakes(good(answers, made_for(V, 7)));
    assert!(result.is_err(), "{result:?}");
    assert_eq!(asked, [V, version]);
}

#[test]
fn three_older_versions_are_tried_where_the_peer_names_none() {
    const ALL: [Version; 4] = [V, Version::V25_11, Version::V25_05, Version::V24_11];
    let http = || (V, b"HTTP/1.1 405 NOT ALLOWED\r\n\r\n".to_vec());
    let half = (V, job(V, 7)[..20].to_vec());
    let nonsense = (V, be(&[0xFFFF_FFFF]));
    for (answers, version, asked, is_found) in [
        (vec![of_job(ALL[1])], ALL[1], &ALL[..2], true),
        (vec![http(), of_job(ALL[1])], ALL[1], &ALL[..2], true),
        (vec![of_job(ALL[3])], ALL[3], &ALL, true),
        (vec![of_job(Version::V24_05)], Version::V24_05, &ALL, false),
        (vec![http()], V, &ALL, false),
        (vec![half], V, &ALL, false),
        (vec![nonsense], V, &ALL, false),
    ] {
        let (result, found_asked) = ask_fakes(good(answers, made_for(version, 7)));
        assert_eq!(found_asked, asked, "{result:?}");
        assert_eq!(result == Ok(Some(7)), is_found, "{result:?} {asked:?}");
    }
}

#[test]
fn tls_is_recognised() {
    let node = |kind: &str| Node {
        conf: Conf {
            tls_type: Some(kind.into()),
            ..Conf::default()
        },
        ..Node::default()
    };
    assert!(without_tls(&node("tls/s2n"), Version::V25_05).is_err());
    assert!(without_tls(&node("tls/s2n"), Version::V26_05).is_err());
    assert!(
        without_tls(&node("tls/s2n"), Version::V24_11).is_ok(),
        "slurmds speak none up to 24.11"
    );
    assert!(without_tls(&node("tls/none"), Version::V26_05).is_ok());
    assert!(without_tls(&Node::default(), Version::V26_05).is_ok());
}
