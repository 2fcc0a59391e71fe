//! The line for the user of an adopted login with a terminal.
//!
//! In the session phase sshd keeps texts, and shows them before a login shell, if no command was given and there is no
//! ~/.hushlogin (OpenSSH 8.4 to 10.6, auth-pam.c: `sshpam_store_conv`; session.c: `do_login`, `do_child`,
//! `check_quietlogin`). A module can't tell such a login from others: PAM_TTY is always "ssh".

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use pam::{Handle, Item, MessageStyle};

use crate::prepare::Prepared;
use crate::session;

/// What a login is told of its job.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Banner {
    /// Its number.
    pub job: u32,
    /// Its end in seconds since 1970, if it is known.
    pub end: Option<u64>,
    /// The user's other jobs here.
    pub others: Vec<u32>,
}

/// Tells the user of the job. Not by programs such as su(1), which pass on texts at each call.
pub(crate) fn greet(banner: &Banner, handle: &Handle, prepared: &Prepared<'_>) {
    let is_sshds = || handle.item(Item::Tty).is_ok_and(|it| it == b"ssh");
    if prepared.service() != session::LOGIN && !is_sshds() {
        return;
    }
    if let Err(code) = handle.tell(MessageStyle::Info, &banner.text_now()) {
        prepared.log.debug(|| format!("tell the user: {code}"));
    }
}

impl Banner {
    /// The text, with the time that is left now.
    pub fn text_now(&self) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        self.text(now.map_or(0, |it| it.as_secs()))
    }

    fn text(&self, now: u64) -> String {
        let mut text = format!("This login is in job {}", self.job);
        if let Some(end) = self.end {
            text += &Left(end.saturating_sub(now)).to_string();
        }
        let mut others = self.others.clone();
        others.sort_unstable();
        if let Some(first) = others.first() {
            let named: Vec<_> = others.iter().take(NAMED).map(u32::to_string).collect();
            text += &format!(". Your other jobs here: {}", named.join(", "));
            if others.len() > NAMED {
                text += &format!(" and {} more", others.len() - NAMED);
            }
            text += &format!(" (ssh job-{first})");
        }
        text
    }
}

/// Other jobs that are named.
const NAMED: usize = 8;

/// The time that is left, in seconds.
struct Left(u64);

impl fmt::Display for Left {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let minutes = self.0 / 60;
        let (days, hours, minutes) = (minutes / 1440, minutes / 60 % 24, minutes % 60);
        match (self.0, days, hours) {
            (0, ..) => f.write_str(", whose time is over"),
            (..60, ..) => f.write_str(", less than a minute left"),
            (_, 0, 0) => write!(f, ", {minutes} min left"),
            (_, 0, _) => write!(f, ", {hours} h {minutes} min left"),
            _ => write!(f, ", {days} d {hours} h left"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_login_is_told() {
        let text = |end, others: &[u32]| {
            let others = others.to_vec();
            Banner {
                job: 7,
                end,
                others,
            }
            .text(1000)
        };
        assert_eq!(text(None, &[]), "This login is in job 7");
        for (left, expected) in [
            (0, "whose time is over"),
            (59, "less than a minute left"),
            (60, "1 min left"),
            (3599, "59 min left"),
            (3600, "1 h 0 min left"),
            (86_399, "23 h 59 min left"),
            (90_000, "1 d 1 h left"),
        ] {
            let found = text(Some(1000 + left), &[]);
            assert_eq!(found, format!("This login is in job 7, {expected}"));
        }
        let past = text(Some(1), &[9, 8]);
        let others = "Your other jobs here: 8, 9 (ssh job-8)";
        assert_eq!(
            past,
            format!("This login is in job 7, whose time is over. {others}")
        );
        let many: Vec<_> = (10..30).collect();
        let found = text(None, &many);
        assert!(
            found.ends_with("16, 17 and 12 more (ssh job-10)"),
            "{found}"
        );
        assert!(text(Some(u64::MAX), &[]).ends_with(" h left"));
    }
}
