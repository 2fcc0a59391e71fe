//! AppArmor: a profile for sshd that is enforced, apparmor.d(5).

use crate::host::Host;
use crate::security::checks;
use crate::{Finding, Notes, Spot};

const DIR: &str = "/etc/apparmor.d";
/// The names that a profile for sshd has.
const NAMES: [&str; 4] = [
    "sshd",
    "/usr/sbin/sshd",
    "/usr/bin/sshd",
    "/usr/{bin,sbin}/sshd",
];

pub(super) fn look(host: &Host, notes: &mut Notes) {
    if host.is_live() && !is_enforced(host) {
        return;
    }
    let names = host.tree.names(DIR).unwrap_or_default();
    for name in names.iter().filter(|it| it.contains("sshd")) {
        let is_off = |dir: &str| host.tree.link_status(format!("{DIR}/{dir}/{name}")).is_ok();
        if is_off("disable") || is_off("force-complain") {
            continue;
        }
        let path = format!("{DIR}/{name}");
        let text = host.tree.text(&path).unwrap_or_default();
        let local = host
            .tree
            .text(format!("{DIR}/local/{name}"))
            .unwrap_or_default();
        let Some(head) = head(&text) else {
            continue;
        };
        notes.summary(format!("AppArmor profile {name}"));
        if !head.is_complaining && !allows(&text) && !allows(&local) {
            let spot = Spot::line(&path, head.line, head.text).mark("sshd");
            let detail = "no rule of the profile names a file or socket of Slurm";
            notes.find(Finding::of(&checks::APPARMOR, detail).at(spot));
        }
    }
}

/// Whether the kernel enforces a profile for sshd now.
fn is_enforced(host: &Host) -> bool {
    let text = host.tree.text("/sys/kernel/security/apparmor/profiles");
    is_listed(&text.unwrap_or_default())
}

/// Whether the kernel's list of profiles has one of sshd's in enforce mode: `NAME (MODE)`.
fn is_listed(profiles: &str) -> bool {
    let lines = profiles.lines().filter_map(|it| it.rsplit_once(" ("));
    let mut enforced = lines.filter(|(_, mode)| mode.starts_with("enforce"));
    enforced.any(|(name, _)| NAMES.contains(&name))
}

/// The line that begins a profile.
#[derive(Debug, PartialEq, Eq)]
struct Head<'a> {
    line: usize,
    text: &'a str,
    /// Whether the profile only logs, or confines nothing.
    is_complaining: bool,
}

/// The profile of sshd itself, not of a hat or of a program that it starts.
fn head(text: &str) -> Option<Head<'_>> {
    let mut lines = (1..).zip(text.lines());
    let (line, text) = lines.find(|(_, it)| {
        let it = it.trim();
        let mut words = it.split_whitespace();
        let is_profile = words.any(|it| NAMES.contains(&it.trim_matches('"')));
        it.ends_with('{') && is_profile && !it.starts_with(['#', '^'])
    })?;
    let flags = text.split_once("flags=").map_or("", |(_, flags)| flags);
    let is_complaining = ["complain", "unconfined", "default_allow", "prompt"]
        .iter()
        .any(|it| flags.contains(it));
    Some(Head {
        line,
        text,
        is_complaining,
    })
}

/// Whether rules name Slurm, or allow every file.
fn allows(text: &str) -> bool {
    let rules = text
        .lines()
        .map(|it| it.split('#').next().unwrap_or_default().trim());
    let mut rules = rules.filter(|it| !it.starts_with("deny") && !it.starts_with("audit deny"));
    rules.any(|rule| {
        let rule = rule.strip_prefix("allow ").unwrap_or(rule);
        let is_all = ["file,", "all,", "/** ", "/{,**} ", "/{**,} "];
        rule.contains("slurm") || is_all.iter().any(|it| rule.starts_with(it))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn profiles_of_sshd() {
        let line = |text| head(text).map(|it| (it.line, it.is_complaining));
        for (text, expected) in [
            (
                "#include <tunables/global>\n/usr/sbin/sshd {\n}\n",
                Some((2, false)),
            ),
            (
                "profile sshd /usr/sbin/sshd flags=(attach_disconnected) {\n",
                Some((1, false)),
            ),
            ("/usr/sbin/sshd flags=(complain) {\n", Some((1, true))),
            ("  ^EXEC {\n", None),
            ("profile sshd-session {\n", None),
        ] {
            assert_eq!(line(text), expected, "{text}");
        }
    }

    #[test]
    fn rules() {
        for (text, expected) in [
            ("  /var/spool/slurmd/** rw,\n", true),
            ("  file,\n", true),
            ("  /** rwlkm,\n", true),
            ("  deny /var/spool/slurmd/** rw,\n", false),
            ("  # slurm\n  /etc/** r,\n", false),
        ] {
            assert_eq!(allows(text), expected, "{text}");
        }
    }

    #[test]
    fn the_kernels_list() {
        assert!(is_listed(
            "man_filter (enforce)\n/usr/sbin/sshd (enforce)\n"
        ));
        assert!(!is_listed(
            "/usr/sbin/sshd (complain)\nsshd-session (enforce)\n"
        ));
    }
}
