//! What libpam makes of the files of sshd's services.

use pamconf::{Facility, ProblemKind, Service};

use crate::host::{Host, PAM_CONF};
use crate::pam::modules::ModuleDirs;
use crate::pam::{broken, edits, elsewhere};
use crate::{Check, Finding, Notes, Room, Severity, Spot};

pub(crate) const ROOM: Room = Room {
    name: "pam/files",
    checks: &[
        &GIVES_UP,
        &broken::LINE_FAILS,
        &broken::MODULE_FAILS,
        &broken::STACK_FAILS,
        &broken::MISREAD,
        &broken::MODULE_UNUSABLE,
        &broken::WRONG_STACK,
        &broken::WITHOUT_EFFECT,
        &NO_FILE,
        &ONE_FILE,
        &edits::AUTHSELECT,
        &edits::AUTH_UPDATE,
        &edits::PAM_CONFIG,
    ],
    look,
};

const GIVES_UP: Check = Check {
    id: "SA200",
    severity: Severity::Failure,
    title: "libpam gives up on sshd's PAM files",
    why: "pam_start(3) fails with PAM_ABORT, so nobody logs in by ssh, root neither. libpam gives \
          up on an @include without its file (Debian, Ubuntu), on a file that ends in the middle \
          of a line continued with a backslash, and on a module without a name. A file saved with \
          Windows line ends has all of its @include lines broken.",
    fix: "Correct the line, and keep a root shell open until a new login has worked.",
};

const NO_FILE: Check = Check {
    id: "SA207",
    severity: Severity::Warning,
    title: "sshd has no PAM file of its own",
    why: "libpam then uses the service \"other\", which every program without a file shares: a \
          line of the module there is in all of their stacks, and on RHEL \"other\" denies \
          everyone.",
    fix: "Restore the distribution's /etc/pam.d/sshd, then add the module's lines to it.",
};

const ONE_FILE: Check = Check {
    id: "SA208",
    severity: Severity::Note,
    title: "libpam reads /etc/pam.conf, as there is no /etc/pam.d",
    why: "pam.conf(5) counts only if none of libpam's directories exists. The first package that \
          installs a file in /etc/pam.d makes libpam ignore the whole of /etc/pam.conf, with the \
          module's lines in it.",
    fix: "Move the lines into /etc/pam.d/sshd, without their first word.",
};

fn look(host: &Host, notes: &mut Notes) {
    let dirs = ModuleDirs::of(host);
    if dirs.is_empty() {
        notes.unseen("modules", "no directory of PAM modules is in this tree");
    }
    for name in host.ssh_services() {
        if !elsewhere::has_sshd(host, &name) {
            notes.unseen(&name, "there is no sshd here");
            continue;
        }
        let read = host.service(&name);
        unreadable(&read, notes);
        if let Some(problem) = read.fatal() {
            let detail = format!("{name}: {}", problem.kind);
            let finding = Finding::of(&GIVES_UP, detail);
            notes.find(match &problem.place {
                Some(place) => finding.at(broken::spot_of_problem(host, &read, place)),
                None => finding,
            });
            continue;
        }
        own_file(host, &name, &read, notes);
        for facility in Facility::ALL {
            broken::look(host, &dirs, &name, facility, notes);
        }
        edits::look(host, &read, notes);
        notes.summary(format!("{name} as libpam reads it"));
    }
}

/// Says which files could not be read.
fn unreadable(read: &Service, notes: &mut Notes) {
    for problem in read.problems() {
        let what = match &problem.kind {
            ProblemKind::Unreadable { path, .. } => path.display().to_string(),
            ProblemKind::TooManyFiles { name } => String::from_utf8_lossy(name).into_owned(),
            _ => continue,
        };
        let why = format!("{}; it may have lines of any kind", problem.kind);
        notes.unseen(what, why);
    }
}

fn own_file(host: &Host, name: &str, read: &Service, notes: &mut Notes) {
    let Some(first) = read.lines().first() else {
        return;
    };
    let first = &first.place.file;
    if first.to_string_lossy() == PAM_CONF {
        return notes.find(
            Finding::of(&ONE_FILE, format!("the lines of {name} are there"))
                .at(Spot::file(PAM_CONF)),
        );
    }
    let is_other = first.file_name().is_some_and(|it| it == "other");
    if is_other && name != "other" && !elsewhere::has_file(host, name) {
        let detail = format!(
            "there is no /etc/pam.d/{name}; libpam uses {}",
            first.display()
        );
        notes.find(Finding::of(&NO_FILE, detail).at(Spot::file(format!("/etc/pam.d/{name}"))));
    }
}
