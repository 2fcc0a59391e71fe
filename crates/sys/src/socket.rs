//! Unix stream sockets that never block and never raise SIGPIPE, and waiting for sockets.

use std::io;
use std::mem;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::{Errno, retry_on_intr};
use rustix::net::{self, AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};

/// Credentials of the process that made the listening end, unix(7) `SO_PEERCRED`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeerCredentials {
    /// In this process's pid namespace; 0 if it is not visible there.
    pub pid: i32,
    /// In this process's user namespace.
    pub uid: u32,
}

/// An event that [`poll`] waits for, and whether it came.
#[derive(Debug)]
pub struct Interest<'fd> {
    fd: BorrowedFd<'fd>,
    events: PollFlags,
    ready: bool,
}

impl<'fd> Interest<'fd> {
    /// Waits until `fd` can be read (data, end or error).
    #[must_use]
    pub fn readable(fd: &'fd OwnedFd) -> Self {
        Self {
            fd: fd.as_fd(),
            events: PollFlags::IN,
            ready: false,
        }
    }

    /// Waits until `fd` can be written to: it is connected, or connecting has failed.
    #[must_use]
    pub fn writable(fd: &'fd OwnedFd) -> Self {
        Self {
            events: PollFlags::OUT,
            ..Self::readable(fd)
        }
    }

    /// Waits until the other end of a stream socket has stopped sending, or the connection has failed. Nothing is
    /// read, and what is unread does not matter (POLLRDHUP, poll(2)).
    #[must_use]
    pub fn hang_up(fd: &'fd OwnedFd) -> Self {
        Self {
            events: PollFlags::RDHUP,
            ..Self::readable(fd)
        }
    }

    /// Whether the last [`poll`] found it ready.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.ready
    }
}

/// Connects a close-on-exec, non-blocking stream socket to the socket file at `path`; through /proc if the
/// path is too long for sun_path, unix(7).
///
/// # Errors
/// Those of connect(2); `WouldBlock` if the listener's backlog is full (try again later); `InvalidInput` if
/// the file's name alone is too long; `Other` if /proc is needed and missing.
pub fn connect_unix(path: &Path) -> io::Result<OwnedFd> {
    crate::files::absolute(path)?;
    let address = match net::SocketAddrUnix::new(path) {
        Ok(address) => address,
        Err(Errno::NAMETOOLONG) => return connect_beyond(path),
        Err(error) => return Err(error.into()),
    };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    retry_on_intr(|| net::connect(&socket, &address))?;
    Ok(socket)
}

/// Connects through /proc. A path may be too long for sun_path although the socket was bound, by a shorter link.
fn connect_beyond(path: &Path) -> io::Result<OwnedFd> {
    let too_long = || io::Error::new(io::ErrorKind::InvalidInput, "path too long for a socket");
    let (dir, name) = path.parent().zip(path.file_name()).ok_or_else(too_long)?;
    let dir = crate::Directory::open(dir)?;
    let there = Path::new("/proc/self/fd").join(dir.number());
    let short = there.join(name);
    if net::SocketAddrUnix::new(&short).is_err() {
        return Err(too_long());
    }
    connect_unix(&short).map_err(|error| match error.kind() {
        // NotFound would mean that the socket is gone.
        io::ErrorKind::NotFound if there.symlink_metadata().is_err() => {
            io::Error::other("path too long for a socket, and no /proc to shorten it")
        }
        _ => error,
    })
}

/// Credentials of the process that listens at the other end, from when it began to listen.
///
/// # Errors
/// Those of getsockopt(2).
pub fn peer_credentials(fd: &OwnedFd) -> io::Result<PeerCredentials> {
    let mut found = libc::ucred {
        pid: 0,
        uid: u32::MAX,
        gid: u32::MAX,
    };
    let mut length = mem::size_of::<libc::ucred>() as libc::socklen_t;
    // Not rustix's: its Pid can't be 0, which is the pid of a process in another pid namespace.
    // SAFETY: getsockopt(2) writes at most `length` bytes to the value, and the length. Both are local
    // variables, and unix(7): SO_PEERCRED stores a ucred.
    let code = unsafe {
        libc::getsockopt(
            fd.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERCRED,
            (&raw mut found).cast(),
            &raw mut length,
        )
    };
    if code != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(PeerCredentials {
        pid: found.pid,
        uid: found.uid,
    })
}

/// Sends all of `bytes` at once, without blocking and without SIGPIPE (the application may not ignore it). Peers
/// may take a request with a single read, so sending a part of it is an error.
///
/// # Errors
/// Those of send(2); `WriteZero` if not everything was sent.
pub fn send(fd: &OwnedFd, bytes: &[u8]) -> io::Result<()> {
    let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
    match retry_on_intr(|| net::send(fd, bytes, flags))? == bytes.len() {
        true => Ok(()),
        false => Err(io::ErrorKind::WriteZero.into()),
    }
}

/// Sends `bytes` as one datagram to the socket file at `path`, without waiting for room in its queue. Leaves no
/// descriptor open.
///
/// # Errors
/// Those of sendto(2); `WouldBlock` if the queue is full; `InvalidInput` for a relative path.
pub fn send_datagram(path: &Path, bytes: &[u8]) -> io::Result<()> {
    crate::files::absolute(path)?;
    let address = net::SocketAddrUnix::new(path)?;
    let socket = net::socket_with(
        AddressFamily::UNIX,
        SocketType::DGRAM,
        SocketFlags::CLOEXEC,
        None,
    )?;
    let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
    retry_on_intr(|| net::sendto(&socket, bytes, flags, &address))?;
    Ok(())
}

/// Receives what has arrived, without blocking; 0 at the end of the stream.
///
/// # Errors
/// Those of recv(2); `WouldBlock` if nothing has arrived yet.
pub fn receive(fd: &OwnedFd, buffer: &mut [u8]) -> io::Result<usize> {
    let (count, _) = retry_on_intr(|| net::recv(fd, &mut *buffer, RecvFlags::DONTWAIT))?;
    Ok(count)
}

/// Waits until one is ready or `timeout` has passed; marks those that are ready. An interrupted call
/// returns with none ready: the caller knows its deadline.
///
/// # Errors
/// Those of poll(2).
pub fn poll(interests: &mut [Interest<'_>], timeout: Duration) -> io::Result<()> {
    let mut entries: Vec<PollFd<'_>> = interests
        .iter()
        .map(|it| PollFd::from_borrowed_fd(it.fd, it.events))
        .collect();
    // A timeout that Timespec cannot hold never passes.
    let timeout = Timespec::try_from(timeout).ok();
    match rustix::event::poll(&mut entries, timeout.as_ref()) {
        Ok(_) | Err(Errno::INTR) => {}
        Err(error) => return Err(error.into()),
    }
    for (interest, entry) in interests.iter_mut().zip(&entries) {
        interest.ready = !entry.revents().is_empty();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::{UnixDatagram, UnixListener};
    use std::time::Instant;

    use super::*;

    fn scratch(name: &str) -> std::path::PathBuf {
        let path = std::env::temp_dir().join(format!("sys-{}-{name}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        path
    }

    #[test]
    fn a_closed_peer_is_an_error_not_a_signal() {
        let path = scratch("closed");
        let listener = UnixListener::bind(&path).expect("bind");
        let fd = connect_unix(&path).expect("connect");
        drop(listener);
        let error = send(&fd, b"x").expect_err("nobody there");
        assert!(matches!(
            error.kind(),
            io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset
        ));
        std::fs::remove_file(&path).expect("remove");
    }

    #[test]
    fn a_full_backlog_would_block() {
        let path = scratch("full");
        let listener = UnixListener::bind(&path).expect("bind");
        net::listen(&listener, 0).expect("listen");
        let mut held = Vec::new();
        let error = loop {
            match connect_unix(&path) {
                Ok(fd) if held.len() < 10 => held.push(fd),
                Ok(_) => panic!("the backlog never filled"),
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        std::fs::remove_file(&path).expect("remove");
    }

    #[test]
    fn credentials_are_the_listeners() {
        let path = scratch("cred");
        let _listener = UnixListener::bind(&path).expect("bind");
        let peer = peer_credentials(&connect_unix(&path).expect("connect")).expect("ask");
        assert_eq!(u32::try_from(peer.pid).expect("pid"), std::process::id());
        std::fs::remove_file(&path).expect("remove");
    }

    #[test]
    fn a_long_path_leads_there_and_a_long_name_nowhere() {
        let link = scratch("link");
        let dir = std::env::temp_dir().join(format!("{:0108}", std::process::id()));
        std::fs::create_dir(&dir).expect("make it");
        std::os::unix::fs::symlink(&dir, &link).expect("link");
        let _listener = UnixListener::bind(link.join("s")).expect("bind");
        connect_unix(&dir.join("s")).expect("connect");
        let missing = connect_unix(&dir.join("t")).expect_err("nothing there");
        assert_eq!(missing.kind(), io::ErrorKind::NotFound);
        let long = connect_unix(&dir.join("x".repeat(108))).expect_err("too long");
        assert_eq!(long.kind(), io::ErrorKind::InvalidInput);
        std::fs::remove_file(&link).expect("remove");
        std::fs::remove_dir_all(&dir).expect("remove");
    }

    #[test]
    fn a_datagram_arrives_whole_or_not_at_all() {
        let path = scratch("datagram");
        let missing = send_datagram(&path, b"x").expect_err("no socket");
        assert_eq!(missing.kind(), io::ErrorKind::NotFound);
        let reader = UnixDatagram::bind(&path).expect("bind");
        send_datagram(&path, b"A=1\nB=2\n").expect("send");
        let mut buffer = [0; 32];
        let length = reader.recv(&mut buffer).expect("receive");
        assert_eq!(&buffer[..length], b"A=1\nB=2\n");
        // Nobody reads: the queue fills, and nothing waits for it.
        let error = (0..100_000).find_map(|_| send_datagram(&path, b"x").err());
        let kind = error.expect("the queue never filled").kind();
        assert_eq!(kind, io::ErrorKind::WouldBlock);
        drop(reader);
        let gone = send_datagram(&path, b"x").expect_err("nobody there");
        assert_eq!(gone.kind(), io::ErrorKind::ConnectionRefused);
        let relative = send_datagram(Path::new("s"), b"x").expect_err("relative");
        assert_eq!(relative.kind(), io::ErrorKind::InvalidInput);
        std::fs::remove_file(&path).expect("remove");
    }

    #[test]
    fn poll_waits_as_long_as_it_must_and_no_longer() {
        let path = scratch("wait");
        let listener = UnixListener::bind(&path).expect("bind");
        for count in [1, 5] {
            let connections: Vec<OwnedFd> = (0..count)
                .map(|_| connect_unix(&path).expect("connect"))
                .collect();
            let mut servers: Vec<_> = (0..count)
                .map(|_| listener.accept().expect("accept").0)
                .collect();
            for micros in [0_u64, 400, 1_000, 30_000] {
                let mut interests: Vec<_> = connections.iter().map(Interest::readable).collect();
                let begun = Instant::now();
                let limit = Duration::from_micros(micros);
                poll(&mut interests, limit).expect("poll");
                assert!(begun.elapsed() >= limit, "{count} of {micros} us");
                assert!(!interests.iter().any(Interest::is_ready), "{count}");
            }
            for micros in [0, 5_000] {
                std::thread::scope(|threads| {
                    threads.spawn(|| {
                        std::thread::sleep(Duration::from_micros(micros));
                        std::io::Write::write_all(&mut servers[count - 1], b"x").expect("write");
                    });
                    let mut interests: Vec<_> =
                        connections.iter().map(Interest::readable).collect();
                    let begun = Instant::now();
                    poll(&mut interests, Duration::MAX).expect("poll");
                    assert!(begun.elapsed() < Duration::from_secs(20));
                    let ready: Vec<bool> = interests.iter().map(Interest::is_ready).collect();
                    let expected: Vec<bool> = (1..=count).map(|it| it == count).collect();
                    assert_eq!(ready, expected, "after {micros} us");
                });
                let last = &connections[count - 1];
                assert_eq!(receive(last, &mut [0; 8]).expect("read"), 1);
            }
        }
        std::fs::remove_file(&path).expect("remove");
    }

    #[test]
    fn poll_marks_what_is_ready() {
        let path = scratch("poll");
        let listener = UnixListener::bind(&path).expect("bind");
        let (one, two) = (
            connect_unix(&path).expect("1"),
            connect_unix(&path).expect("2"),
        );
        let (mut server, _) = listener.accept().expect("accept");
        std::io::Write::write_all(&mut server, b"hello").expect("write");
        let mut interests = [Interest::readable(&one), Interest::readable(&two)];
        poll(&mut interests, Duration::from_secs(5)).expect("poll");
        assert_eq!(interests.map(|it| it.is_ready()), [true, false]);
        let mut buffer = [0; 8];
        assert_eq!(receive(&one, &mut buffer).expect("read"), 5);
        assert_eq!(
            receive(&two, &mut buffer).expect_err("empty").kind(),
            io::ErrorKind::WouldBlock
        );
        std::fs::remove_file(&path).expect("remove");
    }
}
