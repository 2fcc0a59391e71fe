//! The PAM stacks of ssh logins: the account line and the session line in sshd's own file.
//!
//! Neither authselect nor pam-auth-update writes that file, so that both lines outlive them.

mod account;
mod edit;
mod line;
mod module;
mod service;
mod session;
mod su;

use std::path::Path;

use check::host::ModuleCall;
use pamconf::{Facility, ReadOther};

use crate::plan::pam::service::Service;
use crate::plan::{Work, options};

/// Plans the lines and the options.
pub(super) fn plan(work: &mut Work<'_>) -> Result<(), String> {
    let host = work.host();
    let names = host.ssh_services();
    let mut services = Vec::new();
    for name in &names {
        services.extend(Service::open(work, name)?);
    }
    if services.is_empty() {
        return Err("no PAM service of sshd has a file of its own".to_owned());
    }
    let is_new = |it: &Service| it.acting(Facility::Account).is_empty();
    options::plan(work, &names, services.iter().all(is_new))?;
    for service in &services {
        let caller = account::plan(work, service)?;
        if work.wish.session != Some(false) {
            session::plan(work, service, &caller)?;
        }
        service.verify(work)?;
    }
    if work.wish.session != Some(false) {
        su::plan(work)?;
    }
    Ok(())
}

/// Whether a stack of a service calls the module, by the files as they are to be.
pub(super) fn has_line(work: &Work<'_>, name: &str, facility: Facility) -> bool {
    let layout = work.host().layout();
    let mut read = |path: &Path| work.draft.bytes(path);
    let service = pamconf::Service::read(&layout, name, ReadOther::Always, &mut read);
    let mut stack = service.stack(facility).iter();
    stack.any(|it| ModuleCall::of(&service, it).is_some_and(|it| it.is_own()))
}
