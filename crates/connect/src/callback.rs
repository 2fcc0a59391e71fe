//! A connection beside srun's. srun and slurmstepd carry each KiB as a message of its own (SLURM_IO_MAX_MSG_LEN, in all
//! releases): so the relay in the job calls the proxy back, and srun's own connection carries what it takes to do that.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::ops::RangeInclusive;
use std::os::fd::AsFd;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::retry_on_intr;

use crate::relay::prepared;

/// Hexadecimal digits of each half of the secret: the caller shows the first, the proxy answers with the second.
const DIGITS: usize = 32;
/// The line by which the step says that it does not call.
pub(crate) const DECLINES: &str = "slurm-adopt: by srun\n";
/// Callers that have not shown the secret, at most.
const STRANGERS: usize = 8;
/// The time for a connection to the proxy: one packet may be lost.
const CONNECT: Duration = Duration::from_secs(2);
/// The time for the proxy's answer, which may be on a busy host.
const ANSWER: Duration = Duration::from_secs(10);

/// The proxy, waiting for its relay.
#[derive(Debug)]
pub(crate) struct Callback {
    listener: TcpListener,
    secret: String,
}

/// What came of it.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// The relay has called.
    Called(TcpStream),
    /// The connection goes by srun.
    Declined,
    /// The step has ended.
    Ended,
    /// ssh has gone.
    Gone,
}

impl Callback {
    /// Listens at one of these ports, or any other.
    ///
    /// # Errors
    /// None is free, or there is no randomness.
    pub(crate) fn listen(ports: Option<RangeInclusive<u16>>) -> io::Result<Self> {
        let mut bytes = [0; DIGITS];
        File::open("/dev/urandom")?.read_exact(&mut bytes)?;
        let secret = bytes.iter().map(|it| format!("{it:02x}")).collect();
        let mut failed = io::Error::other("no port");
        for port in ports.into_iter().flatten().chain([0]) {
            match listen_at(port) {
                Ok(listener) => {
                    listener.set_nonblocking(true)?;
                    return Ok(Self { listener, secret });
                }
                Err(error) => failed = error,
            }
        }
        Err(failed)
    }

    /// Writes the first line of the step's input: port and secret. Only the user can read it there, unlike arguments.
    pub(crate) fn invite(&self, step: &mut impl Write) -> io::Result<()> {
        let port = self.listener.local_addr()?.port();
        step.write_all(format!("{port} {}\n", self.secret).as_bytes())
    }

    /// Waits for the relay. `said` is the step's output, of which a byte that follows [`DECLINES`] is not read; nobody
    /// waits any more once `reader` is gone.
    pub(crate) fn wait(
        self,
        said: &mut (impl AsFd + Read),
        reader: impl AsFd,
    ) -> io::Result<Outcome> {
        let mut strangers: Vec<TcpStream> = Vec::new();
        let mut line = Vec::new();
        loop {
            let mut fds = vec![
                PollFd::from_borrowed_fd(reader.as_fd(), PollFlags::empty()),
                PollFd::from_borrowed_fd(said.as_fd(), PollFlags::IN),
                PollFd::new(&self.listener, PollFlags::IN),
            ];
            fds.extend(strangers.iter().map(|it| PollFd::new(it, PollFlags::IN)));
            retry_on_intr(|| poll(&mut fds, None))?;
            let is_ready: Vec<bool> = fds.iter().map(|it| !it.revents().is_empty()).collect();
            if is_ready[0] {
                return Ok(Outcome::Gone);
            }
            // A site's TaskProlog may have said something before.
            if is_ready[1] && !has_more(said, &mut line)? {
                return Ok(Outcome::Ended);
            }
            if line.ends_with(DECLINES.as_bytes()) {
                return Ok(Outcome::Declined);
            }
            let mut shown = is_ready[3..].iter();
            let (speaking, silent): (Vec<_>, Vec<_>) = strangers
                .into_iter()
                .partition(|_| shown.next() == Some(&true));
            strangers = silent;
            let caller = speaking.into_iter().find_map(|it| self.welcomed(it));
            if let Some(caller) = caller {
                return Ok(Outcome::Called(caller));
            }
            if is_ready[2] {
                self.accept(&mut strangers)?;
            }
        }
    }

    /// Takes in one that calls.
    fn accept(&self, strangers: &mut Vec<TcpStream>) -> io::Result<()> {
        match self.listener.accept() {
            Ok((stranger, _)) => {
                stranger.set_nonblocking(true)?;
                strangers.push(stranger);
                if strangers.len() > STRANGERS {
                    strangers.remove(0);
                }
                Ok(())
            }
            // It has gone again, accept(2).
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// The caller, if it shows the secret, in one packet as it was written, and waits for the answer.
    fn welcomed(&self, mut stranger: TcpStream) -> Option<TcpStream> {
        let (first, second) = self.secret.as_bytes().split_at(DIGITS);
        let mut shown = [0; DIGITS + 1];
        let count = stranger.read(&mut shown).ok()?;
        if shown[..count] != *first {
            return None;
        }
        let more = stranger.read(&mut shown).map_err(|error| error.kind());
        if more != Err(io::ErrorKind::WouldBlock) {
            return None;
        }
        stranger.write_all(second).ok()?;
        prepared(stranger).ok()
    }
}

/// By IPv4 too (ipv6(7), IPV6_V6ONLY), or by that alone where there is no IPv6.
fn listen_at(port: u16) -> io::Result<TcpListener> {
    match TcpListener::bind((Ipv6Addr::UNSPECIFIED, port)) {
        Err(error) if error.kind() != io::ErrorKind::AddrInUse => {
            TcpListener::bind((Ipv4Addr::UNSPECIFIED, port))
        }
        result => result,
    }
}

/// Reads a byte into the line, which begins anew after its end. Whether there was one.
fn has_more(said: &mut impl Read, line: &mut Vec<u8>) -> io::Result<bool> {
    let mut byte = [0];
    match said.read(&mut byte) {
        Ok(0) => return Ok(false),
        Ok(_) if line.last() == Some(&b'\n') => *line = byte.to_vec(),
        Ok(_) => line.extend(byte),
        Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
        Err(error) => return Err(error),
    }
    Ok(true)
}

/// The relay's side, of which each release must understand each other's: another protocol needs another subcommand. Reads the invitation and calls the proxy, which is where srun was called (`SLURM_LAUNCH_NODE_IPADDR`,
/// srun's man page), or else tells it that the connection goes by srun.
///
/// # Errors
/// The proxy has gone.
pub fn call_back(
    mut input: impl Read,
    mut output: impl Write,
    proxy: Option<&str>,
) -> io::Result<Option<TcpStream>> {
    let invitation = first_line(&mut input)?;
    let called = proxy.and_then(|it| call(it.parse().ok()?, &invitation));
    if called.is_none() {
        output.write_all(DECLINES.as_bytes())?;
        output.flush()?;
    }
    Ok(called)
}

/// Reads no byte more than the line.
fn first_line(input: &mut impl Read) -> io::Result<String> {
    let mut line = Vec::new();
    while line.last() != Some(&b'\n') && has_more(input, &mut line)? {}
    Ok(String::from_utf8_lossy(&line).trim_end().to_owned())
}

fn call(proxy: IpAddr, invitation: &str) -> Option<TcpStream> {
    let (port, secret) = invitation.split_once(' ')?;
    let (first, second) = secret.split_at_checked(DIGITS)?;
    let address = SocketAddr::new(proxy, port.parse().ok()?);
    let mut stream = TcpStream::connect_timeout(&address, CONNECT).ok()?;
    stream.write_all(first.as_bytes()).ok()?;
    stream.set_read_timeout(Some(ANSWER)).ok()?;
    let mut answer = [0; DIGITS];
    stream.read_exact(&mut answer).ok()?;
    (answer == *second.as_bytes()).then_some(())?;
    stream.set_read_timeout(None).ok()?;
    prepared(stream).ok()
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;
    use std::thread;

    use super::*;

    const HERE: Option<&str> = Some("127.0.0.1");

    /// A proxy that waits: its invitation, the other ends of the step's output and of what the proxy writes to, and the proxy.
    fn proxy() -> (
        String,
        UnixStream,
        UnixStream,
        thread::JoinHandle<(Outcome, UnixStream)>,
    ) {
        let callback = Callback::listen(None).expect("a port");
        let mut invitation = Vec::new();
        callback.invite(&mut invitation).expect("its number");
        let invitation = String::from_utf8(invitation).expect("a text");
        let (step, mut said) = UnixStream::pair().expect("sockets");
        let (ssh, reader) = UnixStream::pair().expect("sockets");
        let waits = thread::spawn(move || {
            let outcome = callback.wait(&mut said, &reader).expect("wait");
            (outcome, said)
        });
        (invitation, step, ssh, waits)
    }

    #[test]
    fn the_relay_calls_back() {
        let (invitation, step, _ssh, proxy) = proxy();
        let input = format!("{invitation}rest");
        let mut input = input.as_bytes();
        let called = call_back(&mut input, step, HERE).expect("an invitation");
        assert_eq!(input, b"rest", "what is sshd's");
        let mut called = called.expect("a connection");
        let (Outcome::Called(mut stream), _) = proxy.join().expect("the proxy") else {
            panic!("not called");
        };
        called.write_all(b"to ssh").expect("write");
        stream.write_all(b"to sshd").expect("write");
        let (mut to_ssh, mut to_sshd) = ([0; 6], [0; 7]);
        stream.read_exact(&mut to_ssh).expect("read");
        called.read_exact(&mut to_sshd).expect("read");
        assert_eq!((&to_ssh, &to_sshd), (b"to ssh", b"to sshd"));
    }

    #[test]
    fn strangers_are_not_taken_for_the_relay() {
        let (invitation, step, _ssh, proxy) = proxy();
        let (port, secret) = invitation.trim_end().split_once(' ').expect("two words");
        let port = port.parse().expect("a port");
        let connect = || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("connect");
        let first = &secret[..DIGITS];
        let other = "0".repeat(DIGITS);
        for shown in [&first[1..], &other, secret, ""] {
            let mut stranger = connect();
            stranger.write_all(shown.as_bytes()).expect("write");
            // It may be dropped already.
            let _ = stranger.shutdown(std::net::Shutdown::Write);
            // The end, or a reset where something was left unread.
            let answer = stranger.read(&mut [0]).unwrap_or(0);
            assert_eq!(answer, 0, "{shown}");
        }
        let _silent: Vec<TcpStream> = (0..3 * STRANGERS).map(|_| connect()).collect();
        let called = call_back(invitation.as_bytes(), step, HERE).expect("an invitation");
        assert!(called.is_some());
        let (outcome, _) = proxy.join().expect("the proxy");
        assert!(matches!(outcome, Outcome::Called(_)), "{outcome:?}");
    }

    #[test]
    fn a_step_that_cannot_call_is_heard_by_srun() {
        let secret = "0123456789abcdef".repeat(2) + &"fedcba9876543210".repeat(2);
        let nobody = format!("1 {secret}\n");
        for invitation in [&nobody, "1 secret\n", "\n"] {
            declined(invitation, HERE);
        }
        declined(&nobody, None);
        declined(&nobody, Some("a name"));
        // Another host, which does not know the answer.
        for answer in ["", &secret[..DIGITS], &"+".repeat(DIGITS)] {
            declined(&format!("{} {secret}\n", host(answer)), HERE);
        }
    }

    /// The port of a host that says this to who calls.
    fn host(answer: &str) -> u16 {
        let answer = answer.to_owned();
        let host = TcpListener::bind("127.0.0.1:0").expect("bind");
        let port = host.local_addr().expect("an address").port();
        thread::spawn(move || {
            let (mut caller, _) = host.accept().expect("a call");
            caller.read_exact(&mut [0; DIGITS]).expect("half a secret");
            caller.write_all(answer.as_bytes()).expect("write");
        });
        port
    }

    #[test]
    fn a_relay_that_has_given_up_is_not_taken() {
        let callback = Callback::listen(None).expect("a port");
        let address = callback.listener.local_addr().expect("an address");
        let (mut step, mut said) = UnixStream::pair().expect("sockets");
        // All is there before the proxy looks.
        let mut relay = TcpStream::connect((Ipv4Addr::LOCALHOST, address.port())).expect("connect");
        let first = &callback.secret.as_bytes()[..DIGITS];
        relay.write_all(first).expect("write");
        drop(relay);
        step.write_all(DECLINES.as_bytes()).expect("write");
        let outcome = callback.wait(&mut said, &step).expect("wait");
        assert!(matches!(outcome, Outcome::Declined), "{outcome:?}");
    }

    /// The proxy hears of it after what a TaskProlog has printed, and reads nothing that follows.
    fn declined(invitation: &str, at: Option<&str>) {
        let (_, mut step, _ssh, proxy) = proxy();
        step.write_all(b"a prolog's line\nand more ")
            .expect("write");
        let called = call_back(invitation.as_bytes(), &step, at).expect("an invitation");
        assert!(called.is_none(), "{invitation}");
        step.write_all(b"SSH-2.0").expect("write");
        drop(step);
        let (outcome, mut said) = proxy.join().expect("the proxy");
        assert!(matches!(outcome, Outcome::Declined), "{outcome:?}");
        let mut rest = String::new();
        said.read_to_string(&mut rest).expect("the rest");
        assert_eq!(rest, "SSH-2.0");
    }

    #[test]
    fn nobody_is_waited_for_once_the_step_or_ssh_has_gone() {
        let (_, step, _ssh, of_step) = proxy();
        drop(step);
        let (outcome, _) = of_step.join().expect("the proxy");
        assert!(matches!(outcome, Outcome::Ended), "{outcome:?}");

        let (_, _step, ssh, of_ssh) = proxy();
        drop(ssh);
        let (outcome, _) = of_ssh.join().expect("the proxy");
        assert!(matches!(outcome, Outcome::Gone), "{outcome:?}");
    }

    #[test]
    fn a_port_is_one_of_those_that_are_allowed() {
        let one = Callback::listen(None).expect("a port");
        let taken = one.listener.local_addr().expect("an address").port();
        let other = Callback::listen(Some(taken..=taken)).expect("any other");
        assert_ne!(
            other.listener.local_addr().expect("an address").port(),
            taken
        );
        let last = taken.saturating_add(20);
        let other = Callback::listen(Some(taken..=last)).expect("another");
        let port = other.listener.local_addr().expect("an address").port();
        assert!((taken + 1..=last).contains(&port), "{port}");
    }
}
