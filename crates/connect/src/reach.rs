//! The way to the node: straight to its sshd, or from within the job.

use std::io;
use std::path::Path;
use std::process::{Child, Command};

use crate::callback::{Callback, Outcome};
use crate::error::Error;
use crate::find::Found;
use crate::relay::{connect, relay, relay_by, watch};
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
    let run = |cause| Error::Run {
        program: "srun",
        cause,
    };
    let mut step = srun.spawn().map_err(run)?;
    let relayed = relay_with(&mut step);
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
/// ended itself.
fn relay_with(step: &mut Child) -> Result<(), Error> {
    let pipes = step.stdin.take().zip(step.stdout.take());
    let none = || Error::Relay(io::Error::other("srun has no pipes"));
    let (mut to, mut from) = pipes.ok_or_else(none)?;
    let callback = Callback::listen(Slurm.srun_ports()).map_err(Error::Listen)?;
    let called = callback
        .invite(&mut to)
        .and_then(|()| callback.wait(&mut from, io::stdout()));
    let relayed = match called.map_err(Error::Relay)? {
        Outcome::Called(stream) => watch(from, &stream).and_then(|()| relay(stream)),
        Outcome::Declined => relay_by(to, &from),
        Outcome::Ended => return Err(Error::Ended),
        Outcome::Gone => Ok(()),
    };
    relayed.map_err(Error::Relay)
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

#[cfg(test)]
mod tests {
    use std::process::Stdio;

    use super::*;

    /// In the place of srun and its step: bash calls back, says a word to ssh and hangs up.
    const CALLS: &str = r#"read -r port secret
exec 3<>"/dev/tcp/127.0.0.1/$port"
printf %s "${secret:0:32}" >&3
read -r -N 32 answer <&3
[ "$answer" = "${secret:32}" ] || exit 7
echo "a word by the relay" >&3
exec 3>&-
"#;

    fn reached(script: &str) -> Result<(), Error> {
        let mut step = Command::new("bash");
        step.args(["-c", script]).stdin(Stdio::piped());
        reach_by(step.stdout(Stdio::piped()))
    }

    #[test]
    fn what_the_step_prints_besides_does_not_keep_it() {
        // More than a pipe holds, as a TaskEpilog may.
        let prints = format!("{CALLS}head -c 200000 /dev/zero; cat >&2");
        reached(&prints).expect("a connection");
    }

    #[test]
    fn a_step_that_ends_without_a_connection_is_told() {
        let error = reached("read -r it").expect_err("no connection");
        assert!(matches!(error, Error::Ended), "{error}");
        let error = reached("exit 3").expect_err("no connection");
        assert!(error.to_string().contains("exit status: 3"), "{error}");
    }
}
