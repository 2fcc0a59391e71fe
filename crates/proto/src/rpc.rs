//! Slurm's messages over TCP, as far as the caller ID needs them: a request that asks which job holds
//! the other end of a connection, and its answer.
//!
//! Integers are big-endian. Source: Slurm 19.05 to 26.05, `src/common/slurm_protocol_pack.c`
//! (`pack_header`, `unpack_header`, `_pack_network_callerid_msg`,
//! `_pack_network_callerid_resp_msg`), `src/common/pack.c`, `src/interfaces/auth.c`.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use crate::reader::{DecodeError, Reader};
use crate::version::Version;
use crate::writer;

/// Type of the request (`REQUEST_NETWORK_CALLERID`).
pub const REQUEST_NETWORK_CALLERID: u16 = 5035;
/// Type of its answer (`RESPONSE_NETWORK_CALLERID`).
pub const RESPONSE_NETWORK_CALLERID: u16 = 5036;
/// Type of an answer that is only a return code (`RESPONSE_SLURM_RC`).
pub const RESPONSE_SLURM_RC: u16 = 8001;

/// Return code: the peer does not speak the message's version (`SLURM_PROTOCOL_VERSION_ERROR`).
pub const VERSION_ERROR: u32 = 1005;
/// Return code: the peer refuses the credential, or from 25.05 on the version
/// (`SLURM_PROTOCOL_AUTHENTICATION_ERROR`).
pub const AUTHENTICATION_ERROR: u32 = 1007;
/// Return code: the peer wants TLS (`ESLURM_TLS_REQUIRED`, from 25.11 on).
pub const TLS_REQUIRED: u32 = 13000;

/// Length of the longest frame that is accepted, in bytes, length field included: an answer is one
/// credential and a name.
pub const LONGEST_FRAME: usize = 64 * 1024;

const NO_AUTH_CRED: u16 = 0x40;
const NO_VAL: u32 = 0xFFFF_FFFE;
const AUTH_MUNGE: u32 = 101;
const AUTH_SLURM: u32 = 103;
// Linux's numbers: they are on the wire.
const AF_UNSPEC: u16 = 0;
const AF_INET: u16 = 2;
const AF_INET6: u16 = 10;

/// A credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Auth<'message> {
    /// Of auth/munge, without its NUL.
    Munge(&'message [u8]),
    /// Of auth/slurm: a token.
    Slurm(&'message str),
}

/// The body of the request for the job that has the connection from `source`, the ssh client's end, to
/// `here`, this node's end; the peer swaps them. An IPv4 address in IPv6 form goes out as IPv4, as the
/// client's kernel has it.
#[must_use]
pub fn caller_id_body(source: SocketAddr, here: SocketAddr) -> [u8; 52] {
    let mut body = [0; 52];
    let (from, to) = (source.ip().to_canonical(), here.ip().to_canonical());
    let family = match from {
        IpAddr::V4(_) => AF_INET,
        IpAddr::V6(_) => AF_INET6,
    };
    for (place, address) in [(0, from), (20, to)] {
        put(&mut body, place, &16_u32.to_be_bytes());
        match address {
            IpAddr::V4(address) => put(&mut body, place + 4, &address.octets()),
            IpAddr::V6(address) => put(&mut body, place + 4, &address.octets()),
        }
    }
    for (place, number) in [(40, source.port()), (44, here.port()), (48, family)] {
        put(&mut body, place, &u32::from(number).to_be_bytes());
    }
    body
}

fn put(body: &mut [u8], place: usize, bytes: &[u8]) {
    for (to, from) in body.iter_mut().skip(place).zip(bytes) {
        *to = *from;
    }
}

/// The frame of the request: a header of this version, the credential, the body.
#[must_use]
pub fn caller_id_request(version: Version, auth: Auth<'_>, body: &[u8; 52]) -> Vec<u8> {
    let mut message = Vec::new();
    let mut word = |value: u16| message.extend_from_slice(&value.to_be_bytes());
    word(version.number());
    word(0); // flags
    if version.has_message_index() {
        word(0);
    }
    word(REQUEST_NETWORK_CALLERID);
    message.extend_from_slice(&writer::length(body.len()).to_be_bytes());
    // No forwards, no returns, and an empty address of the origin.
    let empty: &[u8] = if version.has_address_family() {
        &[0; 6]
    } else {
        &[0; 10]
    };
    message.extend_from_slice(empty);
    let (plugin, credential) = match auth {
        Auth::Munge(credential) => (AUTH_MUNGE, credential),
        Auth::Slurm(token) => (AUTH_SLURM, token.as_bytes()),
    };
    message.extend_from_slice(&plugin.to_be_bytes());
    writer::text(&mut message, credential);
    message.extend_from_slice(body);
    let mut frame = Vec::new();
    writer::mem(&mut frame, &message);
    frame
}

/// Reason why bytes do not begin a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameError {
    /// They are HTTP: since 25.11 slurmd takes a request in a version that it does not speak for
    /// HTTP.
    Http,
    /// The length is 0, or makes the frame longer than [`LONGEST_FRAME`].
    Length(u32),
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http => f.write_str("the answer is HTTP"),
            Self::Length(length) => write!(f, "invalid length of the answer: {length} bytes"),
        }
    }
}

/// Length of the frame that begins with `start`, length field included; None if `start` is shorter than
/// that field.
///
/// # Errors
/// [`FrameError`].
pub fn frame_length(start: &[u8]) -> Result<Option<usize>, FrameError> {
    const LENGTH: usize = 4;
    match start.first_chunk::<LENGTH>() {
        None => Ok(None),
        Some(b"HTTP") => Err(FrameError::Http),
        Some(length) => {
            let length = u32::from_be_bytes(*length);
            match usize::try_from(length) {
                Ok(rest) if rest > 0 && rest <= LONGEST_FRAME - LENGTH => Ok(Some(rest + LENGTH)),
                _ => Err(FrameError::Length(length)),
            }
        }
    }
}

/// The answer to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply<'frame> {
    /// The version in its header. A peer may refuse a request in a version of its own.
    pub version: Version,
    /// The credential; None if the header says that there is none.
    pub credential: Option<Auth<'frame>>,
    /// The bytes that the credential is bound to ([`crate::hash`]).
    pub body: &'frame [u8],
    /// The decoded body.
    pub message: Message,
}

/// The body of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Message {
    /// The answer to the caller ID.
    CallerId {
        /// The job that has the connection; None if the peer knows no such connection or job, or does not
        /// tell us.
        job: Option<u32>,
    },
    /// A return code of Slurm instead.
    Code(u32),
}

impl Message {
    /// The type for the message's header: [`RESPONSE_NETWORK_CALLERID`] or [`RESPONSE_SLURM_RC`].
    #[must_use]
    pub fn number(self) -> u16 {
        match self {
            Self::CallerId { .. } => RESPONSE_NETWORK_CALLERID,
            Self::Code(_) => RESPONSE_SLURM_RC,
        }
    }
}

/// Reads a whole frame.
///
/// # Errors
/// Names the field that is missing or invalid.
pub fn read_reply(frame: &[u8]) -> Result<Reply<'_>, DecodeError> {
    let mut reader = Reader::new(frame);
    let length = reader.be_u32("length")?;
    exactly(&reader, "length", length)?;
    let number = reader.be_u16("protocol version")?;
    let version = Version::from_header(number)
        .ok_or_else(|| DecodeError::value("protocol version", number))?;
    let flags = reader.be_u16("flags")?;
    if version.has_message_index() {
        reader.be_u16("message index")?;
    }
    let number = reader.be_u16("message type")?;
    let length = reader.be_u32("body length")?;
    for field in ["forward count", "return count"] {
        let count = reader.be_u16(field)?;
        if count != 0 {
            return Err(DecodeError::value(field, count));
        }
    }
    skip_address(&mut reader, version)?;
    let credential = if flags & NO_AUTH_CRED == 0 {
        Some(credential(&mut reader)?)
    } else {
        None
    };
    exactly(&reader, "body length", length)?;
    let body = reader.bytes(reader.left(), "body")?;
    Ok(Reply {
        version,
        credential,
        body,
        message: read_body(version, number, body)?,
    })
}

/// Checks that `length` bytes are left.
fn exactly(reader: &Reader<'_>, field: &'static str, length: u32) -> Result<(), DecodeError> {
    let left = reader.left();
    match usize::try_from(length) {
        Ok(length) if length == left => Ok(()),
        Ok(length) if length < left => Err(DecodeError::Trailing {
            count: left - length,
        }),
        _ => Err(DecodeError::Short { field }),
    }
}

/// Skips the origin's address. With a family it is the peer's own socket address, in the byte order of
/// the peer's memory, and useless here.
fn skip_address(reader: &mut Reader<'_>, version: Version) -> Result<(), DecodeError> {
    const ADDRESS: &str = "address of the origin";
    if !version.has_address_family() {
        return reader.bytes(6, ADDRESS).map(drop);
    }
    match reader.be_u16("address family of the origin")? {
        AF_UNSPEC => {}
        AF_INET => drop(reader.bytes(6, ADDRESS)?),
        AF_INET6 => {
            let address = reader.be_mem(ADDRESS)?;
            if address.len() != 16 {
                let length = writer::length(address.len());
                return Err(DecodeError::value(ADDRESS, length));
            }
            reader.be_u16("port of the origin")?;
        }
        other => return Err(DecodeError::value("address family of the origin", other)),
    }
    Ok(())
}

fn credential<'frame>(reader: &mut Reader<'frame>) -> Result<Auth<'frame>, DecodeError> {
    const FIELD: &str = "credential";
    let plugin = reader.be_u32("authentication plugin")?;
    if plugin != AUTH_MUNGE && plugin != AUTH_SLURM {
        return Err(DecodeError::value("authentication plugin", plugin));
    }
    let bytes = reader
        .be_str(FIELD)?
        .ok_or(DecodeError::Text { field: FIELD })?;
    if plugin == AUTH_MUNGE {
        return Ok(Auth::Munge(bytes));
    }
    match std::str::from_utf8(bytes) {
        Ok(token) => Ok(Auth::Slurm(token)),
        Err(_) => Err(DecodeError::Text { field: FIELD }),
    }
}

fn read_body(version: Version, number: u16, body: &[u8]) -> Result<Message, DecodeError> {
    let mut reader = Reader::new(body);
    let message = match number {
        RESPONSE_NETWORK_CALLERID => {
            if version.caller_id_names_step() {
                reader.be_u64("unique id of the job")?;
            }
            let job = reader.be_u32("job id")?;
            if version.caller_id_names_step() {
                reader.be_u32("step id")?;
                reader.be_u32("het component")?;
            }
            // Always 0, also if the connection is not known.
            reader.be_u32("return code")?;
            reader.be_str("node name")?;
            Message::CallerId {
                job: (job != NO_VAL).then_some(job),
            }
        }
        RESPONSE_SLURM_RC => Message::Code(reader.be_u32("return code")?),
        other => return Err(DecodeError::value("message type", other)),
    };
    reader.end()?;
    Ok(message)
}

#[cfg(test)]
mod tests;
