//! Looks into all rooms at the same time, and collects what they say.

use std::fmt;
use std::io;
use std::panic::{self, AssertUnwindSafe};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use sys::Deadline;

use crate::finding::{Note, Notes};
use crate::host::tree::Tree;
use crate::{Finding, Host, ROOMS, Room, Severity, Unseen, named};

/// What to look at.
#[derive(Debug, Default, Clone)]
pub struct Request {
    /// A tree that does not run, instead of this host.
    pub root: Option<PathBuf>,
    /// The only checks to carry out, by ID; empty: all.
    pub only: Vec<String>,
    /// The checks to leave out, by ID.
    pub skip: Vec<String>,
    /// The time after which what still hangs is given up.
    pub limit: Duration,
}

/// A request that cannot be carried out.
#[derive(Debug)]
pub enum RequestError {
    /// There is no check with this ID.
    UnknownCheck(String),
    /// The tree cannot be opened.
    Root {
        /// The directory.
        path: PathBuf,
        /// The system's error.
        cause: io::Error,
    },
}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownCheck(id) => {
                let id = id.escape_default();
                write!(
                    f,
                    "no check \"{id}\": IDs are like SA201, see slurm-adopt help"
                )
            }
            Self::Root { path, cause } => write!(f, "open --root {}: {cause}", path.display()),
        }
    }
}

/// What one room says.
#[derive(Debug)]
pub struct RoomReport {
    /// The room.
    pub room: &'static Room,
    /// A few words on what is there.
    pub summary: Vec<String>,
    /// What was measured: differs each time.
    pub measured: Vec<String>,
    /// What is wrong, the worst first.
    pub findings: Vec<Finding>,
    /// What could not be looked at.
    pub unseen: Vec<Unseen>,
    is_done: bool,
}

/// What all rooms say.
#[derive(Debug)]
pub struct Report {
    /// The host.
    pub host: Arc<Host>,
    /// The number of checks that were carried out.
    pub checks: usize,
    /// The rooms with checks to carry out.
    pub rooms: Vec<RoomReport>,
    /// The time that it took.
    pub took: Duration,
}

impl Request {
    fn wants(&self, id: &str) -> bool {
        let lists = |list: &[String]| list.iter().any(|it| it.eq_ignore_ascii_case(id));
        (self.only.is_empty() || lists(&self.only)) && !lists(&self.skip)
    }
}

/// Looks into all rooms.
///
/// # Errors
/// [`RequestError`].
pub fn run(request: &Request) -> Result<Report, RequestError> {
    let mut ids = request.only.iter().chain(&request.skip);
    if let Some(id) = ids.find(|it| named(it).is_none()) {
        return Err(RequestError::UnknownCheck(id.clone()));
    }
    let tree = match &request.root {
        None => Tree::live(),
        Some(path) => Tree::at(path).map_err(|cause| RequestError::Root {
            path: path.clone(),
            cause,
        })?,
    };
    let started = Instant::now();
    let deadline = Deadline::after(request.limit);
    let host = Arc::new(Host::new(tree, deadline));
    let is_wanted = |room: &&Room| room.checks.iter().any(|it| request.wants(it.id));
    let wanted: Vec<&'static Room> = ROOMS.iter().filter(is_wanted).collect();
    let mut rooms = look(&host, &wanted, &deadline);
    for room in &mut rooms {
        room.findings.retain(|it| request.wants(it.check.id));
        room.findings
            .sort_by_key(|it| (std::cmp::Reverse(it.severity), it.check.id));
    }
    let done = rooms.iter().filter(|it| it.is_done);
    let carried_out = done.flat_map(|it| it.room.checks);
    Ok(Report {
        host,
        checks: carried_out.filter(|it| request.wants(it.id)).count(),
        rooms,
        took: started.elapsed(),
    })
}

/// Lets each room look in a thread of its own: one that hangs holds up no other.
fn look(host: &Arc<Host>, wanted: &[&'static Room], deadline: &Deadline) -> Vec<RoomReport> {
    let (sender, receiver) = mpsc::channel();
    for (index, room) in wanted.iter().enumerate() {
        let (room, host) = (*room, Arc::clone(host));
        let mut notes = Notes {
            room: index,
            sender: sender.clone(),
        };
        thread::spawn(move || {
            let looked = panic::catch_unwind(AssertUnwindSafe(|| (room.look)(&host, &mut notes)));
            match looked {
                Ok(()) => notes.done(),
                Err(_) => notes.unseen(room.name, "the check itself failed; please report this"),
            }
        });
    }
    drop(sender);
    let report = |room: &&'static Room| RoomReport {
        room,
        summary: Vec::new(),
        measured: Vec::new(),
        findings: Vec::new(),
        unseen: Vec::new(),
        is_done: false,
    };
    let mut rooms: Vec<RoomReport> = wanted.iter().map(report).collect();
    loop {
        match receiver.recv_timeout(deadline.remaining()) {
            Ok((index, note)) => {
                if let Some(room) = rooms.get_mut(index) {
                    room.take(note);
                }
            }
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => {
                for room in rooms.iter_mut().filter(|it| !it.is_done) {
                    room.unseen.push(Unseen {
                        what: room.room.name.to_owned(),
                        why: "something hangs; the rest of this part was not looked at".to_owned(),
                    });
                }
                break;
            }
        }
    }
    rooms
}

impl RoomReport {
    fn take(&mut self, note: Note) {
        match note {
            Note::Finding(finding) if !self.findings.contains(&finding) => {
                self.findings.push(finding);
            }
            Note::Finding(_) => {}
            Note::Summary(text) => self.summary.push(text),
            Note::Measured(text) => self.measured.push(text),
            Note::Unseen(unseen) => self.unseen.push(unseen),
            Note::Done => self.is_done = true,
        }
    }

    /// The worst severity.
    #[must_use]
    pub fn worst(&self) -> Option<Severity> {
        self.findings.iter().map(|it| it.severity).max()
    }
}

impl Report {
    /// All findings, in the order of the rooms.
    pub fn findings(&self) -> impl Iterator<Item = &Finding> {
        self.rooms.iter().flat_map(|it| &it.findings)
    }

    /// The number of findings of a severity.
    #[must_use]
    pub fn count(&self, severity: Severity) -> usize {
        self.findings().filter(|it| it.severity == severity).count()
    }

    /// The exit status: 0 nothing to fear, 1 warnings, 2 failures, 3 nothing could be judged.
    #[must_use]
    pub fn status(&self) -> u8 {
        match self.findings().map(|it| it.severity).max() {
            Some(Severity::Failure) => 2,
            Some(Severity::Warning) => 1,
            Some(Severity::Note) => 0,
            None if self.checks == 0 => 3,
            None => 0,
        }
    }
}
