//! What the options come to: whom the module lets in, and what it does nothing about.

use adopt::options::{AdoptFailure, GenericFailure, LogLevel, Mode, NoJobs, Unknown};
use pamconf::{Code, Facility};

use crate::host::{Host, ModuleCall};
use crate::options::written::Written;
use crate::options::{Line, Settings, checks, written};
use crate::{Finding, Severity, Spot};

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

/// The findings about lines that do nothing for a service.
pub(super) fn of_service(
    host: &Host,
    service: &str,
    lines: &[Line<'_>],
    file: &[Written],
) -> Vec<Finding> {
    let mut findings = Vec::new();
    for facility in [Facility::Account, Facility::Session] {
        let own: Vec<&Line<'_>> = lines
            .iter()
            .filter(|it| it.own.facility == facility)
            .collect();
        let acts = own.iter().any(|it| it.own.options.acts_for(service));
        let Some(line) = own.first().filter(|_| !acts) else {
            continue;
        };
        let spot = match written::last(file, &line.arguments, "service") {
            Some(setting) => setting.spot.clone(),
            None => Spot::pam(&line.own.line).mark("pam_slurm_adopt"),
        };
        let detail = format!(
            "the {facility} line acts for \"{}\", not for {service}",
            line.own.options.service.escape_debug()
        );
        if service == "sshd" {
            let severity = match facility {
                Facility::Account => Severity::Failure,
                // The account line still decides who gets in.
                _ => Severity::Warning,
            };
            findings.push(
                Finding::of(&checks::OTHER_SERVICE, detail)
                    .at(spot)
                    .as_severe_as(severity),
            );
        } else if line.own.line.place.file.ends_with(service) && line.own.line.depth == 0 {
            findings.push(Finding::of(&checks::IDLE_LINE, detail).at(spot));
        }
    }
    for line in lines {
        findings.extend(of_unknown_services(host, line, file));
    }
    findings
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
    findings.extend(of_failures(settings));
    if options.unknown == Unknown::Allow {
        let spot = settings.spot("action_unknown");
        let detail = "action_unknown=allow admits without adoption";
        findings.push(Finding::of(&checks::OPEN_ON_UNKNOWN, detail).at(spot));
    }
    let is_account = settings.line.own.facility == Facility::Account;
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
