//! The account line: it decides about everyone, so nothing may lead past it.

use check::host::OwnLine;
use check::{Maker, Spot};
use pamconf::{Action, Code, Facility, Handler, Item, Line};

use crate::plan::pam::edit::Edit;
use crate::plan::pam::service::{Service, call, extent};
use crate::plan::pam::{line, module};
use crate::plan::{FileRefusal, PamRefusal, Refusal, Work};

/// The call of the module in the account stack as it is to be, which the session line repeats.
pub(super) struct Caller {
    pub module: Vec<u8>,
    pub arguments: Vec<Vec<u8>>,
    pub maker: Maker,
}

/// Modules that only keep users out: what comes before ours may as well be asked first.
const GATES: [&str; 11] = [
    "pam_nologin.so",
    "pam_access.so",
    "pam_sepermit.so",
    "pam_time.so",
    "pam_listfile.so",
    "pam_faillock.so",
    "pam_tally.so",
    "pam_tally2.so",
    "pam_shells.so",
    "pam_succeed_if.so",
    "pam_securetty.so",
];

const COMMENT: &str = "# Users get in only while they have a job here.";

/// Plans the account line.
pub(super) fn plan(work: &mut Work<'_>, service: &Service<'_>) -> Result<Caller, Refusal> {
    let own = service.acting(Facility::Account);
    match own.first() {
        Some(first) => keep(work, service, first),
        None => add(work, service),
    }
}

/// Adds a line, or makes one act that `service=` keeps from it.
fn add(work: &mut Work<'_>, service: &Service<'_>) -> Result<Caller, Refusal> {
    let idle = service.idle(Facility::Account);
    let idle = idle.first();
    let stray = service.stray("SA221");
    let (module, mut arguments) = match (idle, stray) {
        (Some(idle), _) => call(&idle.line),
        (None, Some(stray)) => (line::MODULE.into(), meant(stray)),
        (None, None) => (line::MODULE.into(), Vec::new()),
    };
    if let Some(stray) = stray {
        let text = stray.text.as_deref().unwrap_or_default();
        let name = &service.name;
        let title = format!("{} has a line that {name} does not read", stray.file);
        work.advise(title, &[&format!("Remove \"{}\".", text.trim())]);
    }
    match idle {
        Some(idle) => {
            let services = service.services(&idle.options.service);
            arguments.retain(|it| !it.starts_with(b"service="));
            arguments.push(format!("service={services}").into_bytes());
        }
        None => service.include(&mut arguments),
    }
    let maker = module::verify(work.host(), &String::from_utf8_lossy(&module))?;
    if maker != Maker::Own {
        let name = String::from_utf8_lossy(&module).into_owned();
        return Err(PamRefusal::OtherModule(name).into());
    }
    service.prepare(work)?;
    match idle {
        Some(idle) => {
            let mut edit = Edit::of(service, idle);
            edit.revive(place(service));
            edit.write(work)?;
        }
        None => {
            let control = service.control(Facility::Account, 0);
            let text = line::new(Facility::Account, control, &module, &arguments);
            insert(work, service, &text)?;
        }
    }
    Ok(Caller {
        module,
        arguments,
        maker,
    })
}

/// Inserts a new line, and tells who got in without a job so far.
fn insert(work: &mut Work<'_>, service: &Service<'_>, text: &[u8]) -> Result<(), FileRefusal> {
    if let Some(exemption) = exemption(service, usize::MAX) {
        let title =
            format!("{exemption} lets users in, and after this change only those with a job");
        let how = "Name those who need none with setup --admins GROUP, or exempt_users= in the options file.";
        work.advise(title, &[how]);
    }
    let at = place(service);
    let why = "the account line lets users in only while they have a job";
    let lines = work.draft.edit(&service.own, why)?;
    lines.insert(at, COMMENT.as_bytes());
    lines.insert(at, text);
    Ok(())
}

/// The arguments of a line that has no effect: what the admin meant.
fn meant(stray: &Spot) -> Vec<Vec<u8>> {
    let text = stray.text.as_deref().unwrap_or_default();
    let words = text.split_whitespace();
    let rest = words.skip_while(|it| !it.contains("pam_slurm_adopt"));
    rest.skip(1).map(|it| it.as_bytes().to_vec()).collect()
}

/// The number of the line before which a new line comes: behind the lines that only keep users out, before the first
/// that may let them in.
fn place(service: &Service<'_>) -> usize {
    let text = service.text();
    let tops = service.tops(Facility::Account);
    let gates = tops.iter().take_while(|it| is_gate(it)).count();
    if let Some(gate) = gates.checked_sub(1).and_then(|it| tops.get(it)) {
        return extent(&text, gate.place.line).end;
    }
    let mut first = tops.first().map_or(1, |it| it.place.line);
    // The comment above a line stays with it; the first line of a file may be its #%PAM-1.0.
    while first > 2 && text.line(first - 1).starts_with(b"#") {
        first -= 1;
    }
    first
}

fn is_gate(line: &Line) -> bool {
    let Item::Module { path, .. } = &line.item else {
        return false;
    };
    let name = path.rsplit(|it| *it == b'/').next().unwrap_or_default();
    let control = line.control.to_ascii_lowercase();
    let is_plain = control == b"required" || control == b"requisite";
    is_plain && GATES.iter().any(|it| it.as_bytes() == name)
}

/// Keeps a line that is there, with its options. One that does not bind is corrected, one that others lead past is
/// moved, where that changes nothing else.
fn keep(work: &mut Work<'_>, service: &Service<'_>, own: &OwnLine) -> Result<Caller, Refusal> {
    let (module, arguments) = call(&own.line);
    let name = String::from_utf8_lossy(&module).into_owned();
    let maker = module::verify(work.host(), &name)?;
    let mut edit = Edit::of(service, own);
    if edit.is_unbound("SA228") || edit.is_unbound("SA235") || edit.is_forgotten() {
        edit.bind();
    }
    let place = place(service);
    match (edit.misplaced(&PASSED), exemption(service, own.entry)) {
        (Some(_), Some(exemption)) => stay(work, &exemption),
        (Some(_), None) if edit.can_move(place) => edit.move_to(place),
        (Some(finding), None) => work.leave(finding),
        (None, None) if edit.is_unjudged(place) => edit.move_to(place),
        (None, _) => {}
    }
    edit.write(work)?;
    for id in LEFT {
        if let Some(finding) = service.finding(id) {
            work.leave(finding);
        }
    }
    Ok(Caller {
        module,
        arguments,
        maker,
    })
}

/// Tells why the module's line stays in its place.
fn stay(work: &mut Work<'_>, exemption: &str) {
    let title =
        format!("{exemption} lets users in without a job, so the module's line stays behind it");
    let how = "Name these users with exempt_users= or exempt_groups= (setup --admins GROUP), remove that line, and run \
               setup again.";
    work.advise(title, &[how]);
}

/// FILE:LINE of one of the first entries with which an admin lets users in without a job, if there is one.
fn exemption(service: &Service<'_>, count: usize) -> Option<String> {
    let stack = service.read.stack(Facility::Account);
    let ends = |it: &&Handler| {
        let action = it.control.action(Code::SUCCESS);
        matches!(action, Action::Done | Action::Jump(_))
    };
    let before = stack.iter().take(count).filter(ends);
    let mut lines = before.filter_map(|it| service.read.line(it));
    let line = lines.find(|it| is_exemption(it))?;
    Some(line.place.to_string())
}

fn is_exemption(line: &Line) -> bool {
    let Item::Module { path, arguments } = &line.item else {
        return false;
    };
    let name = path.rsplit(|it| *it == b'/').next().unwrap_or_default();
    let names_people = |it: &Vec<u8>| it == b"user" || it == b"ingroup" || it == b"group";
    match name {
        b"pam_access.so" | b"pam_listfile.so" => true,
        b"pam_succeed_if.so" => arguments.iter().any(names_people),
        _ => false,
    }
}

/// Checks that a line in a better place passes.
const PASSED: [&str; 3] = ["SA223", "SA224", "SA230"];
/// Checks whose lines are the admin's own.
const LEFT: [&str; 5] = ["SA225", "SA227", "SA232", "SA233", "SA234"];
