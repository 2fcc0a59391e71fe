//! Judges a trial login. Pure: no files, no processes.

use adopt::survey::Place;

use super::checks::{
    ALL_CPUS, ALL_GPUS, DENIED, GETS_IN, HIERARCHY, KEPT_OUT, LEFT, MEMLOCK, MORE_CPUS, MORE_GPUS,
    NO_MEMORY_LIMIT, NOT_ADOPTED, NOT_CHARGED, NOT_HELD, OTHER_NAMESPACE,
};
use super::probe::{Charge, Constraint, Expected, Inside, Probe};
use super::trial::Answer;
use crate::{Check, Finding, Severity};

/// What the room says.
#[derive(Debug, Default)]
pub(super) struct Verdict {
    pub summary: Vec<String>,
    pub findings: Vec<Finding>,
    /// What could not be looked at, and why.
    pub unseen: Vec<(String, String)>,
    /// Whether a job holds the login.
    pub is_held: bool,
}

/// What nobody can tell without a login in a job.
const HOLD: &str = "how a job holds its logins";

/// Judges a trial login.
pub(super) fn judge(probe: &Probe) -> Verdict {
    let mut verdict = Verdict::default();
    match (&probe.inside, refusal(probe)) {
        (_, Some((phase, answer))) => verdict.kept_out(probe, phase, answer),
        (Some(inside), None) => verdict.let_in(probe, inside),
        (None, None) => verdict.unseen(HOLD, "the trial login did not come to its end"),
    }
    if !probe.left.is_empty() {
        verdict.find(&LEFT, probe.left.join("; "));
    }
    verdict
}

/// The phase that does not let the user in.
fn refusal(probe: &Probe) -> Option<(&'static str, &Answer)> {
    if !probe.account.is_success {
        return Some(("account", &probe.account));
    }
    let session = probe.session.as_ref().filter(|it| !it.is_success);
    session.map(|it| ("session", it))
}

impl Verdict {
    fn find(&mut self, check: &'static Check, detail: impl Into<String>) {
        self.findings.push(Finding::of(check, detail));
    }

    /// Finds something that a setting of cgroup.conf is about.
    fn find_at(&mut self, check: &'static Check, detail: String, constraint: &Constraint) {
        let finding = Finding::of(check, detail);
        self.findings.push(match &constraint.spot {
            Some(spot) => finding.at(spot.clone()),
            None => finding,
        });
    }

    fn unseen(&mut self, what: &str, why: impl Into<String>) {
        self.unseen.push((what.to_owned(), why.into()));
    }

    fn kept_out(&mut self, probe: &Probe, phase: &str, answer: &Answer) {
        let Probe { user, .. } = probe;
        self.summary.push(format!("{user} is denied"));
        let read = match answer.texts.as_slice() {
            [] => String::new(),
            texts => format!("; {user} reads: {}", texts.join(" / ")),
        };
        let denied = format!("{phase} phase: {}{read}", answer.words);
        let expected = &probe.explanation;
        let why = match probe.expected {
            Expected::Adopted => {
                self.find(
                    &KEPT_OUT,
                    format!("{denied}; the module by itself: {expected}"),
                );
                "the login was denied"
            }
            // By its options, or because no slurmstepd answers.
            Expected::Denied if probe.has_job => {
                let detail = format!("{denied}; the module: {expected}");
                let finding = Finding::of(&KEPT_OUT, detail).as_severe_as(Severity::Warning);
                self.findings.push(finding);
                "the login was denied"
            }
            // By the module's options another module may deny.
            Expected::LetIn | Expected::Denied => {
                self.find(&DENIED, format!("{denied}; the module: {expected}"));
                "without a job of the user that takes logins no containment can be proved"
            }
        };
        self.unseen(HOLD, why);
    }

    fn let_in(&mut self, probe: &Probe, inside: &Inside) {
        let user = &probe.user;
        let place = match &inside.place {
            Place::Held { job, .. } => {
                self.summary.push(format!("job {job}, step extern"));
                return self.held(inside);
            }
            Place::OtherStep { job, step } => format!("in step {step} of job {job}"),
            Place::Outside(path) => format!("in cgroup {path}, in no job"),
        };
        self.summary.push(format!("{user} gets in, {place}"));
        let detail = format!(
            "{user} gets in and is {place}; the module: {}",
            probe.explanation
        );
        match probe.expected {
            Expected::Adopted => self.find(&NOT_HELD, detail),
            _ if probe.has_job => self.find(&NOT_HELD, detail),
            Expected::Denied => self.find(&GETS_IN, detail),
            Expected::LetIn => {
                self.find(&NOT_ADOPTED, detail);
                self.unseen(HOLD, "the login was not taken into a job");
            }
        }
    }

    fn held(&mut self, inside: &Inside) {
        self.is_held = true;
        if !inside.missing.is_empty() {
            let names = inside.missing.join(", ");
            self.find(&HIERARCHY, format!("not in the job's cgroup of: {names}"));
        }
        // A login out of the job's cgroup says nothing of the job's own CPUs and limit.
        let is_missing = |controller: &str| {
            let mut all = inside.missing.iter().flat_map(|it| it.split(','));
            all.any(|it| it == controller)
        };
        if !is_missing("cpuset") {
            self.cpus(inside);
        }
        if !is_missing("memory") {
            self.memory(inside);
        }
        self.gpus(inside);
        self.namespaces(inside);
        self.memlock(inside);
    }

    fn cpus(&mut self, inside: &Inside) {
        let (cpus, cores) = (&inside.cpus, &inside.slurm.cores);
        let Some(login) = &cpus.login else {
            self.unseen("the login's CPUs", "the kernel does not say");
            return;
        };
        let count = login.count();
        match &cpus.node {
            Some(node) => self
                .summary
                .push(format!("{count} of {}", plural(node.count(), "CPU"))),
            None => self.summary.push(plural(count, "CPU")),
        }
        let more = cpus.job.as_ref().map_or(0, |job| login.beyond(job));
        let has_all = cpus.node.as_ref().is_some_and(|it| it.beyond(login) == 0);
        if cores.is_on && more > 0 {
            self.find(
                &MORE_CPUS,
                format!("{more} of the login's {}", plural(count, "CPU")),
            );
        } else if !cores.is_on && has_all && count > 1 {
            let detail = format!("{}, ConstrainCores is not on", plural(count, "CPU"));
            self.find_at(&ALL_CPUS, detail, cores);
        }
    }

    fn memory(&mut self, inside: &Inside) {
        let (memory, ram) = (&inside.memory, &inside.slurm.ram);
        let Some(limit) = memory.limit else {
            let detail = match ram.is_on {
                true => {
                    "ConstrainRAMSpace is on, but the job has no limit: its memory is not allocated"
                }
                false => "ConstrainRAMSpace is not on",
            };
            self.summary.push("memory without limit".to_owned());
            return self.find_at(&NO_MEMORY_LIMIT, detail.to_owned(), ram);
        };
        self.summary.push(format!("memory {}", size(limit)));
        match &memory.charge {
            Charge::Counted => {}
            Charge::NotCounted => {
                let detail = format!("the limit is {}", size(limit));
                self.find(&NOT_CHARGED, detail);
            }
            Charge::Untried(why) => self.unseen("whether the memory limit counts a login", why),
        }
    }

    fn gpus(&mut self, inside: &Inside) {
        let all = inside.gpus.len();
        if all == 0 {
            return;
        }
        let open: Vec<&str> = inside
            .gpus
            .iter()
            .filter(|it| it.refused.is_none())
            .map(|it| it.path.as_str())
            .collect();
        let count = open.len();
        self.summary.push(format!("GPUs: {count} of {all} open"));
        // A site whose Slurm knows of no GPUs shares them.
        if !inside.slurm.has_gpus || count == 0 {
            return;
        }
        let devices = &inside.slurm.devices;
        match inside.allocated_gpus {
            Some(has) if count as u64 <= has => {}
            has if !devices.is_on => {
                let has = has.map_or_else(String::new, |it| format!("; the job has {it}"));
                let detail = format!("open: {}{has}", open.join(", "));
                self.find_at(&ALL_GPUS, detail, devices);
            }
            Some(has) => {
                let detail = format!("open: {}; the job has {has}", open.join(", "));
                self.find_at(&MORE_GPUS, detail, devices);
            }
            None if count == all && all > 1 => {
                let why = "all open, and scontrol does not say how many the job has";
                self.unseen("whether the GPUs are the job's", why);
            }
            None => {}
        }
    }

    fn namespaces(&mut self, inside: &Inside) {
        let private = inside.namespaces.iter().filter(|it| it.is_jobs_private);
        let (outside, within): (Vec<_>, Vec<_>) = private.partition(|it| it.is_login_in_nodes);
        if within.iter().any(|it| it.kind == "mount") {
            self.summary.push("/tmp private".to_owned());
        }
        if !outside.is_empty() {
            let kinds: Vec<&str> = outside.iter().map(|it| it.kind).collect();
            let detail = format!(
                "the login is in the node's namespaces: {}",
                kinds.join(", ")
            );
            self.find(&OTHER_NAMESPACE, detail);
        }
    }

    fn memlock(&mut self, inside: &Inside) {
        if let (Some(login), Some(job)) = (inside.memlock.login, inside.memlock.job) {
            if login < job {
                let detail = format!("memlock {}, the job's {}", limit(login), limit(job));
                self.find(&MEMLOCK, detail);
            }
        }
    }
}

fn plural(count: usize, word: &str) -> String {
    match count {
        1 => format!("1 {word}"),
        _ => format!("{count} {word}s"),
    }
}

fn limit(bytes: u64) -> String {
    match bytes {
        u64::MAX => "unlimited".to_owned(),
        _ => size(bytes),
    }
}

/// A size in words, as Slurm's suffixes.
pub(super) fn size(bytes: u64) -> String {
    const UNITS: [(u64, &str); 4] = [(40, "TB"), (30, "GB"), (20, "MB"), (10, "KB")];
    let unit = UNITS.iter().find(|(power, _)| bytes >> power > 0);
    match unit {
        None => format!("{bytes} bytes"),
        Some((power, name)) => {
            let tenths = (u128::from(bytes) * 10) >> power;
            match tenths % 10 {
                0 => format!("{} {name}", tenths / 10),
                tenth => format!("{}.{tenth} {name}", tenths / 10),
            }
        }
    }
}
