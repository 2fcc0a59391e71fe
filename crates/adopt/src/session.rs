//! What the two phases of a login know of each other.
//!
//! With public key and plain password sshd's monitor process calls both, and what it forks later is
//! where it is. With keyboard-interactive a helper process calls the account phase: of what that does
//! only the PAM environment reaches the monitor (OpenSSH 8.4 to 10.6, auth-pam.c: `sshpam_thread`,
//! `import_environments`). The session phase always runs in the monitor, before it forks
//! (sshd-session.c, `do_pam_session`).

use std::fs;

use pam::Handle;
use sys::Deadline;

use crate::adoption::{AdoptError, Adopted};
use crate::decide;
use crate::log::Log;
use crate::login::Login;
use crate::options::{Options, RuntimeDir};
use crate::place;
use crate::runtime_dir::Notes;
use crate::stack;

/// The job that the account phase chose, if its word is in the environment. Others can write there too
/// (pam_env), so that it is no more than a hint.
pub fn handed_over(handle: &Handle) -> Option<u32> {
    handle.env(c"SLURM_JOB_ID")?.parse().ok()
}

/// Whether this process is sshd's helper for keyboard-interactive, which ends before the session
/// begins: sshd gives it a title of its own (auth-pam.c, `sshpam_init_ctx`).
pub fn is_helper() -> bool {
    fs::read("/proc/self/cmdline").is_ok_and(|title| is_helpers(&title))
}

fn is_helpers(title: &[u8]) -> bool {
    let title = title.split(|sign| *sign == 0).next().unwrap_or_default();
    title.starts_with(b"sshd") && title.trim_ascii_end().ends_with(b" [pam]")
}

/// What the account phase does in such a helper: leave the adoption to the session phase, if that will
/// be ours too.
pub fn leave_it(service: &str) -> Result<Adopted, AdoptError> {
    let is_there = stack::session_lines(service)
        .iter()
        .any(|line| stack::is_ours(line) && acts_for(line, service));
    match is_there {
        true => Ok(Adopted {
            later: true,
            ..Adopted::default()
        }),
        false => Err(AdoptError::NotHeld(format!(
            "with keyboard-interactive authentication sshd asks in a helper process, and adoption of \
             that does not hold: {service} needs the line «session required pam_slurm_adopt.so» too"
        ))),
    }
}

fn acts_for(line: &stack::Line, service: &str) -> bool {
    let (options, _) = Options::parse(&line.arguments);
    decide::acts_for(&options, service)
}

/// What moves the session after us can't be undone by us: the admin must know.
pub fn warn_of_pam_systemd(service: &str, log: Log<'_>) {
    if stack::is_pam_systemd_later(&stack::session_lines(service)) {
        log.error(|| {
            format!(
                "pam_systemd comes after pam_slurm_adopt in the session lines of {service} and takes \
                 the session out of its job: put the line of pam_slurm_adopt last"
            )
        });
    }
}

/// For a login that no systemd has given one. To be without keeps nobody out.
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
    let gid = sys::gid_of_user(login.user.as_bytes()).map_err(|error| error.to_string());
    let made = gid.and_then(|gid| {
        let dir = Notes::open(deadline).and_then(|notes| notes.begin(uid, gid));
        dir.map_err(|error| error.to_string())
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
pub fn close(options: &Options, uid: u32, handed_over: Option<u32>, log: Log<'_>) {
    if options.runtime_dir == RuntimeDir::Create {
        let deadline = Deadline::after(options.timeout);
        let ended = Notes::open(&deadline).and_then(|notes| notes.end(uid));
        if let Err(error) = ended {
            log.error(|| format!("take down the runtime directory of uid {uid}: {error}"));
        }
    }
    let Some(job) = handed_over else { return };
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
            (b"sshd: alice [pam]   \0", true),
            (b"sshd: alice [priv]\0", false),
            (b"sshd-session: alice [priv]", false),
            (b"sshd: [pam] [priv]", false),
            (b"sshd: alice[pam]", false),
            (b"pamcall\0--user\0x [pam]\0", false),
            (b"x [pam]", false),
            (b"", false),
        ] {
            assert_eq!(is_helpers(title), is, "{}", String::from_utf8_lossy(title));
        }
        assert!(!is_helper(), "this is a test");
    }

    #[test]
    fn a_session_line_for_another_service_is_none() {
        let line = |arguments: &[&str]| stack::Line {
            module: "pam_slurm_adopt.so".into(),
            arguments: arguments.iter().map(|it| (*it).to_owned()).collect(),
        };
        assert!(acts_for(&line(&[]), "sshd"));
        assert!(acts_for(&line(&["service=login,sshd"]), "sshd"));
        assert!(!acts_for(&line(&["service=login"]), "sshd"));
        assert!(!acts_for(&line(&[]), "cockpit"));
    }
}
