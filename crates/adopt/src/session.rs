//! What the two phases of a login know of each other.
//!
//! With public key and plain password sshd's monitor process calls both, and what it forks later is
//! where it is. With keyboard-interactive a helper process calls the account phase: of what that does
//! only the PAM environment reaches the monitor (OpenSSH 8.4 to 10.6, auth-pam.c: `sshpam_thread`,
//! `import_environments`). The session phase always runs in the monitor, before it forks
//! (sshd-session.c, `do_pam_session`).

use std::fs;

use pam::Handle;

use crate::adoption::{AdoptError, Adopted};
use crate::decide;
use crate::log::Log;
use crate::options::Options;
use crate::place;
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

/// At its end: whether the session stayed where it was put.
pub fn close(handed_over: Option<u32>, log: Log<'_>) {
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
