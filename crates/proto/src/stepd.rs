//! What is said to a slurmstepd over its Unix socket, and what it answers.
//!
//! Integers are in native byte order, without framing; requests may be pipelined, but each number
//! and its arguments must arrive in one piece, because slurmstepd takes the number with a single
//! read. Source: Slurm 19.05 to 26.05, `src/slurmd/slurmstepd/req.c` and
//! `src/common/stepd_api.c`; docs/protocol.md.

use crate::reader::{DecodeError, Reader};

/// The version that we claim. A stepd refuses one below its own minimum and has no upper bound
/// (`_handle_accept`), so one that no release has reached will do for all.
pub const CLAIMED_VERSION: i32 = 0x7F00;

/// Length of the answer to [`ask_owner`].
pub const OWNER_ANSWER: usize = 8;
/// Length of the answer to [`adopt`].
pub const ADOPT_ANSWER: usize = 4;

const REQUEST_UID: i32 = 20;
const REQUEST_ADD_EXTERN_PID: i32 = 22;

/// Opens a conversation: the handshake, and the question whose job this is, in one write.
#[must_use]
pub fn ask_owner() -> [u8; 8] {
    join(CLAIMED_VERSION, REQUEST_UID)
}

/// Asks to take a process into the extern step; sent on a conversation that is open.
#[must_use]
pub fn adopt(pid: i32) -> [u8; 8] {
    join(REQUEST_ADD_EXTERN_PID, pid)
}

/// A stepd's answer to [`ask_owner`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OwnerAnswer {
    /// Protocol version of the release that started the step, such as 0x2A00 for 24.11.
    pub version: i32,
    /// Whose job it is.
    pub uid: u32,
}

/// Reads the answer to [`ask_owner`].
///
/// # Errors
/// Names the field that is missing or can't be: a refused handshake is a version of -1.
pub fn read_owner(answer: &[u8]) -> Result<OwnerAnswer, DecodeError> {
    let mut reader = Reader::new(answer);
    let version = reader.i32("protocol version")?;
    if version <= 0 {
        return Err(DecodeError::Value {
            field: "protocol version",
            value: version.into(),
        });
    }
    let uid = reader.u32("uid")?;
    reader.end()?;
    Ok(OwnerAnswer { version, uid })
}

/// Reads the answer to [`adopt`]: nothing but 0 means that the process is in the step.
///
/// # Errors
/// Any other value, or an answer that is no answer.
pub fn read_adopted(answer: &[u8]) -> Result<(), DecodeError> {
    let mut reader = Reader::new(answer);
    let code = reader.i32("return code")?;
    reader.end()?;
    match code {
        0 => Ok(()),
        code => Err(DecodeError::Value {
            field: "return code",
            value: code.into(),
        }),
    }
}

fn join(first: i32, second: i32) -> [u8; 8] {
    let mut bytes = [0; 8];
    bytes[..4].copy_from_slice(&first.to_ne_bytes());
    bytes[4..].copy_from_slice(&second.to_ne_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ints(values: &[i32]) -> Vec<u8> {
        values
            .iter()
            .flat_map(|value| value.to_ne_bytes())
            .collect()
    }

    #[test]
    fn requests_as_slurmstepd_reads_them() {
        assert_eq!(ask_owner().to_vec(), ints(&[0x7F00, 20]));
        assert_eq!(adopt(4711).to_vec(), ints(&[22, 4711]));
    }

    #[test]
    fn owner_answers() {
        let table: &[(&[i32], Result<OwnerAnswer, DecodeError>)] = &[
            (
                &[0x2A00, 2001],
                Ok(OwnerAnswer {
                    version: 0x2A00,
                    uid: 2001,
                }),
            ),
            (
                &[0x2200, 0],
                Ok(OwnerAnswer {
                    version: 0x2200,
                    uid: 0,
                }),
            ),
            (
                &[0x2D00, -1],
                Ok(OwnerAnswer {
                    version: 0x2D00,
                    uid: u32::MAX,
                }),
            ),
            (
                &[-1],
                Err(DecodeError::Value {
                    field: "protocol version",
                    value: -1,
                }),
            ),
            (
                &[0, 5],
                Err(DecodeError::Value {
                    field: "protocol version",
                    value: 0,
                }),
            ),
            (&[0x2A00], Err(DecodeError::Short { field: "uid" })),
            (
                &[],
                Err(DecodeError::Short {
                    field: "protocol version",
                }),
            ),
            (&[0x2A00, 1, 2], Err(DecodeError::Trailing { count: 4 })),
        ];
        for (answer, expected) in table {
            assert_eq!(&read_owner(&ints(answer)), expected, "{answer:?}");
        }
    }

    #[test]
    fn adopt_answers() {
        assert_eq!(read_adopted(&ints(&[0])), Ok(()));
        for code in [-1, 1, i32::MIN] {
            let expected = Err(DecodeError::Value {
                field: "return code",
                value: code.into(),
            });
            assert_eq!(read_adopted(&ints(&[code])), expected);
        }
        assert_eq!(
            read_adopted(&[0, 0]),
            Err(DecodeError::Short {
                field: "return code"
            })
        );
    }
}
