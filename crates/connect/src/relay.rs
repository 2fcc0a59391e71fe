//! Moves bytes between ssh and a node's sshd.

use std::fs::File;
use std::io;
use std::net::{Shutdown, SocketAddr, TcpStream, ToSocketAddrs as _};
use std::os::fd::{AsFd, BorrowedFd};
use std::process::{ChildStdin, ChildStdout};
use std::thread;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::{Errno, read, write};
use rustix::net::sockopt::{
    set_socket_keepalive, set_tcp_keepidle, set_tcp_keepintvl, set_tcp_user_timeout,
};
use rustix::pipe::{SpliceFlags, fcntl_setpipe_size, splice};

/// The time for one address.
const CONNECT: Duration = Duration::from_secs(10);
/// The time after which a host that does not answer is dead, if the step has ended.
const DEAD: Duration = Duration::from_secs(20);
/// The most that is moved at once, in bytes, and the size of pipes. Larger ones were no faster, and a user who has 64 MiB of pipes
/// gets small ones for everything else (pipe-user-pages-soft).
const CHUNK: usize = 256 << 10;

/// Connects, by IPv4 if that is possible.
pub(crate) fn connect(host: &str, port: u16) -> io::Result<TcpStream> {
    let mut addresses: Vec<SocketAddr> = (host, port).to_socket_addrs()?.collect();
    addresses.sort_by_key(SocketAddr::is_ipv6);
    let mut last = io::Error::other("no address");
    for address in addresses {
        match TcpStream::connect_timeout(&address, CONNECT) {
            Ok(stream) => return prepared(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// The connection, as ssh itself makes one: no byte waits for more, and a dead host is noticed (ssh_config(5), TCPKeepAlive).
pub(crate) fn prepared(stream: TcpStream) -> io::Result<TcpStream> {
    stream.set_nonblocking(false)?;
    stream.set_nodelay(true)?;
    set_socket_keepalive(&stream, true)?;
    Ok(stream)
}

/// Relays between two connections. It ends once nobody holds the other end of `life` any more, which is after ssh has got
/// everything: a connection that is closed with bytes unread would take those on their way with it. There is nobody to tell
/// of a failure.
pub(crate) fn relay_between(ssh: &TcpStream, sshd: &TcpStream, mut life: File) -> io::Result<()> {
    let (input, up, end) = (ssh.try_clone()?, sshd.try_clone()?, sshd.try_clone()?);
    thread::spawn(move || {
        let _ = carry(input.as_fd(), up.as_fd());
        let _ = up.shutdown(Shutdown::Write);
    });
    let lives = thread::spawn(move || {
        let _ = io::copy(&mut life, &mut io::sink());
        let _ = end.shutdown(Shutdown::Both);
    });
    let _ = carry(sshd.as_fd(), ssh.as_fd());
    let _ = ssh.shutdown(Shutdown::Write);
    let _ = lives.join();
    Ok(())
}

/// Reads what the step still says, by a thread. Once it has ended so has the relay, unless its host is dead: that is noticed
/// soon (tcp(7)), not after the two hours of [`prepared`].
pub(crate) fn watch(mut step: ChildStdout, stream: &TcpStream) -> io::Result<()> {
    let stream = stream.try_clone()?;
    thread::spawn(move || {
        let _ = io::copy(&mut step, &mut io::sink());
        let _ = set_tcp_keepidle(&stream, DEAD / 4);
        let _ = set_tcp_keepintvl(&stream, DEAD / 4);
        let _ = set_tcp_user_timeout(&stream, DEAD.as_millis() as u32);
    });
    Ok(())
}

/// Relays between this process's input and output and srun's, until srun ends.
pub(crate) fn relay_by(to: ChildStdin, from: &ChildStdout) -> io::Result<()> {
    thread::spawn(move || carry(io::stdin().as_fd(), to.as_fd()));
    unless_gone(carry(from.as_fd(), io::stdout().as_fd()))
}

/// Relays between this process's input and output and the connection, until sshd ends it or ssh is gone. The end of the
/// input is passed on; what sshd still sends then arrives.
///
/// # Errors
/// The connection broke.
pub(crate) fn relay(stream: TcpStream) -> io::Result<()> {
    stream.set_nonblocking(true)?;
    let up = stream.try_clone()?;
    thread::spawn(move || {
        let stdin = io::stdin();
        let _ = carry(stdin.as_fd(), up.as_fd());
        let _ = up.shutdown(Shutdown::Write);
        // ssh closes both ends as it goes; who only has said all still reads.
        wait_until_gone(io::stdout().as_fd());
        let _ = up.shutdown(Shutdown::Both);
    });
    unless_gone(carry(stream.as_fd(), io::stdout().as_fd()))
}

/// That ssh has gone is no error.
fn unless_gone(done: io::Result<()>) -> io::Result<()> {
    match done {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

/// Moves all bytes up to the end of the input.
fn carry(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> io::Result<()> {
    for pipe in [from, to] {
        // No pipe, or more than the user may have: as it is.
        let _ = fcntl_setpipe_size(pipe, CHUNK);
    }
    let flags = SpliceFlags::MOVE | SpliceFlags::NONBLOCK;
    loop {
        // A splice that waits by itself was seen to sleep on while there were bytes (Linux 6.18).
        wait_for(from, PollFlags::IN)?;
        match splice(from, None, to, None, CHUNK, flags) {
            Ok(0) => return Ok(()),
            Ok(_) | Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => wait_for(to, PollFlags::OUT)?,
            // Neither is a pipe, or one is a terminal or a file for appending.
            Err(Errno::INVAL) => return copy(from, to),
            Err(error) => return Err(error.into()),
        }
    }
}

/// As [`carry`], through this process's memory.
fn copy(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> io::Result<()> {
    let mut buffer = vec![0; CHUNK];
    loop {
        let count = match read(from, &mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => count,
            Err(Errno::INTR) => continue,
            Err(Errno::AGAIN) => {
                wait_for(from, PollFlags::IN)?;
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        let mut rest = &buffer[..count];
        while !rest.is_empty() {
            match write(to, rest) {
                Ok(written) => rest = &rest[written..],
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => wait_for(to, PollFlags::OUT)?,
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// Waits until a descriptor is ready, which somebody else may have set not to block.
fn wait_for(fd: BorrowedFd<'_>, event: PollFlags) -> io::Result<()> {
    let mut fds = [PollFd::from_borrowed_fd(fd, event)];
    match poll(&mut fds, None) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Waits until nobody reads any more.
fn wait_until_gone(output: BorrowedFd<'_>) {
    let mut fds = [PollFd::from_borrowed_fd(output, PollFlags::empty())];
    while poll(&mut fds, None) == Err(Errno::INTR) {}
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;

    /// More than pipes and sockets hold.
    const MANY: usize = 5 << 20;

    fn bytes() -> Vec<u8> {
        (0..MANY).map(|it| (it % 251) as u8).collect()
    }

    /// Carries from what `input` gives to what `output` gives; what came out.
    fn carried(
        input: (impl AsFd + Send, impl io::Write + Send),
        output: (impl io::Read + Send, impl AsFd + Send),
    ) -> Vec<u8> {
        let ((from, mut feed), (mut sink, to)) = (input, output);
        let mut got = Vec::new();
        thread::scope(|scope| {
            scope.spawn(move || {
                feed.write_all(&bytes()).expect("input");
                drop(feed);
            });
            scope.spawn(move || {
                carry(from.as_fd(), to.as_fd()).expect("carry");
                drop(to);
            });
            sink.read_to_end(&mut got).expect("output");
        });
        got
    }

    #[test]
    fn all_bytes_arrive_between_pipes_and_sockets() {
        let sockets = || UnixStream::pair().expect("sockets");
        let pipes = || {
            let (from, to) = rustix::pipe::pipe().expect("a pipe");
            (File::from(from), File::from(to))
        };
        assert!(carried(pipes(), sockets()) == bytes(), "pipe to socket");
        assert!(carried(sockets(), pipes()) == bytes(), "socket to pipe");
        assert!(carried(sockets(), sockets()) == bytes(), "by memory");
        assert!(carried(pipes(), pipes()) == bytes(), "pipe to pipe");
    }

    #[test]
    fn descriptors_that_do_not_block_are_waited_for() {
        let (input, output) = (
            UnixStream::pair().expect("sockets"),
            UnixStream::pair().expect("sockets"),
        );
        input.0.set_nonblocking(true).expect("set it");
        output.1.set_nonblocking(true).expect("set it");
        assert!(carried(input, output) == bytes());
    }
}
