use super::*;
use crate::hash;

/// Answers of real slurmds; the file's name is the release and the protocol version.
macro_rules! real {
    ($name:literal) => {
        include_bytes!(concat!("../../../../fuzz/corpus/rpc/", $name)).as_slice()
    };
}

const HTTP: &[u8] = real!("26.05-http");

const fn job(id: u32) -> Message {
    Message::CallerId { job: Some(id) }
}
const NO_JOB: Message = Message::CallerId { job: None };

const MUNGE: Option<&str> = Some("MUNGE:");
const SLURM: Option<&str> = Some("eyJhbGciOiJIUzI1NiIs");

/// The answer, its version, the start of its credential, and the message.
const ANSWERS: &[(&[u8], Version, Option<&str>, Message)] = &[
    (real!("20.11-2200-job"), Version::V19_05, MUNGE, job(2)),
    (
        real!("20.11-2300-code"),
        Version::V20_02,
        MUNGE,
        Message::Code(5003),
    ),
    (real!("20.11-2400-none"), Version::V20_11, MUNGE, NO_JOB),
    // The origin is an IPv6 address.
    (
        real!("22.05-2400-code"),
        Version::V20_11,
        MUNGE,
        Message::Code(5003),
    ),
    (real!("22.05-2500-job"), Version::V21_08, MUNGE, job(1)),
    (real!("22.05-2600-none"), Version::V22_05, MUNGE, NO_JOB),
    (
        real!("24.11-2700-code"),
        Version::V23_02,
        None,
        Message::Code(5003),
    ),
    (real!("24.11-2900-job"), Version::V24_05, MUNGE, job(1)),
    (real!("24.11-2a00-slurm"), Version::V24_11, SLURM, job(1)),
    (real!("26.05-2b00-job"), Version::V25_05, MUNGE, job(1)),
    (real!("26.05-2c00-none"), Version::V25_11, MUNGE, NO_JOB),
    (real!("26.05-2d00-job"), Version::V26_05, MUNGE, job(1)),
    (real!("26.05-2d00-slurm"), Version::V26_05, SLURM, job(1)),
    (
        real!("26.05-2d00-code"),
        Version::V26_05,
        None,
        Message::Code(AUTHENTICATION_ERROR),
    ),
];

fn start(credential: Option<Auth<'_>>) -> Option<&[u8]> {
    match credential? {
        Auth::Munge(bytes) => bytes.get(..6),
        Auth::Slurm(token) => token.as_bytes().get(..20),
    }
}

#[test]
fn real_answers_are_read() {
    for (frame, version, credential, message) in ANSWERS {
        assert_eq!(frame_length(frame), Ok(Some(frame.len())));
        let reply = read_reply(frame).expect("real");
        assert_eq!(reply.version, *version);
        assert_eq!(start(reply.credential), credential.map(str::as_bytes));
        assert_eq!(reply.message, *message, "{version}");
        assert!(frame.ends_with(reply.body));
    }
}

/// Uses the payloads that munged decoded from the answers' credentials.
#[test]
fn real_credentials_match_their_answers() {
    macro_rules! pair {
        ($name:literal) => {
            (
                real!($name),
                include_bytes!(concat!("../../../../fuzz/corpus/munge/", $name)).as_slice(),
            )
        };
    }
    let pairs = [
        pair!("20.11-2400-none"),
        pair!("22.05-2600-none"),
        pair!("26.05-2d00-job"),
    ];
    for (frame, munged) in pairs {
        let reply = read_reply(frame).expect("real");
        let decoded = crate::munge::read_decoded(munged).expect("real");
        let number = reply.message.number();
        let matches = |body, payload| hash::payload_matches(reply.version, number, body, payload);
        assert!(matches(reply.body, decoded.payload));
        assert!(!matches(reply.body, &[2; 33]));
        if reply.version.binds_payload_hash() {
            assert!(!matches(&[0; 18], decoded.payload));
        }
    }
}

#[test]
fn a_part_of_an_answer_is_an_error() {
    for (frame, ..) in ANSWERS {
        for length in 0..frame.len() {
            let part = &frame[..length];
            assert!(read_reply(part).is_err(), "{length}");
            // Nor with a length that fits the part.
            if let Some(rest) = length.checked_sub(4) {
                let mut part = part.to_vec();
                part[..4].copy_from_slice(&writer::length(rest).to_be_bytes());
                assert!(read_reply(&part).is_err(), "{length}");
            }
        }
        let longer = [frame, &[0][..]].concat();
        assert_eq!(read_reply(&longer), Err(DecodeError::Trailing { count: 1 }),);
    }
}

#[test]
fn a_frame_begins_with_its_length() {
    let length = |length: u32| frame_length(&length.to_be_bytes());
    assert_eq!(frame_length(&[]), Ok(None));
    assert_eq!(frame_length(&[0, 0, 0]), Ok(None));
    assert_eq!(length(0), Err(FrameError::Length(0)));
    assert_eq!(length(1), Ok(Some(5)));
    assert_eq!(length(65_532), Ok(Some(LONGEST_FRAME)));
    assert_eq!(length(65_533), Err(FrameError::Length(65_533)));
    assert_eq!(length(u32::MAX), Err(FrameError::Length(u32::MAX)));
    assert_eq!(frame_length(HTTP), Err(FrameError::Http));
    assert_eq!(frame_length(b"HTT"), Ok(None));
}

/// Reads a frame without its length: version, flags, type, body length, counts, family, body.
fn read(rest: &[u8]) -> Result<Message, DecodeError> {
    let mut frame = Vec::new();
    writer::mem(&mut frame, rest);
    read_reply(&frame).map(|reply| reply.message)
}

fn invalid(field: &'static str, value: i64) -> Result<Message, DecodeError> {
    Err(DecodeError::Value { field, value })
}

fn invalid_text(field: &'static str) -> Result<Message, DecodeError> {
    Err(DecodeError::Text { field })
}

#[test]
fn a_return_code_is_read() {
    assert_eq!(
        read(b"\x2a\0\0\x40\x1f\x41\0\0\0\x04\0\0\0\0\0\0\0\0\x03\xed"),
        Ok(Message::Code(VERSION_ERROR))
    );
    // From a future release.
    assert_eq!(
        read(b"\x7f\0\0\x40\x1f\x41\0\0\0\x04\0\0\0\0\0\x02abcdef\0\0\x32\xc8"),
        Ok(Message::Code(TLS_REQUIRED))
    );
}

#[test]
fn invalid_headers_are_errors() {
    let table: &[(&[u8], Result<Message, DecodeError>)] = &[
        (
            b"\x21\0\0\x40\x1f\x41\0\0\0\x04\0\0\0\0\0\0\0\0\x03\xed",
            invalid("protocol version", 0x2100),
        ),
        (
            b"\x2a\0\0\x40\x1f\x42\0\0\0\x04\0\0\0\0\0\0\0\0\x03\xed",
            invalid("message type", 8002),
        ),
        (
            b"\x2a\0\0\x40\x1f\x41\0\0\0\x05\0\0\0\0\0\0\0\0\x03\xed",
            Err(DecodeError::Short {
                field: "body length",
            }),
        ),
        (
            b"\x2a\0\0\x40\x1f\x41\0\0\0\x03\0\0\0\0\0\0\0\0\x03\xed",
            Err(DecodeError::Trailing { count: 1 }),
        ),
        (
            b"\x2a\0\0\x40\x1f\x41\0\0\0\x05\0\0\0\0\0\0\0\0\x03\xed\0",
            Err(DecodeError::Trailing { count: 1 }),
        ),
        (
            b"\x2a\0\0\x40\x1f\x41\0\0\0\x04\0\x01\0\0\0\0\0\0\x03\xed",
            invalid("forward count", 1),
        ),
        (
            b"\x2a\0\0\x40\x1f\x41\0\0\0\x04\0\0\0\x01\0\0\0\0\x03\xed",
            invalid("return count", 1),
        ),
        (
            b"\x2a\0\0\x40\x1f\x41\0\0\0\x04\0\0\0\0\0\x01\0\0\x03\xed",
            invalid("address family of the origin", 1),
        ),
        (
            b"\x2a\0\0\x40\x1f\x41\0\0\0\x04\0\0\0\0\0\x0a\0\0\0\x01a\0\0\0\0\x03\xed",
            invalid("address of the origin", 1),
        ),
    ];
    for (rest, expected) in table {
        assert_eq!(read(rest), *expected, "{rest:x?}");
    }
}

#[test]
fn invalid_credentials_are_errors() {
    // auth/none, a string without its NUL, and no credential.
    assert_eq!(
        read(b"\x2a\0\0\0\x1f\x41\0\0\0\x04\0\0\0\0\0\0\0\0\0\x64\0\0\0\0"),
        invalid("authentication plugin", 100)
    );
    for rest in [
        b"\x2a\0\0\0\x1f\x41\0\0\0\x04\0\0\0\0\0\0\0\0\0\x65\0\0\0\x01a\0\0\0\0".as_slice(),
        b"\x2a\0\0\0\x1f\x41\0\0\0\x04\0\0\0\0\0\0\0\0\0\x65\0\0\0\0\0\0\0\0",
    ] {
        assert_eq!(read(rest), invalid_text("credential"), "{rest:x?}");
    }
}

#[test]
fn the_node_of_an_answer_has_a_name_or_none() {
    assert_eq!(
        read(b"\x2b\0\0\x40\x13\xac\0\0\0\x0c\0\0\0\0\0\0\0\0\0\x07\0\0\0\0\0\0\0\0"),
        Ok(job(7))
    );
    assert_eq!(
        read(b"\x2b\0\0\x40\x13\xac\0\0\0\x0e\0\0\0\0\0\0\0\0\0\x07\0\0\0\0\0\0\0\x02aa"),
        invalid_text("node name")
    );
}

#[test]
fn bodies_as_slurmd_reads_them() {
    let body = |source: &str, here: &str| {
        let [source, here] = [source, here].map(|it| it.parse().expect("address"));
        caller_id_body(source, here)
    };
    let of_ipv4 = [
        &b"\0\0\0\x10\x0a\x58\x00\x02\0\0\0\0\0\0\0\0\0\0\0\0"[..],
        b"\0\0\0\x10\x0a\x58\x00\x01\0\0\0\0\0\0\0\0\0\0\0\0",
        b"\0\0\xd4\x31\0\0\0\x16\0\0\0\x02",
    ]
    .concat();
    assert_eq!(body("10.88.0.2:54321", "10.88.0.1:22").to_vec(), of_ipv4);
    assert_eq!(
        body("[::ffff:10.88.0.2]:54321", "[::ffff:10.88.0.1]:22").to_vec(),
        of_ipv4
    );
    let of_ipv6 = [
        &b"\0\0\0\x10\xfd\x88\0\0\0\0\0\0\0\0\0\0\0\0\0\x02"[..],
        b"\0\0\0\x10\xfd\x88\0\0\0\0\0\0\0\0\0\0\0\0\0\x01",
        b"\0\0\xd4\x31\0\0\0\x16\0\0\0\x0a",
    ]
    .concat();
    assert_eq!(body("[fd88::2]:54321", "[fd88::1]:22").to_vec(), of_ipv6);
}

/// Requests that slurmds of 20.11 to 26.05 have answered.
#[test]
fn requests_as_slurmd_reads_them() {
    let plain = b"\0\0\0\x34\0\0\0\0";
    let table: &[(Version, &[&[u8]])] = &[
        (
            Version::V19_05,
            &[b"\0\0\0\x59\x22\0\0\0\0\0\x13\xab", plain, &[0; 6]],
        ),
        (
            Version::V20_02,
            &[b"\0\0\0\x59\x23\0\0\0\0\0\x13\xab", plain, &[0; 6]],
        ),
        (
            Version::V20_11,
            &[b"\0\0\0\x55\x24\0\0\0\0\0\x13\xab", plain, &[0; 2]],
        ),
        (
            Version::V21_08,
            &[b"\0\0\0\x55\x25\0\0\0\0\0\x13\xab", plain, &[0; 2]],
        ),
        (
            Version::V22_05,
            &[b"\0\0\0\x53\x26\0\0\0\x13\xab", plain, &[0; 2]],
        ),
        (
            Version::V26_05,
            &[b"\0\0\0\x53\x2d\0\0\0\x13\xab", plain, &[0; 2]],
        ),
    ];
    for (version, header) in table {
        for (auth, credential) in [
            (Auth::Munge(b"MUNGE:"), b"\0\0\0\x65\0\0\0\x07MUNGE:\0"),
            (Auth::Slurm("eyJh.e"), b"\0\0\0\x67\0\0\0\x07eyJh.e\0"),
        ] {
            let frame = caller_id_request(*version, auth, &[7; 52]);
            let expected = [&header.concat(), &credential[..], &[7; 52]].concat();
            assert_eq!(frame, expected, "{version}");
            assert_eq!(frame_length(&frame), Ok(Some(frame.len())));
        }
    }
}
