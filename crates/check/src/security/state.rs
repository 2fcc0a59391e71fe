//! The module's directory below /run, by the rules of pam_slurm_adopt(8).

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use adopt::state_dir;

use crate::host::Host;
use crate::security::checks;
use crate::{Finding, Notes, Severity, Spot};

/// The directories of tmpfiles.d(5); a file in an earlier one replaces that of the same name in a later one.
const TMPFILES_DIRS: [&str; 3] = ["/etc/tmpfiles.d", "/run/tmpfiles.d", "/usr/lib/tmpfiles.d"];

pub(super) fn look(host: &Host, notes: &mut Notes) {
    if host.is_live() {
        directory(host, notes);
    }
    tmpfiles(host, notes);
}

fn directory(host: &Host, notes: &mut Notes) {
    let dir = Path::new(state_dir::DIR);
    let above = dir.parent().unwrap_or(Path::new("/"));
    let around = match host.tree.status(above) {
        Ok(status) => status,
        Err(error) => {
            notes.unseen(above.display().to_string(), error.to_string());
            return;
        }
    };
    let found = host.tree.link_status(dir).ok();
    let state = |status: &std::fs::Metadata| State {
        is_dir: status.is_dir(),
        uid: status.uid(),
        mode: status.mode() & 0o7777,
        device: status.dev(),
    };
    if let Some((severity, detail)) = judge(&state(&around), found.as_ref().map(state).as_ref()) {
        let finding = Finding::of(&checks::STATE_DIR, detail).at(Spot::file(state_dir::DIR));
        notes.find(finding.as_severe_as(severity));
    }
    let is_in_memory = sys::Directory::open(above).and_then(|it| it.is_in_memory());
    if is_in_memory.is_ok_and(|it| !it) {
        let detail = format!("{} is on a disk", above.display());
        notes.find(Finding::of(&checks::STATE_ON_DISK, detail));
    }
}

/// What counts of a directory.
#[derive(Debug, Clone, Copy)]
struct State {
    is_dir: bool,
    uid: u32,
    mode: u32,
    device: u64,
}

/// Judges the directory, if there is one, and the one above it.
fn judge(above: &State, found: Option<&State>) -> Option<(Severity, String)> {
    let State { uid, mode, .. } = above;
    let is_above_safe = *uid == 0 && mode & 0o022 == 0;
    if !is_above_safe {
        let detail = format!("the directory above it has owner uid {uid}, mode {mode:04o}");
        return Some((Severity::Failure, detail));
    }
    let State {
        is_dir,
        uid,
        mode,
        device,
    } = found?;
    // Others may read: the module takes that back.
    if *is_dir && *uid == 0 && mode & 0o022 == 0 {
        return None;
    }
    let what = match is_dir {
        true => "it",
        false => "it is no directory;",
    };
    let detail = format!("{what} has owner uid {uid}, mode {mode:04o}");
    Some(match *device == above.device {
        true => (
            Severity::Warning,
            format!("{detail}; the next login moves it aside"),
        ),
        false => (
            Severity::Failure,
            format!("{detail}; a mount point cannot be moved aside"),
        ),
    })
}

fn tmpfiles(host: &Host, notes: &mut Notes) {
    let mut seen = Vec::new();
    for dir in TMPFILES_DIRS {
        for name in host.tree.names(dir).unwrap_or_default() {
            if !name.ends_with(".conf") || seen.contains(&name) {
                continue;
            }
            let path = format!("{dir}/{name}");
            let text = host.tree.text(&path).unwrap_or_default();
            for (number, line) in (1..).zip(text.lines()) {
                if let Some((fault, mark)) = fault_in(line) {
                    let spot = Spot::line(&path, number, line.trim_end()).mark(mark);
                    notes.find(Finding::of(&checks::TMPFILES, fault).at(spot));
                }
            }
            seen.push(name);
        }
    }
}

/// The fault in a line of tmpfiles.d(5) that makes the directory, and the word at fault.
fn fault_in(line: &str) -> Option<(&'static str, &str)> {
    let mut words = line.split_whitespace();
    let (kind, path) = (words.next()?, words.next()?);
    let is_ours = path
        .trim_end_matches('/')
        .strip_prefix("/var")
        .unwrap_or(path)
        .trim_end_matches('/')
        == state_dir::DIR;
    if !is_ours || kind.starts_with('#') {
        return None;
    }
    let (mode, user) = (words.next().unwrap_or("-"), words.next().unwrap_or("-"));
    if kind.starts_with(['L', 'f', 'F', 'p']) {
        return Some(("this makes no directory", kind));
    }
    if !kind.starts_with(['d', 'D', 'v', 'q', 'Q', 'z', 'Z']) {
        return None;
    }
    if !["-", "root", "0"].contains(&user.trim_start_matches(':')) {
        return Some(("the directory must be root's", user));
    }
    let digits = mode.trim_start_matches(['~', ':']);
    let number = u32::from_str_radix(digits, 8).unwrap_or(0);
    (number & 0o022 != 0).then_some(("nobody but root may write there", mode))
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUN: State = State {
        is_dir: true,
        uid: 0,
        mode: 0o755,
        device: 1,
    };

    #[test]
    fn directories_good_and_bad() {
        let own = State { mode: 0o700, ..RUN };
        let severity = |above, found| judge(&above, found).map(|(severity, _)| severity);
        assert_eq!(severity(RUN, None), None);
        assert_eq!(severity(RUN, Some(&own)), None);
        assert_eq!(severity(RUN, Some(&RUN)), None, "others may read");
        let open = State {
            mode: 0o1777,
            ..RUN
        };
        assert_eq!(severity(open, Some(&own)), Some(Severity::Failure));
        let users = State { uid: 2001, ..own };
        assert_eq!(severity(RUN, Some(&users)), Some(Severity::Warning));
        let mounted = State { device: 2, ..users };
        assert_eq!(severity(RUN, Some(&mounted)), Some(Severity::Failure));
        let file = State {
            is_dir: false,
            ..own
        };
        assert_eq!(severity(RUN, Some(&file)), Some(Severity::Warning));
    }

    #[test]
    fn lines_of_tmpfiles_d() {
        for (line, mark) in [
            ("d /run/slurm-adopt 0700 root root -", None),
            ("d /run/slurm-adopt/ 0755 root root -", None),
            ("D! /var/run/slurm-adopt - - -", None),
            ("d /run/slurm-adopt 0700 slurm slurm -", Some("slurm")),
            ("d /run/slurm-adopt 0775 root slurm -", Some("0775")),
            ("L /run/slurm-adopt - - - - /tmp/x", Some("L")),
            ("d /run/slurm 0755 slurm slurm -", None),
            ("# d /run/slurm-adopt 0777 x x", None),
            ("", None),
        ] {
            assert_eq!(fault_in(line).map(|(_, it)| it), mark, "{line}");
        }
    }
}
