//! sshd's limits against the time that the module may take.

use std::time::Duration;

use crate::host::sshd::config::Setting;
use crate::host::sshd::{seconds, startups as parsed};
use crate::sshd::Daemon;
use crate::{Check, Finding, Notes, Severity};

pub(super) const GRACE_TIME: Check = Check {
    id: "SA330",
    severity: Severity::Warning,
    title: "LoginGraceTime may end a login while the module still asks",
    why: "sshd hangs up when LoginGraceTime is over, whatever the module is waiting for: the log then has no reason. \
          The module takes up to timeout= (both phases together) when slurmstepds or another node do not answer, and \
          before that wait_for_job= when the user has no job here yet; before that people type passwords. From OpenSSH 9.8 on up to 4 seconds are added by chance. 0 is no limit.",
    fix: "Set LoginGraceTime to at least 30, or a shorter timeout= or wait_for_job= on the module's lines.",
};

pub(super) const SEVERAL_STARTUPS: Check = Check {
    id: "SA331",
    severity: Severity::Warning,
    title: "of several MaxStartups lines one counts",
    why: "Up to OpenSSH 10.0 the last MaxStartups line counts, unlike all other keywords: a line in sshd_config.d has \
          no effect if sshd_config has one below its Include. From 10.1 on the first counts.",
    fix: "Keep one MaxStartups line; sshd -T shows what counts.",
};

pub(super) const FEW_STARTUPS: Check = Check {
    id: "SA332",
    severity: Severity::Note,
    title: "sshd lets few users log in at the same time",
    why: "MaxStartups counts the connections that have not logged in yet. While slurmstepds are slow to answer each \
          takes up to timeout=, and launchers that start on many nodes by ssh come all at once: sshd then drops \
          connections at random. With wait_for_job= up to 16 logins wait for their job besides.",
    fix: "Set MaxStartups to 10:30:100 (the default) or more; with wait_for_job= to 30:30:120 or more.",
};

/// The time that a person needs to type a password.
const TYPING: Duration = Duration::from_secs(10);
/// The time that keys and the network need.
const EXCHANGE: Duration = Duration::from_secs(2);
/// Fewer are noted.
const FEW: u32 = 5;
/// Logins of a node that may wait for a job at the same time (wait_for_job=).
const WAITING: u32 = 16;

pub(super) fn look(daemon: &Daemon, notes: &mut Notes) {
    grace_time(daemon, notes);
    startups(daemon, notes);
}

fn grace_time(daemon: &Daemon, notes: &mut Notes) {
    let effective = daemon.effective;
    let lines = || daemon.own_lines.iter().map(|it| &it.options);
    let Some(timeout) = lines().map(|it| it.timeout).max() else {
        return;
    };
    let wait = lines().map(|it| it.wait_for_job).max().unwrap_or_default();
    let grace = seconds(&effective.value("logingracetime")).filter(|it| *it != 0);
    let Some(grace) = grace.map(Duration::from_secs) else {
        return;
    };
    let is_typed = effective.is_yes("passwordauthentication") || effective.has_keyboard();
    let others = if is_typed { TYPING } else { EXCHANGE };
    if grace >= wait + timeout + others {
        return;
    }
    let mut detail = format!(
        "{} s for the login, of which the module may take {} s",
        grace.as_secs(),
        (wait + timeout).as_secs_f32()
    );
    if !wait.is_zero() {
        detail += " (wait_for_job= and timeout=)";
    }
    notes.find(Finding::of(&GRACE_TIME, detail).at(effective.spot("logingracetime")));
}

fn startups(daemon: &Daemon, notes: &mut Notes) {
    let effective = daemon.effective;
    let reader = &daemon.sshd.reader;
    let lines: Vec<&Setting> = daemon.config.global("maxstartups").collect();
    let counting = effective.setting("maxstartups");
    let knows_release = reader.version.is_some();
    let is_last = !reader.is_at_least((10, 1));
    for line in &lines {
        let Some(counting) = counting.filter(|it| it.value() != line.value()) else {
            continue;
        };
        // From 10.1 on a file in sshd_config.d overrides the main file, as it is meant to.
        let is_other_file = line.place.file != counting.place.file;
        if knows_release && !is_last && is_other_file && *line.place.file == *daemon.sshd.file {
            continue;
        }
        let place = &counting.place;
        let detail = match knows_release {
            true => format!(
                "{} at {}:{} counts",
                counting.value(),
                place.file,
                place.line
            ),
            false => format!(
                "{} at {}:{} counts from OpenSSH 10.1 on; before, the last line",
                counting.value(),
                place.file,
                place.line
            ),
        };
        notes.find(Finding::of(&SEVERAL_STARTUPS, detail).at(line.spot()));
    }
    let begin = parsed(&effective.value("maxstartups"));
    let mut lines = daemon.own_lines.iter();
    let waits = lines.any(|it| !it.options.wait_for_job.is_zero());
    let few = if waits { FEW + WAITING } else { FEW };
    if let Some(begin) = begin.filter(|it| *it < few && !daemon.own_lines.is_empty()) {
        let mut detail = format!("from {begin} connections on, others are dropped");
        if waits {
            detail += &format!("; {WAITING} logins may wait for a job (wait_for_job=)");
        }
        notes.find(Finding::of(&FEW_STARTUPS, detail).at(effective.spot("maxstartups")));
    }
}
