//! Units of systemd.

use check::Host;
use check::host::unit::Unit;

/// Whether there is a unit of this name.
pub(super) fn has(host: &Host, name: &str) -> bool {
    Unit::read(&host.tree, &[name]).exists
}

/// Whether systemd runs the host, sd_booted(3), or will when a tree does.
pub(super) fn has_systemd(host: &Host) -> bool {
    let dirs: &[&str] = match host.is_live() {
        true => &["/run/systemd/system"],
        false => &[
            "/usr/lib/systemd/system",
            "/lib/systemd/system",
            "/etc/systemd/system",
        ],
    };
    dirs.iter().any(|it| host.tree.exists(it))
}
