//! The session line: the last of the session stack, so that nothing moves the login out of its job after it.

use check::Maker;
use check::host::{ModuleCall, OwnLine};
use pamconf::{Bypass, Facility, Ways};

use crate::plan::pam::account::Caller;
use crate::plan::pam::edit::Edit;
use crate::plan::pam::line;
use crate::plan::pam::service::{Service, extent};
use crate::plan::{Refusal, Work};

const COMMENT: &str = "# Last of the session lines: logins stay in their job.";

/// Checks that a line in the best place passes.
const MISPLACED: [&str; 2] = ["SA253", "SA254"];
/// Checks whose lines are the admin's own.
const LEFT: [&str; 3] = ["SA256", "SA257", "SA258"];

/// Plans the session line.
pub(super) fn plan(
    work: &mut Work<'_>,
    service: &Service<'_>,
    caller: &Caller,
) -> Result<(), Refusal> {
    let own = service.acting(Facility::Session);
    match own.last() {
        Some(last) => keep(work, service, last),
        None => add(work, service, caller),
    }
}

fn add(work: &mut Work<'_>, service: &Service<'_>, caller: &Caller) -> Result<(), Refusal> {
    if caller.maker != Maker::Own {
        let title = format!(
            "{} is not this project's and has no session phase: no session line is added",
            String::from_utf8_lossy(&caller.module)
        );
        work.advise(
            title,
            &["Install slurm-adopt in its place, then run setup again."],
        );
        return Ok(());
    }
    service.prepare(work)?;
    if let Some(idle) = service.idle(Facility::Session).last() {
        let mut edit = Edit::of(service, idle);
        let place = place(service, &edit.text, Some(idle));
        edit.revive(place.line);
        return edit.write(work);
    }
    let control = service.control(Facility::Session, 0);
    let text = line::new(
        Facility::Session,
        control,
        &caller.module,
        &caller.arguments,
    );
    let place = place(service, &text, None);
    if let Some(by) = &place.passed_by {
        advise(work, by);
    }
    let why = "the session line keeps logins in their job, with every authentication method";
    let lines = work.draft.edit(&service.own, why)?;
    lines.insert(place.line, COMMENT.as_bytes());
    lines.insert(place.line, &text);
    Ok(())
}

/// Keeps a line that is there, with its options.
fn keep(work: &mut Work<'_>, service: &Service<'_>, own: &OwnLine) -> Result<(), Refusal> {
    let mut edit = Edit::of(service, own);
    if edit.is_unbound("SA255") {
        edit.bind();
    }
    let place = place(service, &edit.text, Some(own));
    let can_move = edit.can_move(place.line);
    match edit.misplaced(&MISPLACED) {
        // What leads past the end as well leaves the line where it is.
        Some(finding) if finding.check.id == "SA254" && place.passed_by.is_some() => {
            work.leave(finding);
        }
        Some(_) if can_move => edit.move_to(place.line),
        Some(finding) => work.leave(finding),
        None if edit.is_unjudged(place.line) => edit.move_to(place.line),
        None => {}
    }
    edit.write(work)?;
    for id in LEFT {
        if let Some(finding) = service.finding(id) {
            work.leave(finding);
        }
    }
    Ok(())
}

fn advise(work: &mut Work<'_>, by: &str) {
    let title = format!("{by} may lead past the session line");
    work.advise(
        title,
        &[
            "Change \"sufficient\" there to \"required\", and take \"done\" and jumps out: keyboard-interactive logins \
             count as not adopted as long as a way past the line exists.",
        ],
    );
}

/// A place for the line.
pub(super) struct Place {
    /// The number of the line before which it comes.
    pub line: usize,
    /// FILE:LINE of what may lead past it there.
    pub passed_by: Option<String>,
}

/// The end of the session stack. If a line leads past that, the place before it, unless the session is moved after it.
pub(super) fn place(service: &Service<'_>, text: &[u8], old: Option<&OwnLine>) -> Place {
    let lines = service.text();
    let tops = service.tops(Facility::Session);
    let last = tops.last().map_or(lines.count(), |it| it.place.line);
    let end = extent(&lines, last).end;
    let Some(by) = passed_by(service, end, text, old) else {
        return Place {
            line: end,
            passed_by: None,
        };
    };
    let earlier = by.top;
    let is_good = !by.has_movers && passed_by(service, earlier, text, old).is_none();
    match is_good {
        true => Place {
            line: earlier,
            passed_by: None,
        },
        false => Place {
            line: end,
            passed_by: Some(by.place),
        },
    }
}

/// An entry that leads past the line.
struct By {
    /// FILE:LINE of it.
    place: String,
    /// The line of the service's own file that brings it.
    top: usize,
    /// Whether a module at or after it moves the session.
    has_movers: bool,
}

/// What leads past the line if it is put there.
fn passed_by(service: &Service<'_>, line: usize, text: &[u8], old: Option<&OwnLine>) -> Option<By> {
    let read = service.with_line(line, text, old);
    let stack = read.stack(Facility::Session);
    let calls: Vec<Option<ModuleCall<'_>>> =
        stack.iter().map(|it| ModuleCall::of(&read, it)).collect();
    let is_own = |it: &Option<ModuleCall<'_>>| it.is_some_and(|it| it.is_own());
    let own = calls.iter().rposition(is_own)?;
    let unknown = |_| None;
    let Some(Bypass::By(entry)) = Ways::new(stack, &unknown).bypass(&[own]) else {
        return None;
    };
    let index = stack.get(entry)?.line;
    let before = read.lines().get(..=index).unwrap_or_default();
    let top = before.iter().rfind(|it| it.depth == 0)?;
    let is_after = |(at, _): &(usize, &pamconf::Handler)| {
        let index = stack.get(*at).map_or(0, |it| it.line);
        let place = read.lines().iter().position(|it| it == top);
        place.is_some_and(|it| it <= index)
    };
    let mut after = stack.iter().enumerate().filter(is_after);
    let has_movers = after.any(|(at, _)| {
        let call = calls.get(at).copied().flatten();
        call.is_some_and(|it| check::moves_session(&it.name()))
    });
    // The new line stands before the lines that it pushes down.
    let shift = usize::from(top.place.line > line);
    Some(By {
        place: read.lines().get(index)?.place.to_string(),
        top: top.place.line - shift,
        has_movers,
    })
}
