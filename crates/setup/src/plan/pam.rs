//! The PAM stacks of ssh logins: the account line and the session line in sshd's own file.
//!
//! Neither authselect nor pam-auth-update writes that file, so that both lines outlive them.

mod account;
mod authselect;
mod edit;
mod line;
mod module;
mod proof;
mod service;
mod session;
mod su;

use std::path::Path;

use check::host::ModuleCall;
use pamconf::{Facility, ReadOther};

use crate::plan::pam::service::Service;
use crate::plan::{PamRefusal, Refusal, Work, options};

/// Plans the lines and the options.
pub(super) fn plan(work: &mut Work<'_>) -> Result<(), Refusal> {
    let host = work.host();
    let mut services: Vec<Service<'_>> = Vec::new();
    for name in host.ssh_services() {
        let Some(service) = Service::open(work, &name)? else {
            continue;
        };
        match services.iter_mut().find(|it| it.real() == service.real()) {
            Some(same) => same.names.push(name),
            None => services.push(service),
        }
    }
    if services.is_empty() {
        let names = host.ssh_services().join(", ");
        return Err(PamRefusal::NoService(names).into());
    }
    let lines = services.iter().flat_map(|it| it.acting(Facility::Account));
    options::plan(work, &lines.collect::<Vec<_>>())?;
    for service in &services {
        let caller = account::plan(work, service)?;
        if work.wish.session != Some(false) {
            session::plan(work, service, &caller)?;
        }
        service.verify(work)?;
        leave(work, service);
    }
    if work.wish.session != Some(false) {
        su::plan(work)?;
    }
    authselect::tell(work);
    proof::look(work)
}

/// Tells faults of other lines, which keep everybody out or show that root is kept out.
fn leave(work: &mut Work<'_>, service: &Service<'_>) {
    const IDS: [&str; 6] = ["SA201", "SA202", "SA203", "SA205", "SA206", "SA235"];
    for finding in service
        .findings
        .iter()
        .filter(|it| IDS.contains(&it.check.id))
    {
        let text = finding.spot.as_ref().and_then(|it| it.text.as_deref());
        let is_ours = text.is_some_and(|it| it.contains(line::MODULE));
        if !is_ours || finding.check.id == "SA206" {
            work.leave(finding);
        }
    }
}

/// Whether a stack of a service calls the module, by the files as they are to be.
pub(super) fn has_line(work: &Work<'_>, name: &str, facility: Facility) -> bool {
    let layout = work.host().layout();
    let mut read = |path: &Path| work.draft.bytes(path);
    let service = pamconf::Service::read(&layout, name, ReadOther::Always, &mut read);
    let mut stack = service.stack(facility).iter();
    stack.any(|it| ModuleCall::of(&service, it).is_some_and(|it| it.is_own()))
}
