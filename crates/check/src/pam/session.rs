//! The session line: whether the session stays in the job.

use pamconf::{Code, Facility, Ways};

use crate::host::Host;
use crate::pam::bypass::Denial;
use crate::pam::modules::ModuleDirs;
use crate::pam::person::Person;
use crate::pam::session::texts::*;
use crate::pam::stack::{Own, Stack};
use crate::pam::{bypass, elsewhere, pair, ways_out};
use crate::{Finding, Notes, Room, Severity, Spot};

mod texts;

pub(crate) const ROOM: Room = Room {
    name: "pam/session",
    checks: &[
        &MOVED_OUT,
        &ABSENT,
        &ELSEWHERE,
        &TOO_EARLY,
        &PASSED,
        &NOT_BINDING,
        &NAMESPACE,
        &TWICE,
        &DISAGREE,
        &IDLE,
    ],
    look,
};

/// What this module denies with in the session phase.
const DENIAL: Code = Code::SESSION_ERR;

fn look(host: &Host, notes: &mut Notes) {
    let dirs = ModuleDirs::of(host);
    for name in host.ssh_services() {
        let stack = Stack::of(host, &dirs, &name, Facility::Session);
        if stack.read.fatal().is_some() {
            continue;
        }
        let own = stack.own();
        let accounts = pair::acting(host, &name, Facility::Account);
        if own.is_empty() {
            match accounts.is_empty() {
                true => notes.summary("no line of the module"),
                false => absent(&stack, &dirs, notes),
            }
            continue;
        }
        if !stack.is_usable() {
            continue;
        }
        order(&stack, &own, notes);
        passed(&stack, &own, notes);
        binding(&stack, &own, notes);
        namespace(&stack, &own, notes);
        pairs(host, &name, &accounts, notes);
    }
}

/// No session line of ours acts, but an account line does.
fn absent(stack: &Stack<'_>, dirs: &ModuleDirs, notes: &mut Notes) {
    if stack.is_partly_hidden() {
        return notes.summary("no session line in what could be read");
    }
    let movers = ways_out::movers(stack);
    let severity = match movers.is_empty() {
        true => Severity::Warning,
        false => Severity::Failure,
    };
    if let Some(entry) = stack.find(|it| it.own == Own::Idle).first() {
        let detail = format!(
            "service= does not name {}, so the line does nothing there",
            stack.name
        );
        let spot = stack.spot(*entry).mark("service=");
        return notes.find(Finding::of(&IDLE, detail).as_severe_as(severity).at(spot));
    }
    // pam/files says why nobody gets in.
    if stack.has_broken_own() || !stack.is_usable() {
        return;
    }
    let strays = elsewhere::strays(stack.host, &stack.name, Facility::Session);
    for stray in &strays {
        let detail = format!("{} reads {}, not this file", stack.name, stray.reads);
        let finding = Finding::of(&ELSEWHERE, detail).as_severe_as(severity);
        notes.find(finding.at(stray.spot.clone()));
    }
    if !strays.is_empty() {
        return;
    }
    let Some(mover) = movers.first() else {
        let detail = format!("the session stack of {} has no pam_slurm_adopt", stack.name);
        // SchedMD's module has none to add.
        if pair::has_session_phase(stack.host, dirs, &stack.name) {
            let finding = Finding::of(&ABSENT, detail);
            notes.find(elsewhere::with_copy(stack.host, &stack.name, finding));
        }
        return notes.summary("no session line");
    };
    let name = stack.call(*mover).map_or("it", |it| it.name.as_str());
    let why = match stack.own_in_vain().first() {
        Some(entry) => format!(
            "libpam cannot call the session line ({})",
            stack.place(*entry)
        ),
        None => "no session line puts it back".to_owned(),
    };
    let detail = format!("{name} takes every login out of its job, and {why}");
    let spot = stack.spot(*mover).mark(name);
    let finding = Finding::of(&MOVED_OUT, detail).at(spot);
    notes.find(match pair::has_session_phase(stack.host, dirs, &stack.name) {
        true => elsewhere::with_copy(stack.host, &stack.name, finding),
        false => finding.fix(
            "Take the line of pam_systemd out of sshd's session stack, or replace SchedMD's module, \
             which has no session phase, and add the session line then.",
        ),
    });
}

/// Nothing may move the session after the last line of ours.
fn order(stack: &Stack<'_>, own: &[usize], notes: &mut Notes) {
    let last = own.last().copied().unwrap_or_default();
    let movers = ways_out::movers(stack);
    match movers.iter().rfind(|it| **it > last) {
        Some(mover) => {
            let name = stack.call(*mover).map_or("it", |it| it.name.as_str());
            let detail = format!("{name} comes after pam_slurm_adopt ({})", stack.place(last));
            let spot = stack.spot(*mover).mark(name);
            notes.find(Finding::of(&TOO_EARLY, detail).at(spot));
        }
        None => match movers.last().and_then(|it| stack.call(*it)) {
            Some(mover) => {
                let name = mover.name.trim_end_matches(".so");
                notes.summary(format!("{}, after {name}", stack.place(last)));
            }
            None => notes.summary(stack.place(last)),
        },
    }
}

/// Lines that lead past ours.
fn passed(stack: &Stack<'_>, own: &[usize], notes: &mut Notes) {
    let last = own.last().copied().unwrap_or_default();
    let is_moved = ways_out::movers(stack).iter().any(|it| *it < last);
    let passed = bypass::passed(stack, own, DENIAL).unwrap_or_default();
    let users = passed
        .iter()
        .filter(|it| Person::USERS.contains(&it.person));
    let mut is_found = false;
    for it in users {
        let name = stack.call(it.entry).map_or("a line", |it| it.name.as_str());
        let severity = match is_moved && it.is_certain {
            true => Severity::Failure,
            false => Severity::Warning,
        };
        let detail = format!("{name} leads past pam_slurm_adopt ({})", stack.place(last));
        let spot = stack.spot(it.entry).mark(&stack.control(it.entry));
        notes.find(Finding::of(&PASSED, detail).as_severe_as(severity).at(spot));
        is_found = true;
    }
    if is_found {
        return;
    }
    // The module itself knows of no module what it answers.
    let handlers = stack.handlers();
    let known = |entry| fault(stack, entry);
    let ways = Ways::new(handlers, &known);
    let binding = ways.binding(own, DENIAL);
    let ends = if binding.is_empty() { own } else { &binding };
    if let (false, Some(pamconf::Bypass::By(entry))) = (binding.is_empty(), ways.bypass(ends)) {
        let name = stack.call(entry).map_or("a line", |it| it.name.as_str());
        let detail = format!(
            "{name} does not lead ssh logins past pam_slurm_adopt ({}), but the module cannot know \
             that, and treats keyboard-interactive logins as if it did",
            stack.place(last)
        );
        let spot = stack.spot(entry).mark(&stack.control(entry));
        notes.find(
            Finding::of(&PASSED, detail)
                .as_severe_as(Severity::Warning)
                .at(spot),
        );
    }
}

/// The answer of a module that libpam cannot call.
fn fault(stack: &Stack<'_>, entry: usize) -> Option<Code> {
    let call = stack.call(entry)?;
    call.fault.map(|_| Code::MODULE_UNKNOWN)
}

/// Whether session lines of ours that libpam can call leave ways around them. The module then takes logins that only
/// the session phase can adopt for not adopted.
pub(crate) fn has_gaps(host: &Host, name: &str) -> bool {
    let stack = Stack::of(host, &ModuleDirs::of(host), name, Facility::Session);
    let own = stack.own();
    if own.is_empty() || !stack.is_usable() {
        return false;
    }
    let handlers = stack.handlers();
    let known = |entry| fault(&stack, entry);
    let ways = Ways::new(handlers, &known);
    let binding = ways.binding(&own, DENIAL);
    binding.is_empty() || ways.bypass(&binding).is_some()
}

fn binding(stack: &Stack<'_>, own: &[usize], notes: &mut Notes) {
    let denial = Denial {
        stack,
        ours: own,
        passed: &[],
        code: DENIAL,
    };
    if denial.binds(Person::Directory) {
        return;
    }
    let last = own.last().copied().unwrap_or_default();
    let control = stack.control(last);
    let detail = format!("libpam goes on if the line fails: its control is \"{control}\"");
    let spot = stack.spot(last).mark(&control);
    notes.find(Finding::of(&NOT_BINDING, detail).at(spot));
}

/// pam_namespace hides Slurm's files if it has anything to do.
fn namespace(stack: &Stack<'_>, own: &[usize], notes: &mut Notes) {
    let first = own.first().copied().unwrap_or_default();
    let namespaces = stack.find(|it| it.name == "pam_namespace.so" && it.fault.is_none());
    let Some(entry) = namespaces
        .into_iter()
        .find(|it| *it < first && stack.reaches(*it))
    else {
        return;
    };
    let tree = &stack.host.tree;
    let mut files = vec!["/etc/security/namespace.conf".into()];
    files.extend(tree.matches("/etc/security/namespace.d/*.conf"));
    let directory = files.iter().find_map(|file| {
        let text = tree.text(file).ok()?;
        let mut lines = text.lines().map(str::trim);
        let line = lines.find(|it| !it.is_empty() && !it.starts_with('#'))?;
        line.split_whitespace().next().map(str::to_owned)
    });
    if let Some(directory) = directory {
        let detail = format!("it gives each user a {directory} of their own");
        let spot = stack.spot(entry).mark("pam_namespace.so");
        notes.find(Finding::of(&NAMESPACE, detail).at(spot));
    }
}

/// Our lines compared with each other.
fn pairs(host: &Host, name: &str, accounts: &[crate::host::OwnLine], notes: &mut Notes) {
    let sessions = pair::acting(host, name, Facility::Session);
    for (first, second) in pair::doubles(&sessions) {
        let detail = format!("also at {}", first.line.place);
        let spot = Spot::pam(&second.line).mark("pam_slurm_adopt");
        notes.find(Finding::of(&TWICE, detail).at(spot));
    }
    for session in &sessions {
        let Some(account) = pair::partner(accounts, session) else {
            continue;
        };
        let differing = pair::differing(&account.options, &session.options);
        if !differing.is_empty() {
            let detail = format!(
                "the account line ({}) has another {}",
                account.line.place,
                differing.join(", "),
            );
            let spot = Spot::pam(&session.line).mark("pam_slurm_adopt");
            notes.find(Finding::of(&DISAGREE, detail).at(spot));
        }
    }
}
