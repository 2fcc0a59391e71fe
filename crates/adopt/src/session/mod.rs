//! The process that a phase runs in, and the session phase's work besides adoption.
//!
//! With public key and plain password authentication sshd's monitor process calls both phases; the processes
//! that it forks later are where it is. With keyboard-interactive a helper process calls the account phase;
//! of its effects only the PAM environment reaches the monitor (OpenSSH 8.4 to 10.6, auth-pam.c:
//! `sshpam_thread`, `import_environments`). The session phase always runs in the monitor, before it forks
//! (sshd-session.c, `do_pam_session`).
//!
//! So the account phase adopts if it runs in the session's own process, and our session phase checks
//! that the process is still there and moves it back. In a helper process the account phase leaves
//! the adoption to the session phase, if that is sure to run.

pub mod notes;
pub(crate) mod record;
pub mod runtime_dir;
pub mod stack;

use std::fmt;
use std::io;
use std::os::unix::process::parent_id;
use std::path::Path;
use std::time::Duration;

use pam::Handle;
use pamconf::Facility;
use sys::Deadline;

use crate::adoption::cgroup;
use crate::decide::Admission;
use crate::log::Log;
use crate::login::Login;
use crate::options::{Options, RuntimeDir};
use crate::session::notes::Notes;
use crate::session::record::{Record, RecordKey};
use crate::session::runtime_dir::Users;
use crate::session::stack::{Line, Reach, Stack};
use crate::text::said;

/// The service whose application always calls the account phase before the session phase, and for the same user.
pub const SSHD: &str = "sshd";

/// The service of login(1).
pub const LOGIN: &str = "login";

/// Limit for the lock on the session notes: another login has it, and that login's job may be stopped.
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// The process that the account phase runs in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallingProcess {
    /// The session's own process, as far as that can be known.
    Session,
    /// sshd's helper for keyboard-interactive, which ends before the session begins.
    Helper,
}

impl CallingProcess {
    /// Finds out which one this is.
    ///
    /// # Errors
    /// If that is unknown. Adoption in a helper would admit the user without holding the session.
    pub fn find() -> io::Result<Self> {
        match is_helper() {
            Ok(true) => Ok(Self::Helper),
            Ok(false) => Ok(Self::Session),
            Err(error) => Err(io::Error::new(
                error.kind(),
                format!("read {TITLE}: {error}"),
            )),
        }
    }
}

/// The reason why the session phase is not sure to adopt what the account phase leaves to it.
#[derive(Debug, PartialEq, Eq)]
pub enum NotSure {
    /// The stack cannot be read, with the cause.
    Unread(String),
    /// The stack has no session line of ours.
    Absent,
    /// A line can end the stack before ours or jump over it.
    MayBePassed(Line),
    /// A failure of the session line does not count.
    NotBinding,
}

impl fmt::Display for NotSure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "with keyboard-interactive authentication sshd runs the account phase in a helper process, which cannot \
             be adopted",
        )?;
        match self {
            Self::Unread(cause) => {
                write!(f, "; cannot see whether a session line will adopt: {cause}")
            }
            Self::Absent => f.write_str(
                ": the stack also needs the line: session required pam_slurm_adopt.so, with the same options",
            ),
            Self::MayBePassed(Line { place, text }) => write!(
                f,
                ", and the session line of pam_slurm_adopt may not be reached: {place} ({text}) can end the stack \
                 before it or jump over it"
            ),
            Self::NotBinding => f.write_str(
                ", and a failure of the session line of pam_slurm_adopt does not count: make it required",
            ),
        }
    }
}

/// Checks that the session phase is sure to adopt what the account phase leaves to it.
///
/// # Errors
/// [`NotSure`].
pub fn adopts_later(stack: &Stack) -> Result<(), NotSure> {
    match (stack.reach(Facility::Session), stack.unread()) {
        (Reach::Always, None) => Ok(()),
        (Reach::Always | Reach::Absent, Some(cause)) => Err(NotSure::Unread(cause.to_string())),
        (Reach::Absent, None) => Err(NotSure::Absent),
        (Reach::MayBePassed(line), _) => Err(NotSure::MayBePassed(line.clone())),
        (Reach::NotBinding, _) => Err(NotSure::NotBinding),
    }
}

/// The module that admitted the user of this session; `found` is the account phase's record, for any user.
pub fn admission(found: Option<&Record>, uid: u32, stack: &Stack, service: &str) -> Admission {
    match (found, stack.reach(Facility::Account)) {
        // sudo, for example, runs the account phase for one user and opens a session for another.
        (Some(Record { uid: other, .. }), _) if *other != uid => without_record(service),
        (Some(Record { job: None, .. }), _) => Admission::Others,
        (Some(Record { job, .. }), _) => Admission::Ours { job: *job },
        // This is not the stack that libpam follows, for example after a module has changed the root.
        (None, Reach::Absent) if stack.is_empty() || stack.unread().is_some() => {
            match without_record(service) {
                Admission::Others => Admission::NoAccountLine,
                ours => ours,
            }
        }
        (None, Reach::Absent) => Admission::NoAccountLine,
        // The account line was called, but its record is gone.
        (None, Reach::Always) => without_record(service),
        (None, _) => Admission::Others,
    }
}

/// The module that admitted the user of this session, and the account phase's record for this user.
pub fn admitted(
    options: &Options,
    handle: &Handle,
    service: &str,
    uid: u32,
    log: Log<'_>,
) -> (Admission, Option<Record>) {
    let stack = Stack::read(service);
    warn_of_pam_systemd(&stack, log);
    let found = Record::find(&RecordKey::of(options), handle, log);
    let mut admission = admission(found.as_ref(), uid, &stack, service);
    // Users can write to the PAM environment, so it counts only against the user.
    let is_told = handle.env(c"SLURM_JOB_ID").is_some();
    if admission == Admission::Others && found.is_none() && is_told {
        admission = without_record(service);
    }
    (admission, found.filter(|it| it.uid == uid))
}

/// Forgets the decision of an earlier call in this PAM transaction, and warns about a second line.
pub fn forget_earlier_call(options: &Options, handle: &Handle, service: &str, log: Log<'_>) {
    let key = RecordKey::of(options);
    if Record::is_kept(&key, handle) {
        warn_if_listed_twice(&Stack::read(service), log);
        Record::forget(&key, handle);
    }
}

/// Records a user who was admitted without a job: the session phase takes a missing record for a
/// failure. The record names a job that did not take the login: then the session line's options count too.
pub fn leave_undecided(
    record: &Record,
    options: &Options,
    handle: &Handle,
    service: &str,
    log: Log<'_>,
) {
    let key = RecordKey::of(options);
    let left = match CallingProcess::find() {
        Ok(CallingProcess::Helper) => match Stack::read(service).reach(Facility::Session) {
            Reach::Absent => Ok(()),
            _ => record.leave(&key).map_err(said),
        },
        Ok(CallingProcess::Session) | Err(_) => record
            .keep(&key, handle)
            .map_err(|code| format!("pam_set_data: {code}")),
    };
    if let Err(cause) = left {
        log.error(|| format!("record the login for the session phase: {cause}"));
    }
}

/// The module that admitted a user if the account phase was called but left no record. sshd always calls the
/// account phase, for the same user; of other applications that is unknown.
pub fn without_record(service: &str) -> Admission {
    match service {
        SSHD => Admission::Ours { job: None },
        _ => Admission::Others,
    }
}

/// Whether this is slurmd's own su for a job's environment (sbatch --export=NONE; env.c,
/// `env_array_user`): root's, in a pid namespace of its own, so that its parent is invisible.
#[must_use]
pub fn is_slurmds_su(service: &str) -> bool {
    let is_su = ["su", "su-l"].contains(&service);
    is_su && parent_id() == 0 && !sys::is_set_user_id()
}

/// Warns about a second account line for the same cluster.
pub fn warn_if_listed_twice(stack: &Stack, log: Log<'_>) {
    let lines = stack.binding(Facility::Account);
    if lines.len() > 1 {
        let places: Vec<_> = lines.iter().map(|it| it.place.as_str()).collect();
        let places = places.join(", ");
        log.error(|| {
            format!(
                "pam_slurm_adopt is listed more than once in the account stack ({places}): each line decides \
                 by its own options; remove all but one"
            )
        });
    }
}

/// This process's title, proc_pid_cmdline(5).
const TITLE: &str = "/proc/self/cmdline";

/// Whether this process is sshd's helper for keyboard-interactive, which ends before the session
/// begins: sshd gives it a title of its own (auth-pam.c, `sshpam_init_ctx`). Users choose the title of a
/// program that has more rights than they do, so that one does not count.
fn is_helper() -> io::Result<bool> {
    if sys::is_set_user_id() {
        return Ok(false);
    }
    match sys::read_regular(Path::new(TITLE), 1 << 20) {
        Ok(title) => Ok(is_helpers(&title)),
        // There is no /proc.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Whether the title is "sshd: USER [pam]", with any name for sshd.
pub(crate) fn is_helpers(title: &[u8]) -> bool {
    let title = title.split(|sign| *sign == 0).next().unwrap_or_default();
    let is_titled = title.windows(2).any(|pair| pair == b": ");
    is_titled && title.trim_ascii_end().ends_with(b" [pam]")
}

/// Warns about pam_systemd after our session line: it moves the session, and we cannot undo that.
pub fn warn_of_pam_systemd(stack: &Stack, log: Log<'_>) {
    if stack.is_pam_systemd_later() {
        log.error(|| {
            "pam_systemd comes after pam_slurm_adopt in the session stack and takes the session out of \
             its job: put the line of pam_slurm_adopt last"
                .to_owned()
        });
    }
}

/// Makes the runtime directory for a login that has none from systemd. A failure denies nobody.
pub fn make_runtime_dir(
    options: &Options,
    handle: &Handle,
    login: &Login,
    deadline: &Deadline,
    log: Log<'_>,
) {
    let is_wanted = options.runtime_dir == RuntimeDir::Create;
    let Some(uid) = login.uid().filter(|_| is_wanted) else {
        return;
    };
    // Another module may have named the directory without creating it.
    let named = handle.env(c"XDG_RUNTIME_DIR");
    if named.is_some_and(|name| !Users::is_named(&name, uid)) {
        return;
    }
    let gid = sys::gid_of_user(login.user.as_bytes()).map_err(said);
    let made = gid.and_then(|gid| {
        let notes = Notes::open(&deadline.within(LONGEST_WAIT));
        let dir = notes.and_then(|notes| Users::new(notes).begin(uid, gid));
        dir.map_err(said)
    });
    match made {
        Ok(dir) => {
            if let Err(code) = handle.put_env("XDG_RUNTIME_DIR", &dir.to_string_lossy()) {
                log.error(|| format!("pam_putenv XDG_RUNTIME_DIR: {code}"));
            }
        }
        Err(error) => log.error(|| format!("make the runtime directory of uid {uid}: {error}")),
    }
}

/// Closes a session: takes down its runtime directory, and logs if the session was not in its job.
pub fn close(options: &Options, handle: &Handle, uid: u32, log: Log<'_>) {
    if options.runtime_dir == RuntimeDir::Create {
        let deadline = Deadline::after(options.timeout.min(LONGEST_WAIT));
        let ended = Notes::open(&deadline).and_then(|notes| Users::new(notes).end(uid, &deadline));
        let line =
            |error: &io::Error| format!("take down the runtime directory of uid {uid}: {error}");
        match ended {
            Ok(()) => {}
            // Another login has the lock; the next one tidies up.
            Err(error) if error.kind() == io::ErrorKind::TimedOut => log.debug(|| line(&error)),
            Err(error) => log.error(|| line(&error)),
        }
    }
    let job = Record::find(&RecordKey::of(options), handle, log).and_then(|it| it.job);
    let Some(job) = job else { return };
    if let Some(scope) = cgroup::session_scope() {
        log.error(|| format!("the session ran in {scope}, not in job {job}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_helper_by_its_title() {
        for (title, is) in [
            (&b"sshd: alice [pam]\0\0\0"[..], true),
            (b"sshd-session: alice [pam]", true),
            (b"gsisshd: alice [pam]", true),
            (b"sshd: alice [pam]   \0", true),
            (b"sshd: alice [priv]\0", false),
            (b"sshd-session: alice [priv]", false),
            (b"sshd: [pam] [priv]", false),
            (b"sshd: alice[pam]", false),
            (b"pamcall\0--user\0x: y [pam]\0", false),
            (b"x [pam]", false),
            (b"", false),
        ] {
            assert_eq!(is_helpers(title), is, "{}", String::from_utf8_lossy(title));
        }
        assert!(!is_helper().expect("/proc"), "this is a test");
    }
}
