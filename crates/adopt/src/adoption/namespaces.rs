//! The namespaces of the login's job: the stepd hands them over, the process enters them.

use std::fs::{self, File};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::Duration;

use proto::stepd::{self, NamespaceHandover, State};
use sys::{Deadline, Namespace};

use crate::access;
use crate::adoption::error::AdoptError;
use crate::exchange::{self, Broken};
use crate::log::Log;
use crate::stepd::{Census, Conversation};
use crate::text::said;

/// Waits until the step is set up: while it is starting it reports no namespaces, a moment later it does.
fn wait_until_set_up(
    conversation: &Conversation,
    deadline: &Deadline,
    log: Log<'_>,
) -> Result<(), AdoptError> {
    const AGAIN: Duration = Duration::from_millis(10);
    let mut state = conversation.owner.state;
    loop {
        match state {
            State::Running => return Ok(()),
            State::Ending => return Err(AdoptError::ending()),
            State::Starting => {}
        }
        sys::poll(&mut [], AGAIN.min(deadline.remaining())).map_err(Broken::from)?;
        state = match ask_state(&conversation.socket, deadline) {
            Ok(state) => state,
            Err(Broken::Silent) => {
                let job = conversation.job.job;
                // It is unknown whether the step is still starting or has stopped.
                log.error(|| format!("the extern step of job {job} is still starting"));
                return Err(AdoptError::Silent);
            }
            Err(broken) => return Err(broken.into()),
        };
    }
}

/// Asks the stepd for the state of its step.
pub(crate) fn ask_state(socket: &OwnedFd, deadline: &Deadline) -> Result<State, Broken> {
    if deadline.has_passed() {
        return Err(Broken::Silent);
    }
    sys::send(socket, &stepd::ask_state())?;
    let mut answer = [0; stepd::STATE_ANSWER];
    exchange::read_exactly(socket, &mut answer, deadline)?;
    Ok(stepd::read_state(answer))
}

/// Returns the namespaces of the job; each one is checked to be of the announced kind.
///
/// If the stepd announces a namespace but does not hand it over, it is taken from where Slurm keeps it. The
/// conversation is then replaced by a new one, so that no late answer can be taken for another.
pub fn namespaces(
    census: &mut Census,
    conversation: &mut Conversation,
    deadline: &Deadline,
    log: Log<'_>,
) -> Result<Vec<(Namespace, OwnedFd)>, AdoptError> {
    let version = conversation.owner.version;
    let handover = version.hands_over_namespaces_by();
    if handover == NamespaceHandover::None {
        return Ok(Vec::new());
    }
    // Such a stepd is asked over another connection, so that the adopting one is not lost.
    let may_close = version.may_close_on_get_ns_fd();
    let own;
    let mut socket = &conversation.socket;
    exchange::nothing_unread(socket)?;
    wait_until_set_up(conversation, deadline, log)?;
    if may_close {
        own = census.converse(conversation.job.job, deadline, log)?;
        socket = &own.socket;
    }
    let failed = |broken| match broken {
        // As with adoption itself: a user who makes the job's stepd hang does not get in that way.
        Broken::Silent => AdoptError::Silent,
        broken => AdoptError::Refused(format!("the job's namespaces: {broken}")),
    };
    let mut handed = match receive_namespaces(socket, handover, handover.request(), deadline) {
        Ok(handed) => handed,
        Err(Broken::Ended) if may_close => return Ok(Vec::new()),
        Err(broken) => return Err(failed(broken)),
    };
    let Some((kind, broken)) = handed.missing.take() else {
        return Ok(handed.found);
    };
    let job = conversation.job.job;
    match of_mounts(job, conversation.owner.uid, conversation.pid) {
        Ok(fd) => {
            log.debug(|| {
                format!("the {kind} namespace of job {job} is the one that is mounted: {broken}")
            });
            let again = census.converse(job, deadline, log)?;
            // Otherwise the mounts may have been another process's.
            if again.pid != conversation.pid {
                return Err(AdoptError::Refused("its slurmstepd is gone".into()));
            }
            *conversation = again;
            Ok(vec![(kind, fd)])
        }
        Err(cause) => {
            log.error(|| format!("the {kind} namespace of job {job}: {broken}; {cause}"));
            let late = match broken {
                Broken::Silent => receive_one(socket, kind, deadline),
                broken => Err(broken),
            };
            late.map(|fd| vec![(kind, fd)]).map_err(failed)
        }
    }
}

/// The namespaces that a stepd hands over.
#[derive(Debug, Default)]
pub(crate) struct Handed {
    pub found: Vec<(Namespace, OwnedFd)>,
    /// The only namespace announced, and the failure to receive it. slurmstepd 26.11 with namespace/tmpfs hands
    /// its namespace over once: from the second login on its descriptor is closed or belongs to another file.
    /// If 20.11 to 25.05 are asked too early, the descriptor is of an empty file.
    pub missing: Option<(Namespace, Broken)>,
}

/// Sends the question, unless it was sent already, and reads the answer.
pub(crate) fn receive_namespaces(
    socket: &OwnedFd,
    handover: NamespaceHandover,
    question: Option<[u8; 4]>,
    deadline: &Deadline,
) -> Result<Handed, Broken> {
    if let Some(question) = question {
        sys::send(socket, &question)?;
    }
    let number = |what| -> Result<i32, Broken> {
        let mut answer = [0; 4];
        exchange::read_exactly(socket, &mut answer, deadline)?;
        match i32::from_ne_bytes(answer) {
            number @ 0.. => Ok(number),
            number => Err(Broken::Nonsense(format!("{what} is {number}"))),
        }
    };
    let mut handed = Handed::default();
    let count = match handover {
        NamespaceHandover::MountOnly => i32::from(number("the descriptor")? != 0),
        _ => number("their number")?,
    };
    if count > NamespaceHandover::MAX {
        return Err(Broken::Nonsense(format!("their number is {count}")));
    }
    for _ in 0..count {
        let announced = match handover {
            NamespaceHandover::MountOnly => Namespace::Mount,
            _ => {
                let flag = number("a kind")?;
                let known = Namespace::from_flag(flag);
                known.ok_or_else(|| Broken::Nonsense(format!("a kind is {flag:#x}")))?
            }
        };
        if count > 1 || announced != Namespace::Mount {
            let fd = receive_one(socket, announced, deadline)?;
            handed.found.push((announced, fd));
            continue;
        }
        // It is sent in one go with its announcement.
        let soon = deadline.within((deadline.remaining() / 4).min(PATIENCE));
        match receive_one(socket, announced, &soon) {
            Ok(fd) => handed.found.push((announced, fd)),
            Err(broken) => handed.missing = Some((announced, broken)),
        }
    }
    Ok(handed)
}

/// Time to wait for an announced namespace before looking for it elsewhere.
const PATIENCE: Duration = Duration::from_millis(250);

fn receive_one(socket: &OwnedFd, kind: Namespace, deadline: &Deadline) -> Result<OwnedFd, Broken> {
    let received = exchange::until_there(socket, deadline, || sys::receive_descriptor(socket))?;
    let fd = received.ok_or(Broken::Ended)?;
    let checked = kind.check(&fd);
    checked.map_err(|error| Broken::Nonsense(said(error)))?;
    Ok(fd)
}

/// Opens the mount namespace that Slurm keeps for a job: on the file BASE/JOB/.ns, beside the directory .JOB of the
/// job's user (job_container/tmpfs, namespace/tmpfs of 21.08 to 26.05). Only root can mount it where slurmstepd
/// sees it. The namespaces of the job's processes may be their own (a container's), and the extern step has
/// no process in it.
fn of_mounts(job: u32, uid: u32, stepd: i32) -> io::Result<OwnedFd> {
    let proc = format!("/proc/{stepd}");
    let read = |path: String| {
        let text = sys::read_regular(Path::new(&path), 1 << 24);
        text.map_err(access::during(format_args!("read {path}")))
    };
    let mounts = read(format!("{proc}/mountinfo"))?;
    let mounts = String::from_utf8_lossy(&mounts);
    // If several are mounted on one file, the last one is visible.
    let kept = mounts.lines().rev().filter_map(|it| Kept::parse(it, job));
    let mut others = String::new();
    for Kept { number, path } in kept {
        let path = format!("{proc}/root{path}");
        let found = fs::symlink_metadata(format!("{path}/.{job}"));
        match found {
            Ok(found) if found.is_dir() && found.uid() == uid => {}
            _ => {
                others += &format!("; {path}/.{job} is no directory of uid {uid}");
                continue;
            }
        }
        let path = format!("{path}/.ns");
        let failed = access::during(format!("open {path}"));
        let file = File::open(&path).map_err(&failed)?;
        let is_it = file.metadata().map_err(&failed)?.ino() == number;
        let fd = OwnedFd::from(file);
        Namespace::Mount.check(&fd).map_err(&failed)?;
        return match is_it {
            true => Ok(fd),
            false => Err(io::Error::other(format!("{path} was replaced meanwhile"))),
        };
    }
    let cause = format!("{proc}/mountinfo has none of job {job}{others}");
    Err(io::Error::other(cause))
}

/// A namespace mount, proc_pid_mountinfo(5).
struct Kept<'a> {
    /// The namespace's inode.
    number: u64,
    /// The job's directory.
    path: &'a str,
}

impl<'a> Kept<'a> {
    /// Parses a line; None unless it is a namespace mount of this job.
    fn parse(line: &'a str, job: u32) -> Option<Self> {
        let (mount, source) = line.split_once(" - ")?;
        if source.split(' ').next() != Some("nsfs") {
            return None;
        }
        let mut fields = mount.split(' ').skip(3);
        let (root, point) = (fields.next()?, fields.next()?);
        let number = root.strip_prefix("mnt:[")?.strip_suffix(']')?;
        let path = point.strip_suffix("/.ns")?;
        let of_job = path.rsplit('/').next()? == job.to_string();
        // No path of Slurm's has characters that are escaped there.
        (of_job && !path.contains('\\')).then_some(Self {
            number: number.parse().ok()?,
            path,
        })
    }
}

/// The namespaces to enter, and the way back.
#[derive(Default)]
pub struct Entrance {
    /// All but the user namespace, each with the one that the process is in now.
    first: Vec<(Namespace, OwnedFd, OwnedFd)>,
    /// The user namespace. It comes last: from inside it the process cannot go back to its other old namespaces.
    last: Option<OwnedFd>,
}

impl Entrance {
    /// Looks up the way back before anything is changed: in the job's mount namespace /proc may not
    /// show this process.
    /// Skips namespaces that the process is already in: a user namespace cannot be entered again, setns(2).
    pub fn prepare(namespaces: Vec<(Namespace, OwnedFd)>) -> io::Result<Self> {
        let mut entrance = Self::default();
        for (kind, fd) in namespaces {
            let failed = access::during(format!("find the own {kind} namespace"));
            let here = kind.current().map_err(&failed)?;
            match kind {
                _ if sys::is_same_file(&fd, &here).map_err(&failed)? => {}
                Namespace::User => entrance.last = Some(fd),
                _ => entrance.first.push((kind, fd, here)),
            }
        }
        Ok(entrance)
    }

    /// Enters all of them, or none.
    pub fn enter(&self, log: Log<'_>) -> io::Result<()> {
        let first = self.first.iter().map(|(kind, fd, _)| (*kind, fd));
        let last = self.last.iter().map(|fd| (Namespace::User, fd));
        for (index, (kind, fd)) in first.chain(last).enumerate() {
            let Err(error) = kind.enter(fd) else { continue };
            for (kind, _, here) in self.first.iter().take(index) {
                if let Err(error) = kind.enter(here) {
                    log.error(|| format!("leave the job's {kind} namespace: {error}"));
                }
            }
            let what = format!("enter the job's {kind} namespace");
            return Err(access::during(what)(error));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mount_of_a_jobs_namespace() {
        let line = "715 487 0:4 mnt:[4026533889] /var/spool/c/node2/7/.ns rw - nsfs nsfs rw";
        let kept = Kept::parse(line, 7).expect("it is");
        assert_eq!(
            (kept.number, kept.path),
            (4_026_533_889, "/var/spool/c/node2/7")
        );
        let shared = line.replace(" rw -", " rw shared:3 master:1 -");
        assert!(Kept::parse(&shared, 7).is_some());
        assert!(Kept::parse(line, 77).is_none());
        for (from, to) in [
            ("nsfs nsfs", "tmpfs nsfs"),
            ("mnt:[", "net:["),
            ("mnt:[", "/["),
            ("/.ns", "/ns"),
            ("/.ns", "/x/.ns"),
            ("/7/", "/17/"),
            ("/7/", "/7\\040/"),
            (" - ", " "),
            ("4026533889", "x"),
        ] {
            let other = line.replace(from, to);
            assert!(Kept::parse(&other, 7).is_none(), "{other}");
        }
        for line in ["", " - ", " - nsfs", "a b c mnt:[1] - nsfs"] {
            assert!(Kept::parse(line, 7).is_none(), "{line}");
        }
    }
}
