//! Users' service managers: whether logins get one, who has one now, and who gets one at boot.

use std::collections::BTreeMap;

use adopt::options::Options;
use pamconf::Facility;

use crate::host::unit::{Unit, is_no};
use crate::host::users::{Ordinary, users};
use crate::host::{Host, ModuleCall};
use crate::systemd::checks;
use crate::{Finding, Notes, Severity, Spot, pam};

/// Programs of the session bus and of logging in, which do no work.
const SERVANTS: [&str; 5] = [
    "systemd",
    "(sd-pam)",
    "dbus-daemon",
    "dbus-broker",
    "dbus-broker-lau",
];

/// What user@.service starts for a user.
#[derive(Debug)]
enum Manager {
    /// Nothing that leads out of a job.
    None,
    /// A service manager.
    Stock,
    /// A drop-in does not do all that is needed.
    Half { spot: Spot, detail: String },
}

pub(super) fn look(host: &Host, notes: &mut Notes) {
    let is_off = host.is_live() && !host.tree.exists("/run/systemd/system");
    if is_off {
        notes.summary("systemd does not run");
        return;
    }
    let logind = Unit::read(&host.tree, &["systemd-logind.service"]);
    if logind.is_masked {
        notes.summary("logind is masked");
        return;
    }
    let manager = manager(host);
    match (&manager, pam_systemd(host)) {
        (Manager::None, _) => notes.summary("users have no service manager"),
        (Manager::Stock, Some(spot)) => {
            let detail = "user@.service starts a service manager for each user who logs in";
            notes.find(Finding::of(&checks::NO_DROP_IN, detail).at(spot));
        }
        (Manager::Half { spot, detail }, _) => {
            notes.find(Finding::of(&checks::HALF_A_DROP_IN, detail).at(spot.clone()));
        }
        (Manager::Stock, None) => {}
    }
    let exempt = Exempt::of(host);
    if !matches!(manager, Manager::None) {
        lingering(host, &exempt, notes);
    }
    running(host, &exempt, notes);
}

/// Whether a login by ssh gets its user a service manager, outside of the job.
#[must_use]
pub fn gives_managers(host: &Host) -> bool {
    let is_off = host.is_live() && !host.tree.exists("/run/systemd/system");
    let logind = Unit::read(&host.tree, &["systemd-logind.service"]);
    let is_none = matches!(manager(host), Manager::None);
    !is_off && !logind.is_masked && !is_none && pam_systemd(host).is_some()
}

/// The line of sshd's session stack that calls pam_systemd, if libpam finds the module.
fn pam_systemd(host: &Host) -> Option<Spot> {
    if !pam::has_sshd(host, "sshd") {
        return None;
    }
    let service = host.service("sshd");
    let stack = service.stack(Facility::Session);
    let mut calls = stack.iter().filter_map(|it| ModuleCall::of(&service, it));
    let call = calls.find(|it| it.name() == "pam_systemd.so")?;
    let path = String::from_utf8_lossy(call.path);
    let file = host.modules().file(&host.tree, &path);
    file.map(|_| Spot::pam(call.line).mark(&path))
}

fn manager(host: &Host) -> Manager {
    let unit = Unit::read(&host.tree, &["user@.service"]);
    if unit.is_masked {
        return Manager::None;
    }
    let starts = unit.values("Service", "ExecStart");
    let is_of_drop_in = |spot: &Spot| spot.file.contains(".service.d/");
    let is_manager = |value: &str| value.contains("--user") || value.contains("systemd/systemd");
    let has_reset = unit
        .settings
        .iter()
        .any(|it| it.key == "ExecStart" && it.value.is_empty());
    let starts_manager = match starts.is_empty() {
        // Without the unit's own file it counts as systemd's.
        true => !has_reset,
        false => starts.iter().any(|it| is_manager(&it.value)) || !has_reset && !unit.exists,
    };
    let of_drop_in = unit
        .settings
        .iter()
        .rev()
        .filter(|it| is_of_drop_in(&it.spot));
    let half = |key: &str, detail: &str| {
        let mut all = of_drop_in.clone();
        let setting = all.find(|it| it.key == key);
        setting.map(|it| Manager::Half {
            spot: it.spot.clone(),
            detail: detail.to_owned(),
        })
    };
    if starts_manager {
        let detail = "user@.service still starts a service manager";
        return half("ExecStart", detail).unwrap_or(Manager::Stock);
    }
    let delegate = unit.last("Service", "Delegate");
    let is_delegated = delegate.is_none_or(|it| !is_no(&it.value));
    let detail =
        "nothing sets Delegate=no: PID 1 still moves users' processes into user@UID.service";
    match is_delegated {
        true => half("Delegate", detail)
            .or_else(|| half("ExecStart", detail))
            .unwrap_or(Manager::None),
        false => Manager::None,
    }
}

/// Users who may work outside jobs.
#[derive(Debug)]
pub(super) struct Exempt<'a> {
    host: &'a Host,
    options: Options,
    ordinary: Ordinary,
    passwd: String,
    group: String,
}

impl<'a> Exempt<'a> {
    pub(super) fn of(host: &'a Host) -> Self {
        let text = |path: &str| host.tree.text(path).unwrap_or_default();
        Self {
            host,
            options: host.options(),
            ordinary: Ordinary::read(&host.tree),
            passwd: text("/etc/passwd"),
            group: text("/etc/group"),
        }
    }

    /// Whether a user is root, a user of the system, exempt, or keeps a service manager on purpose.
    pub(super) fn has(&self, name: &str, uid: Option<u32>) -> bool {
        let exempt = &self.options.exempt;
        let number = uid.map(|it| it.to_string());
        let is_it = |it: &String| *it == name || Some(it) == number.as_ref();
        let in_group = |group: &String| {
            let mut lines = self
                .group
                .lines()
                .map(|it| it.split(':').collect::<Vec<_>>());
            lines.any(|it| {
                it.first() == Some(&group.as_str())
                    && it
                        .get(3)
                        .is_some_and(|it| it.split(',').any(|it| it == name))
            })
        };
        uid.is_some_and(|it| it < self.ordinary.first.max(exempt.uid_below))
            || name == "root"
            || exempt.users.iter().any(is_it)
            || exempt.groups.iter().any(in_group)
            || self.is_member_elsewhere(name)
    }

    /// Whether a user is a member of an exempt group that only a directory service knows, id(1).
    fn is_member_elsewhere(&self, name: &str) -> bool {
        let groups = &self.options.exempt.groups;
        if groups.is_empty() {
            return false;
        }
        let asked = self.host.run_briefly("id", &["-Gn", "--", name]);
        asked.is_ok_and(|printed| {
            let mut names = printed.out.split_whitespace();
            names.any(|it| groups.iter().any(|group| group == it))
        })
    }

    pub(super) fn name_of(&self, uid: u32) -> Option<String> {
        let user = users(&self.passwd).find(|it| it.uid == uid);
        user.map(|it| it.name.to_owned())
    }

    pub(super) fn uid_of(&self, name: &str) -> Option<u32> {
        let user = users(&self.passwd).find(|it| it.name == name);
        user.map(|it| it.uid)
    }
}

/// Whether an admin lets a user have a service manager, by a drop-in for that user alone.
fn keeps_one(host: &Host, uid: u32) -> bool {
    let own = format!("user@{uid}.service");
    let names = host.tree.names(format!("/etc/systemd/system/{own}.d"));
    names.is_ok_and(|it| !it.is_empty())
}

fn lingering(host: &Host, exempt: &Exempt<'_>, notes: &mut Notes) {
    const DIR: &str = "/var/lib/systemd/linger";
    match host.tree.names(DIR) {
        Ok(names) => {
            for name in names {
                let uid = exempt.uid_of(&name);
                let keeps = uid.is_some_and(|it| keeps_one(host, it));
                if !keeps && !exempt.has(&name, uid) {
                    let spot = Spot::file(format!("{DIR}/{name}"));
                    let detail = format!("{} lingers", name.escape_debug());
                    notes.find(Finding::of(&checks::LINGERS, detail).at(spot));
                }
            }
        }
        Err(error) => notes.unseen(DIR, error.to_string()),
    }
}

/// Looks for processes in users' service managers.
fn running(host: &Host, exempt: &Exempt<'_>, notes: &mut Notes) {
    let mut users: BTreeMap<u32, Vec<String>> = BTreeMap::new();
    for process in host.processes() {
        let text = host.tree.text(format!("/proc/{}/cgroup", process.pid));
        let Some(uid) = manager_of(&text.unwrap_or_default()) else {
            continue;
        };
        let programs = users.entry(uid).or_default();
        if !SERVANTS.contains(&process.name.as_str()) && !programs.contains(&process.name) {
            programs.push(process.name.clone());
        }
    }
    for (uid, programs) in users {
        let name = exempt.name_of(uid).unwrap_or_else(|| format!("uid {uid}"));
        if keeps_one(host, uid) || exempt.has(&name, Some(uid)) {
            continue;
        }
        notes.find(match programs.is_empty() {
            true => Finding::of(&checks::MANAGER_RUNS, format!("{name}: user@{uid}.service")),
            false => {
                let most = programs
                    .iter()
                    .take(5)
                    .cloned()
                    .collect::<Vec<_>>()
                    .join(", ");
                let detail = format!("{name}: user@{uid}.service runs {}", most.escape_debug());
                Finding::of(&checks::MANAGER_RUNS, detail).as_severe_as(Severity::Failure)
            }
        });
    }
}

/// The user in whose service manager a process is, by /proc/PID/cgroup.
fn manager_of(cgroups: &str) -> Option<u32> {
    let paths = cgroups.lines().filter_map(|it| it.splitn(3, ':').nth(2));
    let mut parts = paths.flat_map(|it| it.split('/'));
    parts.find_map(|it| {
        let uid = it.strip_prefix("user@")?.strip_suffix(".service")?;
        uid.parse().ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_service_manager_of_a_process() {
        for (text, uid) in [
            (
                "0::/user.slice/user-2001.slice/user@2001.service/app.slice/x.service\n",
                Some(2001),
            ),
            (
                "12:cpu:/\n1:name=systemd:/user.slice/user@7.service\n",
                Some(7),
            ),
            ("0::/user.slice/user-2001.slice/session-3.scope\n", None),
            ("0::/system.slice/user@.service\n", None),
            ("", None),
        ] {
            assert_eq!(manager_of(text), uid, "{text}");
        }
    }
}
