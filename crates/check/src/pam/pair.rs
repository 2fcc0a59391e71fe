//! Our lines compared with each other.

use adopt::options::Options;
use pamconf::{Facility, Item};

use crate::host::{Host, OwnLine};
use crate::pam::modules::{Fault, ModuleDirs};

/// Our lines of a facility that act for a service.
pub(super) fn acting(host: &Host, name: &str, facility: Facility) -> Vec<OwnLine> {
    let mut lines = host.own_lines(name);
    lines.retain(|it| it.facility == facility && it.options.acts_for(name));
    lines
}

/// Whether a session line could call the module of a service's account lines: SchedMD's has no function for that.
pub(super) fn has_session_phase(host: &Host, dirs: &ModuleDirs, name: &str) -> bool {
    let lacks_it = |line: &OwnLine| match &line.line.item {
        Item::Module { path, .. } => {
            let path = String::from_utf8_lossy(path);
            dirs.fault(&host.tree, &path, Facility::Session) == Some(Fault::NoFunction)
        }
        _ => false,
    };
    !acting(host, name, Facility::Account).iter().any(lacks_it)
}

/// A line and an earlier one for the same cluster. Lines for two clusters on one host are no doubles.
pub(super) fn doubles(lines: &[OwnLine]) -> Vec<(&OwnLine, &OwnLine)> {
    let mut doubles = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        let mut before = lines.iter().take(index);
        let first = before.find(|it| is_for_same_cluster(&it.options, &line.options));
        doubles.extend(first.map(|first| (first, line)));
    }
    doubles
}

/// The account line that goes with a session line.
pub(super) fn partner<'a>(accounts: &'a [OwnLine], session: &OwnLine) -> Option<&'a OwnLine> {
    let mut same = accounts.iter();
    let same = same.find(|it| is_for_same_cluster(&it.options, &session.options));
    same.or(accounts.first())
}

fn is_for_same_cluster(one: &Options, other: &Options) -> bool {
    one.slurm_conf == other.slurm_conf && one.node_name == other.node_name
}

/// The options that both phases use and that differ.
pub(super) fn differing(one: &Options, other: &Options) -> Vec<&'static str> {
    let equal = [
        ("action_no_jobs", one.no_jobs == other.no_jobs),
        ("action_unknown", one.unknown == other.unknown),
        (
            "action_adopt_failure",
            one.adopt_failure == other.adopt_failure,
        ),
        (
            "action_generic_failure",
            one.generic_failure == other.generic_failure,
        ),
        ("mode", one.mode == other.mode),
        ("exempt", one.exempt == other.exempt),
        ("kill_switch", one.kill_switch == other.kill_switch),
        ("slurm_conf", one.slurm_conf == other.slurm_conf),
        ("nodename", one.node_name == other.node_name),
        ("disable_x11", one.disable_x11 == other.disable_x11),
        ("join_container", one.join_container == other.join_container),
        ("timeout", one.timeout == other.timeout),
        (
            "single_job_skip_rpc",
            one.single_job_skip_rpc == other.single_job_skip_rpc,
        ),
        (
            "callerid_timeout",
            one.callerid_timeout == other.callerid_timeout,
        ),
        ("callerid_skip", one.callerid_skip == other.callerid_skip),
    ];
    let differing = equal.into_iter().filter(|(_, is_equal)| !is_equal);
    differing.map(|(name, _)| name).collect()
}
