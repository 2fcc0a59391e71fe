//! Credentials of Slurm's daemons: makes them for a request, checks them on an answer. Uses munged, or for
//! auth/slurm the socket of its daemon or the cluster's key itself.

mod auth_slurm;

use std::fmt::Display;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use proto::jwt;
use proto::rpc::Auth;
use proto::{Version, munge, sack};
use sys::Deadline;

use crate::callerid::credential::auth_slurm::{
    now, sack_socket, sign, verified_by_key, verified_by_sack,
};
use crate::callerid::error::{CredentialError, MungedError};
use crate::exchange::{self, Broken};
use crate::node::Node;
use crate::text::said;
use crate::trust;

/// munged's socket, as compiled in, unless AuthInfo says otherwise.
const MUNGED: &str = "/run/munge/munge.socket.2";
/// Lifetime in seconds of a token that is made here, unless AuthInfo says otherwise: Slurm's
/// default.
const LIFETIME: u32 = 60;

/// The maker and checker of the cluster's credentials (AuthType).
pub enum Authority<'a> {
    /// auth/munge
    Munge {
        /// The node, for its users.
        node: &'a Node,
        /// munged's socket.
        socket: PathBuf,
        /// Lifetime of a credential in seconds; 0 for munged's default.
        ttl: u32,
    },
    /// auth/slurm
    Slurm {
        /// The node, for its key and its users.
        node: &'a Node,
        /// Whether slurmd's and sackd's socket may be used.
        sack: bool,
        /// Lifetime of a token in seconds.
        ttl: u32,
    },
}

/// A credential made for us.
pub enum Credential {
    /// munged's.
    Munge(Vec<u8>),
    /// auth/slurm's.
    Slurm(String),
}

impl Credential {
    /// The credential in the form that a message carries.
    #[must_use]
    pub fn as_auth(&self) -> Auth<'_> {
        match self {
            Self::Munge(bytes) => Auth::Munge(bytes),
            Self::Slurm(token) => Auth::Slurm(token),
        }
    }
}

/// The proof in a credential.
pub struct Issuer {
    /// The user who had it made.
    pub uid: u32,
    /// The only user who may use it.
    restricted_to: u32,
    /// The payload that it was made for.
    pub payload: Vec<u8>,
}

impl Issuer {
    /// Whether the credential was made for this process's user, or for anyone if slurmds of that version do
    /// not restrict it.
    #[must_use]
    pub fn is_for_us(&self, version: Version) -> bool {
        self.restricted_to == sys::effective_uid()
            || (self.restricted_to == proto::ANYONE && !version.restricts_answers())
    }
}

impl<'a> Authority<'a> {
    /// The authority according to the node's slurm.conf.
    ///
    /// # Errors
    /// An AuthType that cannot vouch for an answer.
    pub fn of(node: &'a Node) -> Result<Self, CredentialError> {
        let info = Info::parse(node.conf.auth_info.as_deref().unwrap_or_default());
        let kind = node.conf.auth_type.as_deref().unwrap_or("auth/munge");
        // From 23.11 on the prefix may be left out (auth.c); before, slurmd refuses such a slurm.conf.
        match kind.strip_prefix("auth/").unwrap_or(kind) {
            "munge" => Ok(Self::Munge {
                node,
                socket: PathBuf::from(info.socket.unwrap_or(MUNGED)),
                ttl: info.ttl,
            }),
            "slurm" => Ok(Self::Slurm {
                node,
                sack: !info.disable_sack,
                ttl: if info.ttl == 0 { LIFETIME } else { info.ttl },
            }),
            _ => Err(CredentialError::AuthType(kind.to_owned())),
        }
    }

    /// Makes a credential of this process's user for a message with this payload. It is sent to the host that the
    /// user comes from, but only slurmds can use it.
    ///
    /// # Errors
    /// The failed operation, its object and the cause.
    pub fn make(
        &self,
        version: Version,
        payload: &[u8],
        deadline: &Deadline,
    ) -> Result<Credential, CredentialError> {
        match self {
            Self::Munge { node, socket, ttl } => {
                let request = munge::encode_request(payload, slurmd_uid(node), *ttl);
                let answer = ask_munged(socket, &request, deadline)?;
                let made = munge::read_encoded(&answer).map_err(refused)?;
                Ok(Credential::Munge(made.to_vec()))
            }
            Self::Slurm { node, sack, ttl } => {
                let token = match sack_socket(node, *sack, deadline)? {
                    Some(socket) => {
                        let request = sack::create_request(version, slurmd_uid(node), payload);
                        let answer =
                            exchange::ask(&socket, &request, sack::created_length, deadline)
                                .map_err(CredentialError::Sack)?;
                        let made = sack::read_created(&answer).map_err(refused)?;
                        made.to_owned()
                    }
                    None => sign(node, version, *ttl, payload)?,
                };
                Ok(Credential::Slurm(token))
            }
        }
    }

    /// Returns what a credential proves.
    ///
    /// # Errors
    /// The reason why it proves nothing.
    pub fn check(
        &self,
        version: Version,
        credential: Auth<'_>,
        deadline: &Deadline,
    ) -> Result<Issuer, CredentialError> {
        match (self, credential) {
            (Self::Munge { socket, .. }, Auth::Munge(bytes)) => {
                let answer = ask_munged(socket, &munge::decode_request(bytes), deadline)?;
                let found = munge::read_decoded(&answer).map_err(refused)?;
                Ok(Issuer {
                    uid: found.uid,
                    restricted_to: found.restricted_to,
                    payload: found.payload.to_vec(),
                })
            }
            (Self::Slurm { node, sack, .. }, Auth::Slurm(token)) => {
                let claims =
                    jwt::claims(token).map_err(|error| CredentialError::Malformed(said(error)))?;
                if claims.expires <= now() {
                    return Err(CredentialError::Expired);
                }
                let good = match sack_socket(node, *sack, deadline)? {
                    Some(socket) => verified_by_sack(&socket, version, token, deadline)?,
                    None => verified_by_key(node, token, &claims)?,
                };
                match good {
                    true => Ok(Issuer {
                        uid: claims.uid,
                        restricted_to: claims.restricted_to,
                        payload: claims.payload,
                    }),
                    false => Err(CredentialError::OtherKey),
                }
            }
            _ => Err(CredentialError::OtherKind),
        }
    }
}

/// The uid of slurmds here and elsewhere, for whom our credentials are made.
fn slurmd_uid(node: &Node) -> u32 {
    node.trusted.slurmd_uid.unwrap_or(0)
}

/// The relevant part of AuthInfo.
#[derive(Debug, Default, PartialEq, Eq)]
struct Info<'a> {
    socket: Option<&'a str>,
    ttl: u32,
    disable_sack: bool,
}

impl<'a> Info<'a> {
    /// Parses a comma-separated list; up to 23.02 a text without `=` is the socket's path.
    fn parse(text: &'a str) -> Self {
        let mut info = Self::default();
        for word in text.split(',') {
            match word.split_once('=') {
                Some(("socket", path)) if !path.is_empty() => info.socket = Some(path),
                Some(("ttl", seconds)) => info.ttl = seconds.parse().unwrap_or(0),
                None if word == "disable_sack" => info.disable_sack = true,
                None if word.starts_with('/') => info.socket = Some(word),
                _ => {}
            }
        }
        info
    }
}

/// Sends one request to munged, which takes one per connection. Only root and munged's user may be
/// able to replace the socket.
fn ask_munged(
    path: &Path,
    request: &[u8],
    deadline: &Deadline,
) -> Result<Vec<u8>, CredentialError> {
    let ask = || {
        let connected = connect_when_free(path, deadline).map_err(MungedError::Broken)?;
        let peer = sys::peer_credentials(&connected).map_err(MungedError::Peer)?;
        let dir = path.parent().unwrap_or(Path::new("/"));
        trust::safe_directory(dir, &|uid| uid == 0 || uid == peer.uid)
            .map_err(MungedError::Directory)?;
        exchange::ask(&connected, request, munge::message_length, deadline)
            .map_err(MungedError::Broken)
    };
    ask().map_err(|error| CredentialError::Munged(path.to_owned(), error))
}

/// Turns a refusal by munged or slurmd into an error.
fn refused(cause: impl Display) -> CredentialError {
    CredentialError::Refused(said(cause))
}

/// Connects; tries again while the backlog is full.
fn connect_when_free(path: &Path, deadline: &Deadline) -> Result<OwnedFd, Broken> {
    loop {
        match sys::connect_unix(path) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            result => return Ok(result?),
        }
        if deadline.has_passed() {
            return Err(Broken::Silent);
        }
        sys::poll(&mut [], exchange::RETRY.min(deadline.remaining()))?;
    }
}

/// Parses AuthInfo: socket, seconds, `disable_sack`; for the fuzz targets.
#[cfg(fuzzing)]
pub fn auth_info(text: &str) -> (Option<&str>, u32, bool) {
    let info = Info::parse(text);
    (info.socket, info.ttl, info.disable_sack)
}

#[cfg(test)]
mod tests;
