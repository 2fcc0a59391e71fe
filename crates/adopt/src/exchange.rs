//! Requests and answers over a stream socket, with the login's deadline.

use std::fmt;
use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use sys::{Deadline, Interest};

use crate::text::said;

/// Delay before connecting again to a daemon whose backlog is full.
pub const RETRY: Duration = Duration::from_millis(2);

/// The reason why there is no answer.
#[derive(Debug)]
pub enum Broken {
    /// The other side closed the connection, or reset it.
    Ended,
    /// It did not answer in time.
    Silent,
    /// The system's error.
    Failed(io::Error),
    /// The bytes received are not a valid answer.
    Nonsense(String),
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ended => f.write_str("it closed the connection"),
            Self::Silent => f.write_str("it does not answer"),
            Self::Failed(error) => write!(f, "{error}"),
            Self::Nonsense(what) => f.write_str(what),
        }
    }
}

impl From<io::Error> for Broken {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => Self::Ended,
            _ => Self::Failed(error),
        }
    }
}

/// Waits until the socket is ready, or until the deadline.
///
/// # Errors
/// [`Broken::Silent`], [`Broken::Failed`].
pub fn wait(interest: Interest<'_>, deadline: &Deadline) -> Result<(), Broken> {
    let mut interests = [interest];
    loop {
        sys::poll(&mut interests, deadline.remaining())?;
        if interests[0].is_ready() {
            return Ok(());
        }
        if deadline.has_passed() {
            return Err(Broken::Silent);
        }
    }
}

/// Repeats `receive` until it no longer would block.
///
/// # Errors
/// [`Broken`], but for nonsense.
pub fn until_there<T>(
    socket: &OwnedFd,
    deadline: &Deadline,
    mut receive: impl FnMut() -> io::Result<T>,
) -> Result<T, Broken> {
    loop {
        match receive() {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            result => return Ok(result?),
        }
        wait(Interest::readable(socket), deadline)?;
    }
}

/// Fails if bytes arrived before the request: they cannot be its answer.
///
/// # Errors
/// [`Broken`].
pub fn nothing_unread(socket: &OwnedFd) -> Result<(), Broken> {
    match sys::receive(socket, &mut [0]) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
        Err(error) => Err(error.into()),
        Ok(0) => Err(Broken::Ended),
        Ok(_) => Err(Broken::Nonsense("it sent unexpected data".into())),
    }
}

/// Fills the buffer.
///
/// # Errors
/// [`Broken`], but for nonsense.
pub fn read_exactly(
    socket: &OwnedFd,
    buffer: &mut [u8],
    deadline: &Deadline,
) -> Result<(), Broken> {
    let mut length = 0;
    while length < buffer.len() {
        let rest = &mut buffer[length..];
        match until_there(socket, deadline, || sys::receive(socket, rest))? {
            0 => return Err(Broken::Ended),
            count => length += count,
        }
    }
    Ok(())
}

/// Sends a request and reads the one message that answers it.
///
/// `whole` returns the message's length as soon as the bytes received so far determine it, and must bound it.
///
/// # Errors
/// [`Broken`].
pub fn ask<E: fmt::Display>(
    socket: &OwnedFd,
    request: &[u8],
    whole: impl Fn(&[u8]) -> Result<Option<usize>, E>,
    deadline: &Deadline,
) -> Result<Vec<u8>, Broken> {
    let whole = |bytes: &[u8]| whole(bytes).map_err(|error| Broken::Nonsense(said(error)));
    ask_until(socket, request, &whole, deadline)
}

/// Returns a message's length as soon as the bytes received so far determine it.
type Whole<'a> = dyn Fn(&[u8]) -> Result<Option<usize>, Broken> + 'a;

/// Not generic, so that all kinds of messages share one copy.
fn ask_until(
    socket: &OwnedFd,
    request: &[u8],
    whole: &Whole<'_>,
    deadline: &Deadline,
) -> Result<Vec<u8>, Broken> {
    const PIECE: usize = 512;
    sys::send(socket, request)?;
    let mut message = Vec::new();
    loop {
        let told = whole(&message)?;
        let wanted = told.unwrap_or(PIECE);
        let length = message.len();
        if told.is_some() && length >= wanted {
            message.truncate(wanted);
            return Ok(message);
        }
        message.resize(wanted.max(length + 1), 0);
        let count = until_there(socket, deadline, || {
            sys::receive(socket, &mut message[length..])
        })?;
        if count == 0 {
            return Err(Broken::Ended);
        }
        message.truncate(length + count);
    }
}
