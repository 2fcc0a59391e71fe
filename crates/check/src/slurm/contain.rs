//! What makes a job take logins in and hold them: PrologFlags, ProctrackType, TaskPlugin.

use crate::slurm::keys::nearest;
use crate::slurm::place::Slurm;
use crate::slurm::release::Release;
use crate::{Check, Finding, Notes, Severity};

pub(super) const NO_EXTERN_STEP: Check = Check {
    id: "SA400",
    severity: Severity::Failure,
    title: "PrologFlags lacks Contain: jobs have no extern step",
    why: "Only a job's extern step adopts logins, and slurmd makes one only with PrologFlags=Contain (X11 and, \
          from 24.05 on, RunInJob imply it). Without it the module finds no job for anybody: every owner of a \
          job is refused. slurm.conf(5), PrologFlags; pam_slurm_adopt's page, \"Slurm Configuration\".",
    fix: "Add Contain to PrologFlags in slurm.conf, the same on all nodes and slurmctld, and restart the \
          daemons. Jobs that were started before still have no extern step.",
};

pub(super) const BAD_FLAGS: Check = Check {
    id: "SA401",
    severity: Severity::Failure,
    title: "PrologFlags has a value that Slurm refuses",
    why: "Slurm's daemons end with \"PrologFlags invalid\" on an unknown flag, on NoHold together with Contain, \
          X11 or RunInJob, and on X11 with proctrack/linuxproc. No job starts on the node, and SchedMD's module \
          ends the login's sshd process. slurm.conf(5), PrologFlags.",
    fix: "Write the flags without blanks between them, such as PrologFlags=Contain,DeferBatch.",
};

pub(super) const NOT_TRACKED: Check = Check {
    id: "SA402",
    severity: Severity::Failure,
    title: "ProctrackType is not proctrack/cgroup: jobs do not hold logins",
    why: "The other plugins follow children of slurmstepd, and a login is none: it is not ended with the job and \
          not accounted to it. This module takes that for a failure to adopt (action_adopt_failure); SchedMD's \
          lets the login in. proctrack/cgroup is the default. slurm.conf(5), ProctrackType and PrologFlags.",
    fix: "Set ProctrackType=proctrack/cgroup, or remove the line. Drain the node before slurmd is restarted.",
};

pub(super) const NO_TASK_CGROUP: Check = Check {
    id: "SA403",
    severity: Severity::Warning,
    title: "TaskPlugin lacks task/cgroup: no limit of the job binds",
    why: "A login is in its job and ends with it, but neither it nor the job's own tasks are kept to the job's \
          cores, memory and devices: cgroup.conf's Constrain lines have no effect. SchedMD's page on \
          pam_slurm_adopt asks for task/cgroup; cgroup.conf(5).",
    fix: "Set TaskPlugin=task/affinity,task/cgroup, and the Constrain lines in cgroup.conf.",
};

pub(super) const NO_DEFER_BATCH: Check = Check {
    id: "SA404",
    severity: Severity::Warning,
    title: "PrologFlags lacks DeferBatch: a job's other nodes may not be ready",
    why: "The batch script starts when the prolog of its own node is done. An ssh from there to another node of \
          the job can come before that node knows the job, and is refused; with a slow Prolog for long. From \
          22.05 on DeferBatch waits for all nodes. slurm.conf(5), PrologFlags.",
    fix: "Add DeferBatch to PrologFlags.",
};

pub(super) const RUN_IN_JOB: Check = Check {
    id: "SA405",
    severity: Severity::Note,
    title: "PrologFlags has RunInJob: logins get in before the Prolog is done",
    why: "The Prolog runs in the extern step, which therefore takes logins in while the Prolog still prepares the \
          node (scratch directories, GPU modes). From 24.05 on; slurm.conf(5), PrologFlags.",
    fix: "Nothing to do, if users can stand a node that is not quite ready.",
};

/// A flag, the first release with it, and whether it makes an extern step.
struct Flag {
    name: &'static str,
    since: Option<Release>,
    contains: bool,
}

const fn flag(name: &'static str, since: Option<Release>, contains: bool) -> Flag {
    Flag {
        name,
        since,
        contains,
    }
}

/// `prolog_str2flags` in `src/common/read_config.c`.
const FLAGS: [Flag; 8] = [
    flag("Alloc", None, false),
    flag("Contain", None, true),
    flag("NoHold", None, false),
    flag("Serial", None, false),
    flag("X11", None, true),
    flag("DeferBatch", Some(Release(2205)), false),
    flag("ForceRequeueOnFail", Some(Release(2302)), false),
    flag("RunInJob", Some(Release(2405)), true),
];

const KEY: &str = "PrologFlags";

pub(super) fn look(slurm: &Slurm<'_>, notes: &mut Notes) {
    flags(slurm, notes);
    tracking(slurm, notes);
    tasks(slurm, notes);
}

fn flags(slurm: &Slurm<'_>, notes: &mut Notes) {
    let value = slurm.conf.value(KEY).unwrap_or_default();
    // As strtok_r(3): blanks belong to a word, empty words do not count.
    let words: Vec<&str> = value.split(',').filter(|it| !it.is_empty()).collect();
    let mut known = Vec::new();
    for word in &words {
        let found = FLAGS.iter().find(|it| it.name.eq_ignore_ascii_case(word));
        match found {
            Some(flag) => known.push(flag),
            None => unknown_flag(slurm, word, notes),
        }
        let too_new = found.and_then(|it| it.since);
        if let Some(since) = too_new.filter(|it| slurm.is_from(*it) == Some(false)) {
            let detail = format!("Slurm knows {word} from {since} on");
            notes.find(Finding::of(&BAD_FLAGS, detail).at(slurm.at(KEY, word)));
        }
    }
    if known.len() < words.len() {
        // No slurmd starts with it: what it lacks besides does not matter yet.
        return;
    }
    let has = |name: &str| known.iter().any(|it| it.name == name);
    let contains = known.iter().any(|it| it.contains);
    if !contains {
        no_extern_step(slurm, value, notes);
        return;
    }
    if has("NoHold") {
        let detail = "NoHold cannot be combined with Contain, X11 or RunInJob";
        let word = written(&words, "NoHold");
        notes.find(Finding::of(&BAD_FLAGS, detail).at(slurm.at(KEY, word)));
    }
    if has("X11") && slurm.conf.value("ProctrackType") == Some("proctrack/linuxproc") {
        let detail = "X11 cannot be combined with proctrack/linuxproc";
        let word = written(&words, "X11");
        notes.find(Finding::of(&BAD_FLAGS, detail).at(slurm.at(KEY, word)));
    }
    notes.summary(format!("{KEY}={value}"));
    let prologs = slurm.conf.value("Prolog").is_some();
    if !has("DeferBatch") && slurm.is_from(Release(2205)) != Some(false) {
        no_defer_batch(slurm, prologs, notes);
    }
    if has("RunInJob") && prologs {
        let word = written(&words, "RunInJob");
        let detail = "the Prolog runs while the extern step takes logins in";
        notes.find(Finding::of(&RUN_IN_JOB, detail).at(slurm.at(KEY, word)));
    }
}

/// The flag as the admin wrote it.
fn written<'a>(words: &[&'a str], name: &str) -> &'a str {
    let mut found = words.iter().filter(|it| it.eq_ignore_ascii_case(name));
    found.next().copied().unwrap_or_default()
}

fn unknown_flag(slurm: &Slurm<'_>, word: &str, notes: &mut Notes) {
    let names = FLAGS.iter().map(|it| it.name);
    let parts = word.split(|sign: char| !sign.is_ascii_alphanumeric());
    let mut parts = parts.filter(|it| !it.is_empty());
    let like = match nearest(word.trim(), names) {
        Some(name) => format!("; did you mean {name}?"),
        None if word.contains([';', ':', '|', ' ', '+']) => {
            "; flags stand between commas".to_owned()
        }
        None => match parts.next() {
            Some(none) if none.eq_ignore_ascii_case("none") => "; leave the line out".to_owned(),
            _ => String::new(),
        },
    };
    let detail = format!("Slurm knows no flag \"{word}\"{like}");
    notes.find(Finding::of(&BAD_FLAGS, detail).at(slurm.at(KEY, word)));
}

fn no_extern_step(slurm: &Slurm<'_>, value: &str, notes: &mut Notes) {
    let found = match slurm.value(KEY) {
        Some((_, spot)) => {
            // NoHold cannot be combined with it.
            let kept = value
                .split(',')
                .filter(|it| !it.is_empty() && !it.eq_ignore_ascii_case("NoHold"));
            let flags: Vec<&str> = kept.chain(["Contain"]).collect();
            let fix = format!("Write PrologFlags={}.", flags.join(","));
            Finding::of(&NO_EXTERN_STEP, format!("PrologFlags is {value}"))
                .at(spot)
                .fix(fix)
        }
        None => Finding::of(&NO_EXTERN_STEP, "nothing sets PrologFlags").at(slurm.file()),
    };
    notes.find(found);
}

fn no_defer_batch(slurm: &Slurm<'_>, prologs: bool, notes: &mut Notes) {
    let spot = slurm.value(KEY).map_or(slurm.file(), |(_, spot)| spot);
    let (severity, detail) = match prologs {
        true => (
            Severity::Warning,
            "jobs start before the Prolog of their other nodes is done",
        ),
        // The gap is short.
        false => (Severity::Note, "no Prolog is set: the gap is short"),
    };
    let found = Finding::of(&NO_DEFER_BATCH, detail).at(spot);
    notes.find(found.as_severe_as(severity));
}

fn tracking(slurm: &Slurm<'_>, notes: &mut Notes) {
    const CGROUP: &str = "proctrack/cgroup";
    let Some((value, spot)) = slurm.value("ProctrackType").filter(|it| it.0 != CGROUP) else {
        return;
    };
    let others = ["linuxproc", "pgid", "cray_aries", "sgi_job", "lua", "pty"];
    let name = value.strip_prefix("proctrack/").unwrap_or(value);
    let detail = match others.contains(&name) {
        true => format!("jobs are tracked by {value}"),
        false => format!("slurmd finds no plugin of the name {value} and does not start"),
    };
    notes.find(Finding::of(&NOT_TRACKED, detail).at(spot));
}

fn tasks(slurm: &Slurm<'_>, notes: &mut Notes) {
    const KEY: &str = "TaskPlugin";
    if slurm.conf.uses_task_cgroup() {
        return;
    }
    let Some((value, spot)) = slurm.value(KEY) else {
        let found = Finding::of(&NO_TASK_CGROUP, "nothing sets TaskPlugin");
        return notes.find(found.at(slurm.file()));
    };
    let names = value
        .split(',')
        .map(|it| it.strip_prefix("task/").unwrap_or(it));
    let is_plugin = |name: &str| ["affinity", "cgroup", "cray_aries", "none"].contains(&name);
    let typo = names
        .filter(|it| !is_plugin(it))
        .find_map(|it| Some((it, nearest(it, ["cgroup"].into_iter())?)));
    let found = match typo {
        Some((name, meant)) => {
            let detail = format!(
                "slurmd finds no plugin task/{name} and does not start; did you mean task/{meant}?"
            );
            Finding::of(&NO_TASK_CGROUP, detail)
                .as_severe_as(Severity::Failure)
                .at(slurm.at(KEY, name))
        }
        None => Finding::of(&NO_TASK_CGROUP, format!("TaskPlugin is {value}")).at(spot),
    };
    notes.find(found);
}
