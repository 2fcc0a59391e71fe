//! Shows what is to be changed, and what became of it.

use std::io::{self, Write as _};

use ::setup::change::Change;
use ::setup::plan::{Advice, Plan};
use ::setup::{DIR, Fate, Place, difference, words};

/// Prints a line. If nobody can be told, the work goes on all the same.
pub(crate) fn say(text: &str) {
    let _ = writeln!(io::stdout(), "{text}");
}

/// Prints changes as unified differences.
pub(crate) fn differences(changes: &[Change]) {
    for change in changes {
        say(&difference::text(change));
    }
}

/// Prints a plan.
pub(super) fn plan(plan: &Plan, is_live: bool) {
    differences(&plan.changes);
    if !plan.commands.is_empty() && is_live {
        say("Commands to be run then:");
        for command in &plan.commands {
            say(&format!("  {}   # {}", words(command), command.why));
        }
        say("");
    }
    advice(&plan.advice);
}

/// Prints what setup does not do itself.
pub(super) fn advice(advice: &[Advice]) {
    for advice in advice {
        say(&format!("To do: {}", advice.title));
        advice.lines.iter().for_each(|it| say(&format!("  {it}")));
        say("");
    }
}

/// Prints what became of places that are not simply as before; whether some were left as they are.
pub(crate) fn fates(places: &[Place]) -> bool {
    let mut has_left = false;
    for place in places {
        let path = place.path.display();
        match &place.fate {
            Fate::Restored | Fate::Already => {}
            Fate::Merged => say(&format!(
                "{path}: changed since by others, whose changes stay"
            )),
            Fate::Left { why, copy } => {
                has_left = true;
                say(&format!("{path}: left as it is: {why}"));
                match copy {
                    Some(copy) => say(&format!("  before setup it was {}", copy.display())),
                    None => say("  before setup there was none: remove it if nobody needs it"),
                }
            }
            Fate::Damaged { copy, fault } => {
                has_left = true;
                say(&format!(
                    "{path}: left as it is: {} {fault}",
                    copy.display()
                ));
                say(&format!(
                    "  put {path} right by hand; {DIR}/*/before{path} is what was there before each setup, \
                     {DIR}/*/after{path} what that wrote. Then rm -r {DIR} forgets the set-up"
                ));
            }
        }
    }
    has_left
}
