//! Units of systemd.

use check::Host;

/// Directories of units.
const DIRS: [&str; 4] = [
    "/etc/systemd/system",
    "/run/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
];

/// Whether there is a unit of this name.
pub(super) fn has(host: &Host, name: &str) -> bool {
    DIRS.iter()
        .any(|dir| host.tree.exists(format!("{dir}/{name}")))
}

/// Whether systemd runs the host, sd_booted(3), or will when a tree does.
pub(super) fn has_systemd(host: &Host) -> bool {
    match host.is_live() {
        true => host.tree.exists("/run/systemd/system"),
        false => DIRS.iter().any(|dir| host.tree.exists(dir)),
    }
}
