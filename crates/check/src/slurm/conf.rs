//! slurm.conf as a file: which one counts, whether it can be read, keys that Slurm does not know.

use std::path::Path;

use proto::conf::{ConfError, Problem, Setting};

use crate::host::Host;
use crate::host::slurm_conf::{SLURM_CONFS, is_yes};
use crate::slurm::keys::{self, Keys};
use crate::slurm::place::{Slurm, spot};
use crate::slurm::release::Release;
use crate::{Check, Finding, Notes, Severity, Spot};

pub(super) const BROKEN: Check = Check {
    id: "SA410",
    severity: Severity::Failure,
    title: "slurm.conf cannot be read to its end",
    why: "slurmd and Slurm's commands do not start with it, and SchedMD's module ends the login's sshd process. This \
          module reads past a fault behind a key that it does not need. With any other, each login ends in \
          action_generic_failure, which leaves the user to the other modules of the stack by default: people \
          without a job get in, or with deny people with a job are kept out.",
    fix: "Repair the line. `scontrol show daemons` shows whether Slurm can read the file.",
};

pub(super) const UNKNOWN_KEY: Check = Check {
    id: "SA411",
    severity: Severity::Failure,
    title: "slurm.conf has a key that Slurm does not know or refuses",
    why: "Slurm's daemons end with \"Parsing error at unrecognized key\"; no job starts on the node. This module \
          ignores the line; SchedMD's ends the login's sshd process.",
    fix: "Correct or remove the line. slurm.conf(5) has the keys of the installed release.",
};

pub(super) const SET_TWICE: Check = Check {
    id: "SA412",
    severity: Severity::Warning,
    title: "a key is set twice in slurm.conf: the last line counts",
    why: "The earlier line has no effect. Slurm only logs \"specified more than once, latest value used\". A list \
          such as PrologFlags is not joined.",
    fix: "Keep one line.",
};

pub(super) const TWO_FILES: Check = Check {
    id: "SA413",
    severity: Severity::Warning,
    title: "two slurm.conf files differ",
    why: "slurmd, commands and the module may read different ones: SLURM_CONF comes first, then the directory \
          that was compiled in, then /run/slurm/conf, the copy of a configless slurmd. The module reads the one \
          of the running slurmd, and where none runs the first of slurm_conf=, SLURM_CONF, /run/slurm/conf and \
          the usual directories. pam_slurm_adopt(8), FILES.",
    fix: "Remove the file that is left over, or make it a link to the other.",
};

pub(super) const BAD_SWITCH: Check = Check {
    id: "SA415",
    severity: Severity::Failure,
    title: "a key of slurm.conf takes yes or no, and has another value",
    why: "Slurm's daemons end with \"is not a valid option\"; no job starts on the node, and SchedMD's module ends the \
          login's sshd process. 20.11 only logs it, and goes on without the line (then this is a warning). Valid are \
          yes, up, true, 1 and no, down, false, 0.",
    fix: "Write yes or no.",
};

/// The keys of type S_P_BOOLEAN, `src/common/read_config.c`.
const SWITCHES: [&str; 6] = [
    "AccountingStoreJobComment",
    "AllowSpecResourcesUsage",
    "DisableRootJobs",
    "PriorityFavorSmall",
    "TrackWCKey",
    "UsePAM",
];

/// Keys with one line each that decide about logins.
const SINGLE: [&str; 13] = [
    "AuthType",
    "ClusterName",
    "JobContainerType",
    "LaunchParameters",
    "NamespaceType",
    "ProctrackType",
    "PrologFlags",
    "SlurmUser",
    "SlurmdSpoolDir",
    "SlurmdUser",
    "TaskPlugin",
    "TLSType",
    "UsePAM",
];

/// Findings of one kind: more of them help nobody.
pub(super) const MOST: usize = 20;

pub(super) fn look(slurm: &Slurm<'_>, notes: &mut Notes) {
    fault(slurm, notes);
    let lines = slurm.conf.settings.iter();
    let unknown = lines.filter_map(|it| unknown_key(slurm, it, keys::SLURM_CONF, &UNKNOWN_KEY));
    unknown.take(MOST).for_each(|it| notes.find(it));
    refused(slurm, notes);
    for key in SWITCHES {
        if let Some((value, spot)) = slurm.value(key).filter(|it| is_yes(it.0).is_none()) {
            let (severity, how) = match slurm.is_from(Release(2108)) {
                Some(false) => (Severity::Warning, "; slurmd goes on without it"),
                _ => (Severity::Failure, ""),
            };
            let finding = Finding::of(&BAD_SWITCH, format!("{key} is {value}{how}")).at(spot);
            notes.find(finding.as_severe_as(severity));
        }
    }
    for key in SINGLE {
        twice(slurm, key, notes);
    }
    others(slurm, notes);
}

fn fault(slurm: &Slurm<'_>, notes: &mut Notes) {
    let Some(fault) = &slurm.conf.fault else {
        if slurm.conf.value("ClusterName").is_none() {
            let detail = "nothing sets ClusterName, which Slurm requires";
            notes.find(Finding::of(&BROKEN, detail).at(slurm.file()));
        }
        return;
    };
    let mut finding = faulty(slurm.host, fault, &BROKEN);
    if slurm.conf.is_read_by_module {
        finding.detail += "; logins are judged as before";
    }
    notes.find(finding);
}

/// A finding for a fault, with the word at fault marked.
pub(super) fn faulty(host: &Host, fault: &ConfError, check: &'static Check) -> Finding {
    let text = host.tree.text(&fault.file).unwrap_or_default();
    let line = fault
        .line
        .checked_sub(1)
        .and_then(|it| text.lines().nth(it));
    let Some(line) = line else {
        return Finding::of(check, fault.to_string()).at(Spot::file(&fault.file));
    };
    let spot = Spot::line(&fault.file, fault.line, line.trim_end());
    let (detail, word) = match &fault.problem {
        Problem::Syntax
            if line
                .trim_start()
                .to_ascii_lowercase()
                .starts_with("include ") =>
        {
            (
                "Include begins in the first column, and names one file".to_owned(),
                line.split_whitespace().next().unwrap_or_default(),
            )
        }
        Problem::Syntax => (
            "not of the form key=value: no blank may be in a value, and no value may be empty"
                .to_owned(),
            stray_word(line),
        ),
        Problem::Include { name, cause } => (format!("{name}: {cause}"), name.as_str()),
        problem => {
            let (file, line) = (String::new(), 0);
            let problem = problem.clone();
            let text = ConfError {
                file,
                line,
                problem,
            };
            let text = text.to_string();
            let text = text.trim_start_matches([':', ' ']).to_owned();
            return Finding::of(check, text).at(spot);
        }
    };
    Finding::of(check, detail).at(spot.mark(word))
}

/// The word of a line that makes it no list of `key=value`.
fn stray_word(line: &str) -> &str {
    let words: Vec<&str> = line
        .split_whitespace()
        .take_while(|it| !it.starts_with('#'))
        .collect();
    let is_bad = |it: &&&str| !it.contains('=') || it.ends_with('=');
    let bad = words.iter().skip(1).find(is_bad);
    let bad = bad.or_else(|| words.iter().find(is_bad));
    bad.or(words.get(1))
        .or(words.first())
        .copied()
        .unwrap_or_default()
}

/// What Slurm makes of a line's first key.
pub(super) fn unknown_key(
    slurm: &Slurm<'_>,
    line: &Setting,
    keys: Keys,
    check: &'static Check,
) -> Option<Finding> {
    // The newest release whose keys are known.
    const NEWEST: Release = Release(2605);
    let name = line.key();
    let (severity, detail) = match (keys.named(name), slurm.release) {
        (Some(key), Some(release)) if key.is_in(release) => return None,
        (Some(key), Some(release)) => {
            let when = match (key.since, key.until) {
                (Some(since), _) if release < since => format!("from {since} on"),
                (_, Some(until)) => format!("before {until}"),
                _ => return None,
            };
            let detail = format!("{} is for Slurm {when}; this is {release}", key.name);
            (Severity::Failure, detail)
        }
        (Some(key), None) => {
            let until = key.until?;
            let detail = format!("Slurm {until} and newer do not know {}", key.name);
            (Severity::Warning, detail)
        }
        (None, release) => {
            let like = keys.like(name);
            let is_certain = like.is_some() || release.is_some_and(|it| it <= NEWEST);
            let detail = match like {
                Some(like) => format!("no key {name}; did you mean {like}?"),
                None => format!("no Slurm from 20.11 to {NEWEST} knows {name}"),
            };
            let severity = if is_certain {
                Severity::Failure
            } else {
                Severity::Warning
            };
            (severity, detail)
        }
    };
    let found = Finding::of(check, detail).at(spot(slurm.host, line, name, ""));
    Some(found.as_severe_as(severity))
}

/// Keys that Slurm still knows, to end on them with a hint.
fn refused(slurm: &Slurm<'_>, notes: &mut Notes) {
    let removed = [
        (
            "AccountingStoreJobComment",
            Release(2108),
            "AccountingStoreFlags=job_comment",
        ),
        (
            "SallocDefaultCommand",
            Release(2011),
            "LaunchParameters=use_interactive_step",
        ),
    ];
    for (key, since, instead) in removed {
        let Some((value, _)) = slurm.value(key) else {
            continue;
        };
        if is_yes(value) != Some(false) && slurm.is_from(since) != Some(false) {
            let detail = format!("Slurm {since} and newer want {instead} instead of {key}");
            notes.find(Finding::of(&UNKNOWN_KEY, detail).at(slurm.at(key, "")));
        }
    }
}

fn twice(slurm: &Slurm<'_>, key: &str, notes: &mut Notes) {
    let lines = slurm.conf.settings.iter();
    let lines: Vec<&Setting> = lines
        .filter(|it| it.key().eq_ignore_ascii_case(key))
        .collect();
    let Some((last, earlier)) = lines.split_last() else {
        return;
    };
    let value = last.value(key);
    let idle = earlier.iter().filter(|it| it.value(key) != value);
    for line in idle.take(MOST) {
        let detail = format!("{} line {} sets {key} again", last.file, last.line);
        notes.find(Finding::of(&SET_TWICE, detail).at(spot(slurm.host, line, key, "")));
    }
}

/// Other slurm.confs in the usual places.
fn others(slurm: &Slurm<'_>, notes: &mut Notes) {
    let tree = &slurm.host.tree;
    let own = &slurm.conf.path;
    let Ok(ours) = tree.text(own) else { return };
    let real = tree.resolve(own).ok();
    for path in SLURM_CONFS.map(Path::new) {
        let is_same = path == own || real.is_some() && tree.resolve(path).ok() == real;
        let Some(theirs) = (!is_same).then(|| tree.text(path).ok()).flatten() else {
            continue;
        };
        let is_included = slurm
            .conf
            .settings
            .iter()
            .any(|it| Path::new(&it.file) == path);
        if is_included || bare(&theirs).is_empty() || bare(&theirs) == bare(&ours) {
            continue;
        }
        let detail = format!("{} counts here", own.display());
        let file = Spot::file(path.to_string_lossy());
        notes.find(Finding::of(&TWO_FILES, detail).at(file));
    }
}

/// A file's lines without comments and blank lines.
fn bare(text: &str) -> Vec<&str> {
    let lines = text
        .lines()
        .map(|it| it.split('#').next().unwrap_or_default().trim());
    lines.filter(|it| !it.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_word_that_is_no_pair() {
        for (line, word) in [
            ("PrologFlags=Contain, X11", "X11"),
            ("Frobnicate", "Frobnicate"),
            ("SlurmUser=", "SlurmUser="),
            ("SlurmUser=slurm ClusterName=c # x", "ClusterName=c"),
            ("", ""),
        ] {
            assert_eq!(stray_word(line), word, "{line}");
        }
    }
}
