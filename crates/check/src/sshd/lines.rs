//! Lines of sshd_config that sshd does not take, or that have no effect.

use crate::host::sshd::config::{Fault, FaultKind, Setting};
use crate::sshd::Daemon;
use crate::{Check, Finding, Notes, Severity};

pub(super) const IN_MATCH: Check = Check {
    id: "SA301",
    severity: Severity::Failure,
    title: "a Match block has a keyword that sshd allows only outside",
    why: "A Match block goes on to the next Match line or the end of its file, so that a line that is appended to \
          sshd_config stands in the last block. With a keyword such as UsePAM there sshd does not start: the next \
          restart locks everybody out, root too. One that runs already goes on with what it has read.",
    fix: "Move the line above the first Match line, or put \"Match all\" before it; then sshd -t.",
};

pub(super) const UNKNOWN_KEYWORD: Check = Check {
    id: "SA302",
    severity: Severity::Failure,
    title: "sshd does not know a keyword of its configuration",
    why: "With an unknown keyword sshd does not start: the next restart locks everybody out, root too. PAMServiceName \
          is known from OpenSSH 9.8 on, Include from 8.2 on.",
    fix: "Correct the keyword; then sshd -t.",
};

pub(super) const REFUSED: Check = Check {
    id: "SA303",
    severity: Severity::Failure,
    title: "sshd refuses its configuration",
    why: "sshd does not start with such a line: the next restart locks everybody out, root too. One that runs \
          already goes on with what it has read.",
    fix: "Correct the line; then sshd -t.",
};

pub(super) const WITHOUT_EFFECT: Check = Check {
    id: "SA307",
    severity: Severity::Warning,
    title: "a line of sshd's configuration has no effect",
    why: "Of several lines with the same keyword the first counts (sshd_config(5)), and an Include stands where it is \
          written, mostly at the top. ChallengeResponseAuthentication is the old name of \
          KbdInteractiveAuthentication: from OpenSSH 8.7 on the first of either counts.",
    fix: "Remove the line, or the earlier one; sshd -T shows what counts.",
};

/// Keywords whose lines an admin must be able to rely on.
const WATCHED: [&str; 5] = [
    "usepam",
    "kbdinteractiveauthentication",
    "authenticationmethods",
    "logingracetime",
    "pamservicename",
];

/// `is_accepted`: sshd itself has read the files, and it knows better.
pub(super) fn look(daemon: &Daemon, is_accepted: bool, notes: &mut Notes) {
    if !is_accepted {
        daemon
            .config
            .faults
            .iter()
            .for_each(|it| notes.find(fault(it)));
    }
    for keyword in WATCHED {
        let lines = daemon.config.global(keyword);
        let Some(first) = daemon.effective.setting(keyword) else {
            continue;
        };
        let is_off = keyword == "usepam" && first.value().eq_ignore_ascii_case("no");
        // Then the finding on UsePAM names both.
        if is_off {
            continue;
        }
        lines
            .filter(|it| it.place != first.place && is_in_vain(daemon, first, it))
            .for_each(|it| notes.find(in_vain(first, it)));
    }
}

fn fault(fault: &Fault) -> Finding {
    let spot = fault.place.spot().mark(&fault.word);
    let (check, detail) = match &fault.kind {
        FaultKind::InMatch(block) => (
            &IN_MATCH,
            format!(
                "{} stands in the Match block of line {block}: sshd does not start",
                fault.word
            ),
        ),
        FaultKind::UnknownKeyword => (
            &UNKNOWN_KEYWORD,
            format!("{} is no keyword of sshd: it does not start", fault.word),
        ),
        FaultKind::Refused(why) => (&REFUSED, why.clone()),
    };
    Finding::of(check, detail).at(spot)
}

/// Whether a later line says something else than the first, and is not meant to be overridden.
fn is_in_vain(daemon: &Daemon, first: &Setting, later: &Setting) -> bool {
    let lower = |it: &Setting| it.arguments.join(" ").to_ascii_lowercase();
    if lower(first) == lower(later) {
        return false;
    }
    // An admin's own file in sshd_config.d is there to override the main file; that of the distribution is not.
    let is_main = *later.place.file == *daemon.sshd.file;
    let is_from_one_file = first.place.file == later.place.file;
    match is_of_distribution(&first.place.file) {
        true => true,
        false => is_from_one_file || !is_main && !is_of_distribution(&later.place.file),
    }
}

/// Whether a file in sshd_config.d is from the distribution, or made by its cloud image.
fn is_of_distribution(file: &str) -> bool {
    let ends = [
        "-redhat.conf",
        "-archlinux.conf",
        "-cloudimg-settings.conf",
        "-cloud-init.conf",
    ];
    ends.iter().any(|it| file.ends_with(it))
}

fn in_vain(first: &Setting, later: &Setting) -> Finding {
    let detail = format!(
        "{} {} at {}:{} counts",
        first.written,
        first.arguments.join(" "),
        first.place.file,
        first.place.line
    );
    Finding::of(&WITHOUT_EFFECT, detail).at(later.spot())
}
