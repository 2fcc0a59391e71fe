//! Programs that run something for users outside their jobs: cron, at, rootless Podman.

use crate::host::Host;
use crate::host::unit::is_enabled;
use crate::systemd::checks;
use crate::systemd::manager::Exempt;
use crate::{Finding, Notes, Spot};

/// A daemon that runs users' programs.
struct Daemon {
    /// Its program and PAM service: Debian's and others'.
    names: [&'static str; 2],
    /// Its units.
    units: [&'static str; 2],
}

const CRON: Daemon = Daemon {
    names: ["cron", "crond"],
    units: ["cron.service", "crond.service"],
};
const AT: Daemon = Daemon {
    names: ["atd", "atd"],
    units: ["atd.service", "atd.service"],
};
/// Where users' crontabs are: Debian's, RHEL's, SUSE's.
const CRONTAB_DIRS: [&str; 3] = [
    "/var/spool/cron/crontabs",
    "/var/spool/cron",
    "/var/spool/cron/tabs",
];

pub(super) fn look(host: &Host, notes: &mut Notes) {
    cron(host, notes);
    at(host, notes);
    podman(host, notes);
}

/// Whether a daemon runs, or is to run in a tree, and admits users whom the module does not judge.
fn is_open(host: &Host, daemon: &Daemon) -> bool {
    let runs = match host.is_live() {
        true => host
            .processes()
            .iter()
            .any(|it| daemon.names.contains(&it.name.as_str())),
        false => daemon.units.iter().any(|it| is_enabled(&host.tree, it)),
    };
    let is_judged = daemon.names.iter().any(|name| {
        let lines = host.own_lines(name);
        lines.iter().any(|it| it.options.acts_for(name))
    });
    runs && !is_judged
}

fn cron(host: &Host, notes: &mut Notes) {
    if !is_open(host, &CRON) {
        return;
    }
    let exempt = Exempt::of(host);
    let mut has_crontabs = false;
    for dir in CRONTAB_DIRS {
        let names = match host.tree.names(dir) {
            Ok(names) => names,
            Err(error) => {
                notes.unseen(dir, error.to_string());
                continue;
            }
        };
        for name in names {
            let path = format!("{dir}/{name}");
            let is_file = host.tree.status(&path).is_ok_and(|it| it.is_file());
            let is_name =
                !name.starts_with('.') && !name.contains(".tmp") && !name.starts_with("tmp.");
            if is_file && is_name && !exempt.has(&name, exempt.uid_of(&name)) {
                has_crontabs = true;
                let detail = format!("the crontab of {}", name.escape_debug());
                notes.find(Finding::of(&checks::CRONTABS, detail).at(Spot::file(path)));
            }
        }
    }
    if !has_crontabs && !host.tree.exists("/etc/cron.allow") {
        let detail = "there is no /etc/cron.allow";
        notes.find(Finding::of(&checks::CRON, detail));
    }
}

fn at(host: &Host, notes: &mut Notes) {
    let is_for_all = host.tree.exists("/etc/at.deny") && !host.tree.exists("/etc/at.allow");
    if is_for_all && is_open(host, &AT) {
        let detail = "there is no /etc/at.allow";
        notes.find(Finding::of(&checks::AT, detail).at(Spot::file("/etc/at.deny")));
    }
}

fn podman(host: &Host, notes: &mut Notes) {
    let tree = &host.tree;
    if !tree.exists("/usr/bin/podman") {
        return;
    }
    let mut files = vec![
        "/usr/share/containers/containers.conf".into(),
        "/etc/containers/containers.conf".into(),
    ];
    files.extend(tree.matches("/etc/containers/containers.conf.d/*.conf"));
    let texts = files.iter().map(|it| tree.text(it).unwrap_or_default());
    let mut manager = String::new();
    for text in texts {
        if let Some(value) = engine_setting(&text, "cgroup_manager") {
            manager = value;
        }
    }
    if manager != "cgroupfs" {
        let detail = match manager.is_empty() {
            true => "nothing sets cgroup_manager, which is systemd by default".to_owned(),
            false => format!("cgroup_manager is {}", manager.escape_debug()),
        };
        let spot = Spot::file("/etc/containers/containers.conf");
        notes.find(Finding::of(&checks::PODMAN, detail).at(spot));
    }
}

/// A string below `[engine]` in containers.conf(5).
fn engine_setting(text: &str, key: &str) -> Option<String> {
    let mut is_engine = false;
    let mut found = None;
    for line in text.lines().map(str::trim) {
        if line.starts_with('[') {
            is_engine = line == "[engine]";
        } else if let Some((name, value)) = line.split_once('=').filter(|_| is_engine) {
            if name.trim() == key {
                let value = value.split('#').next().unwrap_or_default().trim();
                found = Some(value.trim_matches(['"', '\'']).to_owned());
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_of_containers_conf() {
        for (text, value) in [
            (
                "[engine]\ncgroup_manager = \"cgroupfs\" # no systemd\n",
                Some("cgroupfs"),
            ),
            ("[engine]\n#cgroup_manager = \"cgroupfs\"\n", None),
            ("[containers]\ncgroup_manager = \"cgroupfs\"\n", None),
            ("", None),
        ] {
            assert_eq!(
                engine_setting(text, "cgroup_manager").as_deref(),
                value,
                "{text}"
            );
        }
    }
}
