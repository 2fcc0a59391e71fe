//! Bytes that a peer sends over its socket before it closes it: one message in each of the framings, a
//! stepd's X11 display, its namespaces. The first byte is the length of the first piece.
#![no_main]
#![forbid(unsafe_code)]

use std::fmt::Display;
use std::io::Write as _;
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use adopt::adoption::Adopted;
use adopt::fuzzing::{Broken, ask, namespaces, x11};
use libfuzzer_sys::fuzz_target;
use proto::stepd::NamespaceHandover;
use proto::{munge, rpc, sack};
use sys::Deadline;

/// Number of bytes that a socket holds without a reader.
const LONGEST: usize = 100 * 1024;

fuzz_target!(|bytes: &[u8]| {
    let Some((first, said)) = bytes.split_first() else {
        return;
    };
    if said.len() > LONGEST {
        return;
    }
    let said = said.split_at(usize::from(*first).min(said.len()));
    framed(said, munge::message_length);
    framed(said, sack::created_length);
    framed(said, rpc::frame_length);

    let (ours, _theirs) = peer(said);
    let told = x11(&ours, &soon());
    let whole = [said.0, said.1].concat();
    match display(&whole) {
        Some(expected) => assert_eq!(told.ok(), Some(expected)),
        None => assert!(matches!(told, Err(Broken::Ended | Broken::Nonsense(_)))),
    }

    // Of numbers without descriptors, only zero is an answer.
    let number = whole.first_chunk().map(|it| i32::from_ne_bytes(*it));
    for handover in [NamespaceHandover::MountOnly, NamespaceHandover::All] {
        let (ours, _theirs) = peer(said);
        match namespaces(&ours, handover, &soon()) {
            Ok(count) => assert_eq!((count, number), (0, Some(0))),
            Err(Broken::Silent) => panic!("a closed connection is no silence"),
            Err(_) => assert_ne!(number, Some(0)),
        }
    }
});

fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(1))
}

/// Makes a socket whose other end has sent `head` and `tail` in two pieces, and still accepts data.
fn peer((head, tail): (&[u8], &[u8])) -> (OwnedFd, UnixStream) {
    let (ours, mut theirs) = UnixStream::pair().expect("a pair of sockets");
    theirs.write_all(head).expect("room for it");
    theirs.write_all(tail).expect("room for it");
    theirs.shutdown(Shutdown::Write).expect("shut down");
    (ours.into(), theirs)
}

/// Checks that the message ends where the framing says, whatever follows.
fn framed<E: Display>(said: (&[u8], &[u8]), whole: impl Fn(&[u8]) -> Result<Option<usize>, E>) {
    let (ours, _theirs) = peer(said);
    let said = [said.0, said.1].concat();
    let expected = whole(&said).map_err(|error| error.to_string());
    let answer = ask(&ours, b"?", &whole, &soon());
    match (answer, expected) {
        (Ok(message), Ok(Some(length))) => assert_eq!(message, said[..length]),
        (Err(Broken::Ended), Ok(length)) => assert!(length.is_none_or(|it| it > said.len())),
        (Err(Broken::Nonsense(told)), Err(expected)) => assert_eq!(told, expected),
        (answer, expected) => panic!("{answer:?} where {expected:?}"),
    }
}

/// Parses an X11 answer: display, length of the path, the path with its NUL.
fn display(said: &[u8]) -> Option<Adopted> {
    let (display, rest) = said.split_first_chunk()?;
    let (length, rest) = rest.split_first_chunk()?;
    let display = i32::from_ne_bytes(*display);
    let length = i32::from_ne_bytes(*length);
    let path = rest.get(..usize::try_from(length).ok()?)?;
    let authority = match path {
        [] => None,
        [path @ .., 0] if !path.contains(&0) => Some(String::from_utf8(path.to_vec()).ok()?),
        _ => return None,
    };
    (display >= 0 && length <= 4096).then(|| Adopted {
        display: (display > 0).then(|| format!("localhost:{display}.0")),
        authority,
        ..Adopted::default()
    })
}
