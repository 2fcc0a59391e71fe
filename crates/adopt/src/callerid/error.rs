//! The reasons why the source job of a connection is unknown.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use proto::Version;

use crate::exchange::Broken;
use crate::node::NodeError;
use crate::text::shown;
use crate::trust::DirectoryError;

/// The reason why caller ID has no answer.
#[derive(Debug)]
pub enum CallerIdError {
    /// sshd has no TCP connection open.
    NoConnection,
    /// The descriptors cannot be listed.
    Descriptors(io::Error),
    /// callerid_skip contains the source.
    Skipped(IpAddr),
    /// No stepd here has told its protocol version.
    NoVersion,
    /// The cluster's slurmds speak only TLS; the TLSType.
    TlsOnly(String),
    /// slurm.conf cannot be used.
    Node(NodeError),
    /// No credential can be made or checked.
    Credential(CredentialError),
    /// slurm.conf names no port.
    NoPort,
    /// The slurmd knows no job with the connection.
    NoJob(SocketAddr),
    /// The slurmd gives no usable answer.
    Slurmd(SocketAddr, SlurmdError),
}

impl fmt::Display for CallerIdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoConnection => f.write_str("sshd has no TCP connection open"),
            Self::Descriptors(error) => write!(f, "list open descriptors: {error}"),
            Self::Skipped(source) => write!(f, "callerid_skip= lists {source}"),
            Self::NoVersion => f.write_str("no slurmstepd here has told its protocol version"),
            Self::TlsOnly(kind) => {
                write!(f, "TLSType={} is not supported", shown(kind))
            }
            Self::Node(error) => write!(f, "{error}"),
            Self::Credential(error) => write!(f, "{error}"),
            Self::NoPort => f.write_str("slurm.conf names no SlurmdPort"),
            Self::NoJob(slurmd) => {
                write!(f, "slurmd at {slurmd} knows no job with this connection")
            }
            Self::Slurmd(slurmd, error) => write!(f, "slurmd at {slurmd}: {error}"),
        }
    }
}

impl From<CredentialError> for CallerIdError {
    fn from(error: CredentialError) -> Self {
        Self::Credential(error)
    }
}

/// The reason why a slurmd's answer is not usable.
#[derive(Debug)]
pub enum SlurmdError {
    /// There is no connection to it.
    Connect(Broken),
    /// The connection broke.
    Exchange(Broken),
    /// It refuses every version that it could speak, or our key.
    NoCommonVersion(Broken),
    /// It refuses the version of our message and speaks another, which is not tried.
    Speaks {
        /// The version of our message.
        asked: Version,
        /// The version it speaks.
        speaks: Version,
    },
    /// It answers in another version than we asked in.
    OtherVersion(Version),
    /// It does not accept our credential.
    RefusesCredential,
    /// It speaks only TLS.
    TlsOnly,
    /// It answers with a Slurm error code.
    Slurm(u32),
    /// Its answer carries no credential.
    NoCredential,
    /// We cannot make a credential.
    Make(CredentialError),
    /// Its credential cannot be checked or is not valid.
    Check(CredentialError),
    /// Its credential is restricted to another user.
    NotForUs,
    /// Its credential is for another message.
    OtherMessage,
    /// Its credential is from a user who does not run Slurm's daemons.
    Issuer(u32),
}

impl fmt::Display for SlurmdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect(broken) => write!(f, "connect: {broken}"),
            Self::Exchange(broken) => write!(f, "{broken}"),
            Self::NoCommonVersion(broken) => {
                write!(f, "{broken}: no common protocol version or no common key")
            }
            Self::Speaks { asked, speaks } => {
                write!(f, "it refuses {asked} and speaks {speaks}")
            }
            Self::OtherVersion(version) => write!(f, "it answers in {version}"),
            Self::RefusesCredential => f.write_str("it refuses our credential"),
            Self::TlsOnly => f.write_str("it requires TLS, which is not supported"),
            Self::Slurm(code) => write!(f, "it answers with Slurm error {code}"),
            Self::NoCredential => f.write_str("its answer has no credential"),
            Self::Make(error) => write!(f, "{error}"),
            Self::Check(error) => write!(f, "the credential of its answer: {error}"),
            Self::NotForUs => f.write_str("the credential of its answer is not for us"),
            Self::OtherMessage => {
                f.write_str("the credential of its answer is for another message")
            }
            Self::Issuer(uid) => write!(f, "the credential of its answer is from uid {uid}"),
        }
    }
}

/// The reason why a credential cannot be made or is not valid.
#[derive(Debug)]
pub enum CredentialError {
    /// This AuthType cannot vouch for an answer.
    AuthType(String),
    /// munged does not do what it was asked to do.
    Munged(PathBuf, MungedError),
    /// munged or SACK refuses.
    Refused(String),
    /// The SACK socket cannot be used.
    Sack(Broken),
    /// The token or the key file is malformed.
    Malformed(String),
    /// The token has expired.
    Expired,
    /// The token was not signed with this cluster's key.
    OtherKey,
    /// The credential is not of the kind that AuthType says.
    OtherKind,
    /// A key file cannot be used.
    KeyFile(PathBuf, KeyFileError),
    /// These directories have no key file.
    NoKeyFile([PathBuf; 2]),
    /// slurm.jwks has no valid key.
    NoValidKey,
    /// The host has no name.
    HostName(io::Error),
}

impl fmt::Display for CredentialError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |path: &Path| shown(&path.to_string_lossy());
        match self {
            Self::AuthType(kind) => write!(f, "AuthType {} is not supported", shown(kind)),
            Self::Munged(path, error) => write!(f, "ask munged at {}: {error}", text(path)),
            Self::Refused(cause) | Self::Malformed(cause) => f.write_str(cause),
            Self::Sack(broken) => write!(f, "ask Slurm's SACK socket: {broken}"),
            Self::Expired => f.write_str("it has expired"),
            Self::OtherKey => f.write_str("it was not made with this cluster's key"),
            Self::OtherKind => f.write_str("it is not of the kind that AuthType says"),
            Self::KeyFile(path, error) => write!(f, "read {}: {error}", text(path)),
            Self::NoKeyFile([beside, etc]) => write!(
                f,
                "neither slurm.jwks nor slurm.key in {} or {}",
                text(beside),
                text(etc)
            ),
            Self::NoValidKey => f.write_str("slurm.jwks has no key that is valid now"),
            Self::HostName(error) => write!(f, "gethostname: {error}"),
        }
    }
}

/// The reason why munged cannot be asked.
#[derive(Debug)]
pub enum MungedError {
    /// The connection broke or could not be made.
    Broken(Broken),
    /// The listening user is unknown.
    Peer(io::Error),
    /// Others could have replaced the socket.
    Directory(DirectoryError),
}

impl fmt::Display for MungedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Broken(broken) => write!(f, "{broken}"),
            Self::Peer(error) => write!(f, "{error}"),
            Self::Directory(error) => write!(f, "{error}"),
        }
    }
}

/// The reason why a key file cannot be used.
#[derive(Debug)]
pub enum KeyFileError {
    /// The system's error.
    System(io::Error),
    /// Its owner or mode is not safe.
    Unsafe,
    /// It is too short for a key.
    TooShort,
}

impl fmt::Display for KeyFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System(error) => write!(f, "{error}"),
            Self::Unsafe => f.write_str("owner or mode is not safe"),
            Self::TooShort => f.write_str("too short for a key"),
        }
    }
}
