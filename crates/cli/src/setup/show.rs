//! Shows what is to be changed, and what became of it.

use std::io::{self, Write as _};
use std::path::Path;

use ::setup::change::Change;
use ::setup::plan::{Advice, Plan};
use ::setup::{Fate, Place, Site, difference, words};

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

/// Prints what became of places that are not simply as before; whether some were left as they are. What one types is
/// with this host's paths.
pub(crate) fn fates(site: &Site, places: &[Place]) -> bool {
    let on_host = |path: &Path| site.files.tree().on_host(path);
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
                    Some(copy) => {
                        let copy = on_host(copy);
                        say(&format!("  before setup it was {}", copy.display()));
                    }
                    None => say("  before setup there was none: remove it if nobody needs it"),
                }
            }
            Fate::Damaged { copy, fault } => {
                has_left = true;
                let (copy, records) = (on_host(copy), site.records());
                let (copy, records) = (copy.display(), records.display());
                say(&format!("{path}: left as it is: {copy} {fault}"));
                say(&format!(
                    "  in {records}, the number of each setup, before{path} is what there was and after{path} what it \
                     wrote. Put {path} right by hand and run undo again; if it still does not know the file, rm -r \
                     {records} forgets the set-up"
                ));
            }
        }
    }
    has_left
}
