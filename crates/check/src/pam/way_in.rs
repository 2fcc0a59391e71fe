//! Root's way in by ssh: whether the PAM stacks of sshd can let root in at all.

use pamconf::{Code, Facility, Walk};

use crate::host::Host;
use crate::pam::modules::ModuleDirs;
use crate::pam::person::Person;
use crate::pam::stack::Stack;

/// Looks for what keeps root out, whatever the modules answer that nothing is known of. None if root may get in.
#[must_use]
pub fn shut_for_root(host: &Host) -> Option<String> {
    let dirs = ModuleDirs::of(host);
    let services = host.ssh_services();
    services
        .iter()
        .find_map(|name| of_service(host, &dirs, name))
}

fn of_service(host: &Host, dirs: &ModuleDirs, name: &str) -> Option<String> {
    let read = host.service(name);
    if let Some(problem) = read.fatal() {
        let place = problem.place.as_ref().map(|it| format!("{it}: "));
        let place = place.unwrap_or_default();
        return Some(format!(
            "libpam gives up on {name}: {place}{}",
            problem.kind
        ));
    }
    let facilities = [Facility::Account, Facility::Session].into_iter();
    let mut stacks = facilities.map(|it| Stack::of(host, dirs, name, it));
    let shut = stacks.find(|it| !it.is_partly_hidden() && !it.can_succeed(Person::Root))?;
    let walk = Walk::of(shut.handlers(), |entry, _| {
        shut.known(entry, Person::Root).unwrap_or(Code::SUCCESS)
    });
    let place = match walk.decided_by().map(|it| shut.place(it)) {
        Some(place) if !place.is_empty() => format!(", at {place}"),
        _ => String::new(),
    };
    let (facility, code) = (shut.facility, walk.code);
    Some(format!(
        "the {facility} stack of {name} ends in {code} for root{place}"
    ))
}
