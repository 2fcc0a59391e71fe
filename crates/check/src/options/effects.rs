//! What the options come to: whom the module lets in, and what it does nothing about.

use adopt::options::{AdoptFailure, GenericFailure, LogLevel, Mode, NoJobs, Unknown};
use pamconf::{Code, Facility};

use crate::Finding;
use crate::host::{Host, ModuleCall};
use crate::options::written::Written;
use crate::options::{Line, Settings, checks, written};

/// Modules of an account stack that decide who may log in.
const DECIDERS: [&str; 8] = [
    "pam_access.so",
    "pam_listfile.so",
    "pam_succeed_if.so",
    "pam_deny.so",
    "pam_time.so",
    "pam_exec.so",
    "pam_python.so",
    "pam_wheel.so",
];

/// The findings about names in `service=`.
pub(super) fn of_service(host: &Host, lines: &[Line<'_>], file: &[Written]) -> Vec<Finding> {
    let of = |line| of_unknown_services(host, line, file);
    lines.iter().filter_map(of).collect()
}

/// The finding about names in `service=` that are no service of this host.
fn of_unknown_services(host: &Host, line: &Line<'_>, file: &[Written]) -> Option<Finding> {
    let setting = written::last(file, &line.arguments, "service")?;
    let dirs = host.layout().dirs;
    let is_plain = |it: &str| {
        let is_sign =
            |it: char| it.is_ascii_lowercase() || it.is_ascii_digit() || "-_.+@".contains(it);
        !it.is_empty() && it.chars().all(is_sign)
    };
    let names = setting.value().split(',').filter(|it| is_plain(it));
    let mut missing = names.filter(|it| !dirs.iter().any(|dir| host.tree.exists(dir.join(it))));
    let first = missing.next()?;
    let detail = format!("there is no /etc/pam.d/{first}");
    Some(Finding::of(&checks::NO_SUCH_SERVICE, detail).at(setting.spot.clone()))
}

/// The findings about whom a line lets in.
pub(super) fn of_actions(host: &Host, settings: Settings<'_>) -> Vec<Finding> {
    let options = settings.options;
    let mut findings = Vec::new();
    if options.ignore_root != adopt::options::Options::default().ignore_root {
        let detail = "root always passes";
        findings.push(Finding::of(&checks::IGNORE_ROOT, detail).at(settings.spot("ignore_root")));
    }
    if options.log_level <= LogLevel::Fatal {
        let detail = "neither denials nor faults are logged";
        findings.push(Finding::of(&checks::SILENT, detail).at(settings.spot("log_level")));
    }
    if options.mode != Mode::Enforce {
        let detail = match options.mode {
            Mode::AdoptOnly => "users with a job are adopted; everyone gets in",
            _ => "everyone gets in, and nobody is adopted",
        };
        findings.push(Finding::of(&checks::NOT_ENFORCED, detail).at(settings.spot("mode")));
        // Then nothing else lets anybody in.
        return findings;
    }
    // Where no account line of ours lets users in, a session line that fails leaves them where they are: su in its
    // job, a login where another module admitted it.
    let is_account = settings.line.own.facility == Facility::Account;
    if is_account
        || host
            .ssh_services()
            .iter()
            .any(|it| it == settings.line.service)
    {
        findings.extend(of_failures(settings));
    }
    if options.unknown == Unknown::Allow {
        let spot = settings.spot("action_unknown");
        let detail = "action_unknown=allow admits without adoption";
        findings.push(Finding::of(&checks::OPEN_ON_UNKNOWN, detail).at(spot));
    }
    if options.no_jobs == NoJobs::Ignore && is_account && is_open(host, settings.line.service) {
        let spot = settings.spot("action_no_jobs");
        let detail = "no other account line decides who may log in";
        findings.push(Finding::of(&checks::OPEN_WITHOUT_JOBS, detail).at(spot));
    }
    findings
}

fn of_failures(settings: Settings<'_>) -> Vec<Finding> {
    let how = |option: &str| match settings.is_set(option) {
        true => "",
        false => " by default",
    };
    let mut findings = Vec::new();
    if settings.options.adopt_failure == AdoptFailure::Allow {
        let option = "action_adopt_failure";
        let detail = format!("{option} is allow{}", how(option));
        let spot = settings.spot(option);
        findings.push(Finding::of(&checks::OPEN_ON_ADOPT_FAILURE, detail).at(spot));
    }
    let value = match settings.options.generic_failure {
        GenericFailure::Deny => return findings,
        GenericFailure::Ignore => "ignore",
        GenericFailure::Allow => "allow",
    };
    let option = "action_generic_failure";
    let detail = format!("{option} is {value}{}", how(option));
    let spot = settings.spot(option);
    findings.push(Finding::of(&checks::OPEN_ON_GENERIC_FAILURE, detail).at(spot));
    findings
}

/// Whether the account stack admits a user about whom the module says nothing, if every module that decides who
/// may log in refuses them.
fn is_open(host: &Host, service: &str) -> bool {
    let service = host.service(service);
    let walk = service.walk(Facility::Account, |_, handler| {
        let Some(call) = ModuleCall::of(&service, handler) else {
            return Code::PERM_DENIED;
        };
        let name = call.name();
        if call.is_own() {
            Code::IGNORE
        } else if DECIDERS.contains(&name.as_str()) {
            Code::PERM_DENIED
        } else {
            Code::SUCCESS
        }
    });
    walk.code == Code::SUCCESS
}
