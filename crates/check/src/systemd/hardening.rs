//! Settings of sshd's unit that keep the module from what it needs, systemd.exec(5).

use std::path::Path;

use crate::host::Host;
use crate::host::unit::{SSHD_UNITS, Setting, Unit, is_no, is_yes};
use crate::systemd::checks;
use crate::{Finding, Notes, Severity};

pub(super) fn look(host: &Host, notes: &mut Notes) {
    for name in SSHD_UNITS {
        let unit = Unit::read(&host.tree, &[name]);
        for finding in of_unit(host, &unit) {
            notes.find(finding);
        }
    }
}

fn of_unit(host: &Host, unit: &Unit) -> Vec<Finding> {
    let last = |key: &str| unit.last("Service", key);
    let mut findings = Vec::new();
    let mut find = |setting: &Setting, severity: Severity, what: &str| {
        let detail = format!("{}={}: {what}", setting.key, setting.value.escape_debug());
        let finding = Finding::of(&checks::HARDENED, detail).at(setting.spot.clone());
        findings.push(finding.as_severe_as(severity));
    };
    if let Some(setting) = last("PrivatePIDs").filter(|it| is_yes(&it.value)) {
        let what = "slurmd sees other process numbers, and no login is adopted";
        find(setting, Severity::Failure, what);
    }
    if let Some(setting) = last("PrivateNetwork").filter(|it| is_yes(&it.value)) {
        let what = "no slurmd can be asked where a connection comes from";
        find(setting, Severity::Warning, what);
    }
    if let Some(setting) =
        last("LimitFSIZE").filter(|it| !matches!(it.value.as_str(), "" | "infinity"))
    {
        let what = "no record is written, so that keyboard-interactive logins fail";
        find(setting, Severity::Warning, what);
    }
    let families = unit.values("Service", "RestrictAddressFamilies");
    if let Some(setting) = families.last().filter(|_| !allows(&families, "AF_UNIX")) {
        find(setting, Severity::Failure, "no slurmstepd can be reached");
    }
    let namespaces = unit.values("Service", "RestrictNamespaces");
    let forbids_all = namespaces.iter().any(|it| is_yes(&it.value));
    let has_words = namespaces.iter().any(|it| !is_no(&it.value));
    if let Some(setting) = namespaces
        .last()
        .filter(|_| forbids_all || has_words && !allows(&namespaces, "mnt"))
    {
        let what = "logins cannot enter the namespaces of jobs that have their own /tmp";
        find(setting, Severity::Warning, what);
    }
    if let Some(setting) =
        last("ProtectSystem").filter(|it| it.value == "strict" && !can_write_run(unit))
    {
        let what = "/run/slurm-adopt cannot be written, so that keyboard-interactive logins fail";
        find(setting, Severity::Warning, what);
    }
    for setting in unit.values("Service", "InaccessiblePaths") {
        if let Some(path) = hidden(host, &setting.value) {
            find(setting, Severity::Failure, &format!("hides {path}"));
        }
    }
    findings
}

/// Whether a list allows a word; one that begins with a tilde forbids its words.
fn allows(list: &[&Setting], word: &str) -> bool {
    let Some(first) = list.first() else {
        return true;
    };
    let forbids_listed = first.value.starts_with('~');
    let mut listed = false;
    for setting in list {
        let (is_negative, words) = match setting.value.strip_prefix('~') {
            Some(words) => (true, words),
            None => (false, setting.value.as_str()),
        };
        if words.split_whitespace().any(|it| it == word) {
            // A list of the other kind takes its words back.
            listed = is_negative == forbids_listed;
        }
    }
    listed != forbids_listed
}

fn can_write_run(unit: &Unit) -> bool {
    let keys = ["ReadWritePaths", "RuntimeDirectory"];
    keys.iter().any(|key| {
        let values = unit.values("Service", key);
        let mut words = values.iter().flat_map(|it| it.value.split_whitespace());
        words.any(|it| {
            let path = it.trim_start_matches(['-', '+']);
            ["/", "/run", "/run/", "/run/slurm-adopt", "slurm-adopt"].contains(&path)
        })
    })
}

/// The path that the module needs and that lies below one of these.
fn hidden(host: &Host, paths: &str) -> Option<String> {
    let conf = host.slurm_conf().ok();
    let spool = conf.and_then(|it| it.value("SlurmdSpoolDir"));
    let spool = spool.unwrap_or("/var/spool/slurmd").to_owned();
    let conf = conf.map(|it| it.path.to_string_lossy().into_owned());
    let needed = [Some(spool), conf].into_iter().flatten();
    let mut needed = needed.filter(|need| {
        let mut paths = paths.split_whitespace();
        paths.any(|it| Path::new(need).starts_with(it.trim_start_matches(['-', '+'])))
    });
    needed.next()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Spot;

    #[test]
    fn lists_that_allow_and_forbid() {
        for (values, is_allowed) in [
            (&[][..], true),
            (&["AF_UNIX AF_INET"], true),
            (&["AF_INET"], false),
            (&["AF_INET", "AF_UNIX"], true),
            (&["~AF_UNIX"], false),
            (&["~AF_PACKET"], true),
            (&["none"], false),
        ] {
            let settings: Vec<Setting> = values
                .iter()
                .map(|it| Setting {
                    section: "Service".to_owned(),
                    key: "RestrictAddressFamilies".to_owned(),
                    value: (*it).to_owned(),
                    spot: Spot::default(),
                })
                .collect();
            let list: Vec<&Setting> = settings.iter().collect();
            assert_eq!(allows(&list, "AF_UNIX"), is_allowed, "{values:?}");
        }
    }
}
