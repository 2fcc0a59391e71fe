//! Requests to a slurmstepd over its Unix socket, and its answers.
//!
//! Integers are in native byte order, without framing. Requests may be pipelined, but the number of a
//! request and its arguments must arrive in one piece: slurmstepd takes the number with a single
//! read. Source: Slurm 19.05 to 26.05, `src/slurmd/slurmstepd/req.c` and
//! `src/common/stepd_api.c`; docs/protocol.md.

use std::fmt;

use crate::reader::{DecodeError, Reader};
use crate::version::Version;

/// The protocol version that we claim. A stepd refuses one below its own minimum and has no upper bound
/// (`_handle_accept`), so one that no release has reached works with all.
pub const CLAIMED_VERSION: i32 = 0x7F00;

/// Length of the answer to [`ask_owner`].
pub const OWNER_ANSWER: usize = 12;
/// Length of the answer to [`ask_state`].
pub const STATE_ANSWER: usize = 4;
/// Length of the answer to [`adopt`].
pub const ADOPT_ANSWER: usize = 8;

/// Length of the answer to [`ask_x11`], before the path.
pub const X11_ANSWER: usize = 8;

const REQUEST_STATE: i32 = 5;
const REQUEST_PID_IN_CONTAINER: i32 = 8;
const REQUEST_UID: i32 = 20;
const REQUEST_ADD_EXTERN_PID: i32 = 22;
const REQUEST_X11_DISPLAY: i32 = 23;
const REQUEST_GET_NS_FD: i32 = 26;
const REQUEST_GET_NS_FDS: i32 = 28;

/// Opens a conversation: the handshake, and the requests for the job's owner and the step's state, in
/// one write.
#[must_use]
pub fn ask_owner() -> [u8; 12] {
    join([CLAIMED_VERSION, REQUEST_UID, REQUEST_STATE])
}

/// Asks for the step's state.
#[must_use]
pub fn ask_state() -> [u8; 4] {
    REQUEST_STATE.to_ne_bytes()
}

/// Asks to adopt a process into the extern step, and then for the step's state; sent in one piece on an
/// open conversation.
#[must_use]
pub fn adopt(pid: i32) -> [u8; 12] {
    join([REQUEST_ADD_EXTERN_PID, pid, REQUEST_STATE])
}

/// Asks whether a process is in the step; sent in one piece on an open conversation. The answer is one
/// byte, 0 or 1.
#[must_use]
pub fn ask_has_process(pid: i32) -> [u8; 8] {
    join([REQUEST_PID_IN_CONTAINER, pid])
}

/// Asks for the job's X11 display; may be sent in one piece with [`adopt`].
#[must_use]
pub fn ask_x11() -> [u8; 4] {
    REQUEST_X11_DISPLAY.to_ne_bytes()
}

/// The way in which a stepd hands over the namespaces of its job's container; it depends on the release
/// ([`Version::hands_over_namespaces_by`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NamespaceHandover {
    /// Not at all.
    None,
    /// `REQUEST_GET_NS_FD`: a number, and unless that is 0 or -1, a byte with the descriptor of a mount
    /// namespace.
    MountOnly,
    /// `REQUEST_GET_NS_FDS`: a count, then for each namespace its clone flag and a byte with the
    /// descriptor.
    All,
}

impl NamespaceHandover {
    /// The largest count that is accepted: there are eight kinds of namespaces, namespaces(7).
    pub const MAX: i32 = 8;

    /// The request for them.
    #[must_use]
    pub fn request(self) -> Option<[u8; 4]> {
        match self {
            Self::None => None,
            Self::MountOnly => Some(REQUEST_GET_NS_FD.to_ne_bytes()),
            Self::All => Some(REQUEST_GET_NS_FDS.to_ne_bytes()),
        }
    }
}

/// A job's X11 display.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct X11 {
    /// The N of `localhost:N` on this node; 0 if the job has none.
    pub display: i32,
    /// Length of the XAUTHORITY path that follows, its NUL included; 0 if there is none.
    pub authority: usize,
}

/// Reads the answer to [`ask_x11`] up to the path.
///
/// # Errors
/// Names the field that is missing or invalid.
pub fn read_x11(answer: &[u8]) -> Result<X11, DecodeError> {
    /// PATH_MAX.
    const LONGEST: i32 = 4096;
    let mut reader = Reader::new(answer);
    let display = reader.i32("X11 display")?;
    let length = reader.i32("length of XAUTHORITY")?;
    reader.end()?;
    match usize::try_from(length) {
        Ok(authority) if display >= 0 && length <= LONGEST => Ok(X11 { display, authority }),
        _ if display < 0 => Err(DecodeError::value("X11 display", display)),
        _ => Err(DecodeError::value("length of XAUTHORITY", length)),
    }
}

/// A stepd's answer to [`ask_owner`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OwnerAnswer {
    /// Protocol version of the release that started the step.
    pub version: Version,
    /// The job's owner.
    pub uid: u32,
    /// The state of the step.
    pub state: State,
}

/// The state of a step (`slurmstepd_state_t`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Its container is not ready: the stepd may claim that there are no namespaces (observed with 26.05).
    Starting,
    /// Its container is ready.
    Running,
    /// It is going away: 3 means ending up to 23.02; from 23.11 on 3 means cancelled and 4 ending.
    Ending,
}

impl State {
    fn of(number: i32) -> Self {
        match number {
            ..=1 => Self::Starting,
            2 => Self::Running,
            3.. => Self::Ending,
        }
    }
}

/// Reads the answer to [`ask_state`].
#[must_use]
pub fn read_state(answer: [u8; STATE_ANSWER]) -> State {
    State::of(i32::from_ne_bytes(answer))
}

/// Reads the answer to [`ask_owner`].
///
/// # Errors
/// Names the field that is missing or invalid: a refused handshake is a version of -1.
pub fn read_owner(answer: &[u8]) -> Result<OwnerAnswer, DecodeError> {
    let mut reader = Reader::new(answer);
    let number = reader.i32("protocol version")?;
    let version = Version::from_stepd(number)
        .ok_or_else(|| DecodeError::value("protocol version", number))?;
    let uid = reader.u32("uid")?;
    // (uid_t) -1 means no user, even if the user database has one with that uid.
    if uid == u32::MAX {
        return Err(DecodeError::value("uid", -1));
    }
    let state = State::of(reader.i32("state")?);
    reader.end()?;
    Ok(OwnerAnswer {
        version,
        uid,
        state,
    })
}

/// Reason why an answer to [`adopt`] does not mean that the process is in the step until the job ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotAdopted {
    /// slurmstepd's return code; -1 for every reason.
    Refused(i32),
    /// The step is ending. It has killed its processes and may miss one that came late: releases
    /// before 24.11.6 adopt even then.
    Ending,
    /// The answer breaks the protocol.
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
    let mut reader = Reader::new(answer);
    let code = reader.i32("return code").map_err(NotAdopted::Nonsense)?;
    if code != 0 {
        return Err(NotAdopted::Refused(code));
    }
    let state = reader.i32("state").map_err(NotAdopted::Nonsense)?;
    reader.end().map_err(NotAdopted::Nonsense)?;
    match State::of(state) {
        State::Ending => Err(NotAdopted::Ending),
        State::Starting | State::Running => Ok(()),
    }
}

/// Concatenates numbers; `M` is four times `N`.
fn join<const N: usize, const M: usize>(numbers: [i32; N]) -> [u8; M] {
    let mut bytes = [0; M];
    for (place, number) in bytes.chunks_exact_mut(4).zip(numbers) {
        place.copy_from_slice(&number.to_ne_bytes());
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_request_for_a_process_has_its_pid() {
        assert_eq!(ask_has_process(77)[..], ints(&[8, 77])[..]);
    }

    fn ints(values: &[i32]) -> Vec<u8> {
        values
            .iter()
            .flat_map(|value| value.to_ne_bytes())
            .collect()
    }

    #[test]
    fn requests_as_slurmstepd_reads_them() {
        assert_eq!(ask_owner().to_vec(), ints(&[0x7F00, 20, 5]));
        assert_eq!(ask_state().to_vec(), ints(&[5]));
        assert_eq!(adopt(4711).to_vec(), ints(&[22, 4711, 5]));
    }

    #[test]
    fn how_namespaces_are_asked_for() {
        for (version, request) in [
            (Version::V20_02, None),
            (Version::V20_11, Some(26)),
            (Version::V25_05, Some(26)),
            (Version::V25_11, Some(28)),
            (Version::V26_11, Some(28)),
        ] {
            let asked = version.hands_over_namespaces_by().request();
            assert_eq!(asked, request.map(i32::to_ne_bytes), "{version}");
        }
    }

    #[test]
    fn x11_answers_are_read() {
        let x11 = |display, authority| Ok(X11 { display, authority });
        let wrong = |field, value| Err(DecodeError::Value { field, value });
        for (answer, expected) in [
            (&[0, 0][..], x11(0, 0)),
            (&[10, 21], x11(10, 21)),
            (&[10, 4096], x11(10, 4096)),
            (&[-1, 0], wrong("X11 display", -1)),
            (&[10, -1], wrong("length of XAUTHORITY", -1)),
            (&[10, 4097], wrong("length of XAUTHORITY", 4097)),
            (
                &[10],
                Err(DecodeError::Short {
                    field: "length of XAUTHORITY",
                }),
            ),
            (&[0, 0, 0], Err(DecodeError::Trailing { count: 4 })),
        ] {
            assert_eq!(read_x11(&ints(answer)), expected, "{answer:?}");
        }
        assert_eq!(ask_x11().to_vec(), ints(&[23]));
    }

    #[test]
    fn owner_answers() {
        let good = |version, uid, state| {
            Ok(OwnerAnswer {
                version,
                uid,
                state,
            })
        };
        let wrong = |field, value| Err(DecodeError::Value { field, value });
        let short = |field| Err(DecodeError::Short { field });
        for (answer, expected) in [
            (
                &[0x2A00, 2001, 2][..],
                good(Version::V24_11, 2001, State::Running),
            ),
            (&[0x2200, 0, 0], good(Version::V19_05, 0, State::Starting)),
            (
                &[0x2D00, -2, 1],
                good(Version::V26_05, u32::MAX - 1, State::Starting),
            ),
            (&[0x2D00, -1, 2], wrong("uid", -1)),
            (&[0x2D00, 5, 3], good(Version::V26_05, 5, State::Ending)),
            (&[0x2D00, 5, 4], good(Version::V26_05, 5, State::Ending)),
            (&[-1], wrong("protocol version", -1)),
            (&[0, 5, 2], wrong("protocol version", 0)),
            (&[0x2A00], short("uid")),
            (&[0x2A00, 5], short("state")),
            (&[], short("protocol version")),
            (&[0x2A00, 1, 2, 3], Err(DecodeError::Trailing { count: 4 })),
        ] {
            assert_eq!(read_owner(&ints(answer)), expected, "{answer:?}");
        }
    }

    #[test]
    fn only_a_running_step_has_adopted() {
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
