//! Finds the source job of a connection: asks the slurmd on the host that it comes from.
//!
//! The answer is a hint, and even that needs a credential of Slurm's own: made by root, SlurmUser or
//! SlurmdUser, for us alone and for this answer. The job counts only if its stepd on this node
//! confirms that it is this user's (`decide`).

pub(crate) mod credential;
pub(crate) mod error;

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use proto::rpc::{self, Message};
use proto::{Version, hash};
use sys::{Connection, Deadline, Interest};

use crate::callerid::credential::Authority;
use crate::callerid::error::{CallerIdError, SlurmdError};
use crate::exchange::{self, Broken};
use crate::facts::Caller;
use crate::log::Log;
use crate::node::Node;
use crate::options::Options;
use crate::text::said;

/// The input of a question besides the connection.
pub struct Scope<'a> {
    /// The PAM line's options.
    pub options: &'a Options,
    /// This node.
    pub node: &'a Node,
    /// The newest protocol version that a stepd of this node speaks.
    pub version: Option<Version>,
    /// Deadline for all questions to slurmds.
    pub deadline: &'a Deadline,
    /// Where each step is logged.
    pub log: Log<'a>,
}

/// Asks for the source job of the connection, if there is a slurmd to ask.
pub(crate) fn ask(connection: io::Result<Option<Connection>>, scope: &Scope<'_>) -> Caller {
    let found = match connection {
        Ok(Some(connection)) => source_job(connection, scope),
        Ok(None) => Err(CallerIdError::NoConnection),
        Err(error) => Err(CallerIdError::Descriptors(error)),
    };
    found.unwrap_or_else(|error| Caller::Unknown(error.to_string()))
}

fn source_job(connection: Connection, scope: &Scope<'_>) -> Result<Caller, CallerIdError> {
    let &Scope {
        options, node, log, ..
    } = scope;
    let source = connection.peer.ip();
    log.debug(|| {
        format!(
            "the connection is from {} to {}",
            connection.peer, connection.local
        )
    });
    if options.callerid_skip.iter().any(|it| it.contains(source)) {
        return Err(CallerIdError::Skipped(source));
    }
    let version = scope.version.and_then(Version::for_messages);
    let version = version.ok_or(CallerIdError::NoVersion)?;
    without_tls(node, version)?;
    let ports = node.slurmd_ports().map_err(CallerIdError::Node)?;
    let deadline = scope.deadline.within(options.callerid_timeout);
    let authority = Authority::of(node)?;
    let mut unknown = None;
    for port in ports {
        let mut slurmd = connection.peer;
        slurmd.set_port(port);
        let question = Question {
            slurmd,
            body: rpc::caller_id_body(connection.peer, connection.local),
            authority: &authority,
            node,
            deadline: &deadline,
            log,
        };
        match question.ask(version) {
            Ok(Some(job)) => return Ok(Caller::Job { job, source }),
            // This says more than a port on which nobody listens.
            Ok(None) => unknown = Some(CallerIdError::NoJob(slurmd)),
            Err(cause) => {
                let error = CallerIdError::Slurmd(slurmd, cause);
                log.debug(|| error.to_string());
                unknown.get_or_insert(error);
            }
        }
    }
    Err(unknown.unwrap_or(CallerIdError::NoPort))
}

/// Asks a slurmd about a connection that does not exist, as a login would ask about its own. It has answered if there is
/// no error.
///
/// # Errors
/// [`CallerIdError`].
pub(crate) fn probe(
    slurmd: SocketAddr,
    node: &Node,
    version: Version,
    deadline: &Deadline,
) -> Result<(), CallerIdError> {
    without_tls(node, version)?;
    let authority = Authority::of(node)?;
    // No connection has port 0.
    let nowhere = SocketAddr::new(slurmd.ip(), 0);
    let question = Question {
        slurmd,
        body: rpc::caller_id_body(nowhere, nowhere),
        authority: &authority,
        node,
        deadline,
        log: Log::silent(),
    };
    let answer = question.ask(version);
    answer
        .map(drop)
        .map_err(|cause| CallerIdError::Slurmd(slurmd, cause))
}

/// Fails if slurmds speak only TLS.
fn without_tls(node: &Node, version: Version) -> Result<(), CallerIdError> {
    match node.conf.tls_type.as_deref() {
        Some(kind) if version.has_tls() && !kind.ends_with("none") => {
            Err(CallerIdError::TlsOnly(kind.to_owned()))
        }
        _ => Ok(()),
    }
}

/// The question to one slurmd.
struct Question<'a> {
    slurmd: SocketAddr,
    body: [u8; 52],
    authority: &'a Authority<'a>,
    node: &'a Node,
    deadline: &'a Deadline,
    log: Log<'a>,
}

/// A slurmd's reaction to a question in one protocol version.
enum Reaction {
    /// An answer that can be trusted. None: it knows no job with the connection.
    Answer(Option<u32>),
    /// Refused: the peer speaks this version.
    Speaks(Version),
    /// Refused in a way that may mean another version or another key.
    Refused(Broken),
}

impl Question<'_> {
    /// Asks in `version`. If that is refused, asks in the version that the peer names, or else in older ones.
    fn ask(&self, version: Version) -> Result<Option<u32>, SlurmdError> {
        // An unauthenticated peer must not lead us to versions whose credentials are valid for any
        // message.
        let neighbours = version.neighbours();
        let mut version = version;
        let mut told = false;
        loop {
            match self.ask_in(version)? {
                Reaction::Answer(job) => return Ok(job),
                Reaction::Speaks(other) if !told && neighbours.contains(&other) => {
                    told = true;
                    self.log
                        .debug(|| format!("slurmd at {} speaks {other}", self.slurmd));
                    version = other;
                }
                Reaction::Speaks(other) => {
                    return Err(SlurmdError::Speaks {
                        asked: version,
                        speaks: other,
                    });
                }
                Reaction::Refused(how) => {
                    let older = version.older().filter(|it| neighbours.contains(it));
                    version = match older {
                        Some(older) if !told => older,
                        _ => return Err(SlurmdError::NoCommonVersion(how)),
                    };
                }
            }
        }
    }

    /// Asks in this version, over a connection and with a credential of their own.
    fn ask_in(&self, version: Version) -> Result<Reaction, SlurmdError> {
        let socket = self.connect()?;
        let payload = hash::payload(version, rpc::REQUEST_NETWORK_CALLERID, &self.body);
        let credential = self
            .authority
            .make(version, payload.as_bytes(), self.deadline)
            .map_err(SlurmdError::Make)?;
        let request = rpc::caller_id_request(version, credential.as_auth(), &self.body);
        match exchange::ask(&socket, &request, rpc::frame_length, self.deadline) {
            Ok(frame) => self.read(version, &frame),
            Err(broken @ (Broken::Ended | Broken::Nonsense(_))) => Ok(Reaction::Refused(broken)),
            Err(broken) => Err(SlurmdError::Exchange(broken)),
        }
    }

    fn connect(&self) -> Result<OwnedFd, SlurmdError> {
        let failed = |error: io::Error| SlurmdError::Connect(Broken::Failed(error));
        let socket = sys::connect_tcp(&self.slurmd).map_err(failed)?;
        exchange::wait(Interest::writable(&socket), self.deadline).map_err(SlurmdError::Connect)?;
        sys::connect_error(&socket).map_err(failed)?;
        Ok(socket)
    }

    fn read(&self, version: Version, frame: &[u8]) -> Result<Reaction, SlurmdError> {
        let reply = match rpc::read_reply(frame) {
            Ok(reply) => reply,
            Err(error) => return Ok(Reaction::Refused(Broken::Nonsense(said(error)))),
        };
        let job = match reply.message {
            // The version determines what the credential must prove, so the peer must not choose it.
            Message::CallerId { .. } if reply.version != version => {
                return Err(SlurmdError::OtherVersion(reply.version));
            }
            Message::CallerId { job } => job,
            Message::Code(rpc::VERSION_ERROR | rpc::AUTHENTICATION_ERROR)
                if reply.version != version =>
            {
                return Ok(Reaction::Speaks(reply.version));
            }
            Message::Code(rpc::AUTHENTICATION_ERROR) => {
                return Err(SlurmdError::RefusesCredential);
            }
            Message::Code(rpc::TLS_REQUIRED) => {
                return Err(SlurmdError::TlsOnly);
            }
            Message::Code(code) => return Err(SlurmdError::Slurm(code)),
        };
        let Some(credential) = reply.credential else {
            return Err(SlurmdError::NoCredential);
        };
        let issuer = self
            .authority
            .check(version, credential, self.deadline)
            .map_err(SlurmdError::Check)?;
        if !issuer.is_for_us(version) {
            return Err(SlurmdError::NotForUs);
        }
        let kind = reply.message.number();
        if !hash::payload_matches(version, kind, reply.body, &issuer.payload) {
            return Err(SlurmdError::OtherMessage);
        }
        if !self.node.trusted.owns(issuer.uid) {
            return Err(SlurmdError::Issuer(issuer.uid));
        }
        Ok(Reaction::Answer(job))
    }
}

#[cfg(test)]
mod tests;
