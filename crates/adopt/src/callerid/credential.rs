//! Credentials of Slurm's daemons: makes them for a request, checks them on an answer. Uses munged, or for
//! auth/slurm the socket of its daemon or the cluster's key itself.

use std::convert::Infallible;
use std::fmt::Display;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use proto::jwt::{self, Claims, Key};
use proto::rpc::Auth;
use proto::{Version, munge, sack};
use sys::Deadline;

use crate::callerid::error::{CredentialError, KeyFileError, MungedError};
use crate::exchange::{self, Broken};
use crate::node::Node;
use crate::text::said;
use crate::trust;

/// munged's socket, as compiled in, unless AuthInfo says otherwise.
const MUNGED: &str = "/run/munge/munge.socket.2";
/// The largest key file, in bytes.
const MAX_KEY: u64 = 1 << 20;
/// Lifetime in seconds of a token that is made here, unless AuthInfo says otherwise: Slurm's
/// default.
const LIFETIME: u32 = 60;
/// The directory of Slurm's files that are in no configless slurmd's cache.
const ETC: &str = "/etc/slurm";

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

/// Connects to slurmd or sackd, if one of Slurm's users listens there. None: use the key.
fn sack_socket(
    node: &Node,
    wanted: bool,
    deadline: &Deadline,
) -> Result<Option<OwnedFd>, CredentialError> {
    if !wanted {
        return Ok(None);
    }
    let cluster = node.conf.cluster_name.as_deref().unwrap_or_default();
    let of_cluster = format!("/run/slurm-{}/sack.socket", cluster.to_ascii_lowercase());
    for path in [
        &of_cluster,
        "/run/slurm/sack.socket",
        "/run/slurmctld/sack.socket",
    ] {
        let socket = match connect_when_free(Path::new(path), deadline) {
            Ok(socket) => socket,
            // A daemon that listens but accepts nobody is not absent.
            Err(broken @ Broken::Silent) => return Err(CredentialError::Sack(broken)),
            Err(_) => continue,
        };
        let peer = sys::peer_credentials(&socket)
            .map_err(|error| CredentialError::Sack(Broken::Failed(error)))?;
        if node.trusted.owns(peer.uid) {
            return Ok(Some(socket));
        }
    }
    Ok(None)
}

fn verified_by_sack(
    socket: &OwnedFd,
    version: Version,
    token: &str,
    deadline: &Deadline,
) -> Result<bool, CredentialError> {
    let length = |_: &[u8]| Ok::<_, Infallible>(Some(sack::VERIFY_ANSWER));
    let request = sack::verify_request(version, token);
    match exchange::ask(socket, &request, length, deadline) {
        Ok(answer) => sack::read_verified(&answer).map_err(refused),
        Err(Broken::Ended) => Ok(false),
        Err(broken) => Err(CredentialError::Sack(broken)),
    }
}

fn verified_by_key(node: &Node, token: &str, claims: &Claims) -> Result<bool, CredentialError> {
    let keys = keys(node)?;
    // The only key in slurm.key has no name and is tried whatever the token says. A token without a key name
    // belongs to the default key.
    let is_meant = |key: &&Key| match (&key.id, &claims.key_id) {
        (None, _) => true,
        (Some(_), None) => key.default,
        (Some(own), Some(wanted)) => own == wanted,
    };
    let mut meant = keys.iter().filter(is_meant);
    Ok(meant.any(|key| jwt::verify(token, &key.secret)))
}

fn sign(
    node: &Node,
    version: Version,
    ttl: u32,
    payload: &[u8],
) -> Result<String, CredentialError> {
    let keys = keys(node)?;
    let default = keys.iter().find(|key| key.default).or(keys.first());
    let key = default.ok_or(CredentialError::NoValidKey)?;
    let host = sys::hostname().map_err(CredentialError::HostName)?;
    let uid = sys::effective_uid();
    let issued = now();
    let claims = jwt::NewClaims {
        issued,
        expires: issued.saturating_add(ttl.into()),
        version,
        restricted_to: slurmd_uid(node),
        cluster: node.conf.cluster_name.as_deref().unwrap_or_default(),
        uid,
        gid: uid,
        host: &host,
        payload,
    };
    Ok(jwt::sign(key.id.as_deref(), &claims, &key.secret))
}

/// The cluster's valid keys: from slurm.jwks, or else the one in slurm.key, beside slurm.conf or
/// where a configless node has them.
fn keys(node: &Node) -> Result<Vec<Key>, CredentialError> {
    let beside = node.path.parent().unwrap_or(Path::new("/"));
    for dir in [beside, Path::new(ETC)] {
        if let Some(bytes) = read_key(&dir.join("slurm.jwks"), node)? {
            let mut keys = jwt::keys(&bytes)
                .map_err(|error| CredentialError::Malformed(format!("slurm.jwks: {error}")))?;
            keys.retain(|key| key.expires.is_none_or(|end| end > now()));
            return Ok(keys);
        }
        if let Some(secret) = read_key(&dir.join("slurm.key"), node)? {
            return Ok(vec![Key {
                id: None,
                secret,
                default: true,
                expires: None,
            }]);
        }
    }
    Err(CredentialError::NoKeyFile([
        beside.to_owned(),
        PathBuf::from(ETC),
    ]))
}

/// Reads a key file. It must belong to one of Slurm's users and, as Slurm demands, be closed to others.
fn read_key(path: &Path, node: &Node) -> Result<Option<Vec<u8>>, CredentialError> {
    let failed = |error| CredentialError::KeyFile(path.to_owned(), error);
    let found = match fs::metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(KeyFileError::System(error))),
    };
    if !node.trusted.owns(found.uid()) || found.mode() & 0o007 != 0 {
        return Err(failed(KeyFileError::Unsafe));
    }
    let bytes =
        sys::read_regular(path, MAX_KEY).map_err(|error| failed(KeyFileError::System(error)))?;
    match bytes.len() < jwt::SHORTEST_KEY {
        true => Err(failed(KeyFileError::TooShort)),
        false => Ok(Some(bytes)),
    }
}

/// Seconds since 1970.
fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

/// Parses AuthInfo: socket, seconds, `disable_sack`; for the fuzz targets.
#[cfg(fuzzing)]
pub fn auth_info(text: &str) -> (Option<&str>, u32, bool) {
    let info = Info::parse(text);
    (info.socket, info.ttl, info.disable_sack)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auth_info() {
        let parse = Info::parse;
        let none = Info::default();
        for (text, socket, ttl, disable_sack) in [
            ("", None, 0, false),
            ("socket=/x/y", Some("/x/y"), 0, false),
            ("ttl=7,socket=/x,cred_expire=30", Some("/x"), 7, false),
            ("/x/munge.socket", Some("/x/munge.socket"), 0, false),
            ("disable_sack,use_client_ids", None, 0, true),
            ("socket=", None, 0, false),
            ("ttl=x", None, 0, false),
        ] {
            let expected = Info {
                socket,
                ttl,
                disable_sack,
            };
            assert_eq!(parse(text), expected, "{text}");
        }
        assert_eq!(parse("use_client_ids"), none);
    }

    #[test]
    fn the_type_stands_with_or_without_its_prefix() {
        for (written, kind) in [
            (None, "munge"),
            (Some("auth/munge"), "munge"),
            (Some("munge"), "munge"),
            (Some("auth/slurm"), "slurm"),
            (Some("slurm"), "slurm"),
            (Some("auth/none"), "AuthType auth/none"),
        ] {
            let mut node = Node::default();
            node.conf.auth_type = written.map(str::to_owned);
            let found = match Authority::of(&node) {
                Ok(Authority::Munge { .. }) => "munge".to_owned(),
                Ok(Authority::Slurm { .. }) => "slurm".to_owned(),
                Err(error) => error.to_string(),
            };
            assert!(found.contains(kind), "{written:?}: {found}");
        }
    }

    #[test]
    fn unrestricted_only_where_slurm_was_old() {
        let issuer = |restricted_to| Issuer {
            uid: 0,
            restricted_to,
            payload: Vec::new(),
        };
        let us = sys::effective_uid();
        for (restricted_to, version, good) in [
            (us, Version::V26_05, true),
            (us, Version::V19_05, true),
            (proto::ANYONE, Version::V21_08, true),
            (proto::ANYONE, Version::V22_05, false),
            (us + 1, Version::V19_05, false),
            (us + 1, Version::V26_05, false),
        ] {
            assert_eq!(
                issuer(restricted_to).is_for_us(version),
                good,
                "{restricted_to} {version}"
            );
        }
    }
}
