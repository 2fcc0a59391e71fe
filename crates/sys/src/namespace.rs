//! Namespaces: identifies, receives and enters them through descriptors.

use std::ffi::c_int;
use std::fmt;
use std::fs::File;
use std::io::{self, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, AsRawFd as _, FromRawFd as _, OwnedFd};
use std::os::unix::fs::MetadataExt as _;

use rustix::cmsg_space;
use rustix::fs::{FsWord, PROC_SUPER_MAGIC, fstatfs};
use rustix::io::retry_on_intr;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags};
use rustix::process::{PidfdFlags, pidfd_open};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// A kind of namespace, namespaces(7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Namespace {
    /// Mounts: a container may have its own /tmp and /dev/shm.
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

    fn kind(self) -> LinkNameSpaceType {
        match self {
            Self::Mount => LinkNameSpaceType::Mount,
            Self::Pid => LinkNameSpaceType::ProcessID,
            Self::User => LinkNameSpaceType::User,
        }
    }

    /// Checks that the descriptor stands for a namespace and, where the kernel can tell (Linux 4.11 and
    /// later), for one of this kind. [`Namespace::enter`] refuses another kind in any case.
    ///
    /// # Errors
    /// It stands for something else.
    pub fn check(self, fd: &OwnedFd) -> io::Result<()> {
        /// `linux/magic.h`.
        const NSFS_MAGIC: FsWord = 0x6E73_6673;
        // Before Linux 3.19 namespaces were files of procfs.
        if ![NSFS_MAGIC, PROC_SUPER_MAGIC].contains(&fstatfs(fd)?.f_type) {
            return Err(io::Error::other("not a namespace"));
        }
        match Question::Kind.ask(fd) {
            Ok(kind) if kind == self.kind() as c_int => Ok(()),
            Ok(_) => Err(io::Error::other("a namespace of another kind")),
            Err(error) if error.raw_os_error() == Some(libc::ENOTTY) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// The namespace that this thread is in; for pids, the one that its children will be in (Linux 4.12).
    ///
    /// # Errors
    /// Those of open(2).
    pub fn current(self) -> io::Result<OwnedFd> {
        let name = match self {
            Self::Mount => "mnt",
            // What setns(2) changes: the process itself stays where it is.
            Self::Pid => "pid_for_children",
            Self::User => "user",
        };
        File::open(format!("/proc/thread-self/ns/{name}")).map(OwnedFd::from)
    }

    /// Moves this process (of one thread) into the namespace behind `fd`, setns(2).
    ///
    /// # Errors
    /// Those of setns(2): `InvalidInput` if `fd` stands for another kind.
    pub fn enter(self, fd: &OwnedFd) -> io::Result<()> {
        move_into_link_name_space(fd.as_fd(), Some(self.kind()))?;
        Ok(())
    }
}

/// The pid namespace of this process, as [`Proc::pid_namespace`](crate::Proc::pid_namespace) but without
/// procfs. Needs Linux 6.11.
///
/// # Errors
/// Those of the system.
pub fn pid_namespace() -> io::Result<u64> {
    let process = pidfd_open(rustix::process::getpid(), PidfdFlags::empty())?;
    let fd = Question::PidNamespace.ask(&process)?;
    // SAFETY: OwnedFd::from_raw_fd: "The resource pointed to by fd must be open and suitable for assuming
    // ownership". The request has just returned this new descriptor, and nothing else owns it.
    let namespace = unsafe { OwnedFd::from_raw_fd(fd) };
    Ok(File::from(namespace).metadata()?.ino())
}

/// The user who made the outermost user namespace that has this one in it, below that of this process; None if it is
/// this process's own.
pub(crate) fn owner(namespace: OwnedFd) -> io::Result<Option<u32>> {
    let id = |it: &File| it.metadata().map(|it| (it.dev(), it.ino()));
    let own = id(&File::from(Namespace::User.current()?))?;
    let (mut namespace, mut owner) = (File::from(namespace), None);
    while id(&namespace)? != own {
        let fd = OwnedFd::from(namespace);
        owner = Some(maker(&fd)?);
        namespace = match Question::Parent.ask(&fd) {
            // SAFETY: OwnedFd::from_raw_fd: "The resource pointed to by fd must be open and suitable for assuming
            // ownership". The request has just returned this new descriptor, and nothing else owns it.
            Ok(parent) => File::from(unsafe { OwnedFd::from_raw_fd(parent) }),
            // It is not below this process's own.
            Err(error) if error.raw_os_error() == Some(libc::EPERM) => break,
            Err(error) => return Err(error),
        };
    }
    Ok(owner)
}

/// The uid of the maker of a user namespace, as this process's namespace has it.
fn maker(namespace: &OwnedFd) -> io::Result<u32> {
    /// `NS_GET_OWNER_UID`, `linux/nsfs.h`: `_IO(0xb7, 0x4)`.
    const OWNER: u32 = 0xB704;
    let mut uid = u32::MAX;
    // SAFETY: ioctl_nsfs(2): the request stores a uid_t through its argument, a local variable's address.
    match unsafe { libc::ioctl(namespace.as_raw_fd(), OWNER as _, &raw mut uid) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(uid),
    }
}

/// An ioctl(2) without an argument, which answers by its return value.
#[derive(Clone, Copy)]
enum Question {
    /// `NS_GET_NSTYPE`, `linux/nsfs.h`: `_IO(0xb7, 0x3)`.
    Kind = 0xB703,
    /// `NS_GET_PARENT`, `linux/nsfs.h`: `_IO(0xb7, 0x2)`. The answer is a new descriptor.
    Parent = 0xB702,
    /// `PIDFD_GET_PID_NAMESPACE`, `linux/pidfd.h`: `_IO(0xff, 5)`. The answer is a new descriptor.
    PidNamespace = 0xFF05,
}

impl Question {
    fn ask(self, fd: &OwnedFd) -> io::Result<c_int> {
        // SAFETY: ioctl_nsfs(2) and pidfd_open(2): no request of these uses the third argument, so that the
        // kernel accesses no memory of this process.
        match unsafe { libc::ioctl(fd.as_raw_fd(), self as _, 0) } {
            -1 => Err(io::Error::last_os_error()),
            answer => Ok(answer),
        }
    }
}

/// Receives one byte and the descriptor that comes with it (`SCM_RIGHTS`), without blocking. The
/// descriptor is close-on-exec. `None` at the end of the stream.
///
/// # Errors
/// Those of recvmsg(2): `WouldBlock` if nothing has arrived yet; `InvalidData` if the byte comes without a
/// descriptor or with more than one.
pub fn receive_descriptor(fd: &OwnedFd) -> io::Result<Option<OwnedFd>> {
    /// Room for more than one descriptor, so that a second one is noticed.
    const ROOM: usize = 8;
    let mut byte = [0];
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(ROOM))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT;
    let message = retry_on_intr(|| {
        rustix::net::recvmsg(fd, &mut [IoSliceMut::new(&mut byte)], &mut control, flags)
    })?;
    let mut received: Vec<OwnedFd> = Vec::new();
    for part in control.drain() {
        if let RecvAncillaryMessage::ScmRights(descriptors) = part {
            received.extend(descriptors);
        }
    }
    if message.bytes == 0 {
        return Ok(None);
    }
    let is_truncated = message.flags.contains(ReturnFlags::CTRUNC);
    match <[OwnedFd; 1]>::try_from(received) {
        Ok([one]) if !is_truncated => Ok(Some(one)),
        _ => Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "not one descriptor",
        )),
    }
}

#[cfg(test)]
mod tests {
    use std::io::IoSlice;
    use std::os::fd::BorrowedFd;
    use std::os::unix::net::UnixStream;

    use rustix::io::{FdFlags, fcntl_getfd};
    use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};

    use super::*;

    /// Sends one byte with these descriptors.
    fn send(stream: &UnixStream, fds: &[BorrowedFd<'_>]) {
        let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(32))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        let message = SendAncillaryMessage::ScmRights(fds);
        assert!(fds.is_empty() || control.push(message));
        let data = [IoSlice::new(&[7])];
        let sent = sendmsg(stream, &data, &mut control, SendFlags::empty());
        assert_eq!(sent, Ok(1));
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
        send(&theirs, &[file.as_fd()]);
        let got = receive_descriptor(&ours)
            .expect("receive")
            .expect("a descriptor");
        Namespace::Mount.check(&got).expect("a mount namespace");
        assert_eq!(fcntl_getfd(&got), Ok(FdFlags::CLOEXEC));
        drop(got);

        let one = file.as_fd();
        // Other tests of this process open and close descriptors meanwhile: look at many.
        let before = open_descriptors();
        for fds in [&[][..], &[one; 2], &[one; 4], &[one; 20]].repeat(20) {
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

    /// Needs root.
    #[test]
    fn the_maker_of_a_user_namespace() {
        use std::process::{Command, Stdio};
        let own = Namespace::User.current().expect("open");
        assert_eq!(owner(own).expect("ask"), None);
        // One in the other: the outer one is the user's, and so are both.
        let nested = "echo; exec unshare --user sleep 1000";
        let mut child = Command::new("setpriv");
        child.args([
            "--reuid=4294960003",
            "--clear-groups",
            "unshare",
            "--user",
            "--map-root-user",
        ]);
        child.args(["sh", "-c", nested]).stdout(Stdio::piped());
        let mut child = child.spawn().expect("setpriv");
        let path = format!("/proc/{}/ns/user", child.id());
        let outer = || std::fs::read_link(&path).expect("it lives");
        let deadline = crate::Deadline::after(std::time::Duration::from_secs(10));
        let is_named = |name| {
            let comm = std::fs::read_to_string(format!("/proc/{}/comm", child.id()));
            comm.is_ok_and(|it| it == name)
        };
        while !is_named("sleep\n") && !deadline.has_passed() {
            std::thread::yield_now();
        }
        let namespace = File::open(&path).expect("open").into();
        assert_eq!(
            owner(namespace).expect("ask"),
            Some(4_294_960_003),
            "{:?}",
            outer()
        );
        child.kill().expect("kill");
        child.wait().expect("reap");
    }

    #[test]
    fn knows_namespaces_from_other_files() {
        let kinds = [Namespace::Mount, Namespace::Pid, Namespace::User];
        for kind in kinds {
            let fd = kind.current().expect("open");
            for other in kinds {
                assert_eq!(other.check(&fd).is_ok(), other == kind, "{other} of {kind}");
            }
            assert_eq!(Namespace::from_flag(kind.kind() as i32), Some(kind));
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
