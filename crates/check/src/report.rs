//! Looks into all rooms at the same time, and collects what they say.

use std::fmt;
use std::io;
use std::panic::{self, AssertUnwindSafe};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use sys::{Deadline, UserLookupError};

use crate::causes;
use crate::containment;
use crate::finding::{Note, Notes};
use crate::host::tree::Tree;
use crate::{Finding, Host, ROOMS, Room, Severity, Unseen, named};

const SECOND: Duration = Duration::from_secs(1);

/// What to look at.
#[derive(Debug, Default, Clone)]
pub struct Request {
    /// A tree that does not run, instead of this host.
    pub root: Option<PathBuf>,
    /// The only checks to carry out, by ID; empty: all.
    pub only: Vec<String>,
    /// The checks to leave out, by ID.
    pub skip: Vec<String>,
    /// The user who makes a trial login.
    pub user: Option<String>,
    /// The time after which what still hangs is given up; a trial login has its own.
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
    /// The tree has no /etc: an image that is not mounted, or a directory of it.
    NoSystem(PathBuf),
    /// This user cannot make a trial login.
    User {
        /// The user.
        name: String,
        /// The reason.
        why: &'static str,
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
            Self::NoSystem(path) => {
                let path = path.display();
                write!(
                    f,
                    "--root {path}: it has no /etc, so it is not the root of a system"
                )
            }
            Self::User { name, why } => write!(f, "--as {}: {why}", name.escape_default()),
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
    /// Whether it has proved what it was asked to.
    is_shown: bool,
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

    /// Refuses a user who cannot make a trial login. No thread runs yet.
    fn refuse_user(&self) -> Result<(), RequestError> {
        /// Time for the user database.
        const PATIENCE: Duration = Duration::from_secs(5);
        let Some(name) = &self.user else {
            return Ok(());
        };
        let refuse = |why| {
            let name = name.clone();
            Err(RequestError::User { name, why })
        };
        if self.root.is_some() {
            return refuse("a tree that does not run has no logins");
        }
        if sys::effective_uid() != 0 {
            return refuse("only root can make a login of another user");
        }
        let find = || match sys::uid_of_user(name.as_bytes()) {
            Ok(0) => b'0',
            Ok(_) => b'u',
            Err(UserLookupError::Unknown) => b'?',
            Err(UserLookupError::Failed(_)) => b'!',
        };
        match sys::by_copy(&Deadline::after(PATIENCE), &find) {
            Ok(b'u') => Ok(()),
            Ok(b'0') => refuse("root is never taken into a job; name a user"),
            Ok(b'?') => refuse("there is no such user"),
            Ok(_) | Err(_) => refuse("the user database does not answer"),
        }
    }
}

/// Whether a room makes a trial login.
fn is_trial(room: &Room) -> bool {
    room.name == containment::ROOM.name
}

/// Looks into all rooms. After each second calls `waits_for` with the names of the rooms that still look.
///
/// # Errors
/// [`RequestError`].
pub fn run(request: &Request, waits_for: &mut dyn FnMut(&[&str])) -> Result<Report, RequestError> {
    let mut ids = request.only.iter().chain(&request.skip);
    if let Some(id) = ids.find(|it| named(it).is_none()) {
        return Err(RequestError::UnknownCheck(id.clone()));
    }
    request.refuse_user()?;
    let tree = match &request.root {
        None => Tree::live(),
        Some(path) => Tree::at(path).map_err(|cause| RequestError::Root {
            path: path.clone(),
            cause,
        })?,
    };
    if let (Some(path), false) = (&request.root, tree.exists("/etc")) {
        return Err(RequestError::NoSystem(path.clone()));
    }
    let started = Instant::now();
    let deadline = Deadline::after(request.limit);
    let host = Arc::new(Host::new(tree, deadline).with_user(request.user.clone()));
    let is_wanted = |room: &&Room| room.checks.iter().any(|it| request.wants(it.id));
    let wanted = ROOMS.iter().filter(is_wanted);
    let (trial, wanted): (Vec<_>, Vec<_>) = wanted.partition(|it| is_trial(it));
    if let (Some(name), true) = (&request.user, trial.is_empty()) {
        let name = name.clone();
        let why = "--only and --skip leave out all checks of a trial login";
        return Err(RequestError::User { name, why });
    }
    let mut rooms = look(&host, &wanted, &deadline, waits_for);
    if request.user.is_some() && !trial.is_empty() {
        // After the others, which would see it.
        let limit = Deadline::after(containment::limit(&host));
        rooms.extend(look(&host, &trial, &limit, waits_for));
    }
    for room in &mut rooms {
        room.findings.retain(|it| request.wants(it.check.id));
        room.findings
            .sort_by_key(|it| (std::cmp::Reverse(it.severity), it.check.id));
    }
    causes::keep_causes(&mut rooms);
    let done = rooms.iter().filter(|it| it.is_done);
    let carried_out = done.flat_map(|it| it.room.checks);
    Ok(Report {
        host,
        checks: carried_out.filter(|it| request.wants(it.id)).count(),
        rooms,
        took: started.elapsed(),
    })
}

/// Looks into the rooms of these names, in this thread: for a caller who goes on from what they find.
#[must_use]
pub fn findings(host: &Host, names: &[&str]) -> Vec<Finding> {
    let (sender, receiver) = mpsc::channel();
    for room in ROOMS.iter().filter(|it| names.contains(&it.name)) {
        let sender = sender.clone();
        (room.look)(host, &mut Notes { room: 0, sender });
    }
    drop(sender);
    let mut found = Vec::new();
    for (_, note) in receiver {
        match note {
            Note::Finding(finding) if !found.contains(&finding) => found.push(finding),
            _ => {}
        }
    }
    found
}

/// Lets each room look in a thread of its own: one that hangs holds up no other.
fn look(
    host: &Arc<Host>,
    wanted: &[&'static Room],
    deadline: &Deadline,
    waits_for: &mut dyn FnMut(&[&str]),
) -> Vec<RoomReport> {
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
        is_shown: false,
        is_done: false,
    };
    let mut rooms: Vec<RoomReport> = wanted.iter().map(report).collect();
    let mut second = Deadline::after(SECOND);
    loop {
        match receiver.recv_timeout(deadline.remaining().min(second.remaining())) {
            Ok((index, note)) => {
                if let Some(room) = rooms.get_mut(index) {
                    room.take(note);
                }
            }
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) if deadline.has_passed() => {
                for room in rooms.iter_mut().filter(|it| !it.is_done) {
                    room.unseen.push(Unseen {
                        what: room.room.name.to_owned(),
                        why: "something hangs; the rest of this part was not looked at".to_owned(),
                    });
                }
                break;
            }
            Err(RecvTimeoutError::Timeout) => {
                let left = rooms.iter().filter(|it| !it.is_done);
                let left: Vec<&str> = left.map(|it| it.room.name).collect();
                waits_for(&left);
                second = Deadline::after(SECOND);
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
            Note::Summary(text) if !self.summary.contains(&text) => self.summary.push(text),
            Note::Unseen(unseen) if !self.unseen.contains(&unseen) => self.unseen.push(unseen),
            // Several sshds have the same said of them.
            Note::Finding(_) | Note::Summary(_) | Note::Unseen(_) => {}
            Note::Measured(text) => self.measured.push(text),
            Note::Shown => self.is_shown = true,
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

    /// The exit status: 0 nothing to fear, 1 warnings, 2 failures, 3 nothing could be judged, or a trial login was
    /// asked for and no job was seen to hold it.
    #[must_use]
    pub fn status(&self) -> u8 {
        let mut trial = self.rooms.iter().filter(|it| is_trial(it.room));
        match self.findings().map(|it| it.severity).max() {
            Some(Severity::Failure) => 2,
            Some(Severity::Warning) => 1,
            _ if trial.any(|it| !it.is_shown) => 3,
            Some(Severity::Note) => 0,
            None if self.checks == 0 => 3,
            None => 0,
        }
    }
}
