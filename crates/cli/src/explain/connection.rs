//! The connection that a login from an address would have.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use procfs::net::{TcpNetEntry, TcpState, tcp, tcp6};
use sys::Connection;

/// The port of sshd that is asked about if no connection is open.
const SSH: u16 = 22;

/// An open connection from this address to a port that a server listens on, ssh's first. Without one, a connection
/// that no host has: the slurmd there can be asked, but knows no job.
pub(super) fn from(address: IpAddr) -> Connection {
    let address = address.to_canonical();
    let entries: Vec<TcpNetEntry> = [tcp(), tcp6()].into_iter().flatten().flatten().collect();
    let listens = |port: u16| {
        let mut listeners = entries.iter().filter(|it| it.state == TcpState::Listen);
        listeners.any(|it| it.local_address.port() == port)
    };
    let is_from = |it: &&TcpNetEntry| {
        let is_open = it.state == TcpState::Established;
        is_open && it.remote_address.ip().to_canonical() == address
    };
    let incoming = entries.iter().filter(is_from);
    let mut incoming: Vec<_> = incoming
        .filter(|it| listens(it.local_address.port()))
        .collect();
    incoming.sort_by_key(|it| it.local_address.port() != SSH);
    let canonical = |it: SocketAddr| SocketAddr::new(it.ip().to_canonical(), it.port());
    match incoming.first() {
        Some(entry) => Connection {
            local: canonical(entry.local_address),
            peer: canonical(entry.remote_address),
        },
        None => Connection {
            local: SocketAddr::new(unspecified(address), SSH),
            peer: SocketAddr::new(address, 0),
        },
    }
}

fn unspecified(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    }
}
