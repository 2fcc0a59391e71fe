//! ssh, at the other end of standard input and output.

use std::io;
use std::os::fd::BorrowedFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::{flag, low_level};

/// ssh, as the process that reads what is printed here.
#[derive(Debug)]
pub struct Client<'a> {
    reader: Option<BorrowedFd<'a>>,
    signals: Option<Signals>,
}

/// Signals by which ssh or a terminal ends this process, as bytes of a socket.
#[derive(Debug)]
struct Signals {
    caught: UnixStream,
    /// Whether they end the process at once, as they do by default.
    are_deadly: Arc<AtomicBool>,
}

impl<'a> Client<'a> {
    /// ssh at the other end of this pipe or socket.
    #[must_use]
    pub fn behind(output: BorrowedFd<'a>) -> Self {
        Self {
            reader: Some(output),
            signals: None,
        }
    }

    /// Nobody whose end would be seen.
    #[must_use]
    pub fn nobody() -> Self {
        Self {
            reader: None,
            signals: None,
        }
    }

    /// The same, gone also when this process gets SIGHUP, SIGINT or SIGTERM.
    ///
    /// # Errors
    /// The signals cannot be caught.
    pub fn or_signalled(self) -> io::Result<Self> {
        let (caught, sender) = UnixStream::pair()?;
        let are_deadly = Arc::new(AtomicBool::new(false));
        for signal in [SIGHUP, SIGINT, SIGTERM] {
            flag::register_conditional_default(signal, Arc::clone(&are_deadly))?;
            low_level::pipe::register(signal, sender.try_clone()?)?;
        }
        let signals = Some(Signals { caught, are_deadly });
        Ok(Self { signals, ..self })
    }

    /// Lets signals end the process again.
    pub(crate) fn be_mortal(&self) {
        if let Some(signals) = &self.signals {
            signals.are_deadly.store(true, Ordering::SeqCst);
        }
    }

    /// Waits for so long, or until ssh is gone: whether it is.
    pub(crate) fn is_gone_within(&self, time: Duration) -> io::Result<bool> {
        let end = Instant::now() + time;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let left = Timespec::try_from(left).map_err(io::Error::other)?;
            // poll(2): a pipe without a reader is POLLERR, a socket that the other end closed POLLHUP; both are told unasked.
            let reader = self.reader.as_ref().map(|it| (it, PollFlags::empty()));
            let caught = self.signals.as_ref().map(|it| (&it.caught, PollFlags::IN));
            let mut fds: Vec<PollFd<'_>> = reader
                .map(|(fd, event)| PollFd::new(fd, event))
                .into_iter()
                .chain(caught.map(|(fd, event)| PollFd::new(fd, event)))
                .collect();
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
    #[test]
    fn a_signal_is_seen() {
        let client = Client::nobody().or_signalled().expect("signals");
        assert!(!client.is_gone_within(MOMENT).expect("poll"));
        low_level::raise(SIGHUP).expect("a signal");
        let long = Duration::from_secs(60);
        assert!(client.is_gone_within(long).expect("poll"));
        // It stays so.
        assert!(client.is_gone_within(long).expect("poll"));
    }
}
