//! The protocol between a test and the agent in a node, over a unix socket.
//!
//! A message is a length of four bytes, then JSON; descriptors travel with the first byte.

use std::fs::File;
use std::io::{IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use rustix::cmsg_space;
use rustix::fs::{Mode, OFlags, open};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// Maximum length of a message, in bytes of JSON.
const MAX_MESSAGE: usize = 16 << 20;

/// Request from a test to the agent. Each has a connection of its own, except [`Request::Signal`].
#[derive(Debug, Serialize, Deserialize)]
pub enum Request {
    /// Run a program. Three descriptors come along, for its stdin, stdout and stderr.
    Run {
        /// The program and its arguments.
        argv: Vec<String>,
        /// The whole environment.
        env: Vec<(String, String)>,
        /// The working directory.
        dir: String,
    },
    /// Send a signal to the running program. May follow [`Request::Run`] any number of times.
    Signal(i32),
    /// Write a file atomically. The descriptor of its content comes along.
    Write {
        /// Path; missing parent directories are made.
        path: String,
        /// The permissions.
        mode: u32,
        /// User and group.
        owner: (u32, u32),
    },
    /// Return the log from this line on.
    Syslog(usize),
}

/// Reply from the agent.
#[derive(Debug, Serialize, Deserialize)]
pub enum Reply {
    /// The program runs, with this PID in the node.
    Started(u32),
    /// The program ended, with an exit status or by a signal.
    Ended {
        /// The exit status.
        code: Option<i32>,
        /// The signal.
        signal: Option<i32>,
    },
    /// The file has been written.
    Written,
    /// The log, one line per message.
    Syslog(Vec<String>),
    /// The request failed, for this reason.
    Failed(String),
}

/// Binds a socket at a path of any length.
///
/// A socket address holds 107 bytes; a path through the directory's descriptor is always short.
pub fn listen(path: &Path) -> Result<UnixListener> {
    with_short_path(path, |short| UnixListener::bind(short))
        .with_context(|| format!("listening on {}", path.display()))
}

/// Connects to a socket at a path of any length.
pub fn connect(path: &Path) -> Result<UnixStream> {
    with_short_path(path, |short| UnixStream::connect(short))
        .with_context(|| format!("connecting to {}", path.display()))
}

fn with_short_path<T>(path: &Path, act: impl Fn(&str) -> std::io::Result<T>) -> Result<T> {
    let dir = path.parent().context("a path without a directory")?;
    let name = path
        .file_name()
        .and_then(|name| name.to_str())
        .context("a path without a name")?;
    let dir = open(
        dir,
        OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )
    .with_context(|| format!("opening {}", dir.display()))?;
    let number = std::os::fd::AsRawFd::as_raw_fd(&dir);
    Ok(act(&format!("/proc/self/fd/{number}/{name}"))?)
}

/// Sends one message, with descriptors.
pub fn send(
    mut stream: &UnixStream,
    message: &impl Serialize,
    fds: &[BorrowedFd<'_>],
) -> Result<()> {
    let mut bytes = vec![0; 4];
    serde_json::to_writer(&mut bytes, message).context("encoding a message")?;
    let length = u32::try_from(bytes.len() - 4).context("encoding a message")?;
    bytes[..4].copy_from_slice(&length.to_le_bytes());

    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(3))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() {
        ensure!(
            control.push(SendAncillaryMessage::ScmRights(fds)),
            "too many descriptors"
        );
    }
    let sent = sendmsg(
        stream,
        &[IoSlice::new(&bytes)],
        &mut control,
        SendFlags::NOSIGNAL,
    )
    .context("sending a message")?;
    stream
        .write_all(&bytes[sent..])
        .context("sending a message")
}

/// Receives one message and its descriptors; `None` at the end of the stream.
pub fn receive<T: DeserializeOwned>(mut stream: &UnixStream) -> Result<Option<(T, Vec<OwnedFd>)>> {
    let mut length = [0; 4];
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(3))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut parts = [IoSliceMut::new(&mut length)];
    let got = recvmsg(
        stream.as_fd(),
        &mut parts,
        &mut control,
        RecvFlags::CMSG_CLOEXEC,
    )
    .context("receiving a message")?;
    if got.bytes == 0 {
        return Ok(None);
    }
    let mut fds = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            fds.extend(rights);
        }
    }
    stream
        .read_exact(&mut length[got.bytes..])
        .context("receiving a message")?;
    let length = u32::from_le_bytes(length) as usize;
    if length > MAX_MESSAGE {
        bail!("receiving a message: {length} bytes are too many");
    }
    let mut bytes = vec![0; length];
    stream
        .read_exact(&mut bytes)
        .context("receiving a message")?;
    Ok(Some((
        serde_json::from_slice(&bytes).context("decoding a message")?,
        fds,
    )))
}

/// Makes an unnamed file in memory.
pub fn memory_file(content: &[u8]) -> Result<File> {
    let fd = rustix::fs::memfd_create("slurm-adopt-lab", rustix::fs::MemfdFlags::CLOEXEC)
        .context("making a file in memory")?;
    let mut file = File::from(fd);
    file.write_all(content)
        .context("writing a file in memory")?;
    std::io::Seek::rewind(&mut file).context("rewinding a file in memory")?;
    Ok(file)
}
