//! TCP: the connections that this process holds, and new ones that never block.

use std::ffi::c_int;
use std::io;
use std::mem;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd, RawFd};
use std::path::Path;

use crate::listing::Listing;

/// One TCP connection, seen from here. IPv4 addresses in IPv6 form are given as IPv4.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Connection {
    /// This end.
    pub local: SocketAddr,
    /// The other end.
    pub peer: SocketAddr,
}

/// The TCP connections among this process's descriptors, in their order.
///
/// # Errors
/// The system's, where /proc/self/fd can't be read.
pub fn tcp_connections() -> io::Result<Vec<Connection>> {
    let mut found: Vec<(RawFd, Connection)> = Vec::new();
    let mut listing = Listing::open(Path::new("/proc/self/fd"))?;
    while let Some(name) = listing.next()? {
        if let Some(fd) = name.to_str().ok().and_then(|name| name.parse().ok()) {
            if let Some(connection) = connection(fd) {
                let place = found.partition_point(|(other, _)| *other < fd);
                found.insert(place, (fd, connection));
            }
        }
    }
    Ok(found
        .into_iter()
        .map(|(_, connection)| connection)
        .collect())
}

fn connection(fd: RawFd) -> Option<Connection> {
    Some(Connection {
        local: address(fd, libc::getsockname)?,
        peer: address(fd, libc::getpeername)?,
    })
}

type Name = unsafe extern "C" fn(c_int, *mut libc::sockaddr, *mut libc::socklen_t) -> c_int;

/// One end of a connected stream socket; `None` for whatever else the number stands for.
fn address(fd: RawFd, name: Name) -> Option<SocketAddr> {
    let mut kind: c_int = 0;
    let mut length = mem::size_of::<c_int>() as libc::socklen_t;
    // SAFETY: value and length pointers are valid for the call; SO_TYPE stores an int. A number
    // that is no open socket is an error to the kernel (EBADF, ENOTSOCK), not to us.
    let code = unsafe {
        libc::getsockopt(
            fd,
            libc::SOL_SOCKET,
            libc::SO_TYPE,
            (&raw mut kind).cast(),
            &raw mut length,
        )
    };
    if code != 0 || kind != libc::SOCK_STREAM {
        return None;
    }
    // SAFETY: sockaddr_storage is plain data for which all-zero is a valid value.
    let mut found: libc::sockaddr_storage = unsafe { mem::zeroed() };
    let mut length = mem::size_of::<libc::sockaddr_storage>() as libc::socklen_t;
    // SAFETY: both pointers are valid for the call, the length is that of the storage.
    if unsafe { name(fd, (&raw mut found).cast(), &raw mut length) } != 0 {
        return None;
    }
    match c_int::from(found.ss_family) {
        libc::AF_INET => {
            // SAFETY: the kernel stored a sockaddr_in: the family says so, and the storage is
            // large and aligned enough for any address, sockaddr(3type).
            let it = unsafe { *(&raw const found).cast::<libc::sockaddr_in>() };
            let ip = Ipv4Addr::from(u32::from_be(it.sin_addr.s_addr));
            Some(SocketAddrV4::new(ip, u16::from_be(it.sin_port)).into())
        }
        libc::AF_INET6 => {
            // SAFETY: as above, a sockaddr_in6.
            let it = unsafe { *(&raw const found).cast::<libc::sockaddr_in6>() };
            let ip = Ipv6Addr::from(it.sin6_addr.s6_addr);
            let port = u16::from_be(it.sin6_port);
            Some(match ip.to_ipv4_mapped() {
                Some(ip) => SocketAddrV4::new(ip, port).into(),
                None => SocketAddrV6::new(ip, port, 0, it.sin6_scope_id).into(),
            })
        }
        _ => None,
    }
}

/// Begins to connect a close-on-exec, non-blocking stream socket; it is writable once it is
/// connected or can't be, and [`connect_error`] then says which.
///
/// # Errors
/// The system's, where it knows at once.
pub fn connect_tcp(to: &SocketAddr) -> io::Result<OwnedFd> {
    let (family, address) = raw_address(to);
    let kind = libc::SOCK_STREAM | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    // SAFETY: socket(2) has no pointer arguments.
    let fd = unsafe { libc::socket(family, kind, 0) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: socket(2) just returned this descriptor; nobody else owns it.
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    let (pointer, length) = match &address {
        RawAddress::V4(it) => ((&raw const *it).cast(), mem::size_of_val(it)),
        RawAddress::V6(it) => ((&raw const *it).cast(), mem::size_of_val(it)),
    };
    // SAFETY: pointer and length are those of a valid address that lives until after the call.
    if unsafe { libc::connect(fd.as_raw_fd(), pointer, length as libc::socklen_t) } != 0 {
        let error = io::Error::last_os_error();
        // connect(2): an interrupted call goes on in the background as well.
        let begun = [libc::EINPROGRESS, libc::EINTR];
        if !error
            .raw_os_error()
            .is_some_and(|code| begun.contains(&code))
        {
            return Err(error);
        }
    }
    Ok(fd)
}

enum RawAddress {
    V4(libc::sockaddr_in),
    V6(libc::sockaddr_in6),
}

fn raw_address(address: &SocketAddr) -> (c_int, RawAddress) {
    match address {
        SocketAddr::V4(address) => {
            // SAFETY: sockaddr_in is plain data for which all-zero is a valid value.
            let mut raw: libc::sockaddr_in = unsafe { mem::zeroed() };
            raw.sin_family = libc::AF_INET as libc::sa_family_t;
            raw.sin_port = address.port().to_be();
            raw.sin_addr.s_addr = u32::from(*address.ip()).to_be();
            (libc::AF_INET, RawAddress::V4(raw))
        }
        SocketAddr::V6(address) => {
            // SAFETY: sockaddr_in6 is plain data for which all-zero is a valid value.
            let mut raw: libc::sockaddr_in6 = unsafe { mem::zeroed() };
            raw.sin6_family = libc::AF_INET6 as libc::sa_family_t;
            raw.sin6_port = address.port().to_be();
            raw.sin6_addr.s6_addr = address.ip().octets();
            raw.sin6_scope_id = address.scope_id();
            (libc::AF_INET6, RawAddress::V6(raw))
        }
    }
}

/// What became of [`connect_tcp`] (SO_ERROR).
///
/// # Errors
/// Why it is not connected.
pub fn connect_error(fd: &OwnedFd) -> io::Result<()> {
    let mut error: c_int = 0;
    let mut length = mem::size_of::<c_int>() as libc::socklen_t;
    // SAFETY: value and length pointers are valid for the call; SO_ERROR stores an int.
    let code = unsafe {
        libc::getsockopt(
            fd.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ERROR,
            (&raw mut error).cast(),
            &raw mut length,
        )
    };
    match (code, error) {
        (0, 0) => Ok(()),
        (0, error) => Err(io::Error::from_raw_os_error(error)),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
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
