//! Requests to the SACK socket, on which slurmd and sackd make and check tokens of auth/slurm, and
//! their answers.
//!
//! A connection serves one request. Integers are big-endian. The peer learns from the socket which user
//! asks. Source: Slurm 23.11 to 26.05, `src/interfaces/sack_api.c` and
//! `src/plugins/auth/slurm/sack.c`.

use crate::reader::{DecodeError, Reader};
use crate::version::Version;
use crate::writer;

/// Length of the answer to [`verify_request`].
pub const VERIFY_ANSWER: usize = 4;
/// Length of the longest answer that is accepted, in bytes.
pub const LONGEST: usize = 64 * 1024;

const CREATE: u32 = 64001;
const VERIFY: u32 = 64002;

/// Asks for a token with this payload. `version` is one that the peer speaks, `restrict` the only user
/// id that may use the token, or [`crate::ANYONE`].
#[must_use]
pub fn create_request(version: Version, restrict: u32, payload: &[u8]) -> Vec<u8> {
    let mut rest = CREATE.to_be_bytes().to_vec();
    rest.extend_from_slice(&restrict.to_be_bytes());
    writer::mem(&mut rest, payload);
    request(version, &rest)
}

/// Asks whether a token is valid, and meant for us.
#[must_use]
pub fn verify_request(version: Version, token: &str) -> Vec<u8> {
    let mut rest = VERIFY.to_be_bytes().to_vec();
    writer::text(&mut rest, token.as_bytes());
    request(version, &rest)
}

fn request(version: Version, rest: &[u8]) -> Vec<u8> {
    let mut request = version.number().to_be_bytes().to_vec();
    // The length counts itself.
    let length = writer::length(rest.len().saturating_add(4));
    request.extend_from_slice(&length.to_be_bytes());
    request.extend_from_slice(rest);
    request
}

/// Length of the answer to [`create_request`] that begins with `start`; None if `start` is too short to
/// tell.
///
/// # Errors
/// [`DecodeError::Value`]: the answer is longer than [`LONGEST`], or has no token.
pub fn created_length(start: &[u8]) -> Result<Option<usize>, DecodeError> {
    const LENGTH: usize = 4;
    if start.len() < LENGTH {
        return Ok(None);
    }
    let length = Reader::new(start).be_u32("token")?;
    match usize::try_from(length) {
        Ok(rest) if rest > 0 && rest <= LONGEST - LENGTH => Ok(Some(rest + LENGTH)),
        _ => Err(DecodeError::value("token", length)),
    }
}

/// Reads the answer to [`create_request`]: the token.
///
/// # Errors
/// Names the field that is missing or invalid.
pub fn read_created(answer: &[u8]) -> Result<&str, DecodeError> {
    const FIELD: &str = "token";
    let mut reader = Reader::new(answer);
    let token = reader.be_str(FIELD)?;
    reader.end()?;
    token
        .and_then(|token| std::str::from_utf8(token).ok())
        .ok_or(DecodeError::Text { field: FIELD })
}

/// Reads the answer to [`verify_request`]: whether the token is valid. Since 26.05 the peer refuses a token
/// by closing the connection.
///
/// # Errors
/// Names the field that is missing or invalid.
pub fn read_verified(answer: &[u8]) -> Result<bool, DecodeError> {
    let mut reader = Reader::new(answer);
    let code = reader.be_u32("return code")?;
    reader.end()?;
    Ok(code == 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ANYONE;

    /// Answers of real slurmds.
    const CREATED: [&[u8]; 2] = [
        include_bytes!("../../../fuzz/corpus/jwt/24.11-created"),
        include_bytes!("../../../fuzz/corpus/jwt/26.05-created"),
    ];
    const VERIFIED: &[u8] = include_bytes!("../../../fuzz/corpus/jwt/verified");

    #[test]
    fn requests_as_slurmd_reads_them() {
        assert_eq!(
            create_request(Version::V24_11, ANYONE, b"abc"),
            b"\x2a\0\0\0\0\x13\0\0\xfa\x01\xff\xff\xff\xff\0\0\0\x03abc"
        );
        assert_eq!(
            verify_request(Version::V26_05, "a.b.c"),
            b"\x2d\0\0\0\0\x12\0\0\xfa\x02\0\0\0\x06a.b.c\0"
        );
    }

    #[test]
    fn tokens_of_real_slurmds_are_read() {
        for answer in CREATED {
            assert_eq!(created_length(answer), Ok(Some(answer.len())));
            let token = read_created(answer).expect("real");
            assert_eq!(token.split('.').count(), 3);
            let claims = crate::jwt::claims(token).expect("real");
            assert_eq!((claims.uid, claims.restricted_to), (0, ANYONE));
            for length in 0..answer.len() {
                let part = &answer[..length];
                assert!(read_created(part).is_err());
                assert_eq!(
                    created_length(part),
                    Ok((length >= 4).then_some(answer.len()))
                );
            }
        }
    }

    #[test]
    fn invalid_answers_are_errors() {
        assert_eq!(read_verified(VERIFIED), Ok(true));
        assert_eq!(read_verified(&[0xff; 4]), Ok(false));
        assert!(read_verified(&VERIFIED[..3]).is_err());
        assert!(read_verified(&[0; 5]).is_err());
        assert_eq!(created_length(&[0, 0, 0xff, 0xfc]), Ok(Some(LONGEST)));
        for wrong in [[0; 4], [0, 0, 0xff, 0xfd], [0xff; 4]] {
            assert!(created_length(&wrong).is_err());
        }
        let text = Err(DecodeError::Text { field: "token" });
        for wrong in [&b"\0\0\0\0"[..], b"\0\0\0\x01a", b"\0\0\0\x02\xff\0"] {
            assert_eq!(read_created(wrong), text);
        }
    }
}
