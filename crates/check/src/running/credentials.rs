//! The maker of credentials: munged, or slurmd or sackd for auth/slurm.

use adopt::node::Node;
use adopt::survey::{AuthProblem, make_credential};
use proto::Version;

use crate::host::Host;
use crate::running::DAEMONS;
use crate::{Check, Finding, Notes, Severity, Spot};

pub(super) const ABSENT: Check = Check {
    id: "SA511",
    severity: Severity::Warning,
    title: "munged does not run",
    why: "With AuthType=auth/munge all messages of Slurm need a credential that munged makes and checks. Without it no new \
          job starts here. Logins of users with one job work on, because slurmstepds need no credential. A user with \
          several jobs who comes from another node cannot be traced: the login goes where action_unknown says.",
    fix: "Start munged (systemctl enable --now munge) and look into its log, /var/log/munge/munged.log. If it listens \
          elsewhere, set AuthInfo=socket=PATH in slurm.conf.",
};

pub(super) const SILENT: Check = Check {
    id: "SA512",
    severity: Severity::Warning,
    title: "the daemon that makes credentials does not answer",
    why: "munged (or, for auth/slurm, slurmd or sackd) takes the connection and says nothing: it is stopped, or all its \
          threads wait, for example for a slow directory service (munged looks up groups). Slurm's daemons hang with it, \
          and a login that has to be traced to its job waits until callerid_timeout and then goes where action_unknown \
          says.",
    fix: "Restart the daemon. For munged, see --num-threads and --group-check-mtime in munged(8).",
};

pub(super) const DIRECTORY: Check = Check {
    id: "SA513",
    severity: Severity::Warning,
    title: "others could replace munged's socket",
    why: "Whoever may write to the directory of the socket, or to one above it, can put a socket of their own there and \
          vouch for any message of Slurm. The module does not ask such a munged, so it traces no login to its job. \
          munged itself refuses to start like that unless it is forced (munged(8), --force).",
    fix: "Make the directory munge's or root's and writable only by its owner.",
};

pub(super) const FAILED: Check = Check {
    id: "SA514",
    severity: Severity::Warning,
    title: "no credential can be made on this node",
    why: "To trace a login to the job that it comes from, the module asks the slurmd at the other end, with a credential \
          by munged, or for auth/slurm by slurmd's or sackd's socket or the cluster's key (slurm.key, slurm.jwks). \
          Without one the login goes where action_unknown says.",
    fix: "For auth/slurm let slurmd run, or put the cluster's key beside slurm.conf, readable only by its owner.",
};

/// Has a credential made. Whether slurmds can be asked with one.
pub(super) fn look(host: &Host, node: &Node, version: Option<Version>, notes: &mut Notes) -> bool {
    // Only auth/slurm's messages have a version.
    let version = version.unwrap_or(Version::V24_11);
    let made = make_credential(node, version, &host.deadline.within(DAEMONS));
    let Err(problem) = made else {
        notes.summary(match node.conf.auth_type.as_deref() {
            Some("auth/slurm") => "auth/slurm",
            _ => "munged",
        });
        return true;
    };
    // Of an AuthType that the module does not speak, another room tells.
    if let Some(finding) = finding(problem) {
        notes.find(finding);
    }
    notes.unseen("slurmds of other nodes", "no credential to ask them with");
    false
}

fn finding(problem: AuthProblem) -> Option<Finding> {
    Some(match problem {
        AuthProblem::AuthType(_) => return None,
        AuthProblem::Absent { socket, cause } => {
            let spot = Spot::file(socket.to_string_lossy());
            Finding::of(&ABSENT, format!("connect: {cause}")).at(spot)
        }
        AuthProblem::Silent { socket } => {
            let limit = DAEMONS.as_millis();
            let detail = format!("no answer within {limit} ms");
            match socket {
                Some(socket) => {
                    Finding::of(&SILENT, detail).at(Spot::file(socket.to_string_lossy()))
                }
                None => Finding::of(&SILENT, format!("Slurm's SACK socket: {detail}")),
            }
        }
        AuthProblem::Directory { socket, problem } => {
            let spot = Spot::file(socket.to_string_lossy());
            Finding::of(&DIRECTORY, problem.to_string()).at(spot)
        }
        AuthProblem::Key(cause) | AuthProblem::Failed(cause) => Finding::of(&FAILED, cause),
    })
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn each_problem_is_told_once() {
        let socket = || "/run/munge/munge.socket.2".into();
        for (problem, id) in [
            (
                AuthProblem::Absent {
                    socket: socket(),
                    cause: io::ErrorKind::NotFound.into(),
                },
                Some("SA511"),
            ),
            (
                AuthProblem::Silent {
                    socket: Some(socket()),
                },
                Some("SA512"),
            ),
            (AuthProblem::Silent { socket: None }, Some("SA512")),
            (AuthProblem::Key("no key".into()), Some("SA514")),
            (AuthProblem::Failed("refused".into()), Some("SA514")),
            (AuthProblem::AuthType("auth/none".into()), None),
        ] {
            let shown = format!("{problem:?}");
            let found = finding(problem).map(|it| it.check.id);
            assert_eq!(found, id, "{shown}");
        }
    }
}
