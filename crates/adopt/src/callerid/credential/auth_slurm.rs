//! Tokens of auth/slurm: by the socket of slurmd or sackd, or by the cluster's key itself.

use std::convert::Infallible;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use proto::jwt::{self, Claims, Key};
use proto::{Version, sack};
use sys::Deadline;

use crate::callerid::credential::{connect_when_free, refused, slurmd_uid};
use crate::callerid::error::{CredentialError, KeyFileError};
use crate::exchange::{self, Broken};
use crate::node::Node;

/// The largest key file, in bytes.
const MAX_KEY: u64 = 1 << 20;
/// The directory of Slurm's files that are in no configless slurmd's cache.
const ETC: &str = "/etc/slurm";

/// Connects to slurmd or sackd, if one of Slurm's users listens there. None: use the key.
pub(super) fn sack_socket(
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

pub(super) fn verified_by_sack(
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

pub(super) fn verified_by_key(
    node: &Node,
    token: &str,
    claims: &Claims,
) -> Result<bool, CredentialError> {
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

pub(super) fn sign(
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
pub(super) fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}
