//! Whether sshd asks PAM, and whether PAM knows its service.

use crate::host::sshd::config::FaultKind;
use crate::sshd::Daemon;
use crate::{Check, Finding, Notes, Severity};

pub(super) const WITHOUT_PAM: Check = Check {
    id: "SA300",
    severity: Severity::Failure,
    title: "sshd does not ask PAM who may log in",
    why: "Without UsePAM yes sshd runs neither the account nor the session stack: everybody who has a key gets in, \
          with or without a job, and no login is adopted. OpenSSH's default is no; the files of Debian and RHEL say \
          yes. Of several lines the first counts, and an Include stands where it is written (sshd_config(5)).",
    fix: "Set UsePAM yes above the first Match line, restart sshd, and look at sshd -T | grep -i usepam.",
};

pub(super) const NO_SERVICE: Check = Check {
    id: "SA350",
    severity: Severity::Failure,
    title: "PAM has no file for the service that sshd names",
    why: "libpam then uses the service \"other\", which denies everybody (root too), or asks common modules that \
          know nothing of jobs. The service is PAMServiceName from OpenSSH 9.8 on; before, it is the name of the \
          program as it was started (a link sshd-compute has the service sshd-compute).",
    fix: "Copy /etc/pam.d/sshd to the service's name, or take PAMServiceName out.",
};

pub(super) fn look(daemon: &Daemon, notes: &mut Notes) {
    let is_on = daemon.effective.is_yes("usepam");
    let value = if is_on { "yes" } else { "no" };
    notes.summary(match daemon.host.sshds().len() {
        1 => format!("UsePAM {value}"),
        _ => format!("UsePAM {value} in {}", daemon.sshd.file),
    });
    let in_match = |it: &crate::host::sshd::config::Fault| {
        matches!(it.kind, FaultKind::InMatch(_)) && it.word.eq_ignore_ascii_case("usepam")
    };
    // That line is found, and sshd does not start.
    if !is_on && !daemon.config.faults.iter().any(in_match) {
        notes.find(without_pam(daemon));
    }
    if is_on {
        services(daemon, notes);
    }
}

fn without_pam(daemon: &Daemon) -> Finding {
    let mut lines = daemon.config.global("usepam");
    let counting = lines.next();
    let later = lines.find(|it| it.value().eq_ignore_ascii_case("yes"));
    let told = "sshd -T does not say UsePAM yes: it may be built without PAM";
    let detail = match (counting, later) {
        (None, _) => format!(
            "{} does not set UsePAM: everybody gets in, with a job or without",
            daemon.sshd.file
        ),
        (Some(line), _) if line.value().eq_ignore_ascii_case("yes") => told.to_owned(),
        (Some(_), None) => "everybody gets in, with a job or without".to_owned(),
        (Some(_), Some(later)) => format!(
            "the first UsePAM counts: the yes at {}:{} has no effect",
            later.place.file, later.place.line
        ),
    };
    Finding::of(&WITHOUT_PAM, detail).at(daemon.effective.spot("usepam"))
}

fn services(daemon: &Daemon, notes: &mut Notes) {
    for (name, line) in daemon.sshd.services() {
        // Whether sshd's own file is there is for the PAM stack's part of check.
        if name == "sshd" {
            continue;
        }
        let dirs = daemon.host.layout().dirs;
        if dirs
            .iter()
            .any(|it| daemon.host.tree.exists(it.join(&name)))
        {
            continue;
        }
        let detail = format!("there is no /etc/pam.d/{name}");
        let finding = Finding::of(&NO_SERVICE, detail);
        notes.find(match line {
            Some(line) => finding.at(line.spot_of(&name)),
            None => finding,
        });
    }
}
