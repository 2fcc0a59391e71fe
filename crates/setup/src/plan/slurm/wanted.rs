//! The settings that jobs need to take logins in and hold them: those whose lack check finds.

use std::fmt;

use check::host::Host;
use check::host::slurm_conf::{SlurmConf, is_yes};
use check::{Finding, Severity};
use proto::conf;

/// A setting as it is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Setting {
    pub key: &'static str,
    pub value: String,
    pub why: &'static str,
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.key, self.value)
    }
}

/// All that is to be set.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    /// In slurm.conf.
    pub slurm: Vec<Setting>,
    /// In cgroup.conf.
    pub cgroup: Vec<Setting>,
    /// Faults that only the admin can correct.
    pub left: Vec<Finding>,
    /// The installed release, such as 2605; None: unknown.
    pub release: Option<u16>,
}

/// Lines of a slurm.conf that takes logins in.
pub(super) const USUAL: [&str; 3] = [
    "PrologFlags=Contain,DeferBatch   # before Slurm 22.05 Contain alone",
    "ProctrackType=proctrack/cgroup",
    "TaskPlugin=task/affinity,task/cgroup",
];
/// Switches of cgroup.conf, all off by default.
pub(super) const CONSTRAINTS: [&str; 4] = [
    "ConstrainCores",
    "ConstrainDevices",
    "ConstrainRAMSpace",
    "ConstrainSwapSpace",
];
/// Faults with which Slurm does not start.
const LEFT: [&str; 5] = ["SA411", "SA415", "SA421", "SA422", "SA423"];
/// The first release with DeferBatch.
const DEFER_BATCH: u16 = 2205;
const CGROUP: &str = "task/cgroup";

impl Wanted {
    pub fn of(host: &Host, conf: &SlurmConf) -> Self {
        let findings = check::findings(host, &["slurm.conf"]);
        let found = |id: &str| findings.iter().find(|it| it.check.id == id);
        let facts = check::slurm_facts(host);
        let mut wanted = Self {
            release: facts.and_then(|it| it.release),
            ..Self::default()
        };
        if let Some(refused) = found("SA401") {
            wanted.left.push(refused.clone());
        } else {
            let is_late = found("SA404").is_some_and(|it| it.severity >= Severity::Warning);
            wanted.slurm.extend(flags(
                conf,
                wanted.release,
                found("SA400").is_some(),
                is_late,
            ));
        }
        if found("SA402").is_some() {
            wanted.slurm.push(Setting {
                key: "ProctrackType",
                value: "proctrack/cgroup".to_owned(),
                why: "only proctrack/cgroup holds logins in their job",
            });
        }
        if found("SA403").is_some() {
            wanted.slurm.push(tasks(conf));
        }
        wanted.cgroup = constraints(host, conf, facts.is_some_and(|it| it.has_gpus));
        for id in LEFT {
            wanted.left.extend(found(id).cloned());
        }
        // What is turned off stays off.
        if wanted.cgroup.is_empty() {
            let off = ["SA424", "SA425"].into_iter().filter_map(found);
            let off = off.filter(|it| it.severity >= Severity::Warning);
            wanted.left.extend(off.cloned());
        }
        wanted
    }

    /// Whether a key of slurm.conf is to be set.
    pub fn changes(&self, key: &str) -> bool {
        self.slurm.iter().any(|it| it.key == key)
    }
}

/// PrologFlags: those that are there, without NoHold, which Slurm refuses beside Contain.
fn flags(conf: &SlurmConf, release: Option<u16>, lacks: bool, is_late: bool) -> Option<Setting> {
    const KEY: &str = "PrologFlags";
    if !lacks && !is_late {
        return None;
    }
    let old = conf.value(KEY).unwrap_or_default();
    let is = |word: &str, name: &str| word.eq_ignore_ascii_case(name);
    let kept = old
        .split(',')
        .filter(|it| !it.is_empty())
        .filter(|it| !lacks || !is(it, "NoHold"));
    let mut words: Vec<&str> = kept.collect();
    if lacks {
        words.push("Contain");
    }
    let has_defer_batch = words.iter().any(|it| is(it, "DeferBatch"));
    if !has_defer_batch && (is_late || release.is_some_and(|it| it >= DEFER_BATCH)) {
        words.push("DeferBatch");
    }
    Some(Setting {
        key: KEY,
        value: words.join(","),
        why: match lacks {
            true => "without Contain jobs have no extern step, which takes logins in",
            false => "without DeferBatch a job starts before its other nodes are ready for logins",
        },
    })
}

/// TaskPlugin: what is there, with task/cgroup in the place of none and of misspelt names of it.
fn tasks(conf: &SlurmConf) -> Setting {
    const KEY: &str = "TaskPlugin";
    let old = conf.value(KEY).unwrap_or("task/affinity");
    let is_kept = |word: &&str| {
        let name = word.strip_prefix("task/").unwrap_or(word);
        !name.is_empty() && !name.eq_ignore_ascii_case("none") && !name.contains("group")
    };
    let mut words: Vec<&str> = old.split(',').filter(is_kept).collect();
    words.push(CGROUP);
    Setting {
        key: KEY,
        value: words.join(","),
        why: "without task/cgroup no limit of the job binds a login",
    }
}

/// Switches of cgroup.conf: all if there is no such file; those of cores and memory if neither is constrained, that of
/// devices if jobs have GPUs. What the admin has turned off stays off.
fn constraints(host: &Host, conf: &SlurmConf, has_gpus: bool) -> Vec<Setting> {
    let file = conf.path.with_file_name("cgroup.conf");
    let setting = |key| Setting {
        key,
        value: "yes".to_owned(),
        why: "what cgroup.conf does not constrain, a login can use of the whole node",
    };
    let Ok(bytes) = host.tree.read(&file) else {
        return CONSTRAINTS.map(setting).into();
    };
    let mut include = |name: &str, _: &str| {
        let file = file.with_file_name(name);
        Ok(conf::Included {
            bytes: host.tree.read(&file)?,
            file: file.to_string_lossy().into_owned(),
        })
    };
    let (lines, fault) = conf::settings(&file.to_string_lossy(), &bytes, &mut include);
    let value = |key: &str| {
        lines
            .iter()
            .rev()
            .find_map(|it| it.value(key))
            .and_then(is_yes)
    };
    let is_on = |key: &str| value(key) == Some(true);
    let is_set = |key: &str| lines.iter().any(|it| it.value(key).is_some());
    let memory = is_on("ConstrainRAMSpace") || is_on("ConstrainSwapSpace");
    let lacks_both = !memory && !is_on("ConstrainCores");
    let lacks = |key: &str| match key {
        "ConstrainDevices" => has_gpus,
        _ => lacks_both,
    };
    let lacking = CONSTRAINTS
        .into_iter()
        .filter(|key| fault.is_none() && lacks(key) && !is_set(key));
    lacking.map(setting).collect()
}
