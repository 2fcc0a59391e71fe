//! ssh, at the other end of standard input and output.

use std::io;
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

/// ssh, as the process that reads what is printed here.
#[derive(Debug)]
pub struct Client<'a> {
    reader: Option<BorrowedFd<'a>>,
}

impl<'a> Client<'a> {
    /// ssh at the other end of this pipe or socket.
    #[must_use]
    pub fn behind(output: BorrowedFd<'a>) -> Self {
        Self {
            reader: Some(output),
        }
    }

    /// Nobody whose end would be seen.
    #[must_use]
    pub fn nobody() -> Self {
        Self { reader: None }
    }

    /// Waits for so long, or until ssh is gone: whether it is.
    pub(crate) fn is_gone_within(&self, time: Duration) -> io::Result<bool> {
        let Some(reader) = &self.reader else {
            std::thread::sleep(time);
            return Ok(false);
        };
        let end = Instant::now() + time;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let left = Timespec::try_from(left).map_err(io::Error::other)?;
            // poll(2): a pipe without a reader is POLLERR, a socket that the other end closed POLLHUP; both are told unasked.
            let mut fds = [PollFd::new(reader, PollFlags::empty())];
            match poll(&mut fds, Some(&left)) {
                Ok(0) => return Ok(false),
                Ok(_) => return Ok(true),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd as _;
    use std::os::unix::net::UnixStream;

    use super::*;

    const MOMENT: Duration = Duration::from_millis(20);

    #[test]
    fn the_end_of_the_reader_is_seen() {
        let (reader, writer) = rustix::pipe::pipe().expect("a pipe");
        let client = Client::behind(writer.as_fd());
        assert!(!client.is_gone_within(MOMENT).expect("poll"));
        drop(reader);
        assert!(
            client
                .is_gone_within(Duration::from_secs(60))
                .expect("poll")
        );

        let (one, other) = UnixStream::pair().expect("sockets");
        let client = Client::behind(one.as_fd());
        assert!(!client.is_gone_within(MOMENT).expect("poll"));
        drop(other);
        assert!(
            client
                .is_gone_within(Duration::from_secs(60))
                .expect("poll")
        );
    }
}
