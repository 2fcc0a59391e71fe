//! Slurm's messages over TCP, as far as a question of the caller ID needs them: whose job holds
//! the other end of a connection.
//!
//! Integers are big-endian. Source: Slurm 19.05 to 26.05, `src/common/slurm_protocol_pack.c`
//! (`pack_header`, `unpack_header`, `_pack_network_callerid_msg`,
//! `_pack_network_callerid_resp_msg`), `src/common/pack.c`, `src/interfaces/auth.c`.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use crate::reader::{DecodeError, Reader};
use crate::version::Version;
use crate::writer;

/// Type of the question (`REQUEST_NETWORK_CALLERID`).
pub const REQUEST_NETWORK_CALLERID: u16 = 5035;
/// Type of its answer (`RESPONSE_NETWORK_CALLERID`).
pub const RESPONSE_NETWORK_CALLERID: u16 = 5036;
/// Type of an answer that is a return code (`RESPONSE_SLURM_RC`).
pub const RESPONSE_SLURM_RC: u16 = 8001;

/// Return code: the peer does not speak the message's version (`SLURM_PROTOCOL_VERSION_ERROR`).
pub const VERSION_ERROR: u32 = 1005;
/// Return code: the credential is refused, or the version from 25.05 on
/// (`SLURM_PROTOCOL_AUTHENTICATION_ERROR`).
pub const AUTHENTICATION_ERROR: u32 = 1007;
/// Return code: the peer wants TLS (`ESLURM_TLS_REQUIRED`, from 25.11 on).
pub const TLS_REQUIRED: u32 = 13000;

/// Length of the longest frame that is taken, in bytes, with its length: an answer is one credential
/// and a name.
pub const LONGEST_FRAME: usize = 64 * 1024;

const NO_AUTH_CRED: u16 = 0x40;
const NO_VAL: u32 = 0xFFFF_FFFE;
const AUTH_MUNGE: u32 = 101;
const AUTH_SLURM: u32 = 103;
// As in Linux, whatever this is built for.
const AF_UNSPEC: u16 = 0;
const AF_INET: u16 = 2;
const AF_INET6: u16 = 10;

/// A credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Auth<'message> {
    /// Of auth/munge, without a NUL.
    Munge(&'message [u8]),
    /// Of auth/slurm: a token.
    Slurm(&'message str),
}

/// The question whose job has the connection from `source`, the ssh client's end, to `here`, this
/// node's end; the one who is asked turns them round. An IPv4 address that is written as IPv6
/// goes out as IPv4: the kernel of the client has it so.
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

/// The whole frame that asks: a header of this version, the credential, the body.
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
    // Neither forwarded nor with answers of others; then the origin's address: not said.
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

/// Why the start of an answer is not the start of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameError {
    /// The answer is HTTP: a slurmd of 25.11 or later that does not speak the version that it was
    /// asked in takes the question for HTTP.
    Http,
    /// No frame is that long: 0, or longer than [`LONGEST_FRAME`].
    Length(u32),
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http => f.write_str("the answer is HTTP"),
            Self::Length(length) => write!(f, "an answer of {length} bytes can't be"),
        }
    }
}

/// Length of the frame that starts so, with the 4 bytes that say it; none while those are not there.
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

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply<'frame> {
    /// Of its header. To a question that it refuses the peer may answer in a version of its own.
    pub version: Version,
    /// None if the peer says that there is none.
    pub credential: Option<Auth<'frame>>,
    /// What its credential was made for, if there is one ([`crate::hash`]).
    pub body: &'frame [u8],
    /// What the body says.
    pub message: Message,
}

/// What an answer says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Message {
    /// The question was answered.
    CallerId {
        /// Whose the connection is; none if the peer knows no such connection, or no job that it
        /// belongs to, or does not tell us.
        job: Option<u32>,
    },
    /// A return code of Slurm, in place of an answer.
    Code(u32),
}

impl Message {
    /// The type in the message's header: [`RESPONSE_NETWORK_CALLERID`] or [`RESPONSE_SLURM_RC`].
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
/// Names the field that is missing or can't be.
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

/// Checks that as much is left as the peer says.
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

/// The address of the origin. From 0x2400 on the peer's own socket address, its words packed in the
/// order of its memory: of no use.
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
            // 0 always, also where the connection is not known.
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
