//! SELinux, AppArmor, fapolicyd, and the module's directory below /run.

mod apparmor;
mod checks;
mod policy;
mod selinux;
mod state;

use crate::host::Host;
use crate::host::unit::is_enabled;
use crate::{Finding, Notes, Room, Spot, module};

pub(crate) const ROOM: Room = Room {
    name: "security",
    checks: checks::ALL,
    look,
};

fn look(host: &Host, notes: &mut Notes) {
    state::look(host, notes);
    apparmor::look(host, notes);
    fapolicyd(host, notes);
    selinux::look(host, notes);
}

/// Judges whether fapolicyd(8) lets sshd load the module.
fn fapolicyd(host: &Host, notes: &mut Notes) {
    let runs = match host.is_live() {
        true => host.processes().iter().any(|it| it.name == "fapolicyd"),
        false => is_enabled(&host.tree, "fapolicyd.service"),
    };
    let config = host
        .tree
        .text("/etc/fapolicyd/fapolicyd.conf")
        .unwrap_or_default();
    let is_permissive = config
        .lines()
        .any(|it| it.replace(' ', "") == "permissive=1");
    if !runs || is_permissive {
        return;
    }
    let mut files = vec!["/etc/fapolicyd/fapolicyd.trust".into()];
    files.extend(host.tree.matches("/etc/fapolicyd/trust.d/*"));
    let lists: Vec<String> = files
        .iter()
        .map(|it| host.tree.text(it).unwrap_or_default())
        .collect();
    for file in module::loaded(host) {
        let path = file.to_string_lossy();
        // PATH SIZE SHA256
        let is_listed = |text: &String| {
            let mut lines = text.lines();
            lines.any(|it| it.split_whitespace().next() == Some(&path))
        };
        let is_of_package = host
            .run_briefly("rpm", &["-qf", &path])
            .is_ok_and(|it| it.is_success());
        if !is_of_package && !lists.iter().any(is_listed) {
            let detail = format!("{path} is in no trust file");
            notes.find(Finding::of(&checks::FAPOLICYD, detail).at(Spot::file(path)));
        }
    }
}
