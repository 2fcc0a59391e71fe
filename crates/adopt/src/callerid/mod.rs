//! Which job a connection comes from: asks the slurmd where it comes from.
//!
//! The answer is a hint, and one that needs a credential of Slurm's own: made by root, SlurmUser or
//! SlurmdUser, for us alone and for this answer. What it says counts only if the job's stepd on this
//! node says that the job is this user's (`decide`).

pub(crate) mod credential;

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use proto::rpc::{self, Message};
use proto::{Version, hash};
use sys::{Connection, Deadline, Interest};

use crate::callerid::credential::Authority;
use crate::exchange::{self, Broken};
use crate::facts::Caller;
use crate::log::Log;
use crate::node::Node;
use crate::options::Options;
use crate::text::said;
use crate::text::shown;

/// What an answer depends on besides the connection.
pub struct Scope<'a> {
    /// The PAM line's options.
    pub options: &'a Options,
    /// This node.
    pub node: &'a Node,
    /// The newest protocol version that a stepd of this node speaks.
    pub version: Option<Version>,
    /// Of all questions to slurmds.
    pub deadline: &'a Deadline,
    /// Where each step is logged.
    pub log: Log<'a>,
}

/// Asks where the connection comes from, as far as there is anybody to ask.
pub(crate) fn ask(connection: io::Result<Option<Connection>>, scope: &Scope<'_>) -> Caller {
    let found = match connection {
        Ok(Some(connection)) => source_job(connection, scope),
        Ok(None) => Err("no TCP connection among the descriptors".to_owned()),
        Err(error) => Err(format!("look through the descriptors: {error}")),
    };
    found.unwrap_or_else(Caller::Unknown)
}

fn source_job(connection: Connection, scope: &Scope<'_>) -> Result<Caller, String> {
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
        return Err(format!("callerid_skip= has {source}"));
    }
    let version = scope.version.and_then(Version::for_messages);
    let version = version.ok_or("no protocol version is known")?;
    without_tls(node, version)?;
    let ports = node.slurmd_ports().map_err(said)?;
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
            // Says more than a port on which nobody listens.
            Ok(None) => unknown = Some(format!("slurmd at {slurmd} knows no job that has it")),
            Err(cause) => {
                let cause = format!("slurmd at {slurmd}: {cause}");
                log.debug(|| cause.clone());
                unknown.get_or_insert(cause);
            }
        }
    }
    Err(unknown.unwrap_or_else(|| "slurm.conf names no port".to_owned()))
}

/// Fails where slurmds speak TLS only.
fn without_tls(node: &Node, version: Version) -> Result<(), String> {
    match node.conf.tls_type.as_deref() {
        Some(kind) if version.has_tls() && !kind.ends_with("none") => Err(format!(
            "TLSType is {}, and TLS is not spoken here",
            shown(kind)
        )),
        _ => Ok(()),
    }
}

/// What one slurmd is asked.
struct Question<'a> {
    slurmd: SocketAddr,
    body: [u8; 52],
    authority: &'a Authority<'a>,
    node: &'a Node,
    deadline: &'a Deadline,
    log: Log<'a>,
}

/// What came of asking in one protocol version.
enum Attempt {
    /// An answer that can be trusted; none: it knows of no job.
    Answer(Option<u32>),
    /// Refused: the peer speaks this version.
    Speaks(Version),
    /// Refused in a way that is also another version's, or another key's.
    Refused(String),
}

impl Question<'_> {
    /// Asks in `version`, and if that is refused, in the one that the peer says, or else in older ones.
    fn ask(&self, version: Version) -> Result<Option<u32>, String> {
        // A peer whom nobody vouches for must not bring us to versions in which credentials are for
        // any message.
        let neighbours = version.neighbours();
        let mut version = version;
        let mut told = false;
        loop {
            match self.ask_in(version)? {
                Attempt::Answer(job) => return Ok(job),
                Attempt::Speaks(other) if !told && neighbours.contains(&other) => {
                    told = true;
                    self.log
                        .debug(|| format!("slurmd at {} speaks {other}", self.slurmd));
                    version = other;
                }
                Attempt::Speaks(other) => {
                    return Err(format!(
                        "it takes no message of {version}, it speaks {other}"
                    ));
                }
                Attempt::Refused(how) => {
                    let older = version.older().filter(|it| neighbours.contains(it));
                    version = match older {
                        Some(older) if !told => older,
                        _ => return Err(format!("{how}: no common version, or no common key")),
                    };
                }
            }
        }
    }

    /// Asks in this version, over a connection and with a credential of its own.
    #[inline(never)]
    fn ask_in(&self, version: Version) -> Result<Attempt, String> {
        let socket = self.connect()?;
        let payload = hash::payload(version, rpc::REQUEST_NETWORK_CALLERID, &self.body);
        let credential = self
            .authority
            .make(version, payload.as_bytes(), self.deadline)?;
        let request = rpc::caller_id_request(version, credential.as_auth(), &self.body);
        match exchange::ask(&socket, &request, rpc::frame_length, self.deadline) {
            Ok(frame) => self.read(version, &frame),
            Err(broken @ (Broken::Ended | Broken::Nonsense(_))) => {
                Ok(Attempt::Refused(said(broken)))
            }
            Err(broken) => Err(said(broken)),
        }
    }

    #[inline(never)]
    fn connect(&self) -> Result<OwnedFd, String> {
        let failed = |error: io::Error| format!("connect: {error}");
        let socket = sys::connect_tcp(&self.slurmd).map_err(failed)?;
        exchange::wait(Interest::writable(&socket), self.deadline)
            .map_err(|broken| format!("connect: {broken}"))?;
        sys::connect_error(&socket).map_err(failed)?;
        Ok(socket)
    }

    #[inline(never)]
    fn read(&self, version: Version, frame: &[u8]) -> Result<Attempt, String> {
        let reply = match rpc::read_reply(frame) {
            Ok(reply) => reply,
            Err(error) => return Ok(Attempt::Refused(said(error))),
        };
        let job = match reply.message {
            // The version says how much the credential must prove: it is ours to choose.
            Message::CallerId { .. } if reply.version != version => {
                return Err(format!("it answers in {}", reply.version));
            }
            Message::CallerId { job } => job,
            Message::Code(rpc::VERSION_ERROR | rpc::AUTHENTICATION_ERROR)
                if reply.version != version =>
            {
                return Ok(Attempt::Speaks(reply.version));
            }
            Message::Code(rpc::AUTHENTICATION_ERROR) => {
                return Err("it refuses our credential".into());
            }
            Message::Code(rpc::TLS_REQUIRED) => {
                return Err("it wants TLS, which is not spoken here".into());
            }
            Message::Code(code) => return Err(format!("Slurm's error {code}")),
        };
        let Some(credential) = reply.credential else {
            return Err("its answer has no credential".into());
        };
        let issuer = self
            .authority
            .check(version, credential, self.deadline)
            .map_err(|cause| format!("the credential of its answer: {cause}"))?;
        let distrusted = |cause: String| Err(format!("the credential of its answer {cause}"));
        if !issuer.is_for_us(version) {
            return distrusted("is not for us".into());
        }
        let kind = reply.message.number();
        if !hash::payload_matches(version, kind, reply.body, &issuer.payload) {
            return distrusted("is for another message".into());
        }
        if !self.node.trusted.owns(issuer.uid) {
            return distrusted(format!("is of uid {}", issuer.uid));
        }
        Ok(Attempt::Answer(job))
    }
}

#[cfg(test)]
mod tests;
