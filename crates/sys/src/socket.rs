//! Unix stream sockets that never block and never raise SIGPIPE.

use std::ffi::c_int;
use std::io;
use std::mem;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr;
use std::time::Duration;

/// Who made the listening end, unix(7) `SO_PEERCRED`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeerCredentials {
    /// In this process's pid namespace; 0 if it is not visible there.
    pub pid: i32,
    /// As this process's user namespace sees it.
    pub uid: u32,
}

/// What [`poll`] waits for, and what came.
#[derive(Debug)]
pub struct Interest<'fd> {
    fd: BorrowedFd<'fd>,
    events: i16,
    ready: bool,
}

impl<'fd> Interest<'fd> {
    /// Waits until `fd` can be read (data, end or error).
    #[must_use]
    pub fn readable(fd: &'fd OwnedFd) -> Self {
        Self {
            fd: fd.as_fd(),
            events: libc::POLLIN,
            ready: false,
        }
    }

    /// Waits until `fd` can be written to: until it is connected, or can't be.
    #[must_use]
    pub fn writable(fd: &'fd OwnedFd) -> Self {
        Self {
            events: libc::POLLOUT,
            ..Self::readable(fd)
        }
    }

    /// Whether the last [`poll`] found it so.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.ready
    }
}

/// Connects a close-on-exec, non-blocking stream socket to the socket file at `path`; where that is too
/// long for sun_path, unix(7), by way of /proc.
///
/// # Errors
/// The system's; `WouldBlock` when the listener's backlog is full (try again later),
/// `InvalidInput` when the file's name alone is too long; one that says so where /proc is needed and is not
/// there.
pub fn connect_unix(path: &Path) -> io::Result<OwnedFd> {
    crate::files::absolute(path)?;
    let address = match address_of(path.as_os_str().as_bytes()) {
        Some(address) => address,
        None => return connect_beyond(path),
    };
    let kind = libc::SOCK_STREAM | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    // SAFETY: socket(2) has no pointer arguments.
    let fd = unsafe { libc::socket(libc::AF_UNIX, kind, 0) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: socket(2) just returned this descriptor; nobody else owns it.
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    let length = mem::size_of::<libc::sockaddr_un>() as libc::socklen_t;
    retry_interrupted(|| {
        // SAFETY: the address is a valid, NUL-terminated sockaddr_un of the length given.
        unsafe { libc::connect(fd.as_raw_fd(), (&raw const address).cast(), length) as isize }
    })?;
    Ok(fd)
}

/// None where the path does not fit, or has a NUL.
fn address_of(path: &[u8]) -> Option<libc::sockaddr_un> {
    // SAFETY: sockaddr_un is plain data for which all-zero is a valid value.
    let mut address: libc::sockaddr_un = unsafe { mem::zeroed() };
    address.sun_family = libc::AF_UNIX as libc::sa_family_t;
    if path.len() >= address.sun_path.len() || path.contains(&0) {
        return None;
    }
    for (to, from) in address.sun_path.iter_mut().zip(path) {
        *to = *from as libc::c_char;
    }
    Some(address)
}

/// A directory may have been named by a short link when the socket was made in it.
fn connect_beyond(path: &Path) -> io::Result<OwnedFd> {
    let too_long = || io::Error::new(io::ErrorKind::InvalidInput, "path too long for a socket");
    let (dir, name) = path.parent().zip(path.file_name()).ok_or_else(too_long)?;
    let dir = crate::Directory::open(dir)?;
    let there = Path::new("/proc/self/fd").join(dir.number());
    let short = there.join(name);
    if address_of(short.as_os_str().as_bytes()).is_none() {
        return Err(too_long());
    }
    connect_unix(&short).map_err(|error| match error.kind() {
        // Else it would pass for a socket that is gone.
        io::ErrorKind::NotFound if there.symlink_metadata().is_err() => {
            io::Error::other("path too long for a socket, and no /proc to shorten it")
        }
        _ => error,
    })
}

/// The credentials of the process that listened at the other end, when it began to listen.
///
/// # Errors
/// The system's.
pub fn peer_credentials(fd: &OwnedFd) -> io::Result<PeerCredentials> {
    let mut found = libc::ucred {
        pid: 0,
        uid: u32::MAX,
        gid: u32::MAX,
    };
    let mut length = mem::size_of::<libc::ucred>() as libc::socklen_t;
    // SAFETY: value and length pointers are valid for the call; SO_PEERCRED stores a ucred.
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

/// Sends all of `bytes` at once, without blocking and without SIGPIPE (the host may not ignore
/// it). slurmstepd takes a request number with one read, so a part of it is an error.
///
/// # Errors
/// The system's, or `WriteZero` when not everything went out.
pub fn send(fd: &OwnedFd, bytes: &[u8]) -> io::Result<()> {
    let flags = libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT;
    let sent = retry_interrupted(|| {
        // SAFETY: the slice is readable for its length.
        unsafe { libc::send(fd.as_raw_fd(), bytes.as_ptr().cast(), bytes.len(), flags) }
    })?;
    if sent == bytes.len() {
        Ok(())
    } else {
        Err(io::ErrorKind::WriteZero.into())
    }
}

/// Receives what is there, without blocking; 0 at the end of the stream.
///
/// # Errors
/// The system's; `WouldBlock` when nothing is there yet.
pub fn receive(fd: &OwnedFd, buffer: &mut [u8]) -> io::Result<usize> {
    retry_interrupted(|| {
        // SAFETY: the slice is writable for its length.
        unsafe {
            libc::recv(
                fd.as_raw_fd(),
                buffer.as_mut_ptr().cast(),
                buffer.len(),
                libc::MSG_DONTWAIT,
            )
        }
    })
}

/// Waits until one is ready or `timeout` has passed; marks those that are ready. An interrupted
/// call returns as if nothing were ready: the caller knows its deadline.
///
/// # Errors
/// The system's.
pub fn poll(interests: &mut [Interest<'_>], timeout: Duration) -> io::Result<()> {
    let mut entries: Vec<libc::pollfd> = interests
        .iter()
        .map(|it| libc::pollfd {
            fd: it.fd.as_raw_fd(),
            events: it.events,
            revents: 0,
        })
        .collect();
    let pointer = if entries.is_empty() {
        ptr::null_mut()
    } else {
        entries.as_mut_ptr()
    };
    // Round up: a wait of 0.4 ms must not spin.
    let millis = timeout.as_nanos().div_ceil(1_000_000);
    let millis = c_int::try_from(millis).unwrap_or(c_int::MAX);
    // SAFETY: the array holds as many entries as we say.
    let code = unsafe { libc::poll(pointer, entries.len() as libc::nfds_t, millis) };
    if code < 0 {
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
    for (interest, entry) in interests.iter_mut().zip(&entries) {
        interest.ready = code > 0 && entry.revents != 0;
    }
    Ok(())
}

pub(crate) fn retry_interrupted(mut call: impl FnMut() -> isize) -> io::Result<usize> {
    loop {
        if let Ok(count) = usize::try_from(call()) {
            return Ok(count);
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;
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
        // SAFETY: a test's own descriptor; listen(2) has no pointer arguments.
        unsafe { libc::listen(listener.as_raw_fd(), 0) };
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
