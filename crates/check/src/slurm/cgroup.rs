//! cgroup.conf: what keeps a job, and with it a login, to its cores, memory and devices.

use std::path::Path;

use proto::conf::{Included, Setting, settings};

use crate::host::Host;
use crate::host::slurm_conf::{SLURM_CONFS, is_yes};
use crate::host::tree::is_absent;
use crate::slurm::conf::{faulty, unknown_key};
use crate::slurm::keys;
use crate::slurm::node;
use crate::slurm::place::{Slurm, spot};
use crate::slurm::release::Release;
use crate::{Check, Finding, Notes, Severity, Spot};

pub(super) const MISSING: Check = Check {
    id: "SA420",
    severity: Severity::Warning,
    title: "there is no cgroup.conf beside slurm.conf",
    why: "All of its settings have their defaults: task/cgroup constrains neither cores nor memory nor devices, \
          and a login can use the whole node. Slurm looks for it only in the directory of the slurm.conf that it \
          reads; a configless slurmd gets it from slurmctld's directory. cgroup.conf(5).",
    fix: "Write one with ConstrainCores=yes, ConstrainDevices=yes, ConstrainRAMSpace=yes and \
          ConstrainSwapSpace=yes.",
};

pub(super) const BROKEN: Check = Check {
    id: "SA421",
    severity: Severity::Failure,
    title: "cgroup.conf cannot be read",
    why: "slurmd ends with \"Could not open/read/parse cgroup.conf\", and so does slurmstepd: no job starts on \
          the node. SchedMD's module of 21.08 to 25.11 ends the login's sshd process. 20.11 only logs a switch that \
          is neither yes nor no, and goes on without the line (then this is a warning).",
    fix: "Repair the line; cgroup.conf(5).",
};

pub(super) const UNKNOWN_KEY: Check = Check {
    id: "SA422",
    severity: Severity::Failure,
    title: "cgroup.conf has a key that Slurm does not know",
    why: "slurmd ends with \"Parsing error at unrecognized key\"; no job starts on the node. Old keys have been \
          taken out over time: TaskAffinity in 22.05, ConstrainKmemSpace and its like in 23.11, \
          CgroupReleaseAgentDir in 25.11 (and refused from 22.05 on).",
    fix: "Correct or remove the line; cgroup.conf(5) has the keys of the installed release.",
};

pub(super) const BAD_PLUGIN: Check = Check {
    id: "SA423",
    severity: Severity::Failure,
    title: "CgroupPlugin does not fit the host or its jobs",
    why: "slurmd does not start where the plugin is unknown, disabled while proctrack/cgroup or task/cgroup need \
          it, or not that of the cgroup version that the host has mounted. cgroup.conf(5), CgroupPlugin.",
    fix: "Remove the line: autodetect is the default.",
};

pub(super) const NO_DEVICES: Check = Check {
    id: "SA424",
    severity: Severity::Warning,
    title: "ConstrainDevices is off: each job and login can use all GPUs",
    why: "Jobs respect their GPUs only by CUDA_VISIBLE_DEVICES, which a login does not even have: whoever comes in by \
          ssh sees and can use every GPU of the node, also those of other users' jobs. cgroup.conf(5), \
          ConstrainDevices; gres.conf(5).",
    fix: "Set ConstrainDevices=yes in cgroup.conf and TaskPlugin=task/cgroup in slurm.conf, with the device files \
          in gres.conf (File= or AutoDetect=).",
};

pub(super) const LEFT_OUT: Check = Check {
    id: "SA425",
    severity: Severity::Warning,
    title: "cgroup.conf does not constrain cores or memory",
    why: "A login is in its job's cgroup, but that has no limit for what is not constrained: it can take the \
          cores or the memory of other jobs. All Constrain settings are off by default. cgroup.conf(5).",
    fix: "Set ConstrainCores=yes and ConstrainRAMSpace=yes.",
};

pub(super) const WITHOUT_EFFECT: Check = Check {
    id: "SA426",
    severity: Severity::Note,
    title: "cgroup.conf has a key without effect",
    why: "CgroupAutomount has no effect from 23.11 on and AllowedDevicesFile none in newer releases; slurmd only \
          logs that. A later release may refuse them.",
    fix: "Remove the line.",
};

pub(super) const SIGNALS_ALL: Check = Check {
    id: "SA427",
    severity: Severity::Note,
    title: "SignalChildrenProcesses: signals to a job reach logins too",
    why: "Each signal of scancel or sbatch --signal without B: goes to all processes of the job's cgroups, so to \
          shells of logins as well; at the job's end they get SIGTERM before SIGKILL. From 23.11 on; \
          cgroup.conf(5).",
    fix: "Nothing to do, if users know.",
};

pub(super) const LIMITED_TWICE: Check = Check {
    id: "SA428",
    severity: Severity::Failure,
    title: "memory is limited by task/cgroup and by OverMemoryKill",
    why: "slurmd ends with \"This enables two incompatible memory enforcement mechanisms\": no job starts on the node. \
          slurm.conf(5), JobAcctGatherParams.",
    fix: "Remove OverMemoryKill from JobAcctGatherParams.",
};

pub(super) const MEMORY_NOT_ALLOCATED: Check = Check {
    id: "SA429",
    severity: Severity::Note,
    title: "jobs are not allocated memory: their limit is the node's memory",
    why: "ConstrainRAMSpace and ConstrainSwapSpace limit a job to the memory that Slurm allocated to it. With \
          SelectTypeParameters without Memory that is all of the node's (MaxRAMPercent), and a login can take what \
          other jobs need. cgroup.conf(5), ConstrainRAMSpace.",
    fix: "Set SelectTypeParameters=CR_Core_Memory (or another one with Memory), and DefMemPerCPU.",
};

/// cgroup.conf, line by line.
struct CgroupConf {
    lines: Vec<Setting>,
    file: String,
}

impl CgroupConf {
    /// The line that sets a key, and whether it says yes.
    fn switch(&self, key: &str) -> Option<(&Setting, bool)> {
        let mut lines = self.lines.iter().rev();
        let line = lines.find(|it| it.key().eq_ignore_ascii_case(key))?;
        Some((line, is_yes(line.value(key)?)?))
    }

    fn is_on(&self, key: &str) -> bool {
        self.switch(key).is_some_and(|(_, it)| it)
    }

    /// The line that turns a key off; the file if none does.
    fn off(&self, host: &Host, key: &str) -> Spot {
        match self
            .lines
            .iter()
            .rev()
            .find(|it| it.key().eq_ignore_ascii_case(key))
        {
            Some(line) => spot(host, line, key, line.value(key).unwrap_or_default()),
            None => Spot::file(&self.file),
        }
    }
}

pub(super) fn look(slurm: &Slurm<'_>, notes: &mut Notes) {
    let path = slurm.beside("cgroup.conf");
    let file = path.to_string_lossy().into_owned();
    let bytes = match slurm.host.tree.read(&path) {
        Ok(bytes) => bytes,
        Err(error) if is_absent(&error) => return missing(slurm, &path, notes),
        Err(error) => return notes.unseen(file, error.to_string()),
    };
    let mut include = |name: &str, _: &str| {
        let path = slurm.beside(name);
        let bytes = slurm.host.tree.read(&path)?;
        let file = path.to_string_lossy().into_owned();
        Ok(Included { file, bytes })
    };
    let (lines, fault) = settings(&file, &bytes, &mut include);
    if let Some(fault) = fault {
        return notes.find(faulty(slurm.host, &fault, &BROKEN));
    }
    let conf = CgroupConf { lines, file };
    for line in conf.lines.iter().take(200) {
        keys(slurm, line, notes);
    }
    plugin(slurm, &conf, notes);
    if slurm.conf.uses_task_cgroup() {
        constraints(slurm, &conf, notes);
    }
    if let Some((line, true)) = conf.switch("SignalChildrenProcesses") {
        let spot = spot(slurm.host, line, "SignalChildrenProcesses", "");
        notes.find(Finding::of(&SIGNALS_ALL, "it is set").at(spot));
    }
}

fn missing(slurm: &Slurm<'_>, path: &Path, notes: &mut Notes) {
    if !slurm.conf.uses_task_cgroup() {
        return;
    }
    let dirs = SLURM_CONFS.iter().filter_map(|it| Path::new(it).parent());
    let mut elsewhere = dirs.map(|it| it.join("cgroup.conf"));
    let detail = match elsewhere.find(|it| slurm.host.tree.exists(it)) {
        Some(other) => format!("{} is not the one that Slurm reads", other.display()),
        None => "TaskPlugin has task/cgroup, and nothing tells it what to constrain".to_owned(),
    };
    notes.find(Finding::of(&MISSING, detail).at(Spot::file(path.to_string_lossy())));
}

/// Judges the key of a line and the form of its value.
fn keys(slurm: &Slurm<'_>, line: &Setting, notes: &mut Notes) {
    let key = line.key();
    let value = line.value(key).unwrap_or_default();
    if let Some(found) = unknown_key(slurm, line, keys::CGROUP_CONF, &UNKNOWN_KEY) {
        return notes.find(found);
    }
    let is = |names: &[&str]| names.iter().any(|it| it.eq_ignore_ascii_case(key));
    let switches = key.to_ascii_lowercase().starts_with("constrain")
        || is(&[
            "SignalChildrenProcesses",
            "IgnoreSystemd",
            "EnableControllers",
        ]);
    if switches && is_yes(value).is_none() {
        let (severity, so) = match slurm.is_from(Release(2108)) {
            Some(false) => (Severity::Warning, "slurmd goes on without the line"),
            _ => (Severity::Failure, "slurmd does not start"),
        };
        let detail = format!("{key} takes yes or no, not {value}: {so}");
        let spot = spot(slurm.host, line, key, value);
        let finding = Finding::of(&BROKEN, detail).at(spot);
        return notes.find(finding.as_severe_as(severity));
    }
    // TaskAffinity and CgroupReleaseAgentDir were refused before they were taken out.
    let refused = [
        ("CgroupReleaseAgentDir", Release(2205)),
        ("TaskAffinity", Release(2108)),
    ];
    let refused = refused.iter().find(|(name, _)| is(&[name]));
    if let Some((_, since)) = refused.filter(|it| slurm.is_from(it.1) == Some(true)) {
        if key.eq_ignore_ascii_case("TaskAffinity") && is_yes(value) != Some(true) {
            return;
        }
        let detail = format!("slurmd refuses {key} from {since} on");
        let spot = spot(slurm.host, line, key, "");
        return notes.find(Finding::of(&UNKNOWN_KEY, detail).at(spot));
    }
    let has_effect = slurm.is_from(Release(2311)) == Some(false);
    if !has_effect && is(&["CgroupAutomount", "AllowedDevicesFile"]) {
        let detail = format!("{key} is no longer used");
        let spot = spot(slurm.host, line, key, "");
        notes.find(Finding::of(&WITHOUT_EFFECT, detail).at(spot));
    }
}

fn plugin(slurm: &Slurm<'_>, conf: &CgroupConf, notes: &mut Notes) {
    const KEY: &str = "CgroupPlugin";
    let mut lines = conf.lines.iter().rev();
    let Some(line) = lines.find(|it| it.key().eq_ignore_ascii_case(KEY)) else {
        return;
    };
    let value = line.value(KEY).unwrap_or_default();
    // With v1 alone or both there is no such file.
    let unified = slurm.host.tree.exists("/sys/fs/cgroup/cgroup.controllers");
    let is_live = slurm.host.is_live();
    let detail = match value {
        "autodetect" => return,
        "disabled" => {
            "proctrack/cgroup cannot work without cgroups: slurmd does not start".to_owned()
        }
        "cgroup/v1" if is_live && unified => "this host has cgroup v2 only".to_owned(),
        "cgroup/v2" if is_live && !unified => "this host has cgroup v1 mounted".to_owned(),
        "cgroup/v1" | "cgroup/v2" => return,
        other => format!("there is no plugin {other}: use autodetect, cgroup/v1 or cgroup/v2"),
    };
    let spot = spot(slurm.host, line, KEY, value);
    notes.find(Finding::of(&BAD_PLUGIN, detail).at(spot));
}

fn constraints(slurm: &Slurm<'_>, conf: &CgroupConf, notes: &mut Notes) {
    let host = slurm.host;
    // Without ConstrainRAMSpace, ConstrainSwapSpace limits both.
    let memory = conf.is_on("ConstrainRAMSpace") || conf.is_on("ConstrainSwapSpace");
    let cores = conf.is_on("ConstrainCores");
    let devices = conf.is_on("ConstrainDevices");
    let gpus = node::has_gpus(slurm);
    if !devices && gpus {
        let detail = "jobs have GPUs (Gres=gpu), and ConstrainDevices is not yes";
        notes.find(Finding::of(&NO_DEVICES, detail).at(conf.off(host, "ConstrainDevices")));
    }
    let mut kills = slurm.list("JobAcctGatherParams").into_iter();
    if let Some(word) = kills.find(|it| memory && it.eq_ignore_ascii_case("OverMemoryKill")) {
        let spot = slurm.at("JobAcctGatherParams", word);
        notes.find(Finding::of(&LIMITED_TWICE, "slurmd does not start").at(spot));
    }
    if let Some((value, spot)) = slurm.value("SelectTypeParameters").filter(|_| memory) {
        if !value.to_ascii_lowercase().contains("memory") {
            let detail = format!("SelectTypeParameters is {value}");
            notes.find(Finding::of(&MEMORY_NOT_ALLOCATED, detail).at(spot));
        }
    }
    let (key, detail) = match (cores, memory) {
        (true, true) => return notes.summary("cores and memory constrained"),
        (false, false) => ("ConstrainCores", "neither cores nor memory are constrained"),
        (false, true) => ("ConstrainCores", "cores are not constrained"),
        (true, false) => ("ConstrainRAMSpace", "memory is not constrained"),
    };
    // A site may have left out one of them on purpose.
    let severity = if cores || memory {
        Severity::Note
    } else {
        Severity::Warning
    };
    let found = Finding::of(&LEFT_OUT, detail).at(conf.off(host, key));
    notes.find(found.as_severe_as(severity));
}
