//! Suspended jobs: a process that enters a suspended job's extern step stops until the job is resumed.
//!
//! Slurm suspends a job (`scontrol suspend`, preemption, gang scheduling) with SIGTSTP to the processes of
//! each step, and two seconds later with the freezer of each step: `freezer.state` of `step_extern` with
//! cgroup v1, `cgroup.freeze` of `step_extern/user` with v2. Observed with 20.11, 22.05, 24.11 and 26.05.
//! slurmstepd itself, in the directory above or beside, runs on and takes processes in as usual; its STATE
//! stays "running". If a directory above is frozen, slurmstepd is frozen too and does not answer.

use std::cell::Cell;
use std::io;
use std::os::fd::OwnedFd;

use sys::{Deadline, Interest, ProxyError};

use crate::access::read_unless_gone;
use crate::adoption::error::AdoptError;
use crate::adoption::hierarchy;
use crate::adoption::steps::{Line, Steps, cgroups_of, lines};
use crate::exchange::{self, Broken};
use crate::log::Log;
use crate::stepd::Census;

/// The freezer of an extern step.
#[derive(Debug, Default)]
pub struct Freezer {
    /// The file with its state, if it is visible.
    state: Option<String>,
    is_suspended: bool,
}

impl Freezer {
    /// Finds the freezer of a job whose slurmstepd has this pid (0: invisible from here). If that fails, logs
    /// it and behaves as if there were none.
    #[must_use]
    pub fn of(steps: &Steps, stepd: i32, log: Log<'_>) -> Self {
        Self::find(steps, stepd).unwrap_or_else(|error| {
            log.error(|| format!("check whether the job is suspended: {error}"));
            Self::default()
        })
    }

    fn find(steps: &Steps, stepd: i32) -> io::Result<Self> {
        let Some((hierarchy, file)) = &steps.freezer else {
            return Ok(Self::default());
        };
        let Some(path) = hierarchy::find(hierarchy, file)? else {
            return Ok(Self::default());
        };
        let Some(state) = read_unless_gone(&path)? else {
            return Ok(Self::default());
        };
        Ok(Self {
            is_suspended: is_frozen(&state) || is_sleeper_stopped(stepd)?,
            state: Some(path),
        })
    }

    /// Whether the step is suspended, or will be within two seconds.
    #[must_use]
    pub fn is_suspended(&self) -> bool {
        self.is_suspended
    }
}

/// Whether slurmstepd's process that holds the step is stopped, as all of the step's processes are
/// before the freeze. It is root's: no user can stop it. 26.05 has no such process.
fn is_sleeper_stopped(stepd: i32) -> io::Result<bool> {
    let children = read_unless_gone(&format!("/proc/{stepd}/task/{stepd}/children"))?;
    for child in children.unwrap_or_default().split_whitespace() {
        let stat = read_unless_gone(&format!("/proc/{child}/stat"))?;
        if stat.is_some_and(|it| is_stopped(&it)) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether this text of freezer.state (FREEZING counts) or cgroup.freeze means frozen.
fn is_frozen(state: &str) -> bool {
    !matches!(state.trim(), "THAWED" | "0" | "")
}

/// Whether this text of /proc/PID/stat is that of a stopped sleep(1), the child with which slurmstepd holds the
/// step (`mgr.c`).
fn is_stopped(stat: &str) -> bool {
    let after = stat.split_once(" (sleep) ");
    after.is_some_and(|(_, after)| after.starts_with('T'))
}

/// Checks that a job is not suspended now, for an adoption later.
///
/// # Errors
/// [`AdoptError::Suspended`], or the failure to ask the slurmstepd for its owner.
pub fn check_running(
    census: &mut Census,
    job: u32,
    deadline: &Deadline,
    log: Log<'_>,
) -> Result<(), AdoptError> {
    let conversation = census.converse(job, deadline, log)?;
    let steps = Steps::beside(job, conversation.pid, log);
    match Freezer::of(&steps, conversation.pid, log).is_suspended() {
        true => Err(AdoptError::Suspended),
        false => Ok(()),
    }
}

/// Asks the slurmstepd to take the calling process into its step. The caller reads the answer.
///
/// # Errors
/// [`AdoptError::Suspended`]: the process is where it was.
pub fn ask(
    freezer: &Freezer,
    socket: &OwnedFd,
    question: &[u8],
    pid: u32,
    deadline: &Deadline,
    log: Log<'_>,
) -> Result<(), AdoptError> {
    let ask = || {
        let sent = sys::send(socket, question);
        if sent.is_ok() {
            let _ = exchange::wait(Interest::readable(socket), deadline);
        }
        sent
    };
    guarded(freezer, pid, &ask, log)?.map_err(|error| Broken::from(error).into())
}

/// The answers of the other process.
const THROUGH: u8 = 0;
const FAILED: u8 = 1;
const PUT_BACK: u8 = 2;
const NOT_PUT_BACK: u8 = 3;
const UNSEEN: u8 = 4;

/// Does the work that moves the calling process into the step.
///
/// A process that is moved into a frozen step stops at once and cannot help itself. So another process does
/// the work: it is not moved, and moves the login back if the step is suspended by then.
///
/// # Errors
/// [`AdoptError::Suspended`]: the process is where it was.
pub fn guarded(
    freezer: &Freezer,
    pid: u32,
    work: &dyn Fn() -> io::Result<()>,
    log: Log<'_>,
) -> Result<io::Result<()>, AdoptError> {
    if freezer.is_suspended {
        return Err(AdoptError::Suspended);
    }
    let Some(state) = &freezer.state else {
        log.debug(|| "the job has no freezer, or none is visible".to_owned());
        return Ok(work());
    };
    let failure = Cell::new(None);
    let failed = |code, error| {
        failure.set(Some(error));
        code
    };
    // Nothing is logged in here: see `by_proxy`.
    let done = sys::by_proxy(&|| {
        let worked = work();
        let is_frozen = read_unless_gone(state).map(|it| it.is_some_and(|it| is_frozen(&it)));
        match (is_frozen, worked) {
            (Ok(true), _) => match put_back(pid) {
                Ok(()) => PUT_BACK,
                Err(error) => failed(NOT_PUT_BACK, error),
            },
            (_, Err(error)) => failed(FAILED, error),
            (Err(error), Ok(())) => failed(UNSEEN, error),
            (Ok(false), Ok(())) => THROUGH,
        }
    });
    match done {
        Ok(code) => outcome(code, &failure, log),
        Err(ProxyError::NotStarted(error)) => {
            log.error(|| format!("start the process that asks for adoption: {error}"));
            Ok(work())
        }
        // It may have asked, so nobody may ask again.
        Err(error) => Err(AdoptError::NotHeld(error.to_string())),
    }
}

/// Turns the answer of the other process into a result.
fn outcome(
    code: u8,
    failure: &Cell<Option<io::Error>>,
    log: Log<'_>,
) -> Result<io::Result<()>, AdoptError> {
    // If the other process is a copy of this one (valgrind), its error is lost.
    let failure = || {
        let error = failure.take();
        error.unwrap_or_else(|| io::Error::other("the process that asked does not tell why"))
    };
    let what = match code {
        THROUGH => return Ok(Ok(())),
        FAILED => return Ok(Err(failure())),
        PUT_BACK => return Err(AdoptError::Suspended),
        UNSEEN => "check whether the job was suspended meanwhile",
        _ => "the job was suspended, and the login could not be moved out of it",
    };
    let error = failure();
    log.error(|| format!("{what}: {error}"));
    Ok(Ok(()))
}

/// Moves a process to the calling process's place, in each cgroup hierarchy.
fn put_back(pid: u32) -> io::Result<()> {
    let cgroups = |process: &str| {
        let unseen = || io::Error::other(format!("/proc/{process}/cgroup is not visible"));
        cgroups_of(process)?.ok_or_else(unseen)
    };
    let (here, there) = (cgroups("self")?, cgroups(&pid.to_string())?);
    put_all(&here, &there, |line| {
        hierarchy::put(pid, line.controllers, line.path)
    })
}

/// Moves a process from `there` to `here` in each hierarchy where they differ. A failure in one hierarchy does not
/// stop the others, so that the process gets out of the freezer.
fn put_all(here: &str, there: &str, put: impl Fn(&Line<'_>) -> io::Result<()>) -> io::Result<()> {
    let mut result = Ok(());
    for line in lines(here) {
        let is_there = lines(there).find(|it| it.controllers == line.controllers);
        if is_there.is_some_and(|it| it.path != line.path) {
            result = result.and(put(&line));
        }
    }
    result
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::panic;

    use super::*;

    #[test]
    fn a_hierarchy_that_refuses_does_not_keep_a_login_in_the_others() {
        let here = "9:memory:/sshd\n8:freezer:/sshd\n7:pids:/sshd\n6:cpu:/sshd\n0::/sshd\n";
        let there = "9:memory:/job\n8:freezer:/job\n7:pids:/sshd\n6:cpu:/job\n";
        let tried = RefCell::new(Vec::new());
        let put = |refuses: &'static str| {
            tried.take();
            put_all(here, there, |line| {
                tried.borrow_mut().push(line.controllers.to_owned());
                match line.controllers == refuses {
                    true => Err(io::Error::other(refuses)),
                    false => Ok(()),
                }
            })
        };
        for refuses in ["memory", "freezer", "cpu"] {
            let error = put(refuses).expect_err("one refuses").to_string();
            assert_eq!(error, refuses);
            assert_eq!(*tried.borrow(), ["memory", "freezer", "cpu"], "{refuses}");
        }
        assert!(put("none").is_ok());
    }

    /// The process may have asked already: slurmstepd would count the login twice.
    #[test]
    fn nobody_asks_again_after_a_process_that_ended() {
        let freezer = Freezer {
            state: Some("/proc/self/no freezer".to_owned()),
            is_suspended: false,
        };
        let log = Log::silent();
        let asked = Cell::new(0);
        let dies = || -> io::Result<()> {
            asked.set(asked.get() + 1);
            panic!("as if it were killed")
        };
        let hook = panic::take_hook();
        panic::set_hook(Box::new(|_| ()));
        let done = guarded(&freezer, 1, &dies, log);
        panic::set_hook(hook);
        let text = format!("{:?}", done.expect_err("nobody knows how far it came"));
        assert!(
            text.starts_with("NotHeld(") && text.contains("by signal 9"),
            "{text}"
        );
        assert_eq!(asked.get(), 1);
        let fails = || Err(io::Error::other("no"));
        let failed = guarded(&freezer, 1, &fails, log).expect("it has told");
        assert_eq!(failed.expect_err("that").to_string(), "no");
        assert!(guarded(&freezer, 1, &|| Ok(()), log).is_ok_and(|it| it.is_ok()));
    }

    #[test]
    fn what_is_frozen() {
        for (state, is) in [
            ("THAWED\n", false),
            ("0\n", false),
            ("", false),
            ("FREEZING\n", true),
            ("FROZEN\n", true),
            ("1\n", true),
        ] {
            assert_eq!(is_frozen(state), is);
        }
    }

    #[test]
    fn what_is_stopped() {
        for (stat, is) in [
            ("310 (sleep) T 296 310", true),
            ("310 (sleep) S 296 310", false),
            ("310 (perl) T 296 310", false),
            ("310 (a) (sleep T 296 310", false),
            ("", false),
        ] {
            assert_eq!(is_stopped(stat), is, "{stat}");
        }
    }
}
