//! su, whose session leaves the job.

use check::Maker;
use check::host::ModuleCall;
use pamconf::{Facility, ReadOther};

use crate::plan::pam::service::Service;
use crate::plan::pam::{line, module, session};
use crate::plan::{Refusal, Work};

/// su, and su as a login shell, which may have a file of its own.
const NAMES: [&str; 2] = ["su", "su-l"];
const ARGUMENT: &[u8] = b"service=su,su-l";
const COMMENT: &str = "# Last of the session lines: su stays in the job.";

/// Plans the line of each file of su whose session is moved.
pub(super) fn plan(work: &mut Work<'_>) -> Result<(), Refusal> {
    for name in NAMES {
        let Some(service) = Service::of(work.host(), name) else {
            continue;
        };
        let is_readable = service.read.fatal().is_none();
        if !is_readable || service.tops(Facility::Session).is_empty() || !leaves(work, name) {
            continue;
        }
        if let Some(gap) = service.gap() {
            work.advise(
                format!("su's sessions leave the job: {gap}"),
                &["Then run slurm-adopt setup again."],
            );
            continue;
        }
        if module::verify(work.host(), line::MODULE)? != Maker::Own {
            return Ok(());
        }
        service.prepare(work)?;
        let text = line::new(
            Facility::Session,
            service.control(Facility::Session, 0),
            line::MODULE.as_bytes(),
            &[ARGUMENT.to_vec()],
        );
        let place = session::place(&service, &text, None);
        let why = "su opens a session of its own, which pam_systemd takes out of the job";
        let lines = work.draft.edit(&service.own, why)?;
        lines.insert(place.line, COMMENT.as_bytes());
        lines.insert(place.line, &text);
        service.verify(work)?;
    }
    Ok(())
}

/// Whether a session of the service is moved and not put back, by the files as they are to be.
fn leaves(work: &Work<'_>, name: &str) -> bool {
    let layout = work.host().layout();
    let mut read = |path: &std::path::Path| work.draft.bytes(path);
    let service = pamconf::Service::read(&layout, name, ReadOther::Always, &mut read);
    let stack = service.stack(Facility::Session).iter();
    let calls: Vec<Option<ModuleCall<'_>>> = stack.map(|it| ModuleCall::of(&service, it)).collect();
    let last = |is_it: &dyn Fn(&ModuleCall<'_>) -> bool| {
        calls.iter().rposition(|it| it.as_ref().is_some_and(is_it))
    };
    let mover = last(&|it| check::moves_session(&it.name()));
    let acts = |it: &ModuleCall<'_>| {
        let options = adopt::options::Options::parse(it.arguments).0;
        it.is_own() && options.acts_for(name)
    };
    mover.is_some() && last(&acts) < mover
}
