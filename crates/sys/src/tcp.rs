//! TCP: the connections that this process holds, and new ones that never block.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{BorrowedFd, OwnedFd, RawFd};

use rustix::io::Errno;
use rustix::net::{self, AddressFamily, SocketFlags, SocketType, sockopt};

/// A TCP connection as this process sees it. IPv4-mapped IPv6 addresses are given as IPv4.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Connection {
    /// This end.
    pub local: SocketAddr,
    /// The other end.
    pub peer: SocketAddr,
}

/// The TCP connections among this process's descriptors, in the order of their numbers.
///
/// # Errors
/// Those of the system, if /proc/self/fd cannot be read.
pub fn tcp_connections() -> io::Result<Vec<Connection>> {
    let mut found: Vec<(RawFd, Connection)> = Vec::new();
    each_socket(&mut |number, _, connection| found.push((number, connection)))?;
    found.sort_by_key(|(number, _)| *number);
    Ok(found
        .into_iter()
        .map(|(_, connection)| connection)
        .collect())
}

/// A copy of the descriptor of one of these connections, close-on-exec, to wait for its end: what is read from it
/// would be lost to its owner. None if the connection is closed.
///
/// # Errors
/// Those of the system.
pub fn copy_of_tcp(wanted: &Connection) -> io::Result<Option<OwnedFd>> {
    let mut copy = None;
    each_socket(&mut |_, socket, connection| {
        if connection == *wanted && copy.is_none() {
            copy = Some(socket.try_clone_to_owned());
        }
    })?;
    copy.transpose()
}

/// Calls `look` with each connected TCP socket among this process's descriptors.
fn each_socket(look: &mut dyn FnMut(RawFd, BorrowedFd<'_>, Connection)) -> io::Result<()> {
    for entry in fs::read_dir("/proc/self/fd")? {
        let name = entry?.file_name();
        let Some(fd @ 0..) = name.to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        // SAFETY: BorrowedFd::borrow_raw: "The resource pointed to by fd must remain open for the duration
        // of the returned BorrowedFd, and it must not have the value -1". The number is not negative, and
        // this process's own directory has just listed it; this thread closes nothing meanwhile. Should
        // another thread do that, the kernel answers EBADF or about another socket: the number is only
        // asked for its names and copied, never read, written or closed.
        let socket = unsafe { BorrowedFd::borrow_raw(fd) };
        if let Some(connection) = connection(socket) {
            look(fd, socket, connection);
        }
    }
    Ok(())
}

/// Both ends of a connected TCP socket; `None` for any other descriptor.
fn connection(socket: BorrowedFd<'_>) -> Option<Connection> {
    if sockopt::socket_type(socket).ok()? != SocketType::STREAM {
        return None;
    }
    Some(Connection {
        local: address(net::getsockname(socket).ok()?)?,
        peer: address(net::getpeername(socket).ok()??)?,
    })
}

fn address(found: net::SocketAddrAny) -> Option<SocketAddr> {
    let mut address = SocketAddr::try_from(found).ok()?;
    address.set_ip(address.ip().to_canonical());
    if let SocketAddr::V6(address) = &mut address {
        address.set_flowinfo(0);
    }
    Some(address)
}

/// Begins to connect a close-on-exec, non-blocking stream socket. It becomes writable when the connection
/// is made or has failed; [`connect_error`] tells which.
///
/// # Errors
/// Those that the system reports at once.
pub fn connect_tcp(to: &SocketAddr) -> io::Result<OwnedFd> {
    let family = match to {
        SocketAddr::V4(_) => AddressFamily::INET,
        SocketAddr::V6(_) => AddressFamily::INET6,
    };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = net::socket_with(family, SocketType::STREAM, flags, None)?;
    match net::connect(&socket, to) {
        // connect(2): an interrupted call goes on in the background as well.
        Ok(()) | Err(Errno::INPROGRESS | Errno::INTR) => Ok(socket),
        Err(error) => Err(error.into()),
    }
}

/// The outcome of [`connect_tcp`] (SO_ERROR).
///
/// # Errors
/// The reason why it is not connected.
pub fn connect_error(fd: &OwnedFd) -> io::Result<()> {
    sockopt::socket_error(fd)??;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::{TcpListener, TcpStream};
    use std::time::Duration;

    use super::*;
    use crate::socket::{Interest, poll};

    #[test]
    fn finds_its_own_connections() {
        for (listen, through) in [
            ("127.0.0.1:0", "127.0.0.1"),
            ("[::1]:0", "::1"),
            // A dual-stack listener sees IPv4 clients in IPv6 form.
            ("[::]:0", "127.0.0.1"),
        ] {
            let listener = TcpListener::bind(listen).expect("bind");
            let port = listener.local_addr().expect("name").port();
            let client = TcpStream::connect((through, port)).expect("connect");
            let (server, _) = listener.accept().expect("accept");
            let ours = Connection {
                local: client.peer_addr().expect("peer"),
                peer: client.local_addr().expect("name"),
            };
            let found = tcp_connections().expect("/proc/self/fd");
            assert!(found.contains(&ours), "{listen}: {found:?} lacks {ours:?}");
            drop(server);
        }
    }

    #[test]
    fn a_client_that_hangs_up_is_seen_behind_what_it_has_sent() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
        let address = listener.local_addr().expect("name");
        let mut client = TcpStream::connect(address).expect("connect");
        let (mut server, peer) = listener.accept().expect("accept");
        let local = address;
        let copy = copy_of_tcp(&Connection { local, peer });
        let copy = copy.expect("/proc/self/fd").expect("it is open");
        let has_hung_up = |timeout| {
            let mut interests = [Interest::hang_up(&copy)];
            poll(&mut interests, timeout).expect("poll");
            interests[0].is_ready()
        };
        client.write_all(b"sent").expect("send");
        assert!(!has_hung_up(Duration::from_millis(30)), "it only sends");
        drop(client);
        assert!(has_hung_up(Duration::from_secs(60)));
        let mut text = String::new();
        server.read_to_string(&mut text).expect("read");
        assert_eq!(text, "sent", "nothing is taken away");
        let local = "127.0.0.1:1".parse().expect("address");
        let none = copy_of_tcp(&Connection { local, peer });
        assert!(none.expect("/proc/self/fd").is_none());
    }

    #[test]
    fn connects_or_says_why_not() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
        let address = listener.local_addr().expect("name");
        let settle = |fd: &OwnedFd| {
            let mut interests = [Interest::writable(fd)];
            poll(&mut interests, Duration::from_secs(5)).expect("poll");
            assert!(interests[0].is_ready());
            connect_error(fd)
        };
        settle(&connect_tcp(&address).expect("begin")).expect("connected");
        drop(listener);
        let refused = connect_tcp(&address).and_then(|fd| settle(&fd));
        let kind = refused.expect_err("nobody listens").kind();
        assert_eq!(kind, io::ErrorKind::ConnectionRefused);
    }
}
