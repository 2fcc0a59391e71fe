//! Makes a trial login in a process of its own, and ends it.

use std::fs;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use sys::Deadline;

use super::family::descendants;
use super::trial::{Event, Order, SUBCOMMAND};

/// The longest line that is read, in bytes.
const LONGEST: u64 = 1 << 20;
/// Time for the session to be closed after the deadline.
const CLOSING: Duration = Duration::from_secs(1);

/// A trial login that runs.
pub(super) struct Login {
    child: Child,
    orders: UnixStream,
    events: BufReader<UnixStream>,
    deadline: Deadline,
}

impl Login {
    /// Starts this program again to make the login: a process of one thread, as sshd's is.
    ///
    /// # Errors
    /// The system's error.
    pub fn start(user: &str, gpus: &[String], deadline: Deadline) -> io::Result<Self> {
        let (orders, theirs) = UnixStream::pair()?;
        let events = BufReader::new(orders.try_clone()?);
        let limit = deadline.remaining().as_millis().to_string();
        let child = Command::new("/proc/self/exe")
            .args([SUBCOMMAND, user, &limit])
            .args(gpus)
            .env_clear()
            .env(
                "PATH",
                "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin",
            )
            .current_dir("/")
            .stdin(OwnedFd::from(theirs))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        Ok(Self {
            child,
            orders,
            events,
            deadline,
        })
    }

    /// The process that makes the login.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The process of the user within the login: its maker's only child that runs the same program.
    pub fn inside(&self) -> Option<u32> {
        let program = |pid: u32| fs::read_link(format!("/proc/{pid}/exe")).ok();
        let own = program(self.pid());
        descendants(self.pid())
            .into_iter()
            .find(|pid| own.is_some() && program(*pid) == own)
    }

    /// Waits for the next event; None after the last one.
    ///
    /// # Errors
    /// `TimedOut` at the deadline, `InvalidData` for what is no event; otherwise the system's error.
    pub fn next(&mut self) -> io::Result<Option<Event>> {
        let remaining = self.deadline.remaining().max(Duration::from_millis(1));
        self.orders.set_read_timeout(Some(remaining))?;
        let mut line = Vec::new();
        let read = (&mut self.events)
            .take(LONGEST)
            .read_until(b'\n', &mut line);
        match read {
            Ok(0) => return Ok(None),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                return Err(io::ErrorKind::TimedOut.into());
            }
            // It ended with a line of ours unread.
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(None),
            Err(error) => return Err(error),
        }
        Ok(Some(serde_json::from_slice(&line)?))
    }

    /// Says what to do next.
    ///
    /// # Errors
    /// The system's error: it has ended.
    pub fn order(&mut self, order: Order) -> io::Result<()> {
        let mut line = serde_json::to_vec(&order)?;
        line.push(b'\n');
        self.orders.write_all(&line)
    }

    /// Waits until the login has ended: closes its session, and kills it if that takes too long.
    pub fn end(mut self) {
        // The process within reads the end, and the session is closed.
        let _ = self.orders.shutdown(Shutdown::Both);
        let rest = self.deadline.remaining().max(CLOSING);
        if self.wait(&Deadline::after(rest)) {
            return;
        }
        // Without what it waits for, PAM may go on and close the session. All may be gone by now, or in a state that no
        // signal ends.
        for pid in descendants(self.pid()) {
            let _ = sys::end_process(pid);
        }
        if !self.wait(&Deadline::after(CLOSING)) {
            let rest = descendants(self.pid());
            let _ = self.child.kill();
            for pid in rest {
                let _ = sys::end_process(pid);
            }
            self.wait(&Deadline::after(CLOSING));
        }
    }

    fn wait(&mut self, deadline: &Deadline) -> bool {
        loop {
            match self.child.try_wait() {
                Ok(None) if !deadline.has_passed() => thread::sleep(Duration::from_millis(2)),
                Ok(None) => return false,
                Ok(Some(_)) | Err(_) => return true,
            }
        }
    }
}
