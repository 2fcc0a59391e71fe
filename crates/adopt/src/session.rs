//! What the two phases of a login know of each other.
//!
//! With public key and plain password sshd's monitor process calls both, and what it forks later is
//! where it is. With keyboard-interactive a helper process calls the account phase: of what that does
//! only the PAM environment reaches the monitor (OpenSSH 8.4 to 10.6, auth-pam.c: `sshpam_thread`,
//! `import_environments`). The session phase always runs in the monitor, before it forks
//! (sshd-session.c, `do_pam_session`).
//!
//! So where both phases are ours the account phase decides and the session phase adopts: what moves the
//! process between the two does not matter, and no stepd is asked twice to take it. The choice goes by a
//! [`Mark`] that no user can write, as they can the PAM environment (pam_env, ~/.pam_environment).

use std::fmt::Display;
use std::io;
use std::num::NonZeroUsize;
use std::path::Path;

use pam::Handle;
use sys::Deadline;

use crate::adoption::AdoptError;
use crate::log::{Log, said};
use crate::login::Login;
use crate::notes::{self, Notes, Process};
use crate::options::{AdoptFailure, GenericFailure, Options, RuntimeDir};
use crate::place;
use crate::runtime_dir::Users;
use crate::stack::{Kind, Reach, Stack};

/// What the account phase has decided: in this transaction of libpam's, or from a helper process in a
/// note `login.PID.START` that is named after the monitor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// The job.
    pub job: u32,
    /// Its action_adopt_failure=deny.
    deny_adopt_failure: bool,
    /// Its action_generic_failure=deny.
    deny_generic_failure: bool,
}

impl Mark {
    fn new(options: &Options, job: u32) -> Self {
        Self {
            job,
            deny_adopt_failure: options.adopt_failure == AdoptFailure::Deny,
            deny_generic_failure: options.generic_failure == GenericFailure::Deny,
        }
    }

    /// The stricter of what the two lines say counts.
    pub fn tighten(self, options: &mut Options) {
        if self.deny_adopt_failure {
            options.adopt_failure = AdoptFailure::Deny;
        }
        if self.deny_generic_failure {
            options.generic_failure = GenericFailure::Deny;
        }
    }

    /// As a number that is not 0.
    fn to_number(self) -> u64 {
        let flags =
            u64::from(self.deny_adopt_failure) << 1 | u64::from(self.deny_generic_failure) << 2;
        u64::from(self.job) << 3 | flags | 1
    }

    fn from_number(number: u64) -> Option<Self> {
        Some(Self {
            job: u32::try_from(number >> 3)
                .ok()
                .filter(|_| number & 1 == 1)?,
            deny_adopt_failure: number & 2 != 0,
            deny_generic_failure: number & 4 != 0,
        })
    }
}

const KEPT: &std::ffi::CStr = c"slurm_adopt";

/// Where the account phase is called, and so what it has to do when a job is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Host {
    /// Where the session will be, and no session line is ours: adopt.
    Here,
    /// A session line is ours.
    BeforeSession,
    /// In a helper process, and a session line is ours.
    HelperBeforeSession,
    /// In a helper process, and nobody will adopt.
    Helper,
}

impl Host {
    /// Looks.
    ///
    /// # Errors
    /// Where that can't be seen: to adopt in a helper would let in and not hold.
    #[inline(never)]
    pub fn find(service: &str) -> Result<Self, AdoptError> {
        let unseen = |cause: &dyn Display| {
            AdoptError::NotHeld(format!("see whether a session line will adopt: {cause}"))
        };
        let title = |error| unseen(&format_args!("read {TITLE}: {error}"));
        let is_helper = is_helper().map_err(title)?;
        // Others than sshd need not open a session for whom they let in.
        let stack = match service == "sshd" || is_helper {
            true => Stack::read(service),
            false => Stack::default(),
        };
        let is_ours = *stack.reach(Kind::Session) == Reach::Always;
        match (is_helper, is_ours, stack.unread()) {
            (false, true, _) => Ok(Self::BeforeSession),
            (true, true, _) => Ok(Self::HelperBeforeSession),
            (_, false, Some(cause)) => Err(unseen(&cause)),
            (false, false, None) => Ok(Self::Here),
            (true, false, None) => Ok(Self::Helper),
        }
    }
}

/// Leaves the choice to the session phase.
///
/// # Errors
/// Where that would never hear of it.
#[inline(never)]
pub fn leave(host: Host, handle: &Handle, options: &Options, job: u32) -> Result<(), AdoptError> {
    let number = Mark::new(options, job).to_number();
    let left = match host {
        Host::Here | Host::BeforeSession => {
            let number = usize::try_from(number).ok().and_then(NonZeroUsize::new);
            let kept = number.map(|number| handle.keep(KEPT, number));
            match kept {
                Some(Ok(())) => Ok(()),
                Some(Err(code)) => Err(format!("pam_set_data: libpam's code {code}")),
                None => Err(format!("no room for job {job}")),
            }
        }
        Host::HelperBeforeSession => {
            // No lock: the name is this login's own, and nobody else's trouble is to keep it out.
            let written = note_name(Process::parent())
                .and_then(|name| notes::write(&name, &number.to_string()));
            if let Ok(Some(notes)) = Notes::try_open() {
                // Nothing else takes away what sessions that never came leave; somebody will.
                let _ = Users::new(notes).tidy();
            }
            written.map_err(|error| format!("leave a note for the session phase: {error}"))
        }
        Host::Helper => Err(
            "with keyboard-interactive authentication sshd asks in a helper process, and adoption of \
             that does not hold: the stack needs the line «session required pam_slurm_adopt.so» too, \
             with the same options"
                .to_owned(),
        ),
    };
    left.map_err(AdoptError::NotHeld)
}

/// Forgets what an earlier call in this transaction has decided.
pub fn forget(handle: &Handle) {
    /// No mark: the lowest bit is not set.
    const NONE: NonZeroUsize = NonZeroUsize::MIN.saturating_add(1);
    if handle.kept(KEPT).is_some() {
        // It was there, so that libpam has room for it.
        let _ = handle.keep(KEPT, NONE);
    }
}

/// What the account phase of this login has decided.
pub fn mark(handle: &Handle) -> Option<Mark> {
    let kept = handle.kept(KEPT).map(|number| number.get() as u64);
    let noted = || notes::read(&note_name(Process::this()).ok()?)?.parse().ok();
    kept.or_else(noted).and_then(Mark::from_number)
}

/// Of the note to sshd's monitor: only with its start, or a later process could pass for it.
fn note_name(monitor: Process) -> io::Result<String> {
    match monitor.start {
        0 => Err(io::Error::other(
            "/proc does not show when sshd's monitor started",
        )),
        _ => Ok(format!("login.{}", monitor.name())),
    }
}

/// This process's title, proc_pid_cmdline(5).
const TITLE: &str = "/proc/self/cmdline";

/// Whether this process is sshd's helper for keyboard-interactive, which ends before the session
/// begins: sshd gives it a title of its own (auth-pam.c, `sshpam_init_ctx`). The title of a program with
/// more rights than its user is that user's to choose.
fn is_helper() -> io::Result<bool> {
    if sys::is_secure_execution() {
        return Ok(false);
    }
    match sys::read_regular(Path::new(TITLE), 1 << 20) {
        Ok(title) => Ok(is_helpers(&title)),
        // There is no /proc.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// «sshd: USER [pam]», of whatever name sshd has.
pub(crate) fn is_helpers(title: &[u8]) -> bool {
    let title = title.split(|sign| *sign == 0).next().unwrap_or_default();
    let is_titled = title.windows(2).any(|pair| pair == b": ");
    is_titled && title.trim_ascii_end().ends_with(b" [pam]")
}

/// What moves the session after us can't be undone by us: the admin must know.
pub fn warn_of_pam_systemd(stack: &Stack, log: Log<'_>) {
    if stack.is_pam_systemd_later() {
        log.error(|| {
            "pam_systemd comes after pam_slurm_adopt in the session stack and takes the session out of \
             its job: put the line of pam_slurm_adopt last"
                .to_owned()
        });
    }
}

/// For a login that no systemd has given one. To be without keeps nobody out.
#[inline(never)]
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
    if handle.env(c"XDG_RUNTIME_DIR").is_some() {
        return;
    }
    let gid = sys::gid_of_user(login.user.as_bytes()).map_err(said);
    let made = gid.and_then(|gid| {
        let dir = Notes::open(deadline).and_then(|notes| Users::new(notes).begin(uid, gid));
        dir.map_err(said)
    });
    match made {
        Ok(dir) => {
            if let Err(code) = handle.put_env("XDG_RUNTIME_DIR", &dir.to_string_lossy()) {
                log.error(|| format!("pam_putenv XDG_RUNTIME_DIR: libpam's code {code}"));
            }
        }
        Err(error) => log.error(|| format!("make the runtime directory of uid {uid}: {error}")),
    }
}

/// At its end: takes down what was made for it, and says whether it stayed where it was put.
#[inline(never)]
pub fn close(options: &Options, handle: &Handle, uid: u32, log: Log<'_>) {
    if options.runtime_dir == RuntimeDir::Create {
        let deadline = Deadline::after(options.timeout);
        let ended = Notes::open(&deadline).and_then(|notes| Users::new(notes).end(uid));
        if let Err(error) = ended {
            log.error(|| format!("take down the runtime directory of uid {uid}: {error}"));
        }
    }
    let Some(Mark { job, .. }) = mark(handle) else {
        return;
    };
    if let Some(scope) = place::session_scope() {
        log.error(|| format!("the session was not in job {job} but in {scope}"));
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

    #[test]
    fn a_mark_as_a_number() {
        for job in [0, 1, 7, u32::MAX] {
            for (adopt, generic) in [(false, false), (true, false), (false, true), (true, true)] {
                let mark = Mark {
                    job,
                    deny_adopt_failure: adopt,
                    deny_generic_failure: generic,
                };
                let number = mark.to_number();
                assert_ne!(number, 0);
                assert_eq!(Mark::from_number(number), Some(mark));
                assert_eq!(Mark::from_number(number & !1), None, "{number}");
            }
        }
        assert_eq!(Mark::from_number(u64::MAX), None, "no such job");
    }

    #[test]
    fn the_stricter_line_counts() {
        let (strict, _) = Options::parse(&["action_adopt_failure=deny"]);
        let mut loose = Options::default();
        Mark::new(&strict, 7).tighten(&mut loose);
        assert_eq!(loose.adopt_failure, AdoptFailure::Deny);
        assert_eq!(loose.generic_failure, GenericFailure::Ignore);
        let mut strict = strict;
        Mark::new(&Options::default(), 7).tighten(&mut strict);
        assert_eq!(strict.adopt_failure, AdoptFailure::Deny);
    }
}
