//! Entry points for the fuzz targets, compiled only with `--cfg=fuzzing`.

use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::Duration;

use proto::stepd::NamespaceHandover;
use sys::Deadline;

use crate::adoption::cgroup::Membership;
use crate::adoption::namespaces;
use crate::adoption::steps::Steps;
use crate::adoption::{self, Adopted};
use crate::login::{Entry, Login};
use crate::node::{names, slurmd};
use crate::report::{self, Outcome};
use crate::session;

pub use crate::callerid::credential::auth_info;
pub use crate::exchange::{Broken, ask};
pub use crate::node::cache::{read_and_write as cache, sealed as sealed_memo};
pub use crate::node::slurmd::{ConfHint, of_files};
pub use crate::options::of_file as options_of_file;
pub use crate::stepd::owners::{read_and_write as owners, sealed as sealed_owner};

/// The host's other names in /etc/hosts.
#[must_use]
pub fn aliases(hosts: &str, full: &str, short: &str) -> Vec<String> {
    names::aliases_in(hosts, full, short)
}

/// Expands a SlurmdSpoolDir template.
#[must_use]
pub fn spool_dir(template: &str, node: &str, host: Option<&str>) -> PathBuf {
    names::expand(template, node, host)
}

/// The line of a login for people, and the one for machines.
#[must_use]
pub fn logged(login: &Login, outcome: &Outcome) -> (String, String) {
    let event = report::event(Entry::Account, login, outcome, Duration::ZERO);
    (event.text(), event.json(pam::Severity::Info))
}

/// Parses a line of a pid file or of cgroup.procs.
#[must_use]
pub fn pid(line: &[u8]) -> Option<u32> {
    slurmd::pid(line)
}

/// Whether the text of a process's /proc/PID/cgroup puts it in a job's extern step, given the text of
/// its stepd's.
#[must_use]
pub fn is_inside(job: u32, stepd: &str, process: &str) -> bool {
    let membership = Steps::by(job, stepd).holds(process, true);
    matches!(membership, Membership::Inside(_))
}

/// Whether a process's title is that of sshd's helper.
#[must_use]
pub fn is_helper(title: &[u8]) -> bool {
    session::is_helpers(title)
}

/// Receives the job's display from its stepd over the socket.
///
/// # Errors
/// [`Broken`].
pub fn x11(socket: &OwnedFd, deadline: &Deadline) -> Result<Adopted, Broken> {
    adoption::receive_x11(socket, deadline)
}

/// The number of namespaces that a stepd hands over.
///
/// # Errors
/// [`Broken`].
pub fn namespaces(
    socket: &OwnedFd,
    handover: NamespaceHandover,
    deadline: &Deadline,
) -> Result<usize, Broken> {
    match handover.request() {
        None => Ok(0),
        question => {
            let handed = namespaces::receive_namespaces(socket, handover, question, deadline)?;
            match handed.missing {
                Some((_, broken)) => Err(broken),
                None => Ok(handed.found.len()),
            }
        }
    }
}
