//! The account line: whether it decides about everyone.

use pamconf::{Action, Code, Facility, Walk, Ways};

use crate::host::Host;
use crate::kind::{is_compute_node, is_seen_to_be_one};
use crate::pam::account::texts::*;
use crate::pam::bypass::Denial;
use crate::pam::modules::ModuleDirs;
use crate::pam::outcome::Outcome;
use crate::pam::person::Person;
use crate::pam::stack::{Call, Own, Stack};
use crate::pam::{elsewhere, pair};
use crate::{Finding, Notes, Room, Severity};

mod missing;
mod passed;
mod texts;

pub(crate) const ROOM: Room = Room {
    name: "pam/account",
    checks: &[
        &ABSENT,
        &ELSEWHERE,
        &IDLE,
        &EVERYONE,
        &LOCAL_USERS,
        &ACCESS,
        &SOME_USERS,
        &UNKNOWN,
        &NOT_BINDING,
        &SUFFICIENT,
        &EXPIRED,
        &OPEN_LIST,
        &PAM_SLURM_FIRST,
        &PAM_SLURM,
        &TWICE,
        &ROOT,
        &ROOT_DENIED,
        &TOO_MANY_WAYS,
        &ONLY_NAMED,
        &NO_LIST,
    ],
    look,
};

/// What this module denies with in the account phase.
const DENIAL: Code = Code::PERM_DENIED;

fn look(host: &Host, notes: &mut Notes) {
    let dirs = ModuleDirs::of(host);
    for name in host.ssh_services() {
        let stack = Stack::of(host, &dirs, &name, Facility::Account);
        // pam/files says so.
        if stack.read.fatal().is_some() {
            if elsewhere::has_sshd(host, &name) {
                notes.summary(format!("{name}: nobody gets in"));
            }
            continue;
        }
        let own = stack.own();
        if own.is_empty() {
            absent(&stack, &dirs, notes);
            continue;
        }
        let mut places: Vec<String> = own.iter().map(|it| stack.place(*it)).collect();
        places.dedup();
        notes.summary(places.join(", "));
        if !stack.is_usable() {
            continue;
        }
        let Some(passed) = passed::look(&stack, &own, notes) else {
            continue;
        };
        binding(&stack, &own, &passed, notes);
        expired(&stack, &own, notes);
        pam_slurm(&stack, &own, notes);
        only_named(&stack, notes);
        missing::look(&stack, notes);
        root(&stack, &own, notes);
        twice(host, &name, notes);
    }
}

/// No line of ours decides.
fn absent(stack: &Stack<'_>, dirs: &ModuleDirs, notes: &mut Notes) {
    let host = stack.host;
    let severity = match is_compute_node(host) {
        true => Severity::Failure,
        false => Severity::Note,
    };
    if stack.is_partly_hidden() || !elsewhere::has_sshd(host, &stack.name) {
        return notes.summary("no line of the module in what could be read");
    }
    let idle = stack.find(|it| it.own == Own::Idle);
    if let Some(entry) = idle.first() {
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
    if let Some(entry) = stack.own_in_vain().first() {
        let path = stack.call(*entry).map_or("", |it| it.path.as_str());
        let detail = format!("libpam cannot call {path}, and goes on without it");
        let spot = stack.spot(*entry).mark(path);
        return notes.find(Finding::of(&ABSENT, detail).as_severe_as(severity).at(spot));
    }
    let strays = elsewhere::strays(host, &stack.name, Facility::Account);
    for stray in &strays {
        let detail = format!("{} reads {}, not this file", stack.name, stray.reads);
        let finding = Finding::of(&ELSEWHERE, detail).as_severe_as(severity);
        notes.find(finding.at(stray.spot.clone()));
    }
    if !strays.is_empty() {
        return;
    }
    let mut detail = format!("the account stack of {} has no pam_slurm_adopt", stack.name);
    match elsewhere::is_installed(host, dirs) {
        Some(true) => {}
        Some(false) if is_seen_to_be_one(host) => detail += ", and it is not installed",
        _ => return notes.summary("no line of the module, and no module"),
    }
    let is_pam_slurm = |it: &Call| it.name == "pam_slurm.so" && it.fault.is_none();
    if !stack.find(is_pam_slurm).is_empty() {
        detail += "; pam_slurm takes no login into its job";
    }
    let files = elsewhere::files(&stack.read);
    let file = files.iter().find(|it| it.ends_with(&stack.name));
    let file = file
        .cloned()
        .unwrap_or(format!("/etc/pam.d/{}", stack.name));
    let finding = Finding::of(&ABSENT, detail).as_severe_as(severity);
    let finding = finding.at(crate::Spot::file(file));
    notes.find(elsewhere::with_copy(host, &stack.name, finding));
}

/// Whether our denial counts.
fn binding(stack: &Stack<'_>, own: &[usize], passed: &[usize], notes: &mut Notes) {
    let denial = Denial {
        stack,
        ours: own,
        passed,
        code: DENIAL,
    };
    let ordinary = stack.ordinary();
    let mut survivors = Person::PEOPLE.to_vec();
    survivors.retain(|it| !denial.binds(*it));
    let sure = |it: &Person| denial.walk(*it, Code::AUTH_ERR);
    let is_sure = |it: &&Person| ordinary.contains(it) && sure(it).code == Code::SUCCESS;
    let worst = survivors.iter().find(is_sure).or(survivors.first());
    let Some(person) = worst.copied() else {
        return sufficient(stack, own, notes);
    };
    let sure = sure(&person);
    let likely = denial.walk(person, Code::SUCCESS);
    let first = own.first().copied().unwrap_or_default();
    if sure.code == Code::SUCCESS && ordinary.contains(&person) {
        let by =
            lets_in(&sure, own).map_or(String::new(), |it| format!(", by {}", stack.place(it)));
        let whom = if person == Person::Local {
            "local users"
        } else {
            "users"
        };
        let detail = format!("{whom} without a job get in although the line denies them{by}");
        let spot = stack.spot(first).mark(&stack.control(first));
        return notes.find(Finding::of(&NOT_BINDING, detail).at(spot));
    }
    let by = lets_in(&likely, own).unwrap_or(first);
    let name = stack.call(by).map_or("it", |it| it.name.as_str());
    let spot = stack.spot(by).mark(name);
    if sure.code == Code::SUCCESS {
        let whom = passed::whom(stack, by, person);
        let detail = format!("{name} lets {whom} in after pam_slurm_adopt has denied them");
        notes.find(Finding::of(&SOME_USERS, detail).at(spot));
    } else {
        let detail = format!("whoever {name} lets in gets in although pam_slurm_adopt denies them");
        notes.find(Finding::of(&UNKNOWN, detail).at(spot));
    }
    sufficient(stack, own, notes);
}

/// The line after ours whose success counts.
fn lets_in(walk: &Walk, own: &[usize]) -> Option<usize> {
    let counts = |it: &&pamconf::Step| {
        let action = it.action;
        it.code == Code::SUCCESS
            && matches!(action, Some(Action::Ok | Action::Done | Action::Jump(_)))
    };
    let steps = walk.steps.iter().skip_while(|it| !own.contains(&it.entry));
    steps.filter(counts).map(|it| it.entry).next()
}

/// What follows a `sufficient` line of ours is skipped for users with a job.
fn sufficient(stack: &Stack<'_>, own: &[usize], notes: &mut Notes) {
    let ends = |it: &usize| {
        let handler = stack.handler(*it);
        handler.is_some_and(|it| it.control.action(Code::SUCCESS) == Action::Done)
    };
    let Some(entry) = own.iter().copied().find(ends) else {
        return;
    };
    let is_account = |it: &Call| {
        ["pam_unix.so", "pam_sss.so", "pam_ldap.so", "pam_krb5.so"].contains(&it.name.as_str())
    };
    let later = stack.find(is_account);
    if let Some(later) = later.into_iter().find(|it| *it > entry) {
        let detail = format!("{} is not asked about users with a job", stack.place(later));
        let spot = stack.spot(entry).mark(&stack.control(entry));
        notes.find(Finding::of(&SUFFICIENT, detail).at(spot));
    }
}

/// Lines that end the stack for an expired password before ours.
fn expired(stack: &Stack<'_>, own: &[usize], notes: &mut Notes) {
    let expires = |it: &Call| {
        let names = [
            "pam_unix.so",
            "pam_sss.so",
            "pam_ldap.so",
            "pam_krb5.so",
            "pam_winbind.so",
        ];
        names.contains(&it.name.as_str()) && it.fault.is_none()
    };
    for entry in stack.find(expires) {
        let ends = |person: &Person| {
            !asks_us(stack, own, *person, entry, Code::NEW_AUTHTOK_REQD)
                && asks_us(stack, own, *person, entry, Code::SUCCESS)
        };
        if stack.ordinary().iter().any(ends) {
            let spot = stack.spot(entry);
            let control = stack.control(entry);
            let mut words = control.split_whitespace();
            let mark = words.find(|it| it.starts_with("new_authtok_reqd"));
            let mark = mark.unwrap_or(&control).to_owned();
            let detail =
                "the stack ends here for a user whose password has expired, before pam_slurm_adopt";
            notes.find(Finding::of(&EXPIRED, detail).at(spot.mark(&mark)));
        }
    }
}

/// Whether a person comes to one of our lines if an entry returns `code` and all goes well elsewhere.
fn asks_us(stack: &Stack<'_>, own: &[usize], person: Person, entry: usize, code: Code) -> bool {
    let walk = Walk::of(stack.handlers(), |now, _| {
        match stack.outcome(now, person) {
            _ if now == entry => code,
            Outcome::Is(code) => code,
            Outcome::Unknown if !own.contains(&now) => Code::AUTH_ERR,
            _ => Code::SUCCESS,
        }
    });
    walk.steps.iter().any(|it| own.contains(&it.entry))
}

/// SchedMD's older module, which asks slurmctld.
fn pam_slurm(stack: &Stack<'_>, own: &[usize], notes: &mut Notes) {
    for entry in stack.find(|it| it.name == "pam_slurm.so" && it.fault.is_none()) {
        let walk = Walk::of(stack.handlers(), |now, _| {
            match stack.outcome(now, Person::Directory) {
                _ if now == entry || own.contains(&now) => Code::SUCCESS,
                Outcome::Is(code) => code,
                _ => Code::SUCCESS,
            }
        });
        let is_asked = walk.steps.iter().any(|it| own.contains(&it.entry));
        let spot = stack.spot(entry);
        if walk.code == Code::SUCCESS && !is_asked {
            let detail = "users with a job get in by pam_slurm, and pam_slurm_adopt is not asked";
            let spot = spot.mark(&stack.control(entry));
            notes.find(Finding::of(&PAM_SLURM_FIRST, detail).at(spot));
        } else {
            let detail = "pam_slurm asks slurmctld at every login, beside pam_slurm_adopt";
            notes.find(Finding::of(&PAM_SLURM, detail).at(spot.mark("pam_slurm.so")));
        }
    }
}

/// A line that keeps out all but those whom it names.
fn only_named(stack: &Stack<'_>, notes: &mut Notes) {
    if stack.ordinary() != [Person::Named] {
        return;
    }
    if let Some(entry) = denier(stack, Person::Directory) {
        let name = stack.call(entry).map_or("it", |it| it.name.as_str());
        let whom = passed::whom(stack, entry, Person::Named);
        let detail = format!("{name} keeps out all users but {whom}");
        let spot = stack.spot(entry).mark(name);
        let finding = Finding::of(&ONLY_NAMED, detail).at(spot);
        // Administrators' groups have no one else in them who has a job.
        notes.find(match passed::are_administrators(stack, entry) {
            true => finding.as_severe_as(Severity::Warning),
            false => finding,
        });
    }
}

/// The line that keeps a person out by its rules, where the rest of the stack would not.
fn denier(stack: &Stack<'_>, person: Person) -> Option<usize> {
    let handlers = stack.handlers();
    let denies = |entry: &usize| {
        let known = stack.known(*entry, person);
        let control = handlers.get(*entry).map(|it| &it.control);
        let action = known.and_then(|code| control.map(|it| it.action(code)));
        let lets_in = |now: usize| match now == *entry {
            true => Some(Code::SUCCESS),
            false => stack.known(now, person),
        };
        matches!(action, Some(Action::Bad | Action::Die))
            && Ways::new(handlers, &lets_in).can_succeed()
    };
    stack.find(names_people).into_iter().find(denies)
}

/// Whether a module decides by rules that name people.
fn names_people(call: &Call) -> bool {
    let names = [
        "pam_access.so",
        "pam_listfile.so",
        "pam_succeed_if.so",
        "pam_usertype.so",
        "pam_wheel.so",
    ];
    names.contains(&call.name.as_str())
}

/// Root's way in.
fn root(stack: &Stack<'_>, own: &[usize], notes: &mut Notes) {
    if stack.can_succeed(Person::Root) {
        return;
    }
    if let Some(entry) = denier(stack, Person::Root) {
        let name = stack.call(entry).map_or("it", |it| it.name.as_str());
        let detail = format!("{name} denies root");
        let spot = stack.spot(entry).mark(name);
        return notes.find(Finding::of(&ROOT_DENIED, detail).at(spot));
    }
    let walk = Walk::of(stack.handlers(), |now, _| {
        stack.known(now, Person::Root).unwrap_or(Code::SUCCESS)
    });
    let first = own.first().copied().unwrap_or_default();
    let entry = walk.decided_by().unwrap_or(first);
    let name = stack.call(entry).map_or("", |it| it.name.as_str());
    let detail = match walk.decided_by() {
        None => "no other module of the account stack answers for root".to_owned(),
        Some(_) => format!("root's way through the stack ends with {name}"),
    };
    let spot = stack.spot(entry).mark(name);
    notes.find(Finding::of(&ROOT, detail).at(spot));
}

fn twice(host: &Host, name: &str, notes: &mut Notes) {
    let lines = pair::acting(host, name, Facility::Account);
    for (first, second) in pair::doubles(&lines) {
        let differing = pair::differing(&first.options, &second.options);
        let how = match differing.is_empty() {
            true => "with the same options".to_owned(),
            false => format!("with another {}", differing.join(", ")),
        };
        let detail = format!("also at {}, {how}", first.line.place);
        let spot = crate::Spot::pam(&second.line).mark("pam_slurm_adopt");
        notes.find(Finding::of(&TWICE, detail).at(spot));
    }
}
