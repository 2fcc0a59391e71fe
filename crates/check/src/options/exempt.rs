//! Exempt users and groups, and the kill switch.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use adopt::options::Mode;

use crate::host::fstab::is_mounted_later;
use crate::host::users::{Ordinary, defined};
use crate::host::{Host, owner};
use crate::options::{Settings, checks};
use crate::{Finding, Notes, Severity, Spot};

pub(super) fn look(host: &Host, settings: Settings<'_>, notes: &mut Notes) -> Vec<Finding> {
    let mut findings = Vec::new();
    let options = settings.options;
    findings.extend(kill_switch(host, settings));
    if options.mode == Mode::Enforce {
        let exempt = &options.exempt;
        for (option, names, database) in [
            ("exempt_users", &exempt.users, "passwd"),
            ("exempt_groups", &exempt.groups, "group"),
        ] {
            let unknown = unknown_names(host, database, names, notes);
            if !unknown.is_empty() {
                let detail = format!("{database} has no {}", unknown.join(", "));
                let mut spot = settings.spot(option);
                if let Some(first) = unknown.first() {
                    spot = spot.mark_after('=', first);
                }
                findings.push(Finding::of(&checks::UNKNOWN_NAME, detail).at(spot));
            }
        }
        findings.extend(uid_bound(host, settings));
    }
    findings
}

/// The names that the user database does not have; numbers need not be there.
fn unknown_names(host: &Host, database: &str, names: &[String], notes: &mut Notes) -> Vec<String> {
    let text = host
        .tree
        .text(format!("/etc/{database}"))
        .unwrap_or_default();
    let is_local = |name: &String| text.lines().any(|it| it.split(':').next() == Some(name));
    let is_number = |name: &String| name.parse::<u32>().is_ok();
    let others = names.iter().filter(|it| !is_number(it) && !is_local(it));
    let others: Vec<String> = others.cloned().collect();
    // Signs of sudoers(5) and access.conf(5), which no database is asked for.
    if let Some(odd) = others.iter().find(|it| it.starts_with(['%', '@', '+'])) {
        return vec![odd.clone()];
    }
    if others.is_empty() {
        return others;
    }
    if host.is_live() {
        return missing(host, database, others, notes);
    }
    let switch = host.tree.text("/etc/nsswitch.conf").unwrap_or_default();
    match sources(&switch, database)
        .iter()
        .find(|it| !is_of_files(it))
    {
        None => others,
        Some(source) => {
            let why = format!("nsswitch.conf has {source}, which the tree does not have");
            notes.unseen(format!("{database} {}", others.join(", ")), why);
            Vec::new()
        }
    }
}

/// The names that the running host's user database does not have, getent(1). What cannot be asked counts as known.
fn missing(host: &Host, database: &str, names: Vec<String>, notes: &mut Notes) -> Vec<String> {
    let mut missing = Vec::new();
    let mut names = names.into_iter();
    for name in names.by_ref() {
        // A name that begins with a dash would be an option.
        let asked = host.run_briefly("getent", &["--", database, &name]);
        match asked.map(|it| it.status) {
            Ok(Some(0)) => {}
            Ok(Some(2)) => missing.push(name),
            Ok(_) => notes.unseen(format!("{database} {name}"), "getent fails"),
            Err(error) => {
                let rest: Vec<String> = std::iter::once(name).chain(names).collect();
                let what = format!("{database} {}", rest.join(", "));
                notes.unseen(what, format!("getent: {error}"));
                break;
            }
        }
    }
    missing
}

/// The sources of a database in nsswitch.conf(5); without a line, glibc's default.
fn sources(text: &str, database: &str) -> Vec<String> {
    let lines = text
        .lines()
        .map(|it| it.split('#').next().unwrap_or_default());
    let mut values = lines.filter_map(|it| {
        let (name, value) = it.split_once(':')?;
        (name.trim() == database).then_some(value)
    });
    let value = values.next().unwrap_or("files");
    let words = value.split_whitespace().filter(|it| !it.starts_with('['));
    words.map(str::to_owned).collect()
}

/// Whether a source of nsswitch.conf(5) is all in /etc/passwd and /etc/group, or has only systemd's own users.
fn is_of_files(source: &str) -> bool {
    matches!(source, "files" | "systemd")
}

fn uid_bound(host: &Host, settings: Settings<'_>) -> Option<Finding> {
    let below = settings.options.exempt.uid_below;
    let text = host.tree.text("/etc/login.defs").unwrap_or_default();
    let first = Ordinary::read(&host.tree).first;
    let last = defined(&text, "UID_MAX").unwrap_or(60_000);
    if below <= first {
        return None;
    }
    let detail = format!("uids {first} to {} are people's", below.saturating_sub(1));
    let finding = Finding::of(&checks::NORMAL_UIDS, detail).at(settings.spot("exempt_uid_below"));
    Some(match below >= last {
        // No user of the range needs a job, or none but the last.
        true => finding.as_severe_as(Severity::Failure),
        false => finding,
    })
}

/// Judges the kill switch by the rules of pam_slurm_adopt(8).
fn kill_switch(host: &Host, settings: Settings<'_>) -> Option<Finding> {
    let path = settings.options.kill_switch.as_deref()?;
    let tree = &host.tree;
    let dead = |detail: String| {
        let spot = settings.spot("kill_switch");
        Some(Finding::of(&checks::DEAD_SWITCH, detail).at(spot))
    };
    let above = path.parent().unwrap_or(Path::new("/"));
    let shown = path.display();
    match owner::unsafe_part(tree, above) {
        Ok(None) => {}
        Ok(Some(part)) => return dead(part.to_string()),
        Err(_) if is_mounted_later(tree, path) => return None,
        Err(error) => return dead(format!("{}: {error}", above.display())),
    }
    let status = match tree.link_status(path) {
        Ok(status) => status,
        Err(_) => return None,
    };
    let (uid, mode) = (status.uid(), status.mode() & 0o7777);
    if !status.is_file() {
        return dead(format!(
            "{shown} is there, but no regular file: everyone is judged as usual"
        ));
    }
    if !owner::is_roots(tree, &status) || mode & 0o022 != 0 {
        return dead(format!(
            "{shown} is there, but has owner uid {uid}, mode {mode:04o}"
        ));
    }
    let detail = format!("{shown} exists");
    Some(Finding::of(&checks::SWITCHED_OFF, detail).at(Spot::file(path.to_string_lossy())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_of_nsswitch_conf() {
        for (text, expected) in [
            ("", &["files"][..]),
            ("passwd: compat\n", &["files"]),
            ("group:  files sss # ldap\n", &["files", "sss"]),
            (
                "group: files [SUCCESS=merge] systemd\n",
                &["files", "systemd"],
            ),
        ] {
            assert_eq!(sources(text, "group"), expected, "{text}");
        }
    }
}
