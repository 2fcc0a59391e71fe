//! Variables that clients, the admin or users put into the environment of logins.

use crate::host::sshd::config::Setting;
use crate::host::tree::is_match;
use crate::sshd::Daemon;
use crate::{Check, Finding, Notes, Severity};

pub(super) const ACCEPTED: Check = Check {
    id: "SA320",
    severity: Severity::Warning,
    title: "AcceptEnv lets clients set Slurm's variables",
    why: "Someone who logs in from within another job brings that job's SLURM_* variables along: srun, MPI and \
          scripts on this node then take themselves for steps of the wrong job. The module is not misled: sshd sets \
          the client's variables after both phases, and SLURM_JOB_ID of an adopted login overrides the client's.",
    fix: "Take SLURM_* (and *) out of AcceptEnv; name the variables that are meant.",
};

pub(super) const SET: Check = Check {
    id: "SA321",
    severity: Severity::Note,
    title: "SetEnv sets a Slurm variable for sessions, not for the module",
    why: "sshd sets SetEnv's variables in the user's session, last of all. SLURM_CONF and SLURMD_NODENAME there do \
          not reach the module, and SLURM_JOB_ID there overrides the one that the module sets.",
    fix: "Give the module slurm_conf= or nodename=, or set the variable in sshd's own unit (Environment=).",
};

pub(super) const FROM_USERS: Check = Check {
    id: "SA322",
    severity: Severity::Note,
    title: "users may set the environment of their logins",
    why: "~/.ssh/environment and environment= in authorized_keys can set LD_PRELOAD and the like, which gets round a \
          ForceCommand. The module is not misled: PAM's variables, SLURM_JOB_ID among them, override the user's.",
    fix: "Set PermitUserEnvironment no, or a list of the variables that are meant.",
};

/// Variables of which a pattern that takes them is found.
const SLURM: [&str; 4] = [
    "SLURM_JOB_ID",
    "SLURM_CONF",
    "SLURM_STEP_ID",
    "SLURM_PROCID",
];

pub(super) fn look(daemon: &Daemon, notes: &mut Notes) {
    for line in &daemon.config.settings {
        match line.keyword.as_str() {
            "acceptenv" => accepted(line, notes),
            "setenv" => set(line, notes),
            _ => {}
        }
    }
    let value = daemon.effective.value("permituserenvironment");
    let line = daemon.effective.setting("permituserenvironment");
    let takes_loader = value
        .split(',')
        .any(|it| is_match(it.as_bytes(), b"ld_preload"));
    if value == "yes" || takes_loader {
        let finding = Finding::of(&FROM_USERS, format!("PermitUserEnvironment is {value}"));
        notes.find(match line {
            Some(line) => finding.at(line.spot()),
            None => finding,
        });
    }
}

fn accepted(line: &Setting, notes: &mut Notes) {
    let takes = |pattern: &str| {
        SLURM
            .iter()
            .find(|it| is_match(pattern.as_bytes(), it.as_bytes()))
    };
    let mut patterns = line.arguments.iter();
    let found = patterns.find_map(|it| Some((it, takes(it)?)));
    if let Some((pattern, name)) = found {
        let detail = format!("{pattern} takes {name}");
        notes.find(Finding::of(&ACCEPTED, detail).at(line.spot_of(pattern)));
    }
}

fn set(line: &Setting, notes: &mut Notes) {
    let is_slurm = |it: &&String| it.starts_with("SLURM");
    let Some(word) = line.arguments.iter().find(is_slurm) else {
        return;
    };
    let name = word.split('=').next().unwrap_or(word);
    let finding = match name {
        "SLURM_JOB_ID" | "SLURM_JOBID" => {
            let detail = format!("every session gets this {name}, whatever job it is in");
            Finding::of(&SET, detail).as_severe_as(Severity::Warning)
        }
        "SLURM_CONF" | "SLURMD_NODENAME" => {
            Finding::of(&SET, format!("the module does not see this {name}"))
        }
        _ => return,
    };
    notes.find(finding.at(line.spot_of(name)));
}
