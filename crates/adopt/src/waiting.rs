//! Waits for a job of the user to start here (`wait_for_job=`).
//!
//! slurmd runs the prolog first, and only then starts the slurmstepd of the extern step (`req.c: _rpc_prolog`,
//! 20.11 to 26.05): during the prolog nothing here tells that a job is coming. With PrologFlags=RunInJob (24.05 on)
//! the slurmstepd is first: it listens, says that it is running and runs the prolog (`mgr.c: _spawn_job_container`).
//! A process that it adopts then is in the job before the node is ready for it.

use std::fs;
use std::io;
use std::net::IpAddr;
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use sys::{Deadline, Interest, Watch};

use crate::access;
use crate::gather::{self, Query};
use crate::node::Node;
use crate::options::{Mode, Options};
use crate::session;
use crate::state_dir::StateDir;
use crate::stepd::{self, CensusRequest, OwnStepd};
use crate::text::shown;

/// Whether logins to this service may wait.
#[must_use]
pub(crate) fn may_wait(options: &Options, service: &str) -> bool {
    // Other applications have no LoginGraceTime, and other modes keep nobody out.
    !options.wait_for_job.is_zero() && service == session::SSHD && options.mode == Mode::Enforce
}

/// Whether logins from there may wait; None: PAM_RHOST is no address.
#[must_use]
pub(crate) fn may_wait_from(options: &Options, from: Option<IpAddr>) -> bool {
    let has = |from: IpAddr| options.wait_from.iter().any(|it| it.contains(from));
    options.wait_from.is_empty() || from.is_some_and(has)
}

/// The jobs of a user here that are not ending, for one who waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Progress {
    /// None.
    NoJob,
    /// The slurmstepd of this one, and of each other, is still setting it up.
    Starting(u32),
    /// At least one is set up.
    Ready,
}

impl Progress {
    /// The progress of these jobs.
    pub fn of(own: &[OwnStepd]) -> Self {
        Self::with(own, is_set_up)
    }

    fn with(own: &[OwnStepd], is_set_up: impl Fn(i32) -> bool) -> Self {
        // One that is ending takes no login, and may do so for as long as KillWait.
        let mut own = own.iter().filter(|it| !it.is_ending);
        match own.clone().next_back() {
            None => Self::NoJob,
            Some(_) if own.any(|it| is_set_up(it.pid)) => Self::Ready,
            Some(last) => Self::Starting(last.job),
        }
    }
}

/// Whether a slurmstepd has set up its step: until then its standard input is a pipe from slurmd
/// (`slurmstepd.c: close_slurmd_conn`; seen with 20.11, 22.05, 24.11 and 26.05). True if that cannot be seen.
fn is_set_up(pid: i32) -> bool {
    let input = fs::read_link(format!("/proc/{pid}/fd/0"));
    !input.is_ok_and(|it| it.as_os_str().as_bytes().starts_with(b"pipe:"))
}

/// Waits until a job of the user is set up here, the time is over, or the client has hung up; `client` finds its
/// connection. Returns the time waited; None if the login cannot wait, and the log says why.
pub(crate) fn wait(
    query: &Query<'_>,
    user: &str,
    seen: &Progress,
    client: &dyn Fn() -> Option<OwnedFd>,
) -> Option<Duration> {
    let log = query.log;
    let node = gather::find_node(query).ok()?;
    let _slot = match slot(&query.state_dir, query.uid) {
        Ok(Some(slot)) => slot,
        Ok(None) => {
            log.error(|| {
                format!(
                    "{} does not wait for a job: too many do already",
                    shown(user)
                )
            });
            return None;
        }
        Err(error) => {
            log.error(|| format!("wait for a job: {error}"));
            return None;
        }
    };
    log.info(|| {
        let seconds = query.options.wait_for_job.as_secs();
        let what = match seen {
            Progress::Starting(job) => format!("job {job} to be set up"),
            Progress::NoJob | Progress::Ready => "a job to start here".to_owned(),
        };
        format!("{} waits for {what}, up to {seconds} s", shown(user))
    });
    let started = Instant::now();
    match watch(query, &node, client()) {
        Ok(Ended::ByItself) => {}
        Ok(Ended::HungUp) => log.info(|| format!("{} has hung up", shown(user))),
        Err(error) => log.error(|| told(&error)),
    }
    Some(started.elapsed())
}

/// What ended a wait.
enum Ended {
    /// A job, or the time.
    ByItself,
    /// The client is gone: sshd will find that out when it answers.
    HungUp,
}

/// Longest time between two looks, for what no event tells: a file system that is mounted on the directory, a link
/// that leads elsewhere, watches that cannot be had.
const SELDOM: Duration = Duration::from_secs(1);

/// The time to do nothing after a look that took so long: changes come in groups, and nobody may keep this login busy.
fn pause_after(look: Duration) -> Duration {
    const LEAST: Duration = Duration::from_millis(20);
    (look * 10).clamp(LEAST, SELDOM)
}

/// Watches first and looks then, so that nothing is missed in between.
fn watch(query: &Query<'_>, node: &Node, client: Option<OwnedFd>) -> io::Result<Ended> {
    /// Nothing tells when a slurmstepd has set up its step.
    const AGAIN: Duration = Duration::from_millis(100);
    let request = CensusRequest {
        uid: query.uid,
        may_stop: true,
        enough: 1,
        asks_all: &|| true,
    };
    let mut events = Events::new(client);
    let deadline = Deadline::after(query.options.wait_for_job);
    loop {
        if let Some(problem) = events.watch(&node.spool_dirs) {
            query.log.error(|| told(&problem));
        }
        let started = Instant::now();
        let of_look = deadline.within(query.limit);
        let census = stepd::look(node, request, &query.state_dir, &of_look);
        let pause = pause_after(started.elapsed());
        let left = deadline.remaining();
        let at_most = match Progress::of(&census.own()) {
            Progress::Ready => return Ok(Ended::ByItself),
            _ if left.is_zero() => return Ok(Ended::ByItself),
            Progress::Starting(_) => AGAIN,
            Progress::NoJob => SELDOM,
        };
        if events.wait(left.min(at_most))?
            || events.wait_for_client(deadline.remaining().min(pause))?
        {
            return Ok(Ended::HungUp);
        }
    }
}

fn told(error: &io::Error) -> String {
    format!("wait for a job: {error}")
}

/// What ends a pause.
struct Events {
    /// Without inotify there are more pauses.
    watch: io::Result<Watch>,
    is_told: bool,
    client: Option<OwnedFd>,
}

impl Events {
    fn new(client: Option<OwnedFd>) -> Self {
        Self {
            watch: Watch::new().map_err(access::during("inotify")),
            is_told: false,
            client,
        }
    }

    /// Watches the directories as far as that can be done. Returns the first problem once.
    fn watch(&mut self, dirs: &[PathBuf]) -> Option<io::Error> {
        let problem = match &self.watch {
            Ok(watch) => dirs.iter().find_map(|dir| add(watch, dir).err()),
            Err(error) => Some(io::Error::new(error.kind(), error.to_string())),
        };
        let problem = problem.filter(|_| !self.is_told)?;
        self.is_told = true;
        Some(problem)
    }

    /// Waits for a change. Whether the client has hung up.
    fn wait(&self, at_most: Duration) -> io::Result<bool> {
        let watch = self.watch.as_ref().ok();
        let changes = watch.map(Watch::changes);
        let has_hung_up = self.poll(changes, at_most)?;
        if let Some(watch) = watch {
            watch.forget()?;
        }
        Ok(has_hung_up)
    }

    /// Waits whatever changes. Whether the client has hung up.
    fn wait_for_client(&self, at_most: Duration) -> io::Result<bool> {
        self.poll(None, at_most)
    }

    fn poll(&self, changes: Option<Interest<'_>>, at_most: Duration) -> io::Result<bool> {
        let client = self.client.as_ref().map(Interest::hang_up);
        let mut all: Vec<_> = client.into_iter().chain(changes).collect();
        sys::poll(&mut all, at_most)?;
        Ok(self.client.is_some() && all.first().is_some_and(Interest::is_ready))
    }
}

/// Watches a directory, or the one in which it is to appear.
fn add(watch: &Watch, dir: &Path) -> io::Result<()> {
    for dir in dir.ancestors() {
        match watch.add(dir) {
            Err(error) if access::is_absent(&error) => {}
            result => return result.map_err(access::at("watch", dir)),
        }
    }
    Ok(())
}

/// Takes one of the user's places for waiting logins, and one of the node's: each login has one of sshd's MaxStartups and one
/// of root's inotify instances (`fs.inotify.max_user_instances`, 128). A place is a byte to lock.
fn slot(state_dir: &StateDir, uid: u32) -> io::Result<Option<fs::File>> {
    const OF_NODE: u64 = 16;
    const OF_USER: u64 = 4;
    let file = state_dir.open_locks(c"waits")?;
    let own = OF_NODE + OF_USER * u64::from(uid);
    for places in [own..own + OF_USER, 0..OF_NODE] {
        if !lock_any(&file, places)? {
            return Ok(None);
        }
    }
    Ok(Some(file))
}

fn lock_any(file: &fs::File, places: Range<u64>) -> io::Result<bool> {
    for place in places {
        match sys::try_lock_byte(file, place) {
            Ok(()) => return Ok(true),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests;
