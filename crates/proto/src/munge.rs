//! Requests to munged over its Unix socket, and its answers.
//!
//! A connection serves one request. Integers are big-endian; a header of [`HEADER`] bytes precedes each
//! message. Source: MUNGE 0.5.10 to 0.5.18, `src/libcommon/m_msg.c` and `munge_defs.h`.

use std::fmt;

use crate::ANYONE;
use crate::reader::{DecodeError, Reader};
use crate::writer;

/// Length of the header.
pub const HEADER: usize = 11;
/// Length of the longest message that is accepted, in bytes.
pub const LONGEST: usize = 64 * 1024;

const MAGIC: u32 = 0x0060_6D4B;
const VERSION: u8 = 4;
const ENCODE_REQUEST: u8 = 2;
const ENCODE_ANSWER: u8 = 3;
const DECODE_REQUEST: u8 = 4;
const DECODE_ANSWER: u8 = 5;

/// Asks for a credential with this payload, with munged's default cipher, MAC and compression.
///
/// `restrict` is the only user id that may decode it, or [`ANYONE`]; `ttl` is in seconds, 0 for munged's
/// default (300). munged caps it at its maximum (3600).
#[must_use]
pub fn encode_request(payload: &[u8], restrict: u32, ttl: u32) -> Vec<u8> {
    /// The cipher, MAC or compression that munged prefers.
    const DEFAULT: u8 = 1;
    const NO_REALM: u8 = 0;
    let mut body = vec![DEFAULT, DEFAULT, DEFAULT, NO_REALM];
    for word in [ttl, restrict, ANYONE] {
        body.extend_from_slice(&word.to_be_bytes());
    }
    writer::mem(&mut body, payload);
    message(ENCODE_REQUEST, &body)
}

/// Asks for the content of this credential, which has no NUL.
#[must_use]
pub fn decode_request(credential: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    writer::text(&mut body, credential);
    message(DECODE_REQUEST, &body)
}

fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    /// The number of times that the request was sent before. From 1 on munged accepts a credential that was
    /// decoded before.
    const RETRY: u8 = 0;
    let mut message = MAGIC.to_be_bytes().to_vec();
    message.extend_from_slice(&[VERSION, kind, RETRY]);
    writer::mem(&mut message, body);
    message
}

/// Reason why an answer of munged has no result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MungeError {
    /// munged refuses.
    Munged {
        /// The reason (`munge_err_t`): 15 expired, 16 from the future, 17 decoded before, 18 not for
        /// us.
        code: u8,
        /// Its own text, in printable ASCII; may be empty.
        text: String,
    },
    /// The answer breaks the protocol.
    Nonsense(DecodeError),
}

impl From<DecodeError> for MungeError {
    fn from(error: DecodeError) -> Self {
        Self::Nonsense(error)
    }
}

impl fmt::Display for MungeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Munged { code, text } => {
                write!(f, "munged's error {code}: {}", meaning(*code))?;
                match text.as_str() {
                    "" => Ok(()),
                    text => write!(f, " (\"{text}\")"),
                }
            }
            Self::Nonsense(error) => write!(f, "{error}"),
        }
    }
}

/// The meaning of munged's error number (`munge_err_t` in `munge.h`).
fn meaning(code: u8) -> &'static str {
    match code {
        1 => "internal error",
        2 => "invalid argument",
        3 => "invalid length",
        4 => "too long",
        5 => "no memory",
        6 => "socket",
        7 => "timeout",
        8 => "no credential",
        9 => "credential of another version",
        10 => "unknown cipher",
        11 => "unknown MAC",
        12 => "unknown compression",
        13 => "unknown realm",
        14 => "credential damaged or made with another key",
        15 => "credential expired",
        16 => "credential from the future",
        17 => "credential used before",
        18 => "credential not for us",
        _ => "unknown",
    }
}

/// Length of the message that begins with `start`, header included; None if `start` is shorter than the
/// header.
///
/// # Errors
/// [`DecodeError::Value`]: it is not munged's header, or the message is longer than [`LONGEST`].
pub fn message_length(start: &[u8]) -> Result<Option<usize>, DecodeError> {
    if start.len() < HEADER {
        return Ok(None);
    }
    let (_, length) = header(&mut Reader::new(start))?;
    match usize::try_from(length).map_or(usize::MAX, |length| length.saturating_add(HEADER)) {
        total if total <= LONGEST => Ok(Some(total)),
        _ => Err(DecodeError::value("length of the body", length)),
    }
}

/// Takes the header: the message's type and the length of its body.
fn header(reader: &mut Reader<'_>) -> Result<(u8, u32), DecodeError> {
    let magic = reader.be_u32("magic")?;
    if magic != MAGIC {
        return Err(DecodeError::value("magic", magic));
    }
    let version = reader.u8("version")?;
    if version != VERSION {
        return Err(DecodeError::value("version", version));
    }
    let kind = reader.u8("message type")?;
    reader.u8("retry")?;
    Ok((kind, reader.be_u32("length of the body")?))
}

/// Takes the header and munged's error, with which both kinds of answers begin.
fn start(message: &[u8], expected: u8) -> Result<Reader<'_>, MungeError> {
    let mut reader = Reader::new(message);
    let (kind, length) = header(&mut reader)?;
    if kind != expected {
        return Err(DecodeError::value("message type", kind).into());
    }
    if usize::try_from(length) != Ok(reader.left()) {
        return Err(DecodeError::value("length of the body", length).into());
    }
    let code = reader.u8("error number")?;
    let length = reader.u8("length of the error text")?;
    let text = reader.bytes(length.into(), "error text")?;
    if code == 0 {
        return Ok(reader);
    }
    let text = text.strip_suffix(&[0]).unwrap_or(text);
    let printable = |byte: &u8| match byte {
        b' '..=b'~' => char::from(*byte),
        _ => '?',
    };
    let text = text.iter().map(printable).collect();
    Err(MungeError::Munged { code, text })
}

/// Reads the answer to [`encode_request`]: the credential, without a NUL.
///
/// # Errors
/// [`MungeError`].
pub fn read_encoded(message: &[u8]) -> Result<&[u8], MungeError> {
    let mut reader = start(message, ENCODE_ANSWER)?;
    let credential = reader.be_str("credential")?;
    reader.end()?;
    credential.ok_or(MungeError::Nonsense(DecodeError::Short {
        field: "credential",
    }))
}

/// The content of a credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decoded<'message> {
    /// The user who had it made.
    pub uid: u32,
    /// The only user who may decode it, or [`ANYONE`].
    pub restricted_to: u32,
    /// The payload that binds it to a message ([`crate::hash`]).
    pub payload: &'message [u8],
}

/// Reads the answer to [`decode_request`].
///
/// # Errors
/// [`MungeError`], also if munged can read the credential but does not accept it: expired, from the
/// future, or decoded before.
pub fn read_decoded(message: &[u8]) -> Result<Decoded<'_>, MungeError> {
    let mut reader = start(message, DECODE_ANSWER)?;
    for field in ["cipher", "MAC", "compression"] {
        reader.u8(field)?;
    }
    let length = reader.u8("length of the realm")?;
    reader.bytes(length.into(), "realm")?;
    reader.be_u32("time to live")?;
    let length = reader.u8("length of the address")?;
    reader.bytes(length.into(), "address")?;
    reader.be_u32("time of encoding")?;
    reader.be_u32("time of decoding")?;
    let uid = reader.be_u32("uid")?;
    reader.be_u32("gid")?;
    let restricted_to = reader.be_u32("uid that may decode")?;
    reader.be_u32("gid that may decode")?;
    let payload = reader.be_mem("payload")?;
    reader.end()?;
    Ok(Decoded {
        uid,
        restricted_to,
        payload,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers of a real munged.
    macro_rules! real {
        ($name:literal) => {
            include_bytes!(concat!("../../../fuzz/corpus/munge/", $name)).as_slice()
        };
    }

    const ENCODED: &[u8] = real!("encoded");
    const DECODED: &[u8] = real!("26.05-2d00-job");
    const REPLAYED: &[u8] = real!("replayed");

    /// The first is what libmunge 0.5.18 sends for the payload "abc".
    #[test]
    fn requests_as_munged_reads_them() {
        assert_eq!(
            encode_request(b"abc", ANYONE, 0),
            b"\0\x60\x6d\x4b\x04\x02\0\0\0\0\x17\x01\x01\x01\0\0\0\0\0\
              \xff\xff\xff\xff\xff\xff\xff\xff\0\0\0\x03abc"
        );
        assert_eq!(
            encode_request(b"", 2001, 60),
            b"\0\x60\x6d\x4b\x04\x02\0\0\0\0\x14\x01\x01\x01\0\0\0\0\x3c\
              \0\0\x07\xd1\xff\xff\xff\xff\0\0\0\0"
        );
        assert_eq!(
            decode_request(b"MUNGE:AA:"),
            b"\0\x60\x6d\x4b\x04\x04\0\0\0\0\x0e\0\0\0\x0aMUNGE:AA:\0"
        );
    }

    #[test]
    fn a_real_credential_is_read() {
        let credential = read_encoded(ENCODED).expect("real");
        assert!(credential.starts_with(b"MUNGE:") && credential.ends_with(b":"));
        assert!(ENCODED.ends_with(&[credential, &[0][..]].concat()));
    }

    #[test]
    fn a_real_credential_of_slurmds_is_decoded() {
        let decoded = read_decoded(DECODED).expect("real");
        assert_eq!((decoded.uid, decoded.restricted_to), (0, 0));
        assert_eq!(
            (decoded.payload.len(), decoded.payload.first()),
            (33, Some(&2))
        );
    }

    /// Credentials that munged can read but does not accept, and one that it cannot read.
    #[test]
    fn real_refusals_are_errors() {
        for (message, expected) in [
            (
                REPLAYED,
                "munged's error 17: credential used before (\"Replayed credential\")",
            ),
            (
                real!("not-for-us"),
                "munged's error 18: credential not for us \
                 (\"Unauthorized credential for client UID=0 GID=0\")",
            ),
            (
                real!("no-credential"),
                "munged's error 9: credential of another version (\"Invalid credential version 0\")",
            ),
        ] {
            let error = read_decoded(message).expect_err("refused");
            assert_eq!(error.to_string(), expected);
        }
    }

    #[test]
    fn a_part_of_an_answer_is_an_error() {
        let check = |whole: &[u8], read: &dyn Fn(&[u8]) -> Option<MungeError>| {
            for length in 0..whole.len() {
                let mut part = whole[..length].to_vec();
                assert!(read(&part).is_some(), "{length}");
                assert_eq!(
                    message_length(&part),
                    Ok((length >= HEADER).then_some(whole.len()))
                );
                // Nor if the header has the length of the part.
                if let Some(rest) = length.checked_sub(HEADER) {
                    part[7..11].copy_from_slice(&writer::length(rest).to_be_bytes());
                    assert!(
                        matches!(read(&part), Some(MungeError::Nonsense(_))),
                        "{length}"
                    );
                }
            }
            let mut longer = [whole, &[0]].concat();
            assert!(read(&longer).is_some());
            let rest = writer::length(longer.len() - HEADER);
            longer[7..11].copy_from_slice(&rest.to_be_bytes());
            assert_eq!(
                read(&longer),
                Some(DecodeError::Trailing { count: 1 }.into())
            );
        };
        check(ENCODED, &|part| read_encoded(part).err());
        check(DECODED, &|part| read_decoded(part).err());
    }

    #[test]
    fn the_length_of_a_message_is_in_its_header() {
        let with = |at: usize, value: u8| {
            let mut start = ENCODED[..HEADER].to_vec();
            start[at] = value;
            message_length(&start)
        };
        let error = |field, value: u32| Err(DecodeError::value(field, value));
        assert_eq!(with(0, 1), error("magic", 0x0160_6d4b));
        assert_eq!(with(4, 3), error("version", 3));
        assert_eq!(with(8, 1), error("length of the body", 0x0001_0000 + 194));
        let longest = b"\0\x60\x6d\x4b\x04\x03\0\0\0\xff\xf5";
        assert_eq!(message_length(longest), Ok(Some(LONGEST)));
        let longer = b"\0\x60\x6d\x4b\x04\x03\0\0\0\xff\xf6";
        assert_eq!(message_length(longer), error("length of the body", 65_526));
    }

    #[test]
    fn invalid_answers_are_errors() {
        let nonsense = |field, value: u32| MungeError::from(DecodeError::value(field, value));
        assert_eq!(
            read_encoded(DECODED),
            Err(nonsense("message type", DECODE_ANSWER.into()))
        );
        assert_eq!(
            read_decoded(ENCODED).expect_err("other type"),
            nonsense("message type", ENCODE_ANSWER.into())
        );
        // No credential, and unprintable bytes in munged's text.
        let none = message(ENCODE_ANSWER, &[0, 0, 0, 0, 0, 0]);
        assert!(matches!(read_encoded(&none), Err(MungeError::Nonsense(_))));
        let odd = message(ENCODE_ANSWER, b"\xff\x05a\n\xe4\x1b\0");
        assert_eq!(
            read_encoded(&odd).expect_err("refused").to_string(),
            "munged's error 255: unknown (\"a???\")"
        );
        let silent = message(ENCODE_ANSWER, &[6, 0]);
        assert_eq!(
            read_encoded(&silent).expect_err("refused").to_string(),
            "munged's error 6: socket"
        );
    }
}
