//! The addresses that ssh logins come from.

use std::collections::HashMap;
use std::net::IpAddr;

use procfs::net::TcpNetEntry;
use procfs::process::{FDTarget, Process};

use crate::logins::Found;

/// The other ends of this host's TCP connections, by the inodes of their sockets.
#[derive(Debug, Default)]
pub(crate) struct Peers(HashMap<u64, IpAddr>);

impl Peers {
    /// Those of this process's network namespace.
    pub fn read() -> Self {
        let read = [procfs::net::tcp(), procfs::net::tcp6()];
        Self::of(read.into_iter().flatten().flatten())
    }

    fn of(entries: impl Iterator<Item = TcpNetEntry>) -> Self {
        let connected = entries.filter(|it| it.remote_address.port() != 0 && it.inode != 0);
        let peers = connected.map(|it| (it.inode, it.remote_address.ip().to_canonical()));
        Self(peers.collect())
    }

    /// The address of a login: of the socket that root's sshd holds, which only root can see; else by what sshd has
    /// told the session.
    pub fn of_login(&self, login: &Found) -> Option<IpAddr> {
        let (monitor, _) = login.sshd?;
        self.of_process(monitor).or_else(|| told(login.pid))
    }

    fn of_process(&self, pid: i32) -> Option<IpAddr> {
        let process = Process::new(pid).ok()?;
        let sockets: Vec<u64> = process
            .fd()
            .ok()?
            .filter_map(|it| match it.ok()?.target {
                FDTarget::Socket(inode) => Some(inode),
                _ => None,
            })
            .collect();
        let among = |peers: &Self| sockets.iter().find_map(|it| peers.0.get(it).copied());
        // sshd may be in another network namespace.
        among(self).or_else(|| {
            let read = [process.tcp(), process.tcp6()];
            among(&Self::of(read.into_iter().flatten().flatten()))
        })
    }
}

/// The client in SSH_CONNECTION of the environment with which a process has started.
fn told(pid: i32) -> Option<IpAddr> {
    let path = format!("/proc/{pid}/environ");
    let bytes = sys::read_regular(path.as_ref(), 4 << 20).ok()?;
    in_environment(&String::from_utf8_lossy(&bytes))
}

fn in_environment(environment: &str) -> Option<IpAddr> {
    let mut variables = environment.split('\0');
    let value = variables.find_map(|it| it.strip_prefix("SSH_CONNECTION="))?;
    let address = value.split(' ').next()?;
    // A link-local address has a zone.
    let address = address.split('%').next()?;
    address.parse().ok().map(|it: IpAddr| it.to_canonical())
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn a_connection_of_this_process_is_found() {
        let listener = TcpListener::bind("[::]:0").expect("bind");
        let port = listener.local_addr().expect("name").port();
        let _client = TcpStream::connect(("127.0.0.1", port)).expect("connect");
        let _server = listener.accept().expect("accept");
        let found = Peers::read().of_process(std::process::id() as i32);
        assert_eq!(found, "127.0.0.1".parse().ok());
    }

    #[test]
    fn the_client_in_an_environment() {
        for (environment, address) in [
            (
                "A=1\0SSH_CONNECTION=10.0.0.5 54214 10.0.0.1 22\0",
                Some("10.0.0.5"),
            ),
            ("SSH_CONNECTION=::ffff:10.0.0.5 1 ::1 22", Some("10.0.0.5")),
            ("SSH_CONNECTION=fe80::1%eth0 1 ::1 22", Some("fe80::1")),
            ("SSH_CONNECTION=UNKNOWN 65535", None),
            ("SSH_CONNECTION=", None),
            ("", None),
        ] {
            let expected = address.and_then(|it| it.parse().ok());
            assert_eq!(in_environment(environment), expected, "{environment}");
        }
    }
}
