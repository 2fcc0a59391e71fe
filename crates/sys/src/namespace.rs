//! Namespaces that another process hands over, and how to enter them.

use std::ffi::c_int;
use std::fmt;
use std::fs::File;
use std::io;
use std::mem;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd, RawFd};

/// The kinds that a job's container may have, namespaces(7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Namespace {
    /// Mounts: /tmp and /dev/shm of the job.
    Mount,
    /// Process ids; takes effect for children only, setns(2).
    Pid,
    /// User ids and capabilities.
    User,
}

impl fmt::Display for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Mount => "mount",
            Self::Pid => "pid",
            Self::User => "user",
        })
    }
}

impl Namespace {
    /// The kind with this clone(2) flag.
    #[must_use]
    pub fn from_flag(flag: i32) -> Option<Self> {
        match flag {
            libc::CLONE_NEWNS => Some(Self::Mount),
            libc::CLONE_NEWPID => Some(Self::Pid),
            libc::CLONE_NEWUSER => Some(Self::User),
            _ => None,
        }
    }

    fn flag(self) -> c_int {
        match self {
            Self::Mount => libc::CLONE_NEWNS,
            Self::Pid => libc::CLONE_NEWPID,
            Self::User => libc::CLONE_NEWUSER,
        }
    }

    /// Checks that the descriptor stands for a namespace, and where the kernel can tell (Linux 4.11
    /// on), that it is of this kind. [`Namespace::enter`] is refused for another one anyway.
    ///
    /// # Errors
    /// It stands for something else.
    pub fn check(self, fd: &OwnedFd) -> io::Result<()> {
        /// `linux/magic.h`; before Linux 3.19 namespaces were files of procfs.
        const NSFS_MAGIC: i128 = 0x6E73_6673;
        const PROC_SUPER_MAGIC: i128 = 0x9FA0;
        /// `linux/nsfs.h`: `_IO(0xb7, 0x3)`.
        const NS_GET_NSTYPE: u32 = 0xB703;
        // SAFETY: statfs is plain data for which all-zero is a valid value.
        let mut found: libc::statfs = unsafe { mem::zeroed() };
        // SAFETY: the descriptor is open, the pointer valid for the call.
        if unsafe { libc::fstatfs(fd.as_raw_fd(), &raw mut found) } != 0 {
            return Err(io::Error::last_os_error());
        }
        if ![NSFS_MAGIC, PROC_SUPER_MAGIC].contains(&i128::from(found.f_type)) {
            return Err(io::Error::other("not a namespace"));
        }
        // SAFETY: the descriptor is open; this request takes no third argument, ioctl_nsfs(2).
        let flag = unsafe { libc::ioctl(fd.as_raw_fd(), NS_GET_NSTYPE as _) };
        if flag == self.flag() {
            return Ok(());
        }
        let error = io::Error::last_os_error();
        match flag {
            -1 if error.raw_os_error() == Some(libc::ENOTTY) => Ok(()),
            -1 => Err(error),
            _ => Err(io::Error::other("a namespace of another kind")),
        }
    }

    /// The one that this thread is in, of pids the one that its children will be in (Linux 4.12).
    ///
    /// # Errors
    /// The system's.
    pub fn current(self) -> io::Result<OwnedFd> {
        let name = match self {
            Self::Mount => "mnt",
            // What setns(2) changes: the process itself stays where it is.
            Self::Pid => "pid_for_children",
            Self::User => "user",
        };
        File::open(format!("/proc/thread-self/ns/{name}")).map(OwnedFd::from)
    }

    /// Puts this process (of one thread) into the namespace behind `fd`, setns(2).
    ///
    /// # Errors
    /// The system's, also where `fd` stands for another kind.
    pub fn enter(self, fd: &OwnedFd) -> io::Result<()> {
        // SAFETY: setns(2) has no pointer arguments; the descriptor is open.
        match unsafe { libc::setns(fd.as_raw_fd(), self.flag()) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

/// Receives one byte and the descriptor that comes with it (`SCM_RIGHTS`), without blocking; the
/// descriptor is close-on-exec. `None` at the end of the stream.
///
/// # Errors
/// The system's, `WouldBlock` when nothing is there yet, `InvalidData` when the byte comes without
/// a descriptor or with more than one.
pub fn receive_descriptor(fd: &OwnedFd) -> io::Result<Option<OwnedFd>> {
    /// Room for more than the one, so that none that came is lost sight of.
    const ROOM: usize = 8;
    let mut byte = 0u8;
    let mut data = libc::iovec {
        iov_base: (&raw mut byte).cast(),
        iov_len: 1,
    };
    // Of u64, so that it is aligned for cmsghdr.
    let mut control = [0u64; 2 + ROOM];
    // SAFETY: msghdr is plain data for which all-zero is a valid value.
    let mut message: libc::msghdr = unsafe { mem::zeroed() };
    message.msg_iov = &raw mut data;
    message.msg_iovlen = 1;
    message.msg_control = control.as_mut_ptr().cast();
    message.msg_controllen = mem::size_of_val(&control) as _;
    let flags = libc::MSG_CMSG_CLOEXEC | libc::MSG_DONTWAIT;
    let count = crate::socket::retry_interrupted(|| {
        // SAFETY: all pointers in the message are valid for the call, with their lengths.
        unsafe { libc::recvmsg(fd.as_raw_fd(), &raw mut message, flags) }
    })?;
    let received = descriptors_of(&message);
    if count == 0 {
        return Ok(None);
    }
    let truncated = message.msg_flags & libc::MSG_CTRUNC != 0;
    match <[OwnedFd; 1]>::try_from(received) {
        Ok([one]) if !truncated => Ok(Some(one)),
        _ => Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "not one descriptor",
        )),
    }
}

/// Takes ownership of all descriptors that a message brought.
fn descriptors_of(message: &libc::msghdr) -> Vec<OwnedFd> {
    let mut received = Vec::new();
    // SAFETY: recvmsg(2) filled the control buffer and its length; cmsg(3) says that the macros
    // may walk it then.
    let mut header = unsafe { libc::CMSG_FIRSTHDR(message) };
    while !header.is_null() {
        // SAFETY: not null, so it points to a whole header within the control buffer, cmsg(3).
        let it = unsafe { &*header };
        if it.cmsg_level == libc::SOL_SOCKET && it.cmsg_type == libc::SCM_RIGHTS {
            // SAFETY: pure arithmetic on a length.
            let start = unsafe { libc::CMSG_LEN(0) } as usize;
            let bytes = (it.cmsg_len as usize).saturating_sub(start);
            // SAFETY: the header is one of the buffer.
            let data: *const RawFd = unsafe { libc::CMSG_DATA(header) }.cast();
            for index in 0..bytes / mem::size_of::<RawFd>() {
                // SAFETY: within the data of this header; it need not be aligned. unix(7): each is
                // a new descriptor of this process, owned by nobody yet.
                received.push(unsafe { OwnedFd::from_raw_fd(data.add(index).read_unaligned()) });
            }
        }
        // SAFETY: message and header are those that the walk began with.
        header = unsafe { libc::CMSG_NXTHDR(message, header) };
    }
    received
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;

    /// Sends one byte with these descriptors.
    fn send(stream: &UnixStream, fds: &[RawFd]) {
        let mut byte = 7u8;
        let mut data = libc::iovec {
            iov_base: (&raw mut byte).cast(),
            iov_len: 1,
        };
        let mut control = [0u64; 16];
        // SAFETY: plain data.
        let mut message: libc::msghdr = unsafe { mem::zeroed() };
        message.msg_iov = &raw mut data;
        message.msg_iovlen = 1;
        if !fds.is_empty() {
            let size = mem::size_of_val(fds) as u32;
            message.msg_control = control.as_mut_ptr().cast();
            // SAFETY: arithmetic; then a header that fits into the buffer.
            unsafe {
                message.msg_controllen = libc::CMSG_SPACE(size) as _;
                let header = libc::CMSG_FIRSTHDR(&raw const message);
                (*header).cmsg_level = libc::SOL_SOCKET;
                (*header).cmsg_type = libc::SCM_RIGHTS;
                (*header).cmsg_len = libc::CMSG_LEN(size) as _;
                let to: *mut RawFd = libc::CMSG_DATA(header).cast();
                std::ptr::copy_nonoverlapping(fds.as_ptr(), to, fds.len());
            }
        }
        // SAFETY: all pointers are valid for the call.
        let sent = unsafe { libc::sendmsg(stream.as_raw_fd(), &raw const message, 0) };
        assert_eq!(sent, 1);
    }

    fn open_descriptors() -> usize {
        std::fs::read_dir("/proc/self/fd").expect("/proc").count()
    }

    #[test]
    fn takes_one_descriptor_and_loses_none() {
        let (ours, theirs) = UnixStream::pair().expect("pair");
        let ours = OwnedFd::from(ours);
        let error = receive_descriptor(&ours).expect_err("nothing there");
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);

        let file = Namespace::Mount.current().expect("/proc/self/ns/mnt");
        send(&theirs, &[file.as_raw_fd()]);
        let got = receive_descriptor(&ours)
            .expect("receive")
            .expect("a descriptor");
        Namespace::Mount.check(&got).expect("a mount namespace");
        // SAFETY: fcntl(2) with F_GETFD has no pointer arguments.
        let flags = unsafe { libc::fcntl(got.as_raw_fd(), libc::F_GETFD) };
        assert_eq!(flags & libc::FD_CLOEXEC, libc::FD_CLOEXEC);
        drop(got);

        let raw = file.as_raw_fd();
        // Other tests of this process open and close descriptors meanwhile: look at many.
        let before = open_descriptors();
        for fds in [&[][..], &[raw; 2], &[raw; 4], &[raw; 20]].repeat(20) {
            send(&theirs, fds);
            let error = receive_descriptor(&ours).expect_err("not one");
            assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{}", fds.len());
        }
        assert!(open_descriptors() < before + 50);
        drop(theirs);
        // A process that another test has started may still have that end.
        let end = std::iter::repeat_with(|| receive_descriptor(&ours)).find(|it| {
            std::thread::sleep(std::time::Duration::from_millis(1));
            !matches!(it, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
        });
        assert!(end.expect("some answer").expect("end").is_none());
    }

    #[test]
    fn knows_namespaces_from_other_files() {
        let kinds = [Namespace::Mount, Namespace::Pid, Namespace::User];
        for kind in kinds {
            let fd = kind.current().expect("open");
            for other in kinds {
                assert_eq!(other.check(&fd).is_ok(), other == kind, "{other} of {kind}");
            }
            assert_eq!(Namespace::from_flag(kind.flag()), Some(kind));
        }
        for path in ["/proc/self/ns/net", "/dev/null", "/", "/etc/passwd"] {
            let fd = File::open(path).expect("open").into();
            for kind in kinds {
                assert!(kind.check(&fd).is_err(), "{path} as {kind}");
            }
        }
        assert_eq!(Namespace::from_flag(0), None);
    }
}
