//! What is said to a slurmstepd over its Unix socket, and what it answers.
//!
//! Integers are in native byte order, without framing; requests may be pipelined, but each number
//! and its arguments must arrive in one piece, because slurmstepd takes the number with a single
//! read. Source: Slurm 19.05 to 26.05, `src/slurmd/slurmstepd/req.c` and
//! `src/common/stepd_api.c`; docs/protocol.md.

use std::fmt;

use crate::reader::{DecodeError, Reader};

/// The version that we claim. A stepd refuses one below its own minimum and has no upper bound
/// (`_handle_accept`), so one that no release has reached will do for all.
pub const CLAIMED_VERSION: i32 = 0x7F00;

/// Length of the answer to [`ask_owner`].
pub const OWNER_ANSWER: usize = 8;
/// Length of the answer to [`adopt`].
pub const ADOPT_ANSWER: usize = 8;

const REQUEST_STATE: i32 = 5;
const REQUEST_UID: i32 = 20;
const REQUEST_ADD_EXTERN_PID: i32 = 22;

/// Opens a conversation: the handshake, and the question whose job this is, in one write.
#[must_use]
pub fn ask_owner() -> [u8; 8] {
    join(CLAIMED_VERSION, REQUEST_UID)
}

/// Asks to take a process into the extern step, and then what state the step is in; sent in one
/// piece on a conversation that is open.
#[must_use]
pub fn adopt(pid: i32) -> [u8; 12] {
    let mut bytes = [0; 12];
    bytes[..8].copy_from_slice(&join(REQUEST_ADD_EXTERN_PID, pid));
    bytes[8..].copy_from_slice(&REQUEST_STATE.to_ne_bytes());
    bytes
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

/// Why an answer to [`adopt`] does not mean that the process is in the step for as long as the job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotAdopted {
    /// slurmstepd's return code; -1 for all its reasons.
    Refused(i32),
    /// The step is ending. It has killed its processes, and may not see the one that came late:
    /// versions before 24.11.6 adopt then too.
    Ending,
    /// That was no answer.
    Nonsense(DecodeError),
}

impl fmt::Display for NotAdopted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(code) => write!(f, "slurmstepd's return code is {code}"),
            Self::Ending => f.write_str("the step is ending"),
            Self::Nonsense(error) => write!(f, "{error}"),
        }
    }
}

/// Reads the answer to [`adopt`].
///
/// # Errors
/// [`NotAdopted`].
pub fn read_adopted(answer: &[u8]) -> Result<(), NotAdopted> {
    /// `slurmstepd_state_t`: ending up to 23.02; from 23.11 on cancelled, and 4 is ending.
    const GOING_AWAY: i32 = 3;
    let mut reader = Reader::new(answer);
    let code = reader.i32("return code").map_err(NotAdopted::Nonsense)?;
    if code != 0 {
        return Err(NotAdopted::Refused(code));
    }
    let state = reader.i32("state").map_err(NotAdopted::Nonsense)?;
    reader.end().map_err(NotAdopted::Nonsense)?;
    if state >= GOING_AWAY {
        Err(NotAdopted::Ending)
    } else {
        Ok(())
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
        assert_eq!(adopt(4711).to_vec(), ints(&[22, 4711, 5]));
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
        for (answer, expected) in [
            (&[0, 2][..], Ok(())),
            (&[0, 0], Ok(())),
            (&[0, 1], Ok(())),
            (&[0, 3], Err(NotAdopted::Ending)),
            (&[0, 4], Err(NotAdopted::Ending)),
            (&[-1, 2], Err(NotAdopted::Refused(-1))),
            (&[1, 2], Err(NotAdopted::Refused(1))),
            (&[-1], Err(NotAdopted::Refused(-1))),
            (
                &[0],
                Err(NotAdopted::Nonsense(DecodeError::Short { field: "state" })),
            ),
            (
                &[],
                Err(NotAdopted::Nonsense(DecodeError::Short {
                    field: "return code",
                })),
            ),
            (
                &[0, 2, 0],
                Err(NotAdopted::Nonsense(DecodeError::Trailing { count: 4 })),
            ),
        ] {
            assert_eq!(read_adopted(&ints(answer)), expected, "{answer:?}");
        }
    }
}
