//! The way to the node: straight to its sshd, or from within the job.

use std::io::{self, Write as _};
use std::path::Path;
use std::process::{Child, Command};

use crate::callback::{Callback, Outcome};
use crate::error::Error;
use crate::find::Found;
use crate::relay::{connect, relay, relay_by};
use crate::slurm::Slurm;
use crate::step::srun;

/// The way to a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Straight if the user has no other job there and the node can be reached, or else from within the job.
    Auto,
    /// Straight to the node's sshd, which then takes the login for the newest job of the user.
    Direct,
    /// By srun, from within the job: caller ID names it.
    Srun,
}

/// Connects this process's input and output to the sshd of the node. `program` is slurm-adopt's path.
///
/// # Errors
/// [`Error`]; what srun has to say, it tells by itself.
pub fn reach(
    found: &Found,
    way: Way,
    port: u16,
    program: &Path,
    say: &mut dyn FnMut(&str),
) -> Result<(), Error> {
    let is_direct = match way {
        Way::Auto => !found.has_others,
        Way::Direct => true,
        Way::Srun => false,
    };
    if is_direct {
        match connect_to_node(&found.node, port) {
            Ok(stream) => {
                leave_terminal();
                return relay(stream).map_err(Error::Relay);
            }
            Err(error) if way == Way::Direct => return Err(error),
            Err(error) => say(&format!("{error}; trying by srun")),
        }
    }
    leave_terminal();
    reach_by(&mut srun(&found.job, &found.node, port, program))
}

/// Connects to the node from within the job.
fn reach_by(srun: &mut Command) -> Result<(), Error> {
    let callback = Callback::listen(Slurm.srun_ports()).map_err(Error::Listen)?;
    let run = |cause| Error::Run {
        program: "srun",
        cause,
    };
    let mut step = srun.spawn().map_err(run)?;
    let relayed = relay_with(callback, &mut step).map_err(Error::Relay);
    let status = step.wait().map_err(run)?;
    match status.success() {
        true => relayed,
        false => Err(Error::Failed {
            program: "srun",
            status,
            said: String::new(),
        }),
    }
}

/// Relays by way of the step, whose input then ends, as it does if ssh ends this process: srun would tell the user if it were
/// ended itself. Its output stays open for what a TaskEpilog prints.
fn relay_with(callback: Callback, step: &mut Child) -> io::Result<()> {
    let pipes = step.stdin.take().zip(step.stdout.as_mut());
    let (mut to, from) = pipes.ok_or_else(|| io::Error::other("srun has no pipes"))?;
    to.write_all(callback.invitation()?.as_bytes())?;
    match callback.wait(from, io::stdout())? {
        Outcome::Called(stream) => relay(stream),
        Outcome::Declined => relay_by(to, from),
        Outcome::Gone => Ok(()),
    }
}

/// Connects to the node by its name, or by its address in slurm.conf if the name has none here.
fn connect_to_node(node: &str, port: u16) -> Result<std::net::TcpStream, Error> {
    let failed = |cause| Error::Connect {
        node: node.to_owned(),
        port,
        cause,
    };
    match connect(node, port) {
        Err(error) if !has_tried(&error) => {}
        result => return result.map_err(failed),
    }
    let address = Slurm.address_of(node)?;
    connect(address.as_deref().unwrap_or(node), port).map_err(failed)
}

/// Whether the name had an address: an error of the resolver has no number.
fn has_tried(error: &io::Error) -> bool {
    error.raw_os_error().is_some() || error.kind() == io::ErrorKind::TimedOut
}

/// A signal that the terminal sends to all its processes is for ssh, which ends this process as it goes.
fn leave_terminal() {
    // The leader of a group cannot; then there is no terminal, as below sshd.
    let _ = rustix::process::setsid();
}
