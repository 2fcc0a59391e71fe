//! Lines that lead people past the account line.

use super::DENIAL;
use super::texts::*;
use crate::host::Host;
use crate::host::users::{Ordinary, users};
use crate::pam::access::Access;
use crate::pam::bypass::{self, Passed};
use crate::pam::listfile::{Content, ListFile};
use crate::pam::person::Person;
use crate::pam::stack::{Call, Stack};
use crate::pam::succeed_if;
use crate::{Check, Finding, Notes, Severity, Spot};

/// Reports the lines, and returns their entries; None if the stack is too complex.
pub(super) fn look(stack: &Stack<'_>, own: &[usize], notes: &mut Notes) -> Option<Vec<usize>> {
    let Some(passed) = bypass::passed(stack, own, DENIAL) else {
        let detail = format!(
            "the account stack of {} is not followed to its end",
            stack.name
        );
        let first = own.first().copied().unwrap_or_default();
        notes.find(Finding::of(&TOO_MANY_WAYS, detail).at(stack.spot(first)));
        return None;
    };
    for it in &passed {
        let Some(call) = stack.call(it.entry) else {
            continue;
        };
        if call.name == "pam_listfile.so" {
            open_list(stack.host, call, notes);
        }
        // It has its own finding; and root passes the module's line as well.
        if call.name == "pam_slurm.so" || it.person == Person::Root {
            continue;
        }
        let check = check(call, *it, stack.ordinary().contains(&it.person));
        let severity = severity(stack.host, check);
        let whom = whom(stack, it.entry, it.person);
        let first = own.iter().find(|own| **own > it.entry);
        let place = first.map_or(String::new(), |it| format!(" ({})", stack.place(*it)));
        let verb = if it.is_certain { "leads" } else { "may lead" };
        let detail = format!("{} {verb} {whom} past pam_slurm_adopt{place}", call.name);
        let spot = stack.spot(it.entry).mark(&stack.control(it.entry));
        notes.find(Finding::of(check, detail).as_severe_as(severity).at(spot));
    }
    Some(passed.iter().map(|it| it.entry).collect())
}

fn check(call: &Call, passed: Passed, is_ordinary: bool) -> &'static Check {
    match passed.person {
        _ if !passed.is_certain => &UNKNOWN,
        Person::Directory | Person::Local if call.name == "pam_access.so" => &ACCESS,
        Person::Directory => &EVERYONE,
        Person::Local => &LOCAL_USERS,
        Person::Named if is_ordinary => &EVERYONE,
        Person::Named | Person::System | Person::Root => &SOME_USERS,
    }
}

fn severity(host: &Host, check: &Check) -> Severity {
    match check.id == LOCAL_USERS.id && !has_local_users(host) {
        true => Severity::Warning,
        false => check.severity,
    }
}

/// Whether /etc/passwd has ordinary users.
fn has_local_users(host: &Host) -> bool {
    let ordinary = Ordinary::read(&host.tree);
    let text = host.tree.text("/etc/passwd").unwrap_or_default();
    users(&text).any(|user| {
        let no_shell = ["nologin", "false"];
        let has_shell = !no_shell.iter().any(|it| user.shell.ends_with(it));
        has_shell && ordinary.has(user.uid)
    })
}

/// Whether a line of pam_access lets in only those whom distributions call administrators.
pub(super) fn are_administrators(stack: &Stack<'_>, entry: usize) -> bool {
    const NAMES: [&str; 5] = ["root", "wheel", "sudo", "adm", "admin"];
    let call = stack.call(entry);
    let Some(call) = call.filter(|it| it.name == "pam_access.so") else {
        return false;
    };
    let access = Access::read(&stack.host.tree, &call.arguments);
    let exempt = access.exempt();
    let is_one = |it: &&str| NAMES.contains(&it.trim_matches(['(', ')']));
    !exempt.is_empty() && exempt.iter().all(is_one)
}

/// The people whom a line lets in, in words.
pub(super) fn whom(stack: &Stack<'_>, entry: usize, person: Person) -> String {
    let call = stack.call(entry);
    let named = |call: &Call| match call.name.as_str() {
        "pam_access.so" => {
            let access = Access::read(&stack.host.tree, &call.arguments);
            format!(
                "{} of {}",
                access.exempt().join(", "),
                access.files.join(", ")
            )
        }
        "pam_listfile.so" => {
            let list = ListFile::read(&stack.host.tree, &call.arguments);
            format!("each {} in {}", list.item, list.file)
        }
        "pam_succeed_if.so" => format!("those with \"{}\"", succeed_if::named(&call.arguments)),
        name => format!("those whom {name} names"),
    };
    match person {
        Person::Directory => "users without a job".to_owned(),
        Person::Local => match has_local_users(stack.host) {
            true => "users of /etc/passwd".to_owned(),
            false => "users of /etc/passwd (which now has none)".to_owned(),
        },
        Person::Named => call.map_or("some users".to_owned(), named),
        Person::System => "system accounts".to_owned(),
        Person::Root => "root".to_owned(),
    }
}

fn open_list(host: &Host, call: &Call, notes: &mut Notes) {
    let list = ListFile::read(&host.tree, &call.arguments);
    if list.content != Content::Refused && list.is_open_to_group() {
        let detail = format!("mode {:o}", list.mode & 0o7777);
        notes.find(Finding::of(&OPEN_LIST, detail).at(Spot::file(list.file)));
    }
}
