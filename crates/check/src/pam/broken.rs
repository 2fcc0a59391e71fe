//! Lines that libpam cannot use, and what becomes of the stack.

mod texts;

use std::path::PathBuf;

use pamconf::{
    Action, Code, Control, Facility, Handler, Item, Place, ProblemKind, Role, Service, Walk, Ways,
};

use crate::host::Host;
use crate::host::modules::function;
use crate::pam::modules::{Fault, ModuleDirs};
use crate::pam::person::Person;
use crate::pam::stack::{Call, Stack};
use crate::{Check, Finding, Notes, Severity, Spot};

pub(super) use self::texts::{
    LINE_FAILS, MISREAD, MODULE_FAILS, MODULE_UNUSABLE, STACK_FAILS, WITHOUT_EFFECT, WRONG_STACK,
};

/// A line that cannot do what it says.
struct Suspect {
    entry: usize,
    /// A fault of the line, not of the module.
    problem: Option<String>,
    /// The file of a line that ends in a carriage return.
    windows_file: Option<PathBuf>,
    /// Whether it includes a file that libpam may read, and this program may not.
    is_hidden: bool,
}

pub(super) fn look(
    host: &Host,
    dirs: &ModuleDirs,
    name: &str,
    facility: Facility,
    notes: &mut Notes,
) {
    let stack = Stack::of(host, dirs, name, facility);
    if stack.handlers().is_empty() {
        return;
    }
    let suspects = suspects(&stack);
    let able: Vec<Person> = Person::PEOPLE
        .into_iter()
        .filter(|it| can_succeed(&stack, &suspects, None, *it))
        .collect();
    if able.is_empty() && matches!(facility, Facility::Account | Facility::Session) {
        // What could not be read may be what lets people in; without it, sshd's stack is that of "other".
        return match stack.is_partly_hidden() {
            true => {}
            false => stack_fails(&stack, notes),
        };
    }
    let mut judged: Vec<Judged<'_>> = Vec::new();
    for suspect in suspects.iter().filter(|it| !it.is_hidden) {
        let is_kept_out = |it: &&Person| !can_succeed(&stack, &suspects, Some(suspect.entry), **it);
        let kept_out: Vec<&Person> = able.iter().filter(is_kept_out).collect();
        let kept = match kept_out.len() {
            0 => Kept::Nobody,
            some if some == able.len() => Kept::Everybody,
            _ if kept_out.contains(&&Person::Directory) => Kept::Directory,
            _ => Kept::Some,
        };
        let file = suspect.windows_file.as_ref();
        let is_same =
            |it: &&mut Judged<'_>| file.is_some() && it.suspect.windows_file.as_ref() == file;
        let more = match judged.iter_mut().find(is_same) {
            Some(first) if first.kept >= kept => {
                first.more += 1;
                continue;
            }
            Some(first) => first.more + 1,
            None => 0,
        };
        judged.retain(|it| file.is_none() || it.suspect.windows_file.as_ref() != file);
        judged.push(Judged {
            suspect,
            kept,
            more,
        });
    }
    judged.iter().for_each(|it| report(&stack, it, notes));
}

/// A suspect, and what it does.
struct Judged<'a> {
    suspect: &'a Suspect,
    kept: Kept,
    /// The number of other lines that end in a carriage return: a file of them has one finding.
    more: usize,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kept {
    Nobody,
    Some,
    /// All but users of /etc/passwd and those whom a line names.
    Directory,
    Everybody,
}

fn suspects(stack: &Stack<'_>) -> Vec<Suspect> {
    let suspect = |entry: usize| {
        // A substack has an entry of its own for the file that is missing.
        let role = stack.handler(entry).map(|it| it.role);
        if role == Some(Role::Substack) {
            return None;
        }
        let problem = problem_of(stack, entry);
        let fault = stack.call(entry).and_then(|it| it.fault);
        (problem.is_some() || fault.is_some() || stack.always_fails(entry)).then(|| Suspect {
            entry,
            problem,
            windows_file: windows_file(stack, entry),
            is_hidden: is_hidden(stack, entry),
        })
    };
    (0..stack.handlers().len()).filter_map(suspect).collect()
}

/// Whether an entry's line includes a file that could not be read.
fn is_hidden(stack: &Stack<'_>, entry: usize) -> bool {
    let place = stack.line(entry).map(|it| &it.place);
    let mut problems = stack.read.problems().iter();
    problems.any(|it| it.kind.hides_lines() && it.place.as_ref() == place)
}

/// The file of an entry whose line ends in a carriage return.
fn windows_file(stack: &Stack<'_>, entry: usize) -> Option<PathBuf> {
    let place = &stack.line(entry)?.place;
    let mut problems = stack.read.problems().iter();
    let ends = problems.any(|it| {
        it.place.as_ref() == Some(place) && matches!(it.kind, ProblemKind::CarriageReturn)
    });
    ends.then(|| place.file.to_path_buf())
}

/// What is wrong with an entry's line.
fn problem_of(stack: &Stack<'_>, entry: usize) -> Option<String> {
    let place = &stack.line(entry)?.place;
    let problems = stack.read.problems().iter();
    let here = problems.filter(|it| it.place.as_ref() == Some(place) && !it.kind.hides_lines());
    let texts: Vec<String> = here.map(|it| it.kind.to_string()).collect();
    (!texts.is_empty()).then(|| texts.join("; "))
}

/// Whether the stack could succeed if the suspects did their work, all but one.
fn can_succeed(
    stack: &Stack<'_>,
    suspects: &[Suspect],
    broken: Option<usize>,
    person: Person,
) -> bool {
    let works = |entry: usize| broken != Some(entry) && suspects.iter().any(|it| it.entry == entry);
    let mut handlers: Vec<Handler> = stack.handlers().to_vec();
    for (entry, handler) in handlers.iter_mut().enumerate() {
        let is_unknown = handler.control == Control::FAILURE;
        if works(entry) && handler.role != Role::Substack && is_unknown {
            let required = Control::parse(b"required");
            handler.control = required.unwrap_or(Control::FAILURE);
            handler.role = Role::Module;
        } else if works(entry) && handler.role == Role::Fail {
            handler.role = Role::Module;
        }
    }
    let known = |entry: usize| match works(entry) {
        true => None,
        false => stack.known(entry, person),
    };
    Ways::new(&handlers, &known).can_succeed()
}

fn report(stack: &Stack<'_>, judged: &Judged<'_>, notes: &mut Notes) {
    let (suspect, kept) = (judged.suspect, judged.kept);
    let entry = suspect.entry;
    let spot = stack.spot(entry);
    let facility = stack.facility;
    let call = stack.call(entry);
    let severity = match (facility, kept) {
        (Facility::Account | Facility::Session, Kept::Everybody) => Severity::Failure,
        (Facility::Account | Facility::Session, Kept::Directory) if !is_of_directory(call) => {
            Severity::Failure
        }
        _ => Severity::Warning,
    };
    let whom = match (kept, severity) {
        (Kept::Directory, Severity::Failure) => "; users who are not in /etc/passwd are kept out",
        _ => "",
    };
    if let Some(call) = call.filter(|it| it.fault.is_some() && suspect.problem.is_none()) {
        let Some((check, text)) = of_module(stack, judged, call) else {
            return;
        };
        let detail = format!("{facility} stack of {}: {text}{whom}", stack.name);
        let finding = Finding::of(check, detail).as_severe_as(severity);
        notes.find(finding.at(spot.mark(&call.path)));
        return;
    }
    let problem = suspect
        .problem
        .as_deref()
        .unwrap_or("libpam fails this line");
    let check = match kept {
        Kept::Everybody if facility != Facility::Password => &LINE_FAILS,
        _ => &MISREAD,
    };
    let mark = marked(stack, entry);
    let mut detail = format!("{facility} stack of {}: {problem}{whom}", stack.name);
    if judged.more > 0 {
        detail += &format!("; {} more of its lines do", judged.more);
    }
    notes.find(
        Finding::of(check, detail)
            .as_severe_as(severity)
            .at(spot.mark(&mark)),
    );
}

/// What to say of a module that libpam cannot call.
fn of_module(
    stack: &Stack<'_>,
    judged: &Judged<'_>,
    call: &Call,
) -> Option<(&'static Check, String)> {
    let facility = stack.facility;
    let is_wrong = matches!(facility, Facility::Auth | Facility::Password);
    let is_own = call.name.starts_with("pam_slurm_adopt");
    let is_silent = stack
        .line(judged.suspect.entry)
        .is_some_and(|it| it.is_silent);
    let check = match judged.kept {
        _ if is_wrong && is_own => &WRONG_STACK,
        // The room of the module's file tells.
        _ if is_own => return None,
        // The dash says that it may be missing; without a directory's module there are no users of a directory.
        Kept::Nobody if is_silent || is_of_directory(Some(call)) => return None,
        Kept::Nobody if facility == Facility::Account => &WITHOUT_EFFECT,
        Kept::Nobody => return None,
        // Nobody is kept out who cannot change a password.
        _ if facility == Facility::Password => return None,
        Kept::Everybody => &MODULE_FAILS,
        Kept::Some | Kept::Directory => &MODULE_UNUSABLE,
    };
    let why = match call.fault {
        Some(Fault::NoFunction) => format!("{} has no {}", call.name, function(facility)),
        _ => format!("there is no file {}", call.path),
    };
    let dash = match is_silent {
        true => "; the dash hides that from the log",
        false => "",
    };
    Some((check, why + dash))
}

/// Whether a module is that of a directory: where it is not installed, there are no users of a directory either.
fn is_of_directory(call: Option<&Call>) -> bool {
    let names = [
        "pam_sss.so",
        "pam_ldap.so",
        "pam_winbind.so",
        "pam_krb5.so",
        "pam_lsass.so",
        "pam_himmelblau.so",
        "pam_vas3.so",
        "pam_centrifydc.so",
    ];
    call.is_some_and(|it| names.contains(&it.name.as_str()))
}

/// The word at fault.
fn marked(stack: &Stack<'_>, entry: usize) -> String {
    let Some(line) = stack.line(entry) else {
        return String::new();
    };
    let mut problems = stack.read.problems().iter();
    let problem = problems.find(|it| it.place.as_ref() == Some(&line.place));
    let word: &[u8] = match problem.map(|it| &it.kind) {
        Some(ProblemKind::UnknownFacility { word }) => word,
        Some(ProblemKind::UnknownControl(_)) => &line.control,
        Some(ProblemKind::Missing { name } | ProblemKind::TooDeep { name }) => name,
        _ => match &line.item {
            Item::Module { path, .. } => path,
            Item::Include { name } | Item::Substack { name } => name,
            Item::Nothing => &line.text,
        },
    };
    String::from_utf8_lossy(word).trim().to_owned()
}

/// The line of a problem, with the word at fault marked.
pub(super) fn spot_of_problem(host: &Host, read: &Service, place: &Place) -> Spot {
    let line = read.lines().iter().find(|it| it.place == *place);
    let Some(line) = line else {
        // libpam has not taken the line.
        let file = place.file.to_string_lossy().into_owned();
        let text = host.tree.text(&place.file).unwrap_or_default();
        let line = text.lines().nth(place.line.saturating_sub(1));
        return Spot::line(file, place.line, line.unwrap_or_default().trim_end());
    };
    let word: &[u8] = match &line.item {
        Item::Module { path, .. } => path,
        Item::Include { name } | Item::Substack { name } => name,
        Item::Nothing => b"",
    };
    Spot::pam(line).mark(String::from_utf8_lossy(word).trim())
}

fn stack_fails(stack: &Stack<'_>, notes: &mut Notes) {
    let walk = Walk::of(stack.handlers(), |entry, _| {
        let known = stack.known(entry, Person::Directory);
        known.unwrap_or(Code::SUCCESS)
    });
    let jump = jump_past_ours(stack, &walk);
    let decided = jump.map(|it| it.0).or(walk.decided_by()).unwrap_or(0);
    let what = match jump {
        Some((_, Target::Line)) => {
            "for every user: this line jumps past pam_slurm_adopt and not past the line that it is \
             meant to skip"
        }
        Some((_, Target::End)) => {
            "for every user: this line jumps to the end, and no module has let anybody in"
        }
        None => "for every user here",
    };
    let detail = format!(
        "the {} stack of {} fails {what}",
        stack.facility, stack.name
    );
    let spot = stack.spot(decided).mark(&stack.control(decided));
    notes.find(Finding::of(&STACK_FAILS, detail).at(spot));
}

/// Target of a jump.
#[derive(Clone, Copy)]
enum Target {
    Line,
    End,
}

/// The last entry that jumps past a line of ours.
fn jump_past_ours(stack: &Stack<'_>, walk: &Walk) -> Option<(usize, Target)> {
    let own = stack.own();
    let entries = || walk.steps.iter().map(|it| it.entry);
    walk.steps.iter().rev().find_map(|step| {
        let next = entries().find(|it| *it > step.entry);
        let is_passed = |it: &usize| *it > step.entry && next.is_none_or(|next| *it < next);
        let is_jump = matches!(step.action, Some(Action::Jump(_)));
        let target = if next.is_some() {
            Target::Line
        } else {
            Target::End
        };
        (is_jump && own.iter().any(is_passed)).then_some((step.entry, target))
    })
}
