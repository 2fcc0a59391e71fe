//! What names a slurm.conf outside of Slurm's own files: the environment of sshd, the options of slurmd.

use std::path::Path;

use crate::host::Host;
use crate::host::unit::{SSHD_UNITS, Unit};
use crate::{Check, Finding, Notes, Severity, Spot};

pub(super) const SSHD_NAMES_IT: Check = Check {
    id: "SA414",
    severity: Severity::Note,
    title: "sshd's environment sets SLURM_CONF",
    why: "The module (and SchedMD's) reads that file in logins by ssh, before the running slurmd's. Other \
          services, such as su, do not have the variable. pam_slurm_adopt(8), ENVIRONMENT.",
    fix: "Remove the variable where the file is the one that slurmd reads anyway.",
};

/// The EnvironmentFile of Debian's and of RHEL's unit.
const SSHD_FILES: [&str; 3] = [
    "/etc/default/ssh",
    "/etc/sysconfig/sshd",
    "/etc/sysconfig/ssh",
];

pub(super) fn look(host: &Host, notes: &mut Notes) {
    for file in SSHD_FILES {
        let text = host.tree.text(file).unwrap_or_default();
        for (index, line) in text.lines().enumerate() {
            judge(host, line, &Spot::line(file, index + 1, line), notes);
        }
    }
    for name in SSHD_UNITS {
        let unit = Unit::read(&host.tree, &[name]);
        for setting in unit.values("Service", "Environment") {
            judge(host, &setting.value, &setting.spot, notes);
        }
    }
}

fn judge(host: &Host, words: &str, spot: &Spot, notes: &mut Notes) {
    let Some(path) = slurm_conf_of(words) else {
        return;
    };
    let read = host.slurm_conf().ok().map(|it| it.path.as_path());
    let is_read = read == Some(Path::new(path));
    let (severity, detail) = match host.tree.exists(path) {
        true if is_read => (Severity::Note, format!("logins by ssh read {path}")),
        true => {
            let others = "other services and slurmd may read another file";
            (
                Severity::Warning,
                format!("logins by ssh read {path}; {others}"),
            )
        }
        false => {
            let detail =
                format!("there is no {path}: each login by ssh ends in action_generic_failure");
            (Severity::Failure, detail)
        }
    };
    let found = Finding::of(&SSHD_NAMES_IT, detail).at(spot.clone().mark(path));
    notes.find(found.as_severe_as(severity));
}

/// The path in `SLURM_CONF=PATH` of an environment file or of a unit's `Environment=`, systemd.exec(5).
fn slurm_conf_of(line: &str) -> Option<&str> {
    let line = line.trim();
    if line.starts_with(['#', ';']) {
        return None;
    }
    let quotes = ['"', '\''];
    let mut words = line
        .split_whitespace()
        .map(|it| it.trim_start_matches(quotes));
    let value = words.find_map(|it| it.strip_prefix("SLURM_CONF="))?;
    let path = value.trim_matches(quotes);
    path.starts_with('/').then_some(path)
}

/// Files with slurmd's options: Debian's, RHEL's.
const SLURMD_FILES: [&str; 2] = ["/etc/default/slurmd", "/etc/sysconfig/slurmd"];

/// Says so if slurmd is to read another file than the one that is judged. Of a running slurmd that is known.
pub(super) fn look_at_slurmd(host: &Host, judged: Option<&Path>, notes: &mut Notes) {
    for file in SLURMD_FILES.iter().filter(|_| !host.is_live()) {
        let text = host.tree.text(file).unwrap_or_default();
        let named = text.lines().find_map(conf_of_options);
        let Some(named) = named.filter(|it| judged != Some(Path::new(it))) else {
            continue;
        };
        let why = format!(
            "slurmd's options in {file} name {named}; this tool looked at the usual places"
        );
        notes.unseen("the slurm.conf of slurmd", why);
    }
}

/// The value of `-f` in `SLURMD_OPTIONS="-f PATH"`.
fn conf_of_options(line: &str) -> Option<&str> {
    let options = line.trim().strip_prefix("SLURMD_OPTIONS=")?;
    let mut words = options
        .split_whitespace()
        .map(|it| it.trim_matches(['"', '\'']));
    let word = words.find(|it| it.starts_with("-f"))?;
    match word.strip_prefix("-f") {
        Some("") | None => words.next(),
        joined => joined,
    }
    .filter(|it| it.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn environments_of_sshd() {
        for (line, path) in [
            ("SLURM_CONF=/a/b", Some("/a/b")),
            ("SLURM_CONF=\"/a/b\"", Some("/a/b")),
            ("\"X=1\" \"SLURM_CONF=/a\"", Some("/a")),
            ("#SLURM_CONF=/a", None),
            ("OPTIONS=-u0", None),
            ("SLURM_CONF=relative", None),
            ("MY_SLURM_CONF=/a", None),
        ] {
            assert_eq!(slurm_conf_of(line), path, "{line}");
        }
    }

    #[test]
    fn options_of_slurmd() {
        for (line, path) in [
            ("SLURMD_OPTIONS=\"-f /a/b\"", Some("/a/b")),
            ("SLURMD_OPTIONS='-D -f/a'", Some("/a")),
            ("SLURMD_OPTIONS=\"--conf-server ctl\"", None),
            ("#SLURMD_OPTIONS=-f /a", None),
            ("SLURMD_OPTIONS=-f", None),
        ] {
            assert_eq!(conf_of_options(line), path, "{line}");
        }
    }
}
