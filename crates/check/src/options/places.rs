//! Options that name a file or node, and those of the session phase.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use adopt::options::{Limits, Options, RuntimeDir};
use pamconf::Facility;
use proto::hostlist;

use crate::host::fstab::is_mounted_later;
use crate::host::slurm_conf::{SLURM_CONFS, SlurmConf};
use crate::host::{Host, ModuleCall};
use crate::options::written::Written;
use crate::options::{Line, Settings, checks, written};
use crate::{Finding, Notes};

pub(super) fn look(host: &Host, settings: Settings<'_>, notes: &mut Notes) -> Vec<Finding> {
    let mut findings = Vec::new();
    findings.extend(slurm_conf(host, settings, notes));
    findings.extend(node_name(host, settings, notes));
    findings.extend(url(settings));
    findings
}

fn slurm_conf(host: &Host, settings: Settings<'_>, notes: &mut Notes) -> Option<Finding> {
    let path = Path::new(settings.options.slurm_conf.as_deref()?);
    let tree = &host.tree;
    let shown = path.display();
    let spot = settings.spot("slurm_conf");
    if !tree.exists(path) {
        let others = SLURM_CONFS.iter().find(|it| tree.exists(it));
        let is_late = is_mounted_later(tree, path) || !host.is_live() && others.is_none();
        if is_late {
            notes.unseen(shown.to_string(), "slurm.conf is not in the tree");
            return None;
        }
        let detail = match others {
            Some(other) => format!("there is no {shown}; {other} exists"),
            None => format!("there is no {shown}"),
        };
        return Some(Finding::of(&checks::NO_SUCH_CONF, detail).at(spot));
    }
    let slurmds = slurmds_conf(host, settings.options)?;
    let identity = |path: &Path| tree.status(path).ok().map(|it| (it.dev(), it.ino()));
    let is_same = identity(&slurmds) == identity(path)
        || tree.read(&slurmds).ok()? == tree.read(path).ok()?;
    let detail = format!("slurmd reads {}", slurmds.display());
    (!is_same).then(|| Finding::of(&checks::OTHER_CONF, detail).at(spot))
}

/// The slurm.conf of the only slurmd that runs here.
fn slurmds_conf(host: &Host, options: &Options) -> Option<std::path::PathBuf> {
    let slurmds = host
        .processes()
        .iter()
        .filter(|it| it.name.starts_with("slurmd"));
    let slurmds = slurmds.filter(|it| !it.name.starts_with("slurmdbd"));
    if slurmds.count() != 1 {
        // With several each needs a line of its own.
        return None;
    }
    let without = Options {
        slurm_conf: None,
        ..options.clone()
    };
    let found = adopt::survey::node(&without, &Silent);
    found.ok().map(|it| it.path)
}

struct Silent;

impl adopt::log::Sink for Silent {
    fn line(&self, _: adopt::log::Severity, _: &str) {}
}

fn node_name(host: &Host, settings: Settings<'_>, notes: &mut Notes) -> Option<Finding> {
    let name = settings.options.node_name.as_deref()?;
    let conf = match host.slurm_conf() {
        Ok(conf) => conf,
        Err(error) => {
            notes.unseen(format!("nodename={name}"), error.to_string());
            return None;
        }
    };
    if conf.fault.is_some() || conf.value("MaxNodeCount").is_some() || has_node(conf, name) {
        return None;
    }
    let detail = format!("{} has no NodeName {name}", conf.path.display());
    Some(Finding::of(&checks::NO_SUCH_NODE, detail).at(settings.spot("nodename")))
}

/// Whether a NodeName line has a node; yes if one of them cannot be read.
fn has_node(conf: &SlurmConf, name: &str) -> bool {
    let lines = conf.settings.iter();
    let mut lists = lines.filter_map(|it| {
        it.value("NodeName")
            .filter(|_| it.key().eq_ignore_ascii_case("NodeName"))
    });
    lists.any(|list| !matches!(hostlist::position(list, name), Ok(None)))
}

fn url(settings: Settings<'_>) -> Option<Finding> {
    let messages = &settings.options.messages;
    if !messages.url.is_empty() {
        return None;
    }
    let all = [
        ("message_no_jobs", &messages.no_jobs),
        ("message_unknown", &messages.unknown),
        ("message_adopt_failure", &messages.adopt_failure),
    ];
    let has_url = |text: &adopt::options::Template| text.to_string().contains("{url}");
    let mut with_url = all
        .iter()
        .filter(|(_, it)| it.as_ref().is_some_and(has_url));
    let (option, _) = with_url.next()?;
    let spot = settings.spot(option).mark_after('=', "{url}");
    Some(Finding::of(&checks::EMPTY_URL, format!("{option} has {{url}}")).at(spot))
}

/// An option of the session phase, and whether it is set to something that the phase does.
type PhaseOption = (&'static str, fn(&Options) -> bool);

const PHASE_OPTIONS: [PhaseOption; 3] = [
    ("limits", |it| it.limits == Limits::Job),
    ("runtime_dir", |it| it.runtime_dir == RuntimeDir::Create),
    ("banner", |it| it.banner),
];

/// The findings about options of the session phase that no session line carries out.
pub(super) fn of_session_phase(host: &Host, lines: &[Line<'_>], file: &[Written]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let acting = |facility: Facility| {
        let is_acting = move |it: &&Line<'_>| {
            it.own.facility == facility && it.own.options.acts_for(it.service)
        };
        lines.iter().filter(is_acting).collect::<Vec<_>>()
    };
    let (account, session) = (acting(Facility::Account), acting(Facility::Session));
    for (option, is_set) in PHASE_OPTIONS {
        let is_carried_out = session.iter().any(|it| is_set(&it.own.options));
        let mut asking = account.iter().filter(|it| is_set(&it.own.options));
        let Some(line) = asking.next().filter(|_| !is_carried_out) else {
            continue;
        };
        let Some(setting) = written::last(file, &line.arguments, option) else {
            continue;
        };
        let detail = match session.is_empty() {
            true => format!("{} has no session line of the module", line.service),
            false => "the session line does not have it".to_owned(),
        };
        findings.push(Finding::of(&checks::NO_SESSION_PHASE, detail).at(setting.spot.clone()));
    }
    let mut with_limits = session
        .iter()
        .filter(|it| it.own.options.limits == Limits::Job);
    if let Some(line) = with_limits.next() {
        findings.extend(limits_too_early(host, line, file));
    }
    findings
}

fn limits_too_early(host: &Host, line: &Line<'_>, file: &[Written]) -> Option<Finding> {
    let service = host.service(line.service);
    let later = service
        .stack(Facility::Session)
        .iter()
        .skip(line.own.entry + 1);
    let mut calls = later.filter_map(|it| ModuleCall::of(&service, it));
    let limits = calls.find(|it| it.name() == "pam_limits.so")?;
    let detail = format!("pam_limits stands at {}", limits.line.place);
    let setting = written::last(file, &line.arguments, "limits")?;
    Some(Finding::of(&checks::LIMITS_TOO_EARLY, detail).at(setting.spot.clone()))
}
